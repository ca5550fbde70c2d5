/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter of message tables: struct to JSON, JSON to struct, release.
 *
 * All memory that a decoded struct holds was allocated here and is released by shape_done(), also when decoding
 * stopped half way. Texts of foreign origin end up on terminals and in logs, so control characters never get in.
 */
#include "api/shape.h"
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "common/addr.h"
#include "common/cleanup.h"
#include "common/identity.h"

static void *place(const struct shape_field *field, void *object)
{
	return (char *)object + field->offset;
}

static const void *place_const(const struct shape_field *field, const void *object)
{
	return (const char *)object + field->offset;
}

static size_t *count_of(const struct shape_field *field, void *object)
{
	return (size_t *)(void *)((char *)object + field->count_offset);
}

static size_t count_const(const struct shape_field *field, const void *object)
{
	return *(const size_t *)(const void *)((const char *)object + field->count_offset);
}

static void json_freep(json_t **json)
{
	json_decref(*json);
}

bool shape_line_valid(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			return false;
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			return false;
	}
	return true;
}

/* ---- struct to JSON ---- */

static json_t *object_to_json(const struct shape *shape, const void *object);

static json_t *labels_to_json(const struct labels *labels)
{
	json_t *json = json_object();
	for (size_t i = 0; json && i < labels->count; i++) {
		if (json_object_set_new(json, labels->items[i].key,
					json_string(labels->items[i].value)) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

static json_t *list_to_json(const struct shape_field *field, const void *object)
{
	json_t *json = json_array();
	const char *items = *(char *const *)place_const(field, object);
	for (size_t i = 0; json && i < count_const(field, object); i++) {
		json_t *item =
			field->kind == SHAPE_TEXTS
				? json_string(((const char *const *)(const void *)items)[i])
				: object_to_json(field->shape, items + i * field->shape->size);
		if (json_array_append_new(json, item) < 0) {
			json_decref(json);
			return NULL;
		}
	}
	return json;
}

static bool left_out(const struct shape_field *field, const void *object)
{
	const void *at = place_const(field, object);

	if (!field->optional)
		return false;
	if (field->kind == SHAPE_TEXTS)
		return count_const(field, object) == 0;
	if (field->kind == SHAPE_TEXT)
		return *(char *const *)at == NULL;
	if (field->kind == SHAPE_ADDR)
		return !addr_is_set(at);
	return *(const char *)at == '\0';
}

static json_t *field_to_json(const struct shape_field *field, const void *object)
{
	const void *at = place_const(field, object);
	char text[ID_HEX_MAX];

	switch (field->kind) {
	case SHAPE_TEXT:
		return json_string(*(char *const *)at);
	case SHAPE_CHARS:
	case SHAPE_NAME:
		return json_string(at);
	case SHAPE_U64:
		return *(const uint64_t *)at > INT64_MAX
			       ? NULL
			       : json_integer((json_int_t) * (const uint64_t *)at);
	case SHAPE_U32:
		return json_integer(*(const uint32_t *)at);
	case SHAPE_I64:
		return json_integer(*(const int64_t *)at);
	case SHAPE_BOOL:
		return json_boolean(*(const bool *)at);
	case SHAPE_ADDR:
		return json_string(addr_format(at, text));
	case SHAPE_ID:
		return json_string(id_format(at, text));
	case SHAPE_LABELS:
		return labels_to_json(at);
	case SHAPE_STRUCT:
		return object_to_json(field->shape, at);
	case SHAPE_LIST:
	case SHAPE_TEXTS:
		return list_to_json(field, object);
	}
	return NULL;
}

static json_t *object_to_json(const struct shape *shape, const void *object)
{
	_cleanup_(json_freep) json_t *json = json_object();
	if (!json)
		return NULL;
	if (shape->schema && json_object_set_new(json, "schema", json_string(shape->schema)) < 0)
		return NULL;
	for (size_t i = 0; i < shape->n_fields; i++) {
		const struct shape_field *field = &shape->fields[i];
		if (left_out(field, object))
			continue;
		if (json_object_set_new(json, field->name, field_to_json(field, object)) < 0)
			return NULL;
	}
	return take_pointer(json);
}

char *shape_encode(const struct shape *shape, const void *object)
{
	_cleanup_(json_freep) json_t *json = object_to_json(shape, object);
	return json ? json_dumps(json, JSON_COMPACT) : NULL;
}

/* ---- JSON to struct ---- */

static int object_from_json(const struct shape *shape, json_t *json, void *ret, struct err *err);

static int wrong(const struct shape_field *field, struct err *err, const char *what)
{
	return err_set(err, "\"%s\" %s", field->name, what);
}

static int no_memory(struct err *err)
{
	return err_code(err, -ENOMEM, "out of memory");
}

static int text_from_json(const struct shape_field *field, json_t *json, size_t limit, char **ret,
			  struct err *err)
{
	if (!json_is_string(json))
		return wrong(field, err, "is not a string");
	if (json_string_length(json) >= limit)
		return wrong(field, err, "is too long");
	*ret = strdup(json_string_value(json));
	return *ret ? 0 : no_memory(err);
}

static int chars_from_json(const struct shape_field *field, json_t *json, char *ret,
			   struct err *err)
{
	size_t limit = field->kind == SHAPE_NAME ? NAME_MAX_TEXT : field->limit;
	if (!json_is_string(json))
		return wrong(field, err, "is not a string");
	if (json_string_length(json) >= limit)
		return wrong(field, err, "is too long");
	const char *text = json_string_value(json);
	if (field->kind == SHAPE_NAME ? !name_valid(text) : !shape_line_valid(text))
		return wrong(field, err,
			     field->kind == SHAPE_NAME ? "is not a name of the form site/workload"
						       : "holds control characters");
	memcpy(ret, text, json_string_length(json) + 1);
	return 0;
}

static int number_from_json(const struct shape_field *field, json_t *json, void *ret,
			    struct err *err)
{
	if (!json_is_integer(json))
		return wrong(field, err, "is not a whole number");
	json_int_t value = json_integer_value(json);
	if (field->kind == SHAPE_I64) {
		*(int64_t *)ret = value;
		return 0;
	}
	if (value < 0 || (field->kind == SHAPE_U32 && value > UINT32_MAX))
		return wrong(field, err, "is out of range");
	if (field->kind == SHAPE_U32)
		*(uint32_t *)ret = (uint32_t)value;
	else
		*(uint64_t *)ret = (uint64_t)value;
	return 0;
}

static int parsed_from_json(const struct shape_field *field, json_t *json, void *ret,
			    struct err *err)
{
	const char *text = json_string_value(json);
	if (!text)
		return wrong(field, err, "is not a string");
	if (field->kind == SHAPE_ADDR)
		return addr_parse(text, ret) < 0 ? wrong(field, err, "is not an address") : 0;
	return id_parse(text, ret) < 0 ? wrong(field, err, "is not an identity id") : 0;
}

static int labels_from_json(const struct shape_field *field, json_t *json, struct labels *ret,
			    struct err *err)
{
	if (!json_is_object(json))
		return wrong(field, err, "is not an object");
	const char *key;
	json_t *value;
	json_object_foreach (json, key, value) {
		const char *text = json_string_value(value);
		if (!text)
			return wrong(field, err, "has a value that is not a string");
		if (labels_add(ret, key, text, err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* The count grows with every element that was begun, so that shape_done() releases a half-read list. */
static int list_from_json(const struct shape_field *field, json_t *json, void *object,
			  struct err *err)
{
	if (!json_is_array(json))
		return wrong(field, err, "is not a list");
	size_t n = json_array_size(json);
	if (n > field->limit)
		return wrong(field, err, "has too many elements");
	if (n == 0)
		return 0;
	size_t size = field->kind == SHAPE_TEXTS ? sizeof(char *) : field->shape->size;
	char *items = calloc(n, size);
	if (!items)
		return no_memory(err);
	*(char **)place(field, object) = items;
	size_t *count = count_of(field, object);
	for (size_t i = 0; i < n; i++) {
		json_t *item = json_array_get(json, i);
		*count = i + 1;
		int r = field->kind == SHAPE_TEXTS
				? text_from_json(field, item, field->text_limit,
						 (char **)(void *)(items + i * size), err)
				: object_from_json(field->shape, item, items + i * size, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int field_from_json(const struct shape_field *field, json_t *json, void *object,
			   struct err *err)
{
	void *at = place(field, object);
	switch (field->kind) {
	case SHAPE_TEXT:
		return text_from_json(field, json, field->limit, at, err);
	case SHAPE_CHARS:
	case SHAPE_NAME:
		return chars_from_json(field, json, at, err);
	case SHAPE_U64:
	case SHAPE_U32:
	case SHAPE_I64:
		return number_from_json(field, json, at, err);
	case SHAPE_BOOL:
		if (!json_is_boolean(json))
			return wrong(field, err, "is neither true nor false");
		*(bool *)at = json_is_true(json);
		return 0;
	case SHAPE_ADDR:
	case SHAPE_ID:
		return parsed_from_json(field, json, at, err);
	case SHAPE_LABELS:
		return labels_from_json(field, json, at, err);
	case SHAPE_STRUCT:
		return object_from_json(field->shape, json, at, err);
	case SHAPE_LIST:
	case SHAPE_TEXTS:
		return list_from_json(field, json, object, err);
	}
	return -EINVAL;
}

static bool shape_knows(const struct shape *shape, const char *name)
{
	for (size_t i = 0; i < shape->n_fields; i++)
		if (strcmp(shape->fields[i].name, name) == 0)
			return true;
	return shape->schema && strcmp(name, "schema") == 0;
}

static int check_members(const struct shape *shape, json_t *json, struct err *err)
{
	if (!json_is_object(json))
		return err_set(err, "not a JSON object where one belongs");
	const char *key;
	json_t *value;
	json_object_foreach (json, key, value) {
		if (!shape_knows(shape, key))
			return shape_line_valid(key) ? err_set(err, "unknown member \"%.64s\"", key)
						     : err_set(err, "unknown member");
	}
	if (!shape->schema)
		return 0;
	const char *schema = json_string_value(json_object_get(json, "schema"));
	if (!schema || strcmp(schema, shape->schema) != 0)
		return err_set(err, "\"schema\" is not %s", shape->schema);
	return 0;
}

static int object_from_json(const struct shape *shape, json_t *json, void *ret, struct err *err)
{
	int r = check_members(shape, json, err);
	for (size_t i = 0; r == 0 && i < shape->n_fields; i++) {
		const struct shape_field *field = &shape->fields[i];
		json_t *value = json_object_get(json, field->name);
		if (value)
			r = field_from_json(field, value, ret, err);
		else if (!field->optional)
			r = wrong(field, err, "is missing");
	}
	return r;
}

int shape_decode(const struct shape *shape, const char *text, size_t length, void *ret,
		 struct err *err)
{
	json_error_t error;
	_cleanup_(json_freep) json_t *json =
		json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return err_at(err, (unsigned int)(error.line > 0 ? error.line : 0),
			      (unsigned int)(error.column > 0 ? error.column : 0),
			      "not valid JSON (or a member twice)");
	void *object = calloc(1, shape->size);
	if (!object)
		return no_memory(err);
	int r = object_from_json(shape, json, object, err);
	if (r < 0)
		shape_done(shape, object);
	else
		memcpy(ret, object, shape->size);
	free(object);
	return r;
}

/* ---- release ---- */

static void list_done(const struct shape_field *field, void *object)
{
	char *items = *(char **)place(field, object);
	for (size_t i = 0; i < *count_of(field, object); i++) {
		if (field->kind == SHAPE_TEXTS)
			free(((char **)(void *)items)[i]);
		else
			shape_done(field->shape, items + i * field->shape->size);
	}
	free(items);
}

/* Join tokens are texts like others: all are wiped. */
static void text_done(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void shape_done(const struct shape *shape, void *object)
{
	if (!object)
		return;
	for (size_t i = 0; i < shape->n_fields; i++) {
		const struct shape_field *field = &shape->fields[i];
		if (field->kind == SHAPE_TEXT)
			text_done(*(char **)place(field, object));
		else if (field->kind == SHAPE_STRUCT)
			shape_done(field->shape, place(field, object));
		else if (field->kind == SHAPE_LIST || field->kind == SHAPE_TEXTS)
			list_done(field, object);
	}
	memset(object, 0, shape->size);
}
