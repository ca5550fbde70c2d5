/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * docs/openapi.yaml says what the tables say: every route with its method, name and messages, every message with its
 * members and which of them must be there, every problem code; and nothing besides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <yaml.h>
#include "api/code.h"
#include "api/routes.h"

#define FILE_NAME "docs/openapi.yaml"

static yaml_document_t document;

static int load(void **state)
{
	yaml_parser_t parser;
	FILE *file = fopen(FILE_NAME, "r");
	if (!file || !yaml_parser_initialize(&parser))
		return -1;
	yaml_parser_set_input_file(&parser, file);
	int ok = yaml_parser_load(&parser, &document);
	yaml_parser_delete(&parser);
	fclose(file);
	return ok ? 0 : -1;
}

static int unload(void **state)
{
	yaml_document_delete(&document);
	return 0;
}

static const char *text_of(yaml_node_t *node)
{
	return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static yaml_node_t *member(yaml_node_t *node, const char *name)
{
	if (!node || node->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++)
		if (strcmp(text_of(yaml_document_get_node(&document, pair->key)), name) == 0)
			return yaml_document_get_node(&document, pair->value);
	return NULL;
}

/* The names are the steps from the root; the last is NULL. */
static yaml_node_t *find(const char *first, ...)
{
	va_list names;
	yaml_node_t *node = yaml_document_get_root_node(&document);
	va_start(names, first);
	for (const char *name = first; name && node; name = va_arg(names, const char *))
		node = member(node, name);
	va_end(names);
	return node;
}

static size_t members(yaml_node_t *node)
{
	return node && node->type == YAML_MAPPING_NODE
		       ? (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start)
		       : 0;
}

static size_t elements(yaml_node_t *node)
{
	return node && node->type == YAML_SEQUENCE_NODE
		       ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start)
		       : 0;
}

static bool lists(yaml_node_t *node, const char *text)
{
	for (size_t i = 0; i < elements(node); i++)
		if (strcmp(text_of(yaml_document_get_node(&document,
							  node->data.sequence.items.start[i])),
			   text) == 0)
			return true;
	return false;
}

static bool refers(yaml_node_t *node, const char *schema)
{
	char reference[128];
	snprintf(reference, sizeof(reference), "#/components/schemas/%s", schema);
	return strcmp(text_of(member(node, "$ref")), reference) == 0;
}

static void check_route(const struct route_row *route)
{
	const char *method = strcmp(route->method, "GET") == 0 ? "get" : "post";
	yaml_node_t *node = find("paths", route->path, method, NULL);
	if (strcmp(text_of(member(node, "operationId")), route->name) != 0)
		fail_msg("%s %s is not described", route->method, route->path);
	yaml_node_t *request =
		member(member(member(node, "requestBody"), "content"), "application/json");
	yaml_node_t *answer = member(member(member(member(node, "responses"), "200"), "content"),
				     "application/json");
	assert_true(refers(member(answer, "schema"), route->answer->name));
	if (!route->request)
		assert_null(request);
	else if (route->socket == ROUTE_API)
		assert_true(refers(member(request, "x-payload"), route->request->name));
	else
		assert_true(refers(member(request, "schema"), route->request->name));
}

static void test_routes(void **state)
{
	size_t n = 0;
	for (enum route i = 0; i < ROUTES; i++)
		check_route(&routes[i]);
	yaml_node_t *paths = find("paths", NULL);
	for (size_t i = 0; i < members(paths); i++)
		n += members(yaml_document_get_node(&document,
						    paths->data.mapping.pairs.start[i].value));
	assert_int_equal(n, ROUTES);
}

static void check_shape(const struct shape *shape)
{
	yaml_node_t *node = find("components", "schemas", shape->name, NULL);
	yaml_node_t *properties = member(node, "properties"), *required = member(node, "required");
	size_t n_required = shape->schema != NULL;
	assert_string_equal(text_of(member(node, "additionalProperties")), "false");
	if (shape->schema) {
		assert_string_equal(text_of(member(member(properties, "schema"), "const")),
				    shape->schema);
		assert_true(lists(required, "schema"));
	}
	for (size_t i = 0; i < shape->n_fields; i++) {
		const struct shape_field *field = &shape->fields[i];
		yaml_node_t *property = member(properties, field->name);
		if (!property || lists(required, field->name) == field->optional)
			fail_msg("%s.%s is missing or (not) required", shape->name, field->name);
		n_required += !field->optional;
		if (field->kind == SHAPE_STRUCT)
			assert_true(refers(property, field->shape->name));
		if (field->kind == SHAPE_LIST)
			assert_true(refers(member(property, "items"), field->shape->name));
		if (field->shape)
			check_shape(field->shape);
	}
	assert_int_equal(members(properties), shape->n_fields + (shape->schema != NULL));
	assert_int_equal(elements(required), n_required);
}

static void test_messages(void **state)
{
	for (enum route i = 0; i < ROUTES; i++) {
		if (routes[i].request)
			check_shape(routes[i].request);
		check_shape(routes[i].answer);
	}
}

static void test_codes(void **state)
{
	yaml_node_t *types = member(
		find("components", "schemas", "problem", "properties", "type", NULL), "enum");
	assert_int_equal(elements(types), n_api_codes);
	for (size_t i = 0; i < n_api_codes; i++) {
		char type[128];
		snprintf(type, sizeof(type), "urn:sortie:problem:%s", api_codes[i].code);
		if (!lists(types, type))
			fail_msg("%s is not described", type);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_codes),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
