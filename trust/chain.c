/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain that makes a peer, link by link, outermost first: K1 or an enroller signed the token statement, which names
 * the join key; the join key and K3 signed the identity statement; K3 signed the rest. Each statement is read only after
 * a key that the link before it named has verified its bytes.
 */
#include "trust/trust.h"
#include <errno.h>
#include <string.h>

/* A parsed envelope and where its text came from; NULL text is -EINVAL. */
static int parse(const char *text, const char *type, const char *object, struct envelope **ret,
		 struct err *err)
{
	if (!text)
		return err_set(err, "%s statement: it is missing", object);
	return envelope_parse(text, strlen(text), type, ret, err);
}

static int check_signer(const struct envelope *envelope, const struct key *key, const char *object,
			const char *who, struct err *err)
{
	if (!envelope_signed_by(envelope, key))
		return err_code(err, -EKEYREJECTED, "%s statement: not signed by %s", object, who);
	return 0;
}

static int check_identity(const struct id *id, const struct id *of, const char *object,
			  struct err *err)
{
	if (!id_equal(id, of))
		return err_code(err, -EKEYREJECTED, "%s statement: it is about another identity",
				object);
	return 0;
}

/* ---- token statement ---- */

static bool in_scope(const struct labels *labels, const struct labels *scope)
{
	for (size_t i = 0; i < scope->count; i++) {
		const char *value = labels_get(labels, scope->items[i].key);

		if (!value || strcmp(value, scope->items[i].value) != 0)
			return false;
	}
	return scope->count > 0; /* no scope is no permission */
}

static bool enroller_matches(const struct trust *trust, const struct policy_enroller *enroller,
			     const struct key *key, const struct labels *labels)
{
	struct id id = id_of_public_key(key->bytes);

	return id_equal(&id, &enroller->id) && in_scope(labels, &enroller->scope) &&
	       !trust_revoked(trust, &id);
}

static bool signed_by_enroller(const struct trust *trust, const struct envelope *envelope,
			       const struct labels *labels)
{
	for (size_t i = 0; trust->policy && i < trust->policy->n_enrollers; i++)
		for (size_t j = 0; j < envelope->n_signatures; j++) {
			const struct key *key = &envelope->signatures[j].public_key;

			if (enroller_matches(trust, &trust->policy->enrollers[i], key, labels) &&
			    envelope_signed_by(envelope, key))
				return true;
		}
	return false;
}

static bool is_enroller(const struct trust *trust, const struct key *key)
{
	struct id id = id_of_public_key(key->bytes);

	for (size_t i = 0; trust->policy && i < trust->policy->n_enrollers; i++)
		if (id_equal(&id, &trust->policy->enrollers[i].id))
			return true;
	return false;
}

/* Is any signature by somebody who may sign some token? Then the bytes may be read to see for which labels. */
static bool known_signer(const struct trust *trust, const struct envelope *envelope)
{
	for (size_t i = 0; i < envelope->n_signatures; i++)
		if (is_enroller(trust, &envelope->signatures[i].public_key) &&
		    envelope_signed_by(envelope, &envelope->signatures[i].public_key))
			return true;
	return false;
}

/* Admitting takes as many policy keys as a policy does: one of several must not widen alone. */
static bool signed_by_policy_keys(const struct trust *trust, const struct envelope *envelope)
{
	return envelope_count_signers(envelope, trust->root->policy_keys,
				      trust->root->n_policy_keys) >= trust->root->threshold;
}

static int verify_token(const struct trust *trust, const struct envelope *envelope,
			struct token_statement *ret, struct err *err)
{
	bool by_policy_keys = signed_by_policy_keys(trust, envelope);
	int r;

	if (!by_policy_keys && !known_signer(trust, envelope))
		return err_code(err, -EKEYREJECTED,
				"token statement: signed neither by the policy keys nor an "
				"enroller whom the policy names");
	r = token_statement_decode(envelope->payload, envelope->payload_length, ret, err);
	if (r == 0)
		r = trust_check_network(trust, &ret->network, "token statement", err);
	if (r == 0 && !by_policy_keys && !signed_by_enroller(trust, envelope, &ret->labels))
		r = err_code(err, -EKEYREJECTED,
			     "token statement: its enroller is revoked or may not enrol these "
			     "labels");
	return r;
}

