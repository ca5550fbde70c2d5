/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What follows a commit: members and pairs, the hub's peers, the relay, news for the agents that wait. */
#include "control-plane/control.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "control-plane/admin.h"
#include "control-plane/farewell.h"
#include "control-plane/store_token.h"
#include "control-plane/sync.h"

const struct root_statement *control_root(const struct control *control)
{
	return trust_root(control->trust);
}

bool control_connected(const struct member *member)
{
	if (member->poll)
		return true;
	return member->seen.us != 0 &&
	       mono_diff_ms(clock_mono(), member->seen) < CONNECTED_SECONDS * 1000;
}

void control_fatal(struct control *control, const char *why)
{
	log_error("%s: ending, so that a new process can look at what is there", why);
	sd_event_exit(control->event, 1);
}

/* The tick repeats what failed here. */
static void note_hub(struct control *control, int r, const char *what)
{
	if (r >= 0)
		return;
	control->hub_dirty = true;
	log_warning("cannot %s at the hub: %s (%s); trying again", what, strerror(-r),
		    hub_error(control->hub));
}

void control_token_added(struct control *control, const struct key *onetime_key,
			 const struct addr *address)
{
	const struct hub_peer peer = {.public_key = *onetime_key, .ipv6 = *address};

	note_hub(control, hub_set_peer(control->hub, &peer), "add a token's one-time peer");
}

static int pair(struct control *control, struct member *member)
{
	const struct policy *policy = trust_policy(control->trust);
	int64_t now = clock_wall();

	control->pairs_until = policy_next_expiry(policy, now);
	return member ? inventory_pair_one(&control->inventory, member, policy, now)
		      : inventory_pair_all(&control->inventory, policy, now);
}

void control_enrolled(struct control *control, const struct id *id)
{
	struct hub_peer peer;
	struct member *member;
	int r = inventory_put(&control->inventory, control->store, id, &member);

	if (r == 0)
		r = pair(control, member);
	if (r < 0) {
		/* it is in the database; only a fresh start can bring memory in line again */
		control_fatal(control, "cannot take in a new identity");
		return;
	}
	log_info("%s enrolled", member->row.name);
	peer = (struct hub_peer){
		.public_key = member->row.k4, .ipv6 = member->row.ipv6, .ipv4 = member->row.ipv4};
	note_hub(control, hub_set_peer(control->hub, &peer), "add a new identity's peer");
	inventory_touch(&control->inventory, member, member->row.revision);
	control_news(control);
}

void control_member_changed(struct control *control, struct member *member, uint64_t revision,
			    bool key_changed)
{
	if (inventory_put(&control->inventory, control->store, &member->row.id, &member) < 0) {
		control_fatal(control, "cannot read back a changed identity");
		return;
	}
	inventory_touch(&control->inventory, member, revision);
	if (key_changed) {
		/* the answer still goes through the old session: the tick moves the addresses to the new key */
		hub_watch_reset(&member->watch);
		control->hub_dirty = true;
	}
	control_news(control);
}

void control_policy_changed(struct control *control, uint64_t revision)
{
	struct policy_row row = {0};

	if (store_policy_get(control->store, 0, &row) < 0 || pair(control, NULL) < 0) {
		policy_row_done(&row);
		control_fatal(control, "cannot take in the new policy");
		return;
	}
	policy_row_done(&control->policy);
	control->policy = row;
	inventory_touch_all(&control->inventory, revision);
	control_news(control);
}

static int keep_tombstone(struct control *control, const char *tombstone)
{
	char **tombstones =
		reallocarray(control->tombstones, control->n_tombstones + 1, sizeof(*tombstones));
	char *copy = strdup(tombstone);
	int r = -ENOMEM;

	if (tombstones)
		control->tombstones = tombstones;
	if (tombstones && copy) {
		r = trust_accept_tombstone(control->trust, tombstone, strlen(tombstone), NULL);
		if (r == 0)
			control->tombstones[control->n_tombstones++] = take_pointer(copy);
	}
	free(copy);
	return r;
}

