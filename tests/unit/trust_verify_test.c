/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a trust accepts, in which order, and what becomes of what it holds. Refusals: trust_matrix_test.c. */
#include "tests/unit/trust_world.h"
#include "trust/trust.h"

static void expect_code(int r, int code, const struct err *err, const char *what)
{
	if (r != code)
		fail_msg("%s: %d \"%s\", expected %d", what, r, err->text, code);
}

static int verify(const struct world *w, const struct trust *trust,
		  const struct identity_bundle *bundle, struct verified_identity *ret)
{
	struct err err = {0};
	int r = trust_verify_identity(trust ? trust : w->trust, bundle, NOW, ret, &err);

	if (r < 0 && !err.text[0])
		fail_msg("no sentence");
	return r;
}

static char *sign_as(enum kind kind, const void *statement, const struct signing_key *one,
		     const struct signing_key *two)
{
	_cleanup_(freep) char *payload = object_encode(trust_objects[kind], statement);
	const struct signing_key *keys[] = {one, two};
	char *text = NULL;

	assert_int_equal(envelope_sign(trust_objects[kind]->type, payload, strlen(payload), keys,
				       two ? 2 : 1, &text),
			 0);
	return text;
}

/* ---- identities ---- */

static void test_identity(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity v;

	assert_int_equal(verify(w, NULL, &bundle, &v), 0);
	assert_true(id_equal(&v.id, &w->a.id));
	assert_true(key_equal(&v.k3, &w->a.k3.public_key));
	assert_true(key_equal(&v.join_key, &w->a.join.public_key));
	assert_true(id_equal(&v.member.id, &w->a.id));
	assert_string_equal(v.member.name, "site-a/db");
	assert_string_equal(labels_get(&v.member.labels, "role"), "db");
	assert_int_equal(v.member.labels.count, 2);
	assert_true(addr_equal(&v.ipv6, &w->a.identity.ipv6));
	assert_true(addr_equal(&v.ipv4, &w->a.ipv4.ipv4));
	assert_int_equal(v.generation, 1);
	assert_true(key_equal(&v.k4, &w->a.k4));
	assert_int_equal(v.k4_not_after, NOW + 864000);
	assert_int_equal(v.lease_not_after, NOW - 60 + LEASE_SECONDS);

	bundle.ipv4 = bundle.lease = NULL;
	assert_int_equal(verify(w, NULL, &bundle, &v), 0);
	assert_int_equal(v.ipv4.family, AF_UNSPEC);
	assert_int_equal(v.lease_not_after, 0);
	for (size_t i = 0; i < 3; i++) {
		struct identity_bundle lacking = bundle_of(&w->a);

		*(i == 0 ? &lacking.token : i == 1 ? &lacking.identity : &lacking.key) = NULL;
		assert_int_equal(verify(w, NULL, &lacking, &v), -EINVAL);
	}
}

/* An expired lease and an expired token do not change who somebody is. */
static void test_lease_ends(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity v;
	int64_t end = w->a.lease.not_after;
	_cleanup_(freep) char *text = NULL;
	struct err err;

	assert_int_equal(trust_verify_identity(w->trust, &bundle, end - 1, &v, &err), 0);
	assert_int_equal(v.lease_not_after, end);
	assert_int_equal(trust_verify_identity(w->trust, &bundle, end, &v, &err), 0);
	assert_int_equal(v.lease_not_after, 0);
	assert_int_equal(trust_verify_redemption(w->trust, bundle.token, bundle.identity,
						 bundle.key, end, &v, &err),
			 -EKEYEXPIRED);
	/* A clock before the lease's beginning, by the allowed difference and by more; and clocks that are insane. */
	w->a.lease.issued_at = NOW;
	text = world_text(w, LEASE, &w->a);
	bundle.lease = text;
	assert_int_equal(trust_verify_identity(w->trust, &bundle, NOW - 300, &v, &err), 0);
	assert_int_equal(trust_verify_identity(w->trust, &bundle, NOW - 301, &v, &err),
			 -EKEYREJECTED);
	assert_int_equal(trust_verify_identity(w->trust, &bundle, INT64_MIN, &v, &err),
			 -EKEYREJECTED);
	assert_int_equal(trust_verify_identity(w->trust, &bundle, INT64_MAX, &v, &err),
			 -EKEYEXPIRED);
}

