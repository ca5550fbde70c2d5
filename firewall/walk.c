/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Following a packet through rules of which not everything is known.
 *
 * Headers and registers are bytes with a mask of the bits that are known. A match is NO, YES or MAYBE; after a MAYBE the
 * rule's verdict is possible, and so is the next rule. Work is bounded: jumps may visit a chain once more for every rule
 * before them, so the number of expressions looked at is.
 */
#include "firewall/walk.h"
#include <arpa/inet.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define DEPTH_MAX 16
#define STEPS_MAX 200000
#define TCP_SYN	  0x02

/* Inside a walk only: the chain ends without a verdict; the next rule is looked at. */
#define OUT_RETURN 4U
#define OUT_NEXT   8U
#define OUT_ALL	   (WALK_ACCEPT | WALK_DROP | OUT_RETURN | OUT_NEXT)

enum match { NO, YES, MAYBE };

struct known {
	uint8_t bytes[RULESET_REGISTERS], mask[RULESET_REGISTERS];
	/* Where a register has the name or index of "some interface", which is neither loopback nor this one. */
	const struct walk_if *some;
	uint8_t some_at;
};

struct walk {
	const struct ruleset *ruleset;
	const struct walk_packet *packet;
	struct known network, transport;
	unsigned int steps;
};

/* ---- the packet as bytes ---- */

static void know(struct known *known, size_t at, const void *bytes, size_t n)
{
	memcpy(known->bytes + at, bytes, n);
	memset(known->mask + at, 0xff, n);
}

static void know_byte(struct known *known, size_t at, uint8_t byte)
{
	know(known, at, &byte, 1);
}

static void know_port(struct known *known, size_t at, uint16_t port)
{
	uint16_t wire = htons(port);

	if (port)
		know(known, at, &wire, sizeof(wire));
}

static void know_addr(struct known *known, size_t at, const struct addr *addr)
{
	know(known, at, addr->bytes, addr_length(addr));
}

static void write_headers(struct walk *walk)
{
	const struct walk_packet *packet = walk->packet;
	bool v6 = packet->v6;

	know_byte(&walk->network, 0, v6 ? 0x60 : 0x45);
	if (v6)
		walk->network.mask[0] = 0xf0; /* the traffic class is not known */
	know_byte(&walk->network, v6 ? 6 : 9, packet->protocol);
	know_addr(&walk->network, v6 ? 8 : 12, &packet->source);
	know_addr(&walk->network, v6 ? 24 : 16, &packet->destination);
	if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) {
		know_byte(&walk->transport, 0, packet->icmp_type);
		know_byte(&walk->transport, 1, 0);
		return;
	}
	know_port(&walk->transport, 0, packet->source_port);
	know_port(&walk->transport, 2, packet->destination_port);
	if (packet->protocol == IPPROTO_TCP && packet->state == WALK_NEW)
		know_byte(&walk->transport, 13, TCP_SYN);
}

/* ---- registers ---- */

static void forget(struct known *registers)
{
	memset(registers->mask, 0, sizeof(registers->mask));
	registers->some = NULL;
}

static void forget_at(struct known *registers, size_t at, size_t n)
{
	if (at + n > RULESET_REGISTERS)
		n = RULESET_REGISTERS - at;
	memset(registers->mask + at, 0, n);
	if (registers->some && registers->some_at >= at && registers->some_at < at + n)
		registers->some = NULL;
}

static void set_register(struct known *registers, uint8_t at, const void *bytes, size_t n)
{
	if (at + n > RULESET_REGISTERS)
		return;
	forget_at(registers, at, n);
	know(registers, at, bytes, n);
}

static void set_u32(struct known *registers, uint8_t at, uint32_t value)
{
	set_register(registers, at, &value, sizeof(value));
}

/* A byte or two fill their register up with zeros. */
static void set_small(struct known *registers, uint8_t at, const void *bytes, size_t n)
{
	set_u32(registers, at, 0);
	set_register(registers, at, bytes, n);
}

static void load_if(struct known *registers, uint8_t at, const struct walk_if *interface, bool name)
{
	size_t n = name ? IFNAMSIZ : sizeof(uint32_t);

	forget_at(registers, at, n);
	if (interface->kind == WALK_IF_SOME) {
		registers->some = interface;
		registers->some_at = at;
	} else if (name) {
		set_register(registers, at, interface->name, IFNAMSIZ);
	} else if (interface->kind == WALK_IF_NONE || interface->index) {
		set_u32(registers, at, interface->index);
	}
}

