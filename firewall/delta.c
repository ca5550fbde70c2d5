/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two states, one difference: a merge of two sorted lists. Pure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/state.h"

void state_done(struct state *state)
{
	for (size_t i = 0; i < N_CHAINS; i++)
		free(state->chains[i]);
	rules_done(&state->rules);
	elements_done(&state->elements);
	*state = (struct state){0};
}

void delta_done(struct delta *delta)
{
	elements_done(&delta->added);
	elements_done(&delta->removed);
	elements_done(&delta->refreshed);
}

int state_texts(struct state *state)
{
	if (!state->rules.n || state->chains[0])
		return 0;
	return rules_texts(&state->rules, state->chains);
}

void state_drop_texts(struct state *state)
{
	for (size_t i = 0; state->rules.n && i < N_CHAINS; i++) {
		free(state->chains[i]);
		state->chains[i] = NULL;
	}
}

/* ---- the desired state ---- */

int state_of(const struct fw_desired *desired, int64_t now_ms, struct state *ret)
{
	struct state state = {.exists = true, .complete = true};
	int r = rules_of(desired, &state.rules);

	if (r == 0)
		r = elements_of(desired, &state.elements);
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

/* Texts only where one side was read: making them costs as much as a small table's elements. */
static int delta_of_chains(struct state *actual, struct state *desired, struct delta *delta)
{
	int r;

	if (rules_equal(&actual->rules, &desired->rules))
		return 0;
	if (!actual->exists) {
		for (size_t i = 0; i < N_CHAINS; i++)
			delta->rewrite[i] = true;
		return 0;
	}
	r = state_texts(actual);
	if (r == 0)
		r = state_texts(desired);
	for (size_t i = 0; r == 0 && i < N_CHAINS; i++)
		delta->rewrite[i] =
			!actual->chains[i] || strcmp(actual->chains[i], desired->chains[i]) != 0;
	return r;
}

int delta_of(struct state *actual, struct state *desired, int64_t now_ms, struct delta *ret)
{
	struct delta delta = {.create = !actual->exists || !actual->complete};
	int r = delta_of_elements(&actual->elements, &desired->elements, now_ms, &delta);

	if (r == 0)
		r = delta_of_chains(actual, desired, &delta);
	if (r < 0)
		delta_done(&delta);
	else
		*ret = delta;
	return r;
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
