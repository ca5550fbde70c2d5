/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table sorted by join key; one line is "JOINKEY ID GENERATION IPV4|-", the last line is "end COUNT". */
#include "daemon/seen.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE (KEY_HEX_MAX + ID_HEX_MAX + 24 + ADDR_TEXT_MAX + 4)

struct entry {
	struct key join_key;
	struct id id;
	uint64_t generation;
	struct addr ipv4;
};

struct seen {
	struct entry *entries;
	size_t n, size;
};

int seen_new(struct seen **ret)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	*ret = seen;
	return 0;
}

void seen_free(struct seen *seen)
{
	if (!seen)
		return;
	free(seen->entries);
	free(seen);
}

size_t seen_count(const struct seen *seen)
{
	return seen->n;
}

/* The place of join_key, or where it would stand. */
static size_t find(const struct seen *seen, const struct key *join_key)
{
	size_t low = 0, high = seen->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (key_compare(&seen->entries[middle].join_key, join_key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int insert(struct seen *seen, size_t at, const struct entry *entry)
{
	if (seen->n >= SEEN_MAX)
		return -ENOSPC;
	if (seen->n == seen->size) {
		size_t size = seen->size ? seen->size * 2 : 64;
		struct entry *entries = reallocarray(seen->entries, size, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		seen->entries = entries;
		seen->size = size;
	}
	memmove(&seen->entries[at + 1], &seen->entries[at], (seen->n - at) * sizeof(*entry));
	seen->entries[at] = *entry;
	seen->n++;
	return 0;
}

/* An address belongs to whoever came with it first. Only asked when one is pinned, so a scan is cheap enough. */
static bool ipv4_taken(const struct seen *seen, const struct verified_identity *v)
{
	for (size_t i = 0; i < seen->n && addr_is_set(&v->ipv4); i++)
		if (addr_equal(&seen->entries[i].ipv4, &v->ipv4) &&
		    !id_equal(&seen->entries[i].id, &v->id))
			return true;
	return false;
}

static int refuse_ipv4(const struct verified_identity *v, struct err *err)
{
	return err_code(err, -EKEYREJECTED, "\"%s\" claims the IPv4 address of another: refused",
			v->member.name);
}

static int check_known(const struct seen *seen, struct entry *entry,
		       const struct verified_identity *v, bool *ret_new, struct err *err)
{
	if (!id_equal(&entry->id, &v->id))
		return err_code(err, -EKEYREJECTED,
				"\"%s\" is a second identity under one join token: refused",
				v->member.name);
	if (v->generation < entry->generation)
		return err_code(err, -ESTALE,
				"the WireGuard key of \"%s\" went back to an older one",
				v->member.name);
	if (addr_is_set(&entry->ipv4) && addr_is_set(&v->ipv4) &&
	    !addr_equal(&entry->ipv4, &v->ipv4))
		return err_code(err, -EKEYREJECTED,
				"\"%s\" comes with another IPv4 address: refused", v->member.name);
	if (!addr_is_set(&entry->ipv4) && ipv4_taken(seen, v))
		return refuse_ipv4(v, err);
	if (v->generation > entry->generation ||
	    (addr_is_set(&v->ipv4) && !addr_is_set(&entry->ipv4))) {
		entry->generation = v->generation;
		if (addr_is_set(&v->ipv4))
			entry->ipv4 = v->ipv4;
		*ret_new = true;
	}
	return 0;
}

int seen_check(struct seen *seen, const struct verified_identity *identity, bool *ret_new,
	       struct err *err)
{
	size_t at = find(seen, &identity->join_key);
	struct entry entry = {.join_key = identity->join_key,
			      .id = identity->id,
			      .generation = identity->generation,
			      .ipv4 = identity->ipv4};
	int r;

	if (at < seen->n && key_equal(&seen->entries[at].join_key, &identity->join_key))
		return check_known(seen, &seen->entries[at], identity, ret_new, err);
	if (ipv4_taken(seen, identity))
		return refuse_ipv4(identity, err);
	r = insert(seen, at, &entry);
	if (r < 0)
		return err_code(err, r, "more than %d identities seen: no place for \"%s\"",
				SEEN_MAX, identity->member.name);
	*ret_new = true;
	return 0;
}

char *seen_format(const struct seen *seen)
{
	size_t size = (seen->n + 1) * LINE_SIZE, at = 0;
	char *text = malloc(size);

	if (!text)
		return NULL;
	for (size_t i = 0; i < seen->n; i++) {
		const struct entry *e = &seen->entries[i];
		char key[KEY_HEX_MAX], id[ID_HEX_MAX], ipv4[ADDR_TEXT_MAX];
		at += (size_t)snprintf(text + at, size - at, "%s %s %" PRIu64 " %s\n",
				       key_format_hex(&e->join_key, key), id_format(&e->id, id),
				       e->generation,
				       addr_is_set(&e->ipv4) ? addr_format(&e->ipv4, ipv4) : "-");
	}
	(void)snprintf(text + at, size - at, "end %zu\n", seen->n);
	return text;
}

static int parse_line(const char *line, struct entry *ret)
{
	char key[KEY_HEX_MAX], id[ID_HEX_MAX], ipv4[ADDR_TEXT_MAX];
	struct entry entry = {0};
	int end = 0;

	if (sscanf(line, "%64s %64s %" SCNu64 " %45s%n", key, id, &entry.generation, ipv4, &end) !=
		    4 ||
	    line[end] != '\n')
		return -EINVAL;
	if (key_parse_hex(key, &entry.join_key) < 0 || id_parse(id, &entry.id) < 0)
		return -EINVAL;
	if (strcmp(ipv4, "-") != 0 && addr_parse(ipv4, &entry.ipv4) < 0)
		return -EINVAL;
	*ret = entry;
	return 0;
}

int seen_parse(const char *text, struct seen **ret, struct err *err)
{
	_cleanup_(seen_freep) struct seen *seen = NULL;
	struct entry entry;
	char end[32];
	int r = seen_new(&seen);

	if (r < 0)
		return r;
	while (parse_line(text, &entry) == 0) {
		r = insert(seen, seen->n, &entry);
		if (r < 0)
			return r;
		if (seen->n > 1 &&
		    key_compare(&seen->entries[seen->n - 2].join_key, &entry.join_key) >= 0)
			return err_set(err, "identities seen before: out of order");
		text = strchr(text, '\n') + 1;
	}
	(void)snprintf(end, sizeof(end), "end %zu\n", seen->n);
	if (strcmp(text, end) != 0)
		return err_set(err, "identities seen before: damaged after entry %zu", seen->n);
	*ret = take_pointer(seen);
	return 0;
}
