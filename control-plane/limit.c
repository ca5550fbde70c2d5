/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Token buckets by address in an open-addressed table: the slots near an address's hash are its neighbourhood. */
#include "control-plane/limit.h"
#include <stdlib.h>

#define NEIGHBOURHOOD 8

struct limit *limit_new(double rate, double burst)
{
	struct limit *limit = calloc(1, sizeof(*limit));

	if (!limit)
		return NULL;
	limit->rate = rate;
	limit->burst = burst;
	return limit;
}

/* Addresses come from keys (hashes of them), so a plain fold spreads them; nobody chooses his slot cheaply. */
static size_t slot_of(const struct addr *addr)
{
	size_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < sizeof(addr->bytes); i++)
		hash = (hash ^ addr->bytes[i]) * 1099511628211ULL;
	return (hash >> 20) % LIMIT_ADDRESSES_MAX;
}

static struct limit_bucket *find(struct limit *limit, const struct addr *addr, struct mono now)
{
	size_t start = slot_of(addr);
	struct limit_bucket *oldest = &limit->buckets[start];

	for (size_t i = 0; i < NEIGHBOURHOOD; i++) {
		struct limit_bucket *bucket = &limit->buckets[(start + i) % LIMIT_ADDRESSES_MAX];

		if (addr_equal(&bucket->addr, addr))
			return bucket;
		if (bucket->filled.us < oldest->filled.us)
			oldest = bucket;
	}
	*oldest = (struct limit_bucket){.addr = *addr, .filled = now, .tokens = limit->burst};
	return oldest;
}

bool limit_take(struct limit *limit, const struct addr *addr, struct mono now)
{
	struct limit_bucket *bucket = find(limit, addr, now);
	double seconds = (double)(now.us - bucket->filled.us) / 1e6;

	if (seconds > 0) {
		bucket->tokens += seconds * limit->rate;
		bucket->filled = now;
	}
	if (bucket->tokens > limit->burst)
		bucket->tokens = limit->burst;
	if (bucket->tokens < 1)
		return false;
	bucket->tokens -= 1;
	return true;
}

int64_t debt_wait_us(const struct debt *debt, struct mono now, int64_t most_us)
{
	int64_t owed = debt->paid_at.us - now.us;

	return owed > most_us ? owed - most_us : 0;
}

void debt_add(struct debt *debt, struct mono now, int64_t us)
{
	debt->paid_at.us = (debt->paid_at.us > now.us ? debt->paid_at.us : now.us) + us;
}