static void load_meta(struct walk *walk, const struct rs_expr *expr, struct known *registers)
{
	const struct walk_packet *packet = walk->packet;
	uint16_t ethertype = htons(packet->v6 ? ETH_P_IPV6 : ETH_P_IP);
	uint8_t nfproto = packet->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	switch (expr->key) {
	case NFT_META_IIFNAME:
	case NFT_META_IIF:
		load_if(registers, expr->dreg, &packet->in, expr->key == NFT_META_IIFNAME);
		break;
	case NFT_META_OIFNAME:
	case NFT_META_OIF:
		load_if(registers, expr->dreg, &packet->out, expr->key == NFT_META_OIFNAME);
		break;
	case NFT_META_NFPROTO:
		set_small(registers, expr->dreg, &nfproto, 1);
		break;
	case NFT_META_L4PROTO:
		set_small(registers, expr->dreg, &packet->protocol, 1);
		break;
	case NFT_META_PROTOCOL:
		set_small(registers, expr->dreg, &ethertype, sizeof(ethertype));
		break;
	default:
		forget_at(registers, expr->dreg, IFNAMSIZ);
	}
}

/* nftables' bits: those of invalid, established, related, new. */
static uint32_t state_bits(const struct walk_packet *packet)
{
	return XT_CONNTRACK_STATE_BIT(packet->state == WALK_NEW ? IP_CT_NEW : IP_CT_ESTABLISHED);
}

/* Whether it was DNAT'ed is known, other bits are not. */
static void load_status(const struct walk_packet *packet, uint8_t at, struct known *registers)
{
	uint32_t known = IPS_DST_NAT;

	if (at + sizeof(known) > RULESET_REGISTERS)
		return;
	set_u32(registers, at, packet->dnat ? IPS_DST_NAT : 0);
	memcpy(registers->mask + at, &known, sizeof(known));
}

static void load_ct(struct walk *walk, const struct rs_expr *expr, struct known *registers)
{
	uint8_t direction = walk->packet->reply ? IP_CT_DIR_REPLY : IP_CT_DIR_ORIGINAL;

	if (expr->key == NFT_CT_STATE)
		set_u32(registers, expr->dreg, state_bits(walk->packet));
	else if (expr->key == NFT_CT_DIRECTION)
		set_small(registers, expr->dreg, &direction, 1);
	else if (expr->key == NFT_CT_STATUS)
		load_status(walk->packet, expr->dreg, registers);
	else
		forget_at(registers, expr->dreg, IFNAMSIZ);
}

/* The route back to a source of ours is there: by the interface that the packet came from. */
static void load_fib(struct walk *walk, const struct rs_expr *expr, struct known *registers)
{
	const struct walk_packet *packet = walk->packet;
	bool source = expr->flags & NFTA_FIB_F_SADDR;
	uint16_t type = source ? packet->source_type : packet->destination_type;

	if (expr->key == NFT_FIB_RESULT_ADDRTYPE && type)
		set_u32(registers, expr->dreg, type);
	else if (expr->key != NFT_FIB_RESULT_ADDRTYPE && source && expr->flags & NFTA_FIB_F_PRESENT)
		set_u32(registers, expr->dreg, 1);
	else
		forget_at(registers, expr->dreg, IFNAMSIZ);
}

static void load_payload(struct walk *walk, const struct rs_expr *expr, struct known *registers)
{
	const struct known *from = expr->base == NFT_PAYLOAD_NETWORK_HEADER	? &walk->network
				   : expr->base == NFT_PAYLOAD_TRANSPORT_HEADER ? &walk->transport
										: NULL;
	uint8_t zero[4] = {0};

	if (expr->length % 4 && expr->dreg + expr->length + 4 <= RULESET_REGISTERS)
		set_register(registers, expr->dreg + expr->length / 4 * 4, zero, sizeof(zero));
	forget_at(registers, expr->dreg, expr->length);
	if (!from || expr->offset + expr->length > RULESET_REGISTERS ||
	    expr->offset > RULESET_REGISTERS)
		return;
	memcpy(registers->bytes + expr->dreg, from->bytes + expr->offset, expr->length);
	memcpy(registers->mask + expr->dreg, from->mask + expr->offset, expr->length);
}

static void apply_mask(const struct rs_expr *expr, struct known *registers)
{
	for (unsigned int i = 0; i < expr->length; i++) {
		uint8_t byte = registers->bytes[expr->sreg + i];
		uint8_t known = registers->mask[expr->sreg + i];

		registers->bytes[expr->dreg + i] =
			(uint8_t)((byte & expr->data[i]) ^ expr->more[i]);
		registers->mask[expr->dreg + i] = known | (uint8_t)~expr->data[i];
	}
	if (registers->some && registers->some_at == expr->dreg)
		registers->some = NULL;
}

