/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verified state of one network: how root, policy and tombstones get in. Everything is verified, then decoded,
 * then judged, and only then stored, so that a refusal leaves the state as it was.
 */
#include "trust/trust.h"
#include "trust/merkle.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

int trust_new(const struct network_id *network, const struct key *root_fingerprint,
	      struct trust **ret)
{
	struct trust *trust = calloc(1, sizeof(*trust));

	if (!trust)
		return -ENOMEM;
	trust->network = *network;
	trust->root_fingerprint = *root_fingerprint;
	*ret = trust;
	return 0;
}

static void drop_policy(struct trust *trust)
{
	policy_statement_done(&trust->policy_statement);
	policy_free(trust->policy);
	envelope_free(trust->policy_envelope);
	trust->policy = NULL;
	trust->policy_envelope = NULL;
}

void trust_free(struct trust *trust)
{
	if (!trust)
		return;
	drop_policy(trust);
	free(trust->root);
	envelope_free(trust->root_envelope);
	tombstones_done(&trust->tombstones);
	free(trust);
}

const struct root_statement *trust_root(const struct trust *trust)
{
	return trust->root;
}

const struct policy *trust_policy(const struct trust *trust)
{
	return trust->policy;
}

const struct policy_statement *trust_policy_statement(const struct trust *trust)
{
	return trust->policy ? &trust->policy_statement : NULL;
}

int trust_check_network(const struct trust *trust, const struct network_id *network,
			const char *object, struct err *err)
{
	if (memcmp(network, &trust->network, sizeof(*network)) != 0)
		return err_code(err, -EKEYREJECTED, "%s: it is of another network", object);
	return 0;
}

int trust_check_root(const struct trust *trust, struct err *err)
{
	if (!trust->root)
		return err_code(err, -EKEYREJECTED, "there is no verified root statement yet");
	return 0;
}

/* Versions only grow; the same version only with the same bytes, under whatever signatures. */
static int check_version(const char *object, uint64_t held, const struct envelope *held_envelope,
			 uint64_t offered, const struct envelope *envelope, struct err *err)
{
	if (!held_envelope || offered > held)
		return 0;
	if (offered < held)
		return err_code(err, -ESTALE, "%s: version %llu, but version %llu is known", object,
				(unsigned long long)offered, (unsigned long long)held);
	if (envelope->payload_length != held_envelope->payload_length ||
	    memcmp(envelope->payload, held_envelope->payload, envelope->payload_length) != 0)
		return err_code(err, -ESTALE, "%s: version %llu is known with another content",
				object, (unsigned long long)offered);
	return 0;
}

/* ---- root ---- */

/* K0 is the signature whose key hashes to the pinned fingerprint. */
static int check_root_signature(const struct trust *trust, const struct envelope *envelope,
				struct err *err)
{
	for (size_t i = 0; i < envelope->n_signatures; i++) {
		const struct key *key = &envelope->signatures[i].public_key;
		struct key hash;

		(void)crypto_hash_sha256(hash.bytes, key->bytes, KEY_SIZE);
		if (key_equal(&hash, &trust->root_fingerprint) && envelope_signed_by(envelope, key))
			return 0;
	}
	return err_code(err, -EKEYREJECTED,
			"root: not signed by the root key whose fingerprint is pinned");
}

static int check_root_content(const struct trust *trust, const struct root_statement *root,
			      const struct envelope *envelope, struct err *err)
{
	struct key hash;
	int r = trust_check_network(trust, &root->network, "root", err);

	if (r < 0)
		return r;
	(void)crypto_hash_sha256(hash.bytes, root->control_key.bytes, KEY_SIZE);
	if (key_equal(&hash, &trust->root_fingerprint))
		return err_code(err, -EKEYREJECTED, "root: the control key is the root key");
	return check_version("root", trust->root ? trust->root->version : 0, trust->root_envelope,
			     root->version, envelope, err);
}

/*
 * A root that takes a policy key away takes away what it signed, its version number too: a thief of the key may have
 * used up the numbers (TUF's fast-forward attack). Without a policy nothing is allowed until the next is accepted.
 */
static void drop_orphaned_policy(struct trust *trust)
{
	if (trust->policy_envelope &&
	    envelope_count_signers(trust->policy_envelope, trust->root->policy_keys,
				   trust->root->n_policy_keys) < trust->root->threshold)
		drop_policy(trust);
}

