/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Key bytes and their texts; all cryptography is libsodium's. */
#include "common/key.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

int key_parse_b64(const char *text, struct key *ret)
{
	struct key key;
	size_t length;

	/* sodium_base642bin() refuses non-zero trailing bits, so the text is canonical. */
	if (strlen(text) != KEY_B64_MAX - 1 ||
	    sodium_base642bin(key.bytes, sizeof(key.bytes), text, KEY_B64_MAX - 1, NULL, &length,
			      NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    length != KEY_SIZE)
		return -EINVAL;
	*ret = key;
	key_wipe(&key);
	return 0;
}

const char *key_format_b64(const struct key *key, char text[KEY_B64_MAX])
{
	return sodium_bin2base64(text, KEY_B64_MAX, key->bytes, KEY_SIZE,
				 sodium_base64_VARIANT_ORIGINAL);
}

int key_parse_hex(const char *text, struct key *ret)
{
	struct key key;
	size_t length;

	if (strlen(text) != KEY_HEX_MAX - 1 || strpbrk(text, "ABCDEF") ||
	    sodium_hex2bin(key.bytes, sizeof(key.bytes), text, KEY_HEX_MAX - 1, NULL, &length,
			   NULL) != 0 ||
	    length != KEY_SIZE)
		return -EINVAL;
	*ret = key;
	key_wipe(&key);
	return 0;
}

const char *key_format_hex(const struct key *key, char text[KEY_HEX_MAX])
{
	return sodium_bin2hex(text, KEY_HEX_MAX, key->bytes, KEY_SIZE);
}

bool key_equal(const struct key *a, const struct key *b)
{
	return sodium_memcmp(a->bytes, b->bytes, KEY_SIZE) == 0;
}

int key_compare(const struct key *a, const struct key *b)
{
	return memcmp(a->bytes, b->bytes, KEY_SIZE);
}

bool key_is_zero(const struct key *key)
{
	return sodium_is_zero(key->bytes, KEY_SIZE) == 1;
}

void key_wipe(struct key *key)
{
	sodium_memzero(key->bytes, KEY_SIZE);
}

void key_generate_curve25519(struct key *ret_private)
{
	randombytes_buf(ret_private->bytes, KEY_SIZE);
	/* Clamped here because wireguard-go and the kernel read keys back clamped. */
	ret_private->bytes[0] &= 248;
	ret_private->bytes[31] = (uint8_t)((ret_private->bytes[31] & 127) | 64);
}

int key_public_curve25519(const struct key *private_key, struct key *ret)
{
	struct key public;

	if (crypto_scalarmult_base(public.bytes, private_key->bytes) != 0 || key_is_zero(&public))
		return -EINVAL;
	*ret = public;
	return 0;
}
