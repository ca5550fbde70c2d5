/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * WireGuard generic netlink: dumps are joined, sets are split, WGDEVICE_F_REPLACE_PEERS is never sent.
 *
 * A peer with more allowed IPs than fit goes out in parts: the first says REPLACE_ALLOWEDIPS, the others say
 * UPDATE_ONLY, so that they never bring back a peer that somebody removed in between.
 */
#include "netlink/wg_kernel.h"
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>
#include <string.h>
#include "netlink/answer.h"
#include "netlink/wg_device.h"

#define GET_TRIES 10 /* a dump that is interrupted that often meets a writer that never rests */

static int decode_allowed(const struct nlattr *nest, struct wg_peer *peer)
{
	const struct nlattr *table[WGALLOWEDIP_A_MAX + 1];
	uint16_t family;
	uint8_t bytes[16] = {0}, length;
	struct addr addr;
	int r = attributes_of_nest(nest, table, WGALLOWEDIP_A_MAX);

	if (r < 0)
		return r;
	if (!attribute_copy(table[WGALLOWEDIP_A_FAMILY], &family, sizeof(family)) ||
	    (family != AF_INET && family != AF_INET6) ||
	    !attribute_copy(table[WGALLOWEDIP_A_IPADDR], bytes, family == AF_INET ? 4 : 16) ||
	    !attribute_copy(table[WGALLOWEDIP_A_CIDR_MASK], &length, sizeof(length)))
		return -EBADMSG;
	addr = addr_from_bytes(family, bytes);
	return wg_peer_add_allowed(peer, &addr, length);
}

/* Calls decode for each attribute inside a nest, which lists them all under type 0. */
static int decode_list(const struct nlattr *nest,
		       int (*decode)(const struct nlattr *nest, void *data), void *data)
{
	const struct nlattr *attribute;
	const struct nlattr *check[1];
	int r = attributes_of_nest(nest, check, 0); /* lengths first */

	mnl_attr_for_each_nested (attribute, nest) {
		if (r < 0)
			break;
		r = decode(attribute, data);
	}
	return r;
}

static int on_allowed(const struct nlattr *nest, void *data)
{
	return decode_allowed(nest, data);
}

static int decode_endpoint(const struct nlattr *attribute, struct endpoint *ret)
{
	struct sockaddr_storage storage = {0};
	size_t length = mnl_attr_get_payload_len(attribute);

	if (length > sizeof(storage))
		return -EBADMSG;
	memcpy(&storage, mnl_attr_get_payload(attribute), length);
	return endpoint_from_sockaddr((struct sockaddr *)&storage, length, ret) < 0 ? -EBADMSG : 0;
}

/* What only the first part of a peer carries; each of them may be missing. */
static int decode_peer_head(const struct nlattr **table, struct wg_peer *peer)
{
	struct __kernel_timespec handshake = {0};

	if (table[WGPEER_A_ENDPOINT] &&
	    decode_endpoint(table[WGPEER_A_ENDPOINT], &peer->endpoint) < 0)
		return -EBADMSG;
	if (table[WGPEER_A_LAST_HANDSHAKE_TIME] &&
	    !attribute_copy(table[WGPEER_A_LAST_HANDSHAKE_TIME], &handshake, sizeof(handshake)))
		return -EBADMSG;
	peer->last_handshake_at = handshake.tv_sec;
	(void)attribute_copy(table[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL], &peer->keepalive,
			     sizeof(peer->keepalive));
	(void)attribute_copy(table[WGPEER_A_RX_BYTES], &peer->rx_bytes, sizeof(peer->rx_bytes));
	(void)attribute_copy(table[WGPEER_A_TX_BYTES], &peer->tx_bytes, sizeof(peer->tx_bytes));
	return 0;
}

static int on_peer(const struct nlattr *nest, void *data)
{
	const struct nlattr *table[WGPEER_A_MAX + 1];
	struct wg_device *device = data;
	struct wg_peer *peer = NULL;
	struct key key;
	int r = attributes_of_nest(nest, table, WGPEER_A_MAX);

	if (r < 0)
		return r;
	if (!attribute_copy(table[WGPEER_A_PUBLIC_KEY], key.bytes, sizeof(key.bytes)))
		return -EBADMSG;
	if (device->n_peers && key_equal(&device->peers[device->n_peers - 1].public_key, &key)) {
		peer = &device->peers[device->n_peers - 1];
	} else {
		r = wg_device_add_peer(device, &key, &peer);
		if (r == 0)
			r = decode_peer_head(table, peer);
	}
	if (r == 0 && table[WGPEER_A_ALLOWEDIPS])
		r = decode_list(table[WGPEER_A_ALLOWEDIPS], on_allowed, peer);
	return r;
}

