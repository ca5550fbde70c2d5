/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What rules, hosts, underlay entries and resources have in common: `any`, names that must differ, ranges. */
#include "policy/sections.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int read_any(struct reader *reader, const struct node *node, void *object)
{
	bool any;

	return read_boolean(reader, node, &any);
}

int check_any(struct reader *reader, const struct node *entry, bool wild)
{
	const struct node *any = node_get(entry, "any");
	bool said = any && strcmp(any->text, "true") == 0;

	if (wild && !said)
		return read_error(
			reader, entry,
			"a wildcard needs \"any: true\" in the same entry: add it or narrow it");
	if (any && !wild)
		return read_error(reader, any,
				  "\"any\" without a wildcard in the entry: remove it");
	return 0;
}

static int remember_name(struct reader *reader, const struct node *node, const char *name)
{
	if (reader->n_names == reader->names_size) {
		size_t size = reader->names_size ? 2 * reader->names_size : 64;
		struct place *names = reallocarray(reader->names, size, sizeof(*names));
		if (!names)
			return err_code(reader->err, -ENOMEM, "out of memory");
		reader->names = names;
		reader->names_size = size;
	}
	reader->names[reader->n_names++] = (struct place){name, node->line, node->column};
	return 0;
}

int read_name(struct reader *reader, const struct node *node, char **ret)
{
	int r = read_text(reader, node, ret);

	return r < 0 ? r : remember_name(reader, node, *ret);
}

int read_prefix(struct reader *reader, const struct node *node, void *object)
{
	char quoted[QUOTED_MAX];
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (prefix_parse(text, object) < 0)
		return read_error(
			reader, node,
			"range \"%s\": write 192.0.2.0/24 or \"2001:db8::/32\", host bits 0",
			quote(text, quoted));
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct place *left = a;
	const struct place *right = b;
	int order = strcasecmp(left->name, right->name);

	if (order)
		return order;
	if (left->line != right->line)
		return left->line < right->line ? -1 : 1;
	return (left->column > right->column) - (left->column < right->column);
}

static int refuse_name(struct reader *reader, const struct place *first, const struct place *second)
{
	char quoted[QUOTED_MAX];
	char where[32] = "twice";

	if (first->line)
		(void)snprintf(where, sizeof(where), "in line %u already", first->line);
	return err_at(reader->err, second->line, second->column,
		      "name \"%s\" stands %s: rename one, flows and findings show it",
		      quote(second->name, quoted), where);
}

int check_names(struct reader *reader)
{
	if (reader->n_names == 0)
		return 0;
	qsort(reader->names, reader->n_names, sizeof(*reader->names), compare_places);
	for (size_t i = 1; i < reader->n_names; i++)
		if (strcasecmp(reader->names[i - 1].name, reader->names[i].name) == 0)
			return refuse_name(reader, &reader->names[i - 1], &reader->names[i]);
	return 0;
}
