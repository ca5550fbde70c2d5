/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operator's file. Beyond memory safety: a refusal says why; what is accepted travels, comes back in the same bytes,
 * and resolves to the same grants.
 */
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "policy/policy.h"

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static const char *const people[][2] = {
	{"site-a/web", "role=web,env=prod"},
	{"site-b/db", "role=db,env=prod"},
	{"s/w", "a=b"},
	{"a/b", ""},
};

static struct policy_inventory inventory(void)
{
	static struct policy_member members[ARRAY_SIZE(people)];

	for (size_t i = 0; i < ARRAY_SIZE(people); i++) {
		strcpy(members[i].name, people[i][0]);
		members[i].id.bytes[0] = (uint8_t)i;
		CHECK(labels_parse(people[i][1], &members[i].labels, NULL) == 0);
	}
	return (struct policy_inventory){members, ARRAY_SIZE(people)};
}

static void on_sentence(const char *sentence, void *data)
{
	CHECK(*sentence);
}

static void on_failure(const struct policy_test *test, const char *sentence, void *data)
{
	CHECK(*sentence);
}

/* Both policies allow the same. */
static void check_same(const struct policy *a, const struct policy *b)
{
	struct policy_inventory people_now = inventory();
	_cleanup_(freep) struct policy_change *changes = NULL;
	size_t n;
	int r = policy_diff(a, &people_now, b, &people_now, 1800000000, &changes, &n);

	CHECK(r == 0 ? n == 0 : r < 0);
	policy_lint(a, &people_now, 1800000000, on_sentence, NULL);
	(void)policy_run_tests(a, &people_now, 1800000000, on_failure, NULL);
}

static void check_travels(const struct policy *policy)
{
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};
	_cleanup_(policy_freep) struct policy *decoded = NULL;
	struct err err = {0};

	CHECK(policy_encode(policy, &encoded) == 0);
	CHECK(policy_decode(encoded.header, (const char *const *)encoded.leaves, encoded.n_leaves,
			    &decoded, &err) == 0);
	check_same(policy, decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;
	struct err err = {0};

	if (policy_parse((const char *)data, size, &policy, &err) == 0)
		check_travels(policy);
	else
		CHECK(!policy && *err.text);
	return 0;
}
