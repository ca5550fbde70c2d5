/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WireGuard generic netlink: stored dumps, split sets, garbage. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "netlink/wg_device.h"
#include "netlink/wg_kernel.h"
#include "tests/unit/netlink_bytes.h"

static void begin_device(struct bytes *b)
{
	struct genlmsghdr head = {.cmd = WG_CMD_GET_DEVICE, .version = 1};

	begin_message(b, 0x1b, NLM_F_MULTI, 1);
	put(b, &head, sizeof(head));
	put_attribute(b, WGDEVICE_A_IFNAME, "sortie0", 8);
}

static void put_allowed(struct bytes *b, uint16_t family, const char *addr, uint8_t length)
{
	uint8_t bytes[16];
	size_t nest = begin_nest(b, 0);

	assert_int_equal(inet_pton(family, addr, bytes), 1);
	put_attribute(b, WGALLOWEDIP_A_FAMILY, &family, sizeof(family));
	put_attribute(b, WGALLOWEDIP_A_IPADDR, bytes, family == AF_INET ? 4 : 16);
	put_attribute(b, WGALLOWEDIP_A_CIDR_MASK, &length, sizeof(length));
	end_nest(b, nest);
}

static size_t begin_peer(struct bytes *b, uint8_t first_byte)
{
	uint8_t key[32] = {first_byte};
	size_t nest = begin_nest(b, 0);

	put_attribute(b, WGPEER_A_PUBLIC_KEY, key, sizeof(key));
	return nest;
}

/* A whole peer as 6.1 writes it. */
static void put_full_peer(struct bytes *b)
{
	struct sockaddr_in6 endpoint = {.sin6_family = AF_INET6, .sin6_port = htons(51820)};
	struct __kernel_timespec at = {.tv_sec = 1700000000, .tv_nsec = 5};
	uint64_t rx = 12345678901, tx = 42;
	uint32_t version = 1;
	uint16_t keepalive = 25;
	uint8_t psk[32] = {0};
	size_t nest = begin_peer(b, 9), list;

	assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &endpoint.sin6_addr), 1);
	put_attribute(b, WGPEER_A_PRESHARED_KEY, psk, sizeof(psk));
	put_attribute(b, WGPEER_A_LAST_HANDSHAKE_TIME, &at, sizeof(at));
	put_attribute(b, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, &keepalive, sizeof(keepalive));
	put_attribute(b, WGPEER_A_TX_BYTES, &tx, sizeof(tx));
	put_attribute(b, WGPEER_A_RX_BYTES, &rx, sizeof(rx));
	put_attribute(b, WGPEER_A_PROTOCOL_VERSION, &version, sizeof(version));
	put_attribute(b, WGPEER_A_ENDPOINT, &endpoint, sizeof(endpoint));
	list = begin_nest(b, WGPEER_A_ALLOWEDIPS);
	put_allowed(b, AF_INET6, "fd00::9", 128);
	put_allowed(b, AF_INET, "10.1.0.0", 16);
	end_nest(b, list);
	end_nest(b, nest);
}

/* Like end_message(), but the bytes are decoded from a block of their exact size, so that ASan sees every step over. */
static int decode(struct bytes *b, struct wg_device *device)
{
	uint8_t *exact;
	int r;

	end_message(b);
	exact = malloc(b->length);
	memcpy(exact, b->data, b->length);
	r = wg_kernel_decode((const struct nlmsghdr *)(void *)exact, device);
	free(exact);
	return r;
}

