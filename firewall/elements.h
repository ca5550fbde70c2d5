/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the sets should hold: pure, from struct fw_desired to a sorted list of elements without duplicates.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "firewall/layout.h"

#define RANGE_WIDE    64   /* ports; a range up to this is a list of ports in a hash set */
#define INTERVALS_MAX 1000 /* in all interval sets: their cost is quadratic on 6.1 */
#define ELEMENTS_MAX  (1024 * 1024)

struct element {
	uint8_t set;
	uint8_t key[KEY_MAX];
	uint8_t end[KEY_MAX]; /* of an interval, else like key */
	uint32_t data;	      /* of a map, in host order */
	uint32_t timeout_ms;  /* 0: stays */
	int64_t expires_ms;   /* on the clock of the caller; 0: stays. Set by elements_stamp(). */
};

struct elements {
	struct element *items; /* owned */
	size_t n, size;
};

void elements_done(struct elements *elements);
/* -ENOMEM, -E2BIG over ELEMENTS_MAX. */
int elements_add(struct elements *elements, const struct element *element);
/* By set, key, end. */
int element_compare(const struct element *a, const struct element *b);
int element_search(const void *a, const void *b); /* the same, for bsearch() */
void elements_sort(struct elements *elements);

/*
 * -EINVAL where a tuple names a peer that is not there or a hub or peer has no address; -E2BIG where there are more wide
 * ranges and underlay prefixes than INTERVALS_MAX.
 */
int elements_of(const struct fw_desired *desired, struct elements *ret);
/*
 * Those that a change of leases and of some peers' tuples may concern: all leases, what is made of the tuples of the peers
 * that are set in `some`, and, where asked for, all interval sets. Then the peers must be all that have wide ranges.
 */
int elements_of_some(const struct fw_desired *desired, const bool *some, bool intervals,
		     struct elements *ret);
/* The lease elements of some peers only. */
int elements_of_leases(const struct fw_peer *peers, size_t n, struct elements *ret);
/* Says when elements with a timeout expire, if they are written now. */
void elements_stamp(struct elements *elements, int64_t now_ms);

/* Fills the key of a (address, protocol, port) element. */
void element_tuple(struct element *element, unsigned int kind, const struct addr *addr,
		   uint8_t protocol, uint16_t low, uint16_t high);
