/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Join tokens: round trip, every typing error found, and what is derived from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "common/base32.h"
#include "common/cleanup.h"
#include "trust/token.h"

static struct join_token example(void)
{
	struct join_token token = {
		.n_endpoints = 2,
		.endpoints = {"hub.example.org:51820", "[2001:db8::1]:443"},
		.not_after = 1800000000,
	};

	assert_int_equal(network_id_parse("000102030405060708090a0b0c0d0e0f", &token.network), 0);
	assert_int_equal(prefix_parse("fd12:3456:789a::/48", &token.overlay6), 0);
	assert_int_equal(prefix_parse("10.77.0.0/16", &token.overlay4), 0);
	memset(token.hub_key.bytes, 1, KEY_SIZE);
	memset(token.root_fingerprint.bytes, 2, KEY_SIZE);
	memset(token.seed.bytes, 3, KEY_SIZE);
	return token;
}

static void expect_equal(const struct join_token *a, const struct join_token *b)
{
	assert_memory_equal(&a->network, &b->network, sizeof(a->network));
	assert_int_equal(prefix_compare(&a->overlay6, &b->overlay6), 0);
	assert_int_equal(prefix_compare(&a->overlay4, &b->overlay4), 0);
	assert_int_equal(a->n_endpoints, b->n_endpoints);
	for (size_t i = 0; i < a->n_endpoints; i++)
		assert_string_equal(a->endpoints[i], b->endpoints[i]);
	assert_true(key_equal(&a->hub_key, &b->hub_key));
	assert_true(key_equal(&a->root_fingerprint, &b->root_fingerprint));
	assert_int_equal(a->not_after, b->not_after);
	assert_true(key_equal(&a->seed, &b->seed));
}

static void test_round_trip(void **state)
{
	struct join_token token = example(), read;
	char text[TOKEN_TEXT_MAX], spaced[TOKEN_TEXT_MAX + 8];

	assert_int_equal(token_encode(&token, text), 0);
	assert_int_equal(token_decode(text, &read, NULL), 0);
	expect_equal(&token, &read);
	(void)snprintf(spaced, sizeof(spaced), " \t%s\r\n", text);
	assert_int_equal(token_decode(spaced, &read, NULL), 0);
	expect_equal(&token, &read);

	token.overlay4 = (struct prefix){0};
	assert_int_equal(token_encode(&token, text), 0);
	assert_int_equal(token_decode(text, &read, NULL), 0);
	assert_int_equal(read.overlay4.addr.family, AF_UNSPEC);
}

static void test_longest(void **state)
{
	struct join_token token = example(), read;
	char text[TOKEN_TEXT_MAX];

	token.n_endpoints = TOKEN_ENDPOINTS_MAX;
	for (size_t i = 0; i < TOKEN_ENDPOINTS_MAX; i++) {
		memset(token.endpoints[i], 'a', 253);
		(void)snprintf(token.endpoints[i] + 253, 8, ":65535");
	}
	assert_int_equal(token_encode(&token, text), 0);
	assert_int_equal(token_decode(text, &read, NULL), 0);
	expect_equal(&token, &read);
}

static void expect_refused(const char *text, const char *word)
{
	struct join_token read = {.not_after = 7};
	struct err err = {0};

	assert_int_equal(token_decode(text, &read, &err), -EINVAL);
	assert_int_equal(read.not_after, 7);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

/* Each character replaced, left out and doubled, neighbours exchanged, and each shorter text. */
static void test_typing_errors(void **state)
{
	struct join_token token = example();
	char text[TOKEN_TEXT_MAX], wrong[TOKEN_TEXT_MAX + 1];
	size_t length;

	assert_int_equal(token_encode(&token, text), 0);
	length = strlen(text);
	for (size_t i = 0; i < length; i++) {
		(void)snprintf(wrong, sizeof(wrong), "%s", text);
		wrong[i] = text[i] == 'a' ? 'b' : 'a';
		expect_refused(wrong, i < 8 ? "begin with" : "");
		wrong[i] = 'A';
		expect_refused(wrong, i < 8 ? "begin with" : "none of a-z");
		memmove(wrong + i, text + i + 1, length - i);
		expect_refused(wrong, "");
		(void)snprintf(wrong, sizeof(wrong), "%.*s%s", (int)i + 1, text, text + i);
		expect_refused(wrong, "");
		(void)snprintf(wrong, sizeof(wrong), "%.*s", (int)i, text);
		expect_refused(wrong, "");
		if (i + 1 < length && text[i] != text[i + 1]) {
			(void)snprintf(wrong, sizeof(wrong), "%s", text);
			wrong[i] = text[i + 1];
			wrong[i + 1] = text[i];
			expect_refused(wrong, "");
		}
	}
}

static void test_sentences(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"", "begin with sortie1_"},	  {"sortie2_aaaa", "begin with sortie1_"},
		{"sortie1_", "too short"},	  {"sortie1_aa", "too short"},
		{"sortie1_a", "cut off"},	  {"sortie1_aaaaaaaaaaaaaaaaaaaaaaaa", "checksum"},
		{"sortie1_aa1a", "character 11"}, {"sortie1_aa\033a", "character 11"},
	};
	char text[3000] = "sortie1_";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect_refused(cases[i].text, cases[i].word);
	memset(text + 8, 'a', sizeof(text) - 9);
	text[sizeof(text) - 1] = '\0';
	expect_refused(text, "longer than");
}

