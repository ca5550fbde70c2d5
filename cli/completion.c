/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * completion bash: a function made from the same rows that parse the command line. What a value looks like says how it
 * is completed: "live|ready" by these words, PATH and FILE by files, file:PATH by files behind "file:".
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
		printf("\t--%s) words='", cli_options[i].name);
		print_words(cli_options[i].value);
		puts("' ;;");
	}
	fputs("\t", stdout);
	print_pattern(is_secret);
	puts(") words=file: nospace=1 ;;");
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
	fputs("\t' ') words='", stdout);
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
		printf("\t'%.*s ') words='", (int)length, name);
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
		fputs(" words='", stdout);
		print_words(command->usage);
		putchar('\'');
	}
	puts(" ;;");
}

static const char start[] =
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"\tlocal first='' second='' words='' options='' files='' nospace='' value=''\n"
	"\tlocal -i i\n"
	"\tCOMPREPLY=()\n"
	"\t# bash splits at '=' and ':': --check=ready is three words, and so is file:PATH\n"
	"\tif [[ $cur == '=' ]]; then cur=''\n"
	"\telif [[ $cur == ':' ]]; then cur='' prev=:\n"
	"\telif [[ $prev == '=' ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tcase ${COMP_WORDS[i]} in\n";

static const char take_words[] =
	"\t\t--*) ;;\n"
	"\t\t=) value=1 ;;\n"
	"\t\t:) value=1 ;;\n"
	"\t\t*) if [[ $value ]]; then value=''; elif [[ ! $first ]]; then first=${COMP_WORDS[i]}\n"
	"\t\telif [[ ! $second ]]; then second=${COMP_WORDS[i]}; fi ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tcase $prev in\n"
	"\t:) files=1 ;;\n";

static const char middle[] = "\tesac\n"
			     "\tif [[ ! $words && ! $files ]]; then\n"
			     "\tcase \"$first $second\" in\n";

static const char end[] = "\t*) return ;;\n"
			  "\tesac\n"
			  "\t[[ $cur == -* ]] && words=$options$common files=''\n"
			  "\tfi\n"
			  "\tif [[ $files ]]; then\n"
			  "\t\tcompopt -o filenames 2>/dev/null\n"
			  "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
			  "\telse\n"
			  "\t\t[[ $nospace ]] && compopt -o nospace 2>/dev/null\n"
			  "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
			  "\tfi\n"
			  "}\n"
			  "complete -F _sortie sortie\n";

static bool takes_value(const char *value)
{
	return value != NULL;
}

static void print_bash(void)
{
	fputs("# Completion of sortie for bash. Made by `sortie completion bash`.\n"
	      "_sortie() {\n"
	      "\tlocal common='",
	      stdout);
	print_options(OPTIONS_COMMON);
	puts("'");
	fputs(start, stdout);
	fputs("\t\t", stdout);
	print_pattern(takes_value);
	puts(") value=1 ;;");
	fputs(take_words, stdout);
	print_option_values();
	fputs(middle, stdout);
	print_commands();
	print_second();
	for (size_t i = 0; i < n_commands; i++)
		print_command(&commands[i]);
	fputs(end, stdout);
}

int command_completion(const struct invocation *in)
{
	if (strcmp(in->args[0], "bash") != 0)
		return cli_fail(in, EXIT_USAGE, "there is a completion for bash only");
	print_bash();
	return EXIT_OK;
}
