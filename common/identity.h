/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words that every layer shares about identities: ids, names, labels.
 *
 * An identity id is SHA-256 of the identity's first K3 public key. Names ("site-a/web") and labels
 * ("role=db") are attacker input wherever they come from: every struct below was checked by its parser.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

#define NAME_PART_MAX	63			/* RFC 1123 label */
#define NAME_MAX_TEXT	(2 * NAME_PART_MAX + 2) /* "site/workload" and a NUL */
#define LABEL_KEY_MAX	64
#define LABEL_VALUE_MAX 64
#define LABELS_MAX	32
#define ID_HEX_MAX	65

struct id {
	uint8_t bytes[32];
};

struct label {
	char key[LABEL_KEY_MAX];
	char value[LABEL_VALUE_MAX];
};

/* Sorted by key, keys unique; plain data. */
struct labels {
	struct label items[LABELS_MAX];
	size_t count;
};

struct id id_of_public_key(const uint8_t public_key[32]);
int id_parse(const char *hex, struct id *ret); /* 64 lower-case hex digits; -EINVAL */
const char *id_format(const struct id *id, char text[ID_HEX_MAX]);
int id_compare(const struct id *a, const struct id *b);
static inline bool id_equal(const struct id *a, const struct id *b)
{
	return id_compare(a, b) == 0;
}

/* "site/workload", each [a-z0-9]([a-z0-9-]*[a-z0-9])? of at most 63 characters. */
bool name_valid(const char *name);
/* One part of it; also the grammar of network names. */
bool name_part_valid(const char *part, size_t length);

/* Keys [a-z0-9]([a-z0-9._/-]*[a-z0-9])?, values [A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?, at most 63. */
bool label_key_valid(const char *key);
bool label_value_valid(const char *value);

/* Keeps the order by key. -EEXIST, -ENOSPC, -EINVAL with err filled; reserved ("sortie/") is -EPERM. */
int labels_add(struct labels *labels, const char *key, const char *value, struct err *err);
/* "role=web,env=prod"; the empty text is no labels. -EINVAL. */
int labels_parse(const char *text, struct labels *ret, struct err *err);
/* NULL if missing; borrowed. */
const char *labels_get(const struct labels *labels, const char *key);
/* malloc()ed "env=prod,role=web", the caller's; NULL when out of memory. */
char *labels_format(const struct labels *labels);
