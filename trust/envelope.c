/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSSE envelopes. What is signed is PAE(type, payload), so a signature for one type of object is none for another.
 * Parsing tells the shape only; whoever reads the payload has asked envelope_signed_by() first.
 *
 * An envelope has one text: members in DSSE's order, compact, canonical base64. White space around it is ignored.
 */
#include "trust/envelope.h"
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* "DSSEv1 LENGTH(type) type LENGTH(payload) payload"; malloc()ed. */
static uint8_t *pae(const char *type, const char *payload, size_t length, size_t *ret_length)
{
	char head[128];
	int n = snprintf(head, sizeof(head), "DSSEv1 %zu %s %zu ", strlen(type), type, length);
	uint8_t *bytes;

	if (n < 0 || (size_t)n >= sizeof(head))
		return NULL;
	bytes = malloc((size_t)n + length + 1);
	if (!bytes)
		return NULL;
	memcpy(bytes, head, (size_t)n);
	memcpy(bytes + n, payload, length);
	*ret_length = (size_t)n + length;
	return bytes;
}

static int sign(const char *type, const char *payload, size_t length, const struct signing_key *key,
		struct envelope_signature *ret)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	size_t n;
	_cleanup_(freep) uint8_t *bytes = pae(type, payload, length, &n);

	if (!bytes)
		return -ENOMEM;
	(void)crypto_sign_seed_keypair(ret->public_key.bytes, secret, key->seed.bytes);
	(void)crypto_sign_detached(ret->signature, NULL, bytes, n, secret);
	sodium_memzero(secret, sizeof(secret));
	return 0;
}

/* ---- the text ---- */

static json_t *base64(const void *bytes, size_t length)
{
	size_t size = sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL);
	_cleanup_(freep) char *text = malloc(size);

	if (!text)
		return NULL;
	return json_string(
		sodium_bin2base64(text, size, bytes, length, sodium_base64_VARIANT_ORIGINAL));
}

static json_t *signatures_to_json(const struct envelope *envelope)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < envelope->n_signatures; i++) {
		const struct envelope_signature *signature = &envelope->signatures[i];
		char keyid[KEY_HEX_MAX];
		json_t *item = json_object();

		(void)json_object_set_new(
			item, "keyid", json_string(key_format_hex(&signature->public_key, keyid)));
		(void)json_object_set_new(
			item, "sig", base64(signature->signature, sizeof(signature->signature)));
		if (json_object_size(item) != 2 || json_array_append(array, item) < 0) {
			json_decref(array);
			array = NULL;
		}
		json_decref(item);
	}
	return array;
}

static char *to_text(const struct envelope *envelope)
{
	_cleanup_(json_decrefp) json_t *json = json_object();

	(void)json_object_set_new(json, "payloadType", json_string(envelope->type));
	(void)json_object_set_new(json, "payload",
				  base64(envelope->payload, envelope->payload_length));
	(void)json_object_set_new(json, "signatures", signatures_to_json(envelope));
	return json_object_size(json) == 3 ? json_dumps(json, JSON_COMPACT) : NULL;
}

static int to_limited_text(const struct envelope *envelope, char **ret)
{
	char *text = to_text(envelope);

	if (!text)
		return -ENOMEM;
	if (strlen(text) > ENVELOPE_TEXT_MAX) {
		free(text);
		return -EFBIG;
	}
	*ret = text;
	return 0;
}

int envelope_sign(const char *type, const char *payload, size_t length,
		  const struct signing_key *const *keys, size_t n_keys, char **ret_text)
{
	struct envelope envelope = {.payload_length = length, .n_signatures = n_keys};
	int r;

	if (n_keys == 0 || n_keys > ENVELOPE_SIGNATURES_MAX || !*type ||
	    strlen(type) >= sizeof(envelope.type))
		return -EINVAL;
	(void)snprintf(envelope.type, sizeof(envelope.type), "%s", type);
	for (size_t i = 0; i < n_keys; i++) {
		r = sign(type, payload, length, keys[i], &envelope.signatures[i]);
		if (r < 0)
			return r;
	}
	envelope.payload = malloc(length + 1);
	if (!envelope.payload)
		return -ENOMEM;
	memcpy(envelope.payload, payload, length);
	r = to_limited_text(&envelope, ret_text);
	free(envelope.payload);
	return r;
}

int envelope_add_signature(const char *text, size_t length, const struct signing_key *key,
			   char **ret_text, struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	int r = envelope_parse(text, length, NULL, &envelope, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < envelope->n_signatures; i++)
		if (key_equal(&envelope->signatures[i].public_key, &key->public_key))
			return err_code(err, -EEXIST, "this key has signed already");
	if (envelope->n_signatures == ENVELOPE_SIGNATURES_MAX)
		return err_set(err, "envelope: %d signatures already", ENVELOPE_SIGNATURES_MAX);
	r = sign(envelope->type, envelope->payload, envelope->payload_length, key,
		 &envelope->signatures[envelope->n_signatures]);
	if (r == 0) {
		envelope->n_signatures++;
		r = to_limited_text(envelope, ret_text);
	}
	return r < 0 ? err_code(err, r, "envelope: %s", strerror(-r)) : 0;
}

/* ---- parsing ---- */

/* Whole text, canonical (libsodium refuses non-zero trailing bits), at most size bytes. */
static int base64_decode(const char *text, size_t text_length, void *bytes, size_t size,
			 size_t *ret_length)
{
	return sodium_base642bin(bytes, size, text, text_length, NULL, ret_length, NULL,
				 sodium_base64_VARIANT_ORIGINAL) == 0
		       ? 0
		       : -EINVAL;
}

