/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pairs of a whole inventory, made at once or one by one, are those that policy_paired() names couple by couple. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "control-plane/inventory.h"

#define NOW	INT64_C(1800000000)
#define MEMBERS 150 /* more than two words of bits */

static const char text[] =
	"version: 1\n"
	"resources:\n"
	"  - {name: lan, via: s/w4, cidr: 192.168.7.0/24}\n"
	"rules:\n"
	"  - {name: one, from: s/w1, to: s/w149, allow: [tcp/1]}\n"
	"  - {name: self, from: s/w2, to: s/w2, allow: [tcp/1]}\n"
	"  - {name: back, from: 'role=r1', to: s/w63, allow: [tcp/1]}\n"
	"  - {name: there, from: s/w63, to: 'role=r1', allow: [tcp/2]}\n"
	"  - {name: not, from: 'role!=r1,env=e1', to: 'role=r3', allow: [udp/1]}\n"
	"  - {name: in, from: 'role in (r4,r5)', to: 'role in (r5,r6),env=e0', allow: [icmp]}\n"
	"  - {name: notin, from: 'role notin (r0,r1,r2,r3,r4,r5,r6)', to: 'env=e1', allow: [tcp/1]}\n"
	"  - {name: all, from: s/w64, to: any, any: true, allow: [tcp/1]}\n"
	"  - {name: nobody, from: s/unknown, to: any, any: true, allow: [tcp/1]}\n"
	"  - {name: over, from: 'role=r0', to: 'role=r0', allow: [tcp/1], expires: 2020-01-01}\n"
	"  - {name: lan, from: 'role=r2', to: 'resource:lan', allow: [tcp/1]}\n";

static struct member members[MEMBERS];
static struct member *order[MEMBERS];
static struct inventory inventory;

static void label(struct member *member, const char *key, char letter, size_t number)
{
	char value[16];

	snprintf(value, sizeof(value), "%c%zu", letter, number);
	assert_int_equal(labels_add(&member->policy.labels, key, value, NULL), 0);
}

static int start(void **state)
{
	memset(members, 0, sizeof(members));
	for (size_t i = 0; i < MEMBERS; i++) {
		struct member *member = order[i] = &members[i];

		snprintf(member->policy.name, sizeof(member->policy.name), "s/w%zu", i);
		member->policy.id.bytes[0] = (uint8_t)(i + 1);
		if (i % 9 != 8)
			label(member, "role", 'r', i % 9);
		if (i % 5 != 4)
			label(member, "env", 'e', i % 2);
	}
	inventory = (struct inventory){.members = order, .n = MEMBERS};
	return 0;
}

static int stop(void **state)
{
	for (size_t i = 0; i < MEMBERS; i++)
		free(members[i].peers);
	return 0;
}

/* Returns how many couples there are. */
static size_t assert_as_policy_says(const struct policy *policy)
{
	size_t couples = 0, listed = 0;

	for (size_t i = 0; i < MEMBERS; i++) {
		listed += members[i].n_peers;
		for (size_t j = 0; j < MEMBERS; j++) {
			bool paired =
				policy_paired(policy, &members[i].policy, &members[j].policy, NOW);

			if (member_paired(&members[i], &members[j]) != paired)
				fail_msg("%zu and %zu: %d", i, j, paired);
			couples += paired && i < j;
		}
	}
	assert_int_equal(listed, 2 * couples); /* nobody stands in a list twice */
	return couples;
}

static struct policy *parse(void)
{
	struct policy *policy = NULL;
	struct err err = {0};

	if (policy_parse(text, strlen(text), &policy, &err) < 0)
		fail_msg("%u: %s", err.line, err.text);
	return policy;
}

static void test_all(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse();
	size_t couples;

	assert_int_equal(inventory_pair_all(&inventory, policy, NOW), 0);
	couples = assert_as_policy_says(policy);
	assert_true(couples > 500 && couples < MEMBERS * (MEMBERS - 1) / 2);
	assert_int_equal(inventory_pair_all(&inventory, policy, NOW), 0); /* the same again */
	assert_int_equal(assert_as_policy_says(policy), couples);
	assert_int_equal(inventory_pair_all(&inventory, NULL, NOW), 0);
	for (size_t i = 0; i < MEMBERS; i++)
		assert_int_equal(members[i].n_peers, 0);
}

static void test_one_by_one(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse();

	for (size_t i = 0; i < MEMBERS; i++)
		assert_int_equal(inventory_pair_one(&inventory, order[i], policy, NOW), 0);
	assert_as_policy_says(policy);
	/* other labels, other peers: both sides know */
	members[7].policy.labels.count = 0;
	assert_int_equal(inventory_pair_one(&inventory, &members[7], policy, NOW), 0);
	assert_as_policy_says(policy);
	assert_int_equal(inventory_pair_one(&inventory, &members[7], NULL, NOW), 0);
	assert_int_equal(members[7].n_peers, 0);
	assert_false(member_paired(&members[64], &members[7]));
}

static void test_nobody(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse();
	struct inventory empty = {0};

	assert_int_equal(inventory_pair_all(&empty, policy, NOW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all, start, stop),
		cmocka_unit_test_setup_teardown(test_one_by_one, start, stop),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
