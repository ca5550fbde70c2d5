/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads and writes the kernel for one agent. Everything that decides lies in desired.c and plan.c; here is one
 * function a step, and the rule that the first failure ends the list.
 */
#include "daemon/apply.h"
#include "common/file.h"
#include "common/log.h"
#include "netlink/flows.h"
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX (4 * 1024 * 1024)

struct kernel {
	struct link_handle *link;
	struct firewall *firewall;
	struct wg *wg; /* of the interface named wg_name */
	char wg_name[IFNAMSIZ];
	struct link_info own; /* as it was last seen under its name; index 0: not yet */
	enum wg_backend wanted, became;
	const char *hosts_path;
	bool plain_table;
	bool cramped; /* has been said */
	bool mistaken;
};

static int open_firewall(bool plain_table, struct firewall **ret)
{
	int r = firewall_open(ret);

	if (r == 0 && !plain_table)
		firewall_own(*ret);
	return r;
}

int kernel_open(const struct kernel_options *options, struct kernel **ret, struct err *err)
{
	_cleanup_(kernel_closep) struct kernel *kernel = calloc(1, sizeof(*kernel));
	int r;

	if (!kernel)
		return -ENOMEM;
	kernel->wanted = kernel->became = options->backend;
	kernel->hosts_path = options->hosts_path;
	kernel->plain_table = options->plain_table;
	r = link_open(&kernel->link);
	if (r < 0)
		return err_code(err, r, "open netlink: %s", strerror(-r));
	r = open_firewall(kernel->plain_table, &kernel->firewall);
	if (r < 0)
		return err_code(err, r, "open the firewall: %s", firewall_open_error(r));
	*ret = take_pointer(kernel);
	return 0;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	wg_close(kernel->wg);
	firewall_close(kernel->firewall);
	link_close(kernel->link);
	free(kernel);
}

enum wg_backend kernel_backend(const struct kernel *kernel)
{
	return kernel->became;
}

/* ---- reading ---- */

static void forget_wg(struct kernel *kernel)
{
	wg_close(kernel->wg);
	kernel->wg = NULL;
	kernel->wg_name[0] = '\0';
}

static int use_wg(struct kernel *kernel, const char *ifname)
{
	int r;

	if (kernel->wg && strcmp(kernel->wg_name, ifname) == 0)
		return 0;
	forget_wg(kernel);
	r = wg_open(ifname, &kernel->wg, &kernel->became);
	if (r == 0)
		(void)snprintf(kernel->wg_name, sizeof(kernel->wg_name), "%s", ifname);
	return r;
}

int kernel_device(struct kernel *kernel, const char *ifname, struct wg_device **ret)
{
	int r = use_wg(kernel, ifname);

	if (r == 0)
		r = wg_get(kernel->wg, ret);
	/* The handle may speak of an interface that was removed and made anew behind our back. */
	if (r < 0)
		forget_wg(kernel);
	return r;
}

bool kernel_has_session(struct kernel *kernel, const char *ifname, const struct key *public_key)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	const struct wg_peer *peer;

	if (kernel_device(kernel, ifname, &device) < 0)
		return false;
	peer = wg_find_peer(device, public_key);
	return peer && peer->last_handshake_at != 0;
}

static int taken(const char *ifname, struct err *err)
{
	return err_code(err, -EEXIST,
			"interface %s exists and is not ours: give this agent another name with "
			"--interface",
			ifname);
}

static int check_ours(const struct desired *desired, const struct wg_device *device,
		      bool created_by_us, struct err *err)
{
	struct key public_key;
	int r;

	if (key_is_zero(&device->private_key) && key_is_zero(&device->public_key))
		return created_by_us ? 0 : taken(desired->ifname, err);
	r = key_public_curve25519(&desired->wg.private_key, &public_key);
	if (r < 0)
		return r;
	return key_equal(&public_key, &device->public_key) ? 0 : taken(desired->ifname, err);
}

static bool hosts_differ(const struct kernel *kernel, const struct desired *desired)
{
	_cleanup_(freep) char *text = NULL;
	size_t length = 0;

	if (!kernel->hosts_path || !desired->hosts)
		return false;
	return file_read(kernel->hosts_path, HOSTS_MAX, &text, &length) < 0 ||
	       strcmp(text, desired->hosts) != 0;
}

