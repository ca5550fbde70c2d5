/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Revocation, for ever.
 *
 *	K2 signs the tombstone -> one commit (tombstone, identity dead, audit) -> relay pairs gone -> it is told, if it is
 *	connected -> hub peer gone -> [answer without wait] -> every agent gets the tombstone -> paired agents acknowledge
 *	-> [answer with wait]
 *
 * The answer tells the truth: who has acknowledged after how many milliseconds, and who has not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "common/log.h"
#include "control-plane/admin.h"

#define WAIT_DEFAULT_MS 10000
#define WAIT_MAX_MS	120000
#define WAIT_MIN_MS	500 /* more than a farewell takes */
#define WAITS_MAX	16

struct awaited {
	struct id id;
	struct admin_acknowledgement acknowledgement;
	bool done;
};

struct wait {
	struct wait *next;
	struct control *control;
	struct http_request *request;
	sd_event_source *deadline;
	struct mono started;
	struct admin_revoked answer; /* its lists are made at the end */
	struct awaited *awaited;
	size_t n;
	bool cut; /* the hub has no peer of it any more */
};

static void wait_free(struct wait *wait)
{
	if (!wait)
		return;
	sd_event_source_disable_unref(wait->deadline);
	free(wait->answer.tombstone);
	free(wait->awaited);
	free(wait);
}
DEFINE_CLEANUP(wait_free, struct wait *);

static void unlink_wait(struct wait *wait)
{
	struct wait **at = &wait->control->waits;

	while (*at && *at != wait)
		at = &(*at)->next;
	if (*at)
		*at = wait->next;
}

static uint32_t ms_since(struct mono started)
{
	return (uint32_t)mono_diff_ms(clock_mono(), started);
}

static void fill_answer(struct wait *wait, struct reply *reply)
{
	_cleanup_(freep) struct admin_acknowledgement *lists =
		calloc(2 * wait->n + 1, sizeof(*lists));
	struct admin_revoked answer = wait->answer;

	if (!lists) {
		reply_json(reply, NULL);
		return;
	}
	answer.acknowledged = lists;
	answer.outstanding = lists + wait->n;
	for (size_t i = 0; i < wait->n; i++) {
		const struct awaited *awaited = &wait->awaited[i];

		if (awaited->done)
			answer.acknowledged[answer.n_acknowledged++] = awaited->acknowledgement;
		else
			answer.outstanding[answer.n_outstanding++] = awaited->acknowledgement;
	}
	answer.total_ms = ms_since(wait->started);
	reply_json(reply, admin_revoked_encode(&answer));
}

static void finish(struct wait *wait)
{
	struct reply reply = {0};

	unlink_wait(wait);
	fill_answer(wait, &reply);
	reply_send(&reply, wait->request);
	wait_free(wait);
}

static bool is_over(const struct wait *wait)
{
	if (!wait->cut)
		return false;
	for (size_t i = 0; i < wait->n && wait->answer.waited; i++)
		if (!wait->awaited[i].done && wait->awaited[i].acknowledgement.connected)
			return false;
	return true;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	finish(data);
	return 0;
}

void admin_gone(struct control *control, struct http_request *request)
{
	for (struct wait *wait = control->waits; wait; wait = wait->next) {
		if (wait->request != request)
			continue;
		unlink_wait(wait);
		wait_free(wait);
		return;
	}
}

void admin_forget_waits(struct control *control)
{
	while (control->waits) {
		struct wait *wait = control->waits;

		control->waits = wait->next;
		wait_free(wait);
	}
}

static void settle(struct control *control, const struct member *member, bool removed)
{
	struct wait *next;

	for (struct wait *wait = control->waits; wait; wait = next) {
		next = wait->next;
		for (size_t i = 0; i < wait->n; i++) {
			struct awaited *awaited = &wait->awaited[i];

			if (awaited->done || !id_equal(&awaited->id, &member->row.id))
				continue;
			if (removed) {
				wait->awaited[i] = wait->awaited[--wait->n];
				break;
			}
			if (member->applied < wait->answer.revision)
				continue;
			awaited->done = true;
			awaited->acknowledgement.ms = ms_since(wait->started);
		}
		if (is_over(wait))
			finish(wait);
	}
}

void admin_on_applied(struct control *control, const struct member *member)
{
	settle(control, member, false);
}

void admin_on_removed(struct control *control, const struct member *member)
{
	settle(control, member, true);
}

