/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing only. What is not ours (another protocol's routes, link-local addresses) is not seen and never removed. */
#include "daemon/plan.h"
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void actual_done(struct actual *actual)
{
	wg_device_free(actual->wg);
	free(actual->addrs);
	free(actual->routes);
	memset(actual, 0, sizeof(*actual));
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	free(plan->steps);
	free(plan->changes);
	free(plan);
}

/* NULL when out of memory. */
static __attribute__((format(printf, 3, 4))) struct plan_step *add(struct plan *plan,
								   enum plan_kind kind,
								   const char *format, ...)
{
	struct plan_step *step;
	va_list args;

	if (plan->n == plan->size) {
		size_t size = plan->size ? plan->size * 2 : 16;
		struct plan_step *steps = reallocarray(plan->steps, size, sizeof(*steps));
		if (!steps)
			return NULL;
		plan->steps = steps;
		plan->size = size;
	}
	step = &plan->steps[plan->n++];
	memset(step, 0, sizeof(*step));
	step->kind = kind;
	va_start(args, format);
	(void)vsnprintf(step->text, sizeof(step->text), format, args);
	va_end(args);
	return step;
}

static int plan_firewall(struct plan *plan, const struct actual *actual)
{
	const struct fw_plan *fw = &actual->firewall;
	struct plan_step *step;

	if (!fw->create && !fw->elements_added && !fw->elements_removed && !fw->leases_refreshed &&
	    !fw->chains_rewritten)
		return 0;
	if (fw->first && !add(plan, PLAN_ADOPT, "adopt running connections"))
		return -ENOMEM;
	step = add(plan, PLAN_FIREWALL, "firewall %s elements +%zu -%zu leases %zu chains %zu",
		   fw->create ? "create" : "change", fw->elements_added, fw->elements_removed,
		   fw->leases_refreshed, fw->chains_rewritten);
	/* Those that began meanwhile. */
	if (step && fw->first)
		step = add(plan, PLAN_ADOPT, "adopt running connections");
	/* A full dump only where everything is new: a change has its own keys read back. */
	if (step && fw->create)
		step = add(plan, PLAN_VERIFY, "verify firewall");
	return step ? 0 : -ENOMEM;
}

static int plan_wireguard(struct plan *plan, const struct desired *desired,
			  const struct actual *actual)
{
	const struct wg_device none = {0};
	size_t set = 0, removed = 0, device = 0;
	int r = wg_diff(&desired->wg, actual->wg ? actual->wg : &none, true, &plan->changes,
			&plan->n_changes);

	if (r < 0 || plan->n_changes == 0)
		return r;
	for (size_t i = 0; i < plan->n_changes; i++) {
		device += plan->changes[i].kind == WG_CHANGE_DEVICE;
		set += plan->changes[i].kind == WG_CHANGE_PEER_SET;
		removed += plan->changes[i].kind == WG_CHANGE_PEER_REMOVE;
	}
	return add(plan, PLAN_WIREGUARD, "wireguard %s peers +%zu -%zu%s", desired->ifname, set,
		   removed, device ? " key" : "")
		       ? 0
		       : -ENOMEM;
}

static bool addr_desired(const struct desired *desired, const struct link_addr *addr)
{
	for (size_t i = 0; i < desired->n_addrs; i++)
		if (addr_equal(&desired->addrs[i], &addr->local) &&
		    addr->prefix.length == addr_bits(&addr->local))
			return true;
	return false;
}

static bool addr_stands(const struct actual *actual, const struct addr *addr)
{
	for (size_t i = 0; i < actual->n_addrs; i++)
		if (addr_equal(&actual->addrs[i].local, addr) &&
		    actual->addrs[i].prefix.length == addr_bits(addr))
			return true;
	return false;
}

/* Ours are those of the overlay: on this interface nobody else has business with them. */
static bool addr_ours(const struct desired *desired, const struct addr *addr)
{
	return prefix_contains(&desired->fw.overlay6, addr) ||
	       (addr_is_set(&desired->fw.overlay4.addr) &&
		prefix_contains(&desired->fw.overlay4, addr));
}

static int plan_addrs(struct plan *plan, const struct desired *desired, const struct actual *actual)
{
	char text[ADDR_TEXT_MAX];
	struct plan_step *step;

	for (size_t i = 0; i < actual->n_addrs; i++) {
		const struct link_addr *a = &actual->addrs[i];
		if (!addr_ours(desired, &a->local) || addr_desired(desired, a))
			continue;
		step = add(plan, PLAN_ADDR_REMOVE, "address remove %s/%u dev %s",
			   addr_format(&a->local, text), a->prefix.length, desired->ifname);
		if (!step)
			return -ENOMEM;
		step->addr = a->local;
		step->length = a->prefix.length;
	}
	for (size_t i = 0; i < desired->n_addrs; i++) {
		if (addr_stands(actual, &desired->addrs[i]))
			continue;
		step = add(plan, PLAN_ADDR_ADD, "address add %s dev %s",
			   addr_format(&desired->addrs[i], text), desired->ifname);
		if (!step)
			return -ENOMEM;
		step->addr = desired->addrs[i];
	}
	return 0;
}

/* The kernel names lo as the interface of an IPv6 unreachable route: it says nothing. */
static bool same_route(const struct link_route *desired, const struct link_route *actual,
		       unsigned int index)
{
	return prefix_compare(&desired->destination, &actual->destination) == 0 &&
	       desired->metric == actual->metric && desired->table == actual->table &&
	       desired->unreachable == actual->unreachable &&
	       actual->protocol == LINK_ROUTE_PROTOCOL &&
	       (desired->unreachable || actual->oif == index);
}

static bool route_ours(const struct desired *desired, const struct link_route *route,
		       const struct actual *actual)
{
	if (route->protocol != LINK_ROUTE_PROTOCOL || route->table != RT_TABLE_MAIN)
		return false;
	if (!route->unreachable)
		return actual->exists && route->oif == actual->link.index;
	return prefix_overlaps(&route->destination, &desired->fw.overlay6) ||
	       (addr_is_set(&desired->fw.overlay4.addr) &&
		prefix_overlaps(&route->destination, &desired->fw.overlay4));
}

static bool route_desired(const struct desired *desired, const struct link_route *route,
			  unsigned int index)
{
	for (size_t i = 0; i < desired->n_routes; i++)
		if (same_route(&desired->routes[i], route, index))
			return true;
	return false;
}

static bool route_stands(const struct actual *actual, const struct link_route *route)
{
	for (size_t i = 0; i < actual->n_routes; i++)
		if (same_route(route, &actual->routes[i], actual->link.index))
			return true;
	return false;
}

static struct plan_step *add_route(struct plan *plan, enum plan_kind kind,
				   const struct desired *desired, const struct link_route *route)
{
	char text[PREFIX_TEXT_MAX];
	const char *verb = kind == PLAN_ROUTE_ADD ? "add" : "remove";
	struct plan_step *step =
		route->unreachable ? add(plan, kind, "route %s unreachable %s", verb,
					 prefix_format(&route->destination, text))
				   : add(plan, kind, "route %s %s dev %s", verb,
					 prefix_format(&route->destination, text), desired->ifname);

	if (step)
		step->route = *route;
	return step;
}

static int plan_routes_away(struct plan *plan, const struct desired *desired,
			    const struct actual *actual)
{
	for (size_t i = 0; i < actual->n_routes; i++) {
		const struct link_route *route = &actual->routes[i];
		if (route_ours(desired, route, actual) &&
		    !route_desired(desired, route, actual->link.index) &&
		    !add_route(plan, PLAN_ROUTE_REMOVE, desired, route))
			return -ENOMEM;
	}
	return 0;
}

static int plan_routes(struct plan *plan, const struct desired *desired,
		       const struct actual *actual, bool unreachable)
{
	for (size_t i = 0; i < desired->n_routes; i++)
		if (desired->routes[i].unreachable == unreachable &&
		    !route_stands(actual, &desired->routes[i]) &&
		    !add_route(plan, PLAN_ROUTE_ADD, desired, &desired->routes[i]))
			return -ENOMEM;
	return 0;
}

static int plan_link(struct plan *plan, const struct desired *desired, const struct actual *actual)
{
	if (!actual->exists || actual->link.mtu != desired->mtu)
		return add(plan, PLAN_MTU, "mtu %u dev %s", desired->mtu, desired->ifname)
			       ? 0
			       : -ENOMEM;
	return 0;
}

static int plan_up(struct plan *plan, const struct desired *desired, const struct actual *actual)
{
	if (desired->up && !(actual->exists && actual->link.up))
		return add(plan, PLAN_UP, "up %s", desired->ifname) ? 0 : -ENOMEM;
	return 0;
}

/* No more: what it has lost by another name is known once it has its own. Until then the firewall stops what it brings. */
static int plan_rename(struct plan *plan, const struct desired *desired,
		       const struct actual *actual)
{
	int r = plan_firewall(plan, actual);

	if (r == 0 &&
	    !add(plan, PLAN_RENAME, "rename %s back to %s", actual->renamed, desired->ifname))
		r = -ENOMEM;
	return r;
}

static int fill(struct plan *plan, const struct desired *desired, const struct actual *actual)
{
	int r = 0;

	if (actual->renamed[0])
		return plan_rename(plan, desired, actual);
	if (!desired->up && actual->exists && actual->link.up &&
	    !add(plan, PLAN_DOWN, "down %s", desired->ifname))
		return -ENOMEM;
	if (!actual->exists && !add(plan, PLAN_CREATE, "create %s", desired->ifname))
		return -ENOMEM;
	r = plan_firewall(plan, actual);
	if (r == 0)
		r = plan_link(plan, desired, actual);
	if (r == 0)
		r = plan_wireguard(plan, desired, actual);
	if (r == 0)
		r = plan_routes_away(plan, desired, actual);
	if (r == 0)
		r = plan_addrs(plan, desired, actual);
	if (r == 0)
		r = plan_routes(plan, desired, actual, true);
	if (r == 0)
		r = plan_up(plan, desired, actual);
	if (r == 0)
		r = plan_routes(plan, desired, actual, false);
	if (r == 0 && actual->hosts_differ && !add(plan, PLAN_HOSTS, "names"))
		r = -ENOMEM;
	return r;
}

int plan_build(const struct desired *desired, const struct actual *actual, struct plan **ret)
{
	_cleanup_(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
	int r;

	if (!plan)
		return -ENOMEM;
	r = fill(plan, desired, actual);
	if (r == 0)
		*ret = take_pointer(plan);
	return r;
}

void plan_print(const struct plan *plan, FILE *out)
{
	for (size_t i = 0; i < plan->n; i++)
		(void)fprintf(out, "%s\n", plan->steps[i].text);
}