/* ---- matches on registers ---- */

static bool all_known(const struct known *registers, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (registers->mask[at + i] != 0xff)
			return false;
	return true;
}

static enum match equal(const struct known *registers, size_t at, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((registers->bytes[at + i] ^ data[i]) & registers->mask[at + i])
			return NO;
	return all_known(registers, at, n) ? YES : MAYBE;
}

/* "Some interface" is not loopback and not the one named; nothing else is known of it. A name without its NUL is a prefix. */
static bool is_not_some(const struct walk_if *some, const uint8_t *data, size_t n)
{
	const char *name = (const char *)data;
	uint32_t index;

	if (n == sizeof(index)) {
		memcpy(&index, data, sizeof(index));
		if (index == 1 || (some->index && index == some->index))
			return true;
	}
	return n <= IFNAMSIZ && memchr(name, '\0', n) &&
	       (strcmp(name, "lo") == 0 || strcmp(name, some->name) == 0);
}

static enum match inverted(enum match match)
{
	return match == MAYBE ? MAYBE : match == YES ? NO : YES;
}

static enum match as_match(bool holds)
{
	return holds ? YES : NO;
}

static enum match compare(const struct rs_expr *expr, const struct known *registers)
{
	enum match same = equal(registers, expr->sreg, expr->data, expr->length);
	int order;

	if (registers->some && registers->some_at == expr->sreg &&
	    is_not_some(registers->some, expr->data, expr->length))
		same = NO;
	if (expr->op == NFT_CMP_EQ)
		return same;
	if (expr->op == NFT_CMP_NEQ)
		return inverted(same);
	if (!all_known(registers, expr->sreg, expr->length))
		return MAYBE;
	order = memcmp(registers->bytes + expr->sreg, expr->data, expr->length);
	switch (expr->op) {
	case NFT_CMP_LT:
		return as_match(order < 0);
	case NFT_CMP_LTE:
		return as_match(order <= 0);
	case NFT_CMP_GT:
		return as_match(order > 0);
	case NFT_CMP_GTE:
		return as_match(order >= 0);
	default:
		return MAYBE;
	}
}

static enum match in_range(const struct rs_expr *expr, const struct known *registers)
{
	const uint8_t *value = registers->bytes + expr->sreg;
	bool in;

	if (!all_known(registers, expr->sreg, expr->length))
		return MAYBE;
	in = memcmp(value, expr->data, expr->length) >= 0 &&
	     memcmp(value, expr->more, expr->length) <= 0;
	return as_match(in != expr->inverted);
}

/* ---- sets ---- */

/* Ranges are elements that begin and elements that end one: the nearest at or below decides. */
static const struct rs_element *find_interval(const struct rs_set *set, const uint8_t *key)
{
	const struct rs_element *best = NULL;

	for (uint32_t i = 0; i < set->n; i++) {
		const struct rs_element *e = &set->elements[i];

		if (memcmp(e->key, key, set->key_length) > 0 ||
		    (best && memcmp(e->key, best->key, set->key_length) < 0))
			continue;
		/* where one range ends another may begin */
		if (!best || memcmp(e->key, best->key, set->key_length) > 0 || !e->interval_end)
			best = e;
	}
	return best && !best->interval_end ? best : NULL;
}

static const struct rs_element *find_exact(const struct rs_set *set, const uint8_t *key)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (memcmp(set->elements[i].key, key, set->key_length) == 0)
			return &set->elements[i];
	return NULL;
}

/* No element can match what is known of the key. */
static bool matches_none(const struct rs_set *set, const struct known *registers, uint8_t at)
{
	if (set->flags & NFT_SET_INTERVAL)
		return set->n == 0;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct rs_element *e = &set->elements[i];

		if (registers->some && registers->some_at == at &&
		    is_not_some(registers->some, e->key, set->key_length))
			continue;
		if (equal(registers, at, e->key, set->key_length) != NO)
			return false;
	}
	return true;
}

/* *ret: the element where it is certain which, else NULL. */
static enum match look_up(const struct walk *walk, const struct rs_expr *expr,
			  const struct known *registers, const struct rs_element **ret)
{
	const struct rs_set *set;
	bool ranges;

	*ret = NULL;
	if (expr->target >= walk->ruleset->n_sets)
		return MAYBE;
	set = &walk->ruleset->sets[expr->target];
	if (!set->known || expr->sreg + set->key_length > RULESET_REGISTERS)
		return MAYBE;
	for (uint32_t i = 0; i < set->n; i++)
		if (set->elements[i].catch_all || set->elements[i].has_end)
			return MAYBE;
	if (!all_known(registers, expr->sreg, set->key_length))
		return matches_none(set, registers, expr->sreg) ? NO : MAYBE;
	ranges = set->flags & NFT_SET_INTERVAL;
	*ret = ranges ? find_interval(set, registers->bytes + expr->sreg)
		      : find_exact(set, registers->bytes + expr->sreg);
	return as_match(*ret);
}

