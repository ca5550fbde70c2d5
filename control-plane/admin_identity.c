/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identities on the admin socket: list, show, suspend, resume. Revocation is in admin_revoke.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "common/log.h"
#include "control-plane/admin.h"

static const char *state_of(const struct identity_row *row, int64_t now)
{
	switch (row->state) {
	case IDENTITY_DEAD:
		return "revoked";
	case IDENTITY_SUSPENDED:
		return "suspended";
	case IDENTITY_LIVING:
		break;
	}
	/* no lease at all: it enrolled and has not called yet */
	return row->lease_not_after != 0 && row->lease_not_after <= now ? "expired" : "active";
}

static void describe(const struct identity_row *row, const struct member *member, int64_t now,
		     struct admin_identity *ret)
{
	*ret = (struct admin_identity){
		.id = row->id,
		.labels = row->labels,
		.ipv6 = row->ipv6,
		.ipv4 = row->ipv4,
		.enrolled_at = row->created_at,
		.lease_not_after = row->lease_not_after,
		.generation = row->generation,
	};
	snprintf(ret->name, sizeof(ret->name), "%s", row->name);
	snprintf(ret->state, sizeof(ret->state), "%s", state_of(row, now));
	if (!member)
		return;
	ret->seen_at = member->seen_at;
	ret->connected = control_connected(member);
	ret->applied = member->applied;
	if (addr_is_set(&member->watch.confirmed.addr))
		endpoint_format(&member->watch.confirmed, ret->underlay);
}

struct listing {
	const struct admin_call *call;
	struct admin_identity *identities;
	size_t n, room;
};

static int add_identity(const struct identity_row *row, void *data)
{
	struct listing *listing = data;

	if (listing->n == ADMIN_IDENTITIES_MAX)
		return 0;
	if (listing->n == listing->room) {
		size_t room = listing->room ? listing->room * 2 : 64;
		struct admin_identity *identities =
			reallocarray(listing->identities, room, sizeof(*identities));

		if (!identities)
			return -ENOMEM;
		listing->identities = identities;
		listing->room = room;
	}
	describe(row, inventory_find(&listing->call->control->inventory, &row->id),
		 listing->call->now, &listing->identities[listing->n++]);
	return 0;
}

void admin_identity_list_call(struct admin_call *call, struct reply *reply)
{
	struct listing listing = {.call = call};
	int r = store_identity_list(call->control->store, true, add_identity, &listing);

	if (r < 0) {
		reply_store_error(reply, r, "list identities");
	} else {
		struct admin_identity_list list = {.identities = listing.identities,
						   .n_identities = listing.n};

		reply_json(reply, admin_identity_list_encode(&list));
	}
	free(listing.identities);
}

/* false: nothing has passed. */
static bool traffic_between(struct relay_feed *relay, const struct member *member,
			    const struct member *peer, struct admin_traffic *ret)
{
	uint32_t a = member->row.site, b = peer->row.site;

	relay_feed_traffic(relay, a, b, &ret->sent_packets, &ret->sent_bytes);
	relay_feed_traffic(relay, b, a, &ret->received_packets, &ret->received_bytes);
	snprintf(ret->name, sizeof(ret->name), "%s", peer->row.name);
	return ret->sent_packets || ret->received_packets;
}

static void show(const struct admin_call *call, const struct member *member, struct reply *reply)
{
	_cleanup_(freep) char **peers = calloc(member->n_peers + 1, sizeof(*peers));
	_cleanup_(freep) struct admin_traffic *traffic =
		calloc(member->n_peers + 1, sizeof(*traffic));
	struct admin_identity_show answer = {
		.token = member->row.token,
		.statement = member->row.identity,
		.key = member->row.key,
		.peers = peers,
		.n_peers = member->n_peers,
		.traffic = traffic,
	};

	describe(&member->row, member, call->now, &answer.identity);
	for (size_t i = 0; peers && traffic && i < member->n_peers; i++) {
		peers[i] = member->peers[i]->row.name;
		answer.n_traffic += traffic_between(call->control->relay, member, member->peers[i],
						    &traffic[answer.n_traffic]);
	}
	reply_json(reply, peers && traffic ? admin_identity_show_encode(&answer) : NULL);
}

/* One that was revoked is shown from the store: it has no peers. */
static void show_dead(const struct admin_call *call, const char *who, struct reply *reply)
{
	_cleanup_(identity_row_done) struct identity_row row = {0};
	struct admin_identity_show answer = {0};
	struct id id;
	int r = id_parse(who, &id);

	if (r == 0)
		r = store_identity_get(call->control->store, &id, &row);
	if (r == -EINVAL || r == -ENOENT) {
		reply_problem(reply, "not-found",
			      "no identity has this name or id; see `sortie identity list`");
		return;
	}
	if (r < 0) {
		reply_store_error(reply, r, "read the identity");
		return;
	}
	answer.token = row.token;
	answer.statement = row.identity;
	answer.key = row.key;
	describe(&row, NULL, call->now, &answer.identity);
	reply_json(reply, admin_identity_show_encode(&answer));
}

void admin_identity_show_call(struct admin_call *call, struct reply *reply)
{
	const char *who = http_query(call->request, "who");
	const struct member *member;

	if (!who) {
		reply_problem(reply, "bad-request",
			      "cannot show an identity: say who=NAME or who=ID");
		return;
	}
	member = inventory_by_text(&call->control->inventory, who);
	if (member)
		show(call, member, reply);
	else
		show_dead(call, who, reply);
}

static void suspend(struct admin_call *call, bool suspended, struct reply *reply)
{
	_cleanup_(admin_who_done) struct admin_who message = {0};
	struct member *member;
	struct err err = {0};
	uint64_t revision;
	size_t length;
	const char *body = http_body(call->request, &length);
	int r;

	if (admin_who_decode(body, length, &message, &err) < 0) {
		reply_problem(reply, "bad-request", "%.200s", err.text);
		return;
	}
	member = inventory_by_text(&call->control->inventory, message.who);
	if (!member) {
		reply_problem(reply, "not-found", "no living identity has this name or id");
		return;
	}
	r = store_identity_suspend(call->control->store, &member->row.id, suspended, call->actor,
				   call->now, &revision);
	if (r == -EALREADY) {
		reply_problem(reply, "conflict", "%.127s is %s already", member->row.name,
			      suspended ? "suspended" : "active");
		return;
	}
	if (r < 0) {
		reply_store_error(reply, r, suspended ? "suspend" : "resume");
		return;
	}
	log_info("%s %s by %s", member->row.name, suspended ? "suspended" : "resumed", call->actor);
	control_suspended(call->control, member, revision);
	show(call, member, reply);
}

void admin_identity_suspend_call(struct admin_call *call, struct reply *reply)
{
	suspend(call, true, reply);
}

void admin_identity_resume_call(struct admin_call *call, struct reply *reply)
{
	suspend(call, false, reply);
}
