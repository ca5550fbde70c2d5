/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of commands, its parser and its help. */
#include "cli/command.h"
#include <errno.h>
#include <string.h>

const struct cli_option_row cli_options[CLI_OPTIONS] = {
	[OPT_SOCKET] = {"socket", "PATH", "the agent's socket (" AGENT_SOCKET ")"},
	[OPT_CONTROL] = {"control", "PATH", "the control plane's socket (" CONTROL_SOCKET ")"},
	[OPT_JSON] = {"json", NULL, "print JSON with \"schema\""},
	[OPT_HELP] = {"help", NULL, "say what a command does"},
	[OPT_NAME] = {"name", "SITE/WORKLOAD",
		      "the identity's name; with --count, -1, -2, ... are added"},
	[OPT_LABELS] = {"labels", "KEY=VALUE,...", "its complete labels"},
	[OPT_NOT_AFTER] = {"not-after", "DURATION", "how long the token can be used (15m)"},
	[OPT_COUNT] = {"count", "N", "so many tokens, one host each (1)"},
	[OPT_KEY] =
		{"key", "file:PATH",
		 "K1, or an enroller's K3 for tokens (the control plane's own where it lies on this host)"},
	[OPT_OUT] = {"out", "FILE", "write the tokens there, mode 0600, instead of printing them"},
	[OPT_TOKEN] = {"token", "file:PATH", "the join token"},
	[OPT_CHECK] = {"check", "live|ready", "print nothing but a failure, answer by exit code"},
	[OPT_VERSION] = {"version", "N", "this version instead of the current one"},
	[OPT_VALID] = {"valid", "DURATION", "when the policy expires without a successor (30d)"},
	[OPT_DENIED] = {"denied", NULL, "only what was denied"},
	[OPT_FOLLOW] = {"follow", NULL, "go on as records come"},
	[OPT_WAIT] = {"wait", NULL, "return when every agent concerned has acknowledged"},
	[OPT_TIMEOUT] = {"timeout", "DURATION", "how long --wait waits (30s)"},
	[OPT_FORCE] = {"force", NULL, "also what stands without a trace of it in the state folder"},
	[OPT_REASON] = {"reason", "TEXT", "kept in the audit log"},
	[OPT_CONFIRM] = {"confirm", "DURATION",
			 "lock at once, and undo it unless `sortie confirm` comes in that time"},
};

