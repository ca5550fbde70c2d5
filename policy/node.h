/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A text as a tree of scalars, lists and mappings, each with its place: what YAML and JSON have in common.
 *
 * Both front ends refuse what policy has no use for (aliases, tags, duplicate keys, NUL, too many nodes, too deep)
 * before they build anything, so that one reader (read.h) serves the operator's file and the signed bytes.
 * For JSON every line and column is 0.
 */
#pragma once
#include <stddef.h>
#include "common/err.h"

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING };

struct node {
	enum node_kind kind;
	unsigned int line, column;
	char *text; /* NODE_SCALAR; owned, no NUL inside */
	struct node *
		items; /* owned; a mapping has key, value, key, value; keys are scalars and unique */
	size_t n_items;
};

/* -EINVAL, -EFBIG over a limit of policy.h, -ENOMEM. *ret is released with node_done(). */
int node_from_yaml(const char *text, size_t length, struct node *ret, struct err *err);
int node_from_json(const char *text, size_t limit, struct node *ret, struct err *err);
void node_done(struct node *node);

/* The value of a mapping's key; borrowed, NULL if missing. */
const struct node *node_get(const struct node *mapping, const char *key);
/* Adds an empty child and returns it, valid until the next; NULL when out of memory. */
struct node *node_add(struct node *parent);
/* -EINVAL at the second of two equal keys. */
int node_check_keys(const struct node *mapping, struct err *err);

/* A piece of foreign text for a message: printable ASCII, shortened. Returns quoted. */
#define QUOTED_MAX 52
const char *quote(const char *text, char quoted[QUOTED_MAX]);
