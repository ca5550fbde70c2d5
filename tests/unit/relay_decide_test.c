// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the loaded program decides, packet by packet, over IPv4 and IPv6. Sites 1, 2 and 3; 1-2 and 2-3 are pairs.
 * The BLAKE2s here is a second one, written after RFC 7693 and held to hashlib's values before it judges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/relay_bed.h"

static bool permitted;

/* --- mac1, independently */

struct blake {
	uint32_t h[8];
	uint64_t count;
	uint8_t block[64];
	size_t filled;
};

static const uint32_t iv[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
			       0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

static void blake_block(struct blake *b, bool last)
{
	static const char sigma[10][17] = {
		"0123456789ABCDEF", "EA489FD61C02B753", "B8C052FDAE367194", "7931DCBE265A40F8",
		"905724AFE1BC683D", "2C6A0B834D75FE19", "C51FED4A0763928B", "DB7EC13950F4862A",
		"6FE9B308C2D714A5", "A2847615FB9E3CD0"};
	static const uint8_t lanes[8][4] = {{0, 4, 8, 12},  {1, 5, 9, 13},  {2, 6, 10, 14},
					    {3, 7, 11, 15}, {0, 5, 10, 15}, {1, 6, 11, 12},
					    {2, 7, 8, 13},  {3, 4, 9, 14}};
	uint32_t v[16], m[16];
	memcpy(m, b->block, 64);
	memcpy(v, b->h, 32);
	memcpy(v + 8, iv, 32);
	v[12] ^= (uint32_t)b->count;
	v[13] ^= (uint32_t)(b->count >> 32);
	v[14] = last ? ~v[14] : v[14];
	for (int step = 0; step < 160; step++) {
		const uint8_t *l = lanes[step / 2 % 8];
		bool second = step % 2;
		char c = sigma[step / 16][step % 16];
		uint32_t x = m[c <= '9' ? c - '0' : c - 'A' + 10], bits;
		v[l[0]] += v[l[1]] + x;
		bits = v[l[3]] ^ v[l[0]];
		v[l[3]] = second ? bits >> 8 | bits << 24 : bits >> 16 | bits << 16;
		v[l[2]] += v[l[3]];
		bits = v[l[1]] ^ v[l[2]];
		v[l[1]] = second ? bits >> 7 | bits << 25 : bits >> 12 | bits << 20;
	}
	for (int i = 0; i < 8; i++)
		b->h[i] ^= v[i] ^ v[i + 8];
}

static void blake_add(struct blake *b, const void *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (b->filled == 64) {
			b->count += 64;
			blake_block(b, false);
			b->filled = 0;
		}
		b->block[b->filled++] = ((const uint8_t *)data)[i];
	}
}

static void blake2s(const void *key, size_t key_length, const void *data, size_t length, void *ret,
		    size_t size)
{
	struct blake b = {0};
	uint8_t block[64] = {0};
	memcpy(b.h, iv, sizeof(iv));
	b.h[0] ^= 0x01010000u ^ (uint32_t)key_length << 8 ^ (uint32_t)size;
	if (key_length) {
		memcpy(block, key, key_length);
		blake_add(&b, block, 64);
	}
	blake_add(&b, data, length);
	b.count += b.filled;
	memset(b.block + b.filled, 0, 64 - b.filled);
	blake_block(&b, true);
	memcpy(ret, b.h, size);
}

static void mac1(const struct key *to, const void *message, size_t length, uint8_t ret[16])
{
	uint8_t labelled[40] = "mac1----", key[32];
	memcpy(labelled + 8, to->bytes, 32);
	blake2s(NULL, 0, labelled, sizeof(labelled), key, sizeof(key));
	blake2s(key, sizeof(key), message, length, ret, 16);
}

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

/* --- messages */

