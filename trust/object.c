/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encodes and decodes a statement by its table. The decoder's last step encodes what it has read and compares the
 * bytes: white space, another order of members, escapes, "-0" or a second spelling of an address end there.
 */
#include "trust/object.h"
#include "common/cleanup.h"
#include "trust/envelope.h"
#include <errno.h>
#include <string.h>

char *object_encode(const struct object *object, const void *statement)
{
	_cleanup_(json_decrefp) json_t *json = json_object();

	for (size_t i = 0; json && i < object->n_fields; i++) {
		const struct field *field = &object->fields[i];

		if (json_object_set_new(json, field->name, field->type->encode(field, statement)) <
		    0)
			return NULL;
	}
	return json ? json_dumps(json, JSON_COMPACT) : NULL;
}

static int load(const struct object *object, const char *payload, size_t length, json_t **ret,
		struct err *err)
{
	json_error_t error;
	json_t *json;

	if (length > ENVELOPE_TEXT_MAX)
		return err_set(err, "%s statement: longer than %d bytes", object->name,
			       ENVELOPE_TEXT_MAX);
	json = json_loadb(payload, length, JSON_REJECT_DUPLICATES, &error);
	if (!json && json_error_code(&error) == json_error_out_of_memory)
		return err_code(err, -ENOMEM, "out of memory");
	if (!json)
		return err_set(err, "%s statement: %s", object->name, error.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, "%s statement: expected a JSON object", object->name);
	}
	*ret = json;
	return 0;
}

static bool is_known(const struct object *object, const char *name)
{
	for (size_t i = 0; i < object->n_fields; i++)
		if (strcmp(object->fields[i].name, name) == 0)
			return true;
	return false;
}

static int refuse_unknown(const struct object *object, json_t *json, struct err *err)
{
	for (void *i = json_object_iter(json); i; i = json_object_iter_next(json, i))
		if (!is_known(object, json_object_iter_key(i)))
			return err_set(err, "%s statement: unknown member \"%.40s\"", object->name,
				       json_object_iter_key(i));
	return 0;
}

static int decode_fields(const struct object *object, json_t *json, void *statement,
			 struct err *err)
{
	int r = refuse_unknown(object, json, err);

	for (size_t i = 0; r == 0 && i < object->n_fields; i++) {
		const struct field *field = &object->fields[i];
		json_t *value = json_object_get(json, field->name);

		if (!value)
			return err_set(err, "%s statement: member %s is missing", object->name,
				       field->name);
		r = field->type->decode(field, value, statement, err);
	}
	return r == 0 && object->check ? object->check(statement, err) : r;
}

static int check_canonical(const struct object *object, const void *statement, const char *payload,
			   size_t length, struct err *err)
{
	_cleanup_(freep) char *text = object_encode(object, statement);

	if (!text)
		return err_code(err, -ENOMEM, "out of memory");
	if (strlen(text) != length || memcmp(text, payload, length) != 0)
		return err_set(err, "%s statement: not the canonical text of its content",
			       object->name);
	return 0;
}

int object_decode(const struct object *object, const char *payload, size_t length, void *statement,
		  struct err *err)
{
	_cleanup_(json_decrefp) json_t *json = NULL;
	_cleanup_(freep) void *read = calloc(1, object->size);
	int r;

	if (!read)
		return err_code(err, -ENOMEM, "out of memory");
	r = load(object, payload, length, &json, err);
	if (r == 0)
		r = decode_fields(object, json, read, err);
	if (r == 0)
		r = check_canonical(object, read, payload, length, err);
	if (r < 0)
		object_done(object, read);
	else
		memcpy(statement, read, object->size);
	return r;
}

void object_done(const struct object *object, void *statement)
{
	static const char *const none = NULL;

	for (size_t i = 0; i < object->n_fields; i++) {
		char *member = (char *)statement + object->fields[i].offset;
		char *text;

		if (object->fields[i].type != &field_owned_text)
			continue;
		memcpy(&text, member, sizeof(text));
		free(text);
		memcpy(member, &none, sizeof(none));
	}
}