/* Ours under another name: an index is not given twice while a host runs, but for those who ask for one. */
static int find_renamed(struct kernel *kernel, char ret[IFNAMSIZ])
{
	_cleanup_(freep) struct link_info *links = NULL;
	size_t n = 0;
	int r = kernel->own.index ? link_list(kernel->link, &links, &n) : 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (links[i].index == kernel->own.index &&
		    strcmp(links[i].kind, kernel->own.kind) == 0)
			memcpy(ret, links[i].name, IFNAMSIZ);
	return r;
}

static int read_interface(struct kernel *kernel, const struct desired *desired, bool created_by_us,
			  struct actual *actual, struct err *err)
{
	int r = link_get(kernel->link, desired->ifname, &actual->link);

	if (r == -ENODEV) {
		forget_wg(kernel);
		r = find_renamed(kernel, actual->renamed);
		return r < 0 ? err_code(err, r, "list interfaces: %s", strerror(-r)) : 0;
	}
	if (r < 0)
		return err_code(err, r, "read interface %s: %s", desired->ifname, strerror(-r));
	r = kernel_device(kernel, desired->ifname, &actual->wg);
	if (r < 0)
		return taken(desired->ifname, err);
	actual->exists = true;
	r = check_ours(desired, actual->wg, created_by_us, err);
	if (r == 0)
		kernel->own = actual->link;
	if (r == 0)
		r = link_addrs(kernel->link, actual->link.index, &actual->addrs, &actual->n_addrs);
	return r;
}

int kernel_read(struct kernel *kernel, const struct desired *desired, bool created_by_us,
		struct actual *ret, struct err *err)
{
	struct actual actual = {0};
	int r = read_interface(kernel, desired, created_by_us, &actual, err);

	if (r == 0) {
		r = link_routes(kernel->link, &actual.routes, &actual.n_routes);
		if (r < 0)
			(void)err_code(err, r, "read routes: %s", strerror(-r));
	}
	if (r == 0) {
		r = firewall_plan(kernel->firewall, &desired->fw, &actual.firewall);
		if (r < 0)
			(void)err_code(err, r, "read the firewall: %s (%s)", strerror(-r),
				       firewall_error(kernel->firewall));
	}
	if (r < 0) {
		actual_done(&actual);
		return r;
	}
	actual.hosts_differ = hosts_differ(kernel, desired);
	*ret = actual;
	return 0;
}

int kernel_verify_firewall(struct kernel *kernel, struct err *err)
{
	int r = firewall_verify(kernel->firewall);

	if (r == 1)
		(void)err_set(err, "the firewall differs from what was applied: %s",
			      firewall_error(kernel->firewall));
	return r;
}

bool kernel_was_mistaken(struct kernel *kernel)
{
	bool mistaken = kernel->mistaken;

	kernel->mistaken = false;
	return mistaken;
}

int kernel_reopen_firewall(struct kernel *kernel, struct err *err)
{
	struct firewall *firewall = NULL;
	int r = open_firewall(kernel->plain_table, &firewall);

	if (r < 0)
		return err_code(err, r, "open the firewall anew: %s", strerror(-r));
	firewall_close(kernel->firewall);
	kernel->firewall = firewall;
	return 0;
}

int kernel_counters(struct kernel *kernel, struct fw_counters *ret)
{
	return firewall_counters(kernel->firewall, ret);
}

bool kernel_has_table(struct kernel *kernel)
{
	return firewall_stands(kernel->firewall) == 1;
}

int kernel_uplinks(struct kernel *kernel, const struct endpoint *hubs, size_t n_hubs,
		   struct uplinks *uplinks)
{
	return uplink_look(kernel->link, hubs, n_hubs, uplinks);
}

int kernel_link(struct kernel *kernel, const char *ifname, struct link_info *ret)
{
	return link_get(kernel->link, ifname, ret);
}

int kernel_try_firewall(struct kernel *kernel, const struct fw_desired *desired, struct err *err)
{
	int r = firewall_try(kernel->firewall, desired);

	return r < 0 ? err_code(err, r, "%s", firewall_error(kernel->firewall)) : 0;
}

unsigned int kernel_interface_index(struct kernel *kernel, const char *ifname)
{
	struct link_info info;

	return link_get(kernel->link, ifname, &info) == 0 ? info.index : 0;
}