static void test_later_generation(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity first, v;
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	assert_int_equal(verify(w, NULL, &bundle, &first), 0);
	w->a.key.generation = 2;
	w->a.key.k4 = make_wireguard_key(99);
	w->a.key.not_after = 0;
	text = world_text(w, KEY, &w->a);
	bundle.key = text;
	assert_int_equal(verify(w, NULL, &bundle, &v), 0);
	assert_int_equal(v.generation, 2);
	assert_true(key_equal(&v.k4, &w->a.key.k4));
	assert_int_equal(v.k4_not_after, 0);
	assert_int_equal(trust_identity_succeeds(&first, &v, &err), 0);
	assert_int_equal(trust_identity_succeeds(&v, &first, &err), -ESTALE);
}

/*
 * Nobody proves that he has the private half of a K4. Who names the hub's as his own would be a second peer of that key,
 * and an agent whose peers are not unique changes nothing any more, so it would not carry out revocations either.
 */
static void test_key_of_the_hub(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity v = {.generation = 99};
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	w->a.key.generation = 2;
	w->a.key.k4 = w->root.hub_key;
	bundle.key = text = world_text(w, KEY, &w->a);
	expect_code(trust_verify_identity(w->trust, &bundle, NOW, &v, &err), -EKEYREJECTED, &err,
		    "the hub's key");
	assert_non_null(strstr(err.text, "the hub's"));
	assert_int_equal(v.generation, 99);
}

static void test_succeeds(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->a), other = bundle_of(&w->b);
	struct verified_identity a, b, changed;
	struct err err = {0};

	assert_int_equal(verify(w, NULL, &bundle, &a), 0);
	assert_int_equal(verify(w, NULL, &other, &b), 0);
	assert_int_equal(trust_identity_succeeds(&a, &a, &err), 0);
	assert_int_equal(trust_identity_succeeds(&a, &b, &err), -EKEYREJECTED);
	changed = a;
	changed.join_key = b.join_key;
	assert_int_equal(trust_identity_succeeds(&a, &changed, &err), -EKEYREJECTED);
	changed = a;
	changed.k4 = b.k4;
	assert_int_equal(trust_identity_succeeds(&a, &changed, &err), -ESTALE);
	changed = a;
	changed.ipv4 = b.ipv4;
	assert_int_equal(trust_identity_succeeds(&a, &changed, &err), -EKEYREJECTED);
	changed.ipv4 = (struct addr){0};
	assert_int_equal(trust_identity_succeeds(&a, &changed, &err), -EKEYREJECTED);
	assert_int_equal(trust_identity_succeeds(&changed, &a, &err), 0); /* set later */
}

/* ---- enrollers ---- */

static void expect_token(const struct world *w, const struct trust *trust,
			 const struct signing_key *one, const struct signing_key *two,
			 const char *labels, int code)
{
	struct token_statement token = w->b.token, ret;
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	assert_int_equal(labels_parse(labels, &token.labels, &err), 0);
	text = sign_as(TOKEN, &token, one, two);
	expect_code(trust_verify_token(trust, text, strlen(text), NOW, &ret, &err), code, &err,
		    labels);
}

