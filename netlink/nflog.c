/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets from nfnetlink_log over libmnl.
 *
 * libnetfilter_log is not used: it exports nflog_open() and nflog_close() itself, and what is needed of it are five
 * attributes. The kernel numbers the packets of a group, so gaps say how many were lost.
 */
#include "netlink/nflog.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include "netlink/answer.h"
#include "netlink/nflog_message.h"
#include "netlink/nl.h"

#define DATAGRAMS_PER_DISPATCH 64
#define COPY_BYTES	       256 /* headers; extension headers longer than that hide the ports */
#define FLUSH_CENTISECONDS     10
#define FLUSH_PACKETS	       32
#define RECEIVE_BUFFER	       (1 << 20)

struct nflog {
	struct nl *nl;
	void (*on_packet)(const struct nflog_packet *packet, void *data);
	void *data;
	uint32_t next; /* expected sequence number */
	bool overrun;  /* the socket said so since the last packet */
	_Alignas(struct nlmsghdr) uint8_t buffer[65536];
};

static struct nlmsghdr *put_config(void *buffer, uint16_t group)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = AF_UNSPEC;
	header->version = NFNETLINK_V0;
	header->res_id = htons(group);
	return message;
}

static int bind_group(struct nl *nl, uint16_t group)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	const struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_BIND};
	struct nlmsghdr *message = put_config(buffer, group);

	mnl_attr_put(message, NFULA_CFG_CMD, sizeof(command), &command);
	return nl_request(nl, message, NULL, NULL);
}

static int configure(struct nl *nl, uint16_t group)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	const struct nfulnl_msg_config_mode mode = {.copy_range = htonl(COPY_BYTES),
						    .copy_mode = NFULNL_COPY_PACKET};
	struct nlmsghdr *message = put_config(buffer, group);

	mnl_attr_put(message, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(message, NFULA_CFG_TIMEOUT, htonl(FLUSH_CENTISECONDS));
	mnl_attr_put_u32(message, NFULA_CFG_QTHRESH, htonl(FLUSH_PACKETS));
	mnl_attr_put_u16(message, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
	return nl_request(nl, message, NULL, NULL);
}

int nflog_open(uint16_t group, void (*on_packet)(const struct nflog_packet *packet, void *data),
	       void *data, struct nflog **ret)
{
	struct nflog *nflog = calloc(1, sizeof(*nflog));
	int size = RECEIVE_BUFFER;
	int r;

	if (!nflog)
		return -ENOMEM;
	nflog->on_packet = on_packet;
	nflog->data = data;
	r = nl_open(NETLINK_NETFILTER, &nflog->nl);
	if (r == 0)
		r = bind_group(nflog->nl, group);
	if (r == 0)
		r = configure(nflog->nl, group);
	if (r < 0) {
		nflog_close(nflog);
		return r;
	}
	/* best effort: a smaller buffer loses more in a burst, and that is counted */
	(void)setsockopt(nflog_fd(nflog), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*ret = nflog;
	return 0;
}

void nflog_close(struct nflog *nflog)
{
	if (!nflog)
		return;
	nl_close(nflog->nl);
	free(nflog);
}

int nflog_fd(const struct nflog *nflog)
{
	return nl_fd(nflog->nl);
}

static void count_lost(struct nflog *nflog, const uint32_t *sequence, struct nflog_packet *packet)
{
	packet->lost = nflog->overrun;
	if (sequence) {
		uint32_t gap = *sequence - nflog->next;

		/* the kernel may copy out of order on several CPUs: a step back is no loss of 2^32 */
		if (gap < UINT32_MAX / 2) {
			packet->lost = gap > packet->lost ? gap : packet->lost;
			nflog->next = *sequence + 1;
		}
	}
	nflog->overrun = false;
}

/* The name may be gone by now: then there is none. */
static void put_name(uint32_t index, char name[IFNAMSIZ])
{
	if (!index || !if_indextoname(index, name))
		name[0] = '\0';
}

static void on_message(struct nflog *nflog, const struct nlmsghdr *message)
{
	struct nflog_message decoded;

	if (nflog_decode_message(message, &decoded) < 0)
		return;
	put_name(decoded.in_index, decoded.packet.in);
	put_name(decoded.out_index, decoded.packet.out);
	count_lost(nflog, decoded.numbered ? &decoded.sequence : NULL, &decoded.packet);
	nflog->on_packet(&decoded.packet, nflog->data);
}

static void read_datagram(struct nflog *nflog, size_t length)
{
	const uint8_t *at = nflog->buffer;
	const struct nlmsghdr *message;
	int error = 0;

	while ((message = message_next(&at, &length, &error)))
		on_message(nflog, message);
}

/* 1: read something, 0: nothing there, else a negative errno. */
static int receive(struct nflog *nflog)
{
	ssize_t n = recv(nflog_fd(nflog), nflog->buffer, sizeof(nflog->buffer), MSG_DONTWAIT);

	if (n < 0 && errno == ENOBUFS) {
		nflog->overrun = true;
		return 1;
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	read_datagram(nflog, (size_t)n);
	return 1;
}

int nflog_dispatch(struct nflog *nflog)
{
	int r = 1;

	for (int i = 0; r > 0 && i < DATAGRAMS_PER_DISPATCH; i++)
		r = receive(nflog);
	return r < 0 ? r : 0;
}
