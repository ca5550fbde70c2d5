/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which peers a change concerns, what they have, what they should have.
 *
 * Old and new tuples are compared in the order in which they come. A tuple that does not find its equal concerns its peer,
 * so an order that is not the same twice costs time, nothing else.
 */
#include "firewall/part.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"

#define AHEAD_MAX	1024 /* tuples inserted or taken out in one place */
#define DIFFERENCES_MAX 2048 /* places */
#define PEERS_MAX	512

struct scope {
	const struct fw_desired *old, *new;
	const struct elements *whole;
	bool *peers; /* owned; those that the change concerns */
	size_t n_peers;
	bool intervals;
	struct addr *addrs; /* owned; theirs, sorted */
	size_t n_addrs;
	struct part *part;
	struct delta *delta;
};

void part_done(struct part *part)
{
	elements_done(&part->actual);
	elements_done(&part->desired);
	free(part->places);
	free(part->edits);
	*part = (struct part){0};
}

/* ---- whom it concerns ---- */

static bool is_wide(const struct fw_tuple *tuple)
{
	return tuple->protocol != IPPROTO_ICMP && tuple->port_high - tuple->port_low >= RANGE_WIDE;
}

/* Nothing that elements_of() would refuse; a bound is enough here. */
static bool acceptable(const struct fw_desired *desired)
{
	size_t bound = desired->n_hubs + desired->n_container_ifnames + INTERVALS_MAX +
		       6 * desired->n_peers;

	for (size_t i = 0; i < desired->n_tuples; i++) {
		const struct fw_tuple *tuple = &desired->tuples[i];

		if (tuple->peer >= desired->n_peers || tuple->port_low > tuple->port_high)
			return false;
		if (tuple->protocol == IPPROTO_ICMP)
			bound += 2;
		else if (!is_wide(tuple))
			bound += 2 * ((size_t)tuple->port_high - tuple->port_low + 1);
	}
	return bound <= ELEMENTS_MAX;
}

static bool same_tuple(const struct fw_tuple *a, const struct fw_tuple *b)
{
	return a->peer == b->peer && a->inbound == b->inbound && a->protocol == b->protocol &&
	       a->port_low == b->port_low && a->port_high == b->port_high &&
	       a->left_s == b->left_s && a->on_loss_keep == b->on_loss_keep;
}

/* The peers of tuples [from, to). */
static void concern(struct scope *scope, const struct fw_desired *desired, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		bool *peer = &scope->peers[desired->tuples[i].peer];

		scope->n_peers += !*peer;
		*peer = true;
	}
}

/* How many tuples further on there is an equal one; 0: nowhere near. */
static size_t ahead(const struct fw_tuple *tuples, size_t n, const struct fw_tuple *tuple)
{
	for (size_t i = 1; i < n && i <= AHEAD_MAX; i++)
		if (same_tuple(&tuples[i], tuple))
			return i;
	return 0;
}

/* Where old and new differ: some are gone, some have come, or one is in another's place. */
static void step(struct scope *scope, size_t *o, size_t *n)
{
	const struct fw_tuple *old = &scope->old->tuples[*o], *new = &scope->new->tuples[*n];
	size_t gone = ahead(old, scope->old->n_tuples - *o, new);
	size_t come = ahead(new, scope->new->n_tuples - *n, old);

	if (!gone && !come)
		gone = come = 1;
	else if (gone && (!come || gone <= come))
		come = 0;
	else
		gone = 0;
	concern(scope, scope->old, *o, *o + gone);
	concern(scope, scope->new, *n, *n + come);
	*o += gone;
	*n += come;
}

static bool compare_tuples(struct scope *scope)
{
	const struct fw_desired *old = scope->old, *new = scope->new;
	size_t o = 0, n = 0, differences = 0;

	while (o < old->n_tuples && n < new->n_tuples && scope->n_peers <= PEERS_MAX) {
		if (!same_tuple(&old->tuples[o], &new->tuples[n])) {
			if (++differences > DIFFERENCES_MAX)
				return false;
			step(scope, &o, &n);
			continue;
		}
		if (new->tuples[n].left_s)
			concern(scope, new, n, n + 1);
		o++;
		n++;
	}
	concern(scope, old, o, old->n_tuples);
	concern(scope, new, n, new->n_tuples);
	return scope->n_peers <= PEERS_MAX;
}

static bool touches_wide(const struct scope *scope, const struct fw_desired *desired)
{
	for (size_t i = 0; i < desired->n_tuples; i++)
		if (is_wide(&desired->tuples[i]) && scope->peers[desired->tuples[i].peer])
			return true;
	return false;
}