/* ---- ranges of others ---- */

static int range_taken(const struct prefix *range, const struct prefix *other, unsigned int index,
		       struct err *err)
{
	char ours[PREFIX_TEXT_MAX], theirs[PREFIX_TEXT_MAX], name[IF_NAMESIZE];

	return err_code(
		err, -EEXIST,
		"the network's range %s overlaps %s of interface %s: change that one, or use "
		"a network with another --ipv4 range",
		prefix_format(range, ours), prefix_format(other, theirs),
		if_indextoname(index, name) ? name : "(none)");
}

static int check_addrs(struct kernel *kernel, const struct prefix *range, unsigned int own,
		       struct err *err)
{
	_cleanup_(freep) struct link_addr *addrs = NULL;
	size_t n = 0;
	int r = link_addrs(kernel->link, 0, &addrs, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (addrs[i].index != own && prefix_overlaps(range, &addrs[i].prefix))
			r = range_taken(range, &addrs[i].prefix, addrs[i].index, err);
	return r;
}

/* A default route overlaps everything and means nothing; ours are those that we are about to make. */
static bool route_matters(const struct link_route *route, unsigned int own)
{
	return route->destination.length > 0 && route->protocol != LINK_ROUTE_PROTOCOL &&
	       (own == 0 || route->oif != own);
}

int kernel_check_range(struct kernel *kernel, const struct prefix *range, const char *ifname,
		       struct err *err)
{
	_cleanup_(freep) struct link_route *routes = NULL;
	unsigned int own = kernel_interface_index(kernel, ifname);
	size_t n = 0;
	int r;

