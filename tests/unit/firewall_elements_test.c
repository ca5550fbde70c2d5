/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From desired state to set elements, and disjoint boxes: tables of cases. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/boxes.h"
#include "firewall/elements.h"

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}

/* ---- boxes ---- */

struct plain_box {
	const char *prefix;
	uint8_t protocol;
	uint16_t low, high;
	uint32_t timeout_ms;
};

#define BOXES_MAX 6
static const struct {
	const char *name;
	struct plain_box in[BOXES_MAX], out[BOXES_MAX];
} box_cases[] = {
	{"nothing", {{0}}, {{0}}},
	{"one stays", {{"10.0.0.0/8", 6, 22, 22, 0}}, {{"10.0.0.0/8", 6, 22, 22, 0}}},
	{"neighbours merge",
	 {{"10.0.0.0/8", 6, 23, 30, 0}, {"10.0.0.0/8", 6, 20, 22, 0}},
	 {{"10.0.0.0/8", 6, 20, 30, 0}}},
	{"overlaps merge",
	 {{"10.0.0.0/8", 6, 10, 30, 0}, {"10.0.0.0/8", 6, 20, 40, 0}, {"10.0.0.0/8", 6, 15, 16, 0}},
	 {{"10.0.0.0/8", 6, 10, 40, 0}}},
	{"protocols apart",
	 {{"10.0.0.0/8", 6, 1, 2, 0}, {"10.0.0.0/8", 17, 1, 2, 0}},
	 {{"10.0.0.0/8", 6, 1, 2, 0}, {"10.0.0.0/8", 17, 1, 2, 0}}},
	{"a wider prefix says it already",
	 {{"10.1.0.0/16", 6, 22, 22, 0}, {"10.0.0.0/8", 6, 22, 22, 0}},
	 {{"10.0.0.0/8", 6, 22, 22, 0}}},
	{"a wider prefix says part of it",
	 {{"10.1.0.0/16", 6, 20, 30, 0}, {"0.0.0.0/0", 6, 24, 26, 0}},
	 {{"0.0.0.0/0", 6, 24, 26, 0},
	  {"10.1.0.0/16", 6, 20, 23, 0},
	  {"10.1.0.0/16", 6, 27, 30, 0}}},
	{"prefixes side by side have nothing in common",
	 {{"10.1.0.0/16", 6, 22, 22, 0}, {"10.2.0.0/16", 6, 22, 22, 0}},
	 {{"10.1.0.0/16", 6, 22, 22, 0}, {"10.2.0.0/16", 6, 22, 22, 0}}},
	{"the longer time counts where both hold",
	 {{"fd00::/64", 6, 10, 30, 5000}, {"fd00::/64", 6, 20, 40, 9000}},
	 {{"fd00::/64", 6, 10, 19, 5000}, {"fd00::/64", 6, 20, 40, 9000}}},
	{"no end beats any time",
	 {{"fd00::/64", 6, 10, 30, 5000}, {"fd00::/64", 6, 20, 25, 0}},
	 {{"fd00::/64", 6, 10, 19, 5000},
	  {"fd00::/64", 6, 20, 25, 0},
	  {"fd00::/64", 6, 26, 30, 5000}}},
	{"to the last port",
	 {{"fd00::/64", 6, 0, 65535, 0}, {"fd00::/64", 6, 65535, 65535, 0}},
	 {{"fd00::/64", 6, 0, 65535, 0}}},
};

static size_t boxes_from(const struct plain_box *plain, struct box *ret)
{
	size_t n = 0;

	for (; n < BOXES_MAX && plain[n].prefix; n++)
		ret[n] = (struct box){.prefix = prefix_of(plain[n].prefix),
				      .protocol = plain[n].protocol,
				      .low = plain[n].low,
				      .high = plain[n].high,
				      .timeout_ms = plain[n].timeout_ms};
	return n;
}

static bool box_listed(const struct box *boxes, size_t n, const struct box *box)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_compare(&boxes[i].prefix, &box->prefix) == 0 &&
		    boxes[i].protocol == box->protocol && boxes[i].low == box->low &&
		    boxes[i].high == box->high && boxes[i].timeout_ms == box->timeout_ms)
			return true;
	return false;
}

static void test_boxes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(box_cases); i++) {
		struct box in[BOXES_MAX], expected[BOXES_MAX];
		_cleanup_(freep) struct box *out = NULL;
		size_t n_out, n = boxes_from(box_cases[i].in, in);
		size_t n_expected = boxes_from(box_cases[i].out, expected);

		print_message("# %s\n", box_cases[i].name);
		assert_int_equal(boxes_disjoint(in, n, 100, &out, &n_out), 0);
		assert_int_equal(n_out, n_expected);
		for (size_t k = 0; k < n_out; k++)
			assert_true(box_listed(expected, n_expected, &out[k]));
	}
}

