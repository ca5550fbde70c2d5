/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table's content as data: what should stand, or what was read. And the difference of two of them, pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "firewall/elements.h"
#include "firewall/layout.h"
#include "firewall/rules.h"

/* A lease that would end this much sooner or later is the same lease: nothing is sent for it. */
#define LEASE_SLACK_MS 1500

/*
 * A table with an owner can be changed by the socket that made it alone, and outlives it: then it has none any more, and
 * everybody can change it, until a socket takes it over. Kernel 6.9+.
 */
#define TABLE_ORPHAN 4U /* NFT_TABLE_F_PERSIST */
#define TABLE_OWNED  6U /* and NFT_TABLE_F_OWNER */

struct state {
	bool older;	/* a table of an older layout of ours stands: not read, exists is false */
	bool exists;	/* the table stands */
	bool complete;	/* and nothing of its frame (base chains, sets, counters) has to be made */
	uint32_t flags; /* of the table that stands: TABLE_OWNED, TABLE_ORPHAN */
	/* What was read: the text of each chain's rules; NULL: not there. Else made by state_texts(). */
	char *chains[N_CHAINS];
	struct rules rules; /* what should stand */
	struct elements elements;
};

void state_done(struct state *state);
/* Makes the texts of what should stand, unless they are there. -ENOMEM. */
int state_texts(struct state *state);
void state_drop_texts(struct state *state); /* of what should stand; they can be made again */
/* What should stand. elements_of()'s errors. */
int state_of(const struct fw_desired *desired, int64_t now_ms, struct state *ret);

struct delta {
	bool create;
	bool rewrite[N_CHAINS];
	struct elements added, removed, refreshed;
};

void delta_done(struct delta *delta);
/*
 * From what stands to what should. Elements that have expired stand no more; a map's element with other data is removed and
 * added; a timeout that differs by more than LEASE_SLACK_MS is refreshed. Makes texts of rules where they have to be compared.
 */
int delta_of(struct state *actual, struct state *desired, int64_t now_ms, struct delta *ret);
/* The elements' half of it. What was found before an error stays in ret. */
int delta_of_elements(const struct elements *actual, const struct elements *desired, int64_t now_ms,
		      struct delta *ret);
/* Any element or chain, leases that end at another time aside. */
bool delta_differs(const struct delta *delta);
/* Leases that were not refreshed keep the end that they have in the kernel. */
void elements_keep_ends(const struct elements *actual, struct elements *desired);
void state_keep_ends(const struct state *actual, struct state *desired);
struct fw_plan delta_plan(const struct delta *delta);
