/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Token buckets, one an address, before anything is verified: a signature check costs 0.1 ms, a refused redemption
 * a commit. A bounded table; the bucket that was idle longest makes room.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/addr.h"
#include "common/clock.h"

#define LIMIT_ADDRESSES_MAX 4096

struct limit_bucket {
	struct addr addr;
	struct mono filled;
	double tokens;
};

struct limit {
	double rate;  /* tokens a second */
	double burst; /* most tokens a bucket holds */
	struct limit_bucket buckets[LIMIT_ADDRESSES_MAX];
};

struct limit *limit_new(double rate, double burst); /* free() it; NULL: out of memory */
/* Takes one token of the address; false: too many. */
bool limit_take(struct limit *limit, const struct addr *addr, struct mono now);
