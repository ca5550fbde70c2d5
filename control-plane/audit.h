/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The audit log: one entry for every effect and every refusal that somebody should know of, chained by hashes.
 *
 * hash(n) = SHA-256(hash(n-1) | seq | at | actor | action | object | detail), numbers as 8 bytes big-endian, texts
 * with a 4-byte length before them; hash(0) is 32 zero bytes. A chain shows changes, not truncation: the head must
 * be compared with one that was kept elsewhere (`status` prints it). Pure, no store.
 */
#pragma once
#include <stdint.h>

#define AUDIT_TEXT_MAX 256

struct audit_entry {
	int64_t seq, at;
	const char *actor;  /* "uid 0", "identity HEX", "token HEX", "control" */
	const char *action; /* "enrolled", "token-second-use", ... */
	const char *object; /* an id, "policy 3", ... never a name alone */
	const char *detail; /* one line for people */
};

void audit_hash(const uint8_t previous[32], const struct audit_entry *entry, uint8_t ret[32]);
/* Copies what others wrote with control characters replaced, cut to AUDIT_TEXT_MAX. */
const char *audit_clean(const char *text, char ret[AUDIT_TEXT_MAX]);
