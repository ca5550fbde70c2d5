/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inbound connections: conntrack's entries first, then TCP sockets that conntrack does not know of (it was loaded
 * after they were made).
 *
 * A conntrack entry counts only when an answer was seen: otherwise anybody could keep the firewall from closing by
 * sending packets at it. Entries of TCP connections that are over are left out too.
 */
#include "netlink/flows.h"
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include "common/cleanup.h"
#include "netlink/link.h"
#include "netlink/nl.h"
#include "netlink/sockets.h"

#define DUMP_TRIES 10

DEFINE_CLEANUP(nfct_destroy, struct nf_conntrack *);

struct collector {
	const struct link_addr *locals;
	size_t n_locals;
	struct flow *flows;
	size_t n, limit;
};

static bool is_local(const struct collector *c, const struct addr *addr)
{
	static const struct prefix loopback = {.addr = {.family = AF_INET, .bytes = {127}},
					       .length = 8};

	if (prefix_contains(&loopback, addr))
		return true;
	for (size_t i = 0; i < c->n_locals; i++)
		if (addr_equal(&c->locals[i].local, addr))
			return true;
	return false;
}

static bool is_known(const struct collector *c, const struct flow *flow)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->flows[i].protocol == flow->protocol &&
		    endpoint_equal(&c->flows[i].from, &flow->from) &&
		    endpoint_equal(&c->flows[i].to, &flow->to))
			return true;
	return false;
}

/* The list is full: what else there is does not matter, the answer is "yes, many". */
static void collect(struct collector *c, struct flow *flow)
{
	if (c->n >= c->limit || is_local(c, &flow->from.addr) || !is_local(c, &flow->to.addr) ||
	    is_known(c, flow))
		return;
	flow->inbound = true;
	c->flows[c->n++] = *flow;
}

static bool is_running(const struct nf_conntrack *ct)
{
	uint8_t state;

	if (!(nfct_get_attr_u32(ct, ATTR_STATUS) & IPS_SEEN_REPLY))
		return false;
	if (nfct_get_attr_u8(ct, ATTR_L4PROTO) != IPPROTO_TCP)
		return true;
	state = nfct_get_attr_u8(ct, ATTR_TCP_STATE);
	return state < TCP_CONNTRACK_LAST_ACK;
}

static struct endpoint conntrack_endpoint(const struct nf_conntrack *ct, bool source)
{
	bool v4 = nfct_get_attr_u8(ct, ATTR_L3PROTO) == AF_INET;
	const void *bytes = nfct_get_attr(ct, v4       ? source ? ATTR_IPV4_SRC : ATTR_IPV4_DST
					      : source ? ATTR_IPV6_SRC
						       : ATTR_IPV6_DST);
	enum nf_conntrack_attr port = source ? ATTR_PORT_SRC : ATTR_PORT_DST;
	struct endpoint endpoint = {0};

	if (bytes)
		endpoint.addr = addr_from_bytes(v4 ? AF_INET : AF_INET6, bytes);
	if (nfct_attr_is_set(ct, port))
		endpoint.port = ntohs(nfct_get_attr_u16(ct, port));
	return endpoint;
}

static int on_conntrack(const struct nlmsghdr *message, void *data)
{
	_cleanup_(nfct_destroyp) struct nf_conntrack *ct = nfct_new();
	struct flow flow = {0};

	if (!ct)
		return -ENOMEM;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg) ||
	    nfct_nlmsg_parse(message, ct) < 0)
		return 0; /* an entry of a kind the library does not know */
	if (!is_running(ct))
		return 0;
	flow.protocol = nfct_get_attr_u8(ct, ATTR_L4PROTO);
	flow.from = conntrack_endpoint(ct, true);
	flow.to = conntrack_endpoint(ct, false);
	collect(data, &flow);
	return 0;
}

static int dump_conntrack(struct collector *c, struct nl *nl)
{
	_Alignas(struct nlmsghdr) char buffer[256];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = AF_UNSPEC;
	header->version = NFNETLINK_V0;
	header->res_id = 0;
	return nl_request(nl, message, on_conntrack, c);
}

/* Asked again after an interruption, what was collected already is known. */
static int read_conntrack(struct collector *c)
{
	_cleanup_(nl_closep) struct nl *nl = NULL;
	int r = nl_open(NETLINK_NETFILTER, &nl);

	if (r < 0)
		return r;
	r = -EINTR;
	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++)
		r = dump_conntrack(c, nl);
	/* nfnetlink answers EINVAL for a subsystem that is not there */
	return r == -EINVAL || r == -EOPNOTSUPP || r == -EPROTONOSUPPORT ? 0 : r;
}

static int on_socket(const struct flow *flow, void *data)
{
	struct flow copy = *flow;

	if (flow->inbound)
		collect(data, &copy);
	return 0;
}

static int read_all(struct collector *c)
{
	int r = read_conntrack(c);

	return r < 0 ? r : sockets_established(on_socket, c);
}

int flows_inbound(size_t limit, struct flow **ret, size_t *ret_n)
{
	_cleanup_(link_closep) struct link_handle *handle = NULL;
	_cleanup_(freep) struct link_addr *locals = NULL;
	_cleanup_(freep) struct flow *flows = reallocarray(NULL, limit + 1, sizeof(*flows));
	struct collector collector = {.flows = flows, .limit = limit};
	int r;

	if (!flows)
		return -ENOMEM;
	r = link_open(&handle);
	if (r == 0)
		r = link_addrs(handle, 0, &locals, &collector.n_locals);
	collector.locals = locals;
	if (r == 0)
		r = read_all(&collector);
	if (r < 0)
		return r;
	*ret = take_pointer(flows);
	*ret_n = collector.n;
	return 0;
}
