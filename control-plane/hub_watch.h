/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When is an endpoint that WireGuard shows really the peer's? Pure.
 *
 * WireGuard takes the sender of any valid initiation as the endpoint, also of one that was recorded and is replayed
 * after the hub has lost its timestamps; a relay that followed would send the site's packets to the attacker. So:
 *  - before the peer's last handshake has advanced (which needs a packet with the new session's key), nothing;
 *  - when it advances, the endpoint of that moment;
 *  - between handshakes a changed endpoint (NAT rebind) once it has stood for two looks while more data came from it:
 *    replays are refused by then, since the peer's newest timestamp is known.
 * A peer of which nothing new came for longer than a session lives has no endpoint: its NAT may have given it away.
 */
#pragma once
#include <stdbool.h>
#include "common/clock.h"
#include "netlink/wireguard.h"

#define HUB_WATCH_SILENT_SECONDS 180
#define HUB_WATCH_CALL_SECONDS                                                                     \
	30 /* an agent that lives is heard every 2 s, a kernel alone every 25 s */
#define HUB_WATCH_CALL_NEW_SECONDS 8 /* after a reset: agents that live come by themselves before */

struct hub_watch {
	struct endpoint confirmed; /* unset: none yet, or silent */
	struct endpoint seen;	   /* at the last look */
	int64_t handshake_at;
	uint64_t rx_bytes;
	struct mono heard; /* last sign of life; the first look counts as one */
	bool silent;
	bool fresh; /* nothing came since hub_watch_reset() */
	/*
	 * The hub began this session, so its WireGuard knows no timestamp of the peer's, and whoever repeats a recorded
	 * initiation becomes its endpoint: nothing new is confirmed before the next handshake. 0: it did not; -1: called, no
	 * handshake yet; else that handshake's time.
	 */
	int64_t called;
	unsigned int calls; /* since it was heard */
};

/* Looks at the peer; true when confirmed or silent has changed. */
bool hub_watch_look(struct hub_watch *watch, const struct wg_peer *peer, struct mono now);
/* The interface or the key is new: its handshakes count from the beginning. confirmed is kept until then. */
void hub_watch_reset(struct hub_watch *watch);

/*
 * Should the hub begin a handshake itself? A site whose agent is dead notices a hub without sessions only after 2
 * minutes, and one whose clock was set back is refused for as long as the hub remembers its newest timestamp. So a peer
 * that is unheard and has a confirmed endpoint is called there, each time after twice as long. True counts as a call.
 */
bool hub_watch_call(struct hub_watch *watch, struct mono now);
/* WireGuard shows an endpoint that does not count yet: worth looking again soon. */
bool hub_watch_doubts(const struct hub_watch *watch);
