// SPDX-License-Identifier: GPL-2.0-or-later
/* What the loaded program decides, packet by packet, over IPv4 and IPv6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/relay_message.h"

/* hashlib.blake2s(message, key=blake2s(b"mac1----" + key).digest(), digest_size=16) */
static void test_reference(void **unused)
{
	static const struct {
		const char *key;
		uint8_t mac1[16];
	} vectors[] = {
		{"0000000000000000000000000000000000000000000000000000000000000000",
		 "\x3a\x12\xcf\xac\x10\xed\xc1\x10\xa9\xfc\x8e\x50\x01\x86\x95\x3e"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		 "\xc2\xe3\x40\xbd\x2a\xe1\x55\x47\x0a\xf8\x31\x3b\x73\xca\x2d\x45"},
		{"ab647861f4cbf1bbcf71c969473484fc35f3b8775d84bb4f042d91ad30b7e3df",
		 "\xbb\xfa\x39\x1e\x5c\x8e\xf7\xad\xe6\x73\xc1\xc0\xb6\x36\x3e\xdd"},
	};
	uint8_t message[116] = {1}, result[16];
	for (size_t i = 0; i < 112; i++)
		message[4 + i] = (uint8_t)(i * 7 + 3);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct key key;
		assert_int_equal(key_parse_hex(vectors[i].key, &key), 0);
		mac1(&key, message, sizeof(message), result);
		assert_memory_equal(result, vectors[i].mac1, 16);
	}
}

static void test_malformed(void **unused)
{
	static const struct {
		uint8_t start[4];
		uint32_t length;
		int expected;
	} cases[] = {
		{{1}, 147, DROP},
		{{1}, 149, DROP},
		{{1}, 0, DROP},
		{{2}, 91, DROP},
		{{2}, 93, DROP},
		{{3}, 63, DROP},
		{{3}, 65, DROP},
		{{4}, 31, DROP},
		{{4}, 4, DROP},
		{{0}, 148, DROP},
		{{5}, 148, DROP},
		{{255}, 148, DROP},
		{{1, 1}, 148, DROP},
		{{1, 0, 1}, 148, DROP},
		{{1, 0, 0, 1}, 148, DROP},
		{{4, 0, 0, 0x80}, 96, DROP},
		{{2, 9}, 92, DROP},
		{{3, 0, 9}, 64, DROP},
		{{4}, 32, PASS},
		{{4}, 1400, PASS},
		{{3}, 64, PASS},
		{{2}, 92, PASS},
	};
	uint64_t before = permitted ? counted(COUNTER(malformed)) : 0, expected = before;
	EACH_FAMILY(v6)
	{
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			uint8_t message[1500] = {0};
			memcpy(message, cases[i].start, 4);
			if (send_message(v6, 1, message, cases[i].length) != cases[i].expected)
				fail_msg("case %zu, IPv%d", i, v6 ? 6 : 4);
			expected += cases[i].expected == DROP;
		}
	}
	assert_int_equal(counted(COUNTER(malformed)), expected);
}

/* Bytes of a good data packet changed so that it is none of ours, or lies about its length. */
static void test_other_packets(void **unused)
{
	static const struct {
		const char *what;
		bool v6;
		uint8_t at, value;
		int expected;
	} cases[] = {
		{"a VLAN tag", false, 12, 0x81, PASS},
		{"ARP", false, 13, 0x06, PASS},
		{"another host's MAC", false, 0, 0x06, PASS},
		{"IPv6 in an IPv4 frame", false, 14, 0x65, PASS},
		{"IPv4 options", false, 14, 0x46, PASS},
		{"more fragments", false, 20, 0x20, PASS},
		{"a later fragment", false, 21, 0x01, PASS},
		{"TCP", false, 23, IPPROTO_TCP, PASS},
		{"another port", false, 37, 0x01, PASS},
		{"total length too small", false, 17, 27, PASS},
		{"UDP length too small", false, 39, 103, DROP},
		{"UDP length too large", false, 39, 105, DROP},
		{"total length beyond the packet", false, 16, 0x05, DROP},
		{"an extension header", true, 20, IPPROTO_HOPOPTS, PASS},
		{"TCP, IPv6", true, 20, IPPROTO_TCP, PASS},
		{"another port, IPv6", true, 57, 0x01, PASS},
		{"UDP length too small, IPv6", true, 59, 103, DROP},
		{"payload beyond the packet, IPv6", true, 18, 0x05, DROP},
	};
	if (!permitted)
		skip();
	fresh(false);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t message[96] = {4};
		struct endpoint from = bed_endpoint(cases[i].v6, 1),
				to = bed_endpoint(cases[i].v6, BED_HUB);
		struct frame frame = frame_make(&from, &to, message, sizeof(message));
		frame.bytes[cases[i].at] = cases[i].value;
		/* what passes as none of ours is not even looked up */
		uint64_t looked =
			counted(COUNTER(unknown_endpoint)) + counted(COUNTER(unknown_index));
		if (run(&frame) != cases[i].expected)
			fail_msg("%s", cases[i].what);
		if (counted(COUNTER(unknown_endpoint)) + counted(COUNTER(unknown_index)) != looked)
			fail_msg("%s: looked up", cases[i].what);
	}
}

