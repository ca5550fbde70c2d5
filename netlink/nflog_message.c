/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding of logged packets. The packet is an attacker's: every length is checked, IPv6 extension headers are
 * followed within a limit, and ports that are not there are 0.
 */
#include "netlink/nflog_message.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <netinet/in.h>
#include <string.h>
#include "netlink/answer.h"

#define EXTENSION_HEADERS_MAX 8

static uint16_t be16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void read_ports(const uint8_t *bytes, size_t length, struct nflog_packet *packet)
{
	switch (packet->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		if (length < 4)
			return;
		packet->from_port = be16(bytes);
		packet->to_port = be16(bytes + 2);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (length >= 2)
			packet->to_port = be16(bytes);
		return;
	default:
		return;
	}
}

static int decode_v4(const uint8_t *bytes, size_t length, struct nflog_packet *packet)
{
	size_t header = length ? (bytes[0] & 15u) * 4u : 0;

	if (length < 20 || header < 20 || header > length)
		return -EINVAL;
	packet->protocol = bytes[9];
	packet->from = addr_from_bytes(AF_INET, bytes + 12);
	packet->to = addr_from_bytes(AF_INET, bytes + 16);
	if ((be16(bytes + 6) & 0x1fff) == 0) /* a later fragment has no ports */
		read_ports(bytes + header, length - header, packet);
	return 0;
}

/* The length of an extension header, 0 where it is none or not all there. */
static size_t extension_length(uint8_t type, const uint8_t *bytes, size_t length)
{
	size_t whole = 0;

	if (length < 8)
		return 0;
	switch (type) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
		whole = (bytes[1] + 1u) * 8u;
		break;
	case IPPROTO_AH:
		whole = (bytes[1] + 2u) * 4u;
		break;
	case IPPROTO_FRAGMENT:
		whole = 8;
		break;
	default:
		break;
	}
	return whole <= length ? whole : 0;
}

static int decode_v6(const uint8_t *bytes, size_t length, struct nflog_packet *packet)
{
	const uint8_t *at = bytes + 40;
	bool later_fragment = false;

	if (length < 40)
		return -EINVAL;
	packet->protocol = bytes[6];
	packet->from = addr_from_bytes(AF_INET6, bytes + 8);
	packet->to = addr_from_bytes(AF_INET6, bytes + 24);
	length -= 40;
	for (int i = 0; i < EXTENSION_HEADERS_MAX && !later_fragment; i++) {
		size_t whole = extension_length(packet->protocol, at, length);

		if (!whole)
			break;
		later_fragment = packet->protocol == IPPROTO_FRAGMENT && be16(at + 2) >> 3;
		packet->protocol = at[0];
		at += whole;
		length -= whole;
	}
	if (!later_fragment)
		read_ports(at, length, packet);
	return 0;
}

int nflog_decode_packet(const uint8_t *bytes, size_t length, struct nflog_packet *ret)
{
	struct nflog_packet packet = {0};
	int r = -EINVAL;

	if (length && bytes[0] >> 4 == 4)
		r = decode_v4(bytes, length, &packet);
	else if (length && bytes[0] >> 4 == 6)
		r = decode_v6(bytes, length, &packet);
	if (r == 0)
		*ret = packet;
	return r;
}

static uint32_t read_be32(const struct nlattr *attribute)
{
	uint32_t value = 0;

	(void)attribute_copy(attribute, &value, sizeof(value));
	return ntohl(value);
}

int nflog_decode_message(const struct nlmsghdr *message, struct nflog_message *ret)
{
	const struct nlattr *table[NFULA_MAX + 1];
	struct nflog_message decoded = {0};
	int r;

	if (message->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
		return -ENOMSG;
	r = attributes_of_message(message, sizeof(struct nfgenmsg), table, NFULA_MAX);
	if (r < 0)
		return r;
	if (!table[NFULA_PAYLOAD])
		return -EBADMSG;
	r = nflog_decode_packet(mnl_attr_get_payload(table[NFULA_PAYLOAD]),
				mnl_attr_get_payload_len(table[NFULA_PAYLOAD]), &decoded.packet);
	if (r < 0)
		return r;
	if (table[NFULA_PREFIX])
		attribute_text(table[NFULA_PREFIX], decoded.packet.prefix,
			       sizeof(decoded.packet.prefix));
	decoded.packet.mark = read_be32(table[NFULA_MARK]);
	decoded.in_index = read_be32(table[NFULA_IFINDEX_INDEV]);
	decoded.out_index = read_be32(table[NFULA_IFINDEX_OUTDEV]);
	decoded.numbered = table[NFULA_SEQ] != NULL;
	decoded.sequence = read_be32(table[NFULA_SEQ]);
	*ret = decoded;
	return 0;
}