static void put_le(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static int initiation_with(bool v6, uint32_t from, const struct key *to, uint32_t sender)
{
	uint8_t message[148] = {1};
	put_le(message + 4, sender);
	mac1(to, message, 116, message + 116);
	return send_message(v6, from, message, sizeof(message));
}

static int initiation(bool v6, uint32_t from, uint32_t to, uint32_t sender)
{
	struct key key = bed_key(to);
	return initiation_with(v6, from, &key, sender);
}

static int response(bool v6, uint32_t from, uint32_t sender, uint32_t receiver)
{
	uint8_t message[92] = {2};
	put_le(message + 4, sender);
	put_le(message + 8, receiver);
	return send_message(v6, from, message, sizeof(message));
}

static int indexed(bool v6, uint8_t type, uint32_t from, uint32_t receiver, uint32_t length)
{
	uint8_t message[1500] = {type};
	put_le(message + 4, receiver);
	return send_message(v6, from, message, length);
}

static int data(bool v6, uint32_t from, uint32_t receiver)
{
	return indexed(v6, 4, from, receiver, 96);
}

/* --- the bed, as new for each family */

static void site_up(bool v6, uint32_t site)
{
	struct key key = bed_key(site);
	struct endpoint endpoint = bed_endpoint(v6, site);
	assert_int_equal(relay_site_set(relay, site, &key, NULL, BED_ALWAYS), 0);
	assert_int_equal(relay_site_endpoint(relay, site, &endpoint), 0);
}

static void fresh(bool v6)
{
	for (uint32_t site = 1; site <= 20; site++)
		assert_int_equal(relay_site_remove(relay, site), 0);
	for (uint32_t site = 1; site <= 3; site++)
		site_up(v6, site);
	assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 2, 3, BED_ALWAYS), 0);
}

/* A session of 1 with 2: 1 draws a, 2 draws b. */
static void session(bool v6, uint32_t a, uint32_t b)
{
	assert_int_equal(initiation(v6, 1, 2, a), FORWARD);
	assert_int_equal(response(v6, 2, b, a), FORWARD);
}

static int map_open(const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", BED_DIR, name);
	int fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

/* Makes budgets whole again, as if time had passed. */
static void budgets_refill(void)
{
	_cleanup_(closep) int handshakes = map_open("handshakes");
	_cleanup_(closep) int paths = map_open("paths");
	struct relay_pair_key pairs[] = {{1, 2}, {2, 1}, {2, 3}, {3, 2}};
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct relay_handshakes left;
		assert_int_equal(bpf_map_lookup_elem(handshakes, &pairs[i], &left), 0);
		left.budget_ns = 0;
		assert_int_equal(bpf_map_update_elem(handshakes, &pairs[i], &left, BPF_ANY), 0);
	}
	for (uint32_t site = 1; site <= 3; site++) {
		struct relay_path path;
		assert_int_equal(bpf_map_lookup_elem(paths, &site, &path), 0);
		path.target_ns = path.tests_ns = 0;
		assert_int_equal(bpf_map_update_elem(paths, &site, &path, BPF_ANY), 0);
	}
}

#define EACH_FAMILY(v6)                                                                            \
	if (!permitted)                                                                            \
		skip();                                                                            \
	for (int v6 = 0; v6 <= 1 && (fresh(v6), true); v6++)

/* --- tests */

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
		{"another host's MAC", false, 0, 0x02, PASS},
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

/* Two data messages merged into one packet: forwarded where both are for one receiver, else dropped. */
static void test_batches(void **unused)
{
	static const struct {
		uint8_t second_type;
		uint32_t second_index;
		int expected;
	} cases[] = {{4, 2000, FORWARD}, {4, 2001, DROP}, {3, 2000, DROP}};
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			uint8_t message[192] = {4};
			struct endpoint from = bed_endpoint(v6, 1), hub = bed_endpoint(v6, BED_HUB);
			put_le(message + 4, 2000);
			message[96] = cases[i].second_type;
			put_le(message + 100, cases[i].second_index);
			struct frame frame = frame_make(&from, &hub, message, sizeof(message));
			struct __sk_buff context = {.gso_size = 96, .gso_segs = 2};
			LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes,
				    .data_size_in = frame.length, .ctx_in = &context,
				    .ctx_size_in = sizeof(context), .repeat = 1);
			assert_int_equal(bpf_prog_test_run_opts(program, &options), 0);
			assert_int_equal((int)options.retval, cases[i].expected);
		}
	}
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

