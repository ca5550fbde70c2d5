/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes outside the overlay, as lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/policy_helpers.h"

static void on_change(bool gained, const char *sentence, void *data)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "%c %s", gained ? '+' : '-', sentence);
	add_line(data, text);
}

#define V      "version: 1\n"
#define LOCKED "hosts: [{on: role=db, egress: locked}]\n"
#define NAMES                                                                                      \
	"egress: [{name: e, on: any, any: true, to: [192.0.2.53/32, \"2001:db8::53/128\"], allow: [udp/53]}]\n"
#define BASTION                                                                                    \
	"underlay: [{name: b, on: role=db, from: [192.0.2.0/24], allow: [tcp/22, tcp/80]}]\n"

static void test_lines(void **state)
{
	static const struct {
		const char *before, *after, *lines;
	} cases[] = {
		{V, V, ""},
		{V, V BASTION, "+ 192.0.2.0/24 -> s/db tcp/22\n+ 192.0.2.0/24 -> s/db tcp/80\n"},
		{V BASTION, V, "- 192.0.2.0/24 -> s/db tcp/22\n- 192.0.2.0/24 -> s/db tcp/80\n"},
		{V BASTION,
		 V "underlay: [{name: x, on: role=db, from: [192.0.2.0/24], allow: [tcp/22]},\n"
		   "           {name: y, on: s/db, from: [192.0.2.0/24], allow: [tcp/22]}]\n",
		 "- 192.0.2.0/24 -> s/db tcp/80\n"},
		/* entries without a lock open nothing */
		{V, V NAMES, ""},
		{V, V LOCKED NAMES,
		 "+ s/db -> 192.0.2.53/32 udp/53\n+ s/db -> 2001:db8::53/128 udp/53\n"
		 "- s/db -> anything outside\n"},
		{V LOCKED NAMES, V LOCKED,
		 "- s/db -> 192.0.2.53/32 udp/53\n- s/db -> 2001:db8::53/128 udp/53\n"},
		{V, V "hosts: [{on: role=web, mode: overlay, containers: true}]\n",
		 "+ anybody outside -> s/web (mode overlay)\n"
		 "+ containers of s/web -> the overlay, as it\n"},
		{V "hosts: [{on: role=web, mode: overlay}]\n",
		 V "hosts: [{on: role=web, mode: observe}]\n",
		 "+ anybody outside -> s/web (mode observe)\n"
		 "- anybody outside -> s/web (mode overlay)\n"},
	};
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory((const char *const[]){"s/db role=db", "s/web role=web"}, 2);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(policy_freep) struct policy *before = parse_policy(cases[i].before);
		_cleanup_(policy_freep) struct policy *after = parse_policy(cases[i].after);
		struct lines lines = {0};

		assert_int_equal(policy_diff_hosts(before, after, &inventory, on_change, &lines),
				 0);
		if (strcmp(lines.text, cases[i].lines) != 0)
			fail_msg("case %zu:\n%s", i, lines.text);
	}
}

static void test_from_nothing(void **state)
{
	_cleanup_(policy_freep) struct policy *after = parse_policy(V BASTION);
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory((const char *const[]){"s/db role=db"}, 1);
	struct lines lines = {0};

	assert_int_equal(policy_diff_hosts(NULL, after, &inventory, on_change, &lines), 0);
	assert_string_equal(lines.text,
			    "+ 192.0.2.0/24 -> s/db tcp/22\n+ 192.0.2.0/24 -> s/db tcp/80\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_from_nothing),
	};
	return cmocka_run_group_tests_name("policy_diff_hosts", tests, NULL, NULL);
}
