/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may match a selector, without asking everybody: 10,000 rules over 1,000 members are ten million questions, and
 * most have the answer no. Every term names a label that its members must carry, so the term with the fewest carriers
 * gives the candidates; policy_selects() then decides, here as everywhere.
 */
#include "policy/evaluate.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct index_label {
	const char *key, *value;
	uint32_t member;
};

struct range {
	size_t first, end;
};

static int compare_label(const struct index_label *label, const char *key, const char *value)
{
	int order = strcmp(label->key, key);

	return order || !value ? order : strcmp(label->value, value);
}

static int compare_labels(const void *a, const void *b)
{
	const struct index_label *left = a;
	const struct index_label *right = b;
	int order = compare_label(left, right->key, right->value);

	return order ? order : (left->member > right->member) - (left->member < right->member);
}

static int compare_names(const void *a, const void *b, void *data)
{
	const struct policy_member *members = data;

	return strcmp(members[*(const uint32_t *)a].name, members[*(const uint32_t *)b].name);
}

static void collect_labels(struct index *index)
{
	const struct policy_inventory *inventory = index->inventory;

	for (size_t i = 0; i < inventory->n; i++) {
		const struct labels *labels = &inventory->members[i].labels;
		for (size_t j = 0; j < labels->count; j++)
			index->labels[index->n_labels++] = (struct index_label){
				labels->items[j].key, labels->items[j].value, (uint32_t)i};
	}
}

int index_init(struct index *index, const struct policy_inventory *inventory)
{
	size_t n_labels = 0;

	*index = (struct index){.inventory = inventory};
	if (inventory->n > POLICY_MEMBERS_MAX)
		return -EFBIG;
	for (size_t i = 0; i < inventory->n; i++)
		n_labels += inventory->members[i].labels.count;
	index->labels = calloc(n_labels + 1, sizeof(*index->labels));
	index->names = calloc(inventory->n + 1, sizeof(*index->names));
	if (!index->labels || !index->names)
		return -ENOMEM;
	collect_labels(index);
	qsort(index->labels, index->n_labels, sizeof(*index->labels), compare_labels);
	for (size_t i = 0; i < inventory->n; i++)
		index->names[i] = (uint32_t)i;
	if (inventory->n)
		qsort_r(index->names, inventory->n, sizeof(*index->names), compare_names,
			(void *)(uintptr_t)inventory->members);
	return 0;
}

void index_done(struct index *index)
{
	free(index->labels);
	free(index->names);
	index->labels = NULL;
	index->names = NULL;
}

/* The first label at or (past) behind key and value; value NULL: any value. */
static size_t bound(const struct index *index, const char *key, const char *value, bool past)
{
	size_t low = 0;
	size_t high = index->n_labels;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_label(&index->labels[middle], key, value);
		if (order < 0 || (past && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Who may satisfy the term: one range a value, or all carriers of the key. Returns the number of ranges. */
static size_t term_ranges(const struct index *index, const struct policy_term *term,
			  struct range ranges[POLICY_VALUES_MAX], size_t *ret_members)
{
	bool positive = term->operator== POLICY_EQUAL || term->operator== POLICY_IN;
	size_t n = positive ? term->n_values : 1;

	*ret_members = 0;
	for (size_t i = 0; i < n; i++) {
		const char *value = positive ? term->values[i] : NULL;
		ranges[i].first = bound(index, term->key, value, false);
		ranges[i].end = bound(index, term->key, value, true);
		*ret_members += ranges[i].end - ranges[i].first;
	}
	return n;
}

static size_t select_terms(const struct index *index, const struct policy_selector *selector,
			   uint32_t *members)
{
	struct range ranges[2][POLICY_VALUES_MAX];
	size_t n_ranges = 0;
	size_t fewest = SIZE_MAX;
	unsigned int best = 0;
	size_t n = 0;

	for (size_t i = 0; i < selector->n_terms; i++) {
		size_t count;
		size_t found = term_ranges(index, &selector->terms[i], ranges[!best], &count);
		if (count < fewest) {
			fewest = count;
			n_ranges = found;
			best = !best;
		}
	}
	for (size_t i = 0; i < n_ranges; i++)
		for (size_t at = ranges[best][i].first; at < ranges[best][i].end; at++) {
			uint32_t member = index->labels[at].member;
			if (policy_selects(selector, &index->inventory->members[member]))
				members[n++] = member;
		}
	return n;
}

ssize_t index_find(const struct index *index, const char *name)
{
	size_t low = 0;
	size_t high = index->inventory->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint32_t member = index->names[middle];
		int order = strcmp(index->inventory->members[member].name, name);
		if (order == 0)
			return member;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

size_t index_select(const struct index *index, const struct policy_selector *selector,
		    uint32_t *members)
{
	ssize_t named;

	if (selector->any) {
		for (size_t i = 0; i < index->inventory->n; i++)
			members[i] = (uint32_t)i;
		return index->inventory->n;
	}
	if (!*selector->name)
		return select_terms(index, selector, members);
	named = index_find(index, selector->name);
	if (named < 0)
		return 0;
	members[0] = (uint32_t)named;
	return 1;
}