/* Later messages of a dump repeat the name alone, so what is missing leaves the device as it is. */
int wg_kernel_decode(const struct nlmsghdr *message, struct wg_device *device)
{
	const struct nlattr *table[WGDEVICE_A_MAX + 1];
	int r = attributes_of_message(message, sizeof(struct genlmsghdr), table, WGDEVICE_A_MAX);

	if (r < 0)
		return r;
	if (table[WGDEVICE_A_IFNAME])
		attribute_text(table[WGDEVICE_A_IFNAME], device->name, sizeof(device->name));
	(void)attribute_copy(table[WGDEVICE_A_PRIVATE_KEY], device->private_key.bytes, KEY_SIZE);
	(void)attribute_copy(table[WGDEVICE_A_PUBLIC_KEY], device->public_key.bytes, KEY_SIZE);
	(void)attribute_copy(table[WGDEVICE_A_LISTEN_PORT], &device->listen_port,
			     sizeof(device->listen_port));
	return table[WGDEVICE_A_PEERS] ? decode_list(table[WGDEVICE_A_PEERS], on_peer, device) : 0;
}

static struct nlmsghdr *put_header(void *buffer, uint16_t family, uint8_t command, uint16_t flags,
				   const char *ifname)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header;

	message->nlmsg_type = family;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->cmd = command;
	header->version = WG_GENL_VERSION;
	mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, ifname);
	return message;
}

static bool put_allowed(struct nlmsghdr *message, size_t size, const struct prefix *prefix)
{
	struct nlattr *nest = mnl_attr_nest_start_check(message, size, 0);

	if (!nest)
		return false;
	if (!mnl_attr_put_u16_check(message, size, WGALLOWEDIP_A_FAMILY, prefix->addr.family) ||
	    !mnl_attr_put_check(message, size, WGALLOWEDIP_A_IPADDR, addr_length(&prefix->addr),
				prefix->addr.bytes) ||
	    !mnl_attr_put_u8_check(message, size, WGALLOWEDIP_A_CIDR_MASK, prefix->length)) {
		mnl_attr_nest_cancel(message, nest);
		return false;
	}
	mnl_attr_nest_end(message, nest);
	return true;
}

static bool put_endpoint(struct nlmsghdr *message, size_t size, const struct endpoint *endpoint)
{
	struct sockaddr_storage storage;
	socklen_t length = endpoint_to_sockaddr(endpoint, &storage);

	return !length || mnl_attr_put_check(message, size, WGPEER_A_ENDPOINT, length, &storage);
}

static bool put_peer_head(struct nlmsghdr *message, size_t size, const struct wg_cursor *cursor,
			  const struct wg_change *change)
{
	const struct wg_peer *peer = change->peer;
	uint32_t flags = change->kind == WG_CHANGE_PEER_REMOVE ? WGPEER_F_REMOVE_ME
			 : cursor->begun		       ? WGPEER_F_UPDATE_ONLY
							       : WGPEER_F_REPLACE_ALLOWEDIPS;

	if (!mnl_attr_put_check(message, size, WGPEER_A_PUBLIC_KEY, KEY_SIZE,
				peer->public_key.bytes) ||
	    !mnl_attr_put_u32_check(message, size, WGPEER_A_FLAGS, flags))
		return false;
	if (flags != WGPEER_F_REPLACE_ALLOWEDIPS)
		return true;
	return put_endpoint(message, size, &peer->endpoint) &&
	       mnl_attr_put_u16_check(message, size, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL,
				      peer->keepalive);
}

/* Puts allowed IPs from the cursor on; true where all of them are in. */
static bool put_allowed_list(struct nlmsghdr *message, size_t size, struct wg_cursor *cursor,
			     const struct wg_peer *peer)
{
	struct nlattr *nest;

	if (cursor->allowed == peer->n_allowed)
		return true;
	nest = mnl_attr_nest_start_check(message, size, WGPEER_A_ALLOWEDIPS);
	if (!nest)
		return false;
	while (cursor->allowed < peer->n_allowed &&
	       put_allowed(message, size, &peer->allowed[cursor->allowed]))
		cursor->allowed++;
	mnl_attr_nest_end(message, nest);
	return cursor->allowed == peer->n_allowed;
}

