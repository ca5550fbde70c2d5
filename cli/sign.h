/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signer's side: the operator's key, and what the control plane says verified by the same function as at agents.
 *
 * The root is believed by its own signature; that the signer's K1 stands in it is what ties it to this network.
 */
#pragma once
#include "api/admin.h"
#include "cli/cli.h"
#include "trust/verify.h"

#define CONTROL_STATE	"/var/lib/sortie-control" /* where the control plane names none */
#define POLICY_KEY_FILE "keys/policy"		  /* K1 in its state folder */

struct network {
	struct trust *trust; /* root accepted */
	struct key fingerprint;
};
void network_done(struct network *network);

/* All return an exit code; unless EXIT_OK the line was printed. */
int network_load(const struct invocation *in, const char *root, struct network *ret);
/* --key, $SORTIE_KEY, or K1 in the state folder (may be NULL) where it still lies there. Wipe with signing_key_wipe(). */
int signer_load(const struct invocation *in, const char *state, struct signing_key *ret);
/* Is it one of the root's policy keys? */
bool signer_is_policy_key(const struct network *network, const struct signing_key *key);
/*
 * Accepts the answer's tombstones and policy. An expired policy is verified as of its signing, with a warning on
 * stderr: it can be replaced, and what it allowed is what is lost.
 */
int network_accept(const struct invocation *in, struct network *network,
		   const struct admin_policy *standing);
