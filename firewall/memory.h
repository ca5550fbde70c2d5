/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was last applied as it was asked for, so that the next time only what is different has to be worked out.
 */
#pragma once
#include "firewall/state.h"

struct memory {
	bool valid;
	struct fw_desired desired; /* points to what follows */
	void *hubs, *peers, *tuples, *underlay, *egress, *container_ifnames,
		*uplink_ifnames; /* owned */
};

void memory_done(struct memory *memory);
/*
 * Copies what the elements were made of. Not valid where there is no memory for it, or where peers share an address: then one
 * element may be of several peers.
 */
void memory_keep(struct memory *memory, const struct fw_desired *desired,
		 const struct elements *elements);
/* The same but for tuples and the seconds that leases have left. */
bool memory_matches(const struct memory *memory, const struct fw_desired *desired);
