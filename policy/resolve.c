/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules times members: all grants. Each rule's members are selected once, then multiplied.
 *
 * `to: resource:NAME` yields nothing here: a resource is behind a gateway, and a grant to the gateway itself would open
 * the gateway's own ports.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy/evaluate.h"
#include "policy/port.h"

struct resolver {
	const struct policy *policy;
	struct index index;
	uint32_t *from, *to; /* members of the rule at hand */
	struct policy_grant *grants;
	size_t n, size, limit;
};

static int add(struct resolver *resolver, const struct policy_grant *grant)
{
	if (resolver->n == resolver->limit)
		return -EFBIG;
	if (resolver->n == resolver->size) {
		size_t size = resolver->size ? 2 * resolver->size : 256;
		struct policy_grant *grants = reallocarray(resolver->grants, size, sizeof(*grants));
		if (!grants)
			return -ENOMEM;
		resolver->grants = grants;
		resolver->size = size;
	}
	resolver->grants[resolver->n++] = *grant;
	return 0;
}

static int add_pair(struct resolver *resolver, const struct policy_rule *rule,
		    struct policy_grant *grant)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < rule->n_ports; i++) {
		grant->port = rule->ports[i];
		r = add(resolver, grant);
	}
	return r;
}

/* from x to, nobody to himself */
static int add_product(struct resolver *resolver, uint32_t number, const uint32_t *from,
		       size_t n_from, const uint32_t *to, size_t n_to)
{
	const struct policy_rule *rule = &resolver->policy->rules[number];
	struct policy_grant grant = {
		.rule = number,
		.expires_at = rule->expires_at,
		.on_loss_keep = rule->on_loss_keep,
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_from; i++)
		for (size_t j = 0; r == 0 && j < n_to; j++) {
			grant.from = from[i];
			grant.to = to[j];
			if (grant.from != grant.to)
				r = add_pair(resolver, rule, &grant);
		}
	return r;
}

static int add_rule(struct resolver *resolver, uint32_t number)
{
	const struct policy_rule *rule = &resolver->policy->rules[number];
	size_t n_from = index_select(&resolver->index, &rule->from, resolver->from);
	size_t n_to = n_from ? index_select(&resolver->index, &rule->to, resolver->to) : 0;

	return add_product(resolver, number, resolver->from, n_from, resolver->to, n_to);
}