/* clang-format off */
const struct command commands[] = {
	{"enroll", "--token file:PATH", "enrol this host with a join token",
	 OPTION(OPT_TOKEN), OPTION(OPT_TOKEN), 0, 0, command_enroll},
	{"status", "[--check live|ready]", "identity, mode, hub, policy, lease and peers of this host; or the control plane's",
	 OPTION(OPT_CHECK), 0, 0, 0, command_status},
	{"doctor", "", "what is wrong on this host, and what to do: exit 6 where a check fails",
	 0, 0, 0, 0, command_doctor},
	{"can", "[FROM] TO PROTO/PORT", "may one reach the other, by which rule, and what was denied last",
	 0, 0, 2, 3, command_can},
	{"flows", "[--denied] [--follow]", "what the kernel decided on this host",
	 OPTION(OPT_DENIED) | OPTION(OPT_FOLLOW), 0, 0, 0, command_flows},
	{"up", "", "raise this host's interface again after `sortie down`",
	 0, 0, 0, 0, command_up},
	{"down", "", "lower this host's interface; its rules stand, also over a restart",
	 0, 0, 0, 0, command_down},
	{"leave", "[--force]", "remove this host's rules, interface, keys and state",
	 OPTION(OPT_FORCE), 0, 0, 0, command_leave},
	{"mode", "enforce|overlay [--confirm DURATION]", "tighten this host's mode; with --confirm also where that cuts running connections",
	 OPTION(OPT_CONFIRM), 0, 1, 1, command_mode},
	{"confirm", "", "let a lock stay that would be undone; from a login that began after it",
	 0, 0, 0, 0, command_confirm},
	{"token create", "--name SITE/WORKLOAD [--labels KEY=VALUE,...]", "make join tokens: one token, one host, one use",
	 OPTION(OPT_NAME) | OPTION(OPT_LABELS) | OPTION(OPT_NOT_AFTER) | OPTION(OPT_COUNT) | OPTION(OPT_KEY) | OPTION(OPT_OUT),
	 OPTION(OPT_NAME), 0, 0, command_token_create},
	{"token list", "", "join tokens and what became of them",
	 0, 0, 0, 0, command_token_list},
	{"token revoke", "ID|NAME", "make an open token useless",
	 0, 0, 1, 1, command_token_revoke},
	{"identity list", "", "all identities",
	 0, 0, 0, 0, command_identity_list},
	{"identity show", "ID|NAME", "one identity and its peers",
	 0, 0, 1, 1, command_identity_show},
	{"identity revoke", "ID|NAME [--wait]", "shut an identity out for ever",
	 OPTION(OPT_WAIT) | OPTION(OPT_TIMEOUT) | OPTION(OPT_REASON), 0, 1, 1, command_identity_revoke},
	{"identity suspend", "ID|NAME", "shut an identity out until it is resumed",
	 OPTION(OPT_REASON), 0, 1, 1, command_identity_suspend},
	{"identity resume", "ID|NAME", "admit a suspended identity again",
	 OPTION(OPT_REASON), 0, 1, 1, command_identity_resume},
	{"policy check", "FILE", "is the file valid, and do its tests hold?",
	 0, 0, 1, 1, command_policy_check},
	{"policy plan", "FILE", "what would be gained and lost",
	 0, 0, 1, 1, command_policy_plan},
	{"policy apply", "FILE", "print what is gained and lost, sign, and put it in force",
	 OPTION(OPT_KEY) | OPTION(OPT_VALID), 0, 1, 1, command_policy_apply},
	{"policy show", "[--version N]", "the policy as it was written",
	 OPTION(OPT_VERSION), 0, 0, 0, command_policy_show},
	{"policy history", "", "all versions",
	 0, 0, 0, 0, command_policy_history},
	{"completion", "bash|zsh|fish", "print the completion for that shell",
	 0, 0, 1, 1, command_completion},
	{"version", "", "the version of this program",
	 0, 0, 0, 0, command_version},
	{"help", "[COMMAND]", "all commands, or all about one",
	 0, 0, 0, 2, command_help},
};
/* clang-format on */
const size_t n_commands = ARRAY_SIZE(commands);

/* ---- parsing ---- */

static int option_find(const char *name, size_t length, enum cli_option *ret)
{
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++) {
		if (strlen(cli_options[i].name) == length &&
		    memcmp(cli_options[i].name, name, length) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -ENOENT;
}

/* Reads --name, --name value or --name=value at argv[*i]. */
static int parse_option(int argc, char *const argv[], int *i, struct invocation *in,
			struct err *err)
{
	const char *text = argv[*i] + 2;
	const char *equal = strchr(text, '=');
	size_t length = equal ? (size_t)(equal - text) : strlen(text);
	enum cli_option which;
	if (option_find(text, length, &which) < 0)
		return err_set(err, "no option --%.*s: see sortie help", (int)length, text);
	const struct cli_option_row *row = &cli_options[which];
	if (in->options[which])
		return err_set(err, "--%s was given twice", row->name);
	if (!row->value) {
		if (equal)
			return err_set(err, "--%s takes no value", row->name);
		in->options[which] = "";
		return 0;
	}
	if (!equal && *i + 1 >= argc)
		return err_set(err, "--%s needs a value: %s", row->name, row->value);
	in->options[which] = equal ? equal + 1 : argv[++*i];
	return 0;
}

/* The longest command whose words the line begins with. *ret_words are used up by it. */
static const struct command *command_find(const char *const *words, size_t n, size_t *ret_words)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *name = commands[i].name;
		const char *space = strchr(name, ' ');
		size_t first = space ? (size_t)(space - name) : strlen(name);
		if (n < 1 || strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
			continue;
		if (space && (n < 2 || strcmp(words[1], space + 1) != 0))
			continue;
		*ret_words = space ? 2 : 1;
		return &commands[i];
	}
	return NULL;
}

/* "policy" alone, or with a word that is none of its commands: says which there are. */
static int no_command(const char *const *words, size_t n, struct err *err)
{
	char known[160] = "";
	size_t length = n > 0 ? strlen(words[0]) : 0;
	if (n == 0)
		return err_set(err, "no command: see sortie help");
	for (size_t i = 0; i < n_commands; i++) {
		const char *name = commands[i].name;
		if (strncmp(name, words[0], length) == 0 && name[length] == ' ')
			snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
				 known[0] ? ", " : "", name + length + 1);
	}
	if (known[0])
		return err_set(err, "%.32s needs one of: %s", words[0], known);
	return err_set(err, "no command \"%.32s\": see sortie help", words[0]);
}