static void test_response_once(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(response_refused));
		assert_int_equal(response(v6, 2, 2000, 1000), PASS);
		assert_int_equal(initiation(v6, 1, 2, 1000), FORWARD);
		assert_int_equal(response(v6, 3, 3000, 1000), PASS);
		assert_int_equal(response(v6, 2, 2000, 1000), FORWARD);
		assert_int_equal(response(v6, 2, 2000, 1000), DROP);
		assert_int_equal(response(v6, 2, 2001, 1000), DROP);
		assert_int_equal(data(v6, 1, 2001), PASS);
		/* the initiation again: forwarded, the responder's timestamp refuses it; but it revives nothing */
		assert_int_equal(initiation(v6, 1, 2, 1000), FORWARD);
		assert_int_equal(response(v6, 2, 2002, 1000), DROP);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		assert_int_equal(counted(COUNTER(response_refused)) - before, 3);
	}
}

static void test_no_overwrite(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(index_taken));
		session(v6, 1000, 2000);
		assert_int_equal(initiation(v6, 3, 2, 1000), DROP);
		assert_int_equal(initiation(v6, 2, 3, 555), FORWARD);
		assert_int_equal(response(v6, 3, 1000, 555), DROP); /* (2, 1000) leads to 1 */
		assert_int_equal(data(v6, 2, 1000), FORWARD);
		uint64_t packets, bytes;
		assert_int_equal(relay_pair_traffic(relay, 2, 1, &packets, &bytes), 0);
		assert_int_equal(packets, 2);
		assert_int_equal(counted(COUNTER(index_taken)) - before, 2);
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

static void test_old_sessions(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int sessions = map_open("sessions");
		struct relay_session_key key = {1, 2000};
		struct relay_session entry;
		session(v6, 1000, 2000);
		assert_int_equal(bpf_map_lookup_elem(sessions, &key, &entry), 0);
		uint64_t now = (uint64_t)clock_mono().us * 1000;
		entry.born_ns = now - 190000000000;
		assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		entry.born_ns = now - 201000000000;
		assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		assert_int_equal(data(v6, 1, 2000), PASS);
		/* a response that comes too late */
		assert_int_equal(initiation(v6, 1, 2, 1001), FORWARD);
		key = (struct relay_session_key){2, 1001};
		entry = (struct relay_session){
			.born_ns = now - 31000000000, .to = 1, .state = RELAY_SESSION_PENDING};
		assert_int_equal(bpf_map_update_elem(sessions, &key, &entry, BPF_ANY), 0);
		assert_int_equal(response(v6, 2, 2001, 1001), DROP);
	}
}

/* 50 handshakes of one pair push out their own sessions and nobody else's. */
static void test_quota(void **unused)
{
	EACH_FAMILY(v6)
	{
		session(v6, 1000, 2000);
		for (uint32_t i = 0; i < 50; i++) {
			budgets_refill();
			assert_int_equal(initiation(v6, 3, 2, 5000 + i), FORWARD);
			if (i % 2)
				assert_int_equal(response(v6, 2, 6000 + i, 5000 + i), FORWARD);
		}
		assert_int_equal(data(v6, 1, 2000), FORWARD);
		assert_int_equal(data(v6, 2, 1000), FORWARD);
		unsigned int alive = 0;
		_cleanup_(closep) int sessions = map_open("sessions");
		for (uint32_t i = 0; i < 50; i++) {
			struct relay_session_key there = {3, 6000 + i}, back = {2, 5000 + i};
			struct relay_session entry;
			alive += bpf_map_lookup_elem(sessions, &there, &entry) == 0;
			alive += bpf_map_lookup_elem(sessions, &back, &entry) == 0;
		}
		assert_true(alive <= 2 * RELAY_SESSIONS + RELAY_PENDING);
		assert_int_equal(data(v6, 3, 6049), FORWARD);
		assert_int_equal(data(v6, 3, 6043), FORWARD);
		assert_int_equal(data(v6, 3, 6041), PASS);
	}
}

