/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links, addresses, routes and their events against the running kernel, in a network namespace of this process's own
 * (skipped where none can be made).
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "netlink/link.h"

static struct link_handle *handle;
static const char *kind; /* the first that this kernel has */

static int enter_namespace(void **state)
{
	static const char *const kinds[] = {"dummy", "ifb", "bridge"};
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		return 0;
	r = link_open(&handle);
	for (size_t i = 0; r == 0 && !kind && i < ARRAY_SIZE(kinds); i++)
		if (link_create(handle, "d0", kinds[i]) == 0)
			kind = kinds[i];
	return r;
}

static int leave(void **state)
{
	link_close(handle);
	return 0;
}

/* Each test begins with a link "d0" of its own. */
static unsigned int fresh_link(void)
{
	struct link_info info;

	if (!handle || !kind)
		skip();
	assert_int_equal(link_delete(handle, "d0"), 0); /* gone already is success */
	assert_int_equal(link_create(handle, "d0", kind), 0);
	assert_int_equal(link_get(handle, "d0", &info), 0);
	return info.index;
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
		{"sortie0", true},
		{"a", true},
		{"exactly15chars_", true},
		{"exactly16chars__", false},
		{"", false},
		{".", false},
		{"..", false},
		{"...", true},
		{"a/b", false},
		{"a:b", false},
		{"a b", false},
		{"a\tb", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(link_name_valid(cases[i].name), cases[i].valid);
}

static void test_link(void **state)
{
	unsigned int index = fresh_link();
	struct link_info info;

	assert_int_equal(link_create(handle, "d0", kind), -EEXIST);
	assert_int_equal(link_create(handle, "d1", "no-such-kind"), -EOPNOTSUPP);
	assert_int_equal(link_create(handle, "exactly16chars__", kind), -EINVAL);
	assert_int_equal(link_get(handle, "exactly16chars__", &info), -EINVAL);
	assert_int_equal(link_get(handle, "missing", &info), -ENODEV);
	assert_int_equal(link_set_up(handle, "missing", true), -ENODEV);
	assert_int_equal(link_set_mtu(handle, "d0", 1280), 0);
	assert_int_equal(link_set_up(handle, "d0", true), 0);
	assert_int_equal(link_set_up(handle, "d0", true), 0);
	assert_int_equal(link_get(handle, "d0", &info), 0);
	assert_string_equal(info.name, "d0");
	assert_string_equal(info.kind, kind);
	assert_int_equal(info.index, index);
	assert_int_equal(info.mtu, 1280);
	assert_true(info.up);
	assert_int_equal(link_set_up(handle, "d0", false), 0);
	assert_int_equal(link_get(handle, "d0", &info), 0);
	assert_false(info.up);
	assert_int_equal(link_get(handle, "lo", &info), 0);
	assert_string_equal(info.kind, "");
	assert_int_equal(link_delete(handle, "d0"), 0);
	assert_int_equal(link_get(handle, "d0", &info), -ENODEV);
}

static size_t count_addrs(unsigned int index, const char *want)
{
	_cleanup_(freep) struct link_addr *addrs = NULL;
	char local[ADDR_TEXT_MAX], prefix[PREFIX_TEXT_MAX], text[128];
	size_t n, found = 0;

	assert_int_equal(link_addrs(handle, index, &addrs, &n), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(!index || addrs[i].index == index);
		(void)snprintf(text, sizeof(text), "%s %s", addr_format(&addrs[i].local, local),
			       prefix_format(&addrs[i].prefix, prefix));
		found += strcmp(text, want) == 0;
	}
	return found;
}

static void test_addresses(void **state)
{
	static const struct {
		const char *addr, *listed;
		uint8_t length;
	} cases[] = {
		{"10.7.0.1", "10.7.0.1 10.7.0.0/16", 16},
		{"10.8.0.1", "10.8.0.1 10.8.0.1/32", 32},
		{"fd07::1", "fd07::1 fd07::/48", 48},
		{"fd08::1", "fd08::1 fd08::1/128", 128},
	};
	unsigned int index = fresh_link();
	struct addr addr, none = {0};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(addr_parse(cases[i].addr, &addr), 0);
		assert_int_equal(link_addr_add(handle, index, &addr, cases[i].length), 0);
		assert_int_equal(link_addr_add(handle, index, &addr, cases[i].length), 0);
		assert_int_equal(count_addrs(index, cases[i].listed), 1);
		assert_int_equal(count_addrs(0, cases[i].listed), 1);
		assert_int_equal(count_addrs(1, cases[i].listed), 0);
		assert_int_equal(link_addr_remove(handle, index, &addr, cases[i].length), 0);
		assert_int_equal(link_addr_remove(handle, index, &addr, cases[i].length), 0);
		assert_int_equal(count_addrs(index, cases[i].listed), 0);
		assert_int_equal(link_addr_add(handle, index, &addr, 129), -EINVAL);
		assert_int_equal(link_addr_add(handle, 9999, &addr, cases[i].length), -ENODEV);
	}
	assert_int_equal(link_addr_add(handle, index, &none, 0), -EINVAL);
	/* IPv6 takes one length for an address */
	assert_int_equal(addr_parse("fd07::1", &addr), 0);
	assert_int_equal(link_addr_add(handle, index, &addr, 48), 0);
	assert_int_equal(link_addr_add(handle, index, &addr, 64), -EEXIST);
}

