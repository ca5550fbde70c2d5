/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * completion bash, zsh, fish: made from the same rows that parse the command line. What a value looks like says how it
 * is completed: "live|ready" by these words, PATH and FILE by files, file:PATH by files behind "file:".
 *
 * bash and zsh read one function: a loop over the words in front of the cursor and two `case`s made from the rows; only
 * what stands around these differs. fish wants a line a word and a line an option.
 */
#include <stdio.h>
#include <string.h>
#include "cli/command.h"

/* The first word of a command's usage, where it offers some. */
static bool offers_words(const char *usage)
{
	size_t length = strcspn(usage, " ");
	return length > 0 && strspn(usage, "abcdefghijklmnopqrstuvwxyz|") == length;
}

static bool is_choice(const char *value)
{
	return value && strchr(value, '|') &&
	       strspn(value, "abcdefghijklmnopqrstuvwxyz|") == strlen(value);
}

static bool is_file(const char *value)
{
	return value && (strcmp(value, "PATH") == 0 || strcmp(value, "FILE") == 0);
}

static bool is_secret(const char *value)
{
	return value && strcmp(value, "file:PATH") == 0;
}

static bool is_anything(const char *value)
{
	return value && !is_choice(value) && !is_file(value) && !is_secret(value);
}

/* "--a|--b" of all options whose value is of a kind; "" for none is no pattern, so there is always one. */
static void print_pattern(bool (*kind)(const char *value))
{
	const char *separator = "";
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++) {
		if (!kind(cli_options[i].value))
			continue;
		printf("%s--%s", separator, cli_options[i].name);
		separator = "|";
	}
}

static void print_words(const char *choice)
{
	for (const char *c = choice; *c && *c != ' '; c++)
		putchar(*c == '|' ? ' ' : *c);
}

static void print_option_values(void)
{
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++) {
		if (!is_choice(cli_options[i].value))
			continue;
		printf("\t--%s) offer='", cli_options[i].name);
		print_words(cli_options[i].value);
		puts("' ;;");
	}
	fputs("\t", stdout);
	print_pattern(is_secret);
	puts(") offer=file: nospace=1 ;;");
	fputs("\t", stdout);
	print_pattern(is_file);
	puts(") files=1 ;;");
	fputs("\t", stdout);
	print_pattern(is_anything);
	puts(") return ;;");
}

static size_t first_length(const char *name)
{
	return strcspn(name, " ");
}

/* The words that may stand first, or behind one that is no command by itself. Rows of one word stand together. */
static void print_commands(void)
{
	const char *last = "";
	fputs("\t' ') offer='", stdout);
	for (size_t i = 0; i < n_commands; i++) {
		int length = (int)first_length(commands[i].name);
		if (strncmp(last, commands[i].name, (size_t)length + 1) != 0)
			printf("%s%.*s", i ? " " : "", length, commands[i].name);
		last = commands[i].name[length] ? commands[i].name : "";
	}
	puts("' ;;");
}

static void print_second(void)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *name = commands[i].name;
		size_t length = first_length(name);
		if (!name[length] ||
		    (i > 0 && strncmp(commands[i - 1].name, name, length + 1) == 0))
			continue;
		printf("\t'%.*s ') offer='", (int)length, name);
		for (size_t j = i; j < n_commands; j++)
			if (strncmp(commands[j].name, name, length + 1) == 0)
				printf("%s%s", j > i ? " " : "", commands[j].name + length + 1);
		puts("' ;;");
	}
}

static void print_options(uint64_t options)
{
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++)
		if (options & OPTION(i))
			printf("--%s ", cli_options[i].name);
}

/* 'token create'*) or 'status '*): its options, and what its first argument is. */
static void print_command(const struct command *command)
{
	printf("\t'%s%s'*) options='", command->name, strchr(command->name, ' ') ? "" : " ");
	print_options(command->options);
	putchar('\'');
	if (is_file(command->usage)) {
		fputs(" files=1", stdout);
	} else if (offers_words(command->usage)) {
		fputs(" offer='", stdout);
		print_words(command->usage);
		putchar('\'');
	}
	puts(" ;;");
}

/* ---- bash and zsh ---- */

struct shell {
	const char *head, *start, *take, *middle, *end;
};

static const char bash_start[] =
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal first='' second='' offer='' options='' files='' nospace='' value=''\n"
	"\tlocal -i i\n"
	"\tCOMPREPLY=()\n"
	"\t# bash splits at '=' and ':': --check=ready is three words, and so is file:PATH\n"
	"\tif [[ $cur == '=' ]]; then cur=''\n"
	"\telif [[ $cur == ':' ]]; then cur='' prev=:\n"
	"\telif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tcase ${COMP_WORDS[i]} in\n";

