/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which identities are revoked, and whether the list reaches the floor that a policy names. */
#include "trust/tombstones.h"
#include "common/cleanup.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* The first place in n sorted ids whose id is not less than id. */
static size_t place_of(const struct id *sorted, size_t n, const struct id *id)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (id_compare(&sorted[middle], id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool have(const struct id *sorted, size_t n, const struct id *id)
{
	size_t place = place_of(sorted, n, id);

	return place < n && id_equal(&sorted[place], id);
}

bool tombstones_have(const struct tombstones *tombstones, const struct id *id)
{
	return have(tombstones->sorted, tombstones->n, id);
}

bool tombstones_have_text(const struct tombstones *tombstones, const struct id *text)
{
	return have(tombstones->texts, tombstones->n, text);
}

static int grow_ids(struct id **ids, size_t n)
{
	struct id *longer = reallocarray(*ids, n, sizeof(**ids));

	if (!longer)
		return -ENOMEM;
	*ids = longer;
	return 0;
}

static int grow(struct tombstones *tombstones)
{
	size_t n = tombstones->allocated ? 2 * tombstones->allocated : 64;
	struct tombstone *arrived;

	if (tombstones->n < tombstones->allocated)
		return 0;
	if (tombstones->n == TOMBSTONES_MAX)
		return -ENOMEM;
	if (grow_ids(&tombstones->sorted, n) < 0 || grow_ids(&tombstones->texts, n) < 0)
		return -ENOMEM;
	arrived = reallocarray(tombstones->arrived, n, sizeof(*arrived));
	if (!arrived)
		return -ENOMEM;
	tombstones->arrived = arrived;
	tombstones->allocated = n;
	return 0;
}

/* There is room for one more. */
static void insert(struct id *sorted, size_t n, const struct id *id)
{
	size_t place = place_of(sorted, n, id);

	memmove(&sorted[place + 1], &sorted[place], (n - place) * sizeof(sorted[0]));
	sorted[place] = *id;
}

int tombstones_add(struct tombstones *tombstones, const struct id *id, int64_t at,
		   const struct id *text)
{
	if (tombstones_have(tombstones, id))
		return 0;
	if (grow(tombstones) < 0)
		return -ENOMEM;
	insert(tombstones->sorted, tombstones->n, id);
	insert(tombstones->texts, tombstones->n, text);
	tombstones->arrived[tombstones->n++] = (struct tombstone){*id, at};
	return 0;
}

static void hash_ids(const struct id *ids, size_t n, uint8_t ret[32])
{
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < n; i++)
		(void)crypto_hash_sha256_update(&state, ids[i].bytes, sizeof(ids[i].bytes));
	(void)crypto_hash_sha256_final(&state, ret);
}

void tombstones_hash(const struct tombstones *tombstones, uint8_t ret[32])
{
	hash_ids(tombstones->sorted, tombstones->n, ret);
}

static int by_id(const void *a, const void *b)
{
	return id_compare(a, b);
}

static int by_time(const void *a, const void *b)
{
	const struct tombstone *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return id_compare(&x->id, &y->id);
}

/* ids is room for n. */
static bool first_have_hash(const struct tombstone *list, size_t n, struct id *ids,
			    const uint8_t hash[32])
{
	uint8_t found[32];

	for (size_t i = 0; i < n; i++)
		ids[i] = list[i].id;
	if (n > 0)
		qsort(ids, n, sizeof(ids[0]), by_id);
	hash_ids(ids, n, found);
	return memcmp(found, hash, sizeof(found)) == 0;
}

int tombstones_reach(const struct tombstones *tombstones, size_t n, const uint8_t hash[32])
{
	_cleanup_(freep) struct tombstone *list = NULL;
	_cleanup_(freep) struct id *ids = NULL;

	if (n > tombstones->n)
		return -EKEYREJECTED;
	ids = calloc(n + 1, sizeof(*ids));
	list = calloc(tombstones->n + 1, sizeof(*list));
	if (!ids || !list)
		return -ENOMEM;
	if (tombstones->n > 0) {
		memcpy(list, tombstones->arrived, tombstones->n * sizeof(*list));
		if (first_have_hash(list, n, ids, hash))
			return 0;
		qsort(list, tombstones->n, sizeof(*list), by_time);
	}
	return first_have_hash(list, n, ids, hash) ? 0 : -EKEYREJECTED;
}

void tombstones_done(struct tombstones *tombstones)
{
	free(tombstones->sorted);
	free(tombstones->texts);
	free(tombstones->arrived);
	*tombstones = (struct tombstones){0};
}
