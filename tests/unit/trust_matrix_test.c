/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verify matrix: every signed object, with every member wrong in every way, at every entry function, is refused.
 *
 * The ways that need no knowledge of a member (changed after signing, missing, twice, of another type, spelt in a second
 * way) are generated from the tables of trust/statement.c. Values that are wrong in themselves are the table wrong[]
 * below; a member without a row there fails the test.
 */
#include "tests/unit/trust_world.h"

/* ---- entry functions ---- */

enum entry { ACCEPT, CHAIN, REDEEM, UPLOAD, ENTRIES };
#define ALL ((1U << ENTRIES) - 1)

static const unsigned int entries_of[KINDS] = {
	[ROOT] = 1 << ACCEPT,
	[TOKEN] = 1 << CHAIN | 1 << REDEEM | 1 << UPLOAD,
	[IDENTITY] = 1 << CHAIN | 1 << REDEEM,
	[KEY] = 1 << CHAIN | 1 << REDEEM,
	[IPV4] = 1 << CHAIN,
	[LEASE] = 1 << CHAIN,
	[TOMBSTONE] = 1 << ACCEPT,
	[POLICY] = 1 << ACCEPT,
	[CALL] = 1 << ACCEPT,
};

/* Feeds the text to a trust that lacks what it brings, and expects that a refusal leaves no trace. */
static int accept_new(const struct world *w, enum kind kind, const char *text, struct err *err)
{
	struct trust *trust = world_new_trust(w);
	size_t length = strlen(text), known;
	int r;

	if (kind != ROOT)
		accept_root_and_dead(w, trust);
	known = trust_tombstones(trust);
	r = kind == ROOT	? trust_accept_root(trust, text, length, err)
	    : kind == TOMBSTONE ? trust_accept_tombstone(trust, text, length, err)
				: accept_policy(w, trust, text, err);
	if (r < 0) {
		assert_int_equal(trust_tombstones(trust), known);
		assert_null(trust_policy(trust));
		assert_true(kind != ROOT || !trust_root(trust));
	}
	trust_free(trust);
	return r;
}

static int call(const struct world *w, const char *text, struct err *err)
{
	struct call_statement ret = {.at = -1};
	int r = trust_verify_call(w->trust, text, strlen(text), &w->a.k3.public_key, METHOD, PATH,
				  NOW, &ret, err);

	if (r < 0)
		assert_int_equal(ret.at, -1);
	else
		call_statement_done(&ret);
	return r;
}

static int upload(const struct world *w, const char *text, struct err *err)
{
	struct token_statement ret = {.not_after = -1};
	int r = trust_verify_token(w->trust, text, strlen(text), NOW, &ret, err);

	assert_true(r == 0 || ret.not_after == -1);
	return r;
}

/* The text in the place of a's own. A lease that has expired is no error; here it counts as refused. */
static int chain(const struct world *w, enum kind kind, enum entry entry, const char *text,
		 struct err *err)
{
	struct identity_bundle bundle = bundle_of(&w->a);
	struct verified_identity ret = {.generation = 99};
	const char **places[KINDS] = {[TOKEN] = &bundle.token,
				      [IDENTITY] = &bundle.identity,
				      [KEY] = &bundle.key,
				      [IPV4] = &bundle.ipv4,
				      [LEASE] = &bundle.lease};
	int r;

	*places[kind] = text;
	r = entry == CHAIN ? trust_verify_identity(w->trust, &bundle, NOW, &ret, err)
			   : trust_verify_redemption(w->trust, bundle.token, bundle.identity,
						     bundle.key, NOW, &ret, err);
	assert_true(r == 0 || ret.generation == 99);
	if (r == 0 && entry == CHAIN && ret.lease_not_after == 0)
		return err_code(err, -EKEYEXPIRED, "no lease");
	return r;
}

static int feed(const struct world *w, enum kind kind, enum entry entry, const char *text,
		struct err *err)
{
	if (kind == CALL)
		return call(w, text, err);
	if (entry == ACCEPT)
		return accept_new(w, kind, text, err);
	return entry == UPLOAD ? upload(w, text, err) : chain(w, kind, entry, text, err);
}

static bool is_documented(int r)
{
	return r == -EKEYREJECTED || r == -EINVAL || r == -ESTALE || r == -EKEYEXPIRED ||
	       r == -EKEYREVOKED;
}

static size_t refusals;

