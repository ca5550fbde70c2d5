/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How one member of a statement is written as JSON and read back. A decoder sees text that its signer chose: it may
 * be wrong, but it was verified. Canonical texts (one IPv6 spelling, one base64) are object_decode()'s check.
 */
#include "trust/object.h"
#include "common/addr.h"
#include "common/cleanup.h"
#include "common/identity.h"
#include "common/key.h"
#include "trust/token.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define INTEGER_MAX (UINT64_C(1) << 53) /* what every JSON reader can hold */

static const void *at(const struct field *field, const void *statement)
{
	return (const char *)statement + field->offset;
}

static void *at_mutable(const struct field *field, void *statement)
{
	return (char *)statement + field->offset;
}

static size_t count_of(const struct field *field, const void *statement)
{
	size_t n;
	memcpy(&n, (const char *)statement + field->count_offset, sizeof(n));
	return n;
}

static int refuse(const struct field *field, struct err *err)
{
	return err_set(err, "member %s: expected %s", field->name, field->type->wants);
}

/* ---- bytes ---- */

static int hex_parse(json_t *value, uint8_t *bytes, size_t size)
{
	const char *text = json_string_value(value);
	size_t length;

	if (!text || strlen(text) != 2 * size ||
	    sodium_hex2bin(bytes, size, text, 2 * size, NULL, &length, NULL) != 0 || length != size)
		return -EINVAL;
	return 0;
}

static json_t *hex_encode(const struct field *field, const void *statement)
{
	char text[KEY_HEX_MAX];

	if (2 * field->size >= sizeof(text))
		return NULL;
	return json_string(sodium_bin2hex(text, sizeof(text), at(field, statement), field->size));
}

static int hex_decode(const struct field *field, json_t *value, void *statement, struct err *err)
{
	if (hex_parse(value, at_mutable(field, statement), field->size) < 0)
		return refuse(field, err);
	return 0;
}

const struct field_type field_hex = {"lower-case hex digits of the right number", hex_encode,
				     hex_decode};

/* Whether it is a good point is decided where a signature of it is verified; no key is all zeros. */
static int signing_key_parse(json_t *value, struct key *ret)
{
	return hex_parse(value, ret->bytes, KEY_SIZE) < 0 || key_is_zero(ret) ? -EINVAL : 0;
}

static int signing_key_decode(const struct field *field, json_t *value, void *statement,
			      struct err *err)
{
	if (signing_key_parse(value, at_mutable(field, statement)) < 0)
		return refuse(field, err);
	return 0;
}

const struct field_type field_signing_key = {"an Ed25519 public key, 64 lower-case hex digits",
					     hex_encode, signing_key_decode};

