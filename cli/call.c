/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call, one answer. What comes back is decoded strictly before anybody prints it: the socket's owner is trusted
 * to answer, not to write on a terminal.
 */
#include "cli/call.h"
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "api/admin.h"
#include "api/http.h"
#include "api/local.h"
#include "api/message.h"
#include "cli/command.h"
#include "cli/output.h"

void answer_done(struct answer *answer)
{
	if (answer->message)
		shape_done(answer->shape, answer->message);
	free(answer->message);
	free(answer->body);
	memset(answer, 0, sizeof(*answer));
}

char *query_format(const char *name, const char *value)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	char *query = malloc(strlen(name) + 3 * strlen(value) + 3);
	if (!query)
		return NULL;
	int n = sprintf(query, "?%s=", name);
	for (const char *c = value; *c; c++)
		n += sprintf(query + n, strchr(plain, *c) ? "%c" : "%%%02X", (unsigned char)*c);
	return query;
}

/* The group is named where it is somebody's: those may ask the agent, too. */
static int fail_permission(const struct invocation *in, const char *who, const char *path)
{
	struct stat file;
	const struct group *group =
		stat(path, &file) == 0 && file.st_gid != 0 && (file.st_mode & S_IWGRP)
			? getgrgid(file.st_gid)
			: NULL;
	return cli_fail(in, EXIT_FAILED, "no permission for the %s's socket %s: run it as root%s%s",
			who, path, group ? ", or to ask only as a member of group " : "",
			group ? group->gr_name : "");
}

static int fail_connect(const struct invocation *in, bool agent, const char *path, int error)
{
	const char *who = agent ? "agent" : "control plane";
	const char *flag = agent ? "--socket" : "--control";
	enum exit_code code = agent ? EXIT_FAILED : EXIT_UNREACHABLE;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return cli_fail(
			in, EXIT_USAGE,
			"the path of the %s's socket is too long for one: name another with %s",
			who, flag);
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return cli_fail(in, code,
				"no %s answers at %s: start %s, or name its socket with %s", who,
				path, agent ? "sortied" : "sortie-control run", flag);
	case -EACCES:
	case -EPERM:
		return fail_permission(in, who, path);
	case -ETIMEDOUT:
		return cli_fail(in, code, "the %s at %s did not answer in time: see its log", who,
				path);
	case -EFBIG:
		return cli_fail(in, EXIT_FAILED, "the %s's answer is over the limit", who);
	default:
		return cli_fail(in, code, "the call to the %s at %s failed: %s", who, path,
				strerror(-error));
	}
}

static int fail_problem(const struct invocation *in, const struct problem *problem)
{
	const struct api_code *code = api_code_find(problem->code);
	if (problem->code[0] == '\0')
		return cli_fail(in, problem->status == 503 ? EXIT_UNREACHABLE : EXIT_FAILED,
				"the other end answered with status %u and no reason",
				problem->status);
	return cli_fail_problem(in, code ? code->exit_code : EXIT_FAILED, problem->detail,
				problem->code);
}

int call_fail(const struct invocation *in, enum route route, const struct failure *failure)
{
	bool agent = routes[route].socket == ROUTE_LOCAL;
	if (failure->error == 0)
		return fail_problem(in, &failure->problem);
	if (failure->error == -EBADMSG)
		return cli_fail(in, EXIT_FAILED,
				"the answer is not valid (%s): are both of the same version?",
				failure->err.text);
	if (failure->error == -EILSEQ)
		return cli_fail(in, EXIT_USAGE, "an argument is not UTF-8");
	return fail_connect(in, agent, agent ? cli_agent_socket(in) : cli_control_socket(in),
			    failure->error);
}

int call_fail_or(const struct invocation *in, enum route route, const struct failure *failure,
		 const char *instead)
{
	if (failure->error == -ENOENT || failure->error == -ECONNREFUSED)
		return cli_fail(in, EXIT_FAILED, "no agent answers at %s: %s", cli_agent_socket(in),
				instead);
	return call_fail(in, route, failure);
}

/* Takes body over. */
static int decode(const struct shape *shape, char *body, size_t length, struct answer *ret,
		  struct failure *failure)
{
	void *message = calloc(1, shape->size);
	if (!message || shape_decode(shape, body, length, message, &failure->err) < 0) {
		free(message);
		free(body);
		failure->error = message ? -EBADMSG : -ENOMEM;
		return -1;
	}
	*ret = (struct answer){.body = body, .message = message, .shape = shape};
	return 0;
}

static int receive(const struct route_row *row, unsigned int status, char *body, size_t length,
		   struct answer *ret, struct failure *failure)
{
	if (status == 200)
		return decode(row->answer, body, length, ret, failure);
	if (problem_decode(body, length, &failure->problem, NULL) < 0)
		failure->problem.status = status;
	free(body);
	return -1;
}

int call_try(const struct invocation *in, enum route route, const char *query, const void *request,
	     unsigned int timeout_ms, struct answer *ret, struct failure *failure)
{
	const struct route_row *row = &routes[route];
	bool agent = row->socket == ROUTE_LOCAL;
	struct http_target target = {.unix_path =
					     agent ? cli_agent_socket(in) : cli_control_socket(in)};
	_cleanup_(freep) char *text = request ? shape_encode(row->request, request) : NULL;
	_cleanup_(freep) char *path = NULL;
	unsigned int status;
	char *body;
	size_t length;
	memset(failure, 0, sizeof(*failure));
	if (request && !text)
		failure->error = -EILSEQ;
	else if (asprintf(&path, "%s%s", row->path, query ? query : "") < 0)
		failure->error = -ENOMEM;
	else
		failure->error = http_call_wait(
			&target, row->method, path, text, text ? strlen(text) : 0, timeout_ms,
			agent ? LOCAL_ANSWER_MAX : ADMIN_ANSWER_MAX, &status, &body, &length);
	if (text)
		explicit_bzero(text, strlen(text)); /* it may have been a join token */
	return failure->error ? -1 : receive(row, status, body, length, ret, failure);
}

int call(const struct invocation *in, enum route route, const char *query, const void *request,
	 unsigned int timeout_ms, struct answer *ret)
{
	struct failure failure;
	if (call_try(in, route, query, request, timeout_ms, ret, &failure) < 0)
		return call_fail(in, route, &failure);
	return EXIT_OK;
}
