/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A statement's JSON as a table: one row a member, used to encode, to decode and to generate tests.
 *
 * Decoding is strict: every member of the table exactly once and no other, values of the row's type and within its
 * limits, and the one canonical text (compact, members in table order), so that an object has no second encoding.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

struct field;

struct field_type {
	const char *wants; /* completes "member NAME: ..." */
	json_t *(*encode)(const struct field *field, const void *statement); /* new reference */
	int (*decode)(const struct field *field, json_t *value, void *statement, struct err *err);
};

struct field {
	const char *name;
	const struct field_type *type;
	size_t offset, size; /* in the statement's struct; size is that of the whole member */
	size_t count_offset; /* arrays: of the size_t that counts */
	uint64_t min, max;   /* integers: the value; arrays: elements; texts: max bytes */
	bool (*valid)(const char *text); /* texts */
};

struct object {
	const char *name; /* "lease": for messages */
	const char *type; /* payload type */
	const struct field *fields;
	size_t n_fields;
	size_t size; /* of the struct */
	/* What one member says about another; may be NULL. */
	int (*check)(const void *statement, struct err *err);
};

extern const struct field_type field_hex;	    /* bytes of the member's size */
extern const struct field_type field_signing_key;   /* Ed25519, hex, as in an envelope's keyid */
extern const struct field_type field_signing_keys;  /* distinct */
extern const struct field_type field_wireguard_key; /* base64 as wg(8) shows it */
extern const struct field_type field_integer;	    /* members of 2, 4 or 8 bytes, also times */
extern const struct field_type field_text;	    /* char[] */
extern const struct field_type field_owned_text;    /* char *, freed by object_done() */
extern const struct field_type field_addr6, field_addr4;
extern const struct field_type field_overlay6;	/* a ULA /48 */
extern const struct field_type field_overlay4;	/* "" for none */
extern const struct field_type field_labels;	/* an object */
extern const struct field_type field_endpoints; /* "HOST:PORT" */

/* Every statement, for tests; ends with NULL. */
extern const struct object *const trust_objects[];

/* malloc()ed, NULL when out of memory. */
char *object_encode(const struct object *object, const void *statement);
/* -EINVAL, -ENOMEM; *statement is untouched on failure. */
int object_decode(const struct object *object, const char *payload, size_t length, void *statement,
		  struct err *err);
/* Frees owned texts. */
void object_done(const struct object *object, void *statement);