static void test_boxes_limit(void **state)
{
	const struct box boxes[] = {{.prefix = prefix_of("10.0.0.0/8"), .low = 1, .high = 1},
				    {.prefix = prefix_of("10.0.0.0/8"), .low = 3, .high = 3}};
	struct box *out = NULL;
	size_t n;

	assert_int_equal(boxes_disjoint(boxes, 2, 1, &out, &n), -E2BIG);
	assert_null(out);
	assert_int_equal(boxes_disjoint(boxes, 2, 2, &out, &n), 0);
	free(out);
}

/* ---- elements ---- */

static struct fw_peer peer_of(const char *ipv6, const char *ipv4, uint32_t lease_s)
{
	struct fw_peer peer = {.number = 7, .lease_s = lease_s};

	assert_int_equal(addr_parse(ipv6, &peer.ipv6), 0);
	if (ipv4)
		assert_int_equal(addr_parse(ipv4, &peer.ipv4), 0);
	return peer;
}

static size_t count(const struct elements *elements, unsigned int set)
{
	size_t n = 0;

	for (size_t i = 0; i < elements->n; i++)
		n += elements->items[i].set == set;
	return n;
}

static const struct {
	const char *name;
	struct fw_tuple tuple;
	unsigned int kind;
	size_t n; /* elements of that kind, in each family */
	uint32_t timeout_ms;
} tuple_cases[] = {
	{"one port in", {0, true, 6, 22, 22, 0, false}, SET_IN, 1, 0},
	{"one port out", {0, false, 17, 53, 53, 0, false}, SET_OUT, 1, 0},
	{"64 ports are a list", {0, true, 6, 100, 163, 0, false}, SET_IN, 64, 0},
	{"65 are a range", {0, true, 6, 100, 164, 0, false}, SET_IN_RANGE, 1, 0},
	{"a range out", {0, false, 6, 0, 65535, 0, false}, SET_OUT_RANGE, 1, 0},
	{"up to the last port", {0, true, 6, 65530, 65535, 0, false}, SET_IN, 6, 0},
	{"for a time", {0, true, 6, 22, 22, 60, false}, SET_IN_TIMED, 1, 60000},
	{"kept", {0, false, 6, 22, 22, 0, true}, SET_OUT_KEEP, 1, 0},
	{"kept for a time", {0, false, 6, 22, 22, 9, true}, SET_OUT_KEEP, 1, 9000},
	{"a kept range", {0, true, 6, 1, 1000, 9, true}, SET_IN_RANGE_KEEP, 1, 9000},
	{"echo", {0, true, IPPROTO_ICMP, 0, 0, 0, false}, SET_IN_ECHO, 1, 0},
	{"kept echo out", {0, false, IPPROTO_ICMP, 0, 0, 0, true}, SET_OUT_ECHO_KEEP, 1, 0},
};

static void check_tuple(size_t i)
{
	const struct fw_peer peer = peer_of("fd00::1", "10.0.0.1", 60);
	const struct fw_desired desired = {
		.peers = &peer, .n_peers = 1, .tuples = &tuple_cases[i].tuple, .n_tuples = 1};
	struct elements elements = {0};
	unsigned int kind = tuple_cases[i].kind;

	print_message("# %s\n", tuple_cases[i].name);
	assert_int_equal(elements_of(&desired, &elements), 0);
	assert_int_equal(elements.n, 2 * (3 + tuple_cases[i].n));
	for (int v6 = 0; v6 < 2; v6++) {
		assert_int_equal(count(&elements, SET_FOR(SET_LIVE, v6)), 1);
		assert_int_equal(count(&elements, SET_FOR(SET_KNOWN, v6)), 1);
		assert_int_equal(count(&elements, SET_FOR(SET_ID, v6)), 1);
		assert_int_equal(count(&elements, SET_FOR(kind, v6)), tuple_cases[i].n);
	}
	for (size_t k = 0; k < elements.n; k++)
		if (elements.items[k].set / 2 == kind)
			assert_int_equal(elements.items[k].timeout_ms, tuple_cases[i].timeout_ms);
	elements_done(&elements);
}

static void test_tuples(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(tuple_cases); i++)
		check_tuple(i);
}

static void test_no_lease_no_life(void **state)
{
	const struct fw_peer peer = peer_of("fd00::1", NULL, 0);
	const struct fw_tuple tuple = {0, true, 6, 22, 22, 0, false};
	const struct fw_desired desired = {
		.peers = &peer, .n_peers = 1, .tuples = &tuple, .n_tuples = 1};
	struct elements elements = {0};

	assert_int_equal(elements_of(&desired, &elements), 0);
	assert_int_equal(count(&elements, SET_FOR(SET_LIVE, true)), 0);
	assert_int_equal(count(&elements, SET_FOR(SET_IN, true)), 1);
	assert_int_equal(elements.n, 3); /* and none of IPv4 */
	elements_done(&elements);
}

