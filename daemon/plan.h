/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference between what the kernel should hold and what it holds, as an ordered list of steps: pure, printable.
 *
 * Order: down where it should be, interface created (down), firewall (conntrack told of running connections around it), its
 * verification, key and peers, addresses, unreachable routes, up, the
 * routes through it, names last. Every step is safe to repeat.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/desired.h"

/* What stands now. Lists are owned by the struct; actual_done() frees them and the device's keys. */
struct actual {
	bool exists;
	char renamed[IFNAMSIZ]; /* it does not: somebody gave ours this name; "" */
	struct link_info link;
	struct wg_device *wg;	 /* NULL where the interface does not exist */
	struct link_addr *addrs; /* of our interface */
	size_t n_addrs;
	struct link_route *routes; /* all */
	size_t n_routes;
	struct fw_plan firewall;
	bool hosts_differ;
};
void actual_done(struct actual *actual);

enum plan_kind {
	PLAN_DOWN,
	PLAN_RENAME,
	PLAN_CREATE,
	PLAN_ADOPT, /* conntrack learns of connections that it has not seen begin, around the first table */
	PLAN_FIREWALL,
	PLAN_VERIFY,
	PLAN_MTU,
	PLAN_WIREGUARD,
	PLAN_ADDR_ADD,
	PLAN_ADDR_REMOVE,
	PLAN_ROUTE_ADD,
	PLAN_ROUTE_REMOVE,
	PLAN_UP,
	PLAN_HOSTS,
};

struct plan_step {
	enum plan_kind kind;
	struct addr addr;	 /* PLAN_ADDR_* */
	uint8_t length;		 /* PLAN_ADDR_REMOVE */
	struct link_route route; /* PLAN_ROUTE_*; oif 0 and not unreachable: our interface */
	char text[160];		 /* what a person reads */
};

struct plan {
	struct plan_step *steps;
	size_t n, size;
	struct wg_change *changes; /* of PLAN_WIREGUARD; borrow from desired and actual */
	size_t n_changes;
};

/* *ret borrows from both. -ENOMEM, or what wg_diff() refuses. */
int plan_build(const struct desired *desired, const struct actual *actual, struct plan **ret);
void plan_free(struct plan *plan);
DEFINE_CLEANUP(plan_free, struct plan *);
void plan_print(const struct plan *plan, FILE *out);
