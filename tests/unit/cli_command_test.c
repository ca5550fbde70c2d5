/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of commands: every row can be parsed, explained and refused; and how values are shown. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "cli/command.h"
#include "cli/output.h"

#define WORDS_MAX 16

/* Splits at blanks; "" stands for an empty argument. */
static int split(char *line, char *argv[WORDS_MAX])
{
	int argc = 0;
	for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = strcmp(word, "\"\"") == 0 ? word + 2 : word;
	}
	return argc;
}

static int parse(const char *text, struct invocation *ret, struct err *err)
{
	static char line[256];
	char *argv[WORDS_MAX];
	snprintf(line, sizeof(line), "%s", text);
	memset(err, 0, sizeof(*err));
	return command_parse(split(line, argv), argv, ret, err);
}

static void test_good(void **state)
{
	static const struct {
		const char *line, *command, *first, *last;
	} cases[] = {
		{"status", "status", NULL, NULL},
		{"--json status", "status", NULL, NULL},
		{"--control /x status --socket /y", "status", NULL, NULL},
		{"status --check=ready", "status", NULL, NULL},
		{"can site-b/db tcp/5432", "can", "site-b/db", "tcp/5432"},
		{"can site-a/web site-b/db tcp/5432", "can", "site-a/web", "tcp/5432"},
		{"token create --name site-a/web --labels role=web,env=prod", "token create", NULL,
		 NULL},
		{"token --name site-a/web create", "token create", NULL, NULL},
		{"token create --name=site-a/web --labels=", "token create", NULL, NULL},
		{"identity revoke --wait site-a/web", "identity revoke", "site-a/web",
		 "site-a/web"},
		{"identity revoke -- --odd", "identity revoke", "--odd", "--odd"},
		{"policy apply p.yaml --key file:k", "policy apply", "p.yaml", "p.yaml"},
		{"flows --denied --follow --json", "flows", NULL, NULL},
		{"enroll --token file:web.token", "enroll", NULL, NULL},
		{"--help", "help", NULL, NULL},
		{"-h", "help", NULL, NULL},
		{"status -h", "status", NULL, NULL},
		{"--version", "version", NULL, NULL},
		{"identity revoke -- -h", "identity revoke", "-h", "-h"},
		{"policy apply --help", "policy apply", NULL, NULL},
		{"help policy apply", "help", "policy", "apply"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct invocation in;
		struct err err;
		if (parse(cases[i].line, &in, &err) < 0)
			fail_msg("%s: %s", cases[i].line, err.text);
		assert_string_equal(in.command->name, cases[i].command);
		assert_int_equal(in.n_args > 0, cases[i].first != NULL);
		if (cases[i].first) {
			assert_string_equal(in.args[0], cases[i].first);
			assert_string_equal(in.args[in.n_args - 1], cases[i].last);
		}
	}
}

static void test_values(void **state)
{
	struct invocation in;
	struct err err;
	assert_int_equal(parse("token create --name=a/b --labels \"\" --count 3 --json", &in, &err),
			 0);
	assert_string_equal(in.options[OPT_NAME], "a/b");
	assert_string_equal(in.options[OPT_LABELS], "");
	assert_string_equal(in.options[OPT_COUNT], "3");
	assert_string_equal(in.options[OPT_JSON], "");
	assert_null(in.options[OPT_OUT]);
}

static void test_bad(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"", "no command"},
		{"nothing", "no command \"nothing\""},
		{"policy", "policy needs one of: check, plan, apply, show, history"},
		{"policy sign", "policy needs one of"},
		{"token", "token needs one of: create, list, revoke"},
		{"status extra", "usage: sortie status"},
		{"can site-b/db", "usage: sortie can"},
		{"can a b c d", "usage: sortie can"},
		{"a b c d e f g", "too many arguments"},
		{"status --nothing", "no option --nothing"},
		{"status --wait", "status takes no --wait"},
		{"status --json --json", "--json was given twice"},
		{"status --json=1", "--json takes no value"},
		{"status --socket", "--socket needs a value"},
		{"enroll", "enroll needs --token file:PATH"},
		{"token create", "token create needs --name"},
		{"identity revoke", "usage: sortie identity revoke"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct invocation in;
		struct err err;
		if (parse(cases[i].line, &in, &err) != -EINVAL || !strstr(err.text, cases[i].says))
			fail_msg("\"%s\": %s", cases[i].line, err.text);
	}
}

/* Whatever stands in the table works: no two rows of one name, each can be asked for help. */
static void test_table(void **state)
{
	for (size_t i = 0; i < n_commands; i++) {
		char line[64];
		struct invocation in;
		struct err err;
		snprintf(line, sizeof(line), "%s --help", commands[i].name);
		assert_int_equal(parse(line, &in, &err), 0);
		assert_ptr_equal(in.command, &commands[i]);
		assert_non_null(commands[i].handler);
		assert_true(strlen(commands[i].help) > 0);
		assert_int_equal(commands[i].required & ~commands[i].options, 0);
		assert_in_range(commands[i].args_max, commands[i].args_min, CLI_ARGS_MAX);
	}
	for (enum cli_option i = 0; i < CLI_OPTIONS; i++) {
		assert_non_null(cli_options[i].name);
		assert_non_null(cli_options[i].help);
	}
}

static void test_help_is_complete(void **state)
{
	char text[8192] = "";
	FILE *file = fmemopen(text, sizeof(text), "w");
	assert_non_null(file);
	command_print_help(file, NULL);
	fclose(file);
	for (size_t i = 0; i < n_commands; i++)
		assert_non_null(strstr(text, commands[i].help));
}

static void test_distance(void **state)
{
	static const struct {
		int64_t at;
		const char *text;
	} cases[] = {
		{0, "never"},	     {1000000, "0s ago"},	  {999999, "1s ago"},
		{1000059, "in 59s"}, {1000119, "in 119s"},	  {1000120, "in 2m"},
		{1000900, "in 15m"}, {1000000 + 5400, "in 90m"},  {1000000 + 7200, "in 2h"},
		{827200, "2d ago"},  {1000000 + 86400, "in 24h"}, {1000000 + 30 * 86400, "in 30d"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[DISTANCE_TEXT_MAX];
		assert_string_equal(distance_format(cases[i].at, 1000000, text), cases[i].text);
	}
}

static void test_bytes(void **state)
{
	char text[BYTES_TEXT_MAX];
	assert_string_equal(bytes_format(0, text), "0 B");
	assert_string_equal(bytes_format(1023, text), "1023 B");
	assert_string_equal(bytes_format(1536, text), "1.5 KiB");
	assert_string_equal(bytes_format(UINT64_MAX, text), "16.0 EiB");
}

static void test_clean(void **state)
{
	char text[] = "a\x1b[31m\nb\x7f\xc2\x9b\xc3\xa9";
	assert_string_equal(clean(text), "a?[31m?b???\xc3\xa9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),  cmocka_unit_test(test_values),
		cmocka_unit_test(test_bad),   cmocka_unit_test(test_table),
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_help_is_complete),
		cmocka_unit_test(test_clean), cmocka_unit_test(test_distance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