static void test_enroller(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	_cleanup_(trust_freep) struct trust *no_policy = world_new_trust(w);
	struct identity_bundle bundle = bundle_of(&w->b);
	struct verified_identity v;

	assert_int_equal(verify(w, NULL, &bundle, &v), 0);
	expect_token(w, w->trust, &w->enroller, NULL, "env=prod,role=db", 0);
	expect_token(w, w->trust, &w->enroller, NULL, "env=prod", 0);
	expect_token(w, w->trust, &w->enroller, NULL, "env=dev", -EKEYREJECTED);
	expect_token(w, w->trust, &w->enroller, NULL, "role=db", -EKEYREJECTED);
	expect_token(w, w->trust, &w->enroller, NULL, "", -EKEYREJECTED);
	expect_token(w, w->trust, &w->enroller, &w->stranger, "env=prod", 0);
	expect_token(w, w->trust, &w->enroller, &w->k1[0], "env=dev", -EKEYREJECTED);
	expect_token(w, w->trust, &w->b.k3, NULL, "env=prod", -EKEYREJECTED);
	expect_token(w, w->trust, &w->k2, NULL, "env=prod", -EKEYREJECTED);
	/* Admitting needs as many policy keys as a policy. */
	expect_token(w, w->trust, &w->k1[0], NULL, "env=dev", -EKEYREJECTED);
	expect_token(w, w->trust, &w->k1[0], &w->k1[1], "env=dev", 0);
	expect_token(w, w->trust, &w->k1[2], &w->k1[1], "", 0);

	accept_root_and_dead(w, no_policy);
	assert_int_equal(verify(w, no_policy, &bundle, &v), -EKEYREJECTED);
	bundle = bundle_of(&w->a);
	assert_int_equal(verify(w, no_policy, &bundle, &v), 0);
}

static void bury(struct world *w, const struct id *id, const struct signing_key *by)
{
	struct tombstone_statement statement = {w->network, *id, NOW, "gone"};
	_cleanup_(freep) char *text = sign_as(TOMBSTONE, &statement, by, NULL);
	struct err err = {0};

	expect_code(trust_accept_tombstone(w->trust, text, strlen(text), &err), 0, &err, "revoke");
	assert_true(trust_revoked(w->trust, id));
}

/* Whoever stole an enroller's key could date his tokens back: with the enroller goes all that he enrolled. */
static void test_revoked_enroller(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->b);
	struct id id = id_of_public_key(w->enroller.public_key.bytes);
	struct verified_identity v;

	bury(w, &id, &w->k1[1]);
	assert_int_equal(verify(w, NULL, &bundle, &v), -EKEYREJECTED);
	bundle = bundle_of(&w->a);
	assert_int_equal(verify(w, NULL, &bundle, &v), 0);
}

static void test_no_scope(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct policy_enroller enroller = {
		.id = id_of_public_key(w->enroller.public_key.bytes),
	};
	struct policy policy = {.enrollers = &enroller, .n_enrollers = 1};
	struct policy_encoded encoded;
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	assert_int_equal(policy_encode(&policy, &encoded), 0);
	w->policy.header = encoded.header;
	w->policy.version++;
	text = sign_as(POLICY, &w->policy, &w->k1[0], &w->k1[1]);
	expect_code(accept_policy(w, w->trust, text, &err), -EINVAL, &err, "an empty scope");
	policy_encoded_done(&encoded);
	/* And should policy/ ever let one pass, it admits nobody. */
	expect_token(w, w->trust, &w->enroller, NULL, "env=prod", 0);
	w->trust->policy->enrollers[0].scope.count = 0;
	expect_token(w, w->trust, &w->enroller, NULL, "env=prod", -EKEYREJECTED);
}

/* ---- tombstones ---- */

static void test_revoked(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity v;
	struct call_statement call;
	struct err err = {0};
	size_t known = trust_tombstones(w->trust);

	bury(w, &w->a.id, &w->k2);
	bury(w, &w->a.id, &w->k2);
	assert_int_equal(trust_tombstones(w->trust), known + 1);
	assert_int_equal(verify(w, NULL, &bundle, &v), -EKEYREVOKED);
	assert_int_equal(trust_verify_redemption(w->trust, bundle.token, bundle.identity,
						 bundle.key, NOW, &v, &err),
			 -EKEYREVOKED);
	assert_int_equal(trust_verify_call(w->trust, w->a.text[CALL], strlen(w->a.text[CALL]),
					   &w->a.k3.public_key, METHOD, PATH, NOW, &call, &err),
			 -EKEYREVOKED);
	assert_false(trust_revoked(w->trust, &w->b.id));
}