static int check_token_expiry(const struct token_statement *token, int64_t now, struct err *err)
{
	if (now >= token->not_after)
		return err_code(err, -EKEYEXPIRED, "token for %s: it has expired", token->name);
	return 0;
}

static int parse_token(const struct trust *trust, const char *text, size_t length,
		       struct token_statement *ret, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	int r = trust_check_root(trust, err);

	if (r == 0)
		r = envelope_parse(text, length, TYPE_TOKEN, &envelope, err);
	return r < 0 ? r : verify_token(trust, envelope, ret, err);
}

int trust_verify_token(const struct trust *trust, const char *envelope, size_t length, int64_t now,
		       struct token_statement *ret, struct err *err)
{
	struct token_statement token;
	int r = parse_token(trust, envelope, length, &token, err);

	if (r == 0)
		r = check_token_expiry(&token, now, err);
	if (r == 0)
		*ret = token;
	return r;
}

/* ---- identity statement ---- */

static int check_address(const struct trust *trust, const struct identity_statement *statement,
			 struct err *err)
{
	struct addr addr;
	int r = identity_address(&trust->network, &trust->root->overlay6, &statement->k3, &addr);

	if (r < 0 || !addr_equal(&addr, &statement->ipv6))
		return err_code(err, -EKEYREJECTED,
				"identity statement: ipv6 is not the address of its key");
	return 0;
}

static int check_identity_content(const struct trust *trust, const struct token_statement *token,
				  const struct identity_statement *statement, int64_t now,
				  struct err *err)
{
	int r = trust_check_network(trust, &statement->network, "identity statement", err);

	if (r < 0)
		return r;
	if (!key_equal(&statement->join_key, &token->join_key))
		return err_code(err, -EKEYREJECTED,
				"identity statement: its join key is not the token's");
	if (trust_is_future(statement->created_at, now))
		return err_code(err, -EKEYREJECTED,
				"identity statement: made in the future; is the clock right?");
	return check_address(trust, statement, err);
}

static int verify_identity(const struct trust *trust, const char *text,
			   const struct token_statement *token, int64_t now,
			   struct identity_statement *ret, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	int r = parse(text, TYPE_IDENTITY, "identity", &envelope, err);

	if (r == 0)
		r = check_signer(envelope, &token->join_key, "identity", "the token's join key",
				 err);
	if (r == 0)
		r = identity_decode(envelope->payload, envelope->payload_length, ret, err);
	if (r == 0)
		r = check_signer(envelope, &ret->k3, "identity", "the key that it names", err);
	return r < 0 ? r : check_identity_content(trust, token, ret, now, err);
}

static void fill_identity(const struct token_statement *token,
			  const struct identity_statement *statement, struct verified_identity *ret)
{
	ret->id = id_of_public_key(statement->k3.bytes);
	ret->k3 = statement->k3;
	ret->join_key = statement->join_key;
	ret->member.id = ret->id;
	memcpy(ret->member.name, token->name, sizeof(ret->member.name));
	ret->member.labels = token->labels;
	ret->ipv6 = statement->ipv6;
}

/* ---- key, address and lease ---- */

static int check_key_content(const struct trust *trust, const struct key_statement *statement,
			     const struct identity_statement *identity, const struct id *id,
			     int64_t now, struct err *err)
{
	int r = trust_check_network(trust, &statement->network, "key statement", err);

	if (r == 0)
		r = check_identity(&statement->identity, id, "key", err);
	if (r < 0)
		return r;
	if (statement->generation == 1 && !key_equal(&statement->k4, &identity->k4))
		return err_code(err, -EKEYREJECTED,
				"key statement: generation 1 is not the identity's first key");
	/* Nobody proves that he has the private half; a second peer of the hub's key would stop every agent paired with him. */
	if (key_equal(&statement->k4, &trust->root->hub_key))
		return err_code(err, -EKEYREJECTED, "key statement: its key is the hub's");
	if (trust_is_future(statement->not_before, now))
		return err_code(err, -EKEYREJECTED,
				"key statement: not valid yet; is the clock right?");
	if (statement->not_after != 0 && now >= statement->not_after)
		return err_code(err, -EKEYEXPIRED, "key statement: generation %llu has expired",
				(unsigned long long)statement->generation);
	return 0;
}

