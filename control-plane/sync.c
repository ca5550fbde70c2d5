/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sync calls: who it is, what it brings (its own statements, an acknowledgement), what it gets. */
#include "control-plane/sync.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/message.h"
#include "common/log.h"
#include "control-plane/admin.h"
#include "control-plane/reply.h"

#define TRIED	 "cannot sync"
#define RENEW_MS 10000 /* how often a member may ask for new sessions */

/*
 * What a member may have by asking, else one hostile identity would keep everybody from being served: with 1,000 peers a view
 * has 4 MB and takes 50 ms; a new key takes a commit and sends a view to each of its peers. What is new while a poll waits is sent at once.
 */
#define VIEW_BYTES_A_US 4 /* 4 MB/s */
#define VIEW_DEBT_US	INT64_C(4000000)
#define KEY_US		INT64_C(60000000)
#define KEY_DEBT_US	(4 * KEY_US) /* five at once */

/* ---- the view ---- */

static struct sync_identity view_of(const struct member *member)
{
	return (struct sync_identity){
		.token = member->row.token,
		.identity = member->row.identity,
		.key = member->row.key,
		.ipv4 = member->row.ipv4_statement,
		.lease = member->row.lease,
	};
}

/* Borrows everything; nothing of it is freed by sync_answer_done(). */
static char *encode_view(const struct control *control, const struct member *member)
{
	char renew_text[API_RENEW_MAX][ID_HEX_MAX], *renew[API_RENEW_MAX];
	_cleanup_(freep) struct sync_identity *peers = calloc(member->n_peers + 1, sizeof(*peers));
	struct sync_answer answer = {
		.revision = control->inventory.revision,
		.root = control->root,
		.policy = control->policy.envelope,
		.leaves = control->policy.leaves,
		.n_leaves = control->policy.n_leaves,
		.self = view_of(member),
		.identities = peers,
		.n_identities = member->n_peers,
		.tombstones = control->tombstones,
		.n_tombstones = control->n_tombstones,
		.renew = renew,
		.n_renew = member->n_renew,
	};

	if (!peers)
		return NULL;
	snprintf(answer.boot_id, sizeof(answer.boot_id), "%s", control->boot_id);
	for (size_t i = 0; i < member->n_peers; i++)
		peers[i] = view_of(member->peers[i]);
	for (size_t i = 0; i < member->n_renew; i++) {
		id_format(&member->renew[i], renew_text[i]);
		renew[i] = renew_text[i];
	}
	return sync_answer_encode(&answer);
}

/* *ret_length: of the view. */
static void answer_view(struct control *control, struct member *member,
			struct http_request *request, size_t *ret_length)
{
	struct reply reply = {0};

	reply_json(&reply, encode_view(control, member));
	*ret_length = reply.body ? strlen(reply.body) : 0;
	member->n_renew = 0;
	member->seen_at = clock_wall();
	member->seen = clock_mono();
	reply_send(&reply, request);
}

static void answer_news(struct control *control, struct member *member,
			struct http_request *request)
{
	size_t length;

	answer_view(control, member, request, &length);
}

/* Without news: it asked, or has waited long enough. */
static void answer_asked(struct control *control, struct member *member,
			 struct http_request *request)
{
	size_t length;

	answer_view(control, member, request, &length);
	debt_add(&member->views, clock_mono(), (int64_t)length / VIEW_BYTES_A_US);
}

/* ---- polls ---- */

static struct http_request *take_poll(struct member *member)
{
	member->deadline = sd_event_source_disable_unref(member->deadline);
	return take_pointer(member->poll);
}

void sync_end_poll(struct member *member, const char *code, const char *text)
{
	struct http_request *request = take_poll(member);
	struct reply reply = {0};

	if (!request)
		return;
	reply_problem(&reply, code, "%s", text);
	reply_send(&reply, request);
}

void sync_tell_revoked(struct member *member, const char *tombstone)
{
	struct http_request *request = take_poll(member);

	if (request)
		http_answer(request, API_REVOKED_STATUS, "application/json", tombstone,
			    strlen(tombstone));
}

void sync_gone(struct control *control, struct http_request *request)
{
	for (size_t i = 0; i < control->inventory.n; i++)
		if (control->inventory.members[i]->poll == request)
			take_poll(control->inventory.members[i]);
}

void sync_flush(struct control *control)
{
	for (size_t i = 0; i < control->inventory.n; i++) {
		struct member *member = control->inventory.members[i];

		if (member->poll && (member->n_renew > 0 || member->view > member->poll_revision ||
				     member->poll_boots != control->boots))
			answer_news(control, member, take_poll(member));
	}
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct control *control = data;

	for (size_t i = 0; i < control->inventory.n; i++) {
		struct member *member = control->inventory.members[i];

		if (member->deadline == source) {
			answer_asked(control, member, take_poll(member));
			break;
		}
	}
	return 0;
}

