// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chaining values against an implementation in Python that agrees with hashlib.blake2s on whole mac1s, and the bytes of
 * the map layouts, which the program and user space must read alike. Whole mac1s pass the program in relay_decide_test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/cleanup.h"
#include "relay/mac1.h"
#include "relay/maps.h"

static const struct {
	const char *public_key;
	uint32_t words[8];
} vectors[] = {
	{"0000000000000000000000000000000000000000000000000000000000000000",
	 {0x9f0f4915, 0x98644fc4, 0x13b81f5b, 0xae1a3687, 0x64c6d1d1, 0x7056d4b4, 0xe3df32b0,
	  0xed9e1260}},
	{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	 {0xc7d8fb9c, 0xe1fe99a1, 0x963f2b8e, 0x955acda1, 0xf71735b0, 0x7f17dfe4, 0x4bc86964,
	  0x6b4755e0}},
	{"ab647861f4cbf1bbcf71c969473484fc35f3b8775d84bb4f042d91ad30b7e3df",
	 {0x4029bf42, 0x68447a49, 0xb4f6bb0f, 0x867919f5, 0x6a05c00b, 0x3b3e95c1, 0xdd350682,
	  0x50eff951}},
};

static void test_states(void **unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct key key;
		struct relay_mac1 state;
		assert_int_equal(key_parse_hex(vectors[i].public_key, &key), 0);
		mac1_state(&key, &state);
		assert_memory_equal(state.words, vectors[i].words, sizeof(state.words));
	}
}

#define AT(type, member, offset)                                                                   \
	{                                                                                          \
#type "." #member, offsetof(struct type, member), offset                           \
	}
#define SIZE(type, size)                                                                           \
	{                                                                                          \
		"sizeof " #type, sizeof(struct type), size                                         \
	}

/* A hole in a key would hold bytes that nobody has set, and no lookup would find it. */
static void test_layout(void **unused)
{
	static const struct {
		const char *what;
		size_t is, expected;
	} places[] = {
		AT(relay_endpoint, address, 0),
		AT(relay_endpoint, port, 16),
		AT(relay_endpoint, family, 18),
		SIZE(relay_endpoint, 20),
		AT(relay_pair_key, from, 0),
		AT(relay_pair_key, to, 4),
		SIZE(relay_pair_key, 8),
		AT(relay_session_key, from, 0),
		AT(relay_session_key, index, 4),
		SIZE(relay_session_key, 8),
		AT(relay_session, born_ns, 0),
		AT(relay_session, to, 8),
		AT(relay_session, state, 12),
		SIZE(relay_session, 16),
		AT(relay_owner, expires_ns, 0),
		AT(relay_owner, site, 8),
		SIZE(relay_owner, 16),
		AT(relay_site, endpoint, 8),
		AT(relay_site, states, 28),
		AT(relay_site, mac1, 32),
		SIZE(relay_site, 96),
		SIZE(relay_pair, 24),
		SIZE(relay_handshakes, 64),
		AT(relay_candidates, sites, 4),
		SIZE(relay_candidates, 2004),
		SIZE(relay_config, 36),
		AT(relay_layout, version, 0),
		AT(relay_layout, alt_port, 4),
		AT(relay_layout, interfaces, 8),
		SIZE(relay_layout, 56),
		AT(relay_interface, hook, 4),
		AT(relay_interface, address, 6),
		SIZE(relay_interface, 12),
		AT(relay_path, peer, 20),
		AT(relay_path, interface, 40),
		AT(relay_path, hop, 56),
		AT(relay_path, tests_ns, 104),
		SIZE(relay_path, 136),
		AT(relay_answer_key, index, 20),
		SIZE(relay_answer_key, 24),
	};
	assert_int_equal(RELAY_LAYOUT, 3); /* as 2, but what an entry of "answers" means */
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (places[i].is != places[i].expected)
			fail_msg("%s is %zu, layout 3 has %zu", places[i].what, places[i].is,
				 places[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_layout),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
