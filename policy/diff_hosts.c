/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two policies allow differently outside the overlay, host by host: what may come in by `underlay`, go out by
 * `egress`, and what a host's mode leaves open. What is allowed is a list of lines; two sorted lists are compared.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/policy.h"

#define LINES_MAX     4096 /* of a host; its kernel takes 1,000 ranges */
#define LINE_MAX_TEXT (NAME_MAX_TEXT + PREFIX_TEXT_MAX + POLICY_PORT_TEXT_MAX + 64)

struct lines {
	char (*items)[LINE_MAX_TEXT];
	size_t n, size;
};

static void lines_done(struct lines *lines)
{
	free(lines->items);
}

static __attribute__((format(printf, 2, 3))) int add(struct lines *lines, const char *format, ...)
{
	va_list args;

	if (lines->n >= LINES_MAX)
		return -EFBIG;
	if (lines->n == lines->size) {
		size_t size = lines->size ? 2 * lines->size : 16;
		void *items = reallocarray(lines->items, size, sizeof(*lines->items));
		if (!items)
			return -ENOMEM;
		lines->items = items;
		lines->size = size;
	}
	va_start(args, format);
	(void)vsnprintf(lines->items[lines->n++], LINE_MAX_TEXT, format, args);
	va_end(args);
	return 0;
}

static int add_entry(struct lines *lines, const struct policy_underlay *entry, const char *name,
		     bool out)
{
	char range[PREFIX_TEXT_MAX], port[POLICY_PORT_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; i < entry->n_ranges; i++)
		for (size_t p = 0; r == 0 && p < entry->n_ports; p++) {
			(void)prefix_format(&entry->ranges[i], range);
			(void)policy_port_format(&entry->ports[p], port);
			r = add(lines, "%s -> %s %s", out ? name : range, out ? range : name, port);
		}
	return r;
}

static int add_entries(struct lines *lines, const struct policy_underlay *list, size_t n,
		       const struct policy_member *member, bool out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (policy_selects(&list[i].on, member))
			r = add_entry(lines, &list[i], member->name, out);
	return r;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int collect(const struct policy *policy, const struct policy_member *member,
		   struct lines *lines)
{
	struct policy_host_settings settings = policy_host_settings(policy, member);
	bool enforces = settings.mode == POLICY_MODE_ENFORCE;
	int r = add_entries(lines, policy->underlay, policy->n_underlay, member, false);

	if (r == 0 && !enforces)
		r = add(lines, "anybody outside -> %s (mode %s)", member->name,
			settings.mode == POLICY_MODE_OVERLAY ? "overlay" : "observe");
	if (r == 0 && enforces && settings.egress_locked)
		r = add_entries(lines, policy->egress, policy->n_egress, member, true);
	else if (r == 0)
		r = add(lines, "%s -> anything outside", member->name);
	if (r == 0 && settings.containers)
		r = add(lines, "containers of %s -> the overlay, as it", member->name);
	if (r == 0 && lines->n)
		qsort(lines->items, lines->n, sizeof(*lines->items), compare_lines);
	return r;
}

/* Lines that one list has and the other lacks; equal ones beside each other count once. */
static void compare(const struct lines *before, const struct lines *after,
		    void (*on_change)(bool gained, const char *sentence, void *data), void *data)
{
	size_t b = 0, a = 0;

	while (b < before->n || a < after->n) {
		const char *old = b < before->n ? before->items[b] : NULL;
		const char *new = a < after->n ? after->items[a] : NULL;
		int order = !old ? 1 : !new ? -1 : strcmp(old, new);
		const char *line = order > 0 ? new : old;

		if (order)
			on_change(order > 0, line, data);
		while (b < before->n && strcmp(before->items[b], line) == 0)
			b++;
		while (a < after->n && strcmp(after->items[a], line) == 0)
			a++;
	}
}

int policy_diff_hosts(const struct policy *before, const struct policy *after,
		      const struct policy_inventory *inventory,
		      void (*on_change)(bool gained, const char *sentence, void *data), void *data)
{
	static const struct policy no_policy;
	int r = 0;

	for (size_t i = 0; r == 0 && i < inventory->n; i++) {
		_cleanup_(lines_done) struct lines old = {0};
		_cleanup_(lines_done) struct lines new = {0};

		r = collect(before ? before : &no_policy, &inventory->members[i], &old);
		if (r == 0)
			r = collect(after, &inventory->members[i], &new);
		if (r == 0)
			compare(&old, &new, on_change, data);
	}
	return r;
}
