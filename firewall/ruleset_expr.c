/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One expression of somebody's rule. What nftables writes itself is understood where it decides about packets like ours;
 * of xtables' matches those that ufw, Docker, Tailscale and people's own rules are made of.
 */
#include "firewall/ruleset.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_rpfilter.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>
#include "netlink/answer.h"

#define NAME_MAX_BYTES 255
#define XT_NAME_MAX    32

char *ruleset_name(const struct nlattr *attribute)
{
	const char *text;
	size_t length;

	if (!attribute)
		return NULL;
	text = mnl_attr_get_payload(attribute);
	length = strnlen(text, mnl_attr_get_payload_len(attribute));
	return length <= NAME_MAX_BYTES ? strndup(text, length) : NULL;
}

static uint32_t get_u32(const struct nlattr *attribute)
{
	uint32_t wire;

	return attribute_copy(attribute, &wire, sizeof(wire)) ? ntohl(wire) : 0;
}

/* 1 to 4 are 16 bytes each, 8 to 23 the same by 4. false: the verdict's, or no register. */
static bool get_register(const struct nlattr *attribute, uint8_t *ret)
{
	uint32_t number = get_u32(attribute);

	if (number >= NFT_REG_1 && number <= NFT_REG_4)
		*ret = (uint8_t)(16 * (number - NFT_REG_1));
	else if (number >= NFT_REG32_00 && number <= NFT_REG32_15)
		*ret = (uint8_t)(4 * (number - NFT_REG32_00));
	else
		return false;
	return true;
}

static bool get_length(uint32_t length, uint8_t at, uint8_t *ret)
{
	if (length == 0 || length > RULESET_DATA_MAX || at + length > RULESET_REGISTERS)
		return false;
	*ret = (uint8_t)length;
	return true;
}

/* The bytes of NFTA_DATA_VALUE; their number, 0 where they do not fit. */
static uint8_t get_data(const struct nlattr *nest, uint8_t ret[16])
{
	const struct nlattr *table[NFTA_DATA_MAX + 1];
	uint16_t length;

	if (!nest || attributes_of_nest(nest, table, NFTA_DATA_MAX) < 0 || !table[NFTA_DATA_VALUE])
		return 0;
	length = mnl_attr_get_payload_len(table[NFTA_DATA_VALUE]);
	if (length == 0 || length > 16)
		return 0;
	memcpy(ret, mnl_attr_get_payload(table[NFTA_DATA_VALUE]), length);
	return (uint8_t)length;
}

int ruleset_verdict(const struct nlattr *data, int32_t *ret, char **ret_chain)
{
	const struct nlattr *outer[NFTA_DATA_MAX + 1], *inner[NFTA_VERDICT_MAX + 1];
	char *chain = NULL;

	if (!data || attributes_of_nest(data, outer, NFTA_DATA_MAX) < 0 ||
	    !outer[NFTA_DATA_VERDICT] ||
	    attributes_of_nest(outer[NFTA_DATA_VERDICT], inner, NFTA_VERDICT_MAX) < 0 ||
	    !inner[NFTA_VERDICT_CODE])
		return -EBADMSG;
	if (inner[NFTA_VERDICT_CHAIN]) {
		chain = ruleset_name(inner[NFTA_VERDICT_CHAIN]);
		if (!chain)
			return -ENOMEM;
	}
	*ret = (int32_t)get_u32(inner[NFTA_VERDICT_CODE]);
	*ret_chain = chain;
	return 0;
}

/* ---- nftables' own ---- */

/* Every reader gets the attributes by number. false: it is not understood. */
typedef bool reader(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret);

#define ATTRIBUTES_MAX 15

static bool read_load(const struct nlattr *key, const struct nlattr *dreg, uint8_t kind,
		      struct rs_expr *ret)
{
	ret->kind = kind;
	ret->key = get_u32(key);
	return get_register(dreg, &ret->dreg);
}