static json_t *signing_keys_encode(const struct field *field, const void *statement)
{
	const struct key *keys = at(field, statement);
	json_t *array = json_array();

	for (size_t i = 0; array && i < count_of(field, statement); i++) {
		char text[KEY_HEX_MAX];

		if (json_array_append_new(array, json_string(key_format_hex(&keys[i], text))) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int signing_keys_decode(const struct field *field, json_t *value, void *statement,
			       struct err *err)
{
	struct key *keys = at_mutable(field, statement);
	size_t n = json_array_size(value);

	if (!json_is_array(value) || n < field->min || n > field->max)
		return refuse(field, err);
	for (size_t i = 0; i < n; i++) {
		if (signing_key_parse(json_array_get(value, i), &keys[i]) < 0)
			return refuse(field, err);
		for (size_t j = 0; j < i; j++)
			if (key_equal(&keys[i], &keys[j]))
				return err_set(err, "member %s: a key stands twice", field->name);
	}
	memcpy((char *)statement + field->count_offset, &n, sizeof(n));
	return 0;
}

const struct field_type field_signing_keys = {"a list of distinct Ed25519 public keys in hex",
					      signing_keys_encode, signing_keys_decode};

static json_t *wireguard_key_encode(const struct field *field, const void *statement)
{
	char text[KEY_B64_MAX];
	return json_string(key_format_b64(at(field, statement), text));
}

/*
 * Curve25519 ignores the top bit, so a key with it set would be a second name for the same key; and a point of small
 * order makes every shared secret zero. libsodium's scalar multiplication refuses the latter for any scalar.
 */
static bool wireguard_key_valid(const struct key *key)
{
	static const uint8_t scalar[32] = {8, [31] = 64};
	uint8_t shared[32];

	return !(key->bytes[31] & 0x80) && crypto_scalarmult(shared, scalar, key->bytes) == 0;
}

static int wireguard_key_decode(const struct field *field, json_t *value, void *statement,
				struct err *err)
{
	const char *text = json_string_value(value);
	struct key *key = at_mutable(field, statement);

	if (!text || key_parse_b64(text, key) < 0 || !wireguard_key_valid(key))
		return refuse(field, err);
	return 0;
}

const struct field_type field_wireguard_key = {"a WireGuard public key in base64",
					       wireguard_key_encode, wireguard_key_decode};

/* ---- integers ---- */

static json_t *integer_encode(const struct field *field, const void *statement)
{
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (field->size) {
	case sizeof(u16):
		memcpy(&u16, at(field, statement), sizeof(u16));
		return json_integer(u16);
	case sizeof(u32):
		memcpy(&u32, at(field, statement), sizeof(u32));
		return json_integer(u32);
	default:
		memcpy(&u64, at(field, statement), sizeof(u64));
		return json_integer((json_int_t)u64);
	}
}

static int integer_decode(const struct field *field, json_t *value, void *statement,
			  struct err *err)
{
	json_int_t integer = json_integer_value(value);
	uint64_t max = field->max ? field->max : INTEGER_MAX;
	uint64_t u64 = (uint64_t)integer;
	uint16_t u16 = (uint16_t)u64;
	uint32_t u32 = (uint32_t)u64;

	if (!json_is_integer(value) || integer < 0 || u64 < field->min || u64 > max ||
	    (field->size == sizeof(u16) && u64 > UINT16_MAX) ||
	    (field->size == sizeof(u32) && u64 > UINT32_MAX))
		return err_set(err, "member %s: expected a number from %llu to %llu", field->name,
			       (unsigned long long)field->min, (unsigned long long)max);
	memcpy(at_mutable(field, statement),
	       field->size == sizeof(u16)   ? (void *)&u16
	       : field->size == sizeof(u32) ? (void *)&u32
					    : (void *)&u64,
	       field->size);
	return 0;
}

const struct field_type field_integer = {"a number", integer_encode, integer_decode};

/* ---- texts ---- */

static json_t *text_encode(const struct field *field, const void *statement)
{
	return json_string(at(field, statement));
}

static int text_decode(const struct field *field, json_t *value, void *statement, struct err *err)
{
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) >= field->size || !field->valid(text))
		return refuse(field, err);
	memcpy(at_mutable(field, statement), text, json_string_length(value) + 1);
	return 0;
}

const struct field_type field_text = {"a text of its grammar and length", text_encode, text_decode};

static json_t *owned_text_encode(const struct field *field, const void *statement)
{
	char *text;
	memcpy(&text, at(field, statement), sizeof(text));
	return json_string(text ? text : "");
}

static int owned_text_decode(const struct field *field, json_t *value, void *statement,
			     struct err *err)
{
	char *text;

	if (!json_is_string(value) || json_string_length(value) > field->max)
		return refuse(field, err);
	text = strdup(json_string_value(value));
	if (!text)
		return err_code(err, -ENOMEM, "out of memory");
	memcpy(at_mutable(field, statement), &text, sizeof(text));
	return 0;
}

const struct field_type field_owned_text = {"a text within its length", owned_text_encode,
					    owned_text_decode};

/* ---- addresses ---- */

static json_t *addr_encode(const struct field *field, const void *statement)
{
	char text[ADDR_TEXT_MAX];
	return json_string(addr_format(at(field, statement), text));
}

static int addr_decode(const struct field *field, json_t *value, int family, void *statement,
		       struct err *err)
{
	const char *text = json_string_value(value);
	struct addr *addr = at_mutable(field, statement);

	if (!text || addr_parse(text, addr) < 0 || addr->family != family)
		return refuse(field, err);
	return 0;
}

static int addr6_decode(const struct field *field, json_t *value, void *statement, struct err *err)
{
	return addr_decode(field, value, AF_INET6, statement, err);
}

static int addr4_decode(const struct field *field, json_t *value, void *statement, struct err *err)
{
	return addr_decode(field, value, AF_INET, statement, err);
}

const struct field_type field_addr6 = {"an IPv6 address", addr_encode, addr6_decode};
const struct field_type field_addr4 = {"an IPv4 address", addr_encode, addr4_decode};

static json_t *overlay_encode(const struct field *field, const void *statement)
{
	const struct prefix *prefix = at(field, statement);
	char text[PREFIX_TEXT_MAX];

	return json_string(addr_is_set(&prefix->addr) ? prefix_format(prefix, text) : "");
}

static int overlay6_decode(const struct field *field, json_t *value, void *statement,
			   struct err *err)
{
	const char *text = json_string_value(value);
	struct prefix *prefix = at_mutable(field, statement);

	if (!text || prefix_parse(text, prefix) < 0 || !overlay6_valid(prefix))
		return refuse(field, err);
	return 0;
}

static int overlay4_decode(const struct field *field, json_t *value, void *statement,
			   struct err *err)
{
	const char *text = json_string_value(value);
	struct prefix *prefix = at_mutable(field, statement);

	if (!text || (*text && (prefix_parse(text, prefix) < 0 || !overlay4_valid(prefix))))
		return refuse(field, err);
	return 0;
}

const struct field_type field_overlay6 = {"an IPv6 prefix fdXX:XXXX:XXXX::/48", overlay_encode,
					  overlay6_decode};
const struct field_type field_overlay4 = {"an IPv4 prefix of length 8 to 29, or an empty text",
					  overlay_encode, overlay4_decode};

/* ---- labels and endpoints ---- */

static json_t *labels_encode(const struct field *field, const void *statement)
{
	const struct labels *labels = at(field, statement);
	json_t *object = json_object();

	for (size_t i = 0; object && i < labels->count; i++)
		if (json_object_set_new(object, labels->items[i].key,
					json_string(labels->items[i].value)) < 0) {
			json_decref(object);
			return NULL;
		}
	return object;
}

static int labels_decode(const struct field *field, json_t *value, void *statement, struct err *err)
{
	struct labels *labels = at_mutable(field, statement);
	void *i;

	if (!json_is_object(value))
		return refuse(field, err);
	for (i = json_object_iter(value); i; i = json_object_iter_next(value, i)) {
		const char *text = json_string_value(json_object_iter_value(i));

		if (!text)
			return refuse(field, err);
		if (labels_add(labels, json_object_iter_key(i), text, err) < 0)
			return -EINVAL;
	}
	return 0;
}

const struct field_type field_labels = {"an object of texts", labels_encode, labels_decode};

static json_t *endpoints_encode(const struct field *field, const void *statement)
{
	const char(*texts)[TOKEN_HOST_MAX] = at(field, statement);
	json_t *array = json_array();

	for (size_t i = 0; array && i < count_of(field, statement); i++)
		if (json_array_append_new(array, json_string(texts[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

static int endpoints_decode(const struct field *field, json_t *value, void *statement,
			    struct err *err)
{
	char(*texts)[TOKEN_HOST_MAX] = at_mutable(field, statement);
	size_t n = json_array_size(value);

	if (!json_is_array(value) || n < field->min || n > field->max)
		return refuse(field, err);
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(value, i));

		if (!text || !token_endpoint_valid(text))
			return refuse(field, err);
		memcpy(texts[i], text, strlen(text) + 1);
	}
	memcpy((char *)statement + field->count_offset, &n, sizeof(n));
	return 0;
}

const struct field_type field_endpoints = {"a list of HOST:PORT", endpoints_encode,
					   endpoints_decode};