static void concern_wide(struct scope *scope, const struct fw_desired *desired)
{
	for (size_t i = 0; i < desired->n_tuples; i++)
		if (is_wide(&desired->tuples[i]))
			concern(scope, desired, i, i + 1);
}

/* Intervals are made of all wide ranges together, and are limited together. */
static bool find_concerned(struct scope *scope)
{
	scope->peers = calloc(scope->new->n_peers + 1, sizeof(*scope->peers));
	if (!scope->peers || !compare_tuples(scope))
		return false;
	scope->intervals = touches_wide(scope, scope->old) || touches_wide(scope, scope->new);
	/* Who had a wide range and has none now is concerned already. */
	if (scope->intervals)
		concern_wide(scope, scope->new);
	return scope->n_peers <= PEERS_MAX;
}

/* ---- what they have ---- */

static int by_address(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static bool collect_addresses(struct scope *scope)
{
	scope->addrs = calloc(2 * scope->n_peers + 1, sizeof(*scope->addrs));
	if (!scope->addrs)
		return false;
	for (size_t i = 0; i < scope->new->n_peers; i++) {
		const struct fw_peer *peer = &scope->new->peers[i];

		if (scope->peers[i] && addr_is_set(&peer->ipv6))
			scope->addrs[scope->n_addrs++] = peer->ipv6;
		if (scope->peers[i] && addr_is_set(&peer->ipv4))
			scope->addrs[scope->n_addrs++] = peer->ipv4;
	}
	qsort(scope->addrs, scope->n_addrs, sizeof(*scope->addrs), by_address);
	return true;
}

/* The first element that is not less. */
static size_t place_of(const struct elements *whole, size_t low, size_t high,
		       const struct element *element)
{
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (element_compare(&whole->items[middle], element) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Elements of one set, [low, high) of the whole. */
static int take(struct scope *scope, size_t low, size_t high)
{
	struct part *part = scope->part;
	size_t *places;
	int r = 0;

	if (low == high)
		return 0;
	places = reallocarray(part->places, part->actual.n + high - low, sizeof(*places));
	if (!places)
		return -ENOMEM;
	part->places = places;
	for (size_t i = low; r == 0 && i < high; i++) {
		places[part->actual.n] = i;
		r = elements_add(&part->actual, &scope->whole->items[i]);
	}
	return r;
}

static int take_address(struct scope *scope, unsigned int set, const struct addr *addr, size_t low,
			size_t high)
{
	struct element first = {.set = (uint8_t)set}, last = first;
	unsigned int length = addr_length(addr);

	memset(last.key, UINT8_MAX, sizeof(last.key));
	memset(last.end, UINT8_MAX, sizeof(last.end));
	memcpy(first.key, addr->bytes, length);
	memcpy(last.key, addr->bytes, length);
	low = place_of(scope->whole, low, high, &first);
	return take(scope, low, place_of(scope->whole, low, high, &last));
}

static int take_addresses(struct scope *scope, unsigned int set, size_t low, size_t high)
{
	int family = set % 2 ? AF_INET6 : AF_INET;
	int r = 0;

	for (size_t i = 0; r == 0 && low < high && i < scope->n_addrs; i++)
		if (scope->addrs[i].family == family)
			r = take_address(scope, set, &scope->addrs[i], low, high);
	return r;
}

static int take_set(struct scope *scope, unsigned int set, size_t low, size_t high)
{
	unsigned int kind = set / 2;

	if (set_rows[kind].interval)
		return scope->intervals ? take(scope, low, high) : 0;
	if (kind == SET_LIVE)
		return take(scope, low, high);
	if (kind >= SET_IN && kind <= SET_OUT_ECHO_KEEP)
		return take_addresses(scope, set, low, high);
	return 0; /* made of peers and options, which are as before */
}

static int take_actual(struct scope *scope)
{
	size_t low = 0;
	int r = 0;

	for (unsigned int set = 0; r == 0 && set < N_SETS; set++) {
		const struct element next = {.set = (uint8_t)(set + 1)};
		size_t high = place_of(scope->whole, low, scope->whole->n, &next);

		r = take_set(scope, set, low, high);
		low = high;
	}
	return r;
}

/* ---- the difference ---- */

static void add_edit(struct part *part, enum edit_kind kind, size_t at, const struct element *item)
{
	part->edits[part->n_edits++] = (struct edit){kind, at, item};
}

static bool same_content(const struct element *a, const struct element *b)
{
	return a->data == b->data && a->timeout_ms == b->timeout_ms &&
	       a->expires_ms == b->expires_ms;
}

static bool find_edits(struct part *part, const struct elements *whole)
{
	const struct elements *actual = &part->actual, *desired = &part->desired;
	size_t a = 0, d = 0;

	part->edits = calloc(actual->n + desired->n + 1, sizeof(*part->edits));
	if (!part->edits)
		return false;
	while (a < actual->n || d < desired->n) {
		const struct element *old = a < actual->n ? &actual->items[a] : NULL;
		const struct element *new = d < desired->n ? &desired->items[d] : NULL;
		int order = !old ? 1 : !new ? -1 : element_compare(old, new);

		if (order < 0)
			add_edit(part, EDIT_REMOVE, part->places[a], NULL);
		else if (order > 0)
			add_edit(part, EDIT_INSERT, place_of(whole, 0, whole->n, new), new);
		else if (!same_content(old, new))
			add_edit(part, EDIT_REPLACE, part->places[a], new);
		a += order <= 0;
		d += order >= 0;
	}
	return true;
}

static bool find(struct scope *scope, int64_t now_ms)
{
	struct part *part = scope->part;

	if (!find_concerned(scope) || !collect_addresses(scope) || take_actual(scope) < 0 ||
	    elements_of_some(scope->new, scope->peers, scope->intervals, &part->desired) < 0)
		return false;
	elements_stamp(&part->desired, now_ms);
	if (delta_of_elements(&part->actual, &part->desired, now_ms, scope->delta) < 0)
		return false;
	elements_keep_ends(&part->actual, &part->desired);
	return find_edits(part, scope->whole);
}

bool part_of(const struct memory *memory, const struct elements *actual,
	     const struct fw_desired *desired, int64_t now_ms, struct part *ret,
	     struct delta *ret_delta)
{
	struct part part = {0};
	struct delta delta = {0};
	struct scope scope = {.old = &memory->desired,
			      .new = desired,
			      .whole = actual,
			      .part = &part,
			      .delta = &delta};
	bool found = memory_matches(memory, desired) && acceptable(desired) && find(&scope, now_ms);

	free(scope.peers);
	free(scope.addrs);
	if (!found) {
		part_done(&part);
		delta_done(&delta);
		return false;
	}
	*ret = part;
	*ret_delta = delta;
	return true;
}

/* ---- the whole ---- */

/* By how much an edit moves what stands behind it. */
static ptrdiff_t shift_of(const struct edit *edit)
{
	return edit->kind == EDIT_INSERT ? 1 : edit->kind == EDIT_REMOVE ? -1 : 0;
}

int part_reserve(const struct part *part, struct elements *whole)
{
	size_t need = whole->n + part->n_edits;
	struct element *items;

	if (need <= whole->size)
		return 0;
	need += need / 16; /* a larger block may be another one: not every time */
	items = reallocarray(whole->items, need, sizeof(*items));
	if (!items)
		return -ENOMEM;
	whole->items = items;
	whole->size = need;
	return 0;
}

/* Moves what stands between an edit and the next one. */
static void move(const struct part *part, const struct elements *whole, size_t i, ptrdiff_t shift)
{
	const struct edit *edit = &part->edits[i];
	size_t from = edit->at + (edit->kind == EDIT_INSERT ? 0 : 1);
	size_t to = i + 1 < part->n_edits ? part->edits[i + 1].at : whole->n;

	memmove(&whole->items[(ptrdiff_t)from + shift], &whole->items[from],
		(to - from) * sizeof(*whole->items));
}

void part_settle(const struct part *part, struct elements *whole)
{
	ptrdiff_t shift = 0;

	/* What moves to the front, from the front; then what moves back, from the back: nothing lands on what waits. */
	for (size_t i = 0; i < part->n_edits; i++) {
		shift += shift_of(&part->edits[i]);
		if (shift < 0)
			move(part, whole, i, shift);
	}
	for (size_t i = part->n_edits; i-- > 0;) {
		if (shift > 0)
			move(part, whole, i, shift);
		shift -= shift_of(&part->edits[i]);
	}
	for (size_t i = 0; i < part->n_edits; i++) {
		const struct edit *edit = &part->edits[i];

		if (edit->item)
			whole->items[(ptrdiff_t)edit->at + shift] = *edit->item;
		shift += shift_of(edit);
	}
	whole->n = (size_t)((ptrdiff_t)whole->n + shift);
}