static void test_handshake_and_data(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct relay_counters before, after;
		uint64_t packets, bytes;
		assert_int_equal(relay_counters(relay, &before), 0);
		assert_int_equal(initiation(v6, 1, BED_HUB, 7), PASS);
		assert_int_equal(initiation(v6, 1, 2, 1000), FORWARD);
		assert_int_equal(data(v6, 2, 1000), PASS);
		assert_int_equal(indexed(v6, 3, 2, 1000, 64), FORWARD);
		assert_int_equal(response(v6, 2, 2000, 1000), FORWARD);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		assert_int_equal(data(v6, 2, 1000), FORWARD);
		assert_int_equal(indexed(v6, 3, 1, 2000, 64), FORWARD);
		assert_int_equal(indexed(v6, 4, 1, 2000, 32), FORWARD);
		assert_int_equal(data(v6, 1, 1000), PASS);
		assert_int_equal(data(v6, 3, 2000), PASS);
		assert_int_equal(data(v6, 9, 2000), PASS);
		assert_int_equal(relay_counters(relay, &after), 0);
		assert_int_equal(after.forwarded_packets - before.forwarded_packets, 7);
		assert_int_equal(after.forwarded_bytes - before.forwarded_bytes,
				 148 + 92 + 2 * 96 + 2 * 64 + 32);
		assert_int_equal(after.initiations - before.initiations, 1);
		assert_int_equal(after.responses - before.responses, 1);
		assert_int_equal(after.unknown_index - before.unknown_index, 3);
		assert_int_equal(after.unknown_endpoint - before.unknown_endpoint, 1);
		assert_int_equal(relay_pair_traffic(relay, 1, 2, &packets, &bytes), 0);
		assert_int_equal(packets, 4);
		assert_int_equal(bytes, 148 + 96 + 64 + 32);
	}
}

static void check_rewritten(const struct frame *frame, const struct endpoint *from,
			    const struct endpoint *to)
{
	bool v6 = from->addr.family == AF_INET6;
	const uint8_t *ip = frame->bytes + 14, *udp = frame->bytes + HEADERS(v6) - 8;
	assert_memory_equal(ip + (v6 ? 8 : 12), from->addr.bytes, addr_length(&from->addr));
	assert_memory_equal(ip + (v6 ? 24 : 16), to->addr.bytes, addr_length(&to->addr));
	assert_int_equal(udp[0] << 8 | udp[1], from->port);
	assert_int_equal(udp[2] << 8 | udp[3], to->port);
	assert_int_equal(ip[v6 ? 7 : 8], 64);
	if (!v6)
		assert_int_equal(sum_fold(sum_add(0, ip, 20)), 0xffff);
}

static void test_rewriting(void **unused)
{
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		struct endpoint from = bed_endpoint(v6, 1), hub = bed_endpoint(v6, BED_HUB);
		struct endpoint to = bed_endpoint(v6, 2);
		for (uint32_t length = 32; length <= 1440; length += 11) {
			uint8_t message[1500] = {4};
			put_le(message + 4, 2000);
			memset(message + 8, (int)length, length - 8);
			struct frame frame = frame_make(&from, &hub, message, length);
			uint32_t before = frame.length;
			assert_int_equal(run(&frame), FORWARD);
			assert_int_equal(frame.length, before);
			check_rewritten(&frame, &hub, &to);
			assert_int_equal(udp_sum(frame.bytes, v6), 0xffff);
			assert_memory_equal(frame.bytes + HEADERS(v6), message, length);
		}
	}
}