/* A text with a right checksum over bytes that are wrong. */
static void seal(uint8_t *bytes, size_t length, char text[TOKEN_TEXT_MAX])
{
	uint8_t hash[32];

	(void)crypto_generichash(hash, sizeof(hash), bytes, length - 4,
				 (const uint8_t *)"sortie token checksum v1", 24);
	memcpy(bytes + length - 4, hash, 4);
	memcpy(text, "sortie1_", 8);
	base32_encode(bytes, length, text + 8);
}

static void test_sealed_nonsense(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *word;
	} cases[] = {
		{0, 2, "version 2"},   {17, 0xfe, "ULA"},    {26, 1, "malformed"},
		{27, 33, "malformed"}, {27, 0, "malformed"}, {27, 30, "length 8"},
		{28, 0, "endpoint"},   {28, 5, "endpoint"},  {28, 1, ""},
		{29, 2, ""},	       {30, 60, ""},	     {31, '/', "HOST:PORT"},
		{40, 0, "malformed"},
	};
	struct join_token token = example();
	char text[TOKEN_TEXT_MAX];
	uint8_t bytes[1024], wrong[1025];
	size_t length;

	assert_int_equal(token_encode(&token, text), 0);
	assert_int_equal(base32_decode(text + 8, bytes, sizeof(bytes), &length), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(wrong, bytes, length);
		wrong[cases[i].at] = cases[i].value;
		seal(wrong, length, text);
		expect_refused(text, cases[i].word);
	}
	for (size_t n = 5; n < length; n++) {
		memcpy(wrong, bytes, length);
		seal(wrong, n, text);
		expect_refused(text, "");
	}
	memcpy(wrong, bytes, length);
	seal(wrong, length + 1, text);
	expect_refused(text, "malformed");
}

static void test_encode_refuses(void **state)
{
	static const struct {
		const char *endpoint;
		bool valid;
	} cases[] = {
		{"hub:1", true},
		{"hub.example.org:65535", true},
		{"192.0.2.1:51820", true},
		{"[2001:db8::1]:51820", true},
		{"", false},
		{"hub", false},
		{":1", false},
		{"hub:", false},
		{"hub:0", false},
		{"hub:01", false},
		{"hub:65536", false},
		{"hub:99999999999", false},
		{"hub.:1", false},
		{".hub:1", false},
		{"a..b:1", false},
		{"-a:1", false},
		{"2001:db8::1:51820", false},
		{"[hub]:1", false},
		{"hub:1 ", false},
		{"h/b:1", false},
		{"h\nb:1", false},
	};
	struct join_token token = example();
	char text[TOKEN_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(token.endpoints[1], TOKEN_HOST_MAX, "%s", cases[i].endpoint);
		if (token_endpoint_valid(cases[i].endpoint) != cases[i].valid)
			fail_msg("%s", cases[i].endpoint);
		assert_int_equal(token_encode(&token, text), cases[i].valid ? 0 : -EINVAL);
	}
	token = example();
	token.overlay6.length = 64;
	assert_int_equal(token_encode(&token, text), -EINVAL);
	token = example();
	token.n_endpoints = 0;
	assert_int_equal(token_encode(&token, text), -EINVAL);
	token = example();
	token.not_after = 0;
	assert_int_equal(token_encode(&token, text), -EINVAL);
}

