/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two policies over two inventories allow differently. Both are resolved, members are given numbers by their id
 * (a renamed identity is the same one), and the two sorted lists of port ranges are subtracted from each other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/evaluate.h"
#include "policy/port.h"

#define DIFF_GRANTS_MAX 1000000

struct triple {
	uint32_t from, to; /* numbers in struct side.ids' common order */
	struct policy_port port;
};

struct side {
	const struct policy_inventory *inventory;
	struct triple *triples; /* sorted, disjoint, not adjacent */
	size_t n;
};

/* All ids of both sides, sorted and unique; the place is the number. */
struct numbers {
	struct id *ids;
	size_t n;
};

static int compare_ids(const void *a, const void *b)
{
	return id_compare(a, b);
}

static int numbers_init(struct numbers *numbers, const struct side sides[2])
{
	size_t kept = 0;

	numbers->ids =
		calloc(sides[0].inventory->n + sides[1].inventory->n + 1, sizeof(*numbers->ids));
	if (!numbers->ids)
		return -ENOMEM;
	for (unsigned int s = 0; s < 2; s++)
		for (size_t i = 0; i < sides[s].inventory->n; i++)
			numbers->ids[numbers->n++] = sides[s].inventory->members[i].id;
	qsort(numbers->ids, numbers->n, sizeof(*numbers->ids), compare_ids);
	for (size_t i = 0; i < numbers->n; i++)
		if (kept == 0 || !id_equal(&numbers->ids[kept - 1], &numbers->ids[i]))
			numbers->ids[kept++] = numbers->ids[i];
	numbers->n = kept;
	return 0;
}

static void numbers_done(struct numbers *numbers)
{
	free(numbers->ids);
}

static uint32_t number_of(const struct numbers *numbers, const struct id *id)
{
	const struct id *found =
		bsearch(id, numbers->ids, numbers->n, sizeof(*numbers->ids), compare_ids);

	return (uint32_t)(found - numbers->ids);
}

static int compare_lane(const struct triple *a, const struct triple *b)
{
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	if (a->to != b->to)
		return a->to < b->to ? -1 : 1;
	return (a->port.protocol > b->port.protocol) - (a->port.protocol < b->port.protocol);
}

static int compare_triples(const void *a, const void *b)
{
	const struct triple *left = a;
	const struct triple *right = b;
	int order = compare_lane(left, right);

	return order ? order : port_compare(&left->port, &right->port);
}

static size_t merge(struct triple *triples, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct triple *last = kept ? &triples[kept - 1] : NULL;
		if (!last || compare_lane(last, &triples[i]) != 0 ||
		    (unsigned int)triples[i].port.low > (unsigned int)last->port.high + 1)
			triples[kept++] = triples[i];
		else if (triples[i].port.high > last->port.high)
			last->port.high = triples[i].port.high;
	}
	return kept;
}

static int side_resolve(struct side *side, const struct policy *policy,
			const struct numbers *numbers, int64_t now)
{
	_cleanup_(freep) struct policy_grant *grants = NULL;
	size_t n;
	int r = policy_resolve(policy, side->inventory, now, -1, DIFF_GRANTS_MAX, &grants, &n);

	if (r < 0)
		return r;
	side->triples = calloc(n + 1, sizeof(*side->triples));
	if (!side->triples)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		side->triples[i] = (struct triple){
			number_of(numbers, &side->inventory->members[grants[i].from].id),
			number_of(numbers, &side->inventory->members[grants[i].to].id),
			grants[i].port,
		};
	qsort(side->triples, n, sizeof(*side->triples), compare_triples);
	side->n = merge(side->triples, n);
	return 0;
}

static void side_done(struct side *side)
{
	free(side->triples);
}

struct changes {
	struct policy_change *items;
	size_t n, size;
};

static void changes_done(struct changes *changes)
{
	free(changes->items);
}