static void test_no_checksum_stays_none(void **unused)
{
	if (!permitted)
		skip();
	fresh(false);
	session(false, 1000, 2000);
	uint8_t message[96] = {4};
	put_le(message + 4, 2000);
	struct endpoint from = bed_endpoint(false, 1), hub = bed_endpoint(false, BED_HUB);
	struct frame frame = frame_make(&from, &hub, message, sizeof(message));
	put16(frame.bytes + 40, 0);
	assert_int_equal(run(&frame), FORWARD);
	assert_int_equal(frame.bytes[40] << 8 | frame.bytes[41], 0);
}

/* The source is the address that the destination dials, not the one the packet came to. */
static void test_destination_sees_its_hub(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint site2 = bed_endpoint(v6, 2), site1 = bed_endpoint(v6, 1);
		struct endpoint hub = bed_endpoint(v6, BED_HUB), other = hub;
		uint8_t keepalive[32] = {4}, message[96] = {4};
		other.addr.bytes[addr_length(&other.addr) - 1] = 77;
		struct frame frame = frame_make(&site2, &other, keepalive, sizeof(keepalive));
		assert_int_equal(run(&frame), PASS);
		session(v6, 1000, 2000); /* 2 answers to the first address: that is confirmed */
		put_le(message + 4, 2000);
		frame = frame_make(&site1, &other, message, sizeof(message));
		assert_int_equal(run(&frame), FORWARD);
		check_rewritten(&frame, &hub, &site2);
		/* what nothing confirms does not change it */
		frame = frame_make(&site2, &other, keepalive, sizeof(keepalive));
		assert_int_equal(run(&frame), PASS);
		frame = frame_make(&site1, &other, message, sizeof(message));
		assert_int_equal(run(&frame), FORWARD);
		check_rewritten(&frame, &hub, &site2);
		/* 1 was last seen at the other address, with an index that leads somewhere */
		put_le(message + 4, 1000);
		frame = frame_make(&site2, &hub, message, sizeof(message));
		assert_int_equal(run(&frame), FORWARD);
		check_rewritten(&frame, &other, &site1);
	}
}

static void test_unconfirmed_fills_a_gap(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint site2 = bed_endpoint(v6, 2), site1 = bed_endpoint(v6, 1);
		struct endpoint hub = bed_endpoint(v6, BED_HUB), other = hub;
		uint8_t keepalive[32] = {4}, message[148] = {1};
		struct key key = bed_key(2);
		other.addr.bytes[addr_length(&other.addr) - 1] = 77;
		struct frame frame = frame_make(&site2, &other, keepalive, sizeof(keepalive));
		assert_int_equal(run(&frame), PASS);
		mac1(&key, message, 116, message + 116);
		frame = frame_make(&site1, &hub, message, sizeof(message));
		assert_int_equal(run(&frame), FORWARD);
		check_rewritten(&frame, &other, &site2);
	}
}

static void test_no_pair(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(pair_refused));
		assert_int_equal(initiation(v6, 1, 3, 1), DROP);
		assert_int_equal(initiation(v6, 1, 1, 1), DROP);
		assert_int_equal(initiation(v6, 9, 2, 1), PASS);
		assert_int_equal(counted(COUNTER(pair_refused)) - before, 2);
	}
}

static void test_revoked_pair(void **unused)
{
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		_cleanup_(closep) int pairs = map_open("pairs");
		struct relay_pair_key key = {1, 2};
		struct relay_pair pair;
		/* the entry alone cuts, whatever else stands */
		assert_int_equal(bpf_map_lookup_elem(pairs, &key, &pair), 0);
		assert_int_equal(bpf_map_delete_elem(pairs, &key), 0);
		assert_int_equal(data(v6, 1, 2000), DROP);
		assert_int_equal(data(v6, 2, 1000), FORWARD);
		assert_int_equal(initiation(v6, 1, 2, 1001), DROP);
		assert_int_equal(bpf_map_update_elem(pairs, &key, &pair, BPF_ANY), 0);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		/* removed and set again: the old session is not revived */
		assert_int_equal(relay_pair_remove(relay, 2, 1), 0);
		assert_int_equal(data(v6, 2, 1000), PASS);
		assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0);
		assert_int_equal(data(v6, 1, 2000), PASS);
		session(v6, 1002, 2002);
		assert_int_equal(data(v6, 1, 2002), FORWARD);
	}
}

