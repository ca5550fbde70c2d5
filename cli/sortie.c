/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sortie: reads the command line, runs one command, ends with its exit code. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "cli/command.h"
#include "cli/output.h"

#ifdef __SANITIZE_ADDRESS__
/* The leak check at exit stops the process by ptrace, which one that cannot be dumped refuses. */
static const int dumpable = 1;
#else
static const int dumpable = 0;
#endif

/* It signs with operators' keys and reads join tokens: none of it for others, not even in a core file. */
static void harden(void)
{
	const struct rlimit none = {0, 0};

	umask(077);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
}

int main(int argc, char *argv[])
{
	struct invocation in;
	struct err err = {0};

	harden();
	signal(SIGPIPE, SIG_DFL);
	if (command_parse(argc - 1, argv + 1, &in, &err) < 0) {
		clean(err.text);
		fprintf(stderr, "sortie: %s\n", err.text);
		return EXIT_USAGE;
	}
	if (option(&in, OPT_HELP)) {
		command_print_help(stdout, in.command->handler == command_help ? NULL : in.command);
		return EXIT_OK;
	}
	int code = in.command->handler(&in);
	if (fflush(stdout) != 0 && code == EXIT_OK)
		return cli_fail(&in, EXIT_FAILED, "cannot write the output: %m");
	return code;
}
