/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the relay may forward, fed from the inventory: sites with their mac1 keys and confirmed endpoints, pairs that
 * policy joins, all with the expiry of the leases.
 *
 * The feed remembers what it pushed and pushes differences. Only identities with a valid lease have a site; one-time
 * peers have none. Without pinned maps there is no relay: relay_feed_open() says -ENOENT and the hub goes on alone.
 */
#pragma once
#include <stdint.h>
#include "common/cleanup.h"
#include "common/key.h"
#include "control-plane/inventory.h"

struct relay_feed;

/* Adopts the maps in bpffs_dir. */
int relay_feed_open(const char *bpffs_dir, const struct key *hub_key, uint16_t hub_port,
		    struct relay_feed **ret);
void relay_feed_close(struct relay_feed *feed); /* program and maps go on */
DEFINE_CLEANUP(relay_feed_close, struct relay_feed *);

/* Brings the maps in line. The first time it also removes what an earlier process may have left. */
int relay_feed_sync(struct relay_feed *feed, const struct inventory *inventory, int64_t now);
/* At once: the member's site and all its pairs are gone. */
int relay_feed_cut(struct relay_feed *feed, const struct member *member);
/*
 * How many members miss peers because they have all the pairs that a site can have; where any does, *ret is the one that
 * misses most.
 */
size_t relay_feed_full(const struct relay_feed *feed, const struct inventory *inventory,
		       int64_t now, const struct member **ret, size_t *ret_unpaired);
/* What has passed from one site to another since their pair stands; 0 where there is none. feed may be NULL. */
void relay_feed_traffic(struct relay_feed *feed, uint32_t from, uint32_t to, uint64_t *ret_packets,
			uint64_t *ret_bytes);
/* As relay_attachment(): "xdp", "tc", ...; "none" for NULL. */
const char *relay_feed_attachment(const struct relay_feed *feed);
/* As relay_check(). */
int relay_feed_check(const struct relay_feed *feed, const char **ret, struct err *err);
