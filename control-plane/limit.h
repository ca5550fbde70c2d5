/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Token buckets, one an address, before anything is verified: a signature check costs 0.1 ms, a refused redemption
 * a commit. A bounded table; the bucket that was idle longest makes room.
 *
 * Debts, one an identity, for what it may ask for and costs more than a call: time pays them back.
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

struct debt {
	struct mono paid_at; /* zero: nothing is owed */
};

/* Microseconds until no more than most_us is owed; 0: now. */
int64_t debt_wait_us(const struct debt *debt, struct mono now, int64_t most_us);
void debt_add(struct debt *debt, struct mono now, int64_t us);
