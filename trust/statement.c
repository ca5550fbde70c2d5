/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of all statements; docs/objects.md says what the members mean. */
#include "trust/statement.h"
#include "trust/envelope.h"
#include "trust/object.h"
#include <string.h>

#define FIELD(statement, member, ...)                                                              \
	{                                                                                          \
		.name = #member, .offset = offsetof(struct statement, member),                     \
		.size = sizeof(((struct statement *)NULL)->member), __VA_ARGS__                    \
	}
#define COUNT(statement, member) .count_offset = offsetof(struct statement, member)
#define OBJECT(prefix, statement, title, payload_type, checker)                                    \
	static const struct object prefix##_object = {.name = (title),                             \
						      .type = (payload_type),                      \
						      .fields = prefix##_fields,                   \
						      .n_fields = ARRAY_SIZE(prefix##_fields),     \
						      .size = sizeof(struct statement),            \
						      .check = (checker)};                         \
	char *prefix##_encode(const struct statement *s)                                           \
	{                                                                                          \
		return object_encode(&prefix##_object, s);                                         \
	}                                                                                          \
	int prefix##_decode(const char *payload, size_t length, struct statement *ret,             \
			    struct err *err)                                                       \
	{                                                                                          \
		return object_decode(&prefix##_object, payload, length, ret, err);                 \
	}                                                                                          \
	struct object_needs_semicolon

/* ---- grammars ---- */

static bool network_name_valid(const char *text)
{
	return name_part_valid(text, strlen(text));
}

/* For people, so UTF-8 (the JSON reader has checked it), but no control character of ASCII or of U+0080..U+009F. */
static bool reason_valid(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0))
			return false;
	return true;
}

