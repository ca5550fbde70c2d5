/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's WireGuard by generic netlink. Inside netlink/ and its tests only.
 *
 * Encoder and decoder work on bytes alone; wg_kernel_get() and wg_kernel_set() move them.
 */
#pragma once
#include <linux/netlink.h>
#include "netlink/nl.h"
#include "netlink/wireguard.h"

#define WG_MESSAGE_MIN 512   /* a peer without allowed IPs, or one allowed IP, always fits */
#define WG_MESSAGE_MAX 16384 /* nested attributes end at 64 KiB */

/* Reads one message of a dump into the device; what continues the last peer is joined to it. -EBADMSG. */
int wg_kernel_decode(const struct nlmsghdr *message, struct wg_device *device);

/* Where the encoder stands in a list of changes; starts all zero. */
struct wg_cursor {
	size_t change;
	size_t allowed; /* of the current peer, already sent */
	bool begun;	/* the current peer's first part is in an earlier message */
};

/*
 * Fills one message (NLM_F_ACK) with as many changes as fit and moves the cursor behind them. The caller loops until
 * cursor->change is n. -EMSGSIZE where size is below WG_MESSAGE_MIN.
 */
int wg_kernel_encode(struct wg_cursor *cursor, uint16_t family, const char *ifname,
		     const struct wg_change *changes, size_t n, void *buffer, size_t size);

int wg_kernel_get(struct nl *nl, uint16_t family, const char *ifname, struct wg_device **ret);
int wg_kernel_set(struct nl *nl, uint16_t family, const char *ifname,
		  const struct wg_change *changes, size_t n);
