/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RFC 6962: leaves and inner nodes are hashed with different first bytes, so that neither can pass for the other.
 * Trees are split at the greatest power of two below n; the depth is at most 64.
 */
#include "trust/merkle.h"
#include <sodium.h>
#include <string.h>

#define HASH crypto_hash_sha256_BYTES

static void hash_leaf(const struct merkle_leaf *leaf, uint8_t ret[HASH])
{
	static const uint8_t prefix = 0;
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	(void)crypto_hash_sha256_update(&state, &prefix, 1);
	(void)crypto_hash_sha256_update(&state, leaf->bytes, leaf->length);
	(void)crypto_hash_sha256_final(&state, ret);
}

/* ret may be left or right. */
static void hash_node(const uint8_t left[HASH], const uint8_t right[HASH], uint8_t ret[HASH])
{
	uint8_t bytes[1 + 2 * HASH] = {1};

	memcpy(bytes + 1, left, HASH);
	memcpy(bytes + 1 + HASH, right, HASH);
	(void)crypto_hash_sha256(ret, bytes, sizeof(bytes));
}

/* The greatest power of two below n; n > 1. */
static size_t split(size_t n)
{
	size_t k = 1;

	while (k < n - k)
		k *= 2;
	return k;
}

void merkle_root(const struct merkle_leaf *leaves, size_t n, uint8_t ret[32])
{
	uint8_t right[HASH];
	size_t k;

	if (n == 0) {
		(void)crypto_hash_sha256(ret, NULL, 0);
		return;
	}
	if (n == 1) {
		hash_leaf(leaves, ret);
		return;
	}
	k = split(n);
	merkle_root(leaves, k, ret);
	merkle_root(leaves + k, n - k, right);
	hash_node(ret, right, ret);
}

size_t merkle_proof(const struct merkle_leaf *leaves, size_t n, size_t index, uint8_t ret[64][32])
{
	size_t k, length;

	if (n < 2 || index >= n)
		return 0;
	k = split(n);
	if (index < k) {
		length = merkle_proof(leaves, k, index, ret);
		merkle_root(leaves + k, n - k, ret[length]);
	} else {
		length = merkle_proof(leaves + k, n - k, index - k, ret);
		merkle_root(leaves, k, ret[length]);
	}
	return length + 1;
}

/* RFC 9162 section 2.1.3.2: climbs from the leaf; `last` is the right edge of the tree at this level. */
bool merkle_verify(const uint8_t root[32], size_t n, size_t index, const struct merkle_leaf *leaf,
		   const uint8_t (*path)[32], size_t n_path)
{
	size_t last = n - 1;
	uint8_t hash[HASH];

	if (index >= n || n_path > 64)
		return false;
	hash_leaf(leaf, hash);
	for (size_t i = 0; i < n_path; i++) {
		if (last == 0)
			return false;
		if (index & 1 || index == last) {
			hash_node(path[i], hash, hash);
			while (!(index & 1) && index != 0) {
				index >>= 1;
				last >>= 1;
			}
		} else {
			hash_node(hash, path[i], hash);
		}
		index >>= 1;
		last >>= 1;
	}
	return last == 0 && sodium_memcmp(hash, root, HASH) == 0;
}
