/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UAPI text: answers as wireguard-go writes them, broken ones, and requests. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/file.h"
#include "netlink/wg_device.h"
#include "netlink/wg_uapi.h"

#define KEY_1 "0000000000000000000000000000000000000000000000000000000000000041"
#define KEY_2 "0100000000000000000000000000000000000000000000000000000000000000"
#define KEY_3 "0200000000000000000000000000000000000000000000000000000000000000"

/* The text is parsed from a block of its exact size, so that ASan sees every step over its end. */
static int parse(const char *text, size_t length, struct wg_device *device)
{
	char *exact = malloc(length + !length);
	int r;

	memcpy(exact, text, length);
	r = wg_uapi_parse(exact, length, device);
	free(exact);
	return r;
}

static const char full[] =
	"private_key=" KEY_1 "\nlisten_port=60210\nfwmark=12\n"
	"public_key=" KEY_3 "\npreshared_key=" KEY_1 "\nprotocol_version=1\n"
	"endpoint=[2001:db8::1]:99\nlast_handshake_time_sec=1700000000\n"
	"last_handshake_time_nsec=999\ntx_bytes=18446744073709551615\nrx_bytes=2\n"
	"persistent_keepalive_interval=25\nallowed_ip=fd00::1/128\nallowed_ip=10.0.0.0/8\n"
	"public_key=" KEY_2 "\nsomething_new=yes\nendpoint=[fe80::1%eth0]:5\n"
	"errno=0\n\n";

static void test_full_answer(void **state)
{
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	char text[ENDPOINT_TEXT_MAX];

	assert_int_equal(parse(full, strlen(full), device), 0);
	assert_int_equal(device->listen_port, 60210);
	assert_int_equal(device->private_key.bytes[31], 0x41);
	assert_false(key_is_zero(&device->public_key));
	assert_int_equal(device->n_peers, 2);
	assert_int_equal(device->peers[0].public_key.bytes[0], 1); /* sorted */
	assert_string_equal(endpoint_format(&device->peers[0].endpoint, text), "[fe80::1]:5");
	assert_string_equal(endpoint_format(&device->peers[1].endpoint, text), "[2001:db8::1]:99");
	assert_int_equal(device->peers[1].last_handshake_at, 1700000000);
	assert_true(device->peers[1].tx_bytes == UINT64_MAX);
	assert_int_equal(device->peers[1].rx_bytes, 2);
	assert_int_equal(device->peers[1].keepalive, 25);
	assert_int_equal(device->peers[1].n_allowed, 2);
	assert_string_equal(prefix_format(&device->peers[1].allowed[0], text), "10.0.0.0/8");
}

static void test_every_truncation(void **state)
{
	for (size_t length = 0; length < strlen(full); length++) {
		_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
		assert_int_equal(parse(full, length, device), -EBADMSG);
	}
}

static void test_answers(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"errno=0\n\n", 0},
		{"errno=98\n\n", -EADDRINUSE},
		{"errno=-98\n\n", -EADDRINUSE}, /* wireguard-go's way */
		{"errno=4096\n\n", -EBADMSG},
		{"errno=--1\n\n", -EBADMSG},
		{"errno=\n\n", -EBADMSG},
		{"errno=0\n", -EBADMSG},
		{"errno=0\n\nx", -EBADMSG},
		{"errno=0\nerrno=0\n\n", -EBADMSG},
		{"errno=0\nlisten_port=1\n\n", -EBADMSG},
		{"\n", -EBADMSG},
		{"listen_port=1\n\n", -EBADMSG},
		{"listen_port=65536\nerrno=0\n\n", -EBADMSG},
		{"listen_port=-1\nerrno=0\n\n", -EBADMSG},
		{"listen_port= 1\nerrno=0\n\n", -EBADMSG},
		{"private_key=00\nerrno=0\n\n", -EBADMSG},
		{"private_key=" KEY_1 "\nerrno=0\n\n", 0},
		{"nonsense\nerrno=0\n\n", -EBADMSG},
		{"endpoint=1.2.3.4:5\nerrno=0\n\n", -EBADMSG}, /* no peer yet */
		{"public_key=" KEY_2 "\nendpoint=name:5\nerrno=0\n\n", -EBADMSG},
		{"public_key=" KEY_2 "\nallowed_ip=10.0.0.1/8\nerrno=0\n\n", -EBADMSG},
		{"public_key=" KEY_2 "\ntx_bytes=18446744073709551616\nerrno=0\n\n", -EBADMSG},
		{"public_key=" KEY_2 "\npersistent_keepalive_interval=65536\nerrno=0\n\n",
		 -EBADMSG},
		{"public_key=" KEY_2 "\npublic_key=" KEY_3 "\nerrno=0\n\n", 0},
		{"public_key=" KEY_2 "\npublic_key=" KEY_2 "\nerrno=0\n\n", -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));

		print_message("# case %zu\n", i);
		assert_int_equal(parse(cases[i].text, strlen(cases[i].text), device),
				 cases[i].result);
	}
}

