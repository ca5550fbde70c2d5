/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ed25519 key pairs and their files. The seed is all that is kept; the public key is computed from it. */
#include "trust/envelope.h"
#include "common/file.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define FILE_PREFIX "sortie-ed25519-seed1 "
#define FILE_LENGTH (sizeof(FILE_PREFIX) - 1 + 2 * KEY_SIZE + 1)

void signing_key_from_seed(const struct key *seed, struct signing_key *ret)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	(void)crypto_sign_seed_keypair(ret->public_key.bytes, secret, seed->bytes);
	ret->seed = *seed;
	sodium_memzero(secret, sizeof(secret));
}

void signing_key_generate(struct signing_key *ret)
{
	_cleanup_(key_wipe) struct key seed;

	randombytes_buf(seed.bytes, KEY_SIZE);
	signing_key_from_seed(&seed, ret);
}

void signing_key_wipe(struct signing_key *key)
{
	key_wipe(&key->seed);
}

static int parse_file(const char *path, char *content, size_t length, struct key *ret,
		      struct err *err)
{
	if (length != FILE_LENGTH || strlen(content) != length ||
	    memcmp(content, FILE_PREFIX, sizeof(FILE_PREFIX) - 1) != 0 ||
	    content[length - 1] != '\n')
		return err_set(err, "%.150s: expected one line \"" FILE_PREFIX "HEX\"", path);
	content[length - 1] = '\0';
	if (key_parse_hex(content + sizeof(FILE_PREFIX) - 1, ret) < 0)
		return err_set(err, "%.150s: expected 64 lower-case hex digits", path);
	return 0;
}

int signing_key_load(const char *path, struct signing_key *ret, struct err *err)
{
	_cleanup_(key_wipe) struct key seed = {0};
	char *content;
	size_t length;
	int r = file_read_secret(path, FILE_LENGTH, &content, &length);

	if (r == -EPERM)
		return err_code(err, r, "%.150s: others can read this key; chmod 600 it", path);
	if (r == -EFBIG)
		return err_set(err, "%.150s: too long for a key file", path);
	if (r < 0)
		return err_code(err, r, "%.150s: %s", path, strerror(-r));
	r = parse_file(path, content, length, &seed, err);
	secret_free(content, length);
	if (r == 0)
		signing_key_from_seed(&seed, ret);
	return r;
}

int signing_key_save(const char *path, const struct signing_key *key)
{
	char content[FILE_LENGTH + 1] = FILE_PREFIX;
	int r;

	(void)key_format_hex(&key->seed, content + sizeof(FILE_PREFIX) - 1);
	content[FILE_LENGTH - 1] = '\n';
	r = file_write(path, content, FILE_LENGTH, 0600);
	sodium_memzero(content, sizeof(content));
	return r;
}