static void test_full_device(void **state)
{
	static struct bytes b;
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	char text[ENDPOINT_TEXT_MAX];
	uint8_t private_key[32] = {1}, public_key[32] = {2};
	uint16_t port = 4242;
	size_t peers;

	b.length = 0;
	begin_device(&b);
	put_attribute(&b, WGDEVICE_A_LISTEN_PORT, &port, sizeof(port));
	put_attribute(&b, 77, "from the future", 16);
	put_attribute(&b, WGDEVICE_A_PRIVATE_KEY, private_key, 32);
	put_attribute(&b, WGDEVICE_A_PUBLIC_KEY, public_key, 32);
	peers = begin_nest(&b, WGDEVICE_A_PEERS);
	put_full_peer(&b);
	end_nest(&b, begin_peer(&b, 3));
	end_nest(&b, peers);
	assert_int_equal(decode(&b, device), 0);
	assert_int_equal(wg_device_finish(device), 0);
	assert_string_equal(device->name, "sortie0");
	assert_int_equal(device->listen_port, 4242);
	assert_int_equal(device->private_key.bytes[0], 1);
	assert_int_equal(device->public_key.bytes[0], 2);
	assert_int_equal(device->n_peers, 2);
	assert_int_equal(device->peers[0].public_key.bytes[0], 3); /* sorted */
	assert_int_equal(device->peers[0].endpoint.addr.family, AF_UNSPEC);
	assert_string_equal(endpoint_format(&device->peers[1].endpoint, text),
			    "[2001:db8::7]:51820");
	assert_int_equal(device->peers[1].keepalive, 25);
	assert_int_equal(device->peers[1].last_handshake_at, 1700000000);
	assert_int_equal(device->peers[1].rx_bytes, 12345678901);
	assert_int_equal(device->peers[1].tx_bytes, 42);
	assert_int_equal(device->peers[1].n_allowed, 2);
	assert_string_equal(prefix_format(&device->peers[1].allowed[0], text), "10.1.0.0/16");
	assert_string_equal(prefix_format(&device->peers[1].allowed[1], text), "fd00::9/128");
}

/* Allowed IPs of one peer over three messages: the parts carry the key and the list alone. */
static void test_split_peer(void **state)
{
	static const char *const parts[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
	static struct bytes b;
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	uint16_t keepalive = 7;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t peers, peer, list;

		b.length = 0;
		begin_device(&b);
		peers = begin_nest(&b, WGDEVICE_A_PEERS);
		if (i == 0)
			end_nest(&b, begin_peer(&b, 1));
		peer = begin_peer(&b, 2);
		if (i == 0)
			put_attribute(&b, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, &keepalive, 2);
		list = begin_nest(&b, WGPEER_A_ALLOWEDIPS);
		put_allowed(&b, AF_INET, parts[i], 32);
		end_nest(&b, list);
		end_nest(&b, peer);
		if (i == 2)
			end_nest(&b, begin_peer(&b, 4));
		end_nest(&b, peers);
		assert_int_equal(decode(&b, device), 0);
	}
	assert_int_equal(wg_device_finish(device), 0);
	assert_int_equal(device->n_peers, 3);
	assert_int_equal(device->peers[1].n_allowed, 3);
	assert_int_equal(device->peers[1].keepalive, 7);
	assert_int_equal(device->peers[2].n_allowed, 0);
}

static void test_peer_that_comes_twice_apart(void **state)
{
	static struct bytes b;
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	size_t peers;

	b.length = 0;
	begin_device(&b);
	peers = begin_nest(&b, WGDEVICE_A_PEERS);
	end_nest(&b, begin_peer(&b, 1));
	end_nest(&b, begin_peer(&b, 2));
	end_nest(&b, begin_peer(&b, 1));
	end_nest(&b, peers);
	assert_int_equal(decode(&b, device), 0);
	assert_int_equal(wg_device_finish(device), -EBADMSG);
}

/* One broken thing in an otherwise good peer. */
static void test_garbage(void **state)
{
	static const struct {
		const char *name;
		uint16_t type, length;
		const char *bytes;
	} in_peer[] = {
		{"short endpoint", WGPEER_A_ENDPOINT, 8, "\2\0\0\1\1\1\1\1"},
		{"endpoint of no family", WGPEER_A_ENDPOINT, 16, "\7\0\0\1\1\1\1\1\0\0\0\0\0\0\0"},
		{"endpoint of one byte", WGPEER_A_ENDPOINT, 1, "\2"},
		{"short time", WGPEER_A_LAST_HANDSHAKE_TIME, 8, "1234567"},
		{"list of nothing but a length", WGPEER_A_ALLOWEDIPS, 4, "\377\377\0\0"},
		{"list whose entry is too short", WGPEER_A_ALLOWEDIPS, 4, "\3\0\0\0"},
		{"list with half a header", WGPEER_A_ALLOWEDIPS, 3, "\10\0\0"},
		{"empty allowed IP", WGPEER_A_ALLOWEDIPS, 4, "\4\0\0\0"},
		{"short key", WGPEER_A_PUBLIC_KEY, 31, "1234567890123456789012345678901"},
	};
	static struct bytes b;

	for (size_t i = 0; i < ARRAY_SIZE(in_peer); i++) {
		_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
		size_t peers, peer;

		print_message("# %s\n", in_peer[i].name);
		b.length = 0;
		begin_device(&b);
		peers = begin_nest(&b, WGDEVICE_A_PEERS);
		peer = begin_peer(&b, 1);
		put_attribute(&b, in_peer[i].type, in_peer[i].bytes, in_peer[i].length);
		end_nest(&b, peer);
		end_nest(&b, peers);
		assert_int_equal(decode(&b, device), -EBADMSG);
	}
}

