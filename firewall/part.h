/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small change of a large policy, worked out from the peers that it concerns. Pure.
 *
 * All elements made of tuples have a peer's address in front. So where peers and options are as before, a peer whose
 * tuples are as before has the elements that it had, and only the others are looked at, all their elements with the same
 * code that makes the whole. Leases are always looked at, and so are peers with tuples that end by themselves: time is part
 * of their elements. Interval sets are looked at as a whole if at all.
 */
#pragma once
#include "firewall/memory.h"

struct edit {
	enum edit_kind { EDIT_INSERT, EDIT_REPLACE, EDIT_REMOVE } kind;
	size_t at;		    /* index before any edit */
	const struct element *item; /* not of EDIT_REMOVE */
};

struct part {
	struct elements actual, desired; /* those that were looked at */
	size_t *places;			 /* of actual's, in the whole */
	struct edit *edits;		 /* that make the whole what it should be, sorted */
	size_t n_edits;
};

void part_done(struct part *part);
/*
 * The delta that delta_of() would find. False where it cannot be had this way (other options or peers, too much that is
 * different, anything wrong): then the whole has to be worked out.
 */
bool part_of(const struct memory *memory, const struct elements *actual,
	     const struct fw_desired *desired, int64_t now_ms, struct part *ret,
	     struct delta *ret_delta);
/* Room for what part_settle() will insert. -ENOMEM. */
int part_reserve(const struct part *part, struct elements *whole);
/* Makes the whole what it should be; cannot fail. */
void part_settle(const struct part *part, struct elements *whole);
