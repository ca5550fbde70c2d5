/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the hub's endpoints to speak with. Pure.
 *
 * The first of the list is in use: every peer is there. When the hub is silent it alone is looked for elsewhere (at), and
 * everybody moves only once it has answered there, so that looking costs traffic between sites nothing:
 *
 *	answered here before:  here, here, another, here, the next one, here ...
 *	never answered yet:    one after the other
 *
 * A hub that reboots is found where it was within two tries, however many endpoints are dead. What this host has no way
 * to (an IPv6 endpoint where there is no IPv6) is not tried.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/addr.h"

#define CHOICE_MAX 16

struct choice {
	struct endpoint list[CHOICE_MAX];
	size_t n;
	struct endpoint good; /* where the hub answered last; unset: nowhere yet */
	size_t at;	      /* where it is looked for; below n, or 0 */
	size_t last;	      /* of the others: the one tried last */
	unsigned int tries;   /* in vain, since it answered */
};

/* What names resolve to now. The same endpoints keep their order; of others the one that was good goes first. */
void choice_set(struct choice *choice, const struct endpoint *found, size_t n);
/* The hub does not answer at `at`: the next try. has_way says whether this host can send there at all. */
void choice_next(struct choice *choice, bool (*has_way)(const struct endpoint *endpoint));
/* It answers at `at`, which is in use from now on. True where that is another than the last good one. */
bool choice_answered(struct choice *choice);
/* Where it is looked for; NULL where nothing is known. */
const struct endpoint *choice_now(const struct choice *choice);
