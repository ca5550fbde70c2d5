// SPDX-License-Identifier: GPL-2.0-or-later
/* Which endpoint of the hub is tried when: written as the letters of the endpoints, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/cleanup.h"
#include "daemon/choice.h"

/* a, b, c, d: both families, both ports. */
static const char *const texts[] = {"192.0.2.1:51820", "[2001:db8::1]:51820", "192.0.2.1:443",
				    "[2001:db8::1]:443"};
static const char *ways; /* to which of them there is a way */

static struct endpoint endpoint_of(char letter)
{
	struct endpoint ret;

	assert_int_equal(endpoint_parse(texts[letter - 'a'], &ret), 0);
	return ret;
}

static char letter_of(const struct endpoint *endpoint)
{
	static const char letters[] = "abcd";

	for (size_t i = 0; letters[i]; i++) {
		struct endpoint is = endpoint_of(letters[i]);

		if (endpoint_equal(endpoint, &is))
			return letters[i];
	}
	return '?';
}

static bool has_way(const struct endpoint *endpoint)
{
	return strchr(ways, letter_of(endpoint));
}

static void set(struct choice *choice, const char *letters)
{
	struct endpoint found[CHOICE_MAX];
	size_t n = strlen(letters);

	for (size_t i = 0; i < n; i++)
		found[i] = endpoint_of(letters[i]);
	choice_set(choice, found, n);
}

static void assert_list(const struct choice *choice, const char *letters)
{
	assert_int_equal(choice->n, strlen(letters));
	for (size_t i = 0; i < choice->n; i++)
		assert_int_equal(letter_of(&choice->list[i]), letters[i]);
}

static void assert_tries(struct choice *choice, const char *letters)
{
	for (; *letters; letters++) {
		choice_next(choice, has_way);
		assert_int_equal(letter_of(choice_now(choice)), *letters);
	}
}

static void test_order(void **unused)
{
	static const struct {
		const char *good, *ways, *tries;
	} cases[] = {
		{"", "abcd", "bcdabcda"}, /* never answered: all, in order */
		{"", "ac", "cacaca"},	  /* no IPv6 here */
		{"", "a", "aaaa"},
		{"", "", "aaaa"},
		{"", "bd", "bdbd"}, /* the first is of no use, either */
		{"a", "abcd",
		 "aabacadabaca"}, /* answered before: there, and another each second time */
		{"c", "abcd", "ccacbcdcacbc"},
		{"a", "ac", "aacacaca"},
		{"a", "bcd", "bcdbcd"}, /* no way to where it was: nothing to wait for */
		{"a", "a", "aaaaaa"},
		{"a", "", "aaaa"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct choice choice = {0};

		if (cases[i].good[0])
			choice.good = endpoint_of(cases[i].good[0]);
		ways = cases[i].ways;
		set(&choice, "abcd");
		assert_tries(&choice, cases[i].tries);
	}
}

static void test_one_and_none(void **unused)
{
	struct choice choice = {0};

	ways = "abcd";
	choice_next(&choice, has_way);
	assert_null(choice_now(&choice));
	assert_false(choice_answered(&choice));
	set(&choice, "");
	assert_null(choice_now(&choice));
	set(&choice, "b");
	assert_tries(&choice, "bbb");
	assert_true(choice_answered(&choice));
	assert_tries(&choice, "bbb");
}

/* Everybody moves when it answers, and not before; what answers goes on being the first choice. */
static void test_answered(void **unused)
{
	struct choice choice = {0};

	ways = "abcd";
	set(&choice, "abcd");
	assert_true(choice_answered(&choice));
	assert_false(choice_answered(&choice));
	assert_tries(&choice, "aabac");
	assert_list(&choice, "abcd");
	assert_true(choice_answered(&choice));
	assert_list(&choice, "cabd");
	assert_false(choice_answered(&choice));
	assert_tries(&choice, "ccacbcdc");
	/* back where it was: no news */
	assert_false(choice_answered(&choice));
	assert_list(&choice, "cabd");
	assert_tries(&choice, "cca");
	assert_true(choice_answered(&choice));
	assert_list(&choice, "acbd");
}

static void test_set(void **unused)
{
	struct choice choice = {.good = endpoint_of('c')};

	ways = "abcd";
	set(&choice, "abcd");
	assert_list(&choice, "cabd");
	set(&choice, "dcba"); /* the same */
	assert_list(&choice, "cabd");
	set(&choice, "");
	assert_list(&choice, "cabd");
	assert_tries(&choice, "cca");
	set(&choice, "abcd"); /* goes on where it was */
	assert_tries(&choice, "cb");
	set(&choice, "ab"); /* what was good is gone */
	assert_list(&choice, "ab");
	assert_tries(&choice, "baba");
	set(&choice, "dbc"); /* and is back */
	assert_list(&choice, "cdb");
	/* Adopted from the kernel by an agent that has not been told what was good. */
	choice = (struct choice){.list = {endpoint_of('d')}, .n = 1};
	set(&choice, "abcd");
	assert_list(&choice, "dabc");
	assert_tries(&choice, "abcd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_one_and_none),
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