/* Up to a tenth earlier, so that a thousand agents that came at once do not stay in step. */
static uint64_t poll_us(const struct member *member)
{
	const uint64_t us = API_POLL_SECONDS * UINT64_C(1000000);

	return us - us / 10 * member->row.id.bytes[0] / 256;
}

static void keep(struct control *control, struct member *member, struct http_request *request,
		 uint64_t revision, uint64_t wait_us)
{
	if (sd_event_add_time_relative(control->event, &member->deadline, CLOCK_BOOTTIME, wait_us,
				       100000, on_deadline, control) < 0) {
		answer_asked(control, member, request);
		return;
	}
	member->poll = request;
	member->poll_revision = revision;
	member->poll_boots = control->boots;
}

/* ---- what a call brings ---- */

static int verify_statement(const struct control *control, const struct member *member,
			    const char *key, const char *ipv4, int64_t now,
			    struct verified_identity *ret, struct reply *reply)
{
	const struct identity_bundle bundle = {
		.token = member->row.token,
		.identity = member->row.identity,
		.key = key ? key : member->row.key,
		.ipv4 = ipv4,
	};
	struct err err = {0};
	int r = trust_verify_identity(control->trust, &bundle, now, ret, &err);

	if (r < 0)
		reply_problem(reply, r == -ESTALE ? "stale-version" : "bad-signature",
			      TRIED ": %.200s", err.text);
	return r;
}

static int take_ipv4(struct control *control, struct member *member, const char *envelope,
		     int64_t now, struct reply *reply)
{
	struct verified_identity verified;
	uint64_t revision;
	int r;

	/* the first one is pinned by the peers; the same again is what a lost answer looks like */
	if (member->row.ipv4_statement || !addr_is_set(&member->row.ipv4))
		return 0;
	r = verify_statement(control, member, NULL, envelope, now, &verified, reply);
	if (r < 0)
		return r;
	if (!addr_equal(&verified.ipv4, &member->row.ipv4)) {
		reply_problem(reply, "conflict",
			      TRIED ": the signed IPv4 address is not the one that was assigned");
		return -EINVAL;
	}
	r = store_identity_set_ipv4(control->store, &member->row.id, envelope, now, &revision);
	if (r < 0) {
		reply_store_error(reply, r, "store the IPv4 statement");
		return r;
	}
	control_member_changed(control, member, revision, false);
	return 0;
}

static int take_key(struct control *control, struct member *member, const char *envelope,
		    int64_t now, struct reply *reply)
{
	struct verified_identity verified;
	uint64_t revision;
	int r;

	if (strcmp(envelope, member->row.key) == 0)
		return 0;
	r = verify_statement(control, member, envelope, member->row.ipv4_statement, now, &verified,
			     reply);
	if (r < 0)
		return r;
	if (debt_wait_us(&member->keys, clock_mono(), KEY_DEBT_US) > 0) {
		reply_problem(reply, "too-many",
			      TRIED ": too many new WireGuard keys; one a minute is taken");
		return -EAGAIN;
	}
	debt_add(&member->keys, clock_mono(), KEY_US);
	r = store_identity_set_key(control->store, &member->row.id, &verified.k4,
				   verified.generation, envelope, now, &revision);
	if (r == -EEXIST)
		reply_problem(reply, "conflict",
			      TRIED ": that WireGuard key is another's; make a new one");
	else if (r == -ESTALE)
		reply_problem(reply, "stale-version",
			      TRIED ": generation %llu of the WireGuard key is not new",
			      (unsigned long long)verified.generation);
	else if (r < 0)
		reply_store_error(reply, r, "store the key statement");
	if (r < 0)
		return r;
	log_info("%s rotated its WireGuard key to generation %llu", member->row.name,
		 (unsigned long long)verified.generation);
	control_member_changed(control, member, revision, true);
	return 0;
}

static int take_statements(struct control *control, struct member *member,
			   const struct sync_request *sync, int64_t now, struct reply *reply)
{
	int r = 0;

	if (sync->ipv4)
		r = take_ipv4(control, member, sync->ipv4, now, reply);
	if (r == 0 && sync->key)
		r = take_key(control, member, sync->key, now, reply);
	return r;
}

/* ---- sessions that do not come about ---- */