static bool read_meta(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	return read_load(a[NFTA_META_KEY], a[NFTA_META_DREG], RS_META, ret);
}

static bool read_ct(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	return read_load(a[NFTA_CT_KEY], a[NFTA_CT_DREG], RS_CT, ret);
}

static bool read_fib(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->flags = get_u32(a[NFTA_FIB_FLAGS]);
	return read_load(a[NFTA_FIB_RESULT], a[NFTA_FIB_DREG], RS_FIB, ret);
}

static bool read_payload(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_PAYLOAD;
	ret->base = (uint8_t)get_u32(a[NFTA_PAYLOAD_BASE]);
	ret->offset = get_u32(a[NFTA_PAYLOAD_OFFSET]);
	return get_register(a[NFTA_PAYLOAD_DREG], &ret->dreg) &&
	       get_length(get_u32(a[NFTA_PAYLOAD_LEN]), ret->dreg, &ret->length);
}

/* Our packets have no IPv6 extension headers. TCP options are another matter. */
static bool read_exthdr(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	if (get_u32(a[NFTA_EXTHDR_OP]) != NFT_EXTHDR_OP_IPV6)
		return false;
	ret->kind = get_u32(a[NFTA_EXTHDR_FLAGS]) & NFT_EXTHDR_F_PRESENT ? RS_CONSTANT : RS_NEVER;
	ret->length = 4; /* present: 0 */
	return ret->kind == RS_NEVER || get_register(a[NFTA_EXTHDR_DREG], &ret->dreg);
}

static bool read_unknown(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_UNKNOWN;
	return true;
}

static bool read_bitwise(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	if (!get_register(a[NFTA_BITWISE_SREG], &ret->sreg) ||
	    !get_register(a[NFTA_BITWISE_DREG], &ret->dreg) ||
	    !get_length(get_u32(a[NFTA_BITWISE_LEN]), ret->sreg, &ret->length) ||
	    ret->dreg + ret->length > RULESET_REGISTERS)
		return false;
	ret->kind = RS_MASK;
	return get_u32(a[NFTA_BITWISE_OP]) == NFT_BITWISE_BOOL &&
	       get_data(a[NFTA_BITWISE_MASK], ret->data) == ret->length &&
	       get_data(a[NFTA_BITWISE_XOR], ret->more) == ret->length;
}

static bool read_compare(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_COMPARE;
	ret->op = (uint8_t)get_u32(a[NFTA_CMP_OP]);
	return get_register(a[NFTA_CMP_SREG], &ret->sreg) &&
	       get_length(get_data(a[NFTA_CMP_DATA], ret->data), ret->sreg, &ret->length);
}

static bool read_range(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_RANGE;
	ret->inverted = get_u32(a[NFTA_RANGE_OP]) == NFT_RANGE_NEQ;
	return get_register(a[NFTA_RANGE_SREG], &ret->sreg) &&
	       get_length(get_data(a[NFTA_RANGE_FROM_DATA], ret->data), ret->sreg, &ret->length) &&
	       get_data(a[NFTA_RANGE_TO_DATA], ret->more) == ret->length;
}

static bool read_lookup(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_LOOKUP;
	ret->inverted = get_u32(a[NFTA_LOOKUP_FLAGS]) & NFT_LOOKUP_F_INV;
	if (!get_register(a[NFTA_LOOKUP_SREG], &ret->sreg))
		return false;
	if (a[NFTA_LOOKUP_DREG]) {
		ret->map = get_u32(a[NFTA_LOOKUP_DREG]) == NFT_REG_VERDICT;
		if (!ret->map)
			return false;
	}
	ret->name = ruleset_name(a[NFTA_LOOKUP_SET]);
	return ret->name != NULL;
}

