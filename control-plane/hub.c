/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub's interface. It owns the interface by name and key, its routes by their protocol number and the table
 * `inet sortie`; it touches nothing else on the host.
 */
#include "control-plane/hub.h"
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include "firewall/firewall.h"
#include "netlink/link.h"

#define ROUTE_TABLE_MAIN 254

struct hub {
	char ifname[IFNAMSIZ];
	enum wg_backend wanted, backend;
	struct key private_key, public_key;
	struct root_statement
		root; /* a copy: the trust that it came from is replaced by every new policy */
	uint16_t listen_port;
	struct addr hub6, hub4;
	struct wg *wg; /* NULL while there is no interface */
	unsigned int index;
	bool created; /* and not yet reported: a later step failed */
	struct link_handle *link;
	struct firewall *firewall;
};

int hub_new(const struct hub_options *options, struct hub **ret, struct err *err)
{
	_cleanup_(hub_freep) struct hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (!hub)
		return -ENOMEM;
	snprintf(hub->ifname, sizeof(hub->ifname), "%s", options->ifname);
	hub->wanted = options->backend;
	hub->private_key = *options->private_key;
	hub->root = *options->root;
	hub->listen_port = options->listen_port;
	hub->hub6 = hub_address6(&hub->root.overlay6);
	if (addr_is_set(&hub->root.overlay4.addr))
		hub->hub4 = hub_address4(&hub->root.overlay4);
	r = key_public_curve25519(&hub->private_key, &hub->public_key);
	if (r < 0)
		return err_code(err, r, "the hub's WireGuard key is not valid");
	r = link_open(&hub->link);
	if (r < 0)
		return err_code(err, r, "cannot talk to the kernel about links: %s", strerror(-r));
	r = firewall_open(&hub->firewall);
	if (r < 0)
		return err_code(err, r, "cannot talk to the kernel about filters: %s",
				firewall_open_error(r));
	*ret = take_pointer(hub);
	return 0;
}

void hub_free(struct hub *hub)
{
	if (!hub)
		return;
	wg_close(hub->wg);
	link_close(hub->link);
	firewall_close(hub->firewall);
	key_wipe(&hub->private_key);
	free(hub);
}

const char *hub_error(const struct hub *hub)
{
	return hub->wg ? wg_error(hub->wg) : "";
}

const char *hub_backend_name(const struct hub *hub)
{
	if (!hub->wg)
		return "none";
	return hub->backend == WG_BACKEND_KERNEL ? "kernel" : "userspace";
}

unsigned int hub_index(const struct hub *hub)
{
	return hub->index;
}

const char *hub_ifname(const struct hub *hub)
{
	return hub->ifname;
}

const struct key *hub_public_key(const struct hub *hub)
{
	return &hub->public_key;
}

/* ---- the interface ---- */

static void forget(struct hub *hub)
{
	wg_close(hub->wg);
	hub->wg = NULL;
	hub->index = 0;
}

/* An interface of that name is ours if it has our key, or none yet (we were killed between creating and keying it). */
static int adopt(struct hub *hub, struct err *err)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	int r = wg_open(hub->ifname, &hub->wg, &hub->backend);

	if (r == 0)
		r = wg_get(hub->wg, &device);
	if (r == 0 && !key_is_zero(&device->private_key) &&
	    !key_equal(&device->public_key, &hub->public_key))
		r = -EEXIST;
	if (r < 0) {
		forget(hub);
		return err_code(err, r == -ENODEV ? -EEXIST : r,
				"interface %s is there and is not this hub's: choose another name "
				"with --interface",
				hub->ifname);
	}
	return 0;
}

static int open_or_create(struct hub *hub, struct err *err)
{
	struct link_info info;
	int r = link_get(hub->link, hub->ifname, &info);

	if (r == 0 && hub->wg && info.index == hub->index)
		return 0;
	forget(hub);
	if (r == 0) {
		r = adopt(hub, err);
	} else if (r != -ENODEV) {
		return err_code(err, r, "cannot look for interface %s: %s", hub->ifname,
				strerror(-r));
	} else {
		r = wg_create(hub->ifname, hub->wanted, &hub->wg, &hub->backend);
		if (r < 0)
			return err_code(err, r, "cannot create WireGuard interface %s: %s%s",
					hub->ifname, strerror(-r),
					r == -EPERM ? "; root or CAP_NET_ADMIN is needed" : "");
		hub->created = true;
	}
	if (r < 0)
		return r;
	r = link_get(hub->link, hub->ifname, &info);
	if (r < 0)
		return err_code(err, r, "cannot read interface %s: %s", hub->ifname, strerror(-r));
	hub->index = info.index;
	return 0;
}