void admin_on_cut(struct control *control, const struct id *id)
{
	struct wait *next;

	for (struct wait *wait = control->waits; wait; wait = next) {
		next = wait->next;
		if (!id_equal(&wait->answer.id, id))
			continue;
		wait->cut = true;
		wait->answer.hub_ms = ms_since(wait->started);
		if (is_over(wait))
			finish(wait);
	}
}

/* ---- the call ---- */

static size_t count_waits(const struct control *control)
{
	size_t n = 0;

	for (const struct wait *wait = control->waits; wait; wait = wait->next)
		n++;
	return n;
}

static int note_peers(struct wait *wait, const struct member *member)
{
	wait->awaited = calloc(member->n_peers + 1, sizeof(*wait->awaited));
	if (!wait->awaited)
		return -ENOMEM;
	for (; wait->n < member->n_peers; wait->n++) {
		const struct member *peer = member->peers[wait->n];
		struct awaited *awaited = &wait->awaited[wait->n];

		awaited->id = peer->row.id;
		awaited->acknowledgement.connected = control_connected(peer);
		snprintf(awaited->acknowledgement.name, sizeof(awaited->acknowledgement.name), "%s",
			 peer->row.name);
	}
	return 0;
}

static int kill_member(struct admin_call *call, struct wait *wait, struct member *member,
		       const char *reason, struct reply *reply)
{
	struct control *control = call->control;
	int r = note_peers(wait, member);

	if (r == 0)
		r = signer_tombstone(control->signer, &member->row.id, reason,
				     &wait->answer.tombstone);
	if (r < 0) {
		reply_problem(reply, "internal",
			      "cannot revoke: the signer does not answer; nothing was changed");
		if (r == -EPIPE)
			control_fatal(control, "the signer is gone");
		return r;
	}
	r = store_identity_revoke(control->store, &member->row.id, wait->answer.tombstone, reason,
				  call->actor, call->now, &wait->answer.revision);
	if (r < 0) {
		reply_store_error(reply, r, "revoke");
		return r;
	}
	log_info("%s revoked by %s", member->row.name, call->actor);
	/* the answer says that it is cut off, so where it could not wait for that nobody is told */
	wait->cut = control_revoked(control, member, wait->answer.tombstone, wait->answer.revision,
				    count_waits(control) < WAITS_MAX);
	wait->answer.hub_ms = ms_since(wait->started);
	return 0;
}

static int keep(struct wait *wait, uint32_t timeout_ms)
{
	struct control *control = wait->control;
	uint64_t ms = timeout_ms ? timeout_ms : WAIT_DEFAULT_MS;
	int r;

	if (is_over(wait) || count_waits(control) == WAITS_MAX)
		return -ENOENT; /* nothing to wait for, or no room: what is known now is the answer */
	if (ms > WAIT_MAX_MS)
		ms = WAIT_MAX_MS;
	if (ms < WAIT_MIN_MS && !wait->cut)
		ms = WAIT_MIN_MS;
	r = sd_event_add_time_relative(control->event, &wait->deadline, CLOCK_BOOTTIME, ms * 1000,
				       1000, on_deadline, wait);
	if (r < 0)
		return r;
	wait->next = control->waits;
	control->waits = wait;
	return 0;
}

void admin_identity_revoke_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(admin_revoke_done) struct admin_revoke message = {0};
	_cleanup_(wait_freep) struct wait *wait = calloc(1, sizeof(*wait));
	struct member *member;
	struct err err = {0};
	size_t length;
	const char *body = http_body(call->request, &length);

	if (!wait) {
		reply_json(reply, NULL);
		return;
	}
	if (admin_revoke_decode(body, length, &message, &err) < 0) {
		reply_problem(reply, "bad-request", "cannot revoke: %.200s", err.text);
		return;
	}
	member = inventory_by_text(&call->control->inventory, message.who);
	if (!member) {
		reply_problem(reply, "not-found",
			      "cannot revoke: no living identity has this name or id");
		return;
	}
	wait->control = call->control;
	wait->request = call->request;
	wait->started = clock_mono();
	wait->answer.id = member->row.id;
	wait->answer.waited = message.wait;
	snprintf(wait->answer.name, sizeof(wait->answer.name), "%s", member->row.name);
	if (kill_member(call, wait, member, message.reason, reply) < 0)
		return;
	if ((message.wait || !wait->cut) && keep(wait, message.timeout_ms) == 0)
		take_pointer(wait);
	else
		fill_answer(wait, reply);
}