static int parse_signature(json_t *json, struct envelope *envelope, struct err *err)
{
	struct envelope_signature *signature = &envelope->signatures[envelope->n_signatures];
	const char *keyid, *sig;
	size_t length;

	if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:s}", "keyid", &keyid, "sig", &sig) < 0)
		return err_set(err, "envelope: a signature is {\"keyid\", \"sig\"}");
	if (key_parse_hex(keyid, &signature->public_key) < 0)
		return err_set(err, "envelope: keyid is 64 lower-case hex digits");
	if (base64_decode(sig, strlen(sig), signature->signature, sizeof(signature->signature),
			  &length) < 0 ||
	    length != sizeof(signature->signature))
		return err_set(err, "envelope: sig is 64 bytes in canonical base64");
	for (size_t i = 0; i < envelope->n_signatures; i++)
		if (key_equal(&envelope->signatures[i].public_key, &signature->public_key))
			return err_set(err, "envelope: a key has signed twice");
	envelope->n_signatures++;
	return 0;
}

static int parse_signatures(json_t *array, struct envelope *envelope, struct err *err)
{
	size_t n = json_array_size(array);
	int r = 0;

	if (n == 0 || n > ENVELOPE_SIGNATURES_MAX)
		return err_set(err, "envelope: expected a list of 1 to %d signatures",
			       ENVELOPE_SIGNATURES_MAX);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = parse_signature(json_array_get(array, i), envelope, err);
	return r;
}

static int parse_json(json_t *json, struct envelope *envelope, struct err *err)
{
	const char *type, *payload;
	size_t length;
	json_t *signatures;

	if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s, s:s%, s:o}", "payloadType", &type,
			   "payload", &payload, &length, "signatures", &signatures) < 0)
		return err_set(err, "envelope: expected the members payloadType, payload and "
				    "signatures, and no other");
	if (!*type || strlen(type) >= sizeof(envelope->type))
		return err_set(err, "envelope: payloadType has 1 to %zu characters",
			       sizeof(envelope->type) - 1);
	(void)snprintf(envelope->type, sizeof(envelope->type), "%s", type);
	envelope->payload = calloc(1, length / 4 * 3 + 4);
	if (!envelope->payload)
		return err_code(err, -ENOMEM, "out of memory");
	if (base64_decode(payload, length, envelope->payload, length / 4 * 3 + 3,
			  &envelope->payload_length) < 0)
		return err_set(err, "envelope: payload is not canonical base64");
	envelope->payload[envelope->payload_length] = '\0';
	return parse_signatures(signatures, envelope, err);
}

static int load(const char *text, size_t length, json_t **ret, struct err *err)
{
	json_error_t error;
	json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);

	if (!json && json_error_code(&error) == json_error_out_of_memory)
		return err_code(err, -ENOMEM, "out of memory");
	if (!json)
		return err_set(err, "envelope: %s", error.text);
	*ret = json;
	return 0;
}

static void trim(const char **text, size_t *length)
{
	while (*length > 0 && strchr(" \t\r\n", (*text)[*length - 1]) && (*text)[*length - 1])
		(*length)--;
	while (*length > 0 && strchr(" \t\r\n", **text) && **text) {
		(*text)++;
		(*length)--;
	}
}

static int check_canonical(const struct envelope *envelope, const char *text, size_t length,
			   struct err *err)
{
	_cleanup_(freep) char *canonical = to_text(envelope);

	if (!canonical)
		return err_code(err, -ENOMEM, "out of memory");
	if (strlen(canonical) != length || memcmp(canonical, text, length) != 0)
		return err_set(err, "envelope: not the canonical text of its content");
	return 0;
}

int envelope_parse(const char *text, size_t length, const char *type, struct envelope **ret,
		   struct err *err)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	_cleanup_(json_decrefp) json_t *json = NULL;
	int r;

	trim(&text, &length);
	if (length > ENVELOPE_TEXT_MAX)
		return err_set(err, "envelope: longer than %d bytes", ENVELOPE_TEXT_MAX);
	r = load(text, length, &json, err);
	if (r < 0)
		return r;
	envelope = calloc(1, sizeof(*envelope));
	if (!envelope)
		return err_code(err, -ENOMEM, "out of memory");
	r = parse_json(json, envelope, err);
	if (r == 0 && type && strcmp(envelope->type, type) != 0)
		r = err_set(err, "envelope: expected %s, got %.63s", type, envelope->type);
	if (r == 0)
		r = check_canonical(envelope, text, length, err);
	if (r == 0)
		*ret = take_pointer(envelope);
	return r;
}

void envelope_free(struct envelope *envelope)
{
	if (!envelope)
		return;
	free(envelope->payload);
	free(envelope);
}

/* ---- verification ---- */

bool envelope_signed_by(const struct envelope *envelope, const struct key *public_key)
{
	size_t length;
	_cleanup_(freep) uint8_t *bytes =
		pae(envelope->type, envelope->payload, envelope->payload_length, &length);

	for (size_t i = 0; bytes && i < envelope->n_signatures; i++)
		if (key_equal(&envelope->signatures[i].public_key, public_key) &&
		    crypto_sign_verify_detached(envelope->signatures[i].signature, bytes, length,
						public_key->bytes) == 0)
			return true;
	return false;
}

static bool stands_before(const struct key *keys, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (key_equal(&keys[j], &keys[i]))
			return true;
	return false;
}

size_t envelope_count_signers(const struct envelope *envelope, const struct key *keys, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (!stands_before(keys, i) && envelope_signed_by(envelope, &keys[i]))
			count++;
	return count;
}
