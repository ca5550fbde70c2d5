/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every command shares. */
#include "cli/cli.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "cli/command.h"
#include "cli/output.h"

int cli_fail(const struct invocation *in, enum exit_code code, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fflush(stdout);
	fprintf(stderr, "sortie %s: %s\n", in->command->name, clean(text));
	return code;
}

/* "leave: table inet ..." to `sortie leave`: what was tried is said once. */
static const char *without_command(const struct invocation *in, const char *detail)
{
	size_t length = strlen(in->command->name);
	bool twice = strncmp(detail, in->command->name, length) == 0 &&
		     strncmp(detail + length, ": ", 2) == 0;
	return twice ? detail + length + 2 : detail;
}

int cli_fail_problem(const struct invocation *in, enum exit_code code, const char *detail,
		     const char *problem)
{
	return cli_fail(in, code, "%s (%s)", without_command(in, detail), problem);
}

static const char *socket_path(const struct invocation *in, enum cli_option which,
			       const char *variable, const char *standard)
{
	if (in->options[which])
		return in->options[which];
	const char *path = getenv(variable);
	return path && *path ? path : standard;
}

const char *cli_agent_socket(const struct invocation *in)
{
	return socket_path(in, OPT_SOCKET, "SORTIE_SOCKET", AGENT_SOCKET);
}

const char *cli_control_socket(const struct invocation *in)
{
	return socket_path(in, OPT_CONTROL, "SORTIE_CONTROL", CONTROL_SOCKET);
}

const char *cli_file(const struct invocation *in, enum cli_option which, int *ret_code)
{
	const char *value = in->options[which];
	if (strncmp(value, "file:", 5) == 0 && value[5] != '\0')
		return value + 5;
	*ret_code =
		cli_fail(in, EXIT_USAGE,
			 "--%s wants file:PATH: a secret on the command line is seen by everybody",
			 cli_options[which].name);
	return NULL;
}