/* code 0: any documented one. */
static void expect_refused_at(const struct world *w, enum kind kind, unsigned int entries,
			      const char *text, int code, const char *what)
{
	for (enum entry entry = 0; entry < ENTRIES; entry++) {
		struct err err = {0};
		int r;

		if (!(entries & entries_of[kind] & (1U << entry)))
			continue;
		r = feed(w, kind, entry, text, &err);
		if (!is_documented(r) || (code && r != code) || !err.text[0])
			fail_msg("%s, %s, entry %d: %d \"%s\", expected %d\n%s",
				 trust_objects[kind]->name, what, (int)entry, r, err.text, code,
				 text);
		refusals++;
	}
}

static void expect_refused(const struct world *w, enum kind kind, const char *text, int code,
			   const char *what)
{
	expect_refused_at(w, kind, ALL, text, code, what);
}

/* The payload signed by all who should. */
static void expect_payload_refused(const struct world *w, enum kind kind, const char *payload,
				   int code, const char *what)
{
	_cleanup_(freep) char *text = world_sign(w, kind, &w->a, payload);
	expect_refused(w, kind, text, code, what);
}

/* The signatures of one text over the payload of another. */
static char *transplant(const char *signed_text, const char *payload)
{
	json_t *json = json_loads(signed_text, 0, NULL);
	size_t size = sodium_base64_ENCODED_LEN(strlen(payload), sodium_base64_VARIANT_ORIGINAL);
	_cleanup_(freep) char *base64 = malloc(size);
	char *text;

	(void)sodium_bin2base64(base64, size, (const uint8_t *)payload, strlen(payload),
				sodium_base64_VARIANT_ORIGINAL);
	(void)json_object_set_new(json, "payload", json_string(base64));
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	assert_non_null(text);
	return text;
}

/* ---- generated from the tables ---- */

#define FOR_EACH_FIELD(kind, field)                                                                \
	for (enum kind kind = 0; kind < KINDS; kind++)                                             \
		for (const struct field *field = trust_objects[kind]->fields;                      \
		     field < trust_objects[kind]->fields + trust_objects[kind]->n_fields; field++)

static void test_good(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	for (enum kind kind = 0; kind < KINDS; kind++)
		for (enum entry entry = 0; entry < ENTRIES; entry++) {
			_cleanup_(freep) char *text = world_text(w, kind, &w->a);
			struct err err = {0};

			if ((entries_of[kind] & (1U << entry)) && feed(w, kind, entry, text, &err))
				fail_msg("%s: %s", trust_objects[kind]->name, err.text);
		}
	assert_null(trust_objects[KINDS]);
}

/* Each character of each member's value changed, under the old signatures. */
static void test_changed_after_signing(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	FOR_EACH_FIELD(kind, field)
	{
		_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
		_cleanup_(freep) char *text = world_sign(w, kind, &w->a, payload);
		char name[64];
		char *value;
		size_t length;

		(void)snprintf(name, sizeof(name), "\"%s\":", field->name);
		value = strstr(payload, name);
		assert_non_null(value);
		value += strlen(name);
		length = strcspn(value, ",}");
		for (size_t i = 0; i < length; i++) {
			char old = value[i];
			_cleanup_(freep) char *changed = NULL;

			value[i] = old == '1' ? '2' : '1';
			changed = transplant(text, payload);
			value[i] = old;
			expect_refused(w, kind, changed, -EKEYREJECTED, field->name);
		}
	}
}

static json_t *payload_json(const struct world *w, enum kind kind)
{
	_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
	json_t *json = json_loads(payload, 0, NULL);

	assert_non_null(json);
	return json;
}

static void expect_json_refused(const struct world *w, enum kind kind, json_t *json, int code,
				const char *what)
{
	_cleanup_(freep) char *payload = json_dumps(json, JSON_COMPACT);
	expect_payload_refused(w, kind, payload, code, what);
}

static void test_missing(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	FOR_EACH_FIELD(kind, field)
	{
		_cleanup_(json_decrefp) json_t *json = payload_json(w, kind);

		assert_int_equal(json_object_del(json, field->name), 0);
		expect_json_refused(w, kind, json, -EINVAL, field->name);
	}
}

static void test_wrong_type(void **state)
{
	static const char *const values[] = {"null",	    "true",   "[]",	     "{}",
					     "[null]",	    "-1",     "\"\\u0000\"", "1.0",
					     "\"\\u009b\"", "[[[]]]", "{\"a\":{}}"};
	_cleanup_(world_freep) struct world *w = world_new();

	FOR_EACH_FIELD(kind, field)
	{
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			_cleanup_(json_decrefp) json_t *json = payload_json(w, kind);
			json_t *value =
				json_loads(values[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
			bool any_text = field->type == &field_owned_text && json_is_string(value);
			bool no_labels = field->type == &field_labels && i == 3;

			(void)json_object_set_new(json, field->name, value);
			if (i != 6 && (any_text || no_labels))
				continue; /* any text is a call's payload; labels may be none */
			expect_json_refused(w, kind, json, -EINVAL, field->name);
		}
	}
}

/* The payload with another text for a member's value. */
static char *with_value(const char *payload, const char *name, const char *old, const char *value)
{
	char quoted[64];
	const char *at;
	char *text;

	(void)snprintf(quoted, sizeof(quoted), "\"%s\":", name);
	at = strstr(payload, quoted);
	assert_non_null(at);
	at += strlen(quoted);
	assert_memory_equal(at, old, strlen(old));
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - payload), payload, value,
			     at + strlen(old)) > 0);
	return text;
}