/* ---- matches of xtables ---- */

static enum match port_in(uint16_t port, const uint16_t range[2], bool invert)
{
	bool any = range[0] == 0 && range[1] == UINT16_MAX;

	if (!port)
		return any ? as_match(!invert) : MAYBE;
	return as_match((port >= range[0] && port <= range[1]) != invert);
}

static enum match both(enum match a, enum match b)
{
	if (a == NO || b == NO)
		return NO;
	return a == YES && b == YES ? YES : MAYBE;
}

static enum match xt_ports(const struct walk_packet *packet, const struct rs_ports *ports)
{
	bool known_flags = packet->state == WALK_NEW;
	enum match flags = YES;

	if (ports->tcp && ports->tcp_mask)
		flags = !known_flags ? MAYBE
				     : as_match(((TCP_SYN & ports->tcp_mask) == ports->tcp_flags) !=
						!!(ports->inverted & XT_TCP_INV_FLAGS));
	/* the bits of TCP and UDP for ports are the same */
	return both(flags, both(port_in(packet->source_port, ports->source,
					ports->inverted & XT_TCP_INV_SRCPT),
				port_in(packet->destination_port, ports->destination,
					ports->inverted & XT_TCP_INV_DSTPT)));
}

static enum match port_in_set(uint16_t port, const struct rs_port_set *set)
{
	if (!port)
		return MAYBE;
	for (unsigned int i = 0; i < set->n; i++) {
		uint16_t low = set->ports[i], high = low;

		if (set->ranges & 1U << i)
			high = set->ports[++i];
		if (port >= low && port <= high)
			return YES;
	}
	return NO;
}

static enum match xt_port_set(const struct walk_packet *packet, const struct rs_port_set *set)
{
	enum match match = NO;

	if (set->which != XT_MULTIPORT_DESTINATION)
		match = port_in_set(packet->source_port, set);
	if (set->which != XT_MULTIPORT_SOURCE && match != YES) {
		enum match other = port_in_set(packet->destination_port, set);

		match = other == NO ? match : other;
	}
	return set->inverted ? inverted(match) : match;
}

static enum match type_in(uint16_t type, uint16_t types, bool invert)
{
	if (!types)
		return YES;
	if (!type)
		return MAYBE;
	return as_match(!!(types & 1U << type) != invert);
}

static enum match xt_icmp(const struct walk_packet *packet, const struct rs_icmp *icmp)
{
	bool holds =
		icmp->type == UINT8_MAX || (icmp->type == packet->icmp_type && icmp->code[0] == 0);

	return as_match(holds != icmp->inverted);
}

static enum match xt_state(const struct walk_packet *packet, const struct rs_expr *expr)
{
	bool holds = expr->states & state_bits(packet);

	if (packet->dnat && expr->states & XT_CONNTRACK_STATE_DNAT)
		holds = true;
	return as_match(holds != expr->inverted);
}

/* ---- rules ---- */

static enum match match_expr(struct walk *walk, const struct rs_expr *expr, struct known *registers)
{
	const struct rs_element *element;
	enum match match;

	switch ((enum rs_kind)expr->kind) {
	case RS_COMPARE:
		return compare(expr, registers);
	case RS_RANGE:
		return in_range(expr, registers);
	case RS_LOOKUP:
		match = look_up(walk, expr, registers, &element);
		return expr->inverted ? inverted(match) : match;
	case RS_XT_STATE:
		return xt_state(walk->packet, expr);
	case RS_XT_PORTS:
		return xt_ports(walk->packet, &expr->ports);
	case RS_XT_PORT_SET:
		return xt_port_set(walk->packet, &expr->port_set);
	case RS_XT_TYPE:
		return both(type_in(walk->packet->source_type, expr->types.source,
				    expr->types.source_inverted),
			    type_in(walk->packet->destination_type, expr->types.destination,
				    expr->types.destination_inverted));
	case RS_XT_ICMP:
		return xt_icmp(walk->packet, &expr->icmp);
	case RS_NEVER:
		return NO;
	case RS_MAYBE:
		forget(registers);
		return MAYBE;
	case RS_META:
		load_meta(walk, expr, registers);
		return YES;
	case RS_CT:
		load_ct(walk, expr, registers);
		return YES;
	case RS_PAYLOAD:
		load_payload(walk, expr, registers);
		return YES;
	case RS_FIB:
		load_fib(walk, expr, registers);
		return YES;
	case RS_CONSTANT:
		set_register(registers, expr->dreg, expr->data, expr->length);
		return YES;
	case RS_MASK:
		apply_mask(expr, registers);
		return YES;
	case RS_UNKNOWN:
		forget(registers);
		return YES;
	case RS_VERDICT:
	case RS_ANY_VERDICT:
		break;
	}
	return YES;
}