static bool read_immediate(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	if (ruleset_verdict(a[NFTA_IMMEDIATE_DATA], &ret->verdict, &ret->name) == 0) {
		ret->kind = RS_VERDICT;
		return true;
	}
	ret->kind = RS_CONSTANT;
	return get_register(a[NFTA_IMMEDIATE_DREG], &ret->dreg) &&
	       get_length(get_data(a[NFTA_IMMEDIATE_DATA], ret->data), ret->dreg, &ret->length);
}

static bool read_accept(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_VERDICT;
	ret->verdict = NF_ACCEPT;
	return true;
}

static bool read_drop(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_VERDICT;
	ret->verdict = NF_DROP;
	return true;
}

static bool read_any_verdict(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_ANY_VERDICT;
	return true;
}

static bool read_maybe(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_MAYBE;
	return true;
}

static bool read_never(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	ret->kind = RS_NEVER;
	return true;
}

/* ---- xtables ---- */

/* A match's private data, at least size bytes of it. */
static const void *info_of(const struct nlattr *const *a, size_t size)
{
	const struct nlattr *info = a[NFTA_MATCH_INFO];

	return info && mnl_attr_get_payload_len(info) >= size ? mnl_attr_get_payload(info) : NULL;
}

static bool read_xt_state(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_state_info info;
	const void *bytes = info_of(a, sizeof(info));

	if (!bytes)
		return false;
	memcpy(&info, bytes, sizeof(info));
	ret->kind = RS_XT_STATE;
	ret->states = info.statemask;
	return true;
}

/* --ctstate alone; what else it can ask for stays open. */
static bool read_xt_conntrack(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_conntrack_mtinfo3 info;
	const void *bytes = info_of(a, sizeof(struct xt_conntrack_mtinfo2));

	if (!bytes || get_u32(a[NFTA_MATCH_REV]) < 2)
		return false;
	memset(&info, 0, sizeof(info));
	memcpy(&info, bytes, sizeof(struct xt_conntrack_mtinfo2));
	if (info.match_flags & ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS))
		return false;
	ret->kind = RS_XT_STATE;
	ret->states = info.state_mask;
	ret->inverted = info.invert_flags & XT_CONNTRACK_STATE;
	return true;
}

static bool read_xt_tcp(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_tcp info;
	const void *bytes = info_of(a, sizeof(info));

	if (!bytes)
		return false;
	memcpy(&info, bytes, sizeof(info));
	if (info.option)
		return false;
	ret->kind = RS_XT_PORTS;
	ret->ports = (struct rs_ports){.source = {info.spts[0], info.spts[1]},
				       .destination = {info.dpts[0], info.dpts[1]},
				       .tcp_mask = info.flg_mask,
				       .tcp_flags = info.flg_cmp,
				       .inverted = info.invflags,
				       .tcp = true};
	return true;
}

static bool read_xt_udp(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_udp info;
	const void *bytes = info_of(a, sizeof(info));

	if (!bytes)
		return false;
	memcpy(&info, bytes, sizeof(info));
	ret->kind = RS_XT_PORTS;
	ret->ports = (struct rs_ports){.source = {info.spts[0], info.spts[1]},
				       .destination = {info.dpts[0], info.dpts[1]},
				       .inverted = info.invflags};
	return true;
}

static bool read_xt_multiport(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_multiport_v1 info;
	const void *bytes = info_of(a, sizeof(info));

	if (!bytes || get_u32(a[NFTA_MATCH_REV]) != 1)
		return false;
	memcpy(&info, bytes, sizeof(info));
	if (info.count > RULESET_MULTIPORT_PORTS)
		return false;
	ret->kind = RS_XT_PORT_SET;
	ret->port_set = (struct rs_port_set){
		.n = info.count, .which = info.flags, .inverted = info.invert != 0};
	for (unsigned int i = 0; i < info.count; i++) {
		ret->port_set.ports[i] = info.ports[i];
		if (info.pflags[i] && i + 1 < info.count)
			ret->port_set.ranges |= (uint16_t)(1U << i);
	}
	return true;
}

