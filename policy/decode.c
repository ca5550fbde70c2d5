/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The signed JSON back to policy, through the readers of the language. Whatever is accepted must be what policy_encode()
 * writes: a second spelling of a rule (a number as text, an unsorted port list) is refused, so that no two programs can
 * read one signed text differently.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "policy/sections.h"

/* Selectors, ports and counts are bounded, so these hold for everything that policy_encode() makes of a parsed policy. */
#define LEAF_MAX   (64 * 1024)
#define HEADER_MAX (8 * 1024 * 1024)

static int read_header(struct reader *reader, const char *header)
{
	_cleanup_(node_done) struct node node = {0};
	int r = node_from_json(header, HEADER_MAX, &node, reader->err);

	return r < 0 ? r : sections_read_header(reader, &node);
}

static int read_leaf(struct reader *reader, const char *leaf, struct policy_rule *rule)
{
	_cleanup_(node_done) struct node node = {0};
	int r = node_from_json(leaf, LEAF_MAX, &node, reader->err);

	return r < 0 ? r : section_rule(reader, &node, rule);
}

static int read_leaves(struct reader *reader, const char *const *leaves, size_t n)
{
	struct policy *policy = reader->policy;
	int r = 0;

	if (n > POLICY_RULES_MAX)
		return err_code(reader->err, -EFBIG, "%zu rules: at most %d", n, POLICY_RULES_MAX);
	policy->rules = calloc(n + 1, sizeof(*policy->rules));
	if (!policy->rules)
		return err_code(reader->err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < n; i++) {
		policy->n_rules = i + 1; /* first, so that a half-read rule is released */
		r = read_leaf(reader, leaves[i], &policy->rules[i]);
	}
	return r;
}

/* Members may stand in another order or with other spaces: whoever embeds the header may write it anew. */
static bool same_json(const char *left, const char *right)
{
	json_t *a = json_loads(left, 0, NULL);
	json_t *b = json_loads(right, 0, NULL);
	bool same = a && b && json_equal(a, b);

	json_decref(a);
	json_decref(b);
	return same;
}

static int check_canonical(struct reader *reader, const char *header, const char *const *leaves)
{
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};

	if (policy_encode(reader->policy, &encoded) < 0)
		return err_code(reader->err, -ENOMEM, "out of memory");
	if (!same_json(header, encoded.header))
		return err_set(reader->err,
			       "the policy header is not in its one form: encode it anew");
	for (size_t i = 0; i < encoded.n_leaves; i++)
		if (strcmp(leaves[i], encoded.leaves[i]) != 0)
			return err_set(reader->err,
				       "rule %zu is not in its one form: encode it anew", i);
	return 0;
}

int policy_decode(const char *header, const char *const *leaves, size_t n_leaves,
		  struct policy **ret, struct err *err)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_(reader_done) struct reader reader = {.policy = policy, .err = err};
	int r;

	if (!policy)
		return err_code(err, -ENOMEM, "out of memory");
	r = read_header(&reader, header);
	if (r == 0)
		r = read_leaves(&reader, leaves, n_leaves);
	if (r == 0)
		r = check_names(&reader);
	if (r == 0)
		r = check_canonical(&reader, header, leaves);
	if (r < 0)
		return r;
	*ret = take_pointer(policy);
	return 0;
}
