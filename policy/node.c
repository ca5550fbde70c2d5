/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees of nodes: growing, looking up, finding duplicate keys. Depth is bounded by the front ends, so recursion is. */
#include "policy/node.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"

void node_done(struct node *node)
{
	for (size_t i = 0; i < node->n_items; i++)
		node_done(&node->items[i]);
	free(node->items);
	free(node->text);
	*node = (struct node){0};
}

const struct node *node_get(const struct node *mapping, const char *key)
{
	for (size_t i = 0; i + 1 < mapping->n_items; i += 2)
		if (strcmp(mapping->items[i].text, key) == 0)
			return &mapping->items[i + 1];
	return NULL;
}

struct node *node_add(struct node *parent)
{
	size_t n = parent->n_items;

	if ((n & (n - 1)) == 0) { /* 0 or a power of two: full */
		struct node *items = reallocarray(parent->items, n ? 2 * n : 1, sizeof(*items));
		if (!items)
			return NULL;
		parent->items = items;
	}
	parent->items[n] = (struct node){0};
	parent->n_items++;
	return &parent->items[n];
}

struct key {
	const struct node *node;
};

static int compare_keys(const void *a, const void *b)
{
	const struct node *left = ((const struct key *)a)->node;
	const struct node *right = ((const struct key *)b)->node;
	int order = strcmp(left->text, right->text);

	return order ? order : (left > right) - (left < right);
}

int node_check_keys(const struct node *mapping, struct err *err)
{
	size_t n = mapping->n_items / 2;
	_cleanup_(freep) struct key *keys = calloc(n + 1, sizeof(*keys));

	if (!keys)
		return err_code(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		keys[i].node = &mapping->items[2 * i];
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < n; i++) {
		const struct node *first = keys[i - 1].node;
		const struct node *second = keys[i].node;
		char quoted[QUOTED_MAX];
		if (strcmp(first->text, second->text) == 0)
			return err_at(err, second->line, second->column,
				      "key \"%s\" stands twice (first in line %u): keep one",
				      quote(second->text, quoted), first->line);
	}
	return 0;
}

const char *quote(const char *text, char quoted[QUOTED_MAX])
{
	size_t length = strnlen(text, QUOTED_MAX);
	size_t shown = length < QUOTED_MAX ? length : QUOTED_MAX - 4;

	for (size_t i = 0; i < shown; i++)
		quoted[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	(void)snprintf(quoted + shown, QUOTED_MAX - shown, "%s", shown < length ? "..." : "");
	return quoted;
}