static unsigned int walk_rules(struct walk *walk, const struct rs_chain *chain, unsigned int depth);

static unsigned int verdict(struct walk *walk, int32_t code, uint32_t target, unsigned int depth)
{
	unsigned int out;

	switch (code) {
	case NF_ACCEPT:
		return WALK_ACCEPT;
	case NF_DROP:
		return WALK_DROP;
	case NFT_RETURN:
		return OUT_RETURN;
	case NFT_CONTINUE:
	case NFT_BREAK:
		return OUT_NEXT;
	case NFT_JUMP:
	case NFT_GOTO:
		if (target >= walk->ruleset->n_chains || depth >= DEPTH_MAX)
			return OUT_ALL;
		out = walk_rules(walk, &walk->ruleset->chains[target], depth + 1);
		if (code == NFT_JUMP && out & OUT_RETURN)
			out = (out & ~OUT_RETURN) | OUT_NEXT;
		return out;
	default:
		return OUT_ALL;
	}
}

/* Every element that the key may be, where it is not known which. */
static unsigned int map_verdict(struct walk *walk, const struct rs_expr *expr,
				const struct known *registers, unsigned int depth)
{
	const struct rs_element *element;
	enum match match = look_up(walk, expr, registers, &element);
	unsigned int out = OUT_NEXT;

	if (match == NO)
		return OUT_NEXT;
	if (element)
		return verdict(walk, element->verdict, element->target, depth);
	if (expr->target >= walk->ruleset->n_sets || !walk->ruleset->sets[expr->target].known)
		return OUT_ALL;
	for (uint32_t i = 0; i < walk->ruleset->sets[expr->target].n; i++) {
		element = &walk->ruleset->sets[expr->target].elements[i];
		out |= verdict(walk, element->verdict, element->target, depth);
	}
	return out;
}

static unsigned int walk_rule(struct walk *walk, const struct rs_rule *rule, unsigned int depth)
{
	struct known registers = {0};
	unsigned int seen = 0;

	for (uint32_t i = 0; i < rule->n; i++) {
		const struct rs_expr *expr = &walk->ruleset->exprs[rule->first + i];
		unsigned int out = OUT_NEXT;
		enum match match;

		if (++walk->steps > STEPS_MAX)
			return OUT_ALL;
		if (expr->kind == RS_VERDICT)
			out = verdict(walk, expr->verdict, expr->target, depth);
		else if (expr->kind == RS_LOOKUP && expr->map)
			out = map_verdict(walk, expr, &registers, depth);
		else if (expr->kind == RS_ANY_VERDICT)
			out = OUT_ALL;
		seen |= out & ~OUT_NEXT;
		if (!(out & OUT_NEXT))
			return seen; /* whether it came here or not is in `seen` already */
		match = expr->kind == RS_VERDICT || expr->map ? YES
							      : match_expr(walk, expr, &registers);
		if (match == NO)
			break;
		if (match == MAYBE)
			seen |= OUT_NEXT;
	}
	return seen | OUT_NEXT;
}

static unsigned int walk_rules(struct walk *walk, const struct rs_chain *chain, unsigned int depth)
{
	unsigned int seen = 0;

	for (uint32_t i = chain->first; i != UINT32_MAX; i = walk->ruleset->rules[i].next) {
		unsigned int out = walk_rule(walk, &walk->ruleset->rules[i], depth);

		seen |= out & ~OUT_NEXT;
		if (!(out & OUT_NEXT))
			return seen;
		if (++walk->steps > STEPS_MAX)
			return OUT_ALL;
	}
	return seen | OUT_RETURN;
}

unsigned int walk_chain(const struct ruleset *ruleset, const struct rs_chain *base,
			const struct walk_packet *packet)
{
	struct walk walk = {.ruleset = ruleset, .packet = packet};
	unsigned int out;

	write_headers(&walk);
	out = walk_rules(&walk, base, 0);
	if (out & OUT_RETURN)
		out |= base->drops ? WALK_DROP : WALK_ACCEPT;
	return out & (WALK_ACCEPT | WALK_DROP);
}
