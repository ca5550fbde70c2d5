/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The signer's side. */
#include "cli/sign.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "cli/output.h"
#include "common/clock.h"
#include "common/identity.h"

void network_done(struct network *network)
{
	trust_free(network->trust);
	network->trust = NULL;
}

/* The fingerprint is SHA-256 of K0's public key, as an identity id is of K3's. */
static int accept_root(const char *text, struct network *ret, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	_cleanup_(trust_freep) struct trust *trust = NULL;
	struct root_statement root;
	int r = envelope_parse(text, strlen(text), TYPE_ROOT, &envelope, err);
	if (r < 0)
		return r;
	if (envelope->n_signatures != 1 ||
	    !envelope_signed_by(envelope, &envelope->signatures[0].public_key))
		return err_set(err, "its signature is wrong");
	r = root_decode(envelope->payload, envelope->payload_length, &root, err);
	if (r < 0)
		return r;
	struct id fingerprint = id_of_public_key(envelope->signatures[0].public_key.bytes);
	struct key key;
	memcpy(key.bytes, fingerprint.bytes, sizeof(key.bytes));
	r = trust_new(&root.network, &key, &trust);
	if (r == 0)
		r = trust_accept_root(trust, text, strlen(text), err);
	if (r < 0)
		return r;
	*ret = (struct network){.trust = take_pointer(trust), .fingerprint = key};
	return 0;
}

int network_load(const struct invocation *in, const char *root, struct network *ret)
{
	struct err err = {0};
	if (accept_root(root, ret, &err) < 0)
		return cli_fail(in, EXIT_FAILED,
				"the control plane's root statement is not valid: %s", err.text);
	return EXIT_OK;
}

/* --key, $SORTIE_KEY, or K1 where init left it. *ret_made is the caller's. */
static const char *key_path(const struct invocation *in, const char *state, char **ret_made,
			    int *ret_code)
{
	const char *variable = getenv("SORTIE_KEY");
	if (option(in, OPT_KEY))
		return cli_file(in, OPT_KEY, ret_code);
	if (variable && strncmp(variable, "file:", 5) == 0)
		return variable + 5;
	if (asprintf(ret_made, "%s/" POLICY_KEY_FILE, state ? state : CONTROL_STATE) < 0)
		*ret_made = NULL;
	return *ret_made;
}

int signer_load(const struct invocation *in, const char *state, struct signing_key *ret)
{
	_cleanup_(freep) char *made = NULL;
	struct err err = {0};
	int code = EXIT_FAILED;
	const char *path = key_path(in, state, &made, &code);
	if (!path)
		return code;
	int r = signing_key_load(path, ret, &err);
	if (r == -ENOENT && made)
		return cli_fail(in, EXIT_USAGE,
				"which key signs? There is none at %s: give --key file:PATH", path);
	if (r < 0)
		return cli_fail(in, EXIT_FAILED, "cannot read the key %s: %s", path,
				err.text[0] ? err.text : strerror(-r));
	return EXIT_OK;
}

bool signer_is_policy_key(const struct network *network, const struct signing_key *key)
{
	const struct root_statement *root = trust_root(network->trust);
	for (size_t i = 0; i < root->n_policy_keys; i++)
		if (key_equal(&root->policy_keys[i], &key->public_key))
			return true;
	return false;
}

/* When was it signed? Only for one that has expired; what it says is verified afterwards. */
static int policy_issued_at(const char *text, int64_t *ret)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct policy_statement statement;
	int r = envelope_parse(text, strlen(text), TYPE_POLICY, &envelope, NULL);
	if (r < 0)
		return r;
	r = policy_statement_decode(envelope->payload, envelope->payload_length, &statement, NULL);
	if (r < 0)
		return r;
	*ret = statement.issued_at;
	policy_statement_done(&statement);
	return 0;
}

static int accept_policy(const struct invocation *in, struct network *network,
			 const struct admin_policy *standing)
{
	const char *text = standing->policy;
	const char *const *leaves = (const char *const *)standing->leaves;
	struct err err = {0};
	int64_t at = clock_wall();
	int r = trust_accept_policy(network->trust, text, strlen(text), leaves, standing->n_leaves,
				    at, &err);
	if (r == -EKEYEXPIRED && policy_issued_at(text, &at) == 0) {
		fprintf(stderr, "warning: the standing policy has expired\n");
		r = trust_accept_policy(network->trust, text, strlen(text), leaves,
					standing->n_leaves, at, &err);
	}
	if (r < 0)
		return cli_fail(in, EXIT_FAILED, "the standing policy does not verify: %s",
				err.text);
	return EXIT_OK;
}

int network_accept(const struct invocation *in, struct network *network,
		   const struct admin_policy *standing)
{
	struct err err = {0};
	for (size_t i = 0; i < standing->n_tombstones; i++) {
		const char *text = standing->tombstones[i];
		if (trust_accept_tombstone(network->trust, text, strlen(text), &err) < 0)
			return cli_fail(in, EXIT_FAILED, "a tombstone does not verify: %s",
					err.text);
	}
	return standing->policy ? accept_policy(in, network, standing) : EXIT_OK;
}
