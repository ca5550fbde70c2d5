/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The join token's text, and what everybody derives from its seed, from keys and from the /48.
 *
 * Layout, integers big-endian: version 1, network id 16, /48 6, IPv4 range 4 + length 1 (0: none), endpoints 1 and for
 * each length 2 + text, hub key 32, root fingerprint 32, not-after 8, seed 32, checksum 4 (of all before it).
 */
#include "trust/token.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "common/base32.h"
#include "common/cleanup.h"

#define PREFIX	      "sortie1_"
#define VERSION	      1
#define CHECKSUM_SIZE 4
#define BYTES_MAX     ((TOKEN_TEXT_MAX - sizeof(PREFIX)) * 5 / 8)
#define TIME_MAX      (INT64_C(1) << 53)

_Static_assert(sizeof(PREFIX) + BASE32_LENGTH(1 + 16 + 6 + 5 + 1 +
					      TOKEN_ENDPOINTS_MAX * (2 + TOKEN_HOST_MAX) + 32 + 32 +
					      8 + 32 + CHECKSUM_SIZE) <=
		       TOKEN_TEXT_MAX,
	       "the longest token fits");

int network_id_parse(const char *hex, struct network_id *ret)
{
	struct network_id id;
	size_t length;

	if (strlen(hex) != NETWORK_ID_HEX_MAX - 1 || strpbrk(hex, "ABCDEF") ||
	    sodium_hex2bin(id.bytes, sizeof(id.bytes), hex, NETWORK_ID_HEX_MAX - 1, NULL, &length,
			   NULL) != 0 ||
	    length != sizeof(id.bytes))
		return -EINVAL;
	*ret = id;
	return 0;
}

const char *network_id_format(const struct network_id *id, char text[NETWORK_ID_HEX_MAX])
{
	return sodium_bin2hex(text, NETWORK_ID_HEX_MAX, id->bytes, sizeof(id->bytes));
}

/* ---- grammar ---- */

bool overlay6_valid(const struct prefix *prefix)
{
	return prefix->addr.family == AF_INET6 && prefix->length == 48 &&
	       prefix->addr.bytes[0] == 0xfd;
}

bool overlay4_valid(const struct prefix *prefix)
{
	return prefix->addr.family == AF_INET && prefix->length >= 8 && prefix->length <= 29;
}

static bool host_valid(const char *host, size_t length)
{
	bool part = false; /* an empty part has no end that could be checked */

	if (length == 0 || length > 253)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = host[i];
		bool alnum =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!alnum && (!part || (c != '.' && c != '-' && c != '_')))
			return false;
		part = c != '.';
	}
	return part;
}

static bool port_valid(const char *text)
{
	unsigned int port = 0;

	if (*text < '1' || *text > '9' || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned int)(*text - '0');
	}
	return port <= 65535;
}

bool token_endpoint_valid(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct endpoint endpoint;

	if (strlen(text) >= TOKEN_HOST_MAX)
		return false;
	if (*text == '[')
		return endpoint_parse(text, &endpoint) == 0;
	return colon && host_valid(text, (size_t)(colon - text)) && port_valid(colon + 1);
}

/* ---- bytes ---- */

/* A cursor that remembers that it ran over its end; nothing is copied then. */
struct cursor {
	uint8_t *bytes;
	size_t length, used;
	bool failed;
};

static uint8_t *advance(struct cursor *cursor, size_t n)
{
	if (cursor->failed || n > cursor->length - cursor->used) {
		cursor->failed = true;
		return NULL;
	}
	cursor->used += n;
	return cursor->bytes + cursor->used - n;
}

static void put(struct cursor *cursor, const void *bytes, size_t n)
{
	uint8_t *to = advance(cursor, n);
	if (to)
		memcpy(to, bytes, n);
}

static void put_integer(struct cursor *cursor, uint64_t value, size_t n)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
	put(cursor, bytes, n);
}

static void get(struct cursor *cursor, void *bytes, size_t n)
{
	const uint8_t *from = advance(cursor, n);
	if (from)
		memcpy(bytes, from, n);
}

static uint64_t get_integer(struct cursor *cursor, size_t n)
{
	const uint8_t *from = advance(cursor, n);
	uint64_t value = 0;

	for (size_t i = 0; from && i < n; i++)
		value = value << 8 | from[i];
	return value;
}

static void derive(const char *context, const struct key *secret, uint8_t ret[32])
{
	(void)crypto_generichash(ret, 32, (const uint8_t *)context, strlen(context), secret->bytes,
				 KEY_SIZE);
}

/* Against typing errors, not against attackers. */
static void checksum(const uint8_t *bytes, size_t length, uint8_t ret[CHECKSUM_SIZE])
{
	static const uint8_t context[] = "sortie token checksum v1";
	uint8_t hash[32];

	(void)crypto_generichash(hash, sizeof(hash), bytes, length, context, sizeof(context) - 1);
	memcpy(ret, hash, CHECKSUM_SIZE);
	sodium_memzero(hash, sizeof(hash));
}