static const char bash_take[] =
	"\t\t--*) ;;\n"
	"\t\t=) value=1 ;;\n"
	"\t\t:) value=1 ;;\n"
	"\t\t*) if [[ $value ]]; then value=''; elif [[ ! $first ]]; then first=${COMP_WORDS[i]}\n"
	"\t\telif [[ ! $second ]]; then second=${COMP_WORDS[i]}; fi ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $prev in\n"
	"\t:) files=1 ;;\n";

static const char bash_middle[] = "\tesac\n"
				  "\tif [[ ! $offer && ! $files ]]; then\n"
				  "\tcase \"$first $second\" in\n";

static const char bash_end[] = "\t*) return ;;\n"
			       "\tesac\n"
			       "\t[[ $cur == -* ]] && offer=$options$common files=''\n"
			       "\tfi\n"
			       "\tif [[ $files ]]; then\n"
			       "\t\tcompopt -o filenames 2>/dev/null\n"
			       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
			       "\telse\n"
			       "\t\t[[ $nospace ]] && compopt -o nospace 2>/dev/null\n"
			       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$offer\" -- \"$cur\")\n"
			       "\tfi\n"
			       "}\n"
			       "complete -F _sortie sortie\n";

/* zsh leaves --check=ready and file:PATH whole: what is in front of the value is taken off by compset. */
static const char zsh_start[] =
	"\tlocal cur=${words[CURRENT]} prev='' first='' second='' offer='' options='' files='' nospace='' value=''\n"
	"\tlocal -i i\n"
	"\tfor ((i = 2; i < CURRENT; i++)); do\n"
	"\t\tif [[ -n $value ]]; then value=''; continue; fi\n"
	"\t\tcase ${words[i]} in\n";

static const char zsh_take[] =
	"\t\t--*) ;;\n"
	"\t\t*) if [[ -z $first ]]; then first=${words[i]}; elif [[ -z $second ]]; then second=${words[i]}; fi ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tif [[ -n $value ]]; then prev=${words[CURRENT - 1]}\n"
	"\telif [[ $cur == --*=* ]]; then prev=${cur%%=*} cur=${cur#*=}; compset -P '*='; fi\n"
	"\tcase $prev in\n";

static const char zsh_middle[] = "\tesac\n"
				 "\tif [[ -z $offer && -z $files ]]; then\n"
				 "\tcase \"$first $second\" in\n";

static const char zsh_end[] =
	"\t*) return ;;\n"
	"\tesac\n"
	"\t[[ $cur == -* ]] && offer=$options$common files=''\n"
	"\tfi\n"
	"\tif [[ -n $nospace && $cur == file:* ]]; then compset -P 'file:'; files=1; fi\n"
	"\tif [[ -n $files ]]; then _files\n"
	"\telif [[ -n $nospace ]]; then compadd -S '' -- ${=offer}\n"
	"\telse compadd -- ${=offer}; fi\n"
	"}\n"
	"if [[ $funcstack[1] == _sortie ]]; then _sortie \"$@\"; else compdef _sortie sortie; fi\n";

static const struct shell bash = {
	"# Completion of sortie for bash. Made by `sortie completion bash`.\n",
	bash_start,
	bash_take,
	bash_middle,
	bash_end,
};
static const struct shell zsh = {
	"#compdef sortie\n# Completion of sortie for zsh. Made by `sortie completion zsh`.\n",
	zsh_start,
	zsh_take,
	zsh_middle,
	zsh_end,
};

static bool takes_value(const char *value)
{
	return value != NULL;
}

static void print_function(const struct shell *shell)
{
	printf("%s_sortie() {\n\tlocal common='", shell->head);
	print_options(OPTIONS_COMMON);
	printf("'\n%s\t\t", shell->start);
	print_pattern(takes_value);
	printf(") value=1 ;;\n%s", shell->take);
	print_option_values();
	fputs(shell->middle, stdout);
	print_commands();
	print_second();
	for (size_t i = 0; i < n_commands; i++)
		print_command(&commands[i]);
	fputs(shell->end, stdout);
}

static void print_bash(void)
{
	print_function(&bash);
}

static void print_zsh(void)
{
	print_function(&zsh);
}

/* ---- fish ---- */

