/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time left: the least of all ends, nothing without a sane clock, never more than a lease's own length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/lease.h"
#include "trust/verify.h"

#define NOW INT64_C(1800000000)

static void test_least_of_all(void **state)
{
	static const struct {
		int64_t lease, own, policy, k4, length;
		bool sane;
		uint32_t left;
	} cases[] = {
		/* all far away: the length */
		{NOW + 999999, NOW + 999999, NOW + 999999, 0, 86400, true, 86400},
		/* each one in turn is the nearest */
		{NOW + 60, NOW + 999, NOW + 999, 0, 86400, true, 60},
		{NOW + 999, NOW + 61, NOW + 999, 0, 86400, true, 61},
		{NOW + 999, NOW + 999, NOW + 62, 0, 86400, true, 62},
		{NOW + 999, NOW + 999, NOW + 999, NOW + 63, 86400, true, 63},
		{NOW + 999, NOW + 999, NOW + 999, 0, 64, true, 64},
		/* each one in turn is over, to the second */
		{NOW, NOW + 999, NOW + 999, 0, 86400, true, 0},
		{NOW + 999, NOW, NOW + 999, 0, 86400, true, 0},
		{NOW + 999, NOW + 999, NOW, 0, 86400, true, 0},
		{NOW + 999, NOW + 999, NOW + 999, NOW, 86400, true, 0},
		{NOW + 1, NOW + 999, NOW + 999, 0, 86400, true, 1},
		/* missing */
		{0, NOW + 999, NOW + 999, 0, 86400, true, 0},
		{NOW + 999, 0, NOW + 999, 0, 86400, true, 0},
		{NOW + 999, NOW + 999, 0, 0, 86400, true, 0},
		/* no clock, no lease */
		{NOW + 999, NOW + 999, NOW + 999, 0, 86400, false, 0},
		/* what no kernel timeout can hold is not admitted rather than wrapped */
		{INT64_MAX, INT64_MAX, INT64_MAX, 0, INT64_C(1) << 40, true, 0},
		{NOW + 999, NOW + 999, NOW + 999, 0, 0, true, 0},
		{NOW + 999, NOW + 999, NOW + 999, 0, -5, true, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lease_limits limits = {.lease_not_after = cases[i].lease,
					      .own_not_after = cases[i].own,
					      .policy_not_after = cases[i].policy,
					      .k4_not_after = cases[i].k4,
					      .length_s = cases[i].length};
		if (lease_left(&limits, NOW, cases[i].sane) != cases[i].left)
			fail_msg("case %zu: %u", i, lease_left(&limits, NOW, cases[i].sane));
	}
}

static void test_clock(void **state)
{
	assert_true(lease_clock_sane(NOW, 0));
	assert_true(lease_clock_sane(NOW, NOW));
	assert_true(lease_clock_sane(NOW, NOW + TRUST_CLOCK_SKEW_S));
	assert_false(lease_clock_sane(NOW, NOW + TRUST_CLOCK_SKEW_S + 1));
	assert_false(lease_clock_sane(0, 0));
	assert_false(lease_clock_sane(LEASE_CLOCK_MIN - 1, 0));
	assert_true(lease_clock_sane(LEASE_CLOCK_MIN, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least_of_all),
		cmocka_unit_test(test_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
