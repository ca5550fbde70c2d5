/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two states, one difference: a merge of two sorted lists. Pure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/expr.h"
#include "firewall/state.h"
#include "firewall/text.h"

void state_done(struct state *state)
{
	for (size_t i = 0; i < N_CHAINS; i++)
		free(state->chains[i]);
	elements_done(&state->elements);
	*state = (struct state){0};
}

int state_add_rule(char **chain, const char *text)
{
	char *joined;

	if (asprintf(&joined, "%s%s", *chain, text) < 0)
		return -ENOMEM;
	free(*chain);
	*chain = joined;
	return 0;
}

void delta_done(struct delta *delta)
{
	elements_done(&delta->added);
	elements_done(&delta->removed);
	elements_done(&delta->refreshed);
}

/* ---- the desired state ---- */

static int on_rule(struct nftnl_rule *rule, void *data)
{
	_cleanup_(freep) char *text = NULL;
	int r = text_of_rule(rule, &text);

	return r < 0 ? r : state_add_rule(data, text);
}

static int add_rows(const struct fw_desired *desired, const struct rule_row *rows, size_t n,
		    struct state *state)
{
	uint16_t when = layout_when(desired);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if ((rows[i].when & when) == rows[i].when)
			r = expr_rules(&rows[i], desired, on_rule, &state->chains[rows[i].chain]);
	return r;
}

static int fill(const struct fw_desired *desired, struct state *state)
{
	const struct rule_row *rows;
	size_t n;
	int r;

	for (size_t i = 0; i < N_CHAINS; i++) {
		state->chains[i] = strdup("");
		if (!state->chains[i])
			return -ENOMEM;
	}
	rows = desired->role == FW_ROLE_HUB ? layout_hub(&n) : layout_workload(&n);
	r = add_rows(desired, rows, n, state);
	if (r == 0) {
		rows = layout_common(&n);
		r = add_rows(desired, rows, n, state);
	}
	return r == 0 ? elements_of(desired, &state->elements) : r;
}

int state_of(const struct fw_desired *desired, int64_t now_ms, struct state *ret)
{
	struct state state = {.exists = true, .complete = true};
	int r = fill(desired, &state);

	if (r < 0) {
		state_done(&state);
		return r;
	}
	elements_stamp(&state.elements, now_ms);
	*ret = state;
	return 0;
}

/* ---- the difference ---- */

static int64_t distance(int64_t a, int64_t b)
{
	return a < b ? b - a : a - b;
}

static bool same_end(const struct element *a, const struct element *b)
{
	return !a->expires_ms == !b->expires_ms &&
	       distance(a->expires_ms, b->expires_ms) <= LEASE_SLACK_MS;
}

/* The same key on both sides. */
static int changed(const struct element *actual, const struct element *desired, struct delta *delta)
{
	int r;

	if (set_rows[desired->set / 2].map && actual->data != desired->data) {
		r = elements_add(&delta->removed, actual);
		return r < 0 ? r : elements_add(&delta->added, desired);
	}
	if (!same_end(actual, desired))
		return elements_add(&delta->refreshed, desired);
	return 0;
}

int delta_of_elements(const struct elements *actual, const struct elements *desired, int64_t now_ms,
		      struct delta *delta)
{
	size_t a = 0, d = 0;
	int r = 0;

	while (r == 0 && (a < actual->n || d < desired->n)) {
		const struct element *old = a < actual->n ? &actual->items[a] : NULL;
		const struct element *new = d < desired->n ? &desired->items[d] : NULL;
		int order = !old ? 1 : !new ? -1 : element_compare(old, new);

		if (old && old->expires_ms && old->expires_ms <= now_ms) {
			a++; /* gone by itself */
		} else if (order < 0) {
			r = elements_add(&delta->removed, old);
			a++;
		} else if (order > 0) {
			r = elements_add(&delta->added, new);
			d++;
		} else {
			r = changed(old, new, delta);
			a++;
			d++;
		}
	}
	return r;
}

int delta_of(const struct state *actual, const struct state *desired, int64_t now_ms,
	     struct delta *ret)
{
	struct delta delta = {.create = !actual->exists || !actual->complete};
	int r = delta_of_elements(&actual->elements, &desired->elements, now_ms, &delta);

	if (r < 0) {
		delta_done(&delta);
		return r;
	}
	for (size_t i = 0; i < N_CHAINS; i++)
		delta.rewrite[i] =
			!actual->chains[i] || strcmp(actual->chains[i], desired->chains[i]) != 0;
	*ret = delta;
	return 0;
}

void elements_keep_ends(const struct elements *actual, struct elements *desired)
{
	size_t a = 0;

	for (size_t i = 0; i < desired->n; i++) {
		struct element *item = &desired->items[i];
		const struct element *old;

		while (a < actual->n && element_compare(&actual->items[a], item) < 0)
			a++;
		if (a == actual->n)
			return;
		old = &actual->items[a];
		if (element_compare(old, item) == 0 && same_end(old, item))
			item->expires_ms = old->expires_ms;
	}
}

void state_keep_ends(const struct state *actual, struct state *desired)
{
	elements_keep_ends(&actual->elements, &desired->elements);
}

bool delta_differs(const struct delta *delta)
{
	const struct fw_plan plan = delta_plan(delta);

	return plan.elements_added || plan.elements_removed || plan.chains_rewritten;
}

struct fw_plan delta_plan(const struct delta *delta)
{
	struct fw_plan plan = {.create = delta->create,
			       .elements_added = delta->added.n,
			       .elements_removed = delta->removed.n,
			       .leases_refreshed = delta->refreshed.n};

	for (size_t i = 0; i < N_CHAINS; i++)
		plan.chains_rewritten += delta->rewrite[i];
	return plan;
}