/* An index that a pair once used and another pair has now. */
static void test_eviction_spares_others(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int sessions = map_open("sessions");
		struct relay_session_key pending = {2, 5000}, confirmed = {2, 5001},
					 back = {3, 6001};
		struct relay_session of_1 = {.born_ns = (uint64_t)clock_mono().us * 1000, .to = 1};
		assert_int_equal(initiation(v6, 3, 2, 5000), FORWARD);
		assert_int_equal(initiation(v6, 3, 2, 5001), FORWARD);
		assert_int_equal(response(v6, 2, 6001, 5001), FORWARD);
		of_1.state = RELAY_SESSION_PENDING;
		assert_int_equal(bpf_map_update_elem(sessions, &pending, &of_1, BPF_ANY), 0);
		of_1.state = RELAY_SESSION_CONFIRMED;
		assert_int_equal(bpf_map_update_elem(sessions, &confirmed, &of_1, BPF_ANY), 0);
		assert_int_equal(bpf_map_update_elem(sessions, &back, &of_1, BPF_ANY), 0);
		for (uint32_t i = 0; i < 10; i++) {
			budgets_refill();
			assert_int_equal(initiation(v6, 3, 2, 7000 + i), FORWARD);
			assert_int_equal(response(v6, 2, 8000 + i, 7000 + i), FORWARD);
		}
		/* still there; and not left to the next test, as no pair knows of them */
		assert_int_equal(bpf_map_delete_elem(sessions, &pending), 0);
		assert_int_equal(bpf_map_delete_elem(sessions, &confirmed), 0);
		assert_int_equal(bpf_map_delete_elem(sessions, &back), 0);
	}
}

static void test_initiation_budgets(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(budget_refused));
		int forwarded = 0;
		for (uint32_t i = 0; i < 10; i++)
			forwarded += initiation(v6, 1, 2, i) == FORWARD;
		assert_int_equal(forwarded, RELAY_PAIR_BURST);
		assert_int_equal(counted(COUNTER(budget_refused)) - before, 10 - RELAY_PAIR_BURST);
		assert_int_equal(initiation(v6, 3, 2, 100), FORWARD); /* another pair has its own */
		budgets_refill();
		for (uint32_t site = 4; site <= 20; site++) {
			site_up(v6, site);
			assert_int_equal(relay_pair_set(relay, 2, site, BED_ALWAYS), 0);
		}
		forwarded = 0;
		for (uint32_t i = 0; i < 6; i++)
			for (uint32_t site = 4; site <= 20; site++)
				forwarded += initiation(v6, site, 2, 1000 * site + i) == FORWARD;
		/* the loop itself takes some milliseconds; never 15, whatever it takes below a second */
		assert_in_range(forwarded, RELAY_TARGET_BURST, 14);
		assert_int_equal(initiation(v6, 2, 3, 200),
				 FORWARD); /* another target has its own */
	}
}

static int garbage_initiation(bool v6, uint32_t from)
{
	uint8_t message[148] = {1};
	return send_message(v6, from, message, sizeof(message));
}

static void test_mac1_flood(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(budget_refused)),
			 tests = counted(COUNTER(mac1_tests));
		struct mono start = clock_mono();
		for (uint32_t site = 4; site <= 20; site++) {
			site_up(v6, site);
			assert_int_equal(relay_pair_set(relay, 1, site, BED_ALWAYS), 0);
		}
		for (int i = 0; i < 1000; i++)
			assert_int_equal(garbage_initiation(v6, 1), DROP);
		uint64_t used = counted(COUNTER(mac1_tests)) - tests -
				1000; /* the hub's key is tested always */
		uint64_t ms = (uint64_t)mono_diff_ms(clock_mono(), start) + 1;
		assert_true(used >= RELAY_TESTS_BURST);
		assert_true(used <= RELAY_TESTS_BURST + ms * RELAY_TESTS_RATE / 1000 + 1);
		assert_true(counted(COUNTER(budget_refused)) - before > 0);
		assert_int_equal(initiation(v6, 1, BED_HUB, 1), PASS);
		assert_int_equal(initiation(v6, 3, 2, 2), FORWARD);
	}
}

