/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of commands and options: parsing, usage, help and tests read the same rows. What is not built is not in it.
 */
#pragma once
#include <stdio.h>
#include "cli/cli.h"

struct command {
	const char *name;  /* one or two words: "status", "token create" */
	const char *usage; /* what follows the name */
	const char *help;  /* one line */
	uint64_t options;  /* OPTION() bits besides the common ones */
	uint64_t required;
	size_t args_min, args_max;
	int (*handler)(const struct invocation *in);
};

struct cli_option_row {
	const char *name;  /* "json" for --json */
	const char *value; /* "FILE"; NULL: takes none */
	const char *help;
};

#define OPTION(which) ((uint64_t)1 << (which))
/* Those that every command takes. */
#define OPTIONS_COMMON                                                                             \
	(OPTION(OPT_SOCKET) | OPTION(OPT_CONTROL) | OPTION(OPT_JSON) | OPTION(OPT_HELP))

extern const struct command commands[];
extern const size_t n_commands;
extern const struct cli_option_row cli_options[CLI_OPTIONS];

/*
 * argv without the program's name. Options may stand anywhere behind or before the command's words, as --name value
 * or --name=value; "--" ends them. -EINVAL with a sentence in err.
 */
int command_parse(int argc, char *const argv[], struct invocation *ret, struct err *err);

/* All commands, or with all there is to say about one. */
void command_print_help(FILE *to, const struct command *command);
