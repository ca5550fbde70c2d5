/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit chain's hash, and what may stand in an entry. */
#include "control-plane/audit.h"
#include <sodium.h>
#include <string.h>

static void add_number(crypto_hash_sha256_state *state, uint64_t value)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (56 - 8 * i));
	crypto_hash_sha256_update(state, bytes, sizeof(bytes));
}

/* The length goes first, so that moving a character from one field to the next changes the hash. */
static void add_text(crypto_hash_sha256_state *state, const char *text)
{
	size_t length = strlen(text);
	uint8_t bytes[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16),
			    (uint8_t)(length >> 8), (uint8_t)length};

	crypto_hash_sha256_update(state, bytes, sizeof(bytes));
	crypto_hash_sha256_update(state, (const uint8_t *)text, length);
}

void audit_hash(const uint8_t previous[32], const struct audit_entry *entry, uint8_t ret[32])
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, previous, 32);
	add_number(&state, (uint64_t)entry->seq);
	add_number(&state, (uint64_t)entry->at);
	add_text(&state, entry->actor);
	add_text(&state, entry->action);
	add_text(&state, entry->object);
	add_text(&state, entry->detail);
	crypto_hash_sha256_final(&state, ret);
}

const char *audit_clean(const char *text, char ret[AUDIT_TEXT_MAX])
{
	size_t n = 0;

	for (; text[n] && n < AUDIT_TEXT_MAX - 1; n++) {
		unsigned char c = (unsigned char)text[n];
		ret[n] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
	}
	ret[n] = '\0';
	return ret;
}