static int set_device(struct hub *hub, struct err *err)
{
	const struct wg_device device = {.private_key = hub->private_key,
					 .listen_port = hub->listen_port};
	const struct wg_change change = {.kind = WG_CHANGE_DEVICE, .device = &device};
	_cleanup_(wg_device_freep) struct wg_device *actual = NULL;
	int r = wg_get(hub->wg, &actual);

	if (r == 0 && key_equal(&actual->public_key, &hub->public_key) &&
	    actual->listen_port == hub->listen_port)
		return 0;
	r = wg_set(hub->wg, &change, 1);
	if (r < 0)
		return err_code(err, r, "cannot set key and UDP port %u of %s: %s (%s)%s",
				hub->listen_port, hub->ifname, strerror(-r), wg_error(hub->wg),
				r == -EADDRINUSE ? ": stop what has that port (ss -ulnp)" : "");
	return 0;
}

static struct fw_desired desired_filter(const struct hub *hub)
{
	struct fw_desired desired = {
		.role = FW_ROLE_HUB,
		.mode = FW_MODE_OVERLAY,
		.overlay6 = hub->root.overlay6,
		.overlay4 = hub->root.overlay4,
		.hub6 = hub->hub6,
		.hub4 = hub->hub4,
		.api_port = hub->root.api_port,
		.enroll_port = hub->root.enroll_port,
		.listen_port = hub->listen_port,
	};

	snprintf(desired.ifname, sizeof(desired.ifname), "%s", hub->ifname);
	return desired;
}

/* Endpoints that are addresses say which families sites come by; a name may be of both. */
int hub_foreign(const struct hub *hub, struct foreign_finding **ret, size_t *ret_n)
{
	struct fw_desired desired = desired_filter(hub);
	struct endpoint endpoints[TOKEN_ENDPOINTS_MAX];
	const struct foreign_question question = {.desired = &desired,
						  .ipv6 = hub->hub6,
						  .ipv4 = hub->hub4,
						  .ifindex = hub_index(hub)};

	for (size_t i = 0; i < hub->root.n_endpoints; i++) {
		if (endpoint_parse(hub->root.endpoints[i], &endpoints[i]) < 0)
			return foreign_look(&question, ret, ret_n);
	}
	desired.hubs = endpoints;
	desired.n_hubs = hub->root.n_endpoints;
	return foreign_look(&question, ret, ret_n);
}

static int set_firewall(struct hub *hub, struct err *err)
{
	struct fw_desired desired = desired_filter(hub);
	struct fw_plan plan;
	int r = hub->firewall ? 0 : firewall_open(&hub->firewall);

	if (r < 0)
		return err_code(err, r, "cannot talk to the kernel about filters: %s",
				firewall_open_error(r));
	r = firewall_apply(hub->firewall, &desired, &plan);
	if (r < 0)
		return err_code(err, r, "cannot load the hub's filter: %s (%s)", strerror(-r),
				firewall_error(hub->firewall));
	return 0;
}

/* A fresh handle compares with what stands in the kernel, not with what this process remembers. */
int hub_check_filter(struct hub *hub, struct err *err)
{
	int r = hub->firewall ? firewall_verify(hub->firewall) : 1;

	if (r == 0)
		return 0;
	if (r < 0)
		return err_code(err, r, "cannot read the hub's filter: %s (%s)", strerror(-r),
				firewall_error(hub->firewall));
	firewall_close(hub->firewall);
	hub->firewall = NULL;
	r = set_firewall(hub, err);
	return r < 0 ? r : 1;
}

static int set_addresses(struct hub *hub)
{
	int r = link_addr_add(hub->link, hub->index, &hub->hub6, 128);

	if (r == 0 && addr_is_set(&hub->hub4))
		r = link_addr_add(hub->link, hub->index, &hub->hub4, 32);
	return r;
}

static int set_routes(struct hub *hub)
{
	struct link_route route = {
		.destination = hub->root.overlay6,
		.oif = hub->index,
		.table = ROUTE_TABLE_MAIN,
		.protocol = LINK_ROUTE_PROTOCOL,
	};
	int r = link_route_add(hub->link, &route);

	if (r < 0 || !addr_is_set(&hub->root.overlay4.addr))
		return r;
	route.destination = hub->root.overlay4;
	return link_route_add(hub->link, &route);
}

