/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building a struct wg_device piece by piece, for the two decoders. Inside netlink/ and its tests only.
 */
#pragma once
#include "netlink/wireguard.h"

#define WG_PEERS_MAX   (1u << 20) /* the kernel's own limit for a device */
#define WG_ALLOWED_MAX (1u << 20) /* allowed IPs of one peer */

/* Appends an empty peer; *ret is valid until the next call. -ENOMEM, -E2BIG. */
int wg_device_add_peer(struct wg_device *device, const struct key *public_key,
		       struct wg_peer **ret);
/* -EBADMSG where the length does not fit the family or bits behind it are set. */
int wg_peer_add_allowed(struct wg_peer *peer, const struct addr *addr, uint8_t length);
/* Sorts; -EBADMSG where a peer stands twice. */
int wg_device_finish(struct wg_device *device);
