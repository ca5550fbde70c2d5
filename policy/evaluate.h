/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the evaluators share. */
#pragma once
#include "policy/policy.h"

static inline bool rule_expired(const struct policy_rule *rule, int64_t now)
{
	return rule->expires_at != 0 && rule->expires_at <= now;
}

/* An inventory sorted by name and by label, so that a selector looks only at members that may match. */
struct index {
	const struct policy_inventory *inventory;
	struct index_label *labels; /* by key, value */
	size_t n_labels;
	uint32_t *names; /* members by name */
};

int index_init(struct index *index, const struct policy_inventory *inventory);
void index_done(struct index *index);
/* Writes the members that the selector selects into members (room for all); returns how many. */
size_t index_select(const struct index *index, const struct policy_selector *selector,
		    uint32_t *members);
/* -1: unknown */
ssize_t index_find(const struct index *index, const char *name);