/* The budget over all senders. */
static void test_all_tests_budget(void **unused)
{
	EACH_FAMILY(v6)
	{
		_cleanup_(closep) int totals = map_open("totals");
		uint32_t zero = 0;
		uint64_t full_ns, later_ns, refused = counted(COUNTER(budget_refused));
		assert_int_equal(initiation(v6, 1, 2, 1), FORWARD);
		assert_int_equal(bpf_map_lookup_elem(totals, &zero, &full_ns), 0);
		assert_int_equal(garbage_initiation(v6, 1), DROP);
		assert_int_equal(bpf_map_lookup_elem(totals, &zero, &later_ns), 0);
		assert_true(later_ns > full_ns);
		full_ns = (uint64_t)clock_mono().us * 1000 + 10000000000;
		assert_int_equal(bpf_map_update_elem(totals, &zero, &full_ns, BPF_ANY), 0);
		assert_int_equal(initiation(v6, 1, 2, 2), DROP);
		assert_int_equal(counted(COUNTER(budget_refused)) - refused, 1);
		full_ns = 0;
		assert_int_equal(bpf_map_update_elem(totals, &zero, &full_ns, BPF_ANY), 0);
		assert_int_equal(initiation(v6, 1, 2, 3), FORWARD);
	}
}

static void test_recent_candidate_first(void **unused)
{
	EACH_FAMILY(v6)
	{
		for (uint32_t site = 4; site <= 20; site++) {
			site_up(v6, site);
			assert_int_equal(relay_pair_set(relay, 1, site, BED_ALWAYS), 0);
		}
		uint64_t before = counted(COUNTER(mac1_tests));
		assert_int_equal(initiation(v6, 1, 20, 1), FORWARD);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before, 1 + 18);
		before = counted(COUNTER(mac1_tests));
		assert_int_equal(initiation(v6, 1, 20, 2), FORWARD);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before, 1 + 1);
		assert_int_equal(initiation(v6, 1, 19, 3), FORWARD);
		before = counted(COUNTER(mac1_tests));
		assert_int_equal(initiation(v6, 1, 20, 4), FORWARD);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before, 1 + 2);
		before = counted(COUNTER(mac1_tests));
		assert_int_equal(garbage_initiation(v6, 1), DROP);
		assert_int_equal(counted(COUNTER(mac1_tests)) - before,
				 1 + 18); /* nobody is tested twice */
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

/* Conversion between the families is not built: refused and counted. */
static void test_families_apart(void **unused)
{
	EACH_FAMILY(v6)
	{
		uint64_t before = counted(COUNTER(family_refused)),
			 away = counted(COUNTER(unreachable));
		struct endpoint other = bed_endpoint(!v6, 2);
		session(v6, 1000, 2000);
		assert_int_equal(relay_site_endpoint(relay, 2, &other), 0);
		assert_int_equal(data(v6, 1, 2000), DROP);
		assert_int_equal(counted(COUNTER(family_refused)) - before, 1);
		assert_int_equal(data(!v6, 2, 1000), DROP);
		assert_int_equal(relay_site_endpoint(relay, 2, NULL), 0);
		assert_int_equal(data(v6, 1, 2000), DROP);
		assert_int_equal(counted(COUNTER(unreachable)) - away, 1);
	}
}

static int group_start(void **unused)
{
	permitted = bed_start();
	return 0;
}

static int group_stop(void **unused)
{
	if (permitted)
		bed_stop();
	return 0;
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
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_destination_sees_its_hub),
		cmocka_unit_test(test_unconfirmed_fills_a_gap),
		cmocka_unit_test(test_response_once),
		cmocka_unit_test(test_no_overwrite),
		cmocka_unit_test(test_no_pair),
		cmocka_unit_test(test_revoked_pair),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_old_sessions),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_eviction_spares_others),
		cmocka_unit_test(test_initiation_budgets),
		cmocka_unit_test(test_mac1_flood),
		cmocka_unit_test(test_all_tests_budget),
		cmocka_unit_test(test_recent_candidate_first),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_families_apart),
	};
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
