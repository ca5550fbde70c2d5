/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub's WireGuard interface: management sessions of every identity, and the one-time peers of tokens.
 *
 * hub_ensure() makes it stand: interface, firewall (role hub, before the interface is up), key, port, addresses, up,
 * routes. It adopts an interface that carries the hub's key already; a foreign one is -EEXIST. It is called again
 * whenever something about links changed and does only what is missing. hub_free() leaves everything standing: a
 * control plane that is down is no outage.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "firewall/foreign.h"
#include "netlink/wireguard.h"
#include "trust/statement.h"

struct hub;

struct hub_options {
	const char *ifname;
	enum wg_backend backend;
	const struct key *private_key;
	const struct root_statement *root; /* copied */
	uint16_t listen_port;
};

/*
 * A peer that should be there: AllowedIPs are whole addresses, unset ones are left out. The endpoint (may be unset) is
 * only for a peer that has none, and only a confirmed one (hub_watch.h) may be given.
 */
struct hub_peer {
	struct key public_key;
	struct addr ipv6, ipv4;
	struct endpoint endpoint;
};

int hub_new(const struct hub_options *options, struct hub **ret, struct err *err);
void hub_free(struct hub *hub);
DEFINE_CLEANUP(hub_free, struct hub *);

/*
 * Takes a hub's interface, its routes and its table out of the kernel, without a struct hub. Gone already is success;
 * -EEXIST where an interface of that name has another key.
 */
int hub_remove(const char *ifname, const struct key *public_key, struct err *err);

/* *ret_created: the interface is new, all sessions are lost: it gets a new boot id, and its peers must be set. */
int hub_ensure(struct hub *hub, bool *ret_created, struct err *err);

/*
 * Looks whether the filter still stands as it was loaded, and loads it again if somebody flushed or changed it.
 * 1: it was repaired, 0: nothing to do.
 */
int hub_check_filter(struct hub *hub, struct err *err);

/* Which rules of other software on this host drop what the hub needs; malloc()ed. */
int hub_foreign(const struct hub *hub, struct foreign_finding **ret, size_t *ret_n);

/* Makes the peer list so: desired -> actual -> difference -> apply. */
int hub_set_peers(struct hub *hub, const struct hub_peer *peers, size_t n, struct err *err);
/* One peer, at once. */
int hub_set_peer(struct hub *hub, const struct hub_peer *peer);
int hub_remove_peer(struct hub *hub, const struct key *public_key);
/* The peer stays and may begin anew; until then nothing is sent to it. Its endpoint must be unset. */
int hub_forget_session(struct hub *hub, const struct hub_peer *peer);
/* Forgets the peer's session and newest timestamp, and begins a handshake at its endpoint, which is set. */
int hub_call_peer(struct hub *hub, const struct hub_peer *peer);

/* Reads all peers; wg_device_free() it. */
int hub_read(struct hub *hub, struct wg_device **ret);
const char *hub_error(const struct hub *hub);
const char *hub_backend_name(const struct hub *hub); /* "kernel", "userspace", "none" */
unsigned int hub_index(const struct hub *hub);	     /* 0: there is no interface */
const char *hub_ifname(const struct hub *hub);
const struct key *hub_public_key(const struct hub *hub);
