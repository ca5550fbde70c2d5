/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every example of docs/policy.md is a policy, survives its distribution, and the first does what its text says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "common/file.h"
#include "tests/unit/policy_helpers.h"

static char *read_docs(void)
{
	char *text;
	size_t length;

	assert_int_equal(file_read("docs/policy.md", 1 << 20, &text, &length), 0);
	return text;
}

/* The next block between ```yaml and ```; *rest moves behind it. NULL: none left. */
static char *next_example(char **rest)
{
	char *start = strstr(*rest, "```yaml\n");
	char *end;

	if (!start)
		return NULL;
	start += strlen("```yaml\n");
	end = strstr(start, "```");
	assert_non_null(end);
	*end = '\0';
	*rest = end + 1;
	return start;
}

static void check_travels(const struct policy *policy)
{
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};
	_cleanup_(policy_freep) struct policy *decoded = NULL;
	struct err err = {0};

	assert_int_equal(policy_encode(policy, &encoded), 0);
	if (policy_decode(encoded.header, (const char *const *)encoded.leaves, encoded.n_leaves,
			  &decoded, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_examples(void **state)
{
	_cleanup_(freep) char *text = read_docs();
	char *rest = text;
	char *example;
	size_t n = 0;

	while ((example = next_example(&rest))) {
		_cleanup_(policy_freep) struct policy *policy = parse_policy(example);
		check_travels(policy);
		n++;
	}
	assert_int_equal(n, 6);
}

static void on_failure(const struct policy_test *test, const char *sentence, void *data)
{
	add_line(data, sentence);
}

/* The example's own tests hold for the identities it talks about, and not without them. */
static void test_first_example(void **state)
{
	_cleanup_(freep) char *text = read_docs();
	char *rest = text;
	_cleanup_(policy_freep) struct policy *policy = parse_policy(next_example(&rest));
	_cleanup_(inventory_done) struct policy_inventory inventory = parse_inventory(
		(const char *const[]){"site-a/web role=web,env=prod", "site-b/db role=db,env=prod"},
		2);
	struct lines lines = {0};

	assert_int_equal(policy_run_tests(policy, &inventory, NOW, on_failure, &lines), 0);
	inventory.n = 1;
	assert_int_equal(policy_run_tests(policy, &inventory, NOW, on_failure, &lines), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_first_example),
	};
	return cmocka_run_group_tests_name("policy_docs", tests, NULL, NULL);
}
