/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The admin socket's calls (api/admin.h). Who may call: the socket is 0600, and SO_PEERCRED must say our own uid or
 * root. It signs nothing: what widens comes signed by the operator's keys and is verified like anything else.
 */
#pragma once
#include "control-plane/control.h"
#include "control-plane/reply.h"

#define ACTOR_MAX 64 /* "uid 0 pid 4711" */

struct admin_call {
	struct control *control;
	struct http_request *request;
	char actor[ACTOR_MAX];
	int64_t now;
};

/* Takes the request over. */
void admin_request(struct control *control, struct http_request *request);
/* A kept request's client went away. */
void admin_gone(struct control *control, struct http_request *request);
/* member->applied has changed: somebody may wait for it. */
void admin_on_applied(struct control *control, const struct member *member);
/* The member is about to be forgotten: nobody waits for it any more. */
void admin_on_removed(struct control *control, const struct member *member);
/* The hub has no peer of this revoked identity any more. */
void admin_on_cut(struct control *control, const struct id *id);

/* The program ends: nobody is answered any more. */
void admin_forget_waits(struct control *control);

/* A number in the query, digits only; a missing one is the fallback. -EINVAL. */
int admin_query_number(struct http_request *request, const char *name, uint64_t fallback,
		       uint64_t *ret);

/* Handlers: fill reply, or keep the request and leave reply->status 0. */
void admin_token_create_call(struct admin_call *call, struct reply *reply);
void admin_token_list_call(struct admin_call *call, struct reply *reply);
void admin_token_revoke_call(struct admin_call *call, struct reply *reply);
void admin_identity_list_call(struct admin_call *call, struct reply *reply);
void admin_identity_show_call(struct admin_call *call, struct reply *reply);
void admin_identity_revoke_call(struct admin_call *call, struct reply *reply);
void admin_identity_suspend_call(struct admin_call *call, struct reply *reply);
void admin_identity_resume_call(struct admin_call *call, struct reply *reply);
void admin_policy_call(struct admin_call *call, struct reply *reply);
void admin_policy_apply_call(struct admin_call *call, struct reply *reply);
void admin_policy_show_call(struct admin_call *call, struct reply *reply);
void admin_policy_history_call(struct admin_call *call, struct reply *reply);