/* *ret_step says where it failed. */
static int set_link(struct hub *hub, const char **ret_step)
{
	struct link_info info;
	int r;

	*ret_step = "the MTU";
	r = link_get(hub->link, hub->ifname, &info);
	if (r == 0 && info.mtu != hub->root.mtu)
		r = link_set_mtu(hub->link, hub->ifname, hub->root.mtu);
	if (r < 0)
		return r;
	*ret_step = "the addresses";
	r = set_addresses(hub);
	if (r < 0)
		return r;
	*ret_step = "the state up";
	if (!info.up)
		r = link_set_up(hub->link, hub->ifname, true);
	if (r < 0)
		return r;
	if (!info.up)
		(void)wg_make_room(hub->wg); /* a thousand sites may call at once */
	*ret_step = "the routes";
	return set_routes(hub);
}

/* Filter first, interface up last: there is no moment in which somebody gets in unfiltered. */
int hub_ensure(struct hub *hub, bool *ret_created, struct err *err)
{
	const char *step = "";
	int r = open_or_create(hub, err);

	if (r == 0)
		r = set_firewall(hub, err);
	if (r == 0)
		r = set_device(hub, err);
	if (r < 0)
		return r;
	r = set_link(hub, &step);
	if (r < 0)
		return err_code(err, r, "cannot set %s of %s: %s", step, hub->ifname, strerror(-r));
	*ret_created = hub->created;
	hub->created = false;
	return 0;
}

/* ---- and gone ---- */

static int is_ours(const char *ifname, const struct key *public_key)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	_cleanup_(wg_closep) struct wg *wg = NULL;
	int r = wg_open(ifname, &wg, NULL);

	if (r == 0)
		r = wg_get(wg, &device);
	if (r < 0)
		return r;
	return key_equal(&device->public_key, public_key) ? 0 : -EEXIST;
}

/* A hub that goes on under another name must not lose its filter. */
static int refuse_other_name(const struct key *public_key, struct err *err)
{
	struct if_nameindex *names = if_nameindex();
	int r = names ? 0 : -errno;

	for (size_t i = 0; r == 0 && names[i].if_name; i++)
		if (is_ours(names[i].if_name, public_key) == 0)
			r = err_code(err, -EEXIST,
				     "this hub's interface is %s: name it with --interface",
				     names[i].if_name);
	if (names)
		if_freenameindex(names);
	return r;
}

/* One table serves both roles: beside an agent's there is no hub's. */
static int refuse_agents_table(struct firewall *firewall, struct err *err)
{
	int r = firewall_is_workloads(firewall);

	return r < 0   ? err_code(err, r, "read table inet sortie: %s", strerror(-r))
	       : r > 0 ? err_code(err, -EEXIST,
				  "no hub to remove: table inet sortie is an agent's, which "
				  "`sortied --remove` or `sortie leave` takes away")
		       : 0;
}

int hub_remove(const char *ifname, const struct key *public_key, struct err *err)
{
	_cleanup_(firewall_closep) struct firewall *firewall = NULL;
	int stands = is_ours(ifname, public_key), r;

	if (stands == -ENODEV && refuse_other_name(public_key, err) < 0)
		return -EEXIST;
	if (stands < 0 && stands != -ENODEV)
		return err_code(err, stands, "cannot remove interface %s: %s", ifname,
				stands == -EEXIST ? "it is not this hub's" : strerror(-stands));
	r = firewall_open(&firewall);
	if (r < 0)
		return err_code(err, r, "cannot remove the hub's filter: %s",
				firewall_open_error(r));
	r = refuse_agents_table(firewall, err);
	if (r < 0)
		return r;
	r = stands == 0 ? wg_destroy(ifname) : 0;
	if (r < 0 && r != -ENODEV)
		return err_code(err, r, "cannot remove interface %s: %s", ifname, strerror(-r));
	r = firewall_remove(firewall);
	return r < 0 ? err_code(err, r, "cannot remove the hub's filter: %s", strerror(-r)) : 0;
}

/* ---- its peers ---- */

/* allowed has room for two. */
static struct wg_peer as_wg_peer(const struct hub_peer *peer, struct prefix allowed[2])
{
	struct wg_peer ret = {
		.public_key = peer->public_key, .endpoint = peer->endpoint, .allowed = allowed};