/* Puts one peer or what fits of it; true where the cursor stands behind it now. */
static bool put_peer(struct nlmsghdr *message, size_t size, struct wg_cursor *cursor,
		     const struct wg_change *change)
{
	struct nlattr *nest = mnl_attr_nest_start_check(message, size, 0);
	bool complete;

	if (!nest)
		return false;
	if (!put_peer_head(message, size, cursor, change)) {
		mnl_attr_nest_cancel(message, nest);
		return false;
	}
	complete = change->kind == WG_CHANGE_PEER_REMOVE ||
		   put_allowed_list(message, size, cursor, change->peer);
	mnl_attr_nest_end(message, nest);
	if (!complete) {
		cursor->begun = true;
		return false;
	}
	*cursor = (struct wg_cursor){.change = cursor->change + 1};
	return true;
}

/* Device settings come first in a message: the kernel applies them before the peers wherever they stand. */
static bool put_device(struct nlmsghdr *message, size_t size, const struct wg_device *device)
{
	if (!mnl_attr_put_check(message, size, WGDEVICE_A_PRIVATE_KEY, KEY_SIZE,
				device->private_key.bytes))
		return false;
	return !device->listen_port ||
	       mnl_attr_put_u16_check(message, size, WGDEVICE_A_LISTEN_PORT, device->listen_port);
}

int wg_kernel_encode(struct wg_cursor *cursor, uint16_t family, const char *ifname,
		     const struct wg_change *changes, size_t n, void *buffer, size_t size)
{
	struct nlmsghdr *message;
	struct nlattr *peers;

	if (size < WG_MESSAGE_MIN || size > WG_MESSAGE_MAX || strlen(ifname) >= IFNAMSIZ)
		return -EMSGSIZE;
	message = put_header(buffer, family, WG_CMD_SET_DEVICE, NLM_F_ACK, ifname);
	if (cursor->change < n && changes[cursor->change].kind == WG_CHANGE_DEVICE) {
		if (!put_device(message, size, changes[cursor->change].device))
			return -EMSGSIZE;
		cursor->change++;
	}
	if (cursor->change == n || changes[cursor->change].kind == WG_CHANGE_DEVICE)
		return 0;
	peers = mnl_attr_nest_start_check(message, size, WGDEVICE_A_PEERS);
	if (!peers)
		return -EMSGSIZE;
	while (cursor->change < n && changes[cursor->change].kind != WG_CHANGE_DEVICE &&
	       put_peer(message, size, cursor, &changes[cursor->change]))
		;
	mnl_attr_nest_end(message, peers);
	return 0;
}

int wg_kernel_set(struct nl *nl, uint16_t family, const char *ifname,
		  const struct wg_change *changes, size_t n)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[WG_MESSAGE_MAX];
	struct wg_cursor cursor = {0};
	int r = 0;

	while (cursor.change < n && r == 0) {
		r = wg_kernel_encode(&cursor, family, ifname, changes, n, buffer, sizeof(buffer));
		if (r == 0)
			r = nl_request(nl, (struct nlmsghdr *)buffer, NULL, NULL);
	}
	explicit_bzero(buffer, sizeof(buffer));
	return r;
}

static int on_device(const struct nlmsghdr *message, void *data)
{
	return wg_kernel_decode(message, data);
}

static int get_once(struct nl *nl, uint16_t family, const char *ifname, struct wg_device **ret)
{
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	_Alignas(struct nlmsghdr) uint8_t buffer[WG_MESSAGE_MIN];
	int r;

	if (!device)
		return -ENOMEM;
	r = nl_request(nl, put_header(buffer, family, WG_CMD_GET_DEVICE, NLM_F_DUMP, ifname),
		       on_device, device);
	if (r == 0)
		r = wg_device_finish(device);
	if (r == 0)
		*ret = take_pointer(device);
	return r;
}

int wg_kernel_get(struct nl *nl, uint16_t family, const char *ifname, struct wg_device **ret)
{
	int r = -EINTR;

	if (strlen(ifname) >= IFNAMSIZ)
		return -EINVAL;
	for (int i = 0; i < GET_TRIES && r == -EINTR; i++)
		r = get_once(nl, family, ifname, ret);
	return r;
}