/* The row and the column of one member. */
static int add_rule_of(struct resolver *resolver, uint32_t number, uint32_t self)
{
	const struct policy_rule *rule = &resolver->policy->rules[number];
	const struct policy_member *member = &resolver->index.inventory->members[self];
	int r = 0;

	if (policy_selects(&rule->from, member)) {
		size_t n = index_select(&resolver->index, &rule->to, resolver->to);
		r = add_product(resolver, number, &self, 1, resolver->to, n);
	}
	if (r == 0 && policy_selects(&rule->to, member)) {
		size_t n = index_select(&resolver->index, &rule->from, resolver->from);
		r = add_product(resolver, number, resolver->from, n, &self, 1);
	}
	return r;
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_pair(const struct policy_grant *a, const struct policy_grant *b)
{
	int order = compare(a->from, b->from);

	return order ? order : compare(a->to, b->to);
}

/* 0 is "never" and so the greatest. */
static int compare_terms(const struct policy_grant *a, const struct policy_grant *b)
{
	int order = compare(a->on_loss_keep, b->on_loss_keep);

	return order ? order : compare((uint64_t)a->expires_at - 1, (uint64_t)b->expires_at - 1);
}

/* What may be merged stands together: pair, protocol, on_loss, expiry, then by port. */
static int compare_for_merge(const void *a, const void *b)
{
	const struct policy_grant *left = a;
	const struct policy_grant *right = b;
	int order = compare_pair(left, right);

	if (order == 0)
		order = compare(left->port.protocol, right->port.protocol);
	if (order == 0)
		order = compare_terms(left, right);
	if (order == 0)
		order = port_compare(&left->port, &right->port);
	return order ? order : compare(left->rule, right->rule);
}

static int compare_grants(const void *a, const void *b)
{
	const struct policy_grant *left = a;
	const struct policy_grant *right = b;
	int order = compare_pair(left, right);

	if (order == 0)
		order = port_compare(&left->port, &right->port);
	if (order == 0)
		order = compare_terms(left, right);
	return order ? order : compare(left->rule, right->rule);
}

static size_t merge(struct policy_grant *grants, size_t n)
{
	size_t kept = 0;

	for (size_t i = 1; i < n; i++) {
		struct policy_grant *last = &grants[kept];
		const struct policy_grant *next = &grants[i];
		if (compare_pair(last, next) != 0 || compare_terms(last, next) != 0 ||
		    !port_overlaps(&last->port, &next->port)) {
			grants[++kept] = *next;
			continue;
		}
		if (next->port.high > last->port.high)
			last->port.high = next->port.high;
		if (next->rule < last->rule)
			last->rule = next->rule;
	}
	return n ? kept + 1 : 0;
}

/* ---- the longest end wins ---- */

struct coverage {
	struct policy_port *ranges; /* sorted, disjoint; the protocol is not used */
	size_t n, size;
};

static void coverage_done(struct coverage *coverage)
{
	free(coverage->ranges);
}

/* The first range that ends at or behind low. */
static size_t coverage_find(const struct coverage *coverage, uint16_t low)
{
	size_t first = 0;
	size_t end = coverage->n;

	while (first < end) {
		size_t middle = first + (end - first) / 2;
		if (coverage->ranges[middle].high < low)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

/* Puts range in the place of those from first to end, all of which it contains. */
static int coverage_replace(struct coverage *coverage, size_t first, size_t end,
			    const struct policy_port *range)
{
	if (first == end && coverage->n == coverage->size) {
		size_t size = coverage->size ? 2 * coverage->size : 16;
		struct policy_port *ranges = reallocarray(coverage->ranges, size, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		coverage->ranges = ranges;
		coverage->size = size;
	}
	memmove(&coverage->ranges[first + 1], &coverage->ranges[end],
		(coverage->n - end) * sizeof(*coverage->ranges));
	coverage->ranges[first] = *range;
	coverage->n = coverage->n + 1 - (end - first);
	return 0;
}

/* Adds what of the grant is not covered yet, and covers it. */
static int add_uncovered(struct resolver *resolver, struct coverage *coverage,
			 const struct policy_grant *grant)
{
	struct policy_grant piece = *grant;
	struct policy_port whole = grant->port;
	size_t first = coverage_find(coverage, grant->port.low);
	size_t end = first;
	unsigned int next = grant->port.low;
	int r = 0;

	for (; r == 0 && end < coverage->n && coverage->ranges[end].low <= grant->port.high;
	     end++) {
		const struct policy_port *range = &coverage->ranges[end];
		piece.port.low = (uint16_t)next;
		piece.port.high = (uint16_t)(range->low - 1u);
		if (range->low > next)
			r = add(resolver, &piece);
		next = range->high + 1u;
		whole.low = range->low < whole.low ? range->low : whole.low;
		whole.high = range->high > whole.high ? range->high : whole.high;
	}
	piece.port.low = (uint16_t)next;
	piece.port.high = grant->port.high;
	if (r == 0 && next <= grant->port.high)
		r = add(resolver, &piece);
	return r < 0 ? r : coverage_replace(coverage, first, end, &whole);
}

static bool same_lane(const struct policy_grant *a, const struct policy_grant *b)
{
	return compare_pair(a, b) == 0 && a->port.protocol == b->port.protocol &&
	       a->on_loss_keep == b->on_loss_keep;
}

/*
 * Rules of different ends may allow one port. A kernel set holds a port once, so the longest end keeps it and the others
 * keep the rest of their ranges. Within a lane the longest end stands last.
 */
static int add_lane(struct resolver *resolver, const struct policy_grant *lane, size_t n)
{
	_cleanup_(coverage_done) struct coverage coverage = {0};
	int r = 0;

	for (size_t i = n; r == 0 && i > 0; i--)
		r = lane[0].expires_at == lane[n - 1].expires_at
			    ? add(resolver, &lane[i - 1])
			    : add_uncovered(resolver, &coverage, &lane[i - 1]);
	return r;
}

static int separate(struct resolver *resolver)
{
	_cleanup_(freep) struct policy_grant *grants = take_pointer(resolver->grants);
	size_t n = resolver->n;
	int r = 0;

	resolver->n = 0;
	resolver->size = 0;
	for (size_t first = 0; r == 0 && first < n;) {
		size_t end = first + 1;
		while (end < n && same_lane(&grants[first], &grants[end]))
			end++;
		r = add_lane(resolver, &grants[first], end - first);
		first = end;
	}
	return r;
}

static int resolver_init(struct resolver *resolver, const struct policy_inventory *inventory)
{
	int r = index_init(&resolver->index, inventory);

	resolver->from = calloc(inventory->n + 1, sizeof(*resolver->from));
	resolver->to = calloc(inventory->n + 1, sizeof(*resolver->to));
	return r == 0 && (!resolver->from || !resolver->to) ? -ENOMEM : r;
}

static void resolver_done(struct resolver *resolver)
{
	index_done(&resolver->index);
	free(resolver->from);
	free(resolver->to);
	free(resolver->grants);
}

int policy_resolve(const struct policy *policy, const struct policy_inventory *inventory,
		   int64_t now, ssize_t self, size_t limit, struct policy_grant **ret,
		   size_t *ret_n)
{
	_cleanup_(resolver_done) struct resolver resolver = {.policy = policy, .limit = limit};
	int r;

	if (self >= 0 && (size_t)self >= inventory->n)
		return -EINVAL;
	r = resolver_init(&resolver, inventory);
	for (size_t i = 0; r == 0 && i < policy->n_rules; i++)
		if (!rule_expired(&policy->rules[i], now))
			r = self < 0 ? add_rule(&resolver, (uint32_t)i)
				     : add_rule_of(&resolver, (uint32_t)i, (uint32_t)self);
	if (r < 0)
		return r;
	if (resolver.n)
		qsort(resolver.grants, resolver.n, sizeof(*resolver.grants), compare_for_merge);
	resolver.n = merge(resolver.grants, resolver.n);
	r = separate(&resolver);
	if (r < 0)
		return r;
	if (!resolver.grants && !(resolver.grants = calloc(1, sizeof(*resolver.grants))))
		return -ENOMEM;
	qsort(resolver.grants, resolver.n, sizeof(*resolver.grants), compare_grants);
	*ret = take_pointer(resolver.grants);
	*ret_n = resolver.n;
	return 0;
}