static void test_tombstones_hash(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	uint8_t bytes[64], hash[32], found[32];

	/* dead[1] sorts before dead[0] */
	memcpy(bytes, w->dead[1].bytes, 32);
	memcpy(bytes + 32, w->dead[0].bytes, 32);
	(void)crypto_hash_sha256(hash, bytes, sizeof(bytes));
	trust_tombstones_hash(w->trust, found);
	assert_memory_equal(hash, found, sizeof(hash));
}

/* The floor: all that were known at signing; later ones may come before the policy does, in any order of ids. */
static void test_floor(void **state)
{
	static const struct {
		const char
			*order; /* d, e: the floor; x, y: later than it; z: later but dated back */
		int code;
	} cases[] = {
		{"de", 0},
		{"ed", 0},
		{"dexy", 0},
		{"dezx", 0},
		{"xyde", 0},
		{"d", -EKEYREJECTED},
		{"", -EKEYREJECTED},
		{"dx", -EKEYREJECTED},
		{"dxy", -EKEYREJECTED},
		{"xy", -EKEYREJECTED},
	};
	_cleanup_(world_freep) struct world *w = world_new();
	char *texts[128] = {['d'] = w->dead_text[0], ['e'] = w->dead_text[1]};

	for (const char *c = "xyz"; *c; c++) {
		struct tombstone_statement statement = {w->network, {{(uint8_t)*c}}, NOW, "later"};

		if (*c == 'z')
			statement.at = NOW - 5000;
		texts[(int)*c] = sign_as(TOMBSTONE, &statement, &w->k2, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(trust_freep) struct trust *trust = world_new_trust(w);
		struct err err = {0};

		assert_int_equal(trust_accept_root(trust, w->root_text, strlen(w->root_text), NULL),
				 0);
		for (const char *c = cases[i].order; *c; c++)
			assert_int_equal(trust_accept_tombstone(trust, texts[(int)*c],
								strlen(texts[(int)*c]), &err),
					 0);
		expect_code(accept_policy(w, trust, w->policy_text, &err), cases[i].code, &err,
			    cases[i].order);
	}
	for (const char *c = "xyz"; *c; c++)
		free(texts[(int)*c]);
}

/* ---- versions ---- */

static void expect_root(struct world *w, uint64_t version, uint16_t mtu, int code)
{
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	w->root.version = version;
	w->root.mtu = mtu;
	text = world_text(w, ROOT, &w->a);
	expect_code(trust_accept_root(w->trust, text, strlen(text), &err), code, &err, "root");
}

static void test_root_versions(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	expect_root(w, 3, 1280, 0);
	expect_root(w, 3, 1281, -ESTALE);
	expect_root(w, 2, 1280, -ESTALE);
	assert_int_equal(trust_root(w->trust)->mtu, 1280);
	expect_root(w, 5, 1400, 0);
	assert_int_equal(trust_root(w->trust)->version, 5);
	assert_int_equal(trust_root(w->trust)->mtu, 1400);
	expect_root(w, 4, 1280, -ESTALE);
	assert_non_null(trust_policy(w->trust)); /* the same policy keys: the policy stands */
}

static void expect_policy(struct world *w, uint64_t version, int64_t not_after,
			  const struct signing_key *one, const struct signing_key *two, int code)
{
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	w->policy.version = version;
	w->policy.not_after = not_after;
	text = sign_as(POLICY, &w->policy, one, two);
	expect_code(accept_policy(w, w->trust, text, &err), code, &err, "policy");
}

static void test_policy_versions(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	const struct signing_key *k1 = w->k1;
	int64_t end = w->policy.not_after;

	expect_policy(w, 7, end, &k1[0], &k1[2], 0);
	expect_policy(w, 7, end, &k1[1], &k1[2], 0); /* the same bytes by other keys */
	expect_policy(w, 7, end + 1, &k1[0], &k1[2], -ESTALE);
	expect_policy(w, 6, end, &k1[0], &k1[2], -ESTALE);
	expect_policy(w, 8, end, &k1[0], NULL, -EKEYREJECTED);
	expect_policy(w, 8, end, &k1[0], &w->k2, -EKEYREJECTED);
	assert_int_equal(trust_policy_statement(w->trust)->version, 7);
	expect_policy(w, 9, end, &k1[0], &k1[1], 0);
	assert_int_equal(trust_policy_statement(w->trust)->version, 9);
	expect_policy(w, 8, end, &k1[0], &k1[1], -ESTALE);
	expect_policy(w, 10, NOW, &k1[0], &k1[1], -EKEYEXPIRED);
	assert_non_null(trust_policy(w->trust));
}

/* A root without the stolen keys drops what they signed, the version number too. */
static void test_root_takes_keys_away(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct signing_key fresh[2] = {make_key(50), make_key(51)};
	int64_t end = w->policy.not_after;

	w->root.policy_keys[0] = fresh[0].public_key;
	w->root.policy_keys[1] = fresh[1].public_key;
	expect_root(w, 4, 1280, 0);
	assert_null(trust_policy(w->trust));
	assert_null(trust_policy_statement(w->trust));
	assert_int_equal(trust_tombstones(w->trust), 2);
	expect_policy(w, 8, end, &w->k1[0], &w->k1[1], -EKEYREJECTED);
	expect_policy(w, 2, end, &fresh[0], &fresh[1], 0);
	assert_non_null(trust_policy(w->trust));
}

/* Every answer repeats the whole list: exactly those bytes were verified, and hold under later keys too. */
static void test_tombstone_known(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	struct tombstone_statement statement = {w->network, w->a.id, NOW, "gone"};
	struct tombstone_statement other = {w->network, w->b.id, NOW, "gone"};
	struct signing_key fresh = make_key(52), old = w->k2;
	_cleanup_(freep) char *text = sign_as(TOMBSTONE, &statement, &old, NULL);
	_cleanup_(freep) char *unknown = sign_as(TOMBSTONE, &other, &old, NULL);
	struct err err = {0};

	assert_int_equal(trust_accept_tombstone(w->trust, text, strlen(text), &err), 0);
	w->root.control_key = fresh.public_key;
	expect_root(w, 4, 1280, 0);
	assert_int_equal(trust_accept_tombstone(w->trust, text, strlen(text), &err), 0);
	assert_int_equal(trust_accept_tombstone(w->trust, unknown, strlen(unknown), &err),
			 -EKEYREJECTED);
	text[strlen(text) - 1] = ' '; /* other bytes are other bytes */
	assert_true(trust_accept_tombstone(w->trust, text, strlen(text), &err) < 0);
}

static void test_before_the_root(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	_cleanup_(trust_freep) struct trust *trust = world_new_trust(w);
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity v;
	struct token_statement token;
	struct call_statement call;
	struct err err = {0};

	assert_null(trust_root(trust));
	assert_int_equal(accept_policy(w, trust, w->policy_text, &err), -EKEYREJECTED);
	assert_int_equal(
		trust_accept_tombstone(trust, w->dead_text[0], strlen(w->dead_text[0]), &err),
		-EKEYREJECTED);
	assert_int_equal(verify(w, trust, &bundle, &v), -EKEYREJECTED);
	assert_int_equal(
		trust_verify_token(trust, bundle.token, strlen(bundle.token), NOW, &token, &err),
		-EKEYREJECTED);
	assert_int_equal(trust_verify_call(trust, w->a.text[CALL], strlen(w->a.text[CALL]),
					   &w->a.k3.public_key, METHOD, PATH, NOW, &call, &err),
			 -EKEYREJECTED);
}

/* ---- rules ---- */

static const char rules_yaml[] =
	"version: 1\nrules:\n"
	"  - {name: one, from: role=web, to: role=db, allow: [tcp/5432]}\n"
	"  - {name: two, from: role=web, to: role=cache, allow: [tcp/6379]}\n"
	"  - {name: three, from: role=job, to: role=db, allow: [tcp/5432]}\n";

static int offer_rules(struct world *w, const char *text, const char *const *leaves, size_t n)
{
	struct err err = {0};

	return trust_accept_policy(w->trust, text, strlen(text), leaves, n, NOW, &err);
}

static void test_rules(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct policy_encoded encoded;
	struct merkle_leaf leaves[3];
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	expect_code(policy_parse(rules_yaml, strlen(rules_yaml), &policy, &err), 0, &err, "YAML");
	assert_int_equal(policy_encode(policy, &encoded), 0);
	assert_int_equal(encoded.n_leaves, 3);
	for (size_t i = 0; i < 3; i++)
		leaves[i] = (struct merkle_leaf){encoded.leaves[i], strlen(encoded.leaves[i])};
	w->policy.version = 8;
	w->policy.header = encoded.header;
	w->policy.n_rules = 3;
	merkle_root(leaves, 3, w->policy.rules_root);
	text = world_text(w, POLICY, &w->a);

	const char *const l[] = {encoded.leaves[0], encoded.leaves[1], encoded.leaves[2]};
	const char *const swapped[] = {l[1], l[0], l[2]};
	const char *const other[] = {l[0], l[1], l[1]};
	assert_int_equal(offer_rules(w, text, l, 2), -EKEYREJECTED);
	assert_int_equal(offer_rules(w, text, NULL, 0), -EKEYREJECTED);
	assert_int_equal(offer_rules(w, text, swapped, 3), -EKEYREJECTED);
	assert_int_equal(offer_rules(w, text, other, 3), -EKEYREJECTED);
	assert_int_equal(trust_policy_statement(w->trust)->version, 7);
	assert_int_equal(offer_rules(w, text, l, 3), 0);
	assert_int_equal(trust_policy(w->trust)->n_rules, 3);
	assert_string_equal(trust_policy(w->trust)->rules[1].name, "two");
	policy_encoded_done(&encoded);
}

/* ---- calls ---- */

static void test_call(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	const char *text = w->a.text[CALL];
	struct call_statement call;
	struct err err = {0};
	static const struct {
		int64_t now;
		int code;
	} times[] = {{NOW - 300, 0},
		     {NOW + 300, 0},
		     {NOW - 301, -EKEYREJECTED},
		     {NOW + 301, -EKEYEXPIRED},
		     {INT64_MIN, -EKEYREJECTED},
		     {INT64_MAX, -EKEYEXPIRED}};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		expect_code(trust_verify_call(w->trust, text, strlen(text), &w->a.k3.public_key,
					      METHOD, PATH, times[i].now, &call, &err),
			    times[i].code, &err, "call");
		if (times[i].code == 0) {
			assert_string_equal(call.payload, "{}");
			assert_int_equal(call.nonce[1], 2);
			call_statement_done(&call);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_lease_ends),
		cmocka_unit_test(test_later_generation),
		cmocka_unit_test(test_key_of_the_hub),
		cmocka_unit_test(test_succeeds),
		cmocka_unit_test(test_enroller),
		cmocka_unit_test(test_revoked_enroller),
		cmocka_unit_test(test_no_scope),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_tombstone_known),
		cmocka_unit_test(test_tombstones_hash),
		cmocka_unit_test(test_floor),
		cmocka_unit_test(test_root_versions),
		cmocka_unit_test(test_policy_versions),
		cmocka_unit_test(test_root_takes_keys_away),
		cmocka_unit_test(test_before_the_root),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_call),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