static bool read_xt_addrtype(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_addrtype_info_v1 info;
	const void *bytes = info_of(a, sizeof(info));
	const uint32_t limits = XT_ADDRTYPE_LIMIT_IFACE_IN | XT_ADDRTYPE_LIMIT_IFACE_OUT;

	if (!bytes || get_u32(a[NFTA_MATCH_REV]) != 1)
		return false;
	memcpy(&info, bytes, sizeof(info));
	if (info.flags & limits)
		return false;
	ret->kind = RS_XT_TYPE;
	ret->types = (struct rs_types){
		.source = info.source,
		.destination = info.dest,
		.source_inverted = info.flags & XT_ADDRTYPE_INVERT_SOURCE,
		.destination_inverted = info.flags & XT_ADDRTYPE_INVERT_DEST,
	};
	return true;
}

static bool read_xt_icmp(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct ipt_icmp info; /* ip6t_icmp is the same */
	const void *bytes = info_of(a, sizeof(info));

	if (!bytes)
		return false;
	memcpy(&info, bytes, sizeof(info));
	ret->kind = RS_XT_ICMP;
	ret->icmp = (struct rs_icmp){
		info.type, {info.code[0], info.code[1]}, info.invflags & IPT_ICMP_INV};
	return true;
}

/* What comes from an address of the overlay comes by the overlay's interface: the reverse path is right. */
static bool read_xt_rpfilter(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	struct xt_rpfilter_info info;
	const void *bytes = info_of(a, sizeof(info));

	if (!bytes)
		return false;
	memcpy(&info, bytes, sizeof(info));
	ret->kind = info.flags & XT_RPFILTER_INVERT ? RS_NEVER : RS_MAYBE;
	return true;
}

struct named_reader {
	const char *name;
	reader *read; /* NULL: it changes nothing for us */
};

static const struct named_reader xt_matches[] = {
	{"comment", NULL},
	{"state", read_xt_state},
	{"conntrack", read_xt_conntrack},
	{"tcp", read_xt_tcp},
	{"udp", read_xt_udp},
	{"multiport", read_xt_multiport},
	{"addrtype", read_xt_addrtype},
	{"icmp", read_xt_icmp},
	{"icmp6", read_xt_icmp},
	{"rpfilter", read_xt_rpfilter},
	/* our packets have none of these */
	{"rt", read_never},
	{"frag", read_never},
	{"hbh", read_never},
	{"dst", read_never},
	{"ah", read_never},
	{"esp", read_never},
};

static const struct named_reader xt_targets[] = {
	{"REJECT", read_drop},
	{"DROP", read_drop},
	{"TARPIT", read_drop},
	{"DNAT", read_accept},
	{"SNAT", read_accept},
	{"MASQUERADE", read_accept},
	{"NETMAP", read_accept},
	{"REDIRECT", read_accept},
	{"QUEUE", read_any_verdict},
	{"NFQUEUE", read_any_verdict},
	{"SYNPROXY", read_any_verdict},
	{"TPROXY", read_any_verdict},
	{"LOG", NULL},
	{"NFLOG", NULL},
	{"MARK", NULL},
	{"CONNMARK", NULL},
	{"CONNSECMARK", NULL},
	{"SECMARK", NULL},
	{"TCPMSS", NULL},
	{"CT", NULL},
	{"NOTRACK", NULL},
	{"CHECKSUM", NULL},
	{"CLASSIFY", NULL},
	{"DSCP", NULL},
	{"ECN", NULL},
	{"TTL", NULL},
	{"HL", NULL},
	{"SET", NULL},
	{"TRACE", NULL},
	{"AUDIT", NULL},
	{"TEE", NULL},
};

