/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inet_diag dumps: all listeners before any connection, because an IPv6 listener takes IPv4 connections. */
#include "netlink/sockets.h"
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include "common/cleanup.h"
#include "netlink/nl.h"

#define PORTS 65536
#define RESERVED_FIRST                                                                             \
	512 /* where rresvport() gives clients of root's their ports, NFS among them */
#define RESERVED_END	1024
#define EPHEMERAL_RANGE "/proc/sys/net/ipv4/ip_local_port_range"

struct reading {
	uint8_t listening[PORTS / 8];
	unsigned int ephemeral_low, ephemeral_high;
	int (*on_flow)(const struct flow *flow, void *data);
	void *data;
};

/* A namespace always has one; without /proc every port may be a client's, and listeners alone decide. */
static void read_range(struct reading *reading)
{
	FILE *file = fopen(EPHEMERAL_RANGE, "re");

	if (!file || fscanf(file, "%u %u", &reading->ephemeral_low, &reading->ephemeral_high) != 2)
		reading->ephemeral_high = PORTS - 1;
	if (file)
		(void)fclose(file);
}

static bool is_served(const struct reading *reading, uint16_t port)
{
	bool client = (port >= reading->ephemeral_low && port <= reading->ephemeral_high) ||
		      (port >= RESERVED_FIRST && port < RESERVED_END);

	return reading->listening[port / 8] & 1u << port % 8 || !client;
}

static int on_listener(const struct nlmsghdr *message, void *data)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	struct reading *reading = data;
	uint16_t port;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*socket))
		return -EBADMSG;
	port = ntohs(socket->id.idiag_sport);
	reading->listening[port / 8] |= (uint8_t)(1u << port % 8);
	return 0;
}

/* A socket's idea of an address; IPv4 over an IPv6 socket comes mapped. */
static struct endpoint socket_endpoint(uint8_t family, const void *bytes, uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (family == AF_INET6 && !memcmp(bytes, mapped, sizeof(mapped))) {
		family = AF_INET;
		bytes = (const uint8_t *)bytes + sizeof(mapped);
	}
	return (struct endpoint){addr_from_bytes(family, bytes), ntohs(port)};
}

static int on_connection(const struct nlmsghdr *message, void *data)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	const struct reading *reading = data;
	struct endpoint own, other;
	struct flow flow = {.protocol = IPPROTO_TCP, .from_sockets = true};

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*socket))
		return -EBADMSG;
	if (socket->idiag_family != AF_INET && socket->idiag_family != AF_INET6)
		return 0;
	own = socket_endpoint(socket->idiag_family, socket->id.idiag_src, socket->id.idiag_sport);
	other = socket_endpoint(socket->idiag_family, socket->id.idiag_dst, socket->id.idiag_dport);
	flow.inbound = is_served(reading, own.port);
	flow.from = flow.inbound ? other : own;
	flow.to = flow.inbound ? own : other;
	return reading->on_flow(&flow, reading->data);
}

static int dump(struct nl *nl, uint8_t family, uint32_t states,
		int (*on_message)(const struct nlmsghdr *message, void *data),
		struct reading *reading)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request;

	message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = states;
	return nl_request(nl, message, on_message, reading);
}

int sockets_established(int (*on_flow)(const struct flow *flow, void *data), void *data)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	_cleanup_(nl_closep) struct nl *nl = NULL;
	struct reading reading = {.on_flow = on_flow, .data = data};
	int r = nl_open(NETLINK_SOCK_DIAG, &nl);

	read_range(&reading);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		r = dump(nl, families[i], 1u << TCP_LISTEN, on_listener, &reading);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		r = dump(nl, families[i], 1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT,
			 on_connection, &reading);
	return r;
}
