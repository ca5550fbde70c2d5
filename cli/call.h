/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls to the two local sockets; failures become the one line and the exit code. */
#pragma once
#include "api/message.h"
#include "cli/cli.h"

#define CALL_TIMEOUT_MS 10000

struct answer {
	char *body;    /* JSON as it came; valid by the route's shape */
	void *message; /* the decoded struct of the route's answer */
	const struct shape *shape;
};
void answer_done(struct answer *answer);

/* Why there is no answer: error where the call failed, else the problem that the other end sent. */
struct failure {
	int error; /* negative errno; -EBADMSG: an answer that is not valid */
	struct problem problem;
	struct err err; /* -EBADMSG: what is wrong */
};

/*
 * Calls a route of the agent's or the control plane's socket. query (may be NULL) is "?a=b"; request (may be NULL) is
 * the struct of the route's request. Returns an exit code; unless EXIT_OK the line was printed.
 */
int call(const struct invocation *in, enum route route, const char *query, const void *request,
	 unsigned int timeout_ms, struct answer *ret);

/* The same without a word: 0 or -1 with the failure, for call_fail() or for something else to try. */
int call_try(const struct invocation *in, enum route route, const char *query, const void *request,
	     unsigned int timeout_ms, struct answer *ret, struct failure *failure);
/* Prints the line, returns the exit code. */
int call_fail(const struct invocation *in, enum route route, const struct failure *failure);
/* The same, for a route of the agent that something else can do where no agent runs: instead says what. */
int call_fail_or(const struct invocation *in, enum route route, const struct failure *failure,
		 const char *instead);

/* "?who=..." with everything but unreserved characters escaped, malloc()ed; NULL when out of memory. */
char *query_format(const char *name, const char *value);