static void test_bad_allowed_ips(void **state)
{
	static const struct {
		uint16_t family;
		const char *addr;
		uint8_t length;
		int result;
	} cases[] = {
		{AF_INET, "10.0.0.1", 32, 0},	     {AF_INET, "10.0.0.1", 33, -EBADMSG},
		{AF_INET, "10.0.0.1", 24, -EBADMSG}, {AF_INET, "0.0.0.0", 0, 0},
		{AF_INET6, "fd00::1", 128, 0},	     {AF_INET6, "fd00::1", 129, -EBADMSG},
		{AF_INET6, "fd00::1", 64, -EBADMSG}, {AF_INET6, "::", 0, 0},
	};
	static struct bytes b;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
		size_t peers, peer, list;

		b.length = 0;
		begin_device(&b);
		peers = begin_nest(&b, WGDEVICE_A_PEERS);
		peer = begin_peer(&b, 1);
		list = begin_nest(&b, WGPEER_A_ALLOWEDIPS);
		put_allowed(&b, cases[i].family, cases[i].addr, cases[i].length);
		end_nest(&b, list);
		end_nest(&b, peer);
		end_nest(&b, peers);
		assert_int_equal(decode(&b, device), cases[i].result);
	}
}

/* Each truncation of a good message decodes to something shorter or is refused; ASan sees the rest. */
static void test_every_truncation(void **state)
{
	static struct bytes b;
	size_t whole, peers;

	b.length = 0;
	begin_device(&b);
	peers = begin_nest(&b, WGDEVICE_A_PEERS);
	put_full_peer(&b);
	end_nest(&b, peers);
	whole = b.length;
	for (b.length = sizeof(struct nlmsghdr); b.length < whole; b.length++) {
		_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
		int r = decode(&b, device);

		assert_true(r == 0 || r == -EBADMSG);
		assert_true(r < 0 || device->n_peers == 0);
	}
}

#define MANY 3000

static struct wg_peer *big_peer(struct wg_device *device, uint8_t key, size_t n)
{
	struct key public_key = {{key}};
	struct wg_peer *peer;

	assert_int_equal(wg_device_add_peer(device, &public_key, &peer), 0);
	assert_int_equal(endpoint_parse("192.0.2.1:7", &peer->endpoint), 0);
	peer->keepalive = 25;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bytes = htonl(0x0a000000u + ((uint32_t)key << 16) + i);
		struct addr addr = addr_from_bytes(AF_INET, &bytes);
		assert_int_equal(wg_peer_add_allowed(peer, &addr, 32), 0);
	}
	return peer;
}

struct seen {
	size_t messages, replace, update, remove;
	struct wg_device *device;
};

/* Plays the kernel: flags are counted, and what was sent is decoded again. */
static void take_message(const struct nlmsghdr *message, struct seen *seen)
{
	const struct nlattr *attribute, *peer, *inside;

	assert_true(message->nlmsg_len <= WG_MESSAGE_MAX);
	assert_true(message->nlmsg_flags & NLM_F_ACK);
	seen->messages++;
	mnl_attr_for_each (attribute, message, sizeof(struct genlmsghdr)) {
		assert_int_not_equal(mnl_attr_get_type(attribute), WGDEVICE_A_FLAGS);
		if (mnl_attr_get_type(attribute) != WGDEVICE_A_PEERS)
			continue;
		mnl_attr_for_each_nested (peer, attribute) {
			mnl_attr_for_each_nested (inside, peer) {
				if (mnl_attr_get_type(inside) != WGPEER_A_FLAGS)
					continue;
				seen->replace +=
					mnl_attr_get_u32(inside) == WGPEER_F_REPLACE_ALLOWEDIPS;
				seen->update += mnl_attr_get_u32(inside) == WGPEER_F_UPDATE_ONLY;
				seen->remove += mnl_attr_get_u32(inside) == WGPEER_F_REMOVE_ME;
			}
		}
	}
	assert_int_equal(wg_kernel_decode(message, seen->device), 0);
}

