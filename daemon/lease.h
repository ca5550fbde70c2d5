/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long somebody may still be spoken with. Pure; times are seconds since 1970. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* A clock before this build of the protocol existed shows nothing. */
#define LEASE_CLOCK_MIN INT64_C(1767225600) /* 2026-01-01 */

struct lease_limits {
	int64_t lease_not_after;  /* the peer's; 0: none */
	int64_t own_not_after;	  /* our own lease; 0: none */
	int64_t policy_not_after; /* 0: no policy */
	int64_t k4_not_after;	  /* 0: no end */
	int64_t length_s;	  /* no lease is longer than this */
};

/*
 * False where now lies before the newest signed time that we have seen (less the allowed skew): somebody turned the
 * clock back, and what had expired would be valid again.
 */
bool lease_clock_sane(int64_t now, int64_t newest_signed_at);

/* The least of all limits, 0 where any of them is over or the clock shows nothing. */
uint32_t lease_left(const struct lease_limits *limits, int64_t now, bool clock_sane);
