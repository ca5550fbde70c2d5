/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only caller of what writes to the kernel (and the reader of what stands there).
 *
 * A struct kernel holds the netlink handles of one agent. Nothing of it is undone when the agent ends: a restart
 * adopts. kernel_remove() is `leave`.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/plan.h"
#include "daemon/uplink.h"

struct kernel;

struct kernel_options {
	enum wg_backend backend;
	bool plain_table; /* do not own the table, also where the kernel could: for tests of repairs, and who only looks */
	const char *hosts_path; /* borrowed for the life of the kernel; NULL: no hosts file */
};

/* -EPERM without CAP_NET_ADMIN. */
int kernel_open(const struct kernel_options *options, struct kernel **ret, struct err *err);
void kernel_close(struct kernel *kernel);
DEFINE_CLEANUP(kernel_close, struct kernel *);

/*
 * Reads what stands where desired should. -EEXIST where the interface belongs to somebody else: it is no WireGuard
 * interface, or has neither our key nor (with created_by_us, after a crash between create and key) none at all.
 */
int kernel_read(struct kernel *kernel, const struct desired *desired, bool created_by_us,
		struct actual *ret, struct err *err);

/* Takes the steps in order; stops at the first that fails, leaving what was before it standing. */
int kernel_apply(struct kernel *kernel, const struct desired *desired, const struct plan *plan,
		 struct err *err);

/* Only kernel timeouts: after a suspend, a clock step, or time. */
int kernel_refresh_leases(struct kernel *kernel, const struct desired *desired, struct err *err);

/* Removes and adds again: WireGuard forgets the session and starts a handshake with the next packet. */
int kernel_restart_peer(struct kernel *kernel, const struct wg_peer *peer, struct err *err);

/* Endpoint, keepalive and addresses of a peer; its session goes on. */
int kernel_set_peer(struct kernel *kernel, const struct wg_peer *peer, struct err *err);

/*
 * Tells every peer's endpoint again, sessions go on: a userspace WireGuard that has sent from an address which is gone sends
 * nothing more until then (wireguard-go 0.0.20220316), the kernel's looks up its route anew.
 */
int kernel_renew_endpoints(struct kernel *kernel, const struct desired *desired, struct err *err);

/* Interface down and gone; the table and its overlay rules stay. For the join interface. */
int kernel_remove_interface(struct kernel *kernel, const char *ifname, struct err *err);
/* Everything of ours: interface, routes, table, hosts file. */
int kernel_remove(struct kernel *kernel, const char *ifname, struct err *err);

/* 1: the table differs from what was applied (err says where), 0: it does not. */
int kernel_verify_firewall(struct kernel *kernel, struct err *err);
/* Since the last call a change of our own met a table that somebody else had removed or changed; it is right again. */
bool kernel_was_mistaken(struct kernel *kernel);
/* Forgets what was applied, so that the next plan compares with what stands. */
int kernel_reopen_firewall(struct kernel *kernel, struct err *err);
int kernel_counters(struct kernel *kernel, struct fw_counters *ret);
bool kernel_has_table(struct kernel *kernel); /* a table of our name, whoever made it */
int kernel_device(struct kernel *kernel, const char *ifname, struct wg_device **ret);
/* Has this peer answered a handshake? One that was added again has not yet. */
bool kernel_has_session(struct kernel *kernel, const char *ifname, const struct key *public_key);
/* Which bridges lead out of this host: uplink.h. */
int kernel_uplinks(struct kernel *kernel, const struct endpoint *hubs, size_t n_hubs,
		   struct uplinks *uplinks);
int kernel_link(struct kernel *kernel, const char *ifname, struct link_info *ret); /* -ENODEV */
/* Would the kernel take such a table? Changes nothing. */
int kernel_try_firewall(struct kernel *kernel, const struct fw_desired *desired, struct err *err);
unsigned int kernel_interface_index(struct kernel *kernel, const char *ifname); /* 0: none */
/* What the open interface became; AUTO before there is one. */
enum wg_backend kernel_backend(const struct kernel *kernel);

/*
 * Does a range of the overlay overlap an address or route of this host that is not ours? -EEXIST with the interface
 * named in err. ifname: our own interface, not looked at.
 */
int kernel_check_range(struct kernel *kernel, const struct prefix *range, const char *ifname,
		       struct err *err);