static const struct named_reader *find_reader(const struct named_reader *rows, size_t n,
					      const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* NFTA_MATCH_* and NFTA_TARGET_* have the same numbers. */
static bool read_xt(const struct named_reader *rows, size_t n, reader *otherwise,
		    const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	const struct named_reader *row;
	char name[XT_NAME_MAX] = "";

	if (a[NFTA_MATCH_NAME])
		attribute_text(a[NFTA_MATCH_NAME], name, sizeof(name));
	row = find_reader(rows, n, name);
	if (row && !row->read)
		ret->kind = RS_CONSTANT; /* into no register: nothing */
	else if (!row || !row->read(a, family, ret))
		return otherwise(a, family, ret);
	return true;
}

static bool read_match(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	return read_xt(xt_matches, ARRAY_SIZE(xt_matches), read_maybe, a, family, ret);
}

static bool read_target(const struct nlattr *const *a, uint8_t family, struct rs_expr *ret)
{
	return read_xt(xt_targets, ARRAY_SIZE(xt_targets), read_any_verdict, a, family, ret);
}

static const struct named_reader expressions[] = {
	{"meta", read_meta},
	{"ct", read_ct},
	{"payload", read_payload},
	{"fib", read_fib},
	{"exthdr", read_exthdr},
	{"immediate", read_immediate},
	{"bitwise", read_bitwise},
	{"byteorder", read_unknown},
	{"cmp", read_compare},
	{"range", read_range},
	{"lookup", read_lookup},
	{"match", read_match},
	{"target", read_target},
	{"limit", read_maybe},
	{"quota", read_maybe},
	{"connlimit", read_maybe},
	{"reject", read_drop},
	{"masq", read_accept},
	{"nat", read_accept},
	{"redir", read_accept},
	{"queue", read_any_verdict},
	{"synproxy", read_any_verdict},
	{"tproxy", NULL},
	{"numgen", read_unknown},
	{"hash", read_unknown},
	{"rt", read_unknown},
	{"socket", read_unknown},
	{"osf", read_unknown},
	{"xfrm", read_unknown},
	{"tunnel", read_unknown},
	{"counter", NULL},
	{"log", NULL},
	{"last", NULL},
	{"notrack", NULL},
	{"objref", NULL},
	{"dynset", NULL},
	{"dup", NULL},
	{"flow_offload", NULL},
};

/* Meta, ct and payload also set what they can read: then there is no destination register, and nothing to know. */
static bool only_sets(const char *name, const struct nlattr *const *a)
{
	return (strcmp(name, "meta") == 0 && a[NFTA_META_SREG]) ||
	       (strcmp(name, "ct") == 0 && a[NFTA_CT_SREG]) ||
	       (strcmp(name, "payload") == 0 && a[NFTA_PAYLOAD_SREG]);
}

int ruleset_expr(const struct nlattr *expression, uint8_t family, struct rs_expr *ret,
		 bool *ret_used)
{
	const struct nlattr *outer[NFTA_EXPR_MAX + 1], *inner[ATTRIBUTES_MAX + 1] = {NULL};
	struct rs_expr expr = {.target = UINT32_MAX};
	const struct named_reader *row;
	char name[XT_NAME_MAX] = "";
	int r = attributes_of_nest(expression, outer, NFTA_EXPR_MAX);

	if (r == 0 && outer[NFTA_EXPR_DATA])
		r = attributes_of_nest(outer[NFTA_EXPR_DATA], inner, ATTRIBUTES_MAX);
	if (r < 0)
		return r;
	if (outer[NFTA_EXPR_NAME])
		attribute_text(outer[NFTA_EXPR_NAME], name, sizeof(name));
	row = find_reader(expressions, ARRAY_SIZE(expressions), name);
	*ret_used = !(row && !row->read) && !only_sets(name, inner);
	if (!*ret_used)
		return 0;
	if (!row || !row->read(inner, family, &expr)) {
		free(expr.name);
		expr = (struct rs_expr){.kind = RS_MAYBE, .target = UINT32_MAX};
	}
	*ret_used = expr.kind != RS_CONSTANT || expr.length > 0;
	if (*ret_used)
		*ret = expr;
	return 0;
}
