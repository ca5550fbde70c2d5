/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON to nodes, for bytes that were signed. jansson refuses duplicate keys, NUL and what is no UTF-8. */
#include "policy/node.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "policy/policy.h"

struct budget {
	unsigned int depth;
	size_t nodes;
	struct err *err;
};

static int build(struct budget *budget, const json_t *json, struct node *node);

static int build_scalar(struct budget *budget, const char *text, struct node *node)
{
	node->kind = NODE_SCALAR;
	node->text = strdup(text);
	return node->text ? 0 : err_code(budget->err, -ENOMEM, "out of memory");
}

static int build_child(struct budget *budget, const json_t *json, struct node *parent)
{
	struct node *child = node_add(parent);

	return child ? build(budget, json, child) : err_code(budget->err, -ENOMEM, "out of memory");
}

static int build_list(struct budget *budget, const json_t *json, struct node *node)
{
	int r = 0;

	node->kind = NODE_LIST;
	for (size_t i = 0; r == 0 && i < json_array_size(json); i++)
		r = build_child(budget, json_array_get(json, i), node);
	return r;
}

static int build_mapping(struct budget *budget, json_t *json, struct node *node)
{
	const char *key;
	json_t *value;

	node->kind = NODE_MAPPING;
	json_object_foreach (json, key, value) {
		struct node *child = node_add(node);
		int r = child ? build_scalar(budget, key, child)
			      : err_code(budget->err, -ENOMEM, "out of memory");
		if (r == 0)
			r = build_child(budget, value, node);
		if (r < 0)
			return r;
	}
	return 0;
}

static int build_integer(struct budget *budget, const json_t *json, struct node *node)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(json));
	return build_scalar(budget, text, node);
}

static int build(struct budget *budget, const json_t *json, struct node *node)
{
	int r = -EINVAL;

	if (++budget->nodes > POLICY_NODES_MAX || budget->depth == POLICY_DEPTH_MAX)
		return err_code(budget->err, -EFBIG, "JSON with too many nodes or levels");
	budget->depth++;
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		r = build_mapping(budget, (json_t *)(uintptr_t)json, node);
		break;
	case JSON_ARRAY:
		r = build_list(budget, json, node);
		break;
	case JSON_STRING:
		r = build_scalar(budget, json_string_value(json), node);
		break;
	case JSON_INTEGER:
		r = build_integer(budget, json, node);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		r = build_scalar(budget, json_is_true(json) ? "true" : "false", node);
		break;
	case JSON_REAL:
	case JSON_NULL:
		r = err_set(budget->err, "JSON null or fraction where the policy has none");
		break;
	}
	budget->depth--;
	return r;
}

int node_from_json(const char *text, size_t limit, struct node *ret, struct err *err)
{
	struct budget budget = {.err = err};
	struct node node = {0};
	size_t length = strnlen(text, limit + 1);
	json_error_t error;
	json_t *json;
	int r;

	if (length > limit)
		return err_code(err, -EFBIG, "JSON of more than %zu bytes", limit);
	json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return err_set(err, "no JSON at byte %d: %s", error.position, error.text);
	r = build(&budget, json, &node);
	json_decref(json);
	if (r < 0) {
		node_done(&node);
		return r;
	}
	*ret = node;
	return 0;
}
