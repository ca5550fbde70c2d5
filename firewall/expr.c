/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Terms to expressions.
 *
 * Register 1 holds what is matched, concatenations go on from there in steps of four bytes, register 4 keeps a packet's own
 * mark while it is logged under another.
 */
#include "firewall/expr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>

#define LOG_SNAPLEN	 128
#define LIMIT_PER_SECOND 50
#define LIMIT_BURST	 100

struct building {
	const struct fw_desired *desired;
	struct nftnl_rule *rule;
	bool ipv6;
	bool impossible; /* the row matches nothing in this family */
	int error;
};

static struct nftnl_expr *add(struct building *b, const char *name)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	if (!expr) {
		b->error = -ENOMEM;
		return NULL;
	}
	nftnl_rule_add_expr(b->rule, expr);
	return expr;
}

static void u32(struct nftnl_expr *expr, uint16_t attribute, uint32_t value)
{
	if (expr)
		nftnl_expr_set_u32(expr, attribute, value);
}

static void bytes(struct building *b, struct nftnl_expr *expr, uint16_t attribute, const void *data,
		  size_t size)
{
	if (expr && nftnl_expr_set(expr, attribute, data, (uint32_t)size) < 0)
		b->error = -ENOMEM;
}

static void text(struct building *b, struct nftnl_expr *expr, uint16_t attribute, const char *value)
{
	if (expr && nftnl_expr_set_str(expr, attribute, value) < 0)
		b->error = -ENOMEM;
}

/* ---- into a register ---- */

static void meta(struct building *b, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *expr = add(b, "meta");

	u32(expr, NFTNL_EXPR_META_KEY, key);
	u32(expr, NFTNL_EXPR_META_DREG, reg);
}

static void meta_set(struct building *b, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *expr = add(b, "meta");

	u32(expr, NFTNL_EXPR_META_KEY, key);
	u32(expr, NFTNL_EXPR_META_SREG, reg);
}

static void payload(struct building *b, uint32_t base, uint32_t offset, uint32_t length,
		    uint32_t reg)
{
	struct nftnl_expr *expr = add(b, "payload");

	u32(expr, NFTNL_EXPR_PAYLOAD_DREG, reg);
	u32(expr, NFTNL_EXPR_PAYLOAD_BASE, base);
	u32(expr, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	u32(expr, NFTNL_EXPR_PAYLOAD_LEN, length);
}

static void ct(struct building *b, uint32_t key, int direction, uint32_t reg)
{
	struct nftnl_expr *expr = add(b, "ct");

	u32(expr, NFTNL_EXPR_CT_KEY, key);
	u32(expr, NFTNL_EXPR_CT_DREG, reg);
	if (expr && direction >= 0)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_CT_DIR, (uint8_t)direction);
}

static void address(struct building *b, bool source, uint32_t reg)
{
	if (b->ipv6)
		payload(b, NFT_PAYLOAD_NETWORK_HEADER, source ? 8 : 24, 16, reg);
	else
		payload(b, NFT_PAYLOAD_NETWORK_HEADER, source ? 12 : 16, 4, reg);
}

