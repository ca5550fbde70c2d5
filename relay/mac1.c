// SPDX-License-Identifier: GPL-2.0-or-later
/* BLAKE2s (RFC 7693) as far as a chaining value needs it: libsodium has only BLAKE2b. */
#include "relay/mac1.h"
#include <string.h>

#define MAC1_LENGTH   16
#define KEY_LENGTH    32
#define DIGEST_LENGTH 32

static const uint8_t label[8] = "mac1----"; /* no NUL */
static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
				    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint8_t order[10][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint32_t rotate_right(uint32_t x, unsigned int n)
{
	return x >> n | x << (32 - n);
}

static void mix(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d, uint32_t x, uint32_t y)
{
	*a += *b + x;
	*d = rotate_right(*d ^ *a, 16);
	*c += *d;
	*b = rotate_right(*b ^ *c, 12);
	*a += *b + y;
	*d = rotate_right(*d ^ *a, 8);
	*c += *d;
	*b = rotate_right(*b ^ *c, 7);
}

static void compress(uint32_t h[8], const uint8_t block[64], uint32_t counter, uint32_t final)
{
	uint32_t v[16], m[16];
	for (unsigned int i = 0; i < 16; i++)
		m[i] = (uint32_t)block[4 * i] | (uint32_t)block[4 * i + 1] << 8 |
		       (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
	memcpy(v, h, 32);
	memcpy(v + 8, initial, sizeof(initial));
	v[12] ^= counter;
	v[14] ^= final;
	for (unsigned int round = 0; round < 10; round++) {
		const uint8_t *o = order[round];
		for (unsigned int i = 0; i < 4; i++)
			mix(v + i, v + 4 + i, v + 8 + i, v + 12 + i, m[o[2 * i]], m[o[2 * i + 1]]);
		for (unsigned int i = 0; i < 4; i++)
			mix(v + i, v + 4 + (i + 1) % 4, v + 8 + (i + 2) % 4, v + 12 + (i + 3) % 4,
			    m[o[8 + 2 * i]], m[o[9 + 2 * i]]);
	}
	for (unsigned int i = 0; i < 8; i++)
		h[i] ^= v[i] ^ v[i + 8];
}

static void start(uint32_t h[8], uint32_t digest_length, uint32_t key_length)
{
	memcpy(h, initial, sizeof(initial));
	h[0] ^= 0x01010000 ^ key_length << 8 ^ digest_length;
}

void mac1_state(const struct key *public_key, struct relay_mac1 *ret)
{
	uint8_t block[64] = {0};
	uint32_t h[8];
	memcpy(block, label, sizeof(label));
	memcpy(block + sizeof(label), public_key->bytes, KEY_SIZE);
	start(h, DIGEST_LENGTH, 0);
	compress(h, block, sizeof(label) + KEY_SIZE, UINT32_MAX);

	memset(block, 0, sizeof(block));
	for (unsigned int i = 0; i < KEY_LENGTH; i++)
		block[i] = (uint8_t)(h[i / 4] >> 8 * (i % 4));
	start(ret->words, MAC1_LENGTH, KEY_LENGTH);
	compress(ret->words, block, sizeof(block), 0);
}
