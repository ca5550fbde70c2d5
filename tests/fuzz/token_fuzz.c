/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Join tokens. A text that begins with the prefix goes in as it is; any other input is taken for the bytes of a token
 * and sealed with a right checksum, or no fuzzer would ever come behind it. What is accepted has one text.
 */
#include "tests/fuzz/fuzz.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base32.h"
#include "trust/token.h"

#define PREFIX "sortie1_"

static void check(const char *text)
{
	struct join_token token;
	struct err err;
	char again[TOKEN_TEXT_MAX];

	if (token_decode(text, &token, &err) < 0)
		return;
	if (token_encode(&token, again) < 0 ||
	    strncmp(strstr(text, PREFIX), again, strlen(again)) != 0)
		abort();
}

static void check_sealed(const uint8_t *data, size_t size)
{
	static const char context[] = "sortie token checksum v1";
	uint8_t bytes[TOKEN_TEXT_MAX], hash[32];
	char text[sizeof(PREFIX) + BASE32_LENGTH(sizeof(bytes))] = PREFIX;

	if (size > sizeof(bytes) - 4)
		return;
	memcpy(bytes, data, size);
	(void)crypto_generichash(hash, sizeof(hash), bytes, size, (const uint8_t *)context,
				 strlen(context));
	memcpy(bytes + size, hash, 4);
	base32_encode(bytes, size + 4, text + strlen(PREFIX));
	check(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2 * TOKEN_TEXT_MAX];

	if (size < strlen(PREFIX) || memcmp(data, PREFIX, strlen(PREFIX)) != 0) {
		check_sealed(data, size);
		return 0;
	}
	(void)snprintf(text, sizeof(text), "%.*s", (int)(size < sizeof(text) ? size : sizeof(text)),
		       (const char *)data);
	check(text);
	return 0;
}
