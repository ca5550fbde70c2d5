/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every message of every call by its own table: filled, encoded, decoded and encoded again; then with each member
 * missing, of another kind, over its limit, unknown or twice. What the tables do not say (problem details, codes,
 * routes) has cases of its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "api/admin.h"
#include "api/code.h"
#include "api/local.h"
#include "api/message.h"
#include "api/routes.h"
#include "common/cleanup.h"

static char *at(const struct shape_field *field, void *object)
{
	return (char *)object + field->offset;
}

static char *text_of(const char *text)
{
	char *copy = strdup(text);
	assert_non_null(copy);
	return copy;
}

static void fill(const struct shape *shape, void *object);

static void fill_list(const struct shape_field *field, void *object)
{
	size_t size = field->kind == SHAPE_TEXTS ? sizeof(char *) : field->shape->size;
	char *items = calloc(2, size);
	assert_non_null(items);
	for (size_t i = 0; i < 2; i++) {
		if (field->kind == SHAPE_TEXTS)
			((char **)(void *)items)[i] = text_of(i ? "second" : "first");
		else
			fill(field->shape, items + i * size);
	}
	*(char **)(void *)at(field, object) = items;
	*(size_t *)(void *)((char *)object + field->count_offset) = 2;
}

static void fill_field(const struct shape_field *field, void *object)
{
	void *place = at(field, object);
	struct err err;
	switch (field->kind) {
	case SHAPE_TEXT:
		*(char **)place = text_of("{\"payload\":\"two\\nlines\"}\n");
		break;
	case SHAPE_CHARS:
		snprintf(place, field->limit, "%s", "a \xc3\xa9");
		break;
	case SHAPE_NAME:
		memcpy(place, "site-a/web", sizeof("site-a/web"));
		break;
	case SHAPE_U64:
		*(uint64_t *)place = INT64_MAX;
		break;
	case SHAPE_U32:
		*(uint32_t *)place = UINT32_MAX;
		break;
	case SHAPE_I64:
		*(int64_t *)place = -7;
		break;
	case SHAPE_BOOL:
		*(bool *)place = true;
		break;
	case SHAPE_ADDR:
		assert_int_equal(addr_parse("fd00::1:2", place), 0);
		break;
	case SHAPE_ID:
		memset(place, 0xa5, sizeof(struct id));
		break;
	case SHAPE_LABELS:
		assert_int_equal(labels_parse("role=web,env=prod", place, &err), 0);
		break;
	case SHAPE_STRUCT:
		fill(field->shape, place);
		break;
	case SHAPE_LIST:
	case SHAPE_TEXTS:
		fill_list(field, object);
		break;
	}
}

static void fill(const struct shape *shape, void *object)
{
	for (size_t i = 0; i < shape->n_fields; i++)
		fill_field(&shape->fields[i], object);
}

static json_t *sample(const struct shape *shape)
{
	void *object = calloc(1, shape->size);
	assert_non_null(object);
	fill(shape, object);
	_cleanup_(freep) char *text = shape_encode(shape, object);
	assert_non_null(text);
	shape_done(shape, object);
	free(object);
	json_t *json = json_loads(text, 0, NULL);
	assert_non_null(json);
	return json;
}

/* 0 if it decodes; then it encodes to the same JSON again. Takes json over. */
static int check(const struct shape *shape, json_t *json)
{
	_cleanup_(freep) char *text = json_dumps(json, JSON_COMPACT);
	assert_non_null(text);
	json_decref(json);
	_cleanup_(freep) void *object = malloc(shape->size);
	assert_non_null(object);
	memset(object, 0x55, shape->size);
	struct err err = {0};
	int r = shape_decode(shape, text, strlen(text), object, &err);
	if (r < 0) {
		assert_true(err.text[0] != '\0');
		for (size_t i = 0; i < shape->size; i++) /* untouched */
			assert_int_equal(((unsigned char *)object)[i], 0x55);
		return r;
	}
	_cleanup_(freep) char *again = shape_encode(shape, object);
	shape_done(shape, object);
	assert_non_null(again);
	if (strlen(again) == strlen(text))
		assert_string_equal(again, text);
	return 0;
}

static json_t *of_another_kind(enum shape_kind kind)
{
	switch (kind) {
	case SHAPE_TEXT:
	case SHAPE_CHARS:
	case SHAPE_NAME:
	case SHAPE_ADDR:
	case SHAPE_ID:
	case SHAPE_BOOL:
		return json_integer(1);
	case SHAPE_U64:
	case SHAPE_U32:
	case SHAPE_I64:
		return json_real(1.5);
	case SHAPE_LABELS:
	case SHAPE_STRUCT:
		return json_array();
	case SHAPE_LIST:
	case SHAPE_TEXTS:
		return json_object();
	}
	return NULL;
}