/*
 * The identity enrolled through its token's one-time peer, whose session outlives that by minutes: what the hub's TCP sends
 * again on the old connection would still go to the revoked host.
 */
static int end_enrolment(struct control *control, const struct member *member)
{
	_cleanup_(token_row_done) struct token_row token = {0};
	int r = store_token_by_join_key(control->store, &member->row.join_key, &token);
	const struct hub_peer peer = {.public_key = token.onetime_key, .ipv6 = token.address};

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return token.changed_at + TOKEN_ONETIME_SECONDS > clock_wall()
		       ? hub_forget_session(control->hub, &peer)
		       : 0;
}

void control_remove_peer(struct control *control, const struct key *k4)
{
	note_hub(control, hub_remove_peer(control->hub, k4), "remove a revoked peer");
}

bool control_revoked(struct control *control, struct member *member, const char *tombstone,
		     uint64_t revision, bool may_tell)
{
	bool told;

	/* the packets first: from here on nothing of it passes the hub to anybody */
	note_hub(control, end_enrolment(control, member),
		 "end the session of a revoked peer's enrolment");
	if (control->relay && relay_feed_cut(control->relay, member) < 0) {
		control->relay_dirty = true;
		log_warning("cannot cut %s at the relay; trying again", member->row.name);
	}
	told = may_tell && farewell_begin(control, member, tombstone);
	if (!told)
		control_remove_peer(control, &member->row.k4);
	if (keep_tombstone(control, tombstone) < 0)
		control_fatal(control, "cannot take in a tombstone");
	sync_end_poll(member, "revoked", "this identity was revoked");
	admin_on_removed(control, member);
	inventory_remove(&control->inventory, member);
	inventory_touch_all(&control->inventory, revision);
	control_news(control);
	return !told;
}

void control_suspended(struct control *control, struct member *member, uint64_t revision)
{
	control_member_changed(control, member, revision, false);
	if (member->row.state != IDENTITY_SUSPENDED) {
		control_renew_lease(control, member, clock_wall());
		return;
	}
	if (control->relay && relay_feed_cut(control->relay, member) < 0)
		control->relay_dirty = true;
	sync_end_poll(member, "suspended", "this identity is suspended; an operator can resume it");
}

/* ---- leases ---- */

static int read_lease(const char *text, int64_t *ret_not_after)
{
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	struct lease_statement lease;
	int r = envelope_parse(text, strlen(text), TYPE_LEASE, &envelope, NULL);

	if (r == 0)
		r = lease_decode(envelope->payload, envelope->payload_length, &lease, NULL);
	if (r == 0)
		*ret_not_after = lease.not_after;
	return r;
}

static int make_lease(struct control *control, struct member *member, int64_t now)
{
	_cleanup_(freep) char *lease = NULL;
	int64_t not_after;
	uint64_t revision;
	int r = signer_lease(control->signer, &member->row.id, &lease);

	if (r == -EPIPE)
		control_fatal(control, "the signer is gone");
	if (r == 0)
		r = read_lease(lease, &not_after);
	if (r == 0)
		r = store_identity_set_lease(control->store, &member->row.id, lease, not_after, now,
					     &revision);
	if (r == 0)
		control_member_changed(control, member, revision, false);
	return r;
}

void control_renew_lease(struct control *control, struct member *member, int64_t now)
{
	int r;

	if (member->row.state != IDENTITY_LIVING ||
	    member->row.lease_not_after - now > LEASE_SECONDS / 2)
		return;
	r = make_lease(control, member, now);
	if (r < 0)
		log_warning("cannot renew the lease of %s: %s; it has %" PRId64 " s left",
			    member->row.name, strerror(-r),
			    member->row.lease_not_after > now ? member->row.lease_not_after - now
							      : 0);
}
