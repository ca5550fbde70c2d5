/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local socket's routes: one row says who may call and who answers. sortie-net carries the bytes; who asks is what
 * the kernel told it (SO_PEERCRED).
 */
#include "daemon/local.h"
#include "api/code.h"
#include "api/local.h"
#include "api/message.h"
#include "api/routes.h"
#include "common/log.h"
#include "daemon/doctor.h"
#include "daemon/mode.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct request {
	uint64_t id;
	const struct ipc_local_request *message;
};

void local_answer_problem(struct agent *agent, uint64_t id, const char *code, const char *detail)
{
	const struct api_code *row = api_code_find(code);
	struct problem problem = {.status = row ? row->status : 500};
	_cleanup_(freep) char *text = NULL;

	(void)snprintf(problem.code, sizeof(problem.code), "%s", code);
	(void)snprintf(problem.detail, sizeof(problem.detail), "%s", detail);
	text = problem_encode(&problem);
	(void)child_answer(agent->child, id, problem.status, text, text ? strlen(text) : 0);
}

/* Takes text over; NULL is out of memory. */
void local_answer_text(struct agent *agent, uint64_t id, char *text)
{
	if (!text || child_answer(agent->child, id, 200, text, strlen(text)) < 0)
		local_answer_problem(agent, id, "internal", "the answer could not be written");
	free(text);
}

void local_answer_enrolled(struct agent *agent, uint64_t id)
{
	struct local_enrolled answer = {.ipv6 = agent->ipv6, .ipv4 = agent->ipv4};

	(void)id_format(&agent->id, answer.id);
	(void)snprintf(answer.name, sizeof(answer.name), "%s", agent->name);
	(void)snprintf(answer.network, sizeof(answer.network), "%s",
		       trust_root(agent->trust)->name);
	local_answer_text(agent, id, local_enrolled_encode(&answer));
}

static void on_status(struct agent *agent, const struct request *request)
{
	local_answer_text(agent, request->id, local_status_text(agent));
}

static void on_enroll(struct agent *agent, const struct request *request)
{
	struct local_enroll message = {0};
	struct err err = {0};
	const char *code = "bad-request";
	int r = local_enroll_decode(request->message->body, request->message->body_length, &message,
				    &err);

	if (r == 0)
		r = enroll_begin(agent, message.token, request->id, &code, &err);
	if (message.token)
		sodium_memzero(message.token, strlen(message.token));
	local_enroll_done(&message);
	if (r < 0)
		local_answer_problem(agent, request->id, code,
				     err.text[0] ? err.text : strerror(-r));
}

static void on_leave(struct agent *agent, const struct request *request)
{
	struct local_left answer = {0};
	struct local_leave message = {0};
	struct err err = {0};
	int r = local_leave_decode(request->message->body, request->message->body_length, &message,
				   &err);

	if (r < 0) {
		local_answer_problem(agent, request->id, "bad-request", err.text);
		return;
	}

	(void)snprintf(answer.name, sizeof(answer.name), "%s", agent->name);
	if (agent->enroll.waiter)
		local_answer_problem(agent, agent->enroll.waiter, "conflict",
				     "enrol: given up by `sortie leave`");
	r = agent_leave(agent, message.force, &err);
	if (r < 0)
		local_answer_problem(agent, request->id, r == -EEXIST ? "conflict" : "internal",
				     err.text);
	else
		local_answer_text(agent, request->id, local_left_encode(&answer));
}

static void on_down(struct agent *agent, const struct request *request)
{
	struct local_down message = {0};
	struct err err = {0};
	const char *code = "bad-request";
	int r = local_down_decode(request->message->body, request->message->body_length, &message,
				  &err);

	if (r == 0) {
		r = agent_set_down(agent, message.down, &err);
		code = r == -ENOENT		      ? "not-enrolled"
		       : r == -ENOSPC || r == -EDQUOT ? "storage-full"
						      : "internal";
	}
	memcpy(message.name, agent->name, sizeof(message.name));
	if (r < 0)
		local_answer_problem(agent, request->id, code, err.text);
	else
		local_answer_text(agent, request->id, local_down_encode(&message));
	local_down_done(&message);
}

static void on_can(struct agent *agent, const struct request *request)
{
	struct local_can message = {0};
	struct err err = {0};
	const char *code = "bad-request";
	char *text = NULL;
	int r = local_can_decode(request->message->body, request->message->body_length, &message,
				 &err);

	if (r == 0)
		r = local_can_text(agent, &message, &text, &code, &err);
	local_can_done(&message);
	if (r < 0)
		local_answer_problem(agent, request->id, code, err.text);
	else
		local_answer_text(agent, request->id, text);
}

