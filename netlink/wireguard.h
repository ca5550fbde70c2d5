/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * WireGuard devices: the kernel's by generic netlink (linux/wireguard.h, 5.6+), or a userspace implementation's by
 * the cross-platform UAPI socket (wireguard.com/xplatform). Both sit behind the same functions.
 *
 * struct wg_device and struct wg_peer are plain data; wg_device_free() frees a device and wipes its keys.
 * All functions return 0 or a negative errno; *ret is written only on success.
 */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/cleanup.h"
#include "common/key.h"

enum wg_backend {
	WG_BACKEND_AUTO,      /* kernel where there is one, else userspace */
	WG_BACKEND_KERNEL,    /* rtnl link type "wireguard" */
	WG_BACKEND_USERSPACE, /* the wireguard-go program, started by wg_create() */
};

struct wg_peer {
	struct key public_key;
	struct endpoint endpoint; /* family AF_UNSPEC: none */
	uint16_t keepalive;	  /* seconds, 0 = off */
	struct prefix *allowed;	  /* owned */
	size_t n_allowed;
	/* read only: */
	int64_t last_handshake_at; /* seconds since 1970, 0 = never */
	uint64_t rx_bytes, tx_bytes;
};

struct wg_device {
	char name[IFNAMSIZ];
	struct key private_key; /* all zero: none */
	struct key public_key;	/* read only */
	uint16_t
		listen_port; /* 0 in a change: the kernel's choice stands, or is made when the link comes up */
	struct wg_peer *peers; /* owned, sorted by public key */
	size_t n_peers;
};

/* One step of a change, in order. Differences only: existing peers that no step names are not touched. */
enum wg_change_kind {
	WG_CHANGE_DEVICE, /* private key and listen port from .device */
	WG_CHANGE_PEER_SET, /* add the peer, or set endpoint (if any), keepalive and exactly these allowed IPs */
	WG_CHANGE_PEER_REMOVE /* gone already is success */
};

struct wg_change {
	enum wg_change_kind kind;
	const struct wg_device *device; /* WG_CHANGE_DEVICE; borrowed */
	const struct wg_peer *peer;	/* the others; borrowed */
};

struct wg; /* an open backend for one interface */

/*
 * Creates the interface (down, without addresses) and opens it. -EEXIST where the name is taken, -EOPNOTSUPP where
 * the backend is not to be had. *ret_backend (may be NULL) says which one it became. Userspace: starts wireguard-go,
 * which outlives this process; its socket is /run/wireguard/NAME.sock.
 */
int wg_create(const char *ifname, enum wg_backend backend, struct wg **ret,
	      enum wg_backend *ret_backend);
/* Opens what stands, finding the backend. -ENODEV. */
int wg_open(const char *ifname, struct wg **ret, enum wg_backend *ret_backend);
/* Would wg_create() find this backend (not AUTO)? 0, -EOPNOTSUPP. Loads the kernel's module where there is one. */
int wg_available(enum wg_backend backend);
void wg_close(struct wg *wg); /* leaves the interface standing; NULL is fine */
DEFINE_CLEANUP(wg_close, struct wg *);
/*
 * Removes the interface (userspace: its process ends with it). Gone already is success; -ENODEV where a link of that
 * name stands that is not WireGuard.
 */
int wg_destroy(const char *ifname);

/* Reads the device with all peers; interrupted dumps are retried, split peers coalesced. */
int wg_get(struct wg *wg, struct wg_device **ret);
/*
 * Applies the changes in order; messages too large are split. After an error some may be in place: the caller
 * reads the device again before it plans anew. Never replaces the peer list.
 */
int wg_set(struct wg *wg, const struct wg_change *changes, size_t n);
const char *wg_error(const struct wg *wg); /* as nl_error() */
/*
 * Userspace: gives its sockets receive buffers that hold a burst. They are made anew, with the system's default, whenever the
 * interface comes up or its port changes, so it is asked for then. Needs pidfd_getfd(2) and the process that
 * started wireguard-go (-ESRCH elsewhere); without it everything works, with losses at high rates. The kernel's needs none: 0.
 */
int wg_make_room(struct wg *wg);

/* Finds by binary search; NULL. */
const struct wg_peer *wg_find_peer(const struct wg_device *device, const struct key *public_key);
/*
 * Pure: the changes that turn actual into desired (endpoints that roamed are left alone unless desired names one and
 * the peer has none; want_endpoint forces the desired one). *ret is malloc()ed and borrows from desired and actual.
 * Removals come first, so that a revocation does not depend on what follows it. Private keys are compared clamped.
 * -EINVAL where desired's peers are not sorted and unique (wg_device_sort()), -EADDRINUSE where an allowed IP stands
 * twice: the kernel would move it silently.
 */
int wg_diff(const struct wg_device *desired, const struct wg_device *actual, bool want_endpoint,
	    struct wg_change **ret, size_t *ret_n);

/* Sorts peers by key, as wg_find_peer() and wg_diff() need them, and allowed IPs. */
void wg_device_sort(struct wg_device *device);

void wg_device_free(struct wg_device *device);
DEFINE_CLEANUP(wg_device_free, struct wg_device *);