int trust_accept_root(struct trust *trust, const char *envelope, size_t length, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *parsed = NULL;
	_cleanup_(freep) struct root_statement *root = calloc(1, sizeof(*root));
	int r = root ? 0 : err_code(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = envelope_parse(envelope, length, TYPE_ROOT, &parsed, err);
	if (r == 0)
		r = check_root_signature(trust, parsed, err);
	if (r == 0)
		r = root_decode(parsed->payload, parsed->payload_length, root, err);
	if (r == 0)
		r = check_root_content(trust, root, parsed, err);
	if (r < 0)
		return r;
	free(trust->root);
	envelope_free(trust->root_envelope);
	trust->root = take_pointer(root);
	trust->root_envelope = take_pointer(parsed);
	drop_orphaned_policy(trust);
	return 0;
}

/* ---- policy ---- */

static int check_rules(const struct policy_statement *statement, const char *const *leaves,
		       size_t n_leaves, struct err *err)
{
	_cleanup_(freep) struct merkle_leaf *hashed = NULL;
	uint8_t root[32];

	if (n_leaves != statement->n_rules || n_leaves > POLICY_RULES_MAX)
		return err_code(err, -EKEYREJECTED, "policy: %zu rules came, %u were signed",
				n_leaves, statement->n_rules);
	hashed = calloc(n_leaves + 1, sizeof(*hashed));
	if (!hashed)
		return err_code(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n_leaves; i++)
		hashed[i] = (struct merkle_leaf){leaves[i], strlen(leaves[i])};
	merkle_root(hashed, n_leaves, root);
	if (memcmp(root, statement->rules_root, sizeof(root)) != 0)
		return err_code(err, -EKEYREJECTED, "policy: the rules are not those signed");
	return 0;
}

static int check_tombstone_floor(const struct trust *trust,
				 const struct policy_statement *statement, struct err *err)
{
	int r = tombstones_reach(&trust->tombstones, statement->n_tombstones,
				 statement->tombstones_hash);

	if (r == -EKEYREJECTED)
		return err_code(err, r,
				"policy: it was signed over %u revocations, which are not all "
				"among the %zu known",
				statement->n_tombstones, trust->tombstones.n);
	return r < 0 ? err_code(err, r, "out of memory") : 0;
}

static int check_policy_times(const struct policy_statement *statement, int64_t now,
			      struct err *err)
{
	if (now >= statement->not_after)
		return err_code(err, -EKEYEXPIRED, "policy: version %llu has expired",
				(unsigned long long)statement->version);
	if (trust_is_future(statement->issued_at, now))
		return err_code(err, -EKEYREJECTED,
				"policy: signed in the future; is the clock right?");
	return 0;
}

static int check_policy_content(const struct trust *trust, const struct envelope *envelope,
				const struct policy_statement *statement, const char *const *leaves,
				size_t n_leaves, int64_t now, struct err *err)
{
	int r = trust_check_network(trust, &statement->network, "policy", err);

	if (r == 0)
		r = check_version("policy", trust->policy_statement.version, trust->policy_envelope,
				  statement->version, envelope, err);
	if (r == 0)
		r = check_policy_times(statement, now, err);
	if (r == 0)
		r = check_rules(statement, leaves, n_leaves, err);
	if (r == 0)
		r = check_tombstone_floor(trust, statement, err);
	return r;
}

static int parse_policy(const struct trust *trust, const char *envelope, size_t length,
			struct envelope **ret, struct err *err)
{
	size_t signers;
	int r = trust_check_root(trust, err);

	if (r == 0)
		r = envelope_parse(envelope, length, TYPE_POLICY, ret, err);
	if (r < 0)
		return r;
	signers =
		envelope_count_signers(*ret, trust->root->policy_keys, trust->root->n_policy_keys);
	if (signers < trust->root->threshold)
		return err_code(err, -EKEYREJECTED,
				"policy: signed by %zu policy keys, %u are needed", signers,
				trust->root->threshold);
	return 0;
}

int trust_accept_policy(struct trust *trust, const char *envelope, size_t length,
			const char *const *leaves, size_t n_leaves, int64_t now, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *parsed = NULL;
	_cleanup_(policy_statement_done) struct policy_statement statement = {0};
	struct policy *policy;
	int r = parse_policy(trust, envelope, length, &parsed, err);

	if (r == 0)
		r = policy_statement_decode(parsed->payload, parsed->payload_length, &statement,
					    err);
	if (r == 0)
		r = check_policy_content(trust, parsed, &statement, leaves, n_leaves, now, err);
	if (r == 0)
		r = policy_decode(statement.header, leaves, n_leaves, &policy, err);
	if (r == -EFBIG)
		r = -EINVAL; /* over a limit of the language: shape, to our callers */
	if (r < 0)
		return r;
	drop_policy(trust);
	trust->policy = policy;
	trust->policy_envelope = take_pointer(parsed);
	trust->policy_statement = statement;
	statement.header = NULL;
	return 0;
}

/* ---- tombstones ---- */

/* Closing takes one key of those that may close: K2 or any single K1. */
static bool may_revoke(const struct trust *trust, const struct envelope *envelope)
{
	return envelope_signed_by(envelope, &trust->root->control_key) ||
	       envelope_count_signers(envelope, trust->root->policy_keys,
				      trust->root->n_policy_keys) > 0;
}

int trust_accept_tombstone(struct trust *trust, const char *envelope, size_t length,
			   struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *parsed = NULL;
	struct tombstone_statement statement;
	struct id text;
	int r = trust_check_root(trust, err);

	if (r < 0)
		return r;
	(void)crypto_hash_sha256(text.bytes, (const uint8_t *)envelope, length);
	if (tombstones_have_text(&trust->tombstones, &text))
		return 0;
	r = envelope_parse(envelope, length, TYPE_TOMBSTONE, &parsed, err);
	if (r == 0 && !may_revoke(trust, parsed))
		r = err_code(err, -EKEYREJECTED,
			     "tombstone: signed neither by the control key nor a policy key");
	if (r == 0)
		r = tombstone_decode(parsed->payload, parsed->payload_length, &statement, err);
	if (r == 0)
		r = trust_check_network(trust, &statement.network, "tombstone", err);
	if (r < 0)
		return r;
	if (tombstones_add(&trust->tombstones, &statement.identity, statement.at, &text) < 0)
		return err_code(err, -ENOMEM, "tombstone: no room, at %zu", trust->tombstones.n);
	return 0;
}

bool trust_revoked(const struct trust *trust, const struct id *identity)
{
	return tombstones_have(&trust->tombstones, identity);
}

size_t trust_tombstones(const struct trust *trust)
{
	return trust->tombstones.n;
}

void trust_tombstones_hash(const struct trust *trust, uint8_t ret[32])
{
	tombstones_hash(&trust->tombstones, ret);
}