static int check_options(const struct invocation *in, struct err *err)
{
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++) {
		const struct command *command = in->command;
		if (in->options[i] && !((command->options | OPTIONS_COMMON) & OPTION(i)))
			return err_set(err, "%s takes no --%s: see sortie help %s", command->name,
				       cli_options[i].name, command->name);
		if (!in->options[i] && (command->required & OPTION(i)))
			return err_set(err, "%s needs --%s %s", command->name, cli_options[i].name,
				       cli_options[i].value);
	}
	return 0;
}

static int find_command(struct invocation *in, const char *const *words, size_t n, struct err *err)
{
	size_t used = 0;
	in->command = command_find(words, n, &used);
	if (!in->command)
		return no_command(words, n, err);
	if (option(in, OPT_HELP))
		return 0;
	if (n - used < in->command->args_min || n - used > in->command->args_max)
		return err_set(err, "usage: sortie %s%s%s", in->command->name,
			       in->command->usage[0] ? " " : "", in->command->usage);
	for (size_t i = used; i < n; i++)
		in->args[in->n_args++] = words[i];
	return check_options(in, err);
}

int command_parse(int argc, char *const argv[], struct invocation *ret, struct err *err)
{
	struct invocation in = {0};
	const char *words[2 + CLI_ARGS_MAX];
	size_t n = 0;
	bool options = true;
	for (int i = 0; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (argc == 1 && strcmp(argv[i], "--version") == 0) {
			words[n++] = "version"; /* what everybody types first */
		} else if (options && strcmp(argv[i], "-h") == 0) {
			in.options[OPT_HELP] = "";
		} else if (options && strncmp(argv[i], "--", 2) == 0) {
			int r = parse_option(argc, argv, &i, &in, err);
			if (r < 0)
				return r;
		} else if (n == ARRAY_SIZE(words)) {
			return err_set(err, "too many arguments: see sortie help");
		} else {
			words[n++] = argv[i];
		}
	}
	if (n == 0 && option(&in, OPT_HELP))
		words[n++] = "help";
	int r = find_command(&in, words, n, err);
	if (r < 0)
		return r;
	*ret = in;
	return 0;
}

/* ---- help ---- */

static void print_options(FILE *to, uint64_t options)
{
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++) {
		char text[64];
		if (!(options & OPTION(i)))
			continue;
		snprintf(text, sizeof(text), "--%s%s%s", cli_options[i].name,
			 cli_options[i].value ? " " : "",
			 cli_options[i].value ? cli_options[i].value : "");
		fprintf(to, "  %-24s %s\n", text, cli_options[i].help);
	}
}

static void print_exit_codes(FILE *to)
{
	fputs("\nExit codes: 0 ok, 1 failed, 2 usage, 3 denied by policy, 4 not enrolled or expired,\n"
	      "5 control plane unreachable, 6 drift or finding, 7 policy tests failed.\n",
	      to);
}

void command_print_help(FILE *to, const struct command *command)
{
	if (command) {
		fprintf(to, "usage: sortie %s %s\n\n%s\n\n", command->name, command->usage,
			command->help);
		print_options(to, command->options | OPTIONS_COMMON);
		return;
	}
	fputs("usage: sortie COMMAND [OPTIONS]\n\n", to);
	for (size_t i = 0; i < n_commands; i++)
		fprintf(to, "  %-18s %s\n", commands[i].name, commands[i].help);
	fputs("\nWith every command:\n", to);
	print_options(to, OPTIONS_COMMON);
	print_exit_codes(to);
}

int command_help(const struct invocation *in)
{
	size_t used;
	if (in->n_args == 0) {
		command_print_help(stdout, NULL);
		return EXIT_OK;
	}
	const struct command *command = command_find(in->args, in->n_args, &used);
	struct err err = {0};
	if (!command || used != in->n_args) {
		no_command(in->args, in->n_args, &err);
		return cli_fail(in, EXIT_USAGE, "%s", err.text);
	}
	command_print_help(stdout, command);
	return EXIT_OK;
}

int command_version(const struct invocation *in)
{
	if (option(in, OPT_JSON))
		puts("{\"schema\": \"sortie.program/1\", \"version\": \"" SORTIE_VERSION "\"}");
	else
		puts("sortie " SORTIE_VERSION);
	return EXIT_OK;
}