static void test_hostile_lines(void **state)
{
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	static const char nul[] = "listen_port=1\0\nerrno=0\n\n";
	char line[5000];

	assert_int_equal(parse(nul, sizeof(nul) - 1, device), -EBADMSG);
	memset(line, 'x', sizeof(line));
	memcpy(line + sizeof(line) - 10, "\nerrno=0\n\n", 10);
	assert_int_equal(parse(line, sizeof(line), device), -EBADMSG);
	/* what "set" answers has no device lines */
	assert_int_equal(parse("listen_port=1\nerrno=0\n\n", 23, NULL), -EBADMSG);
	assert_int_equal(parse("errno=0\n\n", 9, NULL), 0);
}

static void expect_request(const struct wg_change *changes, size_t n, size_t *at, const char *want)
{
	char *text;
	size_t length;

	assert_int_equal(wg_uapi_format(changes, n, at, &text, &length), 0);
	assert_int_equal(length, strlen(want));
	assert_memory_equal(text, want, length);
	secret_free(text, length);
}

static void test_requests(void **state)
{
	struct wg_device device = {.listen_port = 77}, portless = {0};
	struct wg_peer peer = {.keepalive = 25}, bare = {0};
	const struct wg_change changes[] = {
		{.kind = WG_CHANGE_PEER_REMOVE, .peer = &bare},
		{.kind = WG_CHANGE_DEVICE, .device = &device},
		{.kind = WG_CHANGE_PEER_SET, .peer = &peer},
		{.kind = WG_CHANGE_PEER_SET, .peer = &bare},
		{.kind = WG_CHANGE_DEVICE, .device = &portless},
	};
	struct prefix allowed[2];
	size_t at = 0;

	assert_int_equal(key_parse_hex(KEY_1, &device.private_key), 0);
	assert_int_equal(key_parse_hex(KEY_2, &peer.public_key), 0);
	assert_int_equal(key_parse_hex(KEY_3, &bare.public_key), 0);
	assert_int_equal(endpoint_parse("[2001:db8::1]:99", &peer.endpoint), 0);
	assert_int_equal(prefix_parse("10.0.0.1", &allowed[0]), 0);
	assert_int_equal(prefix_parse("fd00::1", &allowed[1]), 0);
	peer.allowed = allowed;
	peer.n_allowed = 2;
	expect_request(changes, 5, &at, "set=1\npublic_key=" KEY_3 "\nremove=true\n\n");
	assert_int_equal(at, 1);
	expect_request(changes, 5, &at,
		       "set=1\nprivate_key=" KEY_1 "\nlisten_port=77\n"
		       "public_key=" KEY_2 "\nendpoint=[2001:db8::1]:99\n"
		       "persistent_keepalive_interval=25\nreplace_allowed_ips=true\n"
		       "allowed_ip=10.0.0.1/32\nallowed_ip=fd00::1/128\n"
		       "public_key=" KEY_3 "\npersistent_keepalive_interval=0\n"
		       "replace_allowed_ips=true\n\n");
	assert_int_equal(at, 4);
	expect_request(changes, 5, &at,
		       "set=1\nprivate_key="
		       "0000000000000000000000000000000000000000000000000000000000000000\n\n");
	assert_int_equal(at, 5);
}

/* A long list goes out in several requests, each of which is whole. */
static void test_long_request(void **state)
{
	struct wg_peer peers[2500] = {0};
	struct wg_change changes[2500];
	size_t at = 0, requests = 0;

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		changes[i] = (struct wg_change){.kind = WG_CHANGE_PEER_REMOVE, .peer = &peers[i]};
	while (at < ARRAY_SIZE(peers)) {
		char *text;
		size_t length;

		assert_int_equal(wg_uapi_format(changes, ARRAY_SIZE(peers), &at, &text, &length),
				 0);
		assert_memory_equal(text, "set=1\n", 6);
		assert_memory_equal(text + length - 14, "\nremove=true\n\n", 14);
		assert_null(memchr(text, '\0', length));
		secret_free(text, length);
		assert_true(++requests < 10);
	}
	assert_int_equal(requests, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_answer), cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_answers),	    cmocka_unit_test(test_hostile_lines),
		cmocka_unit_test(test_requests),    cmocka_unit_test(test_long_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
