/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Merkle roots and paths against the vectors of Certificate Transparency's own tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "common/cleanup.h"
#include "trust/merkle.h"

/* certificate-transparency-go, merkletree tests: the eight leaves and the roots of the first n of them. */
static const struct merkle_leaf leaves[] = {
	{"", 0},
	{"\x00", 1},
	{"\x10", 1},
	{"\x20\x21", 2},
	{"\x30\x31", 2},
	{"\x40\x41\x42\x43", 4},
	{"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
	{"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
};

static const char *const roots[] = {
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static void test_roots(void **state)
{
	for (size_t n = 0; n < ARRAY_SIZE(roots); n++) {
		uint8_t root[32];
		char text[65];

		merkle_root(leaves, n, root);
		assert_string_equal(sodium_bin2hex(text, sizeof(text), root, sizeof(root)),
				    roots[n]);
	}
}

/* Every leaf of every size up to 40: its path is accepted, and no other leaf, index, size, length or path is. */
static void test_paths(void **state)
{
	uint8_t bytes[40];
	struct merkle_leaf many[ARRAY_SIZE(bytes)];

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		bytes[i] = (uint8_t)i;
		many[i] = (struct merkle_leaf){&bytes[i], 1};
	}
	for (size_t n = 1; n <= ARRAY_SIZE(bytes); n++) {
		uint8_t root[32];

		merkle_root(many, n, root);
		for (size_t i = 0; i < n; i++) {
			uint8_t path[65][32] = {0};
			size_t length = merkle_proof(many, n, i, path);
			const uint8_t(*p)[32] = (const uint8_t(*)[32])path;

			assert_true(merkle_verify(root, n, i, &many[i], p, length));
			for (size_t j = 0; j < n; j++)
				if (j != i) {
					assert_false(
						merkle_verify(root, n, j, &many[i], p, length));
					assert_false(
						merkle_verify(root, n, i, &many[j], p, length));
				}
			assert_false(merkle_verify(root, n, n, &many[i], p, length));
			assert_false(merkle_verify(root, n, i, &many[i], p, length + 1));
			assert_false(merkle_verify(root, 0, i, &many[i], p, length));
			if (length > 0)
				assert_false(merkle_verify(root, n, i, &many[i], p, length - 1));
			for (size_t k = 0; k < length; k++) {
				path[k][k % 32] ^= 1;
				assert_false(merkle_verify(root, n, i, &many[i], p, length));
				path[k][k % 32] ^= 1;
			}
		}
	}
}

/* A node's two hashes as a leaf have another hash than the node. */
static void test_second_preimage(void **state)
{
	uint8_t pair[64], root[32], forged[32];
	struct merkle_leaf leaf = {pair, sizeof(pair)};

	merkle_root(leaves, 2, root);
	merkle_root(leaves, 1, pair);
	merkle_root(leaves + 1, 1, pair + 32);
	merkle_root(&leaf, 1, forged);
	assert_memory_not_equal(root, forged, sizeof(root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_second_preimage),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
