/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small policies and inventories from text, for the tests of policy/. Include after cmocka.h. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "policy/policy.h"

#define NOW 1800000000 /* 2027-01-15 */

static inline struct policy *parse_policy(const char *text)
{
	struct policy *policy = NULL;
	struct err err = {0};
	int r = policy_parse(text, strlen(text), &policy, &err);

	if (r < 0)
		fail_msg("%u:%u: %s in\n%s", err.line, err.column, err.text, text);
	return policy;
}

/* "site/name key=value,..." */
static inline struct policy_member parse_member(const char *text)
{
	struct policy_member member = {0};
	const char *space = strchr(text, ' ');
	size_t length = space ? (size_t)(space - text) : strlen(text);

	snprintf(member.name, sizeof(member.name), "%.*s", (int)length, text);
	member.id = id_of_public_key(
		(const uint8_t *)memcpy((uint8_t[32]){0}, member.name, length < 32 ? length : 32));
	if (space)
		assert_int_equal(labels_parse(space + 1, &member.labels, NULL), 0);
	return member;
}

static inline struct policy_inventory parse_inventory(const char *const *lines, size_t n)
{
	struct policy_member *members = calloc(n + 1, sizeof(*members));

	assert_non_null(members);
	for (size_t i = 0; i < n; i++)
		members[i] = parse_member(lines[i]);
	return (struct policy_inventory){members, n};
}

static inline void inventory_done(struct policy_inventory *inventory)
{
	free((void *)(uintptr_t)inventory->members);
}

static inline struct policy_port parse_port(const char *text)
{
	struct policy_port port;

	assert_int_equal(policy_port_parse(text, &port, NULL), 0);
	return port;
}

static inline bool same_port(const struct policy_port *a, const struct policy_port *b)
{
	return a->protocol == b->protocol && a->low == b->low && a->high == b->high;
}

/* Sentences given to a callback, one a line. */
struct lines {
	char text[8192];
	size_t n;
};

static inline void add_line(struct lines *lines, const char *sentence)
{
	size_t used = strlen(lines->text);

	snprintf(lines->text + used, sizeof(lines->text) - used, "%s\n", sentence);
	lines->n++;
}