static void ask_to_renew(struct member *target, const struct member *asker)
{
	for (size_t i = 0; i < target->n_renew; i++)
		if (id_equal(&target->renew[i], &asker->row.id))
			return;
	if (target->n_renew < API_RENEW_MAX)
		target->renew[target->n_renew++] = asker->row.id;
}

/*
 * A host whose clock was set back is refused by whoever remembers its newest handshake, for as long as the clock was
 * ahead. Only that peer can help: by forgetting, and beginning itself. Who is not connected is not told later.
 */
static void pass_on(struct control *control, struct member *member, const struct sync_request *sync)
{
	struct mono now = clock_mono();
	struct id id;

	if (sync->n_unanswered == 0 ||
	    (member->asked_renew.us != 0 && mono_diff_ms(now, member->asked_renew) < RENEW_MS))
		return;
	member->asked_renew = now;
	for (size_t i = 0; i < sync->n_unanswered; i++) {
		struct member *target = id_parse(sync->unanswered[i], &id) == 0
						? inventory_find(&control->inventory, &id)
						: NULL;

		if (target && target->poll && member_paired(member, target))
			ask_to_renew(target, member);
	}
	sd_event_source_set_enabled(control->news, SD_EVENT_ONESHOT);
}

/* ---- the call ---- */

static bool has_news(const struct control *control, const struct member *member,
		     const struct sync_request *sync)
{
	return member->n_renew > 0 || sync->revision < member->view ||
	       sync->revision > control->inventory.revision ||
	       strcmp(sync->boot_id, control->boot_id) != 0;
}

static const char *code_of(int r)
{
	switch (r) {
	case -EINVAL:
		return "bad-request";
	case -EKEYEXPIRED:
	case -ESTALE:
		return "clock-off";
	case -EKEYREVOKED:
		return "revoked";
	case -ENOMEM:
		return "internal";
	default:
		return "bad-signature";
	}
}

static int read_call(struct control *control, struct member *member, struct http_request *request,
		     int64_t now, struct sync_request *ret, struct reply *reply)
{
	_cleanup_(call_statement_done) struct call_statement call = {0};
	struct err err = {0};
	size_t length;
	const char *body = http_body(request, &length);
	int r = trust_verify_call(control->trust, body, length, &member->row.k3,
				  http_method(request), http_path(request), now, &call, &err);

	if (r < 0) {
		reply_problem(reply, code_of(r), TRIED ": %.200s", err.text);
		return r;
	}
	if (!nonces_take(&member->nonces, call.nonce, call.at)) {
		reply_problem(reply, "replayed",
			      TRIED ": this call was made before; sign a new one");
		return -EEXIST;
	}
	r = sync_request_decode(call.payload, strlen(call.payload), ret, &err);
	if (r < 0)
		reply_problem(reply, "bad-request", TRIED ": %.200s", err.text);
	return r;
}

static int serve(struct control *control, struct member *member, struct http_request *request,
		 struct reply *reply)
{
	_cleanup_(sync_request_done) struct sync_request sync = {0};
	int64_t now = clock_wall();
	uint64_t wait_us;
	int r = read_call(control, member, request, now, &sync, reply);

	if (r < 0)
		return r;
	if (member->row.state == IDENTITY_SUSPENDED) {
		reply_problem(reply, "suspended",
			      TRIED ": %.127s is suspended; an operator can resume it",
			      member->row.name);
		return -EACCES;
	}
	r = take_statements(control, member, &sync, now, reply);
	if (r < 0)
		return r;
	member->seen_at = now;
	member->seen = clock_mono();
	/* an agent that claims more than there is would end waits that it has not earned */
	if (sync.applied <= control->inventory.revision)
		member->applied = sync.applied;
	admin_on_applied(control, member);
	control_renew_lease(control, member, now);
	pass_on(control, member, &sync);
	sync_end_poll(member, "conflict", "a newer poll of the same identity took over");
	wait_us = (uint64_t)debt_wait_us(&member->views, member->seen, VIEW_DEBT_US);
	if (!has_news(control, member, &sync))
		keep(control, member, request, sync.revision, poll_us(member));
	else if (wait_us > 0)
		keep(control, member, request, member->view, wait_us);
	else
		answer_asked(control, member, request);
	return 0;
}

void sync_request(struct control *control, struct http_request *request)
{
	struct member *member =
		inventory_by_address(&control->inventory, &http_peer(request)->from.addr);
	struct reply reply = {0};

	if (!member)
		reply_problem(&reply, "unauthorized",
			      TRIED ": no living identity has this address");
	if (!member || serve(control, member, request, &reply) < 0)
		reply_send(&reply, request);
}
