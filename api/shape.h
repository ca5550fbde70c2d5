/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON messages as tables: one row per member says name, kind, place and limit, and the same table encodes, decodes
 * and frees. Used by message.c, admin.c and local.c; programs use the functions of those.
 *
 * Decoding is strict: unknown, missing and duplicate members, wrong kinds, control characters and anything over a
 * limit are refused. A member's JSON name is its name in C.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/err.h"

enum shape_kind {
	SHAPE_TEXT, /* char *, owned; NULL is left out where optional */
	SHAPE_CHARS, /* char[limit], one line without control characters; "" is left out where optional */
	SHAPE_NAME,   /* char[NAME_MAX_TEXT], name_valid() */
	SHAPE_U64,    /* uint64_t, at most INT64_MAX */
	SHAPE_U32,    /* uint32_t */
	SHAPE_I64,    /* int64_t */
	SHAPE_BOOL,   /* bool */
	SHAPE_ADDR,   /* struct addr as text; unset is left out where optional */
	SHAPE_ID,     /* struct id as hex */
	SHAPE_LABELS, /* struct labels as an object */
	SHAPE_STRUCT, /* a struct of its own shape */
	SHAPE_LIST,   /* owned array of structs of one shape, and a count */
	SHAPE_TEXTS, /* owned array of owned char *, and a count; none is left out where optional */
};

struct shape;

struct shape_field {
	const char *name;
	enum shape_kind kind;
	size_t offset;
	size_t limit; /* bytes of a text with its NUL, or elements of a list */
	bool optional;
	const struct shape *shape; /* STRUCT, LIST */
	size_t count_offset;	   /* LIST, TEXTS: where the size_t is */
	size_t text_limit;	   /* TEXTS: bytes of one text with its NUL */
};

struct shape {
	const char *name;   /* of the C struct, and in docs/openapi.yaml */
	const char *schema; /* "sortie.status/1": written first and demanded; NULL: none */
	size_t size;	    /* of the C struct */
	const struct shape_field *fields;
	size_t n_fields;
};

#define SHAPE_FIELD(type, member, kind_, ...)                                                      \
	{                                                                                          \
		.name = #member, .kind = kind_, .offset = offsetof(type, member), __VA_ARGS__      \
	}
#define FIELD_TEXT(type, member, max) SHAPE_FIELD(type, member, SHAPE_TEXT, .limit = (max))
#define FIELD_TEXT_OPTIONAL(type, member, max)                                                     \
	SHAPE_FIELD(type, member, SHAPE_TEXT, .limit = (max), .optional = true)
#define FIELD_CHARS(type, member)                                                                  \
	SHAPE_FIELD(type, member, SHAPE_CHARS, .limit = sizeof(((type *)0)->member))
#define FIELD_CHARS_OPTIONAL(type, member)                                                         \
	SHAPE_FIELD(type, member, SHAPE_CHARS, .limit = sizeof(((type *)0)->member),               \
		    .optional = true)
#define FIELD_NAME(type, member)	  SHAPE_FIELD(type, member, SHAPE_NAME, .limit = 0)
#define FIELD_NAME_OPTIONAL(type, member) SHAPE_FIELD(type, member, SHAPE_NAME, .optional = true)
#define FIELD_U64(type, member)		  SHAPE_FIELD(type, member, SHAPE_U64, .limit = 0)
#define FIELD_U32(type, member)		  SHAPE_FIELD(type, member, SHAPE_U32, .limit = 0)
#define FIELD_I64(type, member)		  SHAPE_FIELD(type, member, SHAPE_I64, .limit = 0)
#define FIELD_BOOL(type, member)	  SHAPE_FIELD(type, member, SHAPE_BOOL, .limit = 0)
#define FIELD_ADDR(type, member)	  SHAPE_FIELD(type, member, SHAPE_ADDR, .optional = true)
#define FIELD_ID(type, member)		  SHAPE_FIELD(type, member, SHAPE_ID, .limit = 0)
#define FIELD_LABELS(type, member)	  SHAPE_FIELD(type, member, SHAPE_LABELS, .limit = 0)
#define FIELD_STRUCT(type, member, shape_)                                                         \
	SHAPE_FIELD(type, member, SHAPE_STRUCT, .shape = (shape_))
#define FIELD_LIST(type, member, max, shape_)                                                      \
	SHAPE_FIELD(type, member, SHAPE_LIST, .limit = (max), .shape = (shape_),                   \
		    .count_offset = offsetof(type, n_##member))
#define FIELD_TEXTS(type, member, max, text_max)                                                   \
	SHAPE_FIELD(type, member, SHAPE_TEXTS, .limit = (max), .text_limit = (text_max),           \
		    .count_offset = offsetof(type, n_##member))

/* Left out where it is empty: older programs refuse what they do not know. */
#define FIELD_TEXTS_OPTIONAL(type, member, max, text_max)                                          \
	SHAPE_FIELD(type, member, SHAPE_TEXTS, .limit = (max), .text_limit = (text_max),           \
		    .count_offset = offsetof(type, n_##member), .optional = true)

/* The shape of `struct type` from the array type##_fields. */
#define SHAPE(type, schema_)                                                                       \
	const struct shape type##_shape = {                                                        \
		.name = #type,                                                                     \
		.schema = (schema_),                                                               \
		.size = sizeof(struct type),                                                       \
		.fields = type##_fields,                                                           \
		.n_fields = sizeof(type##_fields) / sizeof(type##_fields[0]),                      \
	}

/* The three functions of a message, from its shape. */
#define SHAPE_FUNCTIONS(type)                                                                      \
	char *type##_encode(const struct type *m)                                                  \
	{                                                                                          \
		return shape_encode(&type##_shape, m);                                             \
	}                                                                                          \
	int type##_decode(const char *text, size_t length, struct type *ret, struct err *err)      \
	{                                                                                          \
		return shape_decode(&type##_shape, text, length, ret, err);                        \
	}                                                                                          \
	void type##_done(struct type *m)                                                           \
	{                                                                                          \
		shape_done(&type##_shape, m);                                                      \
	}                                                                                          \
	struct shape_needs_semicolon

/* Declares them; for headers. */
#define MESSAGE_FUNCTIONS(type)                                                                    \
	char *type##_encode(const struct type *m);                                                 \
	int type##_decode(const char *text, size_t length, struct type *ret, struct err *err);     \
	void type##_done(struct type *m)

/* malloc()ed compact JSON; NULL: out of memory, or a text that is not UTF-8. */
char *shape_encode(const struct shape *shape, const void *object);
/* 0, -EINVAL or -ENOMEM with err filled; ret is untouched on failure. */
int shape_decode(const struct shape *shape, const char *text, size_t length, void *ret,
		 struct err *err);
/* Frees what decoding allocated and clears the object; NULL is fine. */
void shape_done(const struct shape *shape, void *object);

/* False where the text holds control characters (C0, DEL, C1). */
bool shape_line_valid(const char *text);
