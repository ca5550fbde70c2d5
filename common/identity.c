/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grammar and order of ids, names and labels. Reserved labels are refused here, once for everybody. */
#include "common/identity.h"
#include "common/cleanup.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct id id_of_public_key(const uint8_t public_key[32])
{
	struct id id;
	crypto_hash_sha256(id.bytes, public_key, 32);
	return id;
}

int id_parse(const char *hex, struct id *ret)
{
	struct id id;
	size_t length;

	if (strlen(hex) != ID_HEX_MAX - 1 || strpbrk(hex, "ABCDEF") ||
	    sodium_hex2bin(id.bytes, sizeof(id.bytes), hex, ID_HEX_MAX - 1, NULL, &length, NULL) !=
		    0 ||
	    length != sizeof(id.bytes))
		return -EINVAL;
	*ret = id;
	return 0;
}

const char *id_format(const struct id *id, char text[ID_HEX_MAX])
{
	return sodium_bin2hex(text, ID_HEX_MAX, id->bytes, sizeof(id->bytes));
}

int id_compare(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool name_part_valid(const char *part, size_t length)
{
	if (length == 0 || length > NAME_PART_MAX || !is_lower(part[0]) ||
	    !is_lower(part[length - 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_lower(part[i]) && part[i] != '-')
			return false;
	return true;
}

bool name_valid(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash && name_part_valid(name, (size_t)(slash - name)) &&
	       name_part_valid(slash + 1, strlen(slash + 1));
}

/* First and last character satisfy is_end, the others that or one of extra. */
static bool word_valid(const char *text, size_t max, bool (*is_end)(char), const char *extra)
{
	size_t length = strlen(text);

	if (length == 0 || length >= max || !is_end(text[0]) || !is_end(text[length - 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_end(text[i]) && !strchr(extra, text[i]))
			return false;
	return true;
}

bool label_key_valid(const char *key)
{
	return word_valid(key, LABEL_KEY_MAX, is_lower, "._/-");
}

bool label_value_valid(const char *value)
{
	return word_valid(value, LABEL_VALUE_MAX, is_alnum, "._-");
}

int labels_add(struct labels *labels, const char *key, const char *value, struct err *err)
{
	size_t at = 0;

	if (!label_key_valid(key))
		return err_set(err, "label key \"%.64s\": use a-z 0-9 . _ / -, at most 63", key);
	if (strncmp(key, "sortie/", 7) == 0)
		return err_code(err, -EPERM, "label key \"%.64s\": sortie/ is reserved", key);
	if (!label_value_valid(value))
		return err_set(err, "label %s: value \"%.64s\": use A-Z a-z 0-9 . _ -, at most 63",
			       key, value);
	if (labels->count == LABELS_MAX)
		return err_code(err, -ENOSPC, "more than %d labels", LABELS_MAX);
	while (at < labels->count && strcmp(labels->items[at].key, key) < 0)
		at++;
	if (at < labels->count && strcmp(labels->items[at].key, key) == 0)
		return err_code(err, -EEXIST, "label %s stands twice", key);
	memmove(&labels->items[at + 1], &labels->items[at],
		(labels->count - at) * sizeof(labels->items[0]));
	(void)snprintf(labels->items[at].key, LABEL_KEY_MAX, "%s", key);
	(void)snprintf(labels->items[at].value, LABEL_VALUE_MAX, "%s", value);
	labels->count++;
	return 0;
}

int labels_parse(const char *text, struct labels *ret, struct err *err)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct labels labels = {0};
	char *rest = copy;
	char *item;

	if (!copy)
		return err_code(err, -ENOMEM, "out of memory");
	if (*text) {
		while ((item = strsep(&rest, ","))) {
			char *value = strchr(item, '=');
			int r;

			if (!value)
				return err_set(err, "label \"%.64s\": expected key=value", item);
			*value++ = '\0';
			r = labels_add(&labels, item, value, err);
			if (r < 0)
				return r;
		}
	}
	*ret = labels;
	return 0;
}

const char *labels_get(const struct labels *labels, const char *key)
{
	for (size_t i = 0; i < labels->count; i++)
		if (strcmp(labels->items[i].key, key) == 0)
			return labels->items[i].value;
	return NULL;
}

char *labels_format(const struct labels *labels)
{
	size_t size = labels->count * (LABEL_KEY_MAX + LABEL_VALUE_MAX) + 1;
	char *text = calloc(1, size);
	size_t used = 0;

	for (size_t i = 0; text && i < labels->count; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s=%s", i ? "," : "",
					 labels->items[i].key, labels->items[i].value);
	return text;
}