static void bitwise(struct building *b, const void *mask, size_t size)
{
	static const uint8_t zero[16];
	struct nftnl_expr *expr = add(b, "bitwise");

	u32(expr, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	u32(expr, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	u32(expr, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	u32(expr, NFTNL_EXPR_BITWISE_LEN, (uint32_t)size);
	bytes(b, expr, NFTNL_EXPR_BITWISE_MASK, mask, size);
	bytes(b, expr, NFTNL_EXPR_BITWISE_XOR, zero, size);
}

/* ---- compared ---- */

static void compare(struct building *b, uint32_t operator, const void * data, size_t size)
{
	struct nftnl_expr *expr = add(b, "cmp");

	u32(expr, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	u32(expr, NFTNL_EXPR_CMP_OP, operator);
	bytes(b, expr, NFTNL_EXPR_CMP_DATA, data, size);
}

static uint32_t equal_or_not(const struct term *term)
{
	return term->not ? NFT_CMP_NEQ : NFT_CMP_EQ;
}

static void compare_u8(struct building *b, const struct term *term, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	compare(b, equal_or_not(term), &byte, sizeof(byte));
}

static void lookup(struct building *b, unsigned int kind, uint32_t dreg)
{
	struct nftnl_expr *expr = add(b, "lookup");
	char name[32];

	u32(expr, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	if (dreg)
		u32(expr, NFTNL_EXPR_LOOKUP_DREG, dreg);
	text(b, expr, NFTNL_EXPR_LOOKUP_SET, set_name(SET_FOR(kind, b->ipv6), name));
	u32(expr, NFTNL_EXPR_LOOKUP_FLAGS, 0);
}

/* ---- matches ---- */

static void add_interface(struct building *b, const struct term *term)
{
	static const char *const names[] = {[WHERE_LO] = "lo"};
	char name[IFNAMSIZ] = "";
	const char *value = term->arg == WHERE_OVERLAY ? b->desired->ifname
			    : term->arg == WHERE_JOIN  ? b->desired->join_ifname
						       : names[WHERE_LO];

	(void)snprintf(name, sizeof(name), "%s", value);
	meta(b, term->kind == TERM_IN_IF ? NFT_META_IIFNAME : NFT_META_OIFNAME, NFT_REG_1);
	compare(b, equal_or_not(term), name, sizeof(name));
}

static void add_container(struct building *b, const struct term *term)
{
	static const char kind[IFNAMSIZ] = "bridge";
	bool in = term->kind == TERM_IN_CONTAINER;
	bool ipv6 = b->ipv6;

	if (b->desired->n_container_ifnames) {
		meta(b, in ? NFT_META_IIFNAME : NFT_META_OIFNAME, NFT_REG_1);
		b->ipv6 = false; /* names are in one set */
		lookup(b, SET_CONTAINER, 0);
		b->ipv6 = ipv6;
		return;
	}
	meta(b, in ? NFT_META_IIFKIND : NFT_META_OIFKIND, NFT_REG_1);
	compare(b, NFT_CMP_EQ, kind, sizeof(kind));
	if (b->desired->n_uplink_ifnames > FIREWALL_IFNAMES_MAX)
		b->error = -E2BIG;
	for (size_t i = 0; b->error == 0 && i < b->desired->n_uplink_ifnames; i++) {
		char name[IFNAMSIZ] = "";

		(void)snprintf(name, sizeof(name), "%s", b->desired->uplink_ifnames[i]);
		meta(b, in ? NFT_META_IIFNAME : NFT_META_OIFNAME, NFT_REG_1);
		compare(b, NFT_CMP_NEQ, name, sizeof(name));
	}
}

static struct prefix range_of(const struct building *b, enum range range)
{
	const struct fw_desired *d = b->desired;
	struct prefix prefix = {0};

	switch (range) {
	case RANGE_OVERLAY:
		return b->ipv6 ? d->overlay6 : d->overlay4;
	case RANGE_HUB:
		return prefix_host(b->ipv6 ? &d->hub6 : &d->hub4);
	case RANGE_OWN:
		return prefix_host(b->ipv6 ? &d->own6 : &d->own4);
	case RANGE_ENROLL:
		if (b->ipv6) {
			prefix = d->overlay6;
			prefix.addr.bytes[6] = prefix.addr.bytes[7] = 0xff;
			prefix.length = 64;
		}
		return prefix;
	case RANGE_LINK_LOCAL:
		if (b->ipv6)
			prefix = (struct prefix){{AF_INET6, {0xfe, 0x80}}, 10};
		return prefix;
	}
	return prefix;
}

static void add_range(struct building *b, const struct term *term)
{
	struct prefix prefix = range_of(b, term->arg);
	unsigned int size = b->ipv6 ? 16 : 4;
	uint8_t mask[16] = {0};

	if (!addr_is_set(&prefix.addr)) {
		b->impossible |= !term->not ;
		return;
	}
	address(b, term->kind == TERM_SOURCE, NFT_REG_1);
	if (prefix.length < size * 8) {
		for (unsigned int bit = 0; bit < prefix.length; bit++)
			mask[bit / 8] = (uint8_t)(mask[bit / 8] | 0x80 >> bit % 8);
		bitwise(b, mask, size);
	}
	compare(b, equal_or_not(term), prefix.addr.bytes, size);
}

static void add_address_set(struct building *b, const struct term *term)
{
	address(b, term->kind == TERM_SOURCE_SET, NFT_REG_1);
	lookup(b, term->arg, 0);
}

/* Address, protocol and port stand side by side; an IPv6 address fills register 1. */
static void add_tuple(struct building *b, const struct term *term)
{
	bool source = term->kind == TERM_SOURCE_TUPLE || term->kind == TERM_SOURCE_FLOW;
	bool flow = term->kind == TERM_SOURCE_FLOW || term->kind == TERM_DESTINATION_FLOW;
	uint32_t protocol = b->ipv6 ? NFT_REG_2 : NFT_REG32_01;
	uint32_t port = b->ipv6 ? NFT_REG32_05 : NFT_REG32_02;

	address(b, source, NFT_REG_1);
	if (flow) {
		ct(b, NFT_CT_PROTOCOL, -1, protocol);
		ct(b, NFT_CT_PROTO_DST, IP_CT_DIR_ORIGINAL, port);
	} else {
		meta(b, NFT_META_L4PROTO, protocol);
		payload(b, NFT_PAYLOAD_TRANSPORT_HEADER,
			term->kind == TERM_DESTINATION_ANSWER ? 0 : 2, 2, port);
	}
	lookup(b, term->arg, 0);
}

static void add_endpoint(struct building *b, const struct term *term)
{
	bool source = term->kind == TERM_SOURCE_ENDPOINT;

	address(b, source, NFT_REG_1);
	payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, source ? 0 : 2, 2,
		b->ipv6 ? NFT_REG_2 : NFT_REG32_01);
	lookup(b, term->arg, 0);
}

static void add_protocol(struct building *b, const struct term *term)
{
	uint32_t protocol = term->arg == IPPROTO_ICMP && b->ipv6 ? IPPROTO_ICMPV6 : term->arg;

	if (term->kind == TERM_FLOW_PROTOCOL)
		ct(b, NFT_CT_PROTOCOL, -1, NFT_REG_1);
	else
		meta(b, NFT_META_L4PROTO, NFT_REG_1);
	compare_u8(b, term, protocol);
}

static void add_port(struct building *b, const struct term *term)
{
	const struct fw_desired *d = b->desired;
	uint16_t port = (uint16_t)term->arg;

	if (term->arg == PORT_LISTEN)
		port = d->listen_port;
	else if (term->arg == PORT_API)
		port = d->api_port;
	else if (term->arg == PORT_ENROLL)
		port = d->enroll_port;
	if (!port)
		b->impossible |= !term->not ;
	port = htons(port);
	payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, term->kind == TERM_SOURCE_PORT ? 0 : 2, 2,
		NFT_REG_1);
	compare(b, equal_or_not(term), &port, sizeof(port));
}

static void add_icmp_type(struct building *b, const struct term *term)
{
	uint8_t low = (uint8_t)term->arg, high = (uint8_t)(term->arg >> 8);

	payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	if (term->arg == ICMP_ECHO_REQUEST_BOTH)
		low = high = b->ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	else if (term->arg == ICMP_ECHO_REPLY_BOTH)
		low = high = b->ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	if (low < high) {
		compare(b, NFT_CMP_GTE, &low, sizeof(low));
		compare(b, NFT_CMP_LTE, &high, sizeof(high));
		return;
	}
	compare(b, equal_or_not(term), &low, sizeof(low));
}

static void add_hop_limit(struct building *b, const struct term *term)
{
	payload(b, NFT_PAYLOAD_NETWORK_HEADER, b->ipv6 ? 7 : 8, 1, NFT_REG_1);
	compare_u8(b, term, term->arg);
}

static void add_bits(struct building *b, const struct term *term)
{
	static const uint32_t zero;

	ct(b, term->kind == TERM_STATE ? NFT_CT_STATE : NFT_CT_STATUS, -1, NFT_REG_1);
	bitwise(b, &term->arg, sizeof(term->arg));
	compare(b, NFT_CMP_NEQ, &zero, sizeof(zero));
}

static void add_destination_type(struct building *b, const struct term *term)
{
	struct nftnl_expr *expr = add(b, "fib");

	u32(expr, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	u32(expr, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	u32(expr, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	compare(b, equal_or_not(term), &term->arg, sizeof(term->arg));
}

static void add_uid(struct building *b, const struct term *term)
{
	uint32_t uid = term->arg == UID_API ? b->desired->api_uid : 0;

	meta(b, NFT_META_SKUID, NFT_REG_1);
	compare(b, equal_or_not(term), &uid, sizeof(uid));
}

static void add_limit(struct building *b)
{
	struct nftnl_expr *expr = add(b, "limit");

	if (!expr)
		return;
	nftnl_expr_set_u64(expr, NFTNL_EXPR_LIMIT_RATE, LIMIT_PER_SECOND);
	nftnl_expr_set_u64(expr, NFTNL_EXPR_LIMIT_UNIT, 1);
	u32(expr, NFTNL_EXPR_LIMIT_BURST, LIMIT_BURST);
	u32(expr, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	u32(expr, NFTNL_EXPR_LIMIT_FLAGS, 0);
}

/* ---- statements ---- */

static void add_count(struct building *b, const struct term *term)
{
	struct nftnl_expr *expr = add(b, "objref");

	u32(expr, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	text(b, expr, NFTNL_EXPR_OBJREF_IMM_NAME, counter_names[term->arg]);
}

static void add_log_statement(struct building *b, const char *prefix)
{
	struct nftnl_expr *expr = add(b, "log");

	text(b, expr, NFTNL_EXPR_LOG_PREFIX, prefix);
	if (!expr)
		return;
	nftnl_expr_set_u16(expr, NFTNL_EXPR_LOG_GROUP, FIREWALL_NFLOG_GROUP);
	u32(expr, NFTNL_EXPR_LOG_SNAPLEN, LOG_SNAPLEN);
}

static void add_log(struct building *b, const struct term *term)
{
	static const uint32_t zero;

	meta(b, NFT_META_MARK, NFT_REG_4);
	if (term->kind == TERM_LOG) {
		struct nftnl_expr *expr = add(b, "immediate");

		u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_2);
		bytes(b, expr, NFTNL_EXPR_IMM_DATA, &zero, sizeof(zero));
	} else {
		address(b, term->kind == TERM_LOG_SOURCE, NFT_REG_1);
		lookup(b, SET_ID, NFT_REG_2);
	}
	meta_set(b, NFT_META_MARK, NFT_REG_2);
	add_log_statement(b, log_prefixes[term->arg]);
	meta_set(b, NFT_META_MARK, NFT_REG_4);
}

static void add_verdict(struct building *b, int verdict, const char *chain)
{
	struct nftnl_expr *expr = add(b, "immediate");

	u32(expr, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	u32(expr, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	if (chain)
		text(b, expr, NFTNL_EXPR_IMM_CHAIN, chain);
}

/* A reset has no code. */
static void add_reject(struct building *b, uint32_t type, int code)
{
	struct nftnl_expr *expr = add(b, "reject");

	u32(expr, NFTNL_EXPR_REJECT_TYPE, type);
	if (expr && code >= 0)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE, (uint8_t)code);
}

static void add_term(struct building *b, const struct term *term)
{
	switch ((enum term_kind)term->kind) {
	case TERM_END:
		return;
	case TERM_IN_IF:
	case TERM_OUT_IF:
		return add_interface(b, term);
	case TERM_IN_CONTAINER:
	case TERM_OUT_CONTAINER:
		return add_container(b, term);
	case TERM_SOURCE:
	case TERM_DESTINATION:
		return add_range(b, term);
	case TERM_SOURCE_SET:
	case TERM_DESTINATION_SET:
		return add_address_set(b, term);
	case TERM_SOURCE_TUPLE:
	case TERM_DESTINATION_TUPLE:
	case TERM_DESTINATION_ANSWER:
	case TERM_SOURCE_FLOW:
	case TERM_DESTINATION_FLOW:
		return add_tuple(b, term);
	case TERM_SOURCE_ENDPOINT:
	case TERM_DESTINATION_ENDPOINT:
		return add_endpoint(b, term);
	case TERM_PROTOCOL:
	case TERM_FLOW_PROTOCOL:
		return add_protocol(b, term);
	case TERM_SOURCE_PORT:
	case TERM_DESTINATION_PORT:
		return add_port(b, term);
	case TERM_ICMP_TYPE:
		return add_icmp_type(b, term);
	case TERM_HOP_LIMIT:
		return add_hop_limit(b, term);
	case TERM_DIRECTION:
		ct(b, NFT_CT_DIRECTION, -1, NFT_REG_1);
		return compare_u8(b, term, term->arg);
	case TERM_STATE:
	case TERM_STATUS:
		return add_bits(b, term);
	case TERM_DESTINATION_TYPE:
		return add_destination_type(b, term);
	case TERM_UID:
		return add_uid(b, term);
	case TERM_LIMIT:
		return add_limit(b);
	case TERM_COUNT:
		return add_count(b, term);
	case TERM_LOG:
	case TERM_LOG_SOURCE:
	case TERM_LOG_DESTINATION:
		return add_log(b, term);
	case TERM_ACCEPT:
		return add_verdict(b, NF_ACCEPT, NULL);
	case TERM_DROP:
		return add_verdict(b, NF_DROP, NULL);
	case TERM_RETURN:
		return add_verdict(b, NFT_RETURN, NULL);
	case TERM_JUMP:
		return add_verdict(b, NFT_JUMP, chain_names[term->arg]);
	case TERM_GOTO:
		return add_verdict(b, NFT_GOTO, chain_names[term->arg]);
	case TERM_RESET:
		return add_reject(b, NFT_REJECT_TCP_RST, -1);
	case TERM_PROHIBIT:
		return add_reject(b, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	}
}

/* ---- rules ---- */

static void add_family(struct building *b)
{
	uint8_t family = b->ipv6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	meta(b, NFT_META_NFPROTO, NFT_REG_1);
	compare(b, NFT_CMP_EQ, &family, sizeof(family));
}

static int make_rule(const struct rule_row *row, const struct fw_desired *desired, bool ipv6,
		     int (*on_rule)(struct nftnl_rule *, void *), void *data)
{
	struct building b = {.desired = desired, .ipv6 = ipv6, .rule = nftnl_rule_alloc()};
	int r;

	if (!b.rule)
		return -ENOMEM;
	nftnl_rule_set_u32(b.rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	if (nftnl_rule_set_str(b.rule, NFTNL_RULE_TABLE, FIREWALL_TABLE) < 0 ||
	    nftnl_rule_set_str(b.rule, NFTNL_RULE_CHAIN, chain_names[row->chain]) < 0)
		b.error = -ENOMEM;
	if (row->family != ROW_ANY)
		add_family(&b);
	for (size_t i = 0; i < ROW_TERMS_MAX && row->terms[i].kind != TERM_END; i++)
		add_term(&b, &row->terms[i]);
	r = b.error ? b.error : b.impossible ? 0 : on_rule(b.rule, data);
	nftnl_rule_free(b.rule);
	return r;
}

int expr_rules(const struct rule_row *row, const struct fw_desired *desired,
	       int (*on_rule)(struct nftnl_rule *rule, void *data), void *data)
{
	int r = 0;

	if (row->family != ROW_IPV6)
		r = make_rule(row, desired, false, on_rule, data);
	if (r == 0 && (row->family == ROW_BOTH || row->family == ROW_IPV6))
		r = make_rule(row, desired, true, on_rule, data);
	return r;
}
