/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A userspace WireGuard by the cross-platform UAPI (wireguard.com/xplatform), and the program that provides it.
 * Inside netlink/ and its tests only.
 */
#pragma once
#include "netlink/wireguard.h"

#define WG_UAPI_FOLDER	   "/run/wireguard"
#define WG_UAPI_TIMEOUT_MS 5000
#define WG_UAPI_ANSWER_MAX (64u << 20)

/*
 * Reads the answer to "get=1" or "set=1" (device may be NULL then). -EBADMSG where it is malformed or does not end
 * with errno= and an empty line; the answer's own errno, negative, where that is not 0.
 */
int wg_uapi_parse(const char *text, size_t length, struct wg_device *device);

/*
 * Writes one "set=1" request with as many changes from *at on as belong together, and moves *at behind them.
 * *ret is malloc()ed and holds secrets: wiped and freed with secret_free().
 */
int wg_uapi_format(const struct wg_change *changes, size_t n, size_t *at, char **ret,
		   size_t *ret_length);

/* -ENODEV where nothing answers on the socket. */
int wg_uapi_get(const char *ifname, struct wg_device **ret);
int wg_uapi_set(const char *ifname, const struct wg_change *changes, size_t n);
/* True where something accepts connections on the interface's socket. */
bool wg_uapi_answers(const char *ifname);

/* Starts wireguard-go and waits until it answers. -EOPNOTSUPP where there is no program or no TUN device. */
int wg_userspace_start(const char *ifname);
/*
 * Receive buffers for a burst, in all UDP sockets of the process that this one has started for ifname; -ESRCH where it has
 * not. Waits until there are sockets: the interface must be up.
 */
int wg_userspace_make_room(const char *ifname);
/* 0 where both are there, without starting anything. -EOPNOTSUPP. */
int wg_userspace_find(void);
/* Waits for the end of a process whose interface is gone, removes the socket it may have left. */
int wg_userspace_wait_end(const char *ifname);
