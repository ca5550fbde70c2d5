/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes over libnl-route-3. What we add carries LINK_ROUTE_PROTOCOL, and only such routes are removed: the kernel
 * compares the protocol of a deletion with the route's.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>
#include "netlink/grow.h"
#include "netlink/link_handle.h"

#define DUMP_TRIES 10

DEFINE_CLEANUP(rtnl_route_put, struct rtnl_route *);
DEFINE_CLEANUP(nl_cache_free, struct nl_cache *);

static int read_route(struct rtnl_route *entry, struct link_route *ret)
{
	struct rtnl_nexthop *hop = rtnl_route_nexthop_n(entry, 0);

	*ret = (struct link_route){
		.metric = rtnl_route_get_priority(entry),
		.table = rtnl_route_get_table(entry),
		.protocol = rtnl_route_get_protocol(entry),
		.unreachable = rtnl_route_get_type(entry) == RTN_UNREACHABLE,
	};
	/* IPv6 names lo as the device of an unreachable route */
	if (hop && !ret->unreachable)
		ret->oif = (unsigned int)rtnl_route_nh_get_ifindex(hop);
	return link_prefix(rtnl_route_get_dst(entry), &ret->destination);
}

static int read_routes(struct nl_cache *cache, struct link_route **ret, size_t *ret_n)
{
	_cleanup_(freep) void *list = NULL;
	size_t n = 0;

	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct link_route route;

		if (read_route((struct rtnl_route *)o, &route) < 0)
			continue;
		if (grow(&list, n, sizeof(route)) < 0)
			return -ENOMEM;
		((struct link_route *)list)[n++] = route;
	}
	*ret = take_pointer(list);
	*ret_n = n;
	return 0;
}

static int dump(struct link_handle *handle, struct nl_cache **ret)
{
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		link_begin(handle);
		r = link_end(handle, rtnl_route_alloc_cache(handle->socket, AF_UNSPEC, 0, ret));
	}
	return r;
}

int link_routes(struct link_handle *handle, struct link_route **ret, size_t *ret_n)
{
	_cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
	int r = dump(handle, &cache);

	return r < 0 ? r : read_routes(cache, ret, ret_n);
}

/* ---- ways out ---- */

static bool is_default(struct rtnl_route *entry)
{
	struct prefix destination;

	return rtnl_route_get_type(entry) == RTN_UNICAST &&
	       link_prefix(rtnl_route_get_dst(entry), &destination) == 0 && !destination.length;
}

static int add_ways(struct rtnl_route *entry, void **list, size_t *n)
{
	for (int i = 0; i < rtnl_route_get_nnexthops(entry); i++) {
		if (grow(list, *n, sizeof(unsigned int)) < 0)
			return -ENOMEM;
		((unsigned int *)*list)[(*n)++] =
			(unsigned int)rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(entry, i));
	}
	return 0;
}

int link_ways_out(struct link_handle *handle, unsigned int **ret, size_t *ret_n)
{
	_cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
	_cleanup_(freep) void *list = NULL;
	size_t n = 0;
	int r = dump(handle, &cache);

	if (r < 0)
		return r;
	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o))
		if (is_default((struct rtnl_route *)o) &&
		    add_ways((struct rtnl_route *)o, &list, &n) < 0)
			return -ENOMEM;
	*ret = take_pointer(list);
	*ret_n = n;
	return 0;
}

int link_way_to(struct link_handle *handle, const struct addr *addr, unsigned int *ret)
{
	_cleanup_(nl_addr_putp) struct nl_addr *to = link_nl_addr(addr, (uint8_t)addr_bits(addr));
	_cleanup_(rtnl_route_putp) struct rtnl_route *route = NULL;
	struct rtnl_nexthop *hop;
	int r;

	if (!to)
		return -ENOMEM;
	link_begin(handle);
	r = link_end(handle, rtnl_route_lookup(handle->socket, to, &route));
	if (r < 0)
		return r;
	hop = rtnl_route_nexthop_n(route, 0);
	if (!hop)
		return -ENETUNREACH;
	*ret = (unsigned int)rtnl_route_nh_get_ifindex(hop);
	return 0;
}

