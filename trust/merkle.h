/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RFC 6962 section 2.1: Merkle tree hash over leaves, inclusion proofs and their check. SHA-256. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct merkle_leaf {
	const void *bytes;
	size_t length;
};

/* The root of no leaves is SHA-256 of nothing. */
void merkle_root(const struct merkle_leaf *leaves, size_t n, uint8_t ret[32]);
/* The audit path of leaf index, at most 64 hashes; returns their number. */
size_t merkle_proof(const struct merkle_leaf *leaves, size_t n, size_t index, uint8_t ret[64][32]);
bool merkle_verify(const uint8_t root[32], size_t n, size_t index, const struct merkle_leaf *leaf,
		   const uint8_t (*path)[32], size_t n_path);