static size_t count_routes(const struct link_route *want)
{
	_cleanup_(freep) struct link_route *routes = NULL;
	size_t n, found = 0;

	assert_int_equal(link_routes(handle, &routes, &n), 0);
	for (size_t i = 0; i < n; i++)
		found += !prefix_compare(&routes[i].destination, &want->destination) &&
			 routes[i].oif == want->oif && routes[i].metric == want->metric &&
			 routes[i].table == (want->table ? want->table : 254) &&
			 routes[i].unreachable == want->unreachable &&
			 routes[i].protocol == LINK_ROUTE_PROTOCOL;
	return found;
}

static void test_routes(void **state)
{
	static const struct {
		const char *destination;
		uint32_t metric, table;
		bool unreachable;
	} cases[] = {
		{"10.7.0.0/16", 0, 0, false},	      {"fd07::/48", 77, 0, false},
		{"0.0.0.0/0", 5, 0, false},	      {"::/0", 5, 0, false},
		{"10.7.0.0/16", 4294967295, 0, true}, {"fd07::/48", 4294967295, 0, true},
		{"10.7.0.9/32", 1, 1000, false},      {"fd07::9/128", 1, 1000, false},
	};
	unsigned int index = fresh_link();

	assert_int_equal(link_set_up(handle, "d0", true), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct link_route route = {.oif = cases[i].unreachable ? 0 : index,
					   .metric = cases[i].metric,
					   .table = cases[i].table,
					   .unreachable = cases[i].unreachable};

		print_message("# %s metric %u\n", cases[i].destination, cases[i].metric);
		assert_int_equal(prefix_parse(cases[i].destination, &route.destination), 0);
		assert_int_equal(link_route_add(handle, &route), 0);
		assert_int_equal(link_route_add(handle, &route), 0);
		assert_int_equal(count_routes(&route), 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct link_route route = {.oif = cases[i].unreachable ? 0 : index,
					   .metric = cases[i].metric,
					   .table = cases[i].table,
					   .unreachable = cases[i].unreachable};

		assert_int_equal(prefix_parse(cases[i].destination, &route.destination), 0);
		assert_int_equal(link_route_remove(handle, &route), 0);
		assert_int_equal(link_route_remove(handle, &route), 0);
		assert_int_equal(count_routes(&route), 0);
	}
}

/* The kernel's own route of an address is not ours: not taken for ours, not removed. */
static void test_foreign_routes(void **state)
{
	unsigned int index = fresh_link();
	struct link_route route = {.oif = index, .metric = 0};
	_cleanup_(freep) struct link_route *routes = NULL;
	size_t n, found = 0;
	struct addr addr;

	assert_int_equal(link_set_up(handle, "d0", true), 0);
	assert_int_equal(addr_parse("10.9.0.1", &addr), 0);
	assert_int_equal(link_addr_add(handle, index, &addr, 16), 0);
	assert_int_equal(prefix_parse("10.9.0.0/16", &route.destination), 0);
	assert_int_equal(link_route_add(handle, &route), -EEXIST);
	assert_int_equal(link_route_remove(handle, &route), 0);
	assert_int_equal(link_routes(handle, &routes, &n), 0);
	for (size_t i = 0; i < n; i++)
		found += !prefix_compare(&routes[i].destination, &route.destination) &&
			 routes[i].protocol == 2;
	assert_int_equal(found, 1);
}

static void test_bad_routes(void **state)
{
	unsigned int index = fresh_link();
	struct link_route route = {.oif = 0};

	assert_int_equal(prefix_parse("10.7.0.0/16", &route.destination), 0);
	assert_int_equal(link_route_add(handle, &route),
			 -EINVAL); /* neither device nor unreachable */
	route.oif = index;
	assert_int_equal(link_route_add(handle, &route), -ENETDOWN); /* the kernel's own errno */
	route.destination.length = 33;
	assert_int_equal(link_route_add(handle, &route), -EINVAL);
}

static const struct link_info *find(const struct link_info *links, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(links[i].name, name) == 0)
			return &links[i];
	return NULL;
}