/* ---- changes ---- */

static int add_nexthop(struct rtnl_route *entry, unsigned int oif)
{
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();

	if (!hop)
		return -ENOMEM;
	rtnl_route_nh_set_ifindex(hop, (int)oif);
	rtnl_route_add_nexthop(entry, hop); /* the route owns it now */
	return 0;
}

static int make_route(const struct link_route *route, struct rtnl_route **ret)
{
	_cleanup_(rtnl_route_putp) struct rtnl_route *entry = rtnl_route_alloc();
	_cleanup_(nl_addr_putp) struct nl_addr *destination = NULL;
	const struct addr *addr = &route->destination.addr;

	if (!addr_is_set(addr) || route->destination.length > addr_bits(addr) ||
	    (!route->oif && !route->unreachable))
		return -EINVAL;
	destination = link_nl_addr(addr, route->destination.length);
	if (!entry || !destination)
		return -ENOMEM;
	rtnl_route_set_family(entry, addr->family);
	if (rtnl_route_set_dst(entry, destination) < 0 ||
	    rtnl_route_set_type(entry, route->unreachable ? RTN_UNREACHABLE : RTN_UNICAST) < 0)
		return -EINVAL;
	rtnl_route_set_protocol(entry, LINK_ROUTE_PROTOCOL);
	rtnl_route_set_table(entry, route->table ? route->table : RT_TABLE_MAIN);
	rtnl_route_set_priority(entry, route->metric);
	if (!route->unreachable) {
		rtnl_route_set_scope(entry,
				     addr->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
		if (add_nexthop(entry, route->oif) < 0)
			return -ENOMEM;
	}
	*ret = take_pointer(entry);
	return 0;
}

/* IPv6 turns metric 0 into 1024 and gives every route without one that. */
static uint32_t metric_of(const struct link_route *route)
{
	if (route->destination.addr.family == AF_INET6 && !route->metric)
		return 1024;
	return route->metric;
}

static bool same_route(const struct link_route *a, const struct link_route *b)
{
	return prefix_compare(&a->destination, &b->destination) == 0 &&
	       a->unreachable == b->unreachable && (a->unreachable || a->oif == b->oif) &&
	       metric_of(a) == metric_of(b) &&
	       (a->table ? a->table : RT_TABLE_MAIN) == (b->table ? b->table : RT_TABLE_MAIN) &&
	       a->protocol == b->protocol;
}

/* The kernel compares prefix and metric only: success where the route that stands is ours and the same. */
static int check_route_stands(struct link_handle *handle, const struct link_route *route)
{
	_cleanup_(freep) struct link_route *routes = NULL;
	struct link_route wanted = *route;
	size_t n;
	int r = link_routes(handle, &routes, &n);

	wanted.protocol = LINK_ROUTE_PROTOCOL;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (same_route(&routes[i], &wanted))
			return 0;
	return r < 0 ? r : -EEXIST;
}

int link_route_add(struct link_handle *handle, const struct link_route *route)
{
	_cleanup_(rtnl_route_putp) struct rtnl_route *entry = NULL;
	int r = make_route(route, &entry);

	if (r < 0)
		return r;
	link_begin(handle);
	r = link_end(handle, rtnl_route_add(handle->socket, entry, NLM_F_EXCL));
	return r == -EEXIST ? check_route_stands(handle, route) : r;
}

int link_route_remove(struct link_handle *handle, const struct link_route *route)
{
	_cleanup_(rtnl_route_putp) struct rtnl_route *entry = NULL;
	int r = make_route(route, &entry);

	if (r < 0)
		return r;
	link_begin(handle);
	r = link_end(handle, rtnl_route_delete(handle->socket, entry, 0));
	return r == -ESRCH || r == -ENOENT || r == -ENODEV ? 0 : r;
}
