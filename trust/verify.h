/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one verify function of every path: boot cache, long poll, enrolment, import.
 *
 * The chain for a peer: K4 by K3; identity statement by K3 and the join key; token statement by K1 or an enroller
 * whom K1's policy names for those labels; K1 by K0; K0 pinned by its fingerprint. Nothing else makes a peer.
 * A struct trust is the verified state of one network: root, policy, tombstones. Versions never go down.
 *
 * All functions return 0, -EKEYREJECTED (a signature or binding is wrong), -EINVAL (shape), -ESTALE (version or
 * generation went down), -EKEYEXPIRED, -EKEYREVOKED (tombstone) or -ENOMEM, with a sentence in err.
 * State is untouched on failure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "policy/policy.h"
#include "trust/statement.h"

/* Allowed difference between our clock and a call's or statement's time. */
#define TRUST_CLOCK_SKEW_S 300

struct trust;

/* What a token (or the state folder) pins. */
int trust_new(const struct network_id *network, const struct key *root_fingerprint,
	      struct trust **ret);
void trust_free(struct trust *trust);
DEFINE_CLEANUP(trust_free, struct trust *);

/* root_key: K0's public key travels as keyid of the envelope and must hash to the fingerprint. */
/* A new root whose policy keys no longer carry the held policy drops that policy: nothing is allowed until the next. */
int trust_accept_root(struct trust *trust, const char *envelope, size_t length, struct err *err);
const struct root_statement *trust_root(const struct trust *trust); /* NULL before the first */

/*
 * Policy header and its leaves (all of them, in order). Equal version only with equal bytes. now decides expiry:
 * an expired policy is -EKEYEXPIRED. The tombstone floor must be met by what trust_accept_tombstone() has seen.
 */
int trust_accept_policy(struct trust *trust, const char *envelope, size_t length,
			const char *const *leaves, size_t n_leaves, int64_t now, struct err *err);
const struct policy *trust_policy(const struct trust *trust); /* NULL before the first: deny */
const struct policy_statement *trust_policy_statement(const struct trust *trust);

/*
 * Signed by K2 or any one K1. Known already is success. Feed them in the order of the control plane's list, before the
 * policy: the floor is the list as it stood when the policy was signed, and later ones come behind it.
 */
int trust_accept_tombstone(struct trust *trust, const char *envelope, size_t length,
			   struct err *err);
bool trust_revoked(const struct trust *trust, const struct id *identity);
size_t trust_tombstones(const struct trust *trust);
/* SHA-256 over the sorted ids, the floor of a policy statement. */
void trust_tombstones_hash(const struct trust *trust, uint8_t ret[32]);

/* The statements about one identity, as envelope texts. Borrowed; NULL where there is none. */
struct identity_bundle {
	const char *token, *identity, *key;
	const char *ipv4;  /* may be NULL */
	const char *lease; /* may be NULL: known, not admitted */
};

struct verified_identity {
	struct id id;
	struct key k3;
	struct key join_key;
	struct policy_member member; /* name, labels */
	struct addr ipv6, ipv4;
	uint64_t generation;
	struct key k4;
	int64_t k4_not_after;
	int64_t lease_not_after; /* 0: no valid lease */
};

/*
 * Verifies the whole chain. -EKEYREVOKED for a tombstone; an expired or missing lease is not an error
 * (lease_not_after 0), because the identity is still who it is. A token's own not_after is not checked here: it
 * limited the redemption, not the identity. The caller refuses a second K3 under a join key, and address clashes.
 */
int trust_verify_identity(const struct trust *trust, const struct identity_bundle *bundle,
			  int64_t now, struct verified_identity *ret, struct err *err);

/* Only token and identity statement against each other and the policy keys: what the control plane checks at
 * redemption. now is checked against the token's not_after. */
int trust_verify_redemption(const struct trust *trust, const char *token, const char *identity,
			    const char *key, int64_t now, struct verified_identity *ret,
			    struct err *err);

/*
 * May after stand in before's place? Who keeps verified identities asks this before replacing one: the id and join key
 * stay, an IPv4 address is pinned once set, generations never go down and have one key each. -ESTALE, -EKEYREJECTED.
 */
int trust_identity_succeeds(const struct verified_identity *before,
			    const struct verified_identity *after, struct err *err);

/*
 * One API call by k3 (whose identity the tunnel's source address names: the caller looks that up). Checks network,
 * hub, method, path and time; nonces are the caller's. ret->payload is the JSON text.
 */
int trust_verify_call(const struct trust *trust, const char *envelope, size_t length,
		      const struct key *k3, const char *method, const char *path, int64_t now,
		      struct call_statement *ret, struct err *err);

/*
 * A token statement by K1 (as many keys as a policy needs) or by an enroller who is not revoked and whose scope, which
 * is not empty, the labels carry. What `token create` uploads.
 */
int trust_verify_token(const struct trust *trust, const char *envelope, size_t length, int64_t now,
		       struct token_statement *ret, struct err *err);