static void test_list(void **state)
{
	unsigned int index = fresh_link();
	_cleanup_(freep) struct link_info *links = NULL;
	const struct link_info *link;
	size_t n;

	assert_int_equal(link_list(handle, &links, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(find(links, n, "lo")->kind, "");
	link = find(links, n, "d0");
	assert_non_null(link);
	assert_string_equal(link->kind, kind);
	assert_int_equal(link->index, index);
	assert_int_equal(link->master, 0);
	assert_false(link->up);
}

/* Default routes of every table; and by which interface the kernel would send, which is none without a route. */
static void test_ways(void **state)
{
	static const struct {
		const char *fallback, *inside, *outside, *own;
	} cases[] = {
		{"0.0.0.0/0", "10.9.0.7", "192.0.2.1", "10.9.0.1"},
		{"::/0", "fd09::7", "2001:db8::1", "fd09::1"},
	};
	unsigned int index = fresh_link(), way = 0;
	struct addr inside, outside, own;
	unsigned int *ways;
	size_t n;

	assert_int_equal(link_set_up(handle, "d0", true), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct link_route route = {.oif = index, .metric = 5, .table = i ? 0 : 1000};

		assert_int_equal(prefix_parse(cases[i].fallback, &route.destination), 0);
		assert_int_equal(addr_parse(cases[i].inside, &inside), 0);
		assert_int_equal(addr_parse(cases[i].outside, &outside), 0);
		assert_int_equal(addr_parse(cases[i].own, &own), 0);
		assert_int_equal(link_addr_add(handle, index, &own, i ? 64 : 16), 0);
		assert_int_equal(link_ways_out(handle, &ways, &n), 0);
		assert_int_equal(n, 0);
		free(ways);
		assert_int_equal(link_way_to(handle, &inside, &way), 0);
		assert_int_equal(way, index);
		assert_int_equal(link_way_to(handle, &outside, &way), -ENETUNREACH);
		assert_int_equal(link_route_add(handle, &route), 0);
		assert_int_equal(link_ways_out(handle, &ways, &n), 0);
		assert_int_equal(n, 1);
		assert_int_equal(ways[0], index);
		free(ways);
		assert_int_equal(link_route_remove(handle, &route), 0);
	}
}

struct heard {
	unsigned int indices[256];
	size_t n;
};

static void on_change(unsigned int index, void *data)
{
	struct heard *heard = data;

	assert_true(heard->n < ARRAY_SIZE(heard->indices));
	for (size_t i = 0; i < heard->n; i++)
		assert_int_not_equal(heard->indices[i], index); /* once each */
	heard->indices[heard->n++] = index;
}

static bool hears(struct link_events *events, struct heard *heard, unsigned int index)
{
	struct pollfd fd = {.fd = link_events_fd(events), .events = POLLIN};

	heard->n = 0;
	assert_int_equal(poll(&fd, 1, 2000), 1);
	assert_int_equal(link_events_dispatch(events), 0);
	for (size_t i = 0; i < heard->n; i++)
		if (heard->indices[i] == index)
			return true;
	return false;
}

static void test_events(void **state)
{
	unsigned int index = fresh_link();
	struct link_route route = {.oif = index, .metric = 3};
	struct link_events *events;
	struct heard heard = {.n = 0};
	struct addr addr;

	assert_int_equal(link_events_open(on_change, &heard, &events), 0);
	assert_int_equal(link_events_dispatch(events), 0); /* nothing there: returns at once */
	assert_int_equal(heard.n, 0);
	assert_int_equal(link_set_up(handle, "d0", true), 0);
	assert_true(hears(events, &heard, index));
	assert_int_equal(addr_parse("fd07::1", &addr), 0);
	assert_int_equal(link_addr_add(handle, index, &addr, 128), 0);
	assert_true(hears(events, &heard, index));
	assert_int_equal(prefix_parse("10.7.0.0/16", &route.destination), 0);
	assert_int_equal(link_route_add(handle, &route), 0);
	assert_true(hears(events, &heard, index));
	assert_int_equal(link_delete(handle, "d0"), 0);
	assert_true(hears(events, &heard, index));
	link_events_close(events);
}

/* More events than the socket holds: index 0. */
static void test_lost_events(void **state)
{
	struct link_events *events;
	struct heard heard = {.n = 0};
	bool all = false;

	(void)fresh_link();
	assert_int_equal(link_events_open(on_change, &heard, &events), 0);
	for (int i = 0; i < 1500; i++)
		assert_int_equal(link_set_mtu(handle, "d0", i % 2 ? 1300 : 1400), 0);
	for (int i = 0; i < 100 && !all; i++)
		all = hears(events, &heard, 0);
	assert_true(all);
	link_events_close(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	       cmocka_unit_test(test_link),
		cmocka_unit_test(test_addresses),      cmocka_unit_test(test_routes),
		cmocka_unit_test(test_foreign_routes), cmocka_unit_test(test_bad_routes),
		cmocka_unit_test(test_list),	       cmocka_unit_test(test_ways),
		cmocka_unit_test(test_events),	       cmocka_unit_test(test_lost_events),
	};
	return cmocka_run_group_tests(tests, enter_namespace, leave);
}