static void send_all(const struct wg_change *changes, size_t n, size_t size, struct seen *seen)
{
	_Alignas(8) static uint8_t buffer[WG_MESSAGE_MAX];
	struct wg_cursor cursor = {0};

	while (cursor.change < n) {
		assert_int_equal(
			wg_kernel_encode(&cursor, 0x1b, "sortie0", changes, n, buffer, size), 0);
		take_message((struct nlmsghdr *)(void *)buffer, seen);
		assert_true(seen->messages < 10000);
	}
}

static void test_split_set(void **state)
{
	static const size_t sizes[] = {WG_MESSAGE_MIN, 600, 4096, WG_MESSAGE_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(wg_device_freep) struct wg_device *want = calloc(1, sizeof(*want));
		_cleanup_(wg_device_freep) struct wg_device *got = calloc(1, sizeof(*got));
		_cleanup_(freep) struct wg_change *changes = NULL;
		struct wg_device empty = {0};
		struct seen seen = {.device = got};
		size_t n;

		(void)big_peer(want, 1, MANY);
		(void)big_peer(want, 2, 0);
		(void)big_peer(want, 3, 1);
		(void)big_peer(want, 4, MANY);
		want->private_key.bytes[0] = 8;
		want->listen_port = 99;
		assert_int_equal(wg_diff(want, &empty, false, &changes, &n), 0);
		assert_int_equal(n, 5);
		send_all(changes, n, sizes[i], &seen);
		assert_int_equal(seen.replace, 4); /* once a peer, in its first part */
		assert_int_equal(seen.remove, 0);
		assert_true(seen.update + 1 >= seen.messages - 4 && seen.update > 0);
		assert_int_equal(wg_device_finish(got), 0);
		assert_int_equal(got->listen_port, 99);
		free(take_pointer(changes));
		/* nothing was lost, doubled or changed on the way */
		assert_int_equal(wg_diff(want, got, true, &changes, &n), 0);
		assert_int_equal(n, 0);
	}
}

static void test_removals_and_device(void **state)
{
	_cleanup_(wg_device_freep) struct wg_device *got = calloc(1, sizeof(*got));
	_cleanup_(wg_device_freep) struct wg_device *other = calloc(1, sizeof(*other));
	struct wg_device device = {.private_key = {{1}}};
	struct wg_peer *peer = big_peer(other, 5, 3);
	const struct wg_change changes[] = {
		{.kind = WG_CHANGE_PEER_REMOVE, .peer = peer},
		{.kind = WG_CHANGE_DEVICE, .device = &device},
		{.kind = WG_CHANGE_PEER_SET, .peer = peer},
	};
	struct seen seen = {.device = got};

	/* the kernel applies a message's device settings before its peers: the removal goes out first, alone */
	send_all(changes, 3, WG_MESSAGE_MAX, &seen);
	assert_int_equal(seen.messages, 2);
	assert_int_equal(seen.remove, 1);
	assert_int_equal(seen.replace, 1);
	assert_int_equal(got->listen_port, 0);
}

static void test_encode_refuses(void **state)
{
	_Alignas(8) static uint8_t buffer[WG_MESSAGE_MAX];
	struct wg_cursor cursor = {0};

	assert_int_equal(wg_kernel_encode(&cursor, 1, "sortie0", NULL, 0, buffer, 100), -EMSGSIZE);
	assert_int_equal(wg_kernel_encode(&cursor, 1, "a-name-of-16-chr", NULL, 0, buffer, 4096),
			 -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_device),
		cmocka_unit_test(test_split_peer),
		cmocka_unit_test(test_peer_that_comes_twice_apart),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_bad_allowed_ips),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_split_set),
		cmocka_unit_test(test_removals_and_device),
		cmocka_unit_test(test_encode_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
