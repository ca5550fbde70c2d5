/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls are made once: the nonces of one identity's last calls. Pure.
 *
 * A ring of NONCES_MAX with a floor: what falls out of the ring raises the floor to its time, and calls that are not
 * younger than the floor are refused. So memory is bounded, a burst is never refused, and nothing is accepted twice.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NONCES_MAX 128

struct nonces {
	struct {
		uint8_t bytes[16];
		int64_t at;
	} ring[NONCES_MAX];
	size_t next, n;
	int64_t floor_at; /* 0: nothing has fallen out yet */
};

/* Remembers the nonce; false where it was seen, or is too old to tell. */
bool nonces_take(struct nonces *nonces, const uint8_t nonce[16], int64_t at);