/* Computed with Python's hashlib and an Ed25519 and X25519 written from the RFCs. */
#define JOIN_PUBLIC	 "ea52122a126a857e3e883a36c64c96b552c2601c8c2091b2e2bb4220f4f1464a"
#define ONETIME_PUBLIC	 "98f78c81ab1187df7e0baea595b09d39feda1ef4d9e6a94ee132468c504ad93c"
#define ONETIME_ADDRESS	 "fd12:3456:789a:ffff:89aa:2de7:4ba8:8e36"
#define IDENTITY_ADDRESS "fd12:3456:789a:4c25:9634:17c9:b738:2050"

/* Pinned: another derivation would be another network for every token that is out there. */
static void test_derived(void **state)
{
	struct join_token token = example();
	struct signing_key join;
	struct key wireguard, public;
	struct addr addr;
	char text[ADDR_TEXT_MAX], hex[KEY_HEX_MAX];

	token_join_key(&token, &join);
	token_wireguard_key(&token, &wireguard);
	assert_false(key_equal(&join.seed, &token.seed));
	assert_false(key_equal(&join.seed, &wireguard));
	assert_int_equal(wireguard.bytes[0] & 7, 0);
	assert_int_equal(wireguard.bytes[31] & 0xc0, 0x40);
	assert_string_equal(key_format_hex(&join.public_key, hex), JOIN_PUBLIC);
	assert_int_equal(key_public_curve25519(&wireguard, &public), 0);
	assert_string_equal(key_format_hex(&public, hex), ONETIME_PUBLIC);
	addr = token_address(&token.overlay6, &public);
	assert_string_equal(addr_format(&addr, text), ONETIME_ADDRESS);
	assert_int_equal(identity_address(&token.network, &token.overlay6, &join.public_key, &addr),
			 0);
	assert_string_equal(addr_format(&addr, text), IDENTITY_ADDRESS);
	addr = hub_address6(&token.overlay6);
	assert_string_equal(addr_format(&addr, text), "fd12:3456:789a::1");
	addr = hub_address4(&token.overlay4);
	assert_string_equal(addr_format(&addr, text), "10.77.0.1");
}

/* Searches keys until each reserved subnet has come up: about 2^16 hashes. */
static void test_reserved_subnets(void **state)
{
	struct join_token token = example();
	bool seen0 = false, seenf = false;

	for (uint32_t i = 0; i < (1U << 22) && !(seen0 && seenf); i++) {
		struct key k3 = {0};
		uint8_t bytes[48], hash[32];
		struct addr addr = {0};
		bool zeros, ones;

		memcpy(k3.bytes, &i, sizeof(i));
		memcpy(bytes, token.network.bytes, 16);
		memcpy(bytes + 16, k3.bytes, 32);
		(void)crypto_hash_sha256(hash, bytes, sizeof(bytes));
		zeros = hash[0] == 0 && hash[1] == 0;
		ones = hash[0] == 0xff && hash[1] == 0xff;
		if (!zeros && !ones && i > 1000)
			continue;
		assert_int_equal(identity_address(&token.network, &token.overlay6, &k3, &addr),
				 zeros || ones ? -EAGAIN : 0);
		if (zeros || ones)
			assert_int_equal(addr.family, AF_UNSPEC);
		else
			assert_memory_equal(addr.bytes + 6, hash, 10);
		seen0 = seen0 || zeros;
		seenf = seenf || ones;
	}
	assert_true(seen0 && seenf);
}

static void test_network_id(void **state)
{
	static const char *const wrong[] = {"", "00", "000102030405060708090A0B0C0D0E0F",
					    "000102030405060708090a0b0c0d0e0g",
					    "000102030405060708090a0b0c0d0e0f00"};
	struct network_id id;
	char text[NETWORK_ID_HEX_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(network_id_parse(wrong[i], &id), -EINVAL);
	assert_int_equal(network_id_parse("000102030405060708090a0b0c0d0e0f", &id), 0);
	assert_string_equal(network_id_format(&id, text), "000102030405060708090a0b0c0d0e0f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),	cmocka_unit_test(test_longest),
		cmocka_unit_test(test_typing_errors),	cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_sealed_nonsense), cmocka_unit_test(test_encode_refuses),
		cmocka_unit_test(test_derived),		cmocka_unit_test(test_reserved_subnets),
		cmocka_unit_test(test_network_id),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