	if (!addr_is_set(&range->addr))
		return 0;
	r = check_addrs(kernel, range, own, err);
	if (r == 0)
		r = link_routes(kernel->link, &routes, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (route_matters(&routes[i], own) &&
		    prefix_overlaps(range, &routes[i].destination))
			r = range_taken(range, &routes[i].destination, routes[i].oif, err);
	return r;
}

/* ---- writing ---- */

static int do_create(struct kernel *kernel, const struct desired *desired, struct err *err)
{
	int r;

	forget_wg(kernel);
	r = wg_create(desired->ifname, kernel->wanted, &kernel->wg, &kernel->became);
	if (r == -EOPNOTSUPP)
		return err_code(err, r,
				"create %s: this host has no kernel WireGuard and no wireguard-go: "
				"install one",
				desired->ifname);
	if (r == -EEXIST && kernel_interface_index(kernel, desired->ifname) == 0)
		return err_code(
			err, r,
			"create %s: a wireguard-go of that name runs and its interface is not "
			"here: somebody renamed or moved it; remove that (`ip link del NAME`)",
			desired->ifname);
	if (r == -EEXIST)
		return taken(desired->ifname, err);
	if (r < 0)
		return err_code(err, r, "create interface %s: %s", desired->ifname, strerror(-r));
	(void)snprintf(kernel->wg_name, sizeof(kernel->wg_name), "%s", desired->ifname);
	return 0;
}

static int do_rename(struct kernel *kernel, const struct desired *desired)
{
	char name[IFNAMSIZ] = "";
	int r = find_renamed(kernel, name);

	if (r == 0)
		r = link_set_name(kernel->link, name, desired->ifname);
	if (r != -EBUSY)
		return r;
	r = link_set_up(kernel->link, name, false);
	return r < 0 ? r : link_set_name(kernel->link, name, desired->ifname);
}

/* Not knowing them is no reason to stop: some may be cut, and come back. */
static void do_adopt(void)
{
	size_t n = 0;
	int r = flows_adopt(&n);

	if (r < 0)
		log_warning("conntrack cannot be told of running connections: %s", strerror(-r));
	else if (n > 0)
		log_info("conntrack was told of %zu running connections", n);
}

static int do_firewall(struct kernel *kernel, const struct desired *desired, struct err *err)
{
	struct fw_plan plan = {0};
	int r = firewall_apply(kernel->firewall, &desired->fw, &plan);

	if (r < 0)
		return err_code(err, r, "change the firewall: %s (%s)", strerror(-r),
				firewall_error(kernel->firewall));
	kernel->mistaken |= plan.mistaken;
	return 0;
}

static int do_verify(struct kernel *kernel, struct err *err)
{
	int r = kernel_verify_firewall(kernel, err);

	return r == 1 ? -EIO : r;
}

/* WireGuard in user space has new sockets whenever the interface comes up or its port changes. */
static void make_room(struct kernel *kernel, const char *ifname)
{
	int r = use_wg(kernel, ifname);

	if (r == 0)
		r = wg_make_room(kernel->wg);
	if (r < 0 && !kernel->cramped)
		log_info("%s: wireguard-go's sockets keep the system's receive buffer (%s): fast "
			 "streams lose packets there",
			 ifname, strerror(-r));
	kernel->cramped = r < 0;
}

static bool is_up(struct kernel *kernel, const char *ifname)
{
	struct link_info info;

	return link_get(kernel->link, ifname, &info) == 0 && info.up;
}

static bool changes_device(const struct plan *plan)
{
	bool changes = false;

	for (size_t i = 0; i < plan->n_changes; i++)
		changes |= plan->changes[i].kind == WG_CHANGE_DEVICE;
	return changes;
}

static int do_up(struct kernel *kernel, const struct desired *desired)
{
	int r = link_set_up(kernel->link, desired->ifname, true);

	if (r == 0)
		make_room(kernel, desired->ifname);
	return r;
}

static int do_wireguard(struct kernel *kernel, const struct desired *desired,
			const struct plan *plan, struct err *err)
{
	int r = use_wg(kernel, desired->ifname);

	if (r == 0)
		r = wg_set(kernel->wg, plan->changes, plan->n_changes);
	if (r < 0)
		return err_code(err, r, "change the peers of %s: %s (%s)", desired->ifname,
				strerror(-r), kernel->wg ? wg_error(kernel->wg) : "");
	if (changes_device(plan) && is_up(kernel, desired->ifname))
		make_room(kernel, desired->ifname);
	return 0;
}

static int do_route(struct kernel *kernel, const struct desired *desired,
		    const struct plan_step *step)
{
	struct link_route route = step->route;

	if (!route.unreachable)
		route.oif = kernel_interface_index(kernel, desired->ifname);
	return step->kind == PLAN_ROUTE_ADD ? link_route_add(kernel->link, &route)
					    : link_route_remove(kernel->link, &route);
}

static int do_address(struct kernel *kernel, const struct desired *desired,
		      const struct plan_step *step)
{
	unsigned int index = kernel_interface_index(kernel, desired->ifname);

	return step->kind == PLAN_ADDR_ADD
		       ? link_addr_add(kernel->link, index, &step->addr,
				       (uint8_t)addr_bits(&step->addr))
		       : link_addr_remove(kernel->link, index, &step->addr, step->length);
}

static int do_step(struct kernel *kernel, const struct desired *desired, const struct plan *plan,
		   const struct plan_step *step, struct err *err)
{
	switch (step->kind) {
	case PLAN_DOWN:
		return link_set_up(kernel->link, desired->ifname, false);
	case PLAN_RENAME:
		return do_rename(kernel, desired);
	case PLAN_CREATE:
		return do_create(kernel, desired, err);
	case PLAN_ADOPT:
		do_adopt();
		return 0;
	case PLAN_FIREWALL:
		return do_firewall(kernel, desired, err);
	case PLAN_VERIFY:
		return do_verify(kernel, err);
	case PLAN_MTU:
		return link_set_mtu(kernel->link, desired->ifname, desired->mtu);
	case PLAN_WIREGUARD:
		return do_wireguard(kernel, desired, plan, err);
	case PLAN_ADDR_ADD:
	case PLAN_ADDR_REMOVE:
		return do_address(kernel, desired, step);
	case PLAN_ROUTE_ADD:
	case PLAN_ROUTE_REMOVE:
		return do_route(kernel, desired, step);
	case PLAN_UP:
		return do_up(kernel, desired);
	case PLAN_HOSTS:
		return file_write(kernel->hosts_path, desired->hosts, strlen(desired->hosts), 0644);
	}
	return -EINVAL;
}

int kernel_apply(struct kernel *kernel, const struct desired *desired, const struct plan *plan,
		 struct err *err)
{
	for (size_t i = 0; i < plan->n; i++) {
		struct err own = {0};
		int r = do_step(kernel, desired, plan, &plan->steps[i], &own);
		if (r < 0 && own.text[0] == '\0')
			(void)err_code(&own, r, "%s: %s", plan->steps[i].text, strerror(-r));
		if (r < 0) {
			*err = own;
			return r;
		}
	}
	return 0;
}

int kernel_refresh_leases(struct kernel *kernel, const struct desired *desired, struct err *err)
{
	int r = firewall_refresh_leases(kernel->firewall, desired->fw.peers, desired->fw.n_peers);

	if (r < 0)
		return err_code(err, r, "refresh leases: %s (%s)", strerror(-r),
				firewall_error(kernel->firewall));
	return 0;
}

int kernel_restart_peer(struct kernel *kernel, const struct wg_peer *peer, struct err *err)
{
	/*
	 * A keepalive that is switched on makes WireGuard send at once, so the handshake comes from here. Without it a
	 * side that has nothing to say stays silent, and the other one believes in the old session for 15 seconds.
	 */
	struct wg_peer speaking = *peer;
	const struct wg_change changes[] = {
		{.kind = WG_CHANGE_PEER_REMOVE, .peer = peer},
		{.kind = WG_CHANGE_PEER_SET, .peer = &speaking},
		{.kind = WG_CHANGE_PEER_SET, .peer = peer},
	};
	int r;

	speaking.keepalive = peer->keepalive ? peer->keepalive : 1;
	r = kernel->wg ? wg_set(kernel->wg, changes, ARRAY_SIZE(changes)) : -ENODEV;
	if (r < 0)
		return err_code(err, r, "restart a peer: %s", strerror(-r));
	return 0;
}

int kernel_set_peer(struct kernel *kernel, const struct wg_peer *peer, struct err *err)
{
	const struct wg_change change = {.kind = WG_CHANGE_PEER_SET, .peer = peer};
	int r = kernel->wg ? wg_set(kernel->wg, &change, 1) : -ENODEV;

	return r < 0 ? err_code(err, r, "change a peer: %s", strerror(-r)) : 0;
}

int kernel_renew_endpoints(struct kernel *kernel, const struct desired *desired, struct err *err)
{
	_cleanup_(freep) struct wg_change *changes =
		calloc(desired->wg.n_peers + 1, sizeof(*changes));
	int r = changes ? use_wg(kernel, desired->ifname) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < desired->wg.n_peers; i++)
		changes[i] = (struct wg_change){.kind = WG_CHANGE_PEER_SET,
						.peer = &desired->wg.peers[i]};
	if (r == 0)
		r = wg_set(kernel->wg, changes, desired->wg.n_peers);
	if (r < 0)
		return err_code(err, r, "tell %s its peers' endpoints: %s", desired->ifname,
				strerror(-r));
	return 0;
}

int kernel_remove_interface(struct kernel *kernel, const char *ifname, struct err *err)
{
	int r;

	if (strcmp(kernel->wg_name, ifname) == 0)
		forget_wg(kernel);
	/* Down first: nothing may pass between the end of one thing and the end of the next. */
	(void)link_set_up(kernel->link, ifname, false);
	r = wg_destroy(ifname);
	if (r == -ENODEV)
		return err_code(
			err, r,
			"remove interface %s: it is no WireGuard interface, so it is not ours",
			ifname);
	if (r < 0)
		return err_code(err, r, "remove interface %s: %s", ifname, strerror(-r));
	return 0;
}

static int remove_routes(struct kernel *kernel)
{
	_cleanup_(freep) struct link_route *routes = NULL;
	size_t n = 0;
	int r = link_routes(kernel->link, &routes, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (routes[i].protocol == LINK_ROUTE_PROTOCOL)
			r = link_route_remove(kernel->link, &routes[i]);
	return r;
}

int kernel_remove(struct kernel *kernel, const char *ifname, struct err *err)
{
	int r = kernel_remove_interface(kernel, ifname, err);

	if (r < 0)
		return r;
	r = remove_routes(kernel);
	if (r < 0)
		return err_code(err, r, "remove routes: %s", strerror(-r));
	r = firewall_remove(kernel->firewall);
	if (r < 0)
		return err_code(err, r, "remove the firewall's table: %s (%s)", strerror(-r),
				firewall_error(kernel->firewall));
	if (kernel->hosts_path)
		(void)unlink(kernel->hosts_path);
	return 0;
}