/* What both directions demand of the content. NULL is "nothing is wrong". */
static const char *wrong_with(const struct join_token *token)
{
	if (!overlay6_valid(&token->overlay6))
		return "its IPv6 range is not a ULA /48";
	if (addr_is_set(&token->overlay4.addr) && !overlay4_valid(&token->overlay4))
		return "its IPv4 range is not of length 8 to 29";
	if (token->n_endpoints < 1 || token->n_endpoints > TOKEN_ENDPOINTS_MAX)
		return "it has no hub endpoint, or too many";
	for (size_t i = 0; i < token->n_endpoints; i++)
		if (!token_endpoint_valid(token->endpoints[i]))
			return "a hub endpoint is not HOST:PORT";
	if (token->not_after < 1 || token->not_after > TIME_MAX)
		return "its expiry is out of range";
	return NULL;
}

static void put_token(struct cursor *cursor, const struct join_token *token)
{
	put_integer(cursor, VERSION, 1);
	put(cursor, token->network.bytes, sizeof(token->network.bytes));
	put(cursor, token->overlay6.addr.bytes, 6);
	put(cursor, token->overlay4.addr.bytes, 4);
	put_integer(cursor, token->overlay4.length, 1);
	put_integer(cursor, token->n_endpoints, 1);
	for (size_t i = 0; i < token->n_endpoints; i++) {
		size_t length = strlen(token->endpoints[i]);

		put_integer(cursor, length, 2);
		put(cursor, token->endpoints[i], length);
	}
	put(cursor, token->hub_key.bytes, KEY_SIZE);
	put(cursor, token->root_fingerprint.bytes, KEY_SIZE);
	put_integer(cursor, (uint64_t)token->not_after, 8);
	put(cursor, token->seed.bytes, KEY_SIZE);
}

int token_encode(const struct join_token *token, char text[TOKEN_TEXT_MAX])
{
	uint8_t bytes[BYTES_MAX];
	struct cursor cursor = {.bytes = bytes, .length = sizeof(bytes)};
	uint8_t sum[CHECKSUM_SIZE];

	if (wrong_with(token))
		return -EINVAL;
	put_token(&cursor, token);
	checksum(bytes, cursor.used, sum);
	put(&cursor, sum, sizeof(sum));
	if (!cursor.failed) {
		memcpy(text, PREFIX, sizeof(PREFIX) - 1);
		base32_encode(bytes, cursor.used, text + sizeof(PREFIX) - 1);
	}
	sodium_memzero(bytes, sizeof(bytes));
	return cursor.failed ? -ENOSPC : 0;
}

static struct prefix get_overlay6(struct cursor *cursor)
{
	struct prefix prefix = {.addr.family = AF_INET6, .length = 48};

	get(cursor, prefix.addr.bytes, 6);
	return prefix;
}

/* A length of 0 means none and goes with an address of zeros; anything else is caught by wrong_with(). */
static struct prefix get_overlay4(struct cursor *cursor)
{
	struct prefix prefix = {0};
	uint8_t bytes[4] = {0};
	char text[PREFIX_TEXT_MAX];

	get(cursor, bytes, sizeof(bytes));
	prefix.addr = addr_from_bytes(AF_INET, bytes);
	prefix.length = (uint8_t)get_integer(cursor, 1);
	if (prefix.length == 0 && sodium_is_zero(bytes, sizeof(bytes)))
		return (struct prefix){0};
	/* Bits behind the length would be a second text for the same range. */
	if (prefix.length > 32 || prefix_parse(prefix_format(&prefix, text), &prefix) < 0)
		cursor->failed = true;
	return prefix;
}

static void get_endpoint(struct cursor *cursor, char text[TOKEN_HOST_MAX])
{
	size_t length = get_integer(cursor, 2);

	if (length >= TOKEN_HOST_MAX)
		cursor->failed = true;
	else
		get(cursor, text, length);
	if (strlen(text) != length)
		cursor->failed = true;
}

static void get_token(struct cursor *cursor, struct join_token *token)
{
	get(cursor, token->network.bytes, sizeof(token->network.bytes));
	token->overlay6 = get_overlay6(cursor);
	token->overlay4 = get_overlay4(cursor);
	token->n_endpoints = get_integer(cursor, 1);
	if (token->n_endpoints > TOKEN_ENDPOINTS_MAX)
		return; /* wrong_with() says so */
	for (size_t i = 0; i < token->n_endpoints; i++)
		get_endpoint(cursor, token->endpoints[i]);
	get(cursor, token->hub_key.bytes, KEY_SIZE);
	get(cursor, token->root_fingerprint.bytes, KEY_SIZE);
	token->not_after = (int64_t)get_integer(cursor, 8);
	get(cursor, token->seed.bytes, KEY_SIZE);
}