static void test_longer_time_wins(void **state)
{
	const struct fw_peer peer = peer_of("fd00::1", NULL, 0);
	const struct fw_tuple tuples[] = {{0, true, 6, 22, 22, 60, false},
					  {0, true, 6, 22, 22, 90, false},
					  {0, true, 6, 22, 22, 30, false}};
	const struct fw_desired desired = {
		.peers = &peer, .n_peers = 1, .tuples = tuples, .n_tuples = 3};
	struct elements elements = {0};

	assert_int_equal(elements_of(&desired, &elements), 0);
	for (size_t i = 0; i < elements.n; i++)
		if (elements.items[i].set == SET_FOR(SET_IN_TIMED, true))
			assert_int_equal(elements.items[i].timeout_ms, 90000);
	assert_int_equal(count(&elements, SET_FOR(SET_IN_TIMED, true)), 1);
	elements_done(&elements);
}

static void test_keys(void **state)
{
	static const uint8_t tuple4[KEY_MAX] = {10, 0, 0, 1, 6, 0, 0, 0, 0x15, 0x38};
	static const uint8_t low[KEY_MAX] = {10, 1, 0, 0, 17, 0, 0, 0, 0, 53};
	static const uint8_t high[KEY_MAX] = {10, 1, 255, 255, 17, 0, 0, 0, 0, 60};
	const struct fw_underlay underlay = {prefix_of("10.1.0.0/16"), 17, 53, 60};
	const struct fw_desired desired = {.underlay = &underlay, .n_underlay = 1};
	struct elements elements = {0};
	struct element element;
	struct addr addr;

	assert_int_equal(addr_parse("10.0.0.1", &addr), 0);
	element_tuple(&element, SET_IN, &addr, 6, 5432, 5432);
	assert_memory_equal(element.key, tuple4, KEY_MAX);
	assert_memory_equal(element.end, tuple4, KEY_MAX);
	assert_int_equal(elements_of(&desired, &elements), 0);
	assert_int_equal(elements.n, 1);
	assert_memory_equal(elements.items[0].key, low, KEY_MAX);
	assert_memory_equal(elements.items[0].end, high, KEY_MAX);
	elements_done(&elements);
}

static const struct {
	const char *name;
	struct fw_tuple tuple;
} bad_tuples[] = {
	{"a peer that is not there", {1, true, 6, 22, 22, 0, false}},
	{"an empty range", {0, true, 6, 23, 22, 0, false}},
};

static void test_refused(void **state)
{
	const struct fw_peer peer = peer_of("fd00::1", NULL, 60);
	const struct endpoint nowhere = {.port = 51820};
	struct fw_desired desired = {.peers = &peer, .n_peers = 1, .n_tuples = 1};
	struct elements elements = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad_tuples); i++) {
		print_message("# %s\n", bad_tuples[i].name);
		desired.tuples = &bad_tuples[i].tuple;
		assert_int_equal(elements_of(&desired, &elements), -EINVAL);
		assert_null(elements.items);
	}
	desired = (struct fw_desired){.hubs = &nowhere, .n_hubs = 1};
	assert_int_equal(elements_of(&desired, &elements), -EINVAL);
}

static void test_intervals_limit(void **state)
{
	const struct fw_peer peer = peer_of("fd00::1", NULL, 60);
	struct fw_tuple *tuples = calloc(INTERVALS_MAX + 1, sizeof(*tuples));
	struct fw_desired desired = {.peers = &peer, .n_peers = 1, .tuples = tuples};
	struct elements elements = {0};

	assert_non_null(tuples);
	for (uint16_t i = 0; i <= INTERVALS_MAX; i++)
		tuples[i] = (struct fw_tuple){0,
					      i % 2,
					      (uint8_t)(2 + i / 2 % 250),
					      (uint16_t)(i / 500 * 100),
					      (uint16_t)(i / 500 * 100 + 80),
					      0,
					      true};
	desired.n_tuples = INTERVALS_MAX + 1;
	assert_int_equal(elements_of(&desired, &elements), -E2BIG);
	desired.n_tuples = 400;
	assert_int_equal(elements_of(&desired, &elements), 0);
	elements_done(&elements);
	free(tuples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boxes),
		cmocka_unit_test(test_boxes_limit),
		cmocka_unit_test(test_tuples),
		cmocka_unit_test(test_no_lease_no_life),
		cmocka_unit_test(test_longer_time_wins),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_intervals_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
