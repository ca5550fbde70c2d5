/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NFT_MSG_GETGEN. */
#include "netlink/ruleset.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include "netlink/answer.h"

static int on_generation(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[NFTA_GEN_MAX + 1];
	uint32_t id = 0, *ret = data;
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), table, NFTA_GEN_MAX);

	if (r < 0)
		return r;
	if (!attribute_copy(table[NFTA_GEN_ID], &id, sizeof(id)))
		return -EBADMSG;
	*ret = ntohl(id);
	return 0;
}

int ruleset_generation(struct nl *nl, uint32_t *ret)
{
	_Alignas(struct nlmsghdr) uint8_t buffer[64];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;
	uint32_t id = 0;
	int r;

	message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	*header = (struct nfgenmsg){.version = NFNETLINK_V0};
	r = nl_request(nl, message, on_generation, &id);
	if (r < 0)
		return r;
	if (id == 0)
		return -ENODATA;
	*ret = id;
	return 0;
}
