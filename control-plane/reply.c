/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers and problems. Texts of problems quote only checked input: no control characters, no secrets. */
#include "control-plane/reply.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "api/code.h"
#include "api/message.h"

void reply_done(struct reply *reply)
{
	free(reply->body);
	*reply = (struct reply){0};
}

void reply_json(struct reply *reply, char *body)
{
	reply_done(reply);
	reply->status = body ? 200 : 500;
	reply->body = body;
}

void reply_problem(struct reply *reply, const char *code, const char *format, ...)
{
	const struct api_code *row = api_code_find(code);
	struct problem problem = {.status = row ? row->status : 500};
	va_list args;

	snprintf(problem.code, sizeof(problem.code), "%s", code);
	va_start(args, format);
	vsnprintf(problem.detail, sizeof(problem.detail), format, args);
	va_end(args);
	reply_done(reply);
	reply->status = problem.status;
	reply->body = problem_encode(&problem);
}

void reply_store_error(struct reply *reply, int code, const char *what)
{
	if (code == -ENOSPC)
		reply_problem(
			reply, "storage-full",
			"cannot %s: the control plane's disk is full; make room, then try again",
			what);
	else if (code == -EBUSY)
		reply_problem(reply, "unavailable", "cannot %s: the database is busy; try again",
			      what);
	else
		reply_problem(reply, "internal", "cannot %s: %s; see the control plane's log", what,
			      strerror(-code));
}

void reply_send(struct reply *reply, struct http_request *request)
{
	const char *body = reply->body ? reply->body : "";

	http_answer(request, reply->status ? reply->status : 500, NULL, body, strlen(body));
	reply_done(reply);
}