/* A value just over the field's limit; NULL where it has none worth the memory. */
static json_t *over_limit(const struct shape_field *field)
{
	switch (field->kind) {
	case SHAPE_TEXT:
	case SHAPE_CHARS: {
		_cleanup_(freep) char *text = malloc(field->limit + 1);
		assert_non_null(text);
		memset(text, 'x', field->limit);
		text[field->limit] = '\0';
		return json_string(text);
	}
	case SHAPE_NAME:
		return json_string("Site/Workload");
	case SHAPE_U64:
		return json_integer(-1);
	case SHAPE_U32:
		return json_integer((json_int_t)UINT32_MAX + 1);
	case SHAPE_ADDR:
		return json_string("10.0.0.256");
	case SHAPE_ID:
		return json_string("A5");
	case SHAPE_LABELS:
		return json_pack("{s:s}", "Role", "web");
	case SHAPE_STRUCT:
		return json_object();
	case SHAPE_LIST:
	case SHAPE_TEXTS: {
		json_t *list = json_array();
		for (size_t i = 0; i <= field->limit; i++)
			json_array_append_new(list, json_string(""));
		return list;
	}
	case SHAPE_I64:
	case SHAPE_BOOL:
		return NULL;
	}
	return NULL;
}

static void check_field(const struct shape *shape, const struct shape_field *field)
{
	json_t *json = sample(shape);
	json_object_del(json, field->name);
	int expected = field->optional ? 0 : -EINVAL;
	if (check(shape, json) != expected)
		fail_msg("%s without %s", shape->name, field->name);

	json = sample(shape);
	json_object_set_new(json, field->name, of_another_kind(field->kind));
	if (check(shape, json) != -EINVAL)
		fail_msg("%s with another kind of %s", shape->name, field->name);

	json_t *over = over_limit(field);
	if (!over)
		return;
	json = sample(shape);
	json_object_set_new(json, field->name, over);
	if (check(shape, json) != -EINVAL)
		fail_msg("%s with too much of %s", shape->name, field->name);
}

static void check_shape(const struct shape *shape)
{
	assert_int_equal(check(shape, sample(shape)), 0);
	for (size_t i = 0; i < shape->n_fields; i++)
		check_field(shape, &shape->fields[i]);
	json_t *json = sample(shape);
	json_object_set_new(json, "unknown", json_null());
	assert_int_equal(check(shape, json), -EINVAL);
	if (!shape->schema)
		return;
	json = sample(shape);
	json_object_set_new(json, "schema", json_string("sortie.other/1"));
	assert_int_equal(check(shape, json), -EINVAL);
	json = sample(shape);
	json_object_del(json, "schema");
	assert_int_equal(check(shape, json), -EINVAL);
}

static void test_every_message(void **state)
{
	for (enum route i = 0; i < ROUTES; i++) {
		if (routes[i].request)
			check_shape(routes[i].request);
		assert_non_null(routes[i].answer);
		check_shape(routes[i].answer);
	}
}

static void test_texts(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{"{\"mode\":\"overlay\",\"schema\":\"sortie.confirmed/1\"}", 0},
		{" {\"schema\":\"sortie.confirmed/1\",\"mode\":\"\"} \n", 0},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"a\",\"mode\":\"b\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"a\"}x", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"a\\u0000b\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"a\\u001b[2J\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"a\\nb\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"a\\u009bb\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"\xff\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":\"1234567890123456\"}", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":null}", -EINVAL},
		{"[]", -EINVAL},
		{"{}", -EINVAL},
		{"\"\"", -EINVAL},
		{"", -EINVAL},
		{"{\"schema\":\"sortie.confirmed/1\",\"mode\":", -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct local_confirmed mode;
		struct err err = {0};
		int r = local_confirmed_decode(cases[i].text, strlen(cases[i].text), &mode, &err);
		if (r != cases[i].r)
			fail_msg("%s: %d %s", cases[i].text, r, err.text);
	}
}

static void test_nesting(void **state)
{
	char text[40000];
	struct sync_answer answer;
	struct err err;
	memset(text, '[', sizeof(text));
	assert_int_equal(sync_answer_decode(text, sizeof(text), &answer, &err), -EINVAL);
}

