/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One sweep over ports for each (set, prefix, protocol): at most a thousand boxes, so the quadratic search for those that
 * cover a port is cheap and plain.
 */
#include "firewall/boxes.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include "common/cleanup.h"

struct output {
	struct box *boxes;
	size_t n, limit;
};

static int compare(const void *left, const void *right)
{
	const struct box *a = left, *b = right;
	int r;

	if (a->set != b->set)
		return a->set < b->set ? -1 : 1;
	r = prefix_compare(&a->prefix, &b->prefix);
	if (r)
		return r;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	return a->low < b->low ? -1 : a->low > b->low;
}

static bool same_group(const struct box *a, const struct box *b)
{
	return a->set == b->set && a->protocol == b->protocol &&
	       prefix_compare(&a->prefix, &b->prefix) == 0;
}

/* Does `wide` open this port for all of inner's prefix, from a prefix of its own? */
static bool covered_from_outside(const struct box *wide, const struct box *inner, uint32_t port)
{
	return wide->set == inner->set && wide->protocol == inner->protocol &&
	       wide->prefix.length < inner->prefix.length &&
	       prefix_contains(&wide->prefix, &inner->prefix.addr) && wide->low <= port &&
	       port <= wide->high;
}

static uint32_t longer(uint32_t a, uint32_t b)
{
	return !a || !b ? 0 : a > b ? a : b;
}

/* What holds at this port: false if nothing, or if a wider prefix says it already. */
static bool at_port(const struct box *boxes, size_t n, const struct box *group, uint32_t port,
		    uint32_t *ret_timeout_ms)
{
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (covered_from_outside(&boxes[i], group, port))
			return false;
		if (!same_group(&boxes[i], group) || port < boxes[i].low || port > boxes[i].high)
			continue;
		*ret_timeout_ms =
			found ? longer(*ret_timeout_ms, boxes[i].timeout_ms) : boxes[i].timeout_ms;
		found = true;
	}
	return found;
}

/* The first port behind `port` at which the answer may be another one. */
static uint32_t next_edge(const struct box *boxes, size_t n, const struct box *group, uint32_t port)
{
	uint32_t edge = 0x10000;

	for (size_t i = 0; i < n; i++) {
		if (boxes[i].set != group->set || boxes[i].protocol != group->protocol)
			continue;
		if (boxes[i].low > port && boxes[i].low < edge)
			edge = boxes[i].low;
		if (boxes[i].high >= port && (uint32_t)boxes[i].high + 1 < edge)
			edge = (uint32_t)boxes[i].high + 1;
	}
	return edge;
}

static int emit(struct output *output, const struct box *group, uint32_t low, uint32_t end,
		uint32_t timeout_ms)
{
	struct box *last = output->n ? &output->boxes[output->n - 1] : NULL;
	struct box box = *group;

	if (last && same_group(last, group) && (uint32_t)last->high + 1 == low &&
	    last->timeout_ms == timeout_ms) {
		last->high = (uint16_t)(end - 1);
		return 0;
	}
	if (output->n == output->limit)
		return -E2BIG;
	box.low = (uint16_t)low;
	box.high = (uint16_t)(end - 1);
	box.timeout_ms = timeout_ms;
	output->boxes[output->n++] = box;
	return 0;
}

static int sweep(const struct box *boxes, size_t n, const struct box *group, struct output *output)
{
	uint32_t port = 0;
	int r = 0;

	while (r == 0 && port < 0x10000) {
		uint32_t timeout_ms = 0, edge = next_edge(boxes, n, group, port);

		if (at_port(boxes, n, group, port, &timeout_ms))
			r = emit(output, group, port, edge, timeout_ms);
		port = edge;
	}
	return r;
}

int boxes_disjoint(const struct box *boxes, size_t n, size_t limit, struct box **ret, size_t *ret_n)
{
	_cleanup_(freep) struct box *sorted = NULL;
	_cleanup_(freep) struct box *result = NULL;
	struct output output;
	int r = 0;

	if (n > limit)
		return -E2BIG;
	sorted = calloc(n + 1, sizeof(*sorted));
	result = calloc(limit + 1, sizeof(*result));
	if (!sorted || !result)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = boxes[i];
	qsort(sorted, n, sizeof(*sorted), compare);
	output = (struct output){result, 0, limit};
	for (size_t i = 0; r == 0 && i < n; i++)
		if (i == 0 || !same_group(&sorted[i - 1], &sorted[i]))
			r = sweep(sorted, n, &sorted[i], &output);
	if (r < 0)
		return r;
	*ret = take_pointer(result);
	*ret_n = output.n;
	return 0;
}
