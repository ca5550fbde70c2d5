/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every command of `sortie` shares: the parsed command line, the two sockets, and how a command ends.
 *
 * A handler prints its result on stdout and returns an exit code of api/code.h. When it fails it says so in one line
 * on stderr with cli_fail(): what was tried, what is wrong, what to do.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "api/code.h"
#include "api/routes.h"
#include "common/cleanup.h"
#include "common/err.h"

#define AGENT_SOCKET   "/run/sortie/sortied.sock"
#define CONTROL_SOCKET "/run/sortie/control.sock"
#define CLI_ARGS_MAX   4

enum cli_option {
	OPT_SOCKET,
	OPT_CONTROL,
	OPT_JSON,
	OPT_HELP,
	OPT_NAME,
	OPT_LABELS,
	OPT_NOT_AFTER,
	OPT_COUNT,
	OPT_KEY,
	OPT_OUT,
	OPT_TOKEN,
	OPT_CHECK,
	OPT_VERSION,
	OPT_VALID,
	OPT_DENIED,
	OPT_FOLLOW,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_REASON,
	OPT_FORCE,
	OPT_CONFIRM,
	CLI_OPTIONS, /* their number */
};

struct command;

/* A parsed command line; everything is borrowed from argv and the environment. */
struct invocation {
	const struct command *command;
	const char *options[CLI_OPTIONS]; /* NULL: not given; "" for those without a value */
	const char *args[CLI_ARGS_MAX];
	size_t n_args;
};

static inline bool option(const struct invocation *in, enum cli_option which)
{
	return in->options[which] != NULL;
}

/* "sortie COMMAND: SENTENCE" on stderr; returns code. Control characters are replaced. */
int cli_fail(const struct invocation *in, enum exit_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a sentence of the other end and the code of its problem. */
int cli_fail_problem(const struct invocation *in, enum exit_code code, const char *detail,
		     const char *problem);

/* Where the option gives none: $SORTIE_SOCKET and $SORTIE_CONTROL, then the paths above. */
const char *cli_agent_socket(const struct invocation *in);
const char *cli_control_socket(const struct invocation *in);

/* "file:PATH" to the path; NULL and a usage error (in *ret_code) for anything else: secrets never stand in argv. */
const char *cli_file(const struct invocation *in, enum cli_option which, int *ret_code);

/* ---- the handlers, one file a noun ---- */

int command_token_create(const struct invocation *in);
int command_token_list(const struct invocation *in);
int command_token_revoke(const struct invocation *in);
int command_enroll(const struct invocation *in);
int command_up(const struct invocation *in);
int command_down(const struct invocation *in);
int command_leave(const struct invocation *in);
int command_mode(const struct invocation *in);
int command_confirm(const struct invocation *in);
int command_status(const struct invocation *in);
int command_doctor(const struct invocation *in);
int command_can(const struct invocation *in);
int command_flows(const struct invocation *in);
int command_identity_list(const struct invocation *in);
int command_identity_show(const struct invocation *in);
int command_identity_revoke(const struct invocation *in);
int command_identity_suspend(const struct invocation *in);
int command_identity_resume(const struct invocation *in);
int command_policy_check(const struct invocation *in);
int command_policy_plan(const struct invocation *in);
int command_policy_apply(const struct invocation *in);
int command_policy_show(const struct invocation *in);
int command_policy_history(const struct invocation *in);
int command_completion(const struct invocation *in);
int command_version(const struct invocation *in);
int command_help(const struct invocation *in);