static int verify_key(const struct trust *trust, const char *text,
		      const struct identity_statement *identity, int64_t now,
		      struct verified_identity *ret, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct key_statement statement;
	int r = parse(text, TYPE_KEY, "key", &envelope, err);

	if (r == 0)
		r = check_signer(envelope, &ret->k3, "key", "the identity's key", err);
	if (r == 0)
		r = key_decode(envelope->payload, envelope->payload_length, &statement, err);
	if (r == 0)
		r = check_key_content(trust, &statement, identity, &ret->id, now, err);
	if (r < 0)
		return r;
	ret->generation = statement.generation;
	ret->k4 = statement.k4;
	ret->k4_not_after = statement.not_after;
	return 0;
}

/* Inside the range, and neither its network address, the hub's, nor its last. */
static bool ipv4_usable(const struct prefix *range, const struct addr *addr)
{
	struct addr hub = hub_address4(range);
	struct addr last = range->addr;

	for (unsigned int bit = range->length; bit < 32; bit++)
		last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return prefix_contains(range, addr) && !addr_equal(addr, &range->addr) &&
	       !addr_equal(addr, &hub) && !addr_equal(addr, &last);
}

static int verify_ipv4(const struct trust *trust, const char *text, struct verified_identity *ret,
		       struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct ipv4_statement statement;
	int r = parse(text, TYPE_IPV4, "ipv4", &envelope, err);

	if (r == 0)
		r = check_signer(envelope, &ret->k3, "ipv4", "the identity's key", err);
	if (r == 0)
		r = ipv4_decode(envelope->payload, envelope->payload_length, &statement, err);
	if (r == 0)
		r = trust_check_network(trust, &statement.network, "ipv4 statement", err);
	if (r == 0)
		r = check_identity(&statement.identity, &ret->id, "ipv4", err);
	if (r < 0)
		return r;
	if (!addr_is_set(&trust->root->overlay4.addr) ||
	    !ipv4_usable(&trust->root->overlay4, &statement.ipv4))
		return err_code(err, -EKEYREJECTED,
				"ipv4 statement: the address is not one for identities");
	ret->ipv4 = statement.ipv4;
	return 0;
}

/* An expired lease is a fact about the identity (lease_not_after 0), not an error. */
static int verify_lease(const struct trust *trust, const char *text, int64_t now,
			struct verified_identity *ret, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct lease_statement statement;
	int r = parse(text, TYPE_LEASE, "lease", &envelope, err);

	if (r == 0)
		r = check_signer(envelope, &trust->root->control_key, "lease", "the control key",
				 err);
	if (r == 0)
		r = lease_decode(envelope->payload, envelope->payload_length, &statement, err);
	if (r == 0)
		r = trust_check_network(trust, &statement.network, "lease statement", err);
	if (r == 0)
		r = check_identity(&statement.identity, &ret->id, "lease", err);
	if (r < 0)
		return r;
	if (trust_is_future(statement.issued_at, now))
		return err_code(err, -EKEYREJECTED,
				"lease statement: issued in the future; is the clock right?");
	ret->lease_not_after = now < statement.not_after ? statement.not_after : 0;
	return 0;
}

/* ---- the whole ---- */

/* Token, identity and key: what every identity has. */
static int verify_chain(const struct trust *trust, const struct token_statement *token,
			const char *identity_text, const char *key_text, int64_t now,
			struct verified_identity *ret, struct err *err)
{
	struct identity_statement identity;
	int r = verify_identity(trust, identity_text, token, now, &identity, err);

	if (r < 0)
		return r;
	fill_identity(token, &identity, ret);
	if (trust_revoked(trust, &ret->id))
		return err_code(err, -EKEYREVOKED, "%s: it is revoked", token->name);
	return verify_key(trust, key_text, &identity, now, ret, err);
}