	if (addr_is_set(&peer->ipv6))
		allowed[ret.n_allowed++] = prefix_host(&peer->ipv6);
	if (addr_is_set(&peer->ipv4))
		allowed[ret.n_allowed++] = prefix_host(&peer->ipv4);
	return ret;
}

static int by_key(const void *a, const void *b)
{
	return key_compare(&((const struct wg_peer *)a)->public_key,
			   &((const struct wg_peer *)b)->public_key);
}

static int apply(struct hub *hub, const struct wg_device *desired)
{
	_cleanup_(wg_device_freep) struct wg_device *actual = NULL;
	_cleanup_(freep) struct wg_change *changes = NULL;
	size_t n;
	int r = wg_get(hub->wg, &actual);

	if (r == 0)
		r = wg_diff(desired, actual, false, &changes, &n);
	if (r == 0 && n > 0)
		r = wg_set(hub->wg, changes, n);
	return r;
}

int hub_set_peers(struct hub *hub, const struct hub_peer *peers, size_t n, struct err *err)
{
	_cleanup_(freep) struct wg_peer *wg_peers = calloc(n + 1, sizeof(*wg_peers));
	_cleanup_(freep) struct prefix(*allowed)[2] = calloc(n + 1, sizeof(*allowed));
	struct wg_device desired = {
		.private_key = hub->private_key,
		.public_key = hub->public_key,
		.listen_port = hub->listen_port,
		.peers = wg_peers,
		.n_peers = n,
	};
	int r;

	if (!wg_peers || !allowed)
		return -ENOMEM;
	if (!hub->wg)
		return err_code(err, -ENODEV, "the hub's interface is gone");
	snprintf(desired.name, sizeof(desired.name), "%s", hub->ifname);
	for (size_t i = 0; i < n; i++)
		wg_peers[i] = as_wg_peer(&peers[i], allowed[i]);
	qsort(wg_peers, n, sizeof(*wg_peers), by_key);
	r = apply(hub, &desired);
	key_wipe(&desired.private_key);
	if (r < 0)
		return err_code(err, r, "cannot set the hub's %zu peers: %s (%s)", n, strerror(-r),
				wg_error(hub->wg));
	return 0;
}

static int change_peer(struct hub *hub, enum wg_change_kind kind, const struct wg_peer *peer)
{
	const struct wg_change change = {.kind = kind, .peer = peer};

	return hub->wg ? wg_set(hub->wg, &change, 1) : -ENODEV;
}

int hub_set_peer(struct hub *hub, const struct hub_peer *peer)
{
	struct prefix allowed[2];
	struct wg_peer wg_peer = as_wg_peer(peer, allowed);

	return change_peer(hub, WG_CHANGE_PEER_SET, &wg_peer);
}

int hub_remove_peer(struct hub *hub, const struct key *public_key)
{
	const struct wg_peer peer = {.public_key = *public_key};

	return change_peer(hub, WG_CHANGE_PEER_REMOVE, &peer);
}

int hub_forget_session(struct hub *hub, const struct hub_peer *peer)
{
	struct prefix allowed[2];
	const struct wg_peer wg_peer = as_wg_peer(peer, allowed);
	const struct wg_change changes[] = {
		{.kind = WG_CHANGE_PEER_REMOVE, .peer = &wg_peer},
		{.kind = WG_CHANGE_PEER_SET, .peer = &wg_peer},
	};

	return hub->wg ? wg_set(hub->wg, changes, 2) : -ENODEV;
}

int hub_call_peer(struct hub *hub, const struct hub_peer *peer)
{
	struct prefix allowed[2];
	struct wg_peer silent = as_wg_peer(peer, allowed), speaking = silent;
	const struct wg_change changes[] = {
		{.kind = WG_CHANGE_PEER_REMOVE, .peer = &silent},
		{.kind = WG_CHANGE_PEER_SET, .peer = &speaking},
		{.kind = WG_CHANGE_PEER_SET, .peer = &silent},
	};

	speaking.keepalive = 1; /* switched on, it is sent at once, and needs a session */
	return hub->wg ? wg_set(hub->wg, changes, 3) : -ENODEV;
}

int hub_read(struct hub *hub, struct wg_device **ret)
{
	return hub->wg ? wg_get(hub->wg, ret) : -ENODEV;
}