static const char fish_head[] =
	"# Completion of sortie for fish. Made by `sortie completion fish`.\n"
	"# The words in front of the cursor that are neither options nor their values.\n"
	"function __sortie_words\n"
	"\tset -l value ''\n"
	"\tfor word in (commandline -opc)[2..]\n"
	"\t\tif test -n \"$value\"\n"
	"\t\t\tset value ''\n"
	"\t\t\tcontinue\n"
	"\t\tend\n"
	"\t\tswitch $word\n"
	"\t\t\tcase";

static const char fish_functions[] =
	"\n"
	"\t\t\t\tset value 1\n"
	"\t\t\tcase '--*'\n"
	"\t\t\tcase '*'\n"
	"\t\t\t\techo $word\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"function __sortie_at\n" /* nothing but these words */
	"\ttest (string join ' ' (__sortie_words) '') = \"$argv \" -o -z \"$argv\" -a (count (__sortie_words)) = 0\n"
	"end\n"
	"function __sortie_in\n" /* these words first */
	"\tstring match -q -- \"$argv *\" (string join ' ' (__sortie_words) '')\n"
	"end\n"
	"function __sortie_secret\n"
	"\tset -l path (commandline -ct | string replace -r '^--[a-z-]+=' '')\n"
	"\tif string match -q 'file:*' -- $path\n"
	"\t\tfor file in (__fish_complete_path (string sub -s 6 -- $path))\n"
	"\t\t\techo file:$file\n"
	"\t\tend\n"
	"\telse\n"
	"\t\techo file:\n"
	"\tend\n"
	"end\n"
	"complete -c sortie -f\n";

/* In single quotes; fish ends them by \', which no text of ours has a reason for. */
static void print_quoted(const char *text)
{
	putchar('\'');
	for (const char *c = text; *c; c++)
		printf(*c == '\'' || *c == '\\' ? "\\%c" : "%c", *c);
	putchar('\'');
}

static void print_fish_option(const char *command, enum cli_option which)
{
	const struct cli_option_row *row = &cli_options[which];
	fputs("complete -c sortie", stdout);
	if (command)
		printf(" -n '__sortie_in %s'", command);
	printf(" -l %s", row->name);
	if (is_choice(row->value)) {
		fputs(" -x -a '", stdout);
		print_words(row->value);
		putchar('\'');
	} else if (is_secret(row->value)) {
		fputs(" -x -a '(__sortie_secret)'", stdout);
	} else if (is_file(row->value)) {
		fputs(" -r -F", stdout);
	} else if (row->value) {
		fputs(" -x", stdout);
	}
	fputs(" -d ", stdout);
	print_quoted(row->help);
	putchar('\n');
}

static void print_fish_word(const char *behind, const char *word, int length, const char *help)
{
	printf("complete -c sortie -n '__sortie_at%s%s' -a '%.*s'", *behind ? " " : "", behind,
	       length, word);
	if (help) {
		fputs(" -d ", stdout);
		print_quoted(help);
	}
	putchar('\n');
}

static void print_fish_command(const struct command *command, const char *before)
{
	size_t length = first_length(command->name);
	char first[32];
	if (!command->name[length]) {
		print_fish_word("", command->name, (int)length, command->help);
	} else {
		snprintf(first, sizeof(first), "%.*s", (int)length, command->name);
		if (strncmp(before, command->name, length + 1) != 0)
			print_fish_word("", first, (int)length, NULL);
		print_fish_word(first, command->name + length + 1, (int)strlen(command->name),
				command->help);
	}
	if (is_file(command->usage)) {
		printf("complete -c sortie -n '__sortie_at %s' -F\n", command->name);
	} else if (offers_words(command->usage)) {
		printf("complete -c sortie -n '__sortie_at %s' -a '", command->name);
		print_words(command->usage);
		puts("'");
	}
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++)
		if (command->options & OPTION(i))
			print_fish_option(command->name, i);
}

static void print_fish(void)
{
	fputs(fish_head, stdout);
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++)
		if (cli_options[i].value)
			printf(" --%s", cli_options[i].name);
	fputs(fish_functions, stdout);
	for (size_t i = 0; i < n_commands; i++)
		print_fish_command(&commands[i], i ? commands[i - 1].name : "");
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++)
		if (OPTIONS_COMMON & OPTION(i))
			print_fish_option(NULL, i);
}

static const struct shell_row {
	const char *name;
	void (*print)(void);
} shell_rows[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};

int command_completion(const struct invocation *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(shell_rows); i++) {
		if (strcmp(in->args[0], shell_rows[i].name) != 0)
			continue;
		shell_rows[i].print();
		return EXIT_OK;
	}
	return cli_fail(in, EXIT_USAGE,
			"there are completions for bash, zsh and fish, not for \"%s\"",
			in->args[0]);
}
