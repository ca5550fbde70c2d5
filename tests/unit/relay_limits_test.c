// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * As large as it gets: 1,001 sites, each with a pair with each other one, each in the middle of a key rotation. The last
 * candidate is found in one go; one more is refused, and only that one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/relay_message.h"

#define SITES (RELAY_CANDIDATES_MAX + 1)

static struct key key_of(uint32_t site, bool previous)
{
	struct key key = {{previous ? 0xee : 0xdd}};
	memcpy(key.bytes + 4, &site, sizeof(site));
	return key;
}

static void sites_fill(void)
{
	for (uint32_t site = 1; site <= SITES; site++) {
		struct key key = key_of(site, false), previous = key_of(site, true);
		assert_int_equal(relay_site_set(relay, site, &key, &previous, BED_ALWAYS), 0);
	}
}

/* What relay_pair_set() makes of a million calls, in one. */
static void pairs_fill(void)
{
	const uint32_t n = SITES * (SITES - 1);
	_cleanup_(closep) int pairs = map_open("pairs"), candidates = map_open("candidates");
	_cleanup_(freep) struct relay_pair_key *keys = calloc(n, sizeof(*keys));
	_cleanup_(freep) struct relay_pair *values = calloc(n, sizeof(*values));
	uint32_t at = 0, count = n;
	assert_true(keys && values && n <= RELAY_PAIRS_MAX);
	for (uint32_t from = 1; from <= SITES; from++) {
		struct relay_candidates list = {0};
		for (uint32_t to = 1; to <= SITES; to++) {
			if (to == from)
				continue;
			list.sites[list.count++] = (uint16_t)to;
			keys[at] = (struct relay_pair_key){.from = from, .to = to};
			values[at++].expires_ns = INT64_MAX;
		}
		assert_int_equal(bpf_map_update_elem(candidates, &from, &list, BPF_ANY), 0);
	}
	assert_int_equal(bpf_map_update_batch(pairs, keys, values, &count, NULL), 0);
	assert_int_equal(count, n);
}

/* As if nobody had sent anything for some time. */
static void budgets_wait(uint32_t site)
{
	_cleanup_(closep) int paths = map_open("paths"), totals = map_open("totals");
	_cleanup_(closep) int handshakes = map_open("handshakes");
	const uint32_t sites[] = {site, SITES};
	struct relay_pair_key pair = {.from = site, .to = SITES};
	struct relay_handshakes ring;
	uint64_t none = 0;
	uint32_t zero = 0;
	for (size_t i = 0; i < ARRAY_SIZE(sites); i++) {
		struct relay_path path;
		assert_int_equal(bpf_map_lookup_elem(paths, &sites[i], &path), 0);
		path.tests_ns = path.target_ns = 0;
		memset(path.recent, 0, sizeof(path.recent));
		assert_int_equal(bpf_map_update_elem(paths, &sites[i], &path, BPF_ANY), 0);
	}
	assert_int_equal(bpf_map_lookup_elem(handshakes, &pair, &ring), 0);
	ring.budget_ns = 0;
	assert_int_equal(bpf_map_update_elem(handshakes, &pair, &ring, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(totals, &zero, &none, BPF_ANY), 0);
}

static void test_last_candidate(void **unused)
{
	static const uint32_t senders[] = {1, 200};
	if (!permitted)
		skip();
	sites_fill();
	pairs_fill();
	for (int v6 = 0; v6 <= 1; v6++) {
		for (size_t i = 0; i < ARRAY_SIZE(senders); i++) {
			struct endpoint from = bed_endpoint(v6, senders[i]),
					to = bed_endpoint(v6, 201);
			assert_int_equal(relay_site_endpoint(relay, senders[i], &from), 0);
			assert_int_equal(relay_site_endpoint(relay, SITES, &to), 0);
			/* makes what the pair's handshakes are kept in */
			assert_int_equal(relay_pair_set(relay, senders[i], SITES, BED_ALWAYS), 0);
			for (int previous = 0; previous <= 1; previous++) {
				struct key key = key_of(SITES, previous);
				uint64_t tests = counted(COUNTER(mac1_tests));
				budgets_wait(senders[i]);
				assert_int_equal(
					initiation_with(v6, senders[i], &key,
							1000 * senders[i] +
								(uint32_t)(v6 * 2 + previous)),
					FORWARD);
				/* the hub's key, two of 999 others, and the last one's first or second */
				assert_int_equal(counted(COUNTER(mac1_tests)) - tests,
						 1 + 2 * (RELAY_CANDIDATES_MAX - 1) + 1 + previous);
			}
		}
	}
}

static void test_one_more(void **unused)
{
	uint64_t packets, bytes;
	if (!permitted)
		skip();
	assert_int_equal(relay_pair_set(relay, 1, SITES + 1, BED_ALWAYS), -ENOSPC);
	assert_int_equal(relay_pair_set(relay, SITES + 1, 7, BED_ALWAYS), -ENOSPC);
	assert_int_equal(relay_pair_traffic(relay, 1, SITES + 1, &packets, &bytes), -ENOENT);
	assert_int_equal(relay_pair_traffic(relay, SITES + 1, 1, &packets, &bytes), -ENOENT);
	assert_int_equal(relay_pair_set(relay, SITES + 1, SITES + 2, BED_ALWAYS), 0);
	assert_int_equal(relay_pair_set(relay, 1, 2, BED_ALWAYS), 0); /* a renewal */
	assert_int_equal(relay_pair_remove(relay, 1, 2), 0);
	assert_int_equal(relay_pair_set(relay, 1, SITES + 1, BED_ALWAYS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_candidate),
		cmocka_unit_test(test_one_more),
	};
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