static bool method_valid(const char *text)
{
	return *text && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static bool path_valid(const char *text)
{
	if (*text != '/')
		return false;
	for (; *text; text++)
		if (*text <= 0x20 || *text >= 0x7f)
			return false;
	return true;
}

/* ---- what one member says about another ---- */

static int root_check(const void *statement, struct err *err)
{
	const struct root_statement *s = statement;

	if (s->threshold > s->n_policy_keys)
		return err_set(err, "root statement: %u signatures of %zu policy keys wanted",
			       s->threshold, s->n_policy_keys);
	if (s->api_port == s->enroll_port)
		return err_set(err, "root statement: api_port and enroll_port are equal");
	for (size_t i = 0; i < s->n_policy_keys; i++)
		if (key_equal(&s->policy_keys[i], &s->control_key))
			return err_set(err, "root statement: the control key is a policy key");
	return 0;
}

static int identity_check(const void *statement, struct err *err)
{
	const struct identity_statement *s = statement;

	if (key_equal(&s->k3, &s->join_key))
		return err_set(err, "identity statement: k3 is the join key");
	return 0;
}

static int key_check(const void *statement, struct err *err)
{
	const struct key_statement *s = statement;

	if (s->not_after != 0 && s->not_after <= s->not_before)
		return err_set(err, "key statement: it ends before it begins");
	return 0;
}

static int lease_check(const void *statement, struct err *err)
{
	const struct lease_statement *s = statement;

	if (s->not_after <= s->issued_at || s->not_after - s->issued_at > LEASE_SECONDS)
		return err_set(err, "lease statement: it lasts longer than %d s or not at all",
			       LEASE_SECONDS);
	return 0;
}

static int policy_check(const void *statement, struct err *err)
{
	const struct policy_statement *s = statement;

	if (s->not_after <= s->issued_at)
		return err_set(err, "policy statement: it ends before it begins");
	return 0;
}

/* ---- the tables ---- */

static const struct field root_fields[] = {
	FIELD(root_statement, network, .type = &field_hex),
	FIELD(root_statement, name, .type = &field_text, .valid = network_name_valid),
	FIELD(root_statement, version, .type = &field_integer, .min = 1),
	FIELD(root_statement, overlay6, .type = &field_overlay6),
	FIELD(root_statement, overlay4, .type = &field_overlay4),
	FIELD(root_statement, mtu, .type = &field_integer, .min = 1280, .max = 65455),
	FIELD(root_statement, policy_keys, .type = &field_signing_keys,
	      COUNT(root_statement, n_policy_keys), .min = 1, .max = ROOT_POLICY_KEYS_MAX),
	FIELD(root_statement, threshold, .type = &field_integer, .min = 1),
	FIELD(root_statement, control_key, .type = &field_signing_key),
	FIELD(root_statement, hub_key, .type = &field_wireguard_key),
	FIELD(root_statement, endpoints, .type = &field_endpoints,
	      COUNT(root_statement, n_endpoints), .min = 1, .max = TOKEN_ENDPOINTS_MAX),
	FIELD(root_statement, api_port, .type = &field_integer, .min = 1),
	FIELD(root_statement, enroll_port, .type = &field_integer, .min = 1),
};
OBJECT(root, root_statement, "root", TYPE_ROOT, root_check);

static const struct field token_statement_fields[] = {
	FIELD(token_statement, network, .type = &field_hex),
	FIELD(token_statement, join_key, .type = &field_signing_key),
	FIELD(token_statement, onetime_key, .type = &field_wireguard_key),
	FIELD(token_statement, name, .type = &field_text, .valid = name_valid),
	FIELD(token_statement, labels, .type = &field_labels),
	FIELD(token_statement, not_after, .type = &field_integer, .min = 1),
};
OBJECT(token_statement, token_statement, "token", TYPE_TOKEN, NULL);

static const struct field identity_fields[] = {
	FIELD(identity_statement, network, .type = &field_hex),
	FIELD(identity_statement, k3, .type = &field_signing_key),
	FIELD(identity_statement, k4, .type = &field_wireguard_key),
	FIELD(identity_statement, join_key, .type = &field_signing_key),
	FIELD(identity_statement, ipv6, .type = &field_addr6),
	FIELD(identity_statement, created_at, .type = &field_integer, .min = 1),
};
OBJECT(identity, identity_statement, "identity", TYPE_IDENTITY, identity_check);

static const struct field key_fields[] = {
	FIELD(key_statement, network, .type = &field_hex),
	FIELD(key_statement, identity, .type = &field_hex),
	FIELD(key_statement, generation, .type = &field_integer, .min = 1),
	FIELD(key_statement, k4, .type = &field_wireguard_key),
	FIELD(key_statement, not_before, .type = &field_integer),
	FIELD(key_statement, not_after, .type = &field_integer),
};
OBJECT(key, key_statement, "key", TYPE_KEY, key_check);

static const struct field ipv4_fields[] = {
	FIELD(ipv4_statement, network, .type = &field_hex),
	FIELD(ipv4_statement, identity, .type = &field_hex),
	FIELD(ipv4_statement, ipv4, .type = &field_addr4),
};
OBJECT(ipv4, ipv4_statement, "ipv4", TYPE_IPV4, NULL);

static const struct field lease_fields[] = {
	FIELD(lease_statement, network, .type = &field_hex),
	FIELD(lease_statement, identity, .type = &field_hex),
	FIELD(lease_statement, issued_at, .type = &field_integer, .min = 1),
	FIELD(lease_statement, not_after, .type = &field_integer, .min = 1),
};
OBJECT(lease, lease_statement, "lease", TYPE_LEASE, lease_check);

static const struct field tombstone_fields[] = {
	FIELD(tombstone_statement, network, .type = &field_hex),
	FIELD(tombstone_statement, identity, .type = &field_hex),
	FIELD(tombstone_statement, at, .type = &field_integer, .min = 1),
	FIELD(tombstone_statement, reason, .type = &field_text, .valid = reason_valid),
};
OBJECT(tombstone, tombstone_statement, "tombstone", TYPE_TOMBSTONE, NULL);

static const struct field policy_statement_fields[] = {
	FIELD(policy_statement, network, .type = &field_hex),
	FIELD(policy_statement, version, .type = &field_integer, .min = 1),
	FIELD(policy_statement, issued_at, .type = &field_integer, .min = 1),
	FIELD(policy_statement, not_after, .type = &field_integer, .min = 1),
	FIELD(policy_statement, rules_root, .type = &field_hex),
	FIELD(policy_statement, n_rules, .type = &field_integer),
	FIELD(policy_statement, n_tombstones, .type = &field_integer),
	FIELD(policy_statement, tombstones_hash, .type = &field_hex),
	FIELD(policy_statement, header, .type = &field_owned_text, .max = ENVELOPE_TEXT_MAX),
};
OBJECT(policy_statement, policy_statement, "policy", TYPE_POLICY, policy_check);

void policy_statement_done(struct policy_statement *statement)
{
	object_done(&policy_statement_object, statement);
}

static const struct field call_fields[] = {
	FIELD(call_statement, network, .type = &field_hex),
	FIELD(call_statement, hub, .type = &field_wireguard_key),
	FIELD(call_statement, method, .type = &field_text, .valid = method_valid),
	FIELD(call_statement, path, .type = &field_text, .valid = path_valid),
	FIELD(call_statement, at, .type = &field_integer, .min = 1),
	FIELD(call_statement, nonce, .type = &field_hex),
	FIELD(call_statement, payload, .type = &field_owned_text, .max = ENVELOPE_TEXT_MAX),
};
OBJECT(call, call_statement, "call", TYPE_CALL, NULL);

void call_statement_done(struct call_statement *statement)
{
	object_done(&call_object, statement);
}

const struct object *const trust_objects[] = {
	&root_object,	   &token_statement_object,
	&identity_object,  &key_object,
	&ipv4_object,	   &lease_object,
	&tombstone_object, &policy_statement_object,
	&call_object,	   NULL,
};
