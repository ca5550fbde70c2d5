/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The running control plane: everything the handlers share, and what has to follow a change.
 *
 *	enrolment, API, admin socket -> handler -> store (commit) -> control_*() -> hub, relay, waiting polls
 *
 * One thread, one loop. A handler answers only after the commit; control_*() functions log what they could not do
 * and have it repeated by the next tick, because what is committed must reach hub and agents in the end.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "api/http.h"
#include "control-plane/hub.h"
#include "control-plane/inventory.h"
#include "control-plane/limit.h"
#include "control-plane/relay_feed.h"
#include "control-plane/signer.h"
#include "control-plane/store.h"
#include "control-plane/store_policy.h"
#include "netlink/link.h"
#include "trust/verify.h"

#define CONNECTED_SECONDS 5 /* a poll that ended less than this ago will come back */

struct wait;	 /* a `revoke` that is not answered yet, see admin_revoke.c */
struct farewell; /* a revoked identity that is told, see farewell.h */

struct control_options {
	const char *state_dir;
	const char *ifname;
	enum wg_backend backend;
	const char *bpffs_dir;	 /* NULL: no relay */
	const char *socket_path; /* of the admin socket */
};

/* Which maps a pin leads to; all zero: none. */
struct relay_pin {
	uint64_t device, inode;
};

struct control {
	const struct control_options *options;
	sd_event *event;
	struct store *store;
	struct signer *signer;
	struct trust *trust;
	char *root;		  /* envelope */
	struct policy_row policy; /* newest; version 0 before the first */
	char **tombstones;	  /* envelopes, oldest first */
	size_t n_tombstones;
	struct inventory inventory;
	int64_t pairs_until; /* when a rule ends, 0: never */
	struct wait *waits;
	struct farewell *farewells;

	struct hub *hub;
	uint16_t hub_port;
	struct relay_feed *relay;
	int relay_error;	 /* of the last try to open it: logged once */
	char relay_missing[160]; /* what was missing of it at the last look; "": nothing */
	int64_t relay_checked_at;
	struct relay_pin relay_pin; /* which maps those are */
	char boot_id[33];
	unsigned int boots; /* how often boot_id changed: polls that were kept before have news */
	struct link_events *links;
	bool links_changed, hub_dirty, relay_dirty;
	int64_t synced_at; /* hub and relay, as a whole */
	int64_t filter_checked_at;
	bool endpoints_dirty; /* differ from the file */
	int64_t endpoints_saved_at;

	struct http_server *admin, *api[2], *enroll; /* api: over IPv6 and IPv4 */
	unsigned int listening_index; /* of the interface they are bound to, 0: none */
	struct limit *enroll_limit, *api_limit;
	sd_event_source *news; /* coalesces waking up the polls */
	sd_event_source *tick;
	bool root_online;	 /* K0 lies in the state folder */
	int64_t audit_broken_at; /* the first audit entry that does not fit, 0: all do */
	int64_t started_at;
};

/* Loads state, makes the hub stand, opens the listeners. Runs until SIGTERM or SIGINT (0) or a fatal error. */
int control_run(const struct control_options *options, struct signer *signer, struct err *err);

/* Takes the hub out of the kernel: interface and filter. Keys, database and relay stay. */
int control_remove(const struct control_options *options, struct err *err);

/* control_tick.c: makes hub, listeners and relay stand as they should; the first time errors are the caller's. */
int control_make_hub(struct control *control, struct err *err);
int control_start_ticking(struct control *control);
void control_tend_relay(
	struct control
		*control); /* opens its maps, or others that took their place, and feeds them */
void control_news(struct control *control); /* relay and polls, before the loop waits again */

/* ---- after a commit ---- */

/* The root of the network. */
const struct root_statement *control_root(const struct control *control);
/* A new token: its one-time peer. */
void control_token_added(struct control *control, const struct key *onetime_key,
			 const struct addr *address);
/* A new identity: member, pairs, hub peer, relay, news to its peers. */
void control_enrolled(struct control *control, const struct id *id);
/* Statements or lease of a member changed at this revision. key_changed: the hub follows after the answer is out. */
void control_member_changed(struct control *control, struct member *member, uint64_t revision,
			    bool key_changed);
/* A new policy is in trust and in control->policy. */
void control_policy_changed(struct control *control, uint64_t revision);
/*
 * Cuts a revoked member at relay and API at once, tells everybody, and forgets it: member is gone afterwards. So is its
 * peer at the hub, at once (true) or, where it may be told and is connected, in a moment (false): admin_on_cut().
 */
bool control_revoked(struct control *control, struct member *member, const char *tombstone,
		     uint64_t revision, bool may_tell);
/* Takes a peer of the hub away; the tick repeats what failed. */
void control_remove_peer(struct control *control, const struct key *k4);
/* A lease that was withdrawn or given back. */
void control_suspended(struct control *control, struct member *member, uint64_t revision);

/* Signs and stores a lease where less than half of the old one is left. Failure leaves the old one. */
void control_renew_lease(struct control *control, struct member *member, int64_t now);
bool control_connected(const struct member *member);
/* The signer is gone or the disk cannot be trusted: end, so that a supervisor starts us anew. */
void control_fatal(struct control *control, const char *why);
