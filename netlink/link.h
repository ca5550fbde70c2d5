/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links, addresses and routes over libnl-route-3, in the caller's network namespace.
 *
 * All functions return 0 or a negative errno (libnl's NLE_* codes are mapped). Adding what stands and removing what
 * is gone is success. Routes that we add carry route protocol LINK_ROUTE_PROTOCOL; nothing else is ever removed.
 */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/cleanup.h"

#define LINK_ROUTE_PROTOCOL 83 /* 'S'; not in iproute2's rt_protos */

struct link_handle;

struct link_info {
	char name[IFNAMSIZ];
	char kind[16]; /* "wireguard", "tun", ...; "" if none */
	unsigned int index;
	unsigned int master; /* the bridge or bond that it is a port of; 0: none */
	unsigned int mtu;
	bool up;
};

struct link_addr {
	unsigned int index; /* interface */
	struct prefix prefix;
	struct addr local;
};

struct link_route {
	struct prefix destination;
	unsigned int oif; /* 0: none (unreachable) */
	uint32_t metric;
	uint32_t table;
	uint8_t protocol;
	bool unreachable;
};

int link_open(struct link_handle **ret);
void link_close(struct link_handle *handle);
DEFINE_CLEANUP(link_close, struct link_handle *);

/* What the kernel accepts as an interface name: 1 to 15 characters, no '/', ':', blank, not "." or "..". */
bool link_name_valid(const char *name);

int link_get(struct link_handle *handle, const char *name, struct link_info *ret); /* -ENODEV */
int link_list(struct link_handle *handle, struct link_info **ret, size_t *ret_n);
/* Makes a link of a kind that needs no parameters, down. -EEXIST, -EOPNOTSUPP. */
int link_create(struct link_handle *handle, const char *name, const char *kind);
int link_set_up(struct link_handle *handle, const char *name, bool up);
/* Of a link that is up only where the kernel can (6.2 and later): else -EBUSY. */
int link_set_name(struct link_handle *handle, const char *name, const char *becomes);
int link_set_mtu(struct link_handle *handle, const char *name, unsigned int mtu);
int link_delete(struct link_handle *handle, const char *name);

/* Lists are malloc()ed, the caller's. index 0: all interfaces. */
int link_addrs(struct link_handle *handle, unsigned int index, struct link_addr **ret,
	       size_t *ret_n);
/* IPv6 addresses are added with IFA_F_NODAD: the tunnel has no neighbours. */
int link_addr_add(struct link_handle *handle, unsigned int index, const struct addr *addr,
		  uint8_t length);
int link_addr_remove(struct link_handle *handle, unsigned int index, const struct addr *addr,
		     uint8_t length);

int link_routes(struct link_handle *handle, struct link_route **ret, size_t *ret_n);
/* The interfaces of all default routes, of every table and with every next hop; one may stand more than once. */
int link_ways_out(struct link_handle *handle, unsigned int **ret, size_t *ret_n);
/* The interface that the kernel would send to this address by. -ENETUNREACH and the like where there is none. */
int link_way_to(struct link_handle *handle, const struct addr *addr, unsigned int *ret);
int link_route_add(struct link_handle *handle, const struct link_route *route);
int link_route_remove(struct link_handle *handle, const struct link_route *route);

/*
 * Change events of links, addresses and routes. link_events_fd() becomes readable; link_events_dispatch() reads what
 * is there and calls on_change once per affected interface index (0: unknown, or events were lost: look at everything).
 */
struct link_events;
int link_events_open(void (*on_change)(unsigned int index, void *data), void *data,
		     struct link_events **ret);
int link_events_fd(const struct link_events *events);
int link_events_dispatch(struct link_events *events);
void link_events_close(struct link_events *events);
