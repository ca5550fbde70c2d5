/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which bridges lead out of this host, so that nobody behind them is taken for a container.
 *
 * A bridge does where
 *   - a default route of any table goes out by it, or the way to one of the hub's endpoints; or
 *   - one of its ports is a NIC, a VLAN, a bond: something else than the end of a container or virtual machine.
 * Where the host has no way out at all, because a link is down, those that had one still count.
 */
#pragma once
#include "common/addr.h"
#include "firewall/firewall.h"
#include "netlink/link.h"

struct uplinks {
	char names[FIREWALL_IFNAMES_MAX][IFNAMSIZ]; /* sorted */
	size_t n;
	bool too_many; /* and more than fit */
};

/* Pure: ways are interface indexes. *uplinks is what was known, and what is known then. */
void uplink_choose(const struct link_info *links, size_t n_links, const unsigned int *ways,
		   size_t n_ways, struct uplinks *uplinks);
/* Asks the kernel. An error leaves what was known. */
int uplink_look(struct link_handle *handle, const struct endpoint *hubs, size_t n_hubs,
		struct uplinks *uplinks);