int trust_verify_identity(const struct trust *trust, const struct identity_bundle *bundle,
			  int64_t now, struct verified_identity *ret, struct err *err)
{
	struct verified_identity verified = {0};
	struct token_statement token;
	int r = 0;

	if (!bundle->token)
		return err_set(err, "token statement: it is missing");
	r = parse_token(trust, bundle->token, strlen(bundle->token), &token, err);
	if (r == 0)
		r = verify_chain(trust, &token, bundle->identity, bundle->key, now, &verified, err);
	if (r == 0 && bundle->ipv4)
		r = verify_ipv4(trust, bundle->ipv4, &verified, err);
	if (r == 0 && bundle->lease)
		r = verify_lease(trust, bundle->lease, now, &verified, err);
	if (r == 0)
		*ret = verified;
	return r;
}

int trust_verify_redemption(const struct trust *trust, const char *token_text, const char *identity,
			    const char *key, int64_t now, struct verified_identity *ret,
			    struct err *err)
{
	struct verified_identity verified = {0};
	struct token_statement token;
	int r;

	if (!token_text)
		return err_set(err, "token statement: it is missing");
	r = trust_verify_token(trust, token_text, strlen(token_text), now, &token, err);
	if (r == 0)
		r = verify_chain(trust, &token, identity, key, now, &verified, err);
	if (r == 0 && verified.generation != 1)
		r = err_code(err, -EKEYREJECTED, "key statement: the first generation is 1");
	if (r == 0)
		*ret = verified;
	return r;
}

int trust_identity_succeeds(const struct verified_identity *before,
			    const struct verified_identity *after, struct err *err)
{
	if (!id_equal(&before->id, &after->id) || !key_equal(&before->join_key, &after->join_key))
		return err_code(err, -EKEYREJECTED, "%s: it is another identity",
				after->member.name);
	if (addr_is_set(&before->ipv4) && !addr_equal(&before->ipv4, &after->ipv4))
		return err_code(err, -EKEYREJECTED, "%s: its IPv4 address is pinned",
				after->member.name);
	if (after->generation < before->generation)
		return err_code(err, -ESTALE, "%s: key generation %llu, but %llu is known",
				after->member.name, (unsigned long long)after->generation,
				(unsigned long long)before->generation);
	if (after->generation == before->generation && !key_equal(&before->k4, &after->k4))
		return err_code(err, -ESTALE, "%s: a second key of generation %llu",
				after->member.name, (unsigned long long)after->generation);
	return 0;
}

/* ---- calls ---- */

static int check_call(const struct trust *trust, const struct call_statement *call,
		      const char *method, const char *path, int64_t now, struct err *err)
{
	int r = trust_check_network(trust, &call->network, "call", err);

	if (r < 0)
		return r;
	if (!key_equal(&call->hub, &trust->root->hub_key))
		return err_code(err, -EKEYREJECTED, "call: it is for another hub");
	if (strcmp(call->method, method) != 0 || strcmp(call->path, path) != 0)
		return err_code(err, -EKEYREJECTED, "call: it was signed for %s %s", call->method,
				call->path);
	if (trust_is_future(call->at, now))
		return err_code(err, -EKEYREJECTED,
				"call: made %llu s in the future; set the clocks",
				(unsigned long long)call->at - (unsigned long long)now);
	if (call->at + TRUST_CLOCK_SKEW_S < now)
		return err_code(err, -EKEYEXPIRED, "call: made %llu s ago; set the clocks",
				(unsigned long long)now - (unsigned long long)call->at);
	return 0;
}

int trust_verify_call(const struct trust *trust, const char *envelope, size_t length,
		      const struct key *k3, const char *method, const char *path, int64_t now,
		      struct call_statement *ret, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *parsed = NULL;
	struct call_statement call = {0};
	struct id id = id_of_public_key(k3->bytes);
	int r = trust_check_root(trust, err);

	if (r == 0 && trust_revoked(trust, &id))
		r = err_code(err, -EKEYREVOKED, "call: the caller is revoked");
	if (r == 0)
		r = envelope_parse(envelope, length, TYPE_CALL, &parsed, err);
	if (r == 0)
		r = check_signer(parsed, k3, "call", "the caller's key", err);
	if (r == 0)
		r = call_decode(parsed->payload, parsed->payload_length, &call, err);
	if (r == 0)
		r = check_call(trust, &call, method, path, now, err);
	if (r < 0)
		call_statement_done(&call);
	else
		*ret = call;
	return r;
}