/* names[] are of the side that has the triple. */
static int add_change(struct changes *changes, bool gained, const char *const *names,
		      const struct triple *triple, unsigned int low, unsigned int high)
{
	struct policy_change *change;

	if (changes->n == changes->size) {
		size_t size = changes->size ? 2 * changes->size : 64;
		struct policy_change *items = reallocarray(changes->items, size, sizeof(*items));
		if (!items)
			return -ENOMEM;
		changes->items = items;
		changes->size = size;
	}
	change = &changes->items[changes->n++];
	*change = (struct policy_change){
		.gained = gained,
		.port = {triple->port.protocol, (uint16_t)low, (uint16_t)high},
	};
	(void)snprintf(change->from, sizeof(change->from), "%s", names[triple->from]);
	(void)snprintf(change->to, sizeof(change->to), "%s", names[triple->to]);
	return 0;
}

/* What `has` has and `lacks` lacks. */
static int subtract(struct changes *changes, bool gained, const char *const *names,
		    const struct side *has, const struct side *lacks)
{
	size_t first = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < has->n; i++) {
		const struct triple *triple = &has->triples[i];
		unsigned int low = triple->port.low;
		while (first < lacks->n && (compare_lane(&lacks->triples[first], triple) < 0 ||
					    (compare_lane(&lacks->triples[first], triple) == 0 &&
					     lacks->triples[first].port.high < low)))
			first++;
		for (size_t j = first; r == 0 && j < lacks->n; j++) {
			const struct triple *hole = &lacks->triples[j];
			if (compare_lane(hole, triple) != 0 || hole->port.low > triple->port.high)
				break;
			if (hole->port.low > low)
				r = add_change(changes, gained, names, triple, low,
					       hole->port.low - 1u);
			low = hole->port.high + 1u;
		}
		if (r == 0 && low <= triple->port.high)
			r = add_change(changes, gained, names, triple, low, triple->port.high);
	}
	return r;
}

/* subtract() with the names of the side that has; malloc()ed table, by number. */
static int subtract_named(struct changes *changes, bool gained, const struct numbers *numbers,
			  const struct side *has, const struct side *lacks)
{
	_cleanup_(freep) const char **names = calloc(numbers->n + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < has->inventory->n; i++)
		names[number_of(numbers, &has->inventory->members[i].id)] =
			has->inventory->members[i].name;
	return subtract(changes, gained, names, has, lacks);
}

static int compare_changes(const void *a, const void *b)
{
	const struct policy_change *left = a;
	const struct policy_change *right = b;
	int order = strcmp(left->from, right->from);

	if (order == 0)
		order = strcmp(left->to, right->to);
	if (order == 0)
		order = port_compare(&left->port, &right->port);
	return order ? order : left->gained - right->gained;
}

int policy_diff(const struct policy *before, const struct policy_inventory *inventory_before,
		const struct policy *after, const struct policy_inventory *inventory_after,
		int64_t now, struct policy_change **ret, size_t *ret_n)
{
	static const struct policy no_policy;
	static const struct policy_inventory nobody;
	_cleanup_(side_done) struct side old = {.inventory = before ? inventory_before : &nobody};
	_cleanup_(side_done) struct side new = {.inventory = inventory_after};
	_cleanup_(changes_done) struct changes changes = {0};
	_cleanup_(numbers_done) struct numbers numbers = {0};
	int r = numbers_init(&numbers, (struct side[]){old, new});

	if (r == 0)
		r = side_resolve(&old, before ? before : &no_policy, &numbers, now);
	if (r == 0)
		r = side_resolve(&new, after, &numbers, now);
	if (r == 0)
		r = subtract_named(&changes, false, &numbers, &old, &new);
	if (r == 0)
		r = subtract_named(&changes, true, &numbers, &new, &old);
	if (r == 0 && !changes.items && !(changes.items = calloc(1, sizeof(*changes.items))))
		r = -ENOMEM;
	if (r < 0)
		return r;
	if (changes.n)
		qsort(changes.items, changes.n, sizeof(*changes.items), compare_changes);
	*ret = take_pointer(changes.items);
	*ret_n = changes.n;
	return 0;
}