static char *value_of(const struct world *w, enum kind kind, const char *name)
{
	_cleanup_(json_decrefp) json_t *json = payload_json(w, kind);
	char *value = json_dumps(json_object_get(json, name), JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(value);
	return value;
}

/* The same value once more, in front and under an escaped name. */
static void test_duplicated(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	FOR_EACH_FIELD(kind, field)
	{
		_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
		_cleanup_(freep) char *value = value_of(w, kind, field->name);
		_cleanup_(freep) char *twice = NULL, *escaped = NULL;

		assert_true(asprintf(&twice, "{\"%s\":%s,%s", field->name, value, payload + 1) > 0);
		expect_payload_refused(w, kind, twice, -EINVAL, field->name);
		assert_true(asprintf(&escaped, "{\"\\u%04x%s\":%s,%s", field->name[0],
				     field->name + 1, value, payload + 1) > 0);
		expect_payload_refused(w, kind, escaped, -EINVAL, field->name);
	}
}

/* The same value in another spelling: JSON escapes, white space, and what the member's own grammar offers. */
static void respell(const struct world *w, enum kind kind, const struct field *field,
		    const char *value)
{
	_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
	char *other[6] = {NULL};
	size_t n = 0;

	assert_true(asprintf(&other[n++], " %s", value) > 0);
	if (*value == '"' && value[1] != '"')
		assert_true(asprintf(&other[n++], "\"\\u%04x%s", value[1], value + 2) > 0);
	if (field->type == &field_integer) {
		assert_true(asprintf(&other[n++], "%s.0", value) > 0);
		assert_true(asprintf(&other[n++], "%se0", value) > 0);
		assert_true(asprintf(&other[n++], "0%s", value) > 0);
		assert_true(asprintf(&other[n++], "-%s", value) > 0);
	}
	if (field->type == &field_hex || field->type == &field_signing_key) {
		other[n] = strdup(value);
		for (char *c = other[n]; *c; c++)
			if (*c >= 'a' && *c <= 'f')
				*c = (char)(*c - 32);
		n += strcmp(other[n], value) != 0;
	}
	if (field->type == &field_wireguard_key) {
		char *last = strchr(other[n] = strdup(value), '=') - 1;

		/* The two low bits of the last character are not part of the key. */
		*last = (char)(*last == '9' || *last == '/' ? 'B' : *last + 1);
		n++;
	}
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *text = with_value(payload, field->name, value, other[i]);
		expect_payload_refused(w, kind, text, -EINVAL, other[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		free(other[i]);
}

static void test_second_spelling(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	FOR_EACH_FIELD(kind, field)
	{
		_cleanup_(freep) char *value = value_of(w, kind, field->name);
		respell(w, kind, field, value);
	}
}

/* ---- values that are wrong in themselves ---- */

struct wrong {
	enum kind kind;
	const char *field;
	const char *value; /* JSON, or $NAME of the world */
	int code;
	unsigned int entries; /* 0: all */
};

#define HEX_OF(c)  c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define NOT_UPLOAD (ALL & ~(1U << UPLOAD))
#define NOT_CHAIN  (ALL & ~(1U << CHAIN))

static const struct wrong wrong[] = {
	{ROOT, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{ROOT, "network", "\"09\"", -EINVAL, 0},
	{ROOT, "name", "\"Net\"", -EINVAL, 0},
	{ROOT, "name", "\"a/b\"", -EINVAL, 0},
	{ROOT, "version", "0", -EINVAL, 0},
	{ROOT, "version", "9007199254740993", -EINVAL, 0},
	{ROOT, "version", "18446744073709551616", -EINVAL, 0},
	{ROOT, "overlay6", "\"fd12:3456:789a::/64\"", -EINVAL, 0},
	{ROOT, "overlay6", "\"2001:db8:1::/48\"", -EINVAL, 0},
	{ROOT, "overlay6", "\"fd12:3456:789a:1::/48\"", -EINVAL, 0},
	{ROOT, "overlay6", "\"FD12:3456:789a::/48\"", -EINVAL, 0},
	{ROOT, "overlay6", "\"\"", -EINVAL, 0},
	{ROOT, "overlay4", "\"10.77.0.0/30\"", -EINVAL, 0},
	{ROOT, "overlay4", "\"10.77.0.1/16\"", -EINVAL, 0},
	{ROOT, "overlay4", "\"0.0.0.0/0\"", -EINVAL, 0},
	{ROOT, "overlay4", "\"fd12:3456:789a::/48\"", -EINVAL, 0},
	{ROOT, "mtu", "1279", -EINVAL, 0},
	{ROOT, "mtu", "65536", -EINVAL, 0},
	{ROOT, "mtu", "66816", -EINVAL, 0},
	{ROOT, "policy_keys", "[]", -EINVAL, 0},
	{ROOT, "policy_keys", "[$k1,$k1]", -EINVAL, 0},
	{ROOT, "policy_keys", "[$k1,$k2]", -EINVAL, 0},
	{ROOT, "policy_keys", "[$k1]", -EINVAL, 0},
	{ROOT, "policy_keys", "[$k1,1]", -EINVAL, 0},
	{ROOT, "threshold", "0", -EINVAL, 0},
	{ROOT, "threshold", "4", -EINVAL, 0},
	{ROOT, "threshold", "4294967298", -EINVAL, 0},
	{ROOT, "control_key", "\"" HEX_OF("00") "\"", -EINVAL, 0},
	{ROOT, "control_key", "$k1", -EINVAL, 0},
	{ROOT, "control_key", "$k0", -EKEYREJECTED, 0},
	{ROOT, "hub_key", "$zero_wg", -EINVAL, 0},
	{ROOT, "hub_key", "$high_wg", -EINVAL, 0},
	{ROOT, "endpoints", "[]", -EINVAL, 0},
	{ROOT, "endpoints", "[\"hub\"]", -EINVAL, 0},
	{ROOT, "endpoints", "[\"a:1\",\"b:1\",\"c:1\",\"d:1\",\"e:1\"]", -EINVAL, 0},
	{ROOT, "api_port", "0", -EINVAL, 0},
	{ROOT, "api_port", "65536", -EINVAL, 0},
	{ROOT, "api_port", "7444", -EINVAL, 0},
	{ROOT, "enroll_port", "0", -EINVAL, 0},
	{ROOT, "enroll_port", "72979", -EINVAL, 0},

	{TOKEN, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{TOKEN, "join_key", "\"" HEX_OF("00") "\"", -EINVAL, 0},
	{TOKEN, "join_key", "$b_join", -EKEYREJECTED, NOT_UPLOAD},
	{TOKEN, "onetime_key", "$zero_wg", -EINVAL, 0},
	{TOKEN, "onetime_key", "$high_wg", -EINVAL, 0},
	{TOKEN, "name", "\"db\"", -EINVAL, 0},
	{TOKEN, "name", "\"site-a/DB\"", -EINVAL, 0},
	{TOKEN, "name", "\"site-a/\\u001b[2J\"", -EINVAL, 0},
	{TOKEN, "labels", "{\"sortie/hub\":\"1\"}", -EINVAL, 0},
	{TOKEN, "labels", "{\"Role\":\"db\"}", -EINVAL, 0},
	{TOKEN, "labels", "{\"role\":\"\"}", -EINVAL, 0},
	{TOKEN, "labels", "{\"role\":1}", -EINVAL, 0},
	{TOKEN, "labels", "{\"role\":\"db\",\"env\":\"prod\"}", -EINVAL, 0},
	{TOKEN, "not_after", "0", -EINVAL, 0},
	{TOKEN, "not_after", "1800000000", -EKEYEXPIRED, NOT_CHAIN},

	{IDENTITY, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{IDENTITY, "k3", "$stranger", -EKEYREJECTED, 0},
	{IDENTITY, "k3", "$b_k3", -EKEYREJECTED, 0},
	{IDENTITY, "k3", "$a_join", -EINVAL, 0},
	{IDENTITY, "k4", "$b_k4", -EKEYREJECTED, 0},
	{IDENTITY, "k4", "$zero_wg", -EINVAL, 0},
	{IDENTITY, "k4", "$small_wg", -EINVAL, 0},
	{IDENTITY, "join_key", "$b_join", -EKEYREJECTED, 0},
	{IDENTITY, "join_key", "$a_k3", -EINVAL, 0},
	{IDENTITY, "ipv6", "$b_ipv6", -EKEYREJECTED, 0},
	{IDENTITY, "ipv6", "\"fd12:3456:789a::1\"", -EKEYREJECTED, 0},
	{IDENTITY, "ipv6", "\"10.77.0.5\"", -EINVAL, 0},
	{IDENTITY, "ipv6", "\"fd12:3456:789a:0::1\"", -EINVAL, 0},
	{IDENTITY, "created_at", "1800000301", -EKEYREJECTED, 0},
	{IDENTITY, "created_at", "0", -EINVAL, 0},

	{KEY, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{KEY, "identity", "$b_id", -EKEYREJECTED, 0},
	{KEY, "generation", "0", -EINVAL, 0},
	{KEY, "generation", "2", -EKEYREJECTED, 1 << REDEEM},
	{KEY, "k4", "$b_k4", -EKEYREJECTED, 0},
	{KEY, "k4", "$small_wg", -EINVAL, 0},
	{KEY, "not_before", "1800000301", -EKEYREJECTED, 0},
	{KEY, "not_before", "1900000000", -EINVAL, 0},
	{KEY, "not_after", "1800000000", -EKEYEXPIRED, 0},
	{KEY, "not_after", "1799999990", -EINVAL, 0},

	{IPV4, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{IPV4, "identity", "$b_id", -EKEYREJECTED, 0},
	{IPV4, "ipv4", "\"10.78.0.5\"", -EKEYREJECTED, 0},
	{IPV4, "ipv4", "\"10.77.0.0\"", -EKEYREJECTED, 0},
	{IPV4, "ipv4", "\"10.77.0.1\"", -EKEYREJECTED, 0},
	{IPV4, "ipv4", "\"10.77.255.255\"", -EKEYREJECTED, 0},
	{IPV4, "ipv4", "\"127.0.0.1\"", -EKEYREJECTED, 0},
	{IPV4, "ipv4", "\"::1\"", -EINVAL, 0},
	{IPV4, "ipv4", "\"10.77.1\"", -EINVAL, 0},
	{IPV4, "ipv4", "\"\"", -EINVAL, 0},

	{LEASE, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{LEASE, "identity", "$b_id", -EKEYREJECTED, 0},
	{LEASE, "issued_at", "1800000301", -EKEYREJECTED, 0},
	{LEASE, "issued_at", "1799999939", -EINVAL, 0},
	{LEASE, "issued_at", "0", -EINVAL, 0},
	{LEASE, "not_after", "1800000000", -EKEYEXPIRED, 0},
	{LEASE, "not_after", "1799999940", -EINVAL, 0},
	{LEASE, "not_after", "1800086341", -EINVAL, 0},

	{TOMBSTONE, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{TOMBSTONE, "identity", "\"00\"", -EINVAL, 0},
	{TOMBSTONE, "at", "0", -EINVAL, 0},
	{TOMBSTONE, "reason", "\"a\\nb\"", -EINVAL, 0},
	{TOMBSTONE, "reason", "\"" HEX_OF("long") "\"", -EINVAL, 0},

	{POLICY, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{POLICY, "version", "0", -EINVAL, 0},
	{POLICY, "issued_at", "1800000301", -EKEYREJECTED, 0},
	{POLICY, "issued_at", "1802592000", -EINVAL, 0},
	{POLICY, "not_after", "1800000000", -EKEYEXPIRED, 0},
	{POLICY, "rules_root", "\"" HEX_OF("00") "\"", -EKEYREJECTED, 0},
	{POLICY, "n_rules", "1", -EKEYREJECTED, 0},
	{POLICY, "n_rules", "4294967296", -EINVAL, 0},
	{POLICY, "n_tombstones", "3", -EKEYREJECTED, 0},
	{POLICY, "n_tombstones", "1", -EKEYREJECTED, 0},
	{POLICY, "tombstones_hash", "\"" HEX_OF("00") "\"", -EKEYREJECTED, 0},
	{POLICY, "header", "\"\"", -EINVAL, 0},
	{POLICY, "header", "\"{\\\"unknown\\\":1}\"", -EINVAL, 0},

	{CALL, "network", "\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\"", -EKEYREJECTED, 0},
	{CALL, "hub", "$b_k4", -EKEYREJECTED, 0},
	{CALL, "method", "\"PUT\"", -EKEYREJECTED, 0},
	{CALL, "method", "\"post\"", -EINVAL, 0},
	{CALL, "method", "\"OVERLONG\"", -EINVAL, 0},
	{CALL, "path", "\"/v1/enroll\"", -EKEYREJECTED, 0},
	{CALL, "path", "\"/v1/sync/\"", -EKEYREJECTED, 0},
	{CALL, "path", "\"v1/sync\"", -EINVAL, 0},
	{CALL, "path", "\"/v1/sync \"", -EINVAL, 0},
	{CALL, "at", "1800000301", -EKEYREJECTED, 0},
	{CALL, "at", "1799999699", -EKEYEXPIRED, 0},
	{CALL, "nonce", "\"0102\"", -EINVAL, 0},
	{CALL, "nonce", "\"" HEX_OF("00") "\"", -EINVAL, 0},
	{CALL, "payload", "{}", -EINVAL, 0},
};

static void lookup(const struct world *w, const char *name, char text[128])
{
	const struct {
		const char *name;
		const struct key *key;
	} ed25519[] = {
		{"k0", &w->k0.public_key},	   {"k1", &w->k1[0].public_key},
		{"k2", &w->k2.public_key},	   {"stranger", &w->stranger.public_key},
		{"a_k3", &w->a.k3.public_key},	   {"b_k3", &w->b.k3.public_key},
		{"a_join", &w->a.join.public_key}, {"b_join", &w->b.join.public_key},
	};
	static const struct key zero = {{0}}, one = {{1}};
	struct key high = w->a.k4;
	const struct {
		const char *name;
		const struct key *key;
	} wireguard[] = {
		{"b_k4", &w->b.k4}, {"zero_wg", &zero}, {"small_wg", &one}, {"high_wg", &high}};
	char buffer[ID_HEX_MAX + ADDR_TEXT_MAX];

	high.bytes[31] |= 0x80; /* the same point in another spelling */
	*text = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(ed25519); i++)
		if (strcmp(name, ed25519[i].name) == 0)
			(void)snprintf(text, 128, "\"%s\"", key_format_hex(ed25519[i].key, buffer));
	for (size_t i = 0; i < ARRAY_SIZE(wireguard); i++)
		if (strcmp(name, wireguard[i].name) == 0)
			(void)snprintf(text, 128, "\"%s\"",
				       key_format_b64(wireguard[i].key, buffer));
	if (strcmp(name, "b_id") == 0)
		(void)snprintf(text, 128, "\"%s\"", id_format(&w->b.id, buffer));
	if (strcmp(name, "b_ipv6") == 0)
		(void)snprintf(text, 128, "\"%s\"", addr_format(&w->b.identity.ipv6, buffer));
	if (!*text)
		fail_msg("nothing is called $%s", name);
}

static void substitute(const struct world *w, const char *value, char *text, size_t size)
{
	size_t used = 0;

	while (*value) {
		char name[16], found[128] = {*value, '\0'};
		size_t length = 1;

		if (*value == '$') {
			length = 1 + strspn(value + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
			(void)snprintf(name, sizeof(name), "%.*s", (int)length - 1, value + 1);
			lookup(w, name, found);
		}
		value += length;
		used += (size_t)snprintf(text + used, size - used, "%s", found);
		assert_true(used < size);
	}
}

static void test_wrong_value(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(freep) char *payload = world_encode(w, wrong[i].kind, &w->a);
		_cleanup_(freep) char *old = value_of(w, wrong[i].kind, wrong[i].field);
		_cleanup_(freep) char *text = NULL, *changed = NULL;
		char value[2048];

		substitute(w, wrong[i].value, value, sizeof(value));
		changed = with_value(payload, wrong[i].field, old, value);
		text = world_sign(w, wrong[i].kind, &w->a, changed);
		expect_refused_at(w, wrong[i].kind, wrong[i].entries ? wrong[i].entries : ALL, text,
				  wrong[i].code, wrong[i].value);
	}
}

static void test_every_member_has_a_wrong_value(void **state)
{
	FOR_EACH_FIELD(kind, field)
	{
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
			found = found ||
				(wrong[i].kind == kind && strcmp(wrong[i].field, field->name) == 0);
		if (!found)
			fail_msg("%s.%s has no row in wrong[]", trust_objects[kind]->name,
				 field->name);
	}
}

/* ---- the payload as a whole ---- */

static void test_payload_shape(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	static const char *const nonsense[] = {"",     "{}", "[]",	 "null",
					       "\"\"", "{",  "\xff\xfe", "1"};

	for (enum kind kind = 0; kind < KINDS; kind++) {
		_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
		_cleanup_(freep) char *unknown = NULL, *spaced = NULL, *behind = NULL;
		_cleanup_(json_decrefp) json_t *json = payload_json(w, kind);
		_cleanup_(freep) char *sorted = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

		for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++)
			expect_payload_refused(w, kind, nonsense[i], -EINVAL, nonsense[i]);
		assert_true(asprintf(&unknown, "%.*s,\"unknown\":1}", (int)strlen(payload) - 1,
				     payload) > 0);
		expect_payload_refused(w, kind, unknown, -EINVAL, "unknown member");
		assert_true(asprintf(&spaced, "%s\n", payload) > 0);
		expect_payload_refused(w, kind, spaced, -EINVAL, "white space");
		assert_true(asprintf(&behind, "%s{}", payload) > 0);
		expect_payload_refused(w, kind, behind, -EINVAL, "more behind it");
		assert_string_not_equal(sorted, payload);
		expect_payload_refused(w, kind, sorted, -EINVAL, "another order");
	}
}

/* ---- signatures ---- */

/* Every other key of the world alone; the keys that may are left out. */
static void test_wrong_key(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	const struct signing_key *keys[] = {
		&w->k0,	      &w->k1[0],  &w->k1[1], &w->k1[2],	 &w->k2,   &w->enroller,
		&w->stranger, &w->a.join, &w->a.k3,  &w->b.join, &w->b.k3,
	};

	for (enum kind kind = 0; kind < KINDS; kind++) {
		_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
		const struct signing_key *right[2];
		size_t n = world_signers(w, kind, &w->a, right);

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			_cleanup_(freep) char *text = NULL;
			bool k1 = keys[i] >= w->k1 && keys[i] < w->k1 + 3;

			if ((n == 1 && keys[i] == right[0]) || (kind == TOMBSTONE && k1) ||
			    (kind == TOKEN && keys[i] == &w->enroller))
				continue;
			assert_int_equal(envelope_sign(trust_objects[kind]->type, payload,
						       strlen(payload), &keys[i], 1, &text),
					 0);
			expect_refused(w, kind, text, -EKEYREJECTED, "wrong key");
		}
	}
}

static char *edit_envelope(const char *text, void (*edit)(json_t *, void *), void *data)
{
	json_t *json = json_loads(text, 0, NULL);
	char *edited;

	edit(json, data);
	edited = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	assert_non_null(edited);
	return edited;
}

static void flip(json_t *json, void *data)
{
	unsigned int bit = *(unsigned int *)data;
	json_t *signature = json_array_get(json_object_get(json, "signatures"), 0);
	const char *text = json_string_value(json_object_get(signature, "sig"));
	uint8_t bytes[64];
	char base64[89];
	size_t length;

	assert_int_equal(sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &length,
					   NULL, sodium_base64_VARIANT_ORIGINAL),
			 0);
	bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	(void)sodium_bin2base64(base64, sizeof(base64), bytes, sizeof(bytes),
				sodium_base64_VARIANT_ORIGINAL);
	(void)json_object_set_new(signature, "sig", json_string(base64));
}

static void rename_key(json_t *json, void *data)
{
	json_t *signature = json_array_get(json_object_get(json, "signatures"), 0);
	char hex[KEY_HEX_MAX];

	(void)json_object_set_new(signature, "keyid", json_string(key_format_hex(data, hex)));
}

static void retype(json_t *json, void *data)
{
	(void)json_object_set_new(json, "payloadType", json_string(data));
}

static void drop_first_signature(json_t *json, void *data)
{
	(void)json_array_remove(json_object_get(json, "signatures"), 0);
}

static void test_signature(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	for (enum kind kind = 0; kind < KINDS; kind++) {
		_cleanup_(freep) char *text = world_text(w, kind, &w->a);
		_cleanup_(freep) char *renamed =
			edit_envelope(text, rename_key, &w->stranger.public_key);
		_cleanup_(freep) char *dropped = edit_envelope(text, drop_first_signature, NULL);

		expect_refused(w, kind, renamed, -EKEYREJECTED, "keyid of another");
		expect_refused(w, kind, dropped, 0, "a signature dropped");
		for (unsigned int bit = 0; bit < 512; bit += 7) {
			_cleanup_(freep) char *flipped = edit_envelope(text, flip, &bit);
			expect_refused(w, kind, flipped, -EKEYREJECTED, "a bit flipped");
		}
	}
}

/* Each kind under each other type: as it was signed, and with the type rewritten afterwards. */
static void test_wrong_type_of_object(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();

	for (enum kind kind = 0; kind < KINDS; kind++)
		for (enum kind other = 0; other < KINDS; other++) {
			_cleanup_(freep) char *payload = world_encode(w, kind, &w->a);
			_cleanup_(freep) char *text = NULL, *rewritten = NULL;
			const struct signing_key *keys[2];
			size_t n = world_signers(w, kind, &w->a, keys);
			char type[64];

			if (other == kind)
				continue;
			assert_int_equal(envelope_sign(trust_objects[other]->type, payload,
						       strlen(payload), keys, n, &text),
					 0);
			expect_refused(w, kind, text, -EINVAL, "another type");
			(void)snprintf(type, sizeof(type), "%s", trust_objects[kind]->type);
			rewritten = edit_envelope(text, retype, type);
			expect_refused(w, kind, rewritten, -EKEYREJECTED, "type rewritten");
		}
}

/* b's own good statements in the place of a's. */
static void test_swapped(void **state)
{
	static const enum kind kinds[] = {IDENTITY, KEY, IPV4, LEASE, CALL};
	_cleanup_(world_freep) struct world *w = world_new();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		expect_refused(w, kinds[i], w->b.text[kinds[i]], -EKEYREJECTED, "b's");
	expect_refused_at(w, TOKEN, NOT_UPLOAD, w->b.text[TOKEN], -EKEYREJECTED, "b's");
}

/* ---- the envelope ---- */

static void test_envelope_shape(void **state)
{
	static const struct {
		const char *find, *put;
	} edits[] = {
		{"{\"payloadType\"", "{\"x\":1,\"payloadType\""},
		{"{\"payloadType\"", "{\"payload\":\"\",\"payloadType\""},
		{"{\"payloadType\"", "{\"signatures\":[],\"payloadType\""},
		{"{\"payloadType\"", "{ \"payloadType\""},
		{"{\"payloadType\"", "{\"payload\\u0054ype\""},
		{"{\"keyid\"", "{\"x\":1,\"keyid\""},
		{"{\"keyid\"", "{\"sig\":\"\",\"keyid\""},
		{"\"keyid\":\"", "\"keyid\":\"0"},
		{"\"sig\":\"", "\"sig\":\"A"},
		{"\"sig\":\"", "\"sig\":\" "},
		{"\"payload\":\"", "\"payload\":\" "},
		{"\"payload\":\"", "\"payload\":\"A"},
		{"\"payload\":\"e", "\"payload\":\"\\u0065"},
		{"\"payload\":\"e", "\"payload\":\"-"},
		{"=\"}]}", "\"}]}"},
		{"}]}", "}]}}"},
		{"}]}", "}]"},
		{"}]}", "},null]}"},
		{"\"signatures\":[", "\"signatures\":[[],"},
	};
	_cleanup_(world_freep) struct world *w = world_new();

	for (enum kind kind = 0; kind < KINDS; kind++) {
		_cleanup_(freep) char *text = world_text(w, kind, &w->a);

		for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
			const char *at = strstr(text, edits[i].find);
			_cleanup_(freep) char *edited = NULL;

			assert_non_null(at);
			assert_true(asprintf(&edited, "%.*s%s%s", (int)(at - text), text,
					     edits[i].put, at + strlen(edits[i].find)) > 0);
			expect_refused(w, kind, edited, -EINVAL, edits[i].put);
		}
		for (size_t length = 0; length < strlen(text); length += 13) {
			_cleanup_(freep) char *cut = strndup(text, length);
			expect_refused(w, kind, cut, -EINVAL, "cut off");
		}
	}
}

/* The two or four bits behind the last byte are zero in the one right text. */
static void test_trailing_bits(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	size_t tried = 0;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		_cleanup_(freep) char *text = world_text(w, kind, &w->a);
		char *places[] = {strstr(text, "\",\"signatures\""), strstr(text, "\"}")};

		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			char *last = places[i] - 1;
			char old;

			if (*last != '=')
				continue;
			while (*last == '=')
				last--;
			old = *last;
			*last = (char)(old + 1);
			expect_refused(w, kind, text, -EINVAL, "trailing bits");
			*last = old;
			tried++;
		}
	}
	assert_true(tried >= KINDS); /* every signature is 64 bytes and ends in == */
}

/* One signature given twice must not count as two. */
static void test_signed_twice(void **state)
{
	_cleanup_(world_freep) struct world *w = world_new();
	const struct signing_key *same[] = {&w->k1[0], &w->k1[0]};
	_cleanup_(freep) char *payload = world_encode(w, POLICY, &w->a);
	_cleanup_(freep) char *text = NULL;

	assert_int_equal(envelope_sign(TYPE_POLICY, payload, strlen(payload), same, 2, &text), 0);
	expect_refused(w, POLICY, text, -EINVAL, "one key twice");
}

static void test_count(void **state)
{
	print_message("# %zu refusals\n", refusals);
	assert_true(refusals > 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_changed_after_signing),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_wrong_type),
		cmocka_unit_test(test_duplicated),
		cmocka_unit_test(test_second_spelling),
		cmocka_unit_test(test_wrong_value),
		cmocka_unit_test(test_every_member_has_a_wrong_value),
		cmocka_unit_test(test_payload_shape),
		cmocka_unit_test(test_wrong_key),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_wrong_type_of_object),
		cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_envelope_shape),
		cmocka_unit_test(test_trailing_bits),
		cmocka_unit_test(test_signed_twice),
		cmocka_unit_test(test_count),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
