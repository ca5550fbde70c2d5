/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The revocations that a trust has seen: it only grows.
 *
 * Kept twice: sorted by id for lookups, and in the order of arrival, because the floor in a policy is the list as it
 * stood at signing, and later tombstones come behind it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/identity.h"

#define TOMBSTONES_MAX 65536

struct tombstone {
	struct id id;
	int64_t at;
};

struct tombstones {
	struct id *sorted; /* owned */
	struct id *texts;  /* owned: SHA-256 of the envelopes that were verified, sorted, n too */
	struct tombstone *arrived; /* owned */
	size_t n, allocated;
};

/* text: SHA-256 of the verified envelope. Known already is success. -ENOMEM, also at TOMBSTONES_MAX. */
int tombstones_add(struct tombstones *tombstones, const struct id *id, int64_t at,
		   const struct id *text);
/* Was exactly this envelope verified and added? Every answer repeats all of them. */
bool tombstones_have_text(const struct tombstones *tombstones, const struct id *text);
bool tombstones_have(const struct tombstones *tombstones, const struct id *id);
void tombstones_hash(const struct tombstones *tombstones, uint8_t ret[32]);
/*
 * Does the list contain a list of n with that hash? Tried are the first n by arrival and the first n by their times:
 * the control plane sends its list in order, and a cache that lost the order still has the times. -EKEYREJECTED, -ENOMEM.
 */
int tombstones_reach(const struct tombstones *tombstones, size_t n, const uint8_t hash[32]);
void tombstones_done(struct tombstones *tombstones);
