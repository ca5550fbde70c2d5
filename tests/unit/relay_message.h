/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages for the bed: sites 1, 2 and 3 with the pairs 1-2 and 2-3, their handshakes and data. The BLAKE2s here is a
 * second one, written after RFC 7693; relay_decide_test holds it to hashlib's values before it judges.
 */
#pragma once
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

static inline void blake_block(struct blake *b, bool last)
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

static inline void blake_add(struct blake *b, const void *data, size_t length)
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

static inline void blake2s(const void *key, size_t key_length, const void *data, size_t length,
			   void *ret, size_t size)
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

static inline void mac1(const struct key *to, const void *message, size_t length, uint8_t ret[16])
{
	uint8_t labelled[40] = "mac1----", key[32];
	memcpy(labelled + 8, to->bytes, 32);
	blake2s(NULL, 0, labelled, sizeof(labelled), key, sizeof(key));
	blake2s(key, sizeof(key), message, length, ret, 16);
}

/* --- messages */

static inline void put_le(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static inline int initiation_with(bool v6, uint32_t from, const struct key *to, uint32_t sender)
{
	uint8_t message[148] = {1};
	put_le(message + 4, sender);
	mac1(to, message, 116, message + 116);
	return send_message(v6, from, message, sizeof(message));
}

static inline int initiation(bool v6, uint32_t from, uint32_t to, uint32_t sender)
{
	struct key key = bed_key(to);
	return initiation_with(v6, from, &key, sender);
}

static inline int response(bool v6, uint32_t from, uint32_t sender, uint32_t receiver)
{
	uint8_t message[92] = {2};
	put_le(message + 4, sender);
	put_le(message + 8, receiver);
	return send_message(v6, from, message, sizeof(message));
}

static inline int indexed(bool v6, uint8_t type, uint32_t from, uint32_t receiver, uint32_t length)
{
	uint8_t message[1500] = {type};
	put_le(message + 4, receiver);
	return send_message(v6, from, message, length);
}

static inline int data(bool v6, uint32_t from, uint32_t receiver)
{
	return indexed(v6, 4, from, receiver, 96);
}

/* --- the bed, as new for each family */

static inline void site_up(bool v6, uint32_t site)
{
	struct key key = bed_key(site);
	struct endpoint endpoint = bed_endpoint(v6, site);
	assert_int_equal(relay_site_set(relay, site, &key, NULL, BED_ALWAYS), 0);
	assert_int_equal(relay_site_endpoint(relay, site, &endpoint), 0);
	hop_show(v6, site);
}

static inline void fresh(bool v6)
{
	for (uint32_t site = 1; site <= 20; site++)
		assert_int_equal(relay_site_remove(relay, site), 0);
	for (uint32_t site = 1; site <= 3; site++)
		site_up(v6, site);
	assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 2, 3, BED_ALWAYS), 0);
}

/* A session of 1 with 2: 1 draws a, 2 draws b. */
static inline void session(bool v6, uint32_t a, uint32_t b)
{
	assert_int_equal(initiation(v6, 1, 2, a), FORWARD);
	assert_int_equal(response(v6, 2, b, a), FORWARD);
}

static inline int map_open(const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", BED_DIR, name);
	int fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

/* Makes budgets whole again, as if time had passed. */
static inline void budgets_refill(void)
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

static inline int garbage_initiation(bool v6, uint32_t from)
{
	uint8_t message[148] = {1};
	return send_message(v6, from, message, sizeof(message));
}

static inline int group_start(void **unused)
{
	static bool tried;
	permitted = tried ? permitted && bed_start_again() : bed_start();
	tried = true;
	return 0;
}

static inline int group_stop(void **unused)
{
	if (permitted)
		bed_stop();
	return 0;
}
