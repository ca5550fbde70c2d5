/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. The root key's fingerprint was noted by init, beside the root itself. */
#include "control-plane/trust_load.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "control-plane/store_identity.h"

struct loading {
	struct trust *trust;
	struct err *err;
};

static int on_tombstone(const char *envelope, void *data)
{
	const struct loading *loading = data;

	return trust_accept_tombstone(loading->trust, envelope, strlen(envelope), loading->err);
}

static int new_trust(struct store *store, struct trust **ret, struct err *err)
{
	_cleanup_(freep) char *network_hex = NULL;
	_cleanup_(freep) char *fingerprint_hex = NULL;
	struct network_id network;
	struct key fingerprint;
	int r = store_meta_get(store, "network", &network_hex);

	if (r == 0)
		r = store_meta_get(store, "root-fingerprint", &fingerprint_hex);
	if (r == 0)
		r = network_id_parse(network_hex, &network);
	if (r == 0)
		r = key_parse_hex(fingerprint_hex, &fingerprint);
	if (r < 0)
		return err_code(err, r, "the database does not name its network: restore a backup");
	return trust_new(&network, &fingerprint, ret);
}

int trust_load(struct store *store, const char *root, const struct policy_row *policy, int64_t now,
	       struct trust **ret, struct err *err)
{
	_cleanup_(trust_freep) struct trust *trust = NULL;
	struct loading loading = {.err = err};
	int r = new_trust(store, &trust, err);

	if (r < 0)
		return r;
	loading.trust = trust;
	r = trust_accept_root(trust, root, strlen(root), err);
	if (r == 0)
		r = store_tombstone_list(store, on_tombstone, &loading);
	if (r == 0 && policy->version != 0) {
		r = trust_accept_policy(trust, policy->envelope, strlen(policy->envelope),
					(const char *const *)policy->leaves, policy->n_leaves, now,
					err);
		if (r == -EKEYEXPIRED)
			r = 0;
	}
	if (r < 0)
		return r;
	*ret = take_pointer(trust);
	return 0;
}
