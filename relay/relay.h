/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map of who may talk to whom at the hub, as the control plane sees it.
 *
 * sortie-relay-load (root, one shot) loads, attaches and pins; relay_open() adopts the pinned maps, which needs no
 * capability where the uid owns them. The program forwards WireGuard packets between sites by (source site, receiver
 * index) and finds responders of handshakes by mac1; it never decrypts. See docs/architecture.md.
 *
 * A site is one identity's endpoint. Site ids are the control plane's, 1..RELAY_SITES_MAX; 0 is "none".
 * Expiry times are CLOCK_BOOTTIME. All functions return 0 or a negative errno.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/key.h"

#define RELAY_SITES_MAX	     4096
#define RELAY_CANDIDATES_MAX 1000 /* pairs a site */

struct relay;

/* -ENOENT: nothing pinned there. -EPROTONOSUPPORT: pinned by a version with other maps. */
int relay_open(const char *bpffs_dir, struct relay **ret);
void relay_close(struct relay *relay); /* program and maps stay */
DEFINE_CLEANUP(relay_close, struct relay *);

/* The hub's own WireGuard: its port and public key (whose handshakes are passed to the stack). */
int relay_set_hub(struct relay *relay, const struct key *public_key, uint16_t port);

/* Adds or changes a site. previous_key (may be NULL) keeps a second mac1 state over a key rotation. */
int relay_site_set(struct relay *relay, uint32_t site, const struct key *public_key,
		   const struct key *previous_key, struct mono expires);
/*
 * The same by a process that has just begun and does not know what went before: the key in the maps is the previous one where it
 * is another, and a previous one that stands beside the key stays.
 */
int relay_site_adopt(struct relay *relay, uint32_t site, const struct key *public_key,
		     struct mono expires);
/*
 * Only after that site's own handshake with the hub has advanced. Another site's endpoint is never taken over:
 * -EADDRINUSE while that site lives. NULL forgets the endpoint (two sites that swapped theirs: both first forget).
 * -ENOENT where the site is not set.
 */
int relay_site_endpoint(struct relay *relay, uint32_t site, const struct endpoint *endpoint);
int relay_site_remove(struct relay *relay, uint32_t site); /* and its sessions' effect, at once */

/* Both directions. Removing a pair cuts running sessions at the next packet. */
int relay_pair_set(struct relay *relay, uint32_t a, uint32_t b, struct mono expires);
int relay_pair_remove(struct relay *relay, uint32_t a, uint32_t b);
/*
 * The sites that a site may have pairs with, as the maps have it, in no order; also of a site that is gone. It is how
 * one finds what an earlier process left: a direction that stands is in the list of the site where it starts, whatever
 * became of that process. -EBADMSG where the list cannot be ours.
 */
int relay_site_pairs(struct relay *relay, uint32_t site, uint16_t ret[RELAY_CANDIDATES_MAX],
		     size_t *ret_n);

struct relay_counters {
	uint64_t forwarded_packets, forwarded_bytes;
	uint64_t initiations, responses;
	uint64_t unknown_endpoint, unknown_index, pair_refused, budget_refused, malformed, expired;
	uint64_t response_refused; /* no handshake awaits it: a second one, or too late */
	uint64_t
		index_taken; /* receiver index already leads to another site: the handshake is repeated */
	uint64_t
		family_refused; /* one site by IPv4, the other by IPv6, and this packet cannot be converted */
	uint64_t
		unreachable; /* receiver has no endpoint yet, or the hub's address it dials is not known */
	uint64_t mac1_tests;
	uint64_t xdp_packets; /* of the forwarded ones: at XDP */
};
int relay_counters(struct relay *relay, struct relay_counters *ret);
int relay_pair_traffic(struct relay *relay, uint32_t from, uint32_t to, uint64_t *ret_packets,
		       uint64_t *ret_bytes);
/* What the loader attached: "xdp", "xdp-generic", "tc"; "mixed" where interfaces differ, "none" without any. Static. */
const char *relay_attachment(const struct relay *relay);
/*
 * Does it still stand? An interface that vanished has taken it along, other software may have taken it off. *ret is what
 * stands, in the words above. -ENODEV or -ENOENT where that is less than what was attached, with the first thing that is missing
 * in err. In the namespace of the interfaces; needs no capability.
 */
int relay_check(const struct relay *relay, const char **ret, struct err *err);