static void test_expiry(void **unused)
{
	const struct mono past = {.us = 1};
	struct key key1 = bed_key(1), key2 = bed_key(2);
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		uint64_t before = counted(COUNTER(expired));
		assert_int_equal(relay_pair_set(relay, 1, 2, past), 0);
		assert_int_equal(data(v6, 1, 2000), DROP);
		assert_int_equal(initiation(v6, 1, 2, 1001), DROP);
		assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0);
		assert_int_equal(data(v6, 1, 2000), FORWARD); /* a renewal keeps sessions */
		assert_int_equal(relay_site_set(relay, 1, &key1, NULL, past), 0);
		assert_int_equal(data(v6, 1, 2000), DROP);
		assert_int_equal(data(v6, 2, 1000), DROP);
		assert_int_equal(initiation(v6, 1, 2, 1002), DROP);
		assert_int_equal(initiation(v6, 1, BED_HUB, 1003),
				 PASS); /* to ask for a new lease */
		assert_int_equal(relay_site_set(relay, 1, &key1, NULL, BED_ALWAYS), 0);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		assert_int_equal(counted(COUNTER(expired)) - before, 5);
		assert_int_equal(relay_site_set(relay, 2, &key2, NULL, past), 0);
		assert_int_equal(initiation(v6, 1, 2, 1004), DROP);
		assert_int_equal(relay_site_remove(relay, 2), 0);
		assert_int_equal(data(v6, 1, 2000), PASS);
		assert_int_equal(data(v6, 2, 1000), PASS);
	}
}

static void test_rotation(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct key old = bed_key(2), new = bed_key(42);
		assert_int_equal(relay_site_set(relay, 2, &new, &old, BED_ALWAYS), 0);
		assert_int_equal(initiation_with(v6, 1, &new, 1), FORWARD);
		assert_int_equal(initiation_with(v6, 1, &old, 2), FORWARD);
		assert_int_equal(relay_site_set(relay, 2, &new, NULL, BED_ALWAYS), 0);
		assert_int_equal(initiation_with(v6, 1, &old, 3), DROP);
	}
}

/* Site 2 comes by the other family; the hub's address there is known from what 2 sent. */
static void move_to_family(bool v6, uint32_t site)
{
	struct endpoint endpoint = bed_endpoint(v6, site);
	uint8_t keepalive[32] = {4};
	assert_int_equal(relay_site_endpoint(relay, site, &endpoint), 0);
	assert_int_equal(send_message(v6, site, keepalive, sizeof(keepalive)), PASS);
	hop_show(v6, site);
}

static void test_families_converted(void **unused)
{
	EACH_FAMILY(v6)
	{
		struct endpoint site1 = bed_endpoint(v6, 1), hub = bed_endpoint(v6, BED_HUB);
		struct endpoint site2 = bed_endpoint(!v6, 2), other = bed_endpoint(!v6, BED_HUB);
		unsigned int by_xdp = forwarded_by_xdp, lengths = 0;
		move_to_family(!v6, 2);
		assert_int_equal(initiation(v6, 1, 2, 1000), FORWARD);
		assert_int_equal(response(!v6, 2, 2000, 1000), FORWARD);
		for (uint32_t length = 32; length <= 1400; length += 9, lengths++) {
			uint8_t message[1500] = {4};
			put_le(message + 4, 2000);
			memset(message + 8, (int)length, length - 8);
			struct frame frame = frame_make(&site1, &hub, message, length);
			frame.bytes[v6 ? 14 : 15] = v6 ? 0x6b : 0xb8; /* traffic class b0 or b8 */
			if (!v6)
				put16(frame.bytes + 24, 0);
			assert_int_equal(run(&frame), FORWARD);
			assert_int_equal(frame.length, HEADERS(!v6) + length);
			assert_int_equal(frame.bytes[12] << 8 | frame.bytes[13],
					 v6 ? 0x0800 : 0x86dd);
			assert_memory_equal(frame.bytes, bed_link + 6, 6);
			assert_memory_equal(frame.bytes + 6, bed_link, 6);
			check_rewritten(&frame, &other, &site2);
			assert_int_equal(udp_sum(frame.bytes, !v6), 0xffff);
			assert_memory_equal(frame.bytes + HEADERS(!v6), message, length);
			if (v6) {
				assert_int_equal(frame.bytes[14], 0x45);
				assert_int_equal(frame.bytes[15], 0xb0);
				assert_int_equal(frame.bytes[16] << 8 | frame.bytes[17],
						 28 + length);
				assert_int_equal(frame.bytes[20] << 8 | frame.bytes[21], 0x4000);
			} else {
				assert_int_equal(frame.bytes[14] << 8 | frame.bytes[15], 0x6b80);
				assert_int_equal(frame.bytes[18] << 8 | frame.bytes[19],
						 8 + length);
				assert_int_equal(frame.bytes[20], IPPROTO_UDP);
			}
		}
		assert_int_equal(forwarded_by_xdp - by_xdp, bed_hook == HOOK_XDP ? lengths : 0);
		assert_int_equal(data(!v6, 2, 1000), FORWARD);
	}
}