static int decode_bytes(uint8_t *bytes, size_t length, struct join_token *token, struct err *err)
{
	struct cursor cursor = {.bytes = bytes, .length = length};
	uint8_t sum[CHECKSUM_SIZE];
	const char *wrong;
	uint64_t version;

	if (length < 1 + CHECKSUM_SIZE)
		return err_set(err, "join token: too short; was it cut off when it was copied?");
	cursor.length -= CHECKSUM_SIZE;
	checksum(bytes, cursor.length, sum);
	if (memcmp(sum, bytes + cursor.length, sizeof(sum)) != 0)
		return err_set(err, "join token: the checksum is wrong: a character was mistyped, "
				    "left out or added");
	version = get_integer(&cursor, 1);
	if (version != VERSION)
		return err_set(err, "join token: version %llu; this program knows version %d",
			       (unsigned long long)version, VERSION);
	get_token(&cursor, token);
	wrong = cursor.failed ? "its content is malformed" : wrong_with(token);
	if (!wrong && cursor.used != cursor.length)
		wrong = "its content is malformed";
	return wrong ? err_set(err, "join token: %s", wrong) : 0;
}

/* Checks prefix and characters, so that the message can say which one is wrong. */
static int check_text(const char *text, size_t length, struct err *err)
{
	if (length < sizeof(PREFIX) - 1 || memcmp(text, PREFIX, sizeof(PREFIX) - 1) != 0)
		return err_set(err, "join token: it must begin with " PREFIX);
	for (size_t i = sizeof(PREFIX) - 1; i < length; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz234567", text[i]))
			return err_set(err, "join token: character %zu is none of a-z and 2-7",
				       i + 1);
	if (length >= TOKEN_TEXT_MAX)
		return err_set(err, "join token: longer than %d characters", TOKEN_TEXT_MAX - 1);
	return 0;
}

static int decode_text(const char *text, size_t length, struct join_token *token, struct err *err)
{
	char body[TOKEN_TEXT_MAX];
	uint8_t bytes[BYTES_MAX + 1];
	size_t n;
	int r = check_text(text, length, err);

	if (r < 0)
		return r;
	memcpy(body, text, length);
	body[length] = '\0';
	if (base32_decode(body + sizeof(PREFIX) - 1, bytes, sizeof(bytes), &n) < 0)
		r = err_set(err, "join token: its length is impossible; was it cut off?");
	else
		r = decode_bytes(bytes, n, token, err);
	sodium_memzero(body, sizeof(body));
	sodium_memzero(bytes, sizeof(bytes));
	return r;
}

int token_decode(const char *text, struct join_token *ret, struct err *err)
{
	_cleanup_(token_wipe) struct join_token token = {0};
	size_t length;
	int r;

	text += strspn(text, " \t\r\n");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		length--;
	r = decode_text(text, length, &token, err);
	if (r == 0)
		*ret = token;
	return r;
}

void token_wipe(struct join_token *token)
{
	key_wipe(&token->seed);
}

/* ---- derived ---- */

void token_join_key(const struct join_token *token, struct signing_key *ret)
{
	_cleanup_(key_wipe) struct key seed;

	derive("sortie join key v1", &token->seed, seed.bytes);
	signing_key_from_seed(&seed, ret);
}

void token_wireguard_key(const struct join_token *token, struct key *ret_private)
{
	derive("sortie join wireguard v1", &token->seed, ret_private->bytes);
	ret_private->bytes[0] &= 248;
	ret_private->bytes[31] = (uint8_t)((ret_private->bytes[31] & 127) | 64);
}

struct addr token_address(const struct prefix *overlay6, const struct key *onetime_public)
{
	struct addr addr = overlay6->addr;
	uint8_t hash[32];

	(void)crypto_generichash(hash, sizeof(hash), onetime_public->bytes, KEY_SIZE, NULL, 0);
	memset(addr.bytes + 6, 0xff, 2);
	memcpy(addr.bytes + 8, hash, 8);
	return addr;
}

int identity_address(const struct network_id *network, const struct prefix *overlay6,
		     const struct key *k3_public, struct addr *ret)
{
	struct addr addr = overlay6->addr;
	uint8_t bytes[sizeof(network->bytes) + KEY_SIZE];
	uint8_t hash[crypto_hash_sha256_BYTES];

	memcpy(bytes, network->bytes, sizeof(network->bytes));
	memcpy(bytes + sizeof(network->bytes), k3_public->bytes, KEY_SIZE);
	(void)crypto_hash_sha256(hash, bytes, sizeof(bytes));
	if ((hash[0] == 0 && hash[1] == 0) || (hash[0] == 0xff && hash[1] == 0xff))
		return -EAGAIN;
	memcpy(addr.bytes + 6, hash, 10);
	*ret = addr;
	return 0;
}

struct addr hub_address6(const struct prefix *overlay6)
{
	struct addr addr = overlay6->addr;

	addr.bytes[15] = 1;
	return addr;
}

struct addr hub_address4(const struct prefix *overlay4)
{
	struct addr addr = overlay4->addr;

	addr.bytes[3] |= 1;
	return addr;
}
