/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conntrack entries for connections that run already.
 *
 * Without an entry the next packet decides: with nf_conntrack_tcp_loose=1 whoever happens to send first counts as the one
 * who opened the connection, with 0 all of its packets are invalid. Entries are liberal about sequence numbers, which
 * nobody has seen, and the kernel takes over from there.
 */
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include "common/cleanup.h"
#include "netlink/flows.h"
#include "netlink/nl.h"
#include "netlink/sockets.h"

#define ADOPT_MAX     100000	  /* a second's work; what is beyond is as if nobody had told */
#define ESTABLISHED_S (5 * 86400) /* nf_conntrack_tcp_timeout_established */

DEFINE_CLEANUP(nfct_destroy, struct nf_conntrack *);

struct adopting {
	struct nl *nl;
	size_t n, seen;
	int error; /* of the first that failed */
};

static void set_ends(struct nf_conntrack *ct, const struct flow *flow)
{
	bool v4 = flow->from.addr.family == AF_INET;

	nfct_set_attr_u8(ct, ATTR_L3PROTO, (uint8_t)flow->from.addr.family);
	nfct_set_attr(ct, v4 ? ATTR_IPV4_SRC : ATTR_IPV6_SRC, flow->from.addr.bytes);
	nfct_set_attr(ct, v4 ? ATTR_IPV4_DST : ATTR_IPV6_DST, flow->to.addr.bytes);
	nfct_set_attr_u8(ct, ATTR_L4PROTO, flow->protocol);
	nfct_set_attr_u16(ct, ATTR_PORT_SRC, htons(flow->from.port));
	nfct_set_attr_u16(ct, ATTR_PORT_DST, htons(flow->to.port));
	nfct_setobjopt(ct, NFCT_SOPT_SETUP_REPLY);
}

static void set_running(struct nf_conntrack *ct)
{
	static const enum nf_conntrack_attr liberal[] = {ATTR_TCP_FLAGS_ORIG, ATTR_TCP_MASK_ORIG,
							 ATTR_TCP_FLAGS_REPL, ATTR_TCP_MASK_REPL};

	nfct_set_attr_u32(ct, ATTR_STATUS, IPS_CONFIRMED | IPS_ASSURED | IPS_SEEN_REPLY);
	nfct_set_attr_u32(ct, ATTR_TIMEOUT, ESTABLISHED_S);
	nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	for (size_t i = 0; i < ARRAY_SIZE(liberal); i++)
		nfct_set_attr_u8(ct, liberal[i], IP_CT_TCP_FLAG_BE_LIBERAL);
}

static int insert(struct nl *nl, const struct nf_conntrack *ct)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = nfct_get_attr_u8(ct, ATTR_L3PROTO);
	header->version = NFNETLINK_V0;
	header->res_id = 0;
	if (nfct_nlmsg_build(message, ct) < 0)
		return -EINVAL;
	return nl_request(nl, message, NULL, NULL);
}

static int on_flow(const struct flow *flow, void *data)
{
	_cleanup_(nfct_destroyp) struct nf_conntrack *ct = nfct_new();
	struct adopting *adopting = data;
	int r;

	if (!ct)
		return -ENOMEM;
	if (++adopting->seen > ADOPT_MAX)
		return -E2BIG;
	set_ends(ct, flow);
	set_running(ct);
	r = insert(adopting->nl, ct);
	adopting->n += r == 0;
	/* One that does not fit is no reason to leave out the others. */
	if (r < 0 && r != -EEXIST && !adopting->error)
		adopting->error = r;
	return 0;
}

int flows_adopt(size_t *ret_n)
{
	_cleanup_(nl_closep) struct nl *nl = NULL;
	struct adopting adopting = {0};
	int r = nl_open(NETLINK_NETFILTER, &nl);

	adopting.nl = nl;
	if (r == 0)
		r = sockets_established(on_flow, &adopting);
	if (r == 0)
		r = adopting.error;
	if (r < 0)
		return r;
	*ret_n = adopting.n;
	return 0;
}