/* "after=12&denied=1&wait=1", whose names sortie-net has chosen from a list. */
static bool query_value(const char *query, const char *name, uint64_t *ret)
{
	size_t length = strlen(name);
	char *end;

	for (const char *at = query; at; at = strchr(at, '&') ? strchr(at, '&') + 1 : NULL) {
		if (strncmp(at, name, length) != 0 || at[length] != '=')
			continue;
		errno = 0;
		*ret = strtoull(at + length + 1, &end, 10);
		return errno == 0 && end != at + length + 1 && (*end == '&' || *end == '\0') &&
		       at[length + 1] != '-';
	}
	return true;
}

static void on_flows(struct agent *agent, const struct request *request)
{
	const char *query = request->message->query;
	uint64_t after = 0, denied = 0, wait = 0;

	if (!query_value(query, "after", &after) || !query_value(query, "denied", &denied) ||
	    !query_value(query, "wait", &wait)) {
		local_answer_problem(agent, request->id, "bad-request",
				     "flows: after, denied and wait are numbers");
		return;
	}
	local_flows_ask(agent, request->id, after, denied != 0, wait != 0);
}

static void on_mode(struct agent *agent, const struct request *request)
{
	struct local_mode message = {0};
	struct local_mode_set answer = {0};
	struct err err = {0};
	const char *code = "bad-request";
	int r = local_mode_decode(request->message->body, request->message->body_length, &message,
				  &err);

	if (r == 0)
		r = mode_set(agent, message.mode, message.confirm_s, &code, &err);
	if (r < 0) {
		local_answer_problem(agent, request->id, code, err.text);
	} else {
		(void)snprintf(answer.mode, sizeof(answer.mode), "%s", message.mode);
		answer.pending = agent->enforce_pending;
		answer.confirm_s = mode_confirm_left(agent);
		local_answer_text(agent, request->id, local_mode_set_encode(&answer));
	}
	local_mode_done(&message);
}

static void on_doctor(struct agent *agent, const struct request *request)
{
	doctor_ask(agent, request->id);
}

static void on_confirm(struct agent *agent, const struct request *request)
{
	struct local_confirmed answer = {0};
	struct err err = {0};
	const char *code = "internal";

	if (mode_confirm(agent, (pid_t)request->message->pid, &code, &err) < 0) {
		local_answer_problem(agent, request->id, code, err.text);
		return;
	}
	(void)snprintf(answer.mode, sizeof(answer.mode), "enforce");
	local_answer_text(agent, request->id, local_confirmed_encode(&answer));
}

static const struct row {
	enum route route;
	bool root_only;
	void (*answer)(struct agent *agent, const struct request *request);
} rows[] = {
	{ROUTE_LOCAL_STATUS, false, on_status},	 {ROUTE_LOCAL_ENROLL, true, on_enroll},
	{ROUTE_LOCAL_LEAVE, true, on_leave},	 {ROUTE_LOCAL_CAN, false, on_can},
	{ROUTE_LOCAL_FLOWS, false, on_flows},	 {ROUTE_LOCAL_MODE, true, on_mode},
	{ROUTE_LOCAL_DOWN, true, on_down},	 {ROUTE_LOCAL_DOCTOR, true, on_doctor},
	{ROUTE_LOCAL_CONFIRM, true, on_confirm},
};

static const struct row *find_row(enum route route)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].route == route)
			return &rows[i];
	return NULL;
}

void local_request(const struct ipc_message *message, void *data)
{
	struct agent *agent = data;
	const struct ipc_local_request *asked = &message->local_request;
	const struct request request = {message->id, asked};
	const struct row *row;
	enum route route;
	int r = route_find(ROUTE_LOCAL, asked->method, asked->path, &route);

	row = r == 0 ? find_row(route) : NULL;
	if (!row)
		local_answer_problem(agent, message->id,
				     r == -EPERM ? "method-not-allowed" : "not-found",
				     "the local socket has no such call");
	else if (row->root_only && asked->uid != 0)
		local_answer_problem(agent, message->id, "forbidden",
				     "only root may do this: use sudo");
	else
		row->answer(agent, &request);
}

void local_gone(uint64_t id, void *data)
{
	struct agent *agent = data;

	enroll_forget_waiter(agent, id);
	local_flows_forget(agent, id);
	doctor_forget(agent, id);
}
