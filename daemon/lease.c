/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one place where time left is computed; whoever needs it asks here, so that nothing can be longer elsewhere. */
#include "daemon/lease.h"
#include "trust/verify.h"

bool lease_clock_sane(int64_t now, int64_t newest_signed_at)
{
	return now >= LEASE_CLOCK_MIN && now >= newest_signed_at - TRUST_CLOCK_SKEW_S;
}

uint32_t lease_left(const struct lease_limits *limits, int64_t now, bool clock_sane)
{
	const int64_t ends[] = {limits->lease_not_after, limits->own_not_after,
				limits->policy_not_after,
				limits->k4_not_after ? limits->k4_not_after : INT64_MAX};
	int64_t left = limits->length_s;

	if (!clock_sane)
		return 0;
	for (unsigned int i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (ends[i] <= now)
			return 0;
		if (ends[i] - now < left)
			left = ends[i] - now;
	}
	return left > 0 && left <= UINT32_MAX ? (uint32_t)left : 0;
}