/* IPv4 may go without a checksum, IPv6 may not. */
static void test_checksum_made_for_ipv6(void **unused)
{
	if (!permitted)
		skip();
	fresh(false);
	move_to_family(true, 2);
	assert_int_equal(initiation(false, 1, 2, 1000), FORWARD);
	assert_int_equal(response(true, 2, 2000, 1000), FORWARD);
	struct endpoint from = bed_endpoint(false, 1), hub = bed_endpoint(false, BED_HUB);
	for (uint32_t length = 32; length <= 1420; length++) {
		uint8_t message[1500] = {4};
		put_le(message + 4, 2000);
		memset(message + 8, (int)length, length - 8);
		struct frame frame = frame_make(&from, &hub, message, length);
		put16(frame.bytes + 40, 0);
		assert_int_equal(run(&frame), FORWARD);
		assert_int_equal(udp_sum(frame.bytes, true), 0xffff);
		assert_memory_equal(frame.bytes + HEADERS(true), message, length);
	}
}

/* The hub's address of the other family is not known yet; what would grow beyond the link; merged packets. */
static void test_conversion_refused(void **unused)
{
	if (!permitted)
		skip();
	fresh(false);
	struct endpoint endpoint = bed_endpoint(true, 2), from = bed_endpoint(false, 1),
			hub = bed_endpoint(false, BED_HUB);
	session(false, 1000, 2000);
	uint64_t unreachable = counted(COUNTER(unreachable)),
		 refused = counted(COUNTER(family_refused));
	assert_int_equal(relay_site_endpoint(relay, 2, &endpoint), 0);
	assert_int_equal(data(false, 1, 2000), DROP);
	assert_int_equal(relay_site_endpoint(relay, 2, NULL), 0);
	assert_int_equal(data(false, 1, 2000), DROP);
	assert_int_equal(counted(COUNTER(unreachable)) - unreachable, 2);
	move_to_family(true, 2);
	uint8_t message[1500] = {4};
	put_le(message + 4, 2000);
	struct frame frame = frame_make(&from, &hub, message, 1452);
	put16(frame.bytes + 40, 0); /* decided at tc: XDP cannot make a checksum */
	assert_int_equal(run(&frame), FORWARD);
	frame = frame_make(&from, &hub, message, 1453);
	put16(frame.bytes + 40, 0);
	assert_int_equal(run(&frame), DROP);
	put_le(message + 40, 4);
	put_le(message + 44, 2000);
	frame = frame_make(&from, &hub, message, 80);
	struct __sk_buff context = {.ifindex = bed_interface, .gso_size = 40, .gso_segs = 2};
	assert_int_equal(run_at(program, &frame, &context, sizeof(context)), DROP);
	assert_int_equal(counted(COUNTER(family_refused)) - refused, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_other_packets),
		cmocka_unit_test(test_handshake_and_data),
		cmocka_unit_test(test_rewriting),
		cmocka_unit_test(test_no_checksum_stays_none),
		cmocka_unit_test(test_destination_sees_its_hub),
		cmocka_unit_test(test_unconfirmed_fills_a_gap),
		cmocka_unit_test(test_no_pair),
		cmocka_unit_test(test_revoked_pair),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_families_converted),
		cmocka_unit_test(test_checksum_made_for_ipv6),
		cmocka_unit_test(test_conversion_refused),
	};
	bed_hook = HOOK_TC;
	int failed = cmocka_run_group_tests_name("at tc", tests, group_start, group_stop);
	bed_hook = HOOK_XDP;
	return failed + cmocka_run_group_tests_name("at XDP", tests, group_start, group_stop);
}
