/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The signed JSON: the first line is the header, each further line a leaf. What is accepted encodes to the same leaves. */
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "policy/policy.h"

#define LEAVES_MAX 64
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

static void check_encoding(const struct policy *policy, char *const *leaves, size_t n)
{
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};
	_cleanup_(policy_freep) struct policy *again = NULL;

	CHECK(policy_encode(policy, &encoded) == 0);
	CHECK(encoded.n_leaves == n);
	for (size_t i = 0; i < n; i++)
		CHECK(strcmp(encoded.leaves[i], leaves[i]) == 0);
	CHECK(policy_decode(encoded.header, (const char *const *)encoded.leaves, n, &again, NULL) ==
	      0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	char *lines[LEAVES_MAX + 1];
	struct err err = {0};
	char *rest = text;
	size_t n = 0;

	CHECK(text);
	while (rest && n < LEAVES_MAX + 1)
		lines[n++] = strsep(&rest, "\n");
	if (n > 1 && !*lines[n - 1])
		n--; /* the newline at the end of the file */
	if (policy_decode(lines[0], (const char *const *)lines + 1, n - 1, &policy, &err) == 0)
		check_encoding(policy, lines + 1, n - 1);
	else
		CHECK(!policy && *err.text);
	return 0;
}