static void test_done(void **state)
{
	struct sync_answer answer;
	struct enroll_answer enroll;
	memset(&answer, 0, sizeof(answer));
	memset(&enroll, 0, sizeof(enroll));
	sync_answer_done(&answer);
	sync_answer_done(NULL);
	enroll_answer_done(&enroll);
	assert_null(answer.root);
}

static void test_problem(void **state)
{
	struct problem problem, back;
	struct err err = {0};
	problem_make(&problem, "token-used", "token for %s was used", "site-a/web");
	assert_int_equal(problem.status, 409);
	_cleanup_(freep) char *text = problem_encode(&problem);
	assert_non_null(text);
	assert_non_null(strstr(text, "\"type\":\"urn:sortie:problem:token-used\""));
	assert_non_null(strstr(text, "\"title\":\"The token was used\""));
	assert_int_equal(problem_decode(text, strlen(text), &back, &err), 0);
	assert_int_equal(back.status, 409);
	assert_string_equal(back.code, "token-used");
	assert_string_equal(back.detail, "token for site-a/web was used");

	/* whatever a caller sent, a problem can be encoded and is one line */
	problem_make(&problem, "no-such-code", "bad \"\x1b[2J\n\xff\xc3\"");
	assert_string_equal(problem.code, "internal");
	assert_int_equal(problem.status, 500);
	_cleanup_(freep) char *odd = problem_encode(&problem);
	assert_non_null(odd);
	assert_int_equal(problem_decode(odd, strlen(odd), &back, &err), 0);
	assert_string_equal(back.detail, "bad \"?[2J???\"");
}

static void test_bad_problems(void **state)
{
	static const char *const cases[] = {
		"{\"type\":\"about:blank\",\"title\":\"\",\"status\":400,\"detail\":\"\"}",
		"{\"type\":\"urn:sortie:problem:\",\"title\":\"\",\"status\":400,\"detail\":\"\"}",
		"{\"type\":\"urn:sortie:problem:x\",\"title\":\"\",\"status\":200,\"detail\":\"\"}",
		"{\"type\":\"urn:sortie:problem:x\",\"title\":\"\",\"status\":600,\"detail\":\"\"}",
		"{\"type\":\"urn:sortie:problem:x\",\"title\":\"\",\"status\":400}",
		"{\"type\":\"urn:sortie:problem:x\",\"title\":\"\",\"status\":400,\"detail\":\"\",\"a\":1}",
		"<html>",
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct problem problem;
		struct err err = {0};
		if (problem_decode(cases[i], strlen(cases[i]), &problem, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
	}
}

/* The table is the contract: codes fit, are unique, and every one is an error with a non-zero exit. */
static void test_codes(void **state)
{
	for (size_t i = 0; i < n_api_codes; i++) {
		const struct api_code *code = &api_codes[i];
		assert_ptr_equal(api_code_find(code->code), code);
		assert_true(strlen(code->code) < sizeof(((struct problem *)0)->code));
		assert_in_range(code->status, 400, 599);
		assert_in_range(code->exit_code, 1, 7);
		struct problem problem, back;
		struct err err;
		problem_make(&problem, code->code, "x");
		_cleanup_(freep) char *text = problem_encode(&problem);
		assert_int_equal(problem_decode(text, strlen(text), &back, &err), 0);
		assert_int_equal(back.status, code->status);
	}
	assert_null(api_code_find("no-such-code"));
}

static void test_routes(void **state)
{
	for (enum route i = 0; i < ROUTES; i++) {
		enum route found = ROUTES;
		assert_int_equal(
			route_find(routes[i].socket, routes[i].method, routes[i].path, &found), 0);
		assert_int_equal(found, i);
		assert_int_equal(route_find(routes[i].socket, "PATCH", routes[i].path, &found),
				 -EPERM);
		assert_true(routes[i].request == NULL || strcmp(routes[i].method, "POST") == 0);
	}
	enum route found;
	assert_int_equal(route_find(ROUTE_API, "GET", "/v1/admin/status", &found), -ENOENT);
	assert_int_equal(route_find(ROUTE_LOCAL, "GET", "/v1/admin/status", &found), -ENOENT);
	assert_int_equal(route_find(ROUTE_ENROLL, "POST", "/v1/sync", &found), -ENOENT);
	assert_int_equal(route_find(ROUTE_ADMIN, "GET", "/", &found), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message), cmocka_unit_test(test_texts),
		cmocka_unit_test(test_nesting),	      cmocka_unit_test(test_done),
		cmocka_unit_test(test_problem),	      cmocka_unit_test(test_bad_problems),
		cmocka_unit_test(test_codes),	      cmocka_unit_test(test_routes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
