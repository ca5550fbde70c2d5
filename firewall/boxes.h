/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boxes of (prefix, protocol, port range), made disjoint: the kernel's interval sets refuse elements that overlap.
 *
 * Prefixes either contain each other or have nothing in common, so it is enough to cut from each prefix's ports those that
 * a wider prefix opens anyway, and to merge what is left.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"

struct box {
	uint8_t set; /* boxes of different sets have nothing to do with each other */
	struct prefix prefix;
	uint8_t protocol;
	uint16_t low, high;
	uint32_t
		timeout_ms; /* 0: stays. Where boxes with different timeouts overlap, the longest counts. */
};

/* *ret is malloc()ed. -ENOMEM, -E2BIG where more than limit boxes go in or come out. */
int boxes_disjoint(const struct box *boxes, size_t n, size_t limit, struct box **ret,
		   size_t *ret_n);
