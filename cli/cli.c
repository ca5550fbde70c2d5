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

int cli_fail_problem(enum exit_code code, const char *detail, const char *problem)
{
	char text[512];
	snprintf(text, sizeof(text), "%s (%s)", detail, problem);
	fflush(stdout);
	fprintf(stderr, "sortie: %s\n", clean(text));
	return code;
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
