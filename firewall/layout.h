/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands in the table: sets, counters, base chains, and the rules as rows of terms.
 *
 * A row says what a rule matches in words of this table ("source is a live peer"), not in expressions; expr.c turns it
 * into expressions once for each address family. Rows are data, so that both roles, all modes and both families are
 * one page to review. A change of the sets or of the base chains needs a new FIREWALL_LAYOUT.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "firewall/firewall.h"

#define FIREWALL_LAYOUT "sortie layout 2" /* the table's comment, by which a table is adopted */
/* Those before it. Such a table holds until an agent replaces it, in the transaction that makes the new one. */
#define FIREWALL_LAYOUTS_BEFORE                                                                    \
	{                                                                                          \
		"sortie layout 1"                                                                  \
	}

/* ---- sets: every kind once for IPv4 (even) and once for IPv6 (odd) ---- */

enum set_kind {
	SET_LIVE,     /* peers whose lease runs */
	SET_KNOWN,    /* peers, lease or not: whom observe mode spares */
	SET_ID,	      /* address -> number in log records */
	SET_IN,	      /* address . protocol . port; what the peer may reach here */
	SET_IN_TIMED, /* the same with an end of its own */
	SET_IN_KEEP,  /* the same, holds without a lease */
	SET_IN_RANGE, /* wide port ranges */
	SET_IN_RANGE_KEEP,
	SET_IN_ECHO, /* address */
	SET_IN_ECHO_KEEP,
	SET_OUT, /* the same seven for what we may reach at the peer */
	SET_OUT_TIMED,
	SET_OUT_KEEP,
	SET_OUT_RANGE,
	SET_OUT_RANGE_KEEP,
	SET_OUT_ECHO,
	SET_OUT_ECHO_KEEP,
	SET_HUB,       /* address . port: the hub's underlay endpoints */
	SET_UNDERLAY,  /* prefix . protocol . port range */
	SET_EGRESS,    /* the same, of what this host may ask outside */
	SET_CONTAINER, /* names of interfaces; the IPv6 twin stays empty */
	N_SET_KINDS,
};

#define SET_OUT_SHIFT  (SET_OUT - SET_IN)
#define N_SETS	       (2 * N_SET_KINDS)
#define SET_FOR(k, v6) (2 * (k) + ((v6) ? 1 : 0))
#define KEY_MAX	       24

enum key_shape { SHAPE_ADDR, SHAPE_TUPLE, SHAPE_ENDPOINT, SHAPE_IFNAME };

struct set_row {
	const char *name; /* without the family's digit */
	enum key_shape shape;
	bool timeout, interval, map, counter;
};

extern const struct set_row set_rows[N_SET_KINDS];
const char *set_name(unsigned int set, char text[32]);
unsigned int set_key_length(unsigned int set);

/* ---- counters ---- */

enum counter {
	COUNTER_IN,
	COUNTER_OUT,
	COUNTER_UNDERLAY,
	COUNTER_SPOOF,
	COUNTER_WOULD,
	N_COUNTERS,
};

extern const char *const counter_names[N_COUNTERS];

/* ---- chains ---- */

enum chain {
	/* base chains: made once, never deleted */
	CHAIN_RAW,
	CHAIN_PRE,
	CHAIN_INPUT,
	CHAIN_FORWARD,
	CHAIN_OUTPUT,
	CHAIN_POST,
	N_BASE_CHAINS,
	/* the rules of all are flushed and refilled */
	CHAIN_POST_OVERLAY = N_BASE_CHAINS,
	CHAIN_POST_NAT,
	CHAIN_FROM_OVERLAY,
	CHAIN_FROM_HUB,
	CHAIN_FROM_ENROLLING,
	CHAIN_FROM_PEER,
	CHAIN_FROM_PEER_REPLY,
	CHAIN_TO_OVERLAY,
	CHAIN_TO_HUB,
	CHAIN_TO_PEER,
	CHAIN_TO_PEER_REPLY,
	CHAIN_TO_PEER_NOW,
	CHAIN_TO_NOBODY,
	CHAIN_FORWARD_IN,
	CHAIN_FORWARD_OUT,
	CHAIN_UNDERLAY_IN,
	CHAIN_UNDERLAY_OUT,
	CHAIN_UNDERLAY_FORWARD,
	CHAIN_EGRESS,
	CHAIN_EGRESS_FORWARD,
	CHAIN_DENY_IN,
	CHAIN_DENY_OUT,
	CHAIN_DROP_OUT,
	CHAIN_DENY_UNDERLAY,
	CHAIN_DENY_EGRESS,
	CHAIN_DENY_SPOOF,
	CHAIN_DENY_PORT,
	CHAIN_WOULD_IN,
	CHAIN_WOULD_OUT,
	CHAIN_LOG_IN,
	CHAIN_LOG_OUT,
	CHAIN_LOG_UNDERLAY,
	CHAIN_LOG_SPOOF,
	CHAIN_LOG_WOULD_IN,
	CHAIN_LOG_WOULD_OUT,
	CHAIN_LOG_WOULD_UNDERLAY,
	N_CHAINS,
};

extern const char *const chain_names[N_CHAINS];

struct base_chain {
	const char *type;
	uint32_t hook;
	int32_t priority;
};
extern const struct base_chain base_chains[N_BASE_CHAINS];

/* ---- rows ---- */

enum term_kind {
	TERM_END,
	/* matches; `not` inverts */
	TERM_IN_IF, /* arg: enum where */
	TERM_OUT_IF,
	TERM_IN_CONTAINER, /* from an interface that containers are behind; never inverted */
	TERM_OUT_CONTAINER,
	TERM_SOURCE, /* arg: enum range */
	TERM_DESTINATION,
	TERM_SOURCE_SET, /* arg: enum set_kind of addresses */
	TERM_DESTINATION_SET,
	TERM_SOURCE_TUPLE, /* arg: enum set_kind; address . protocol . destination port of this packet */
	TERM_DESTINATION_TUPLE,
	TERM_DESTINATION_ANSWER, /* the same with this packet's source port */
	TERM_SOURCE_FLOW, /* the same with protocol and port of the flow as its initiator sent it */
	TERM_DESTINATION_FLOW,
	TERM_SOURCE_ENDPOINT, /* arg: enum set_kind; address . source port */
	TERM_DESTINATION_ENDPOINT,
	TERM_PROTOCOL,	    /* arg: IPPROTO_*; IPPROTO_ICMP is ICMPv6 in IPv6 */
	TERM_FLOW_PROTOCOL, /* the flow's, also for ICMP errors about it */
	TERM_SOURCE_PORT,   /* arg: port or enum port */
	TERM_DESTINATION_PORT,
	TERM_ICMP_TYPE, /* arg: type, or enum echo */
	TERM_HOP_LIMIT,
	TERM_DIRECTION,	       /* arg: IP_CT_DIR_* */
	TERM_STATE,	       /* arg: bits of ct state, any of them */
	TERM_STATUS,	       /* arg: bits of ct status */
	TERM_DESTINATION_TYPE, /* arg: RTN_* of fib */
	TERM_UID,	       /* arg: enum uid */
	TERM_LIMIT,	       /* at most 50 a second, burst 100 */
	/* statements */
	TERM_COUNT, /* arg: enum counter */
	TERM_LOG,   /* arg: enum prefix; the mark of the record is the number of: */
	TERM_LOG_SOURCE,
	TERM_LOG_DESTINATION,
	TERM_ACCEPT,
	TERM_DROP,
	TERM_RETURN,
	TERM_JUMP, /* arg: enum chain */
	TERM_GOTO,
	TERM_RESET,    /* reject with tcp reset */
	TERM_PROHIBIT, /* reject with icmpx admin-prohibited */
};

enum where { WHERE_LO, WHERE_OVERLAY, WHERE_JOIN };
enum range { RANGE_OVERLAY, RANGE_ENROLL, RANGE_HUB, RANGE_OWN, RANGE_LINK_LOCAL };
enum uid { UID_ROOT, UID_API };
/* beyond what fits 16 bits */
enum port { PORT_LISTEN = 0x10000, PORT_API, PORT_ENROLL };
enum echo { ICMP_ECHO_REQUEST_BOTH = 0x10000, ICMP_ECHO_REPLY_BOTH };
enum log_prefix {
	PREFIX_IN,
	PREFIX_OUT,
	PREFIX_UNDERLAY,
	PREFIX_SPOOF,
	PREFIX_WOULD_IN,
	PREFIX_WOULD_OUT,
	PREFIX_WOULD_UNDERLAY,
	N_PREFIXES,
};
extern const char *const log_prefixes[N_PREFIXES];

struct term {
	uint8_t kind;
	bool not ;
	uint32_t arg;
};

/* When a row is in force: all bits must hold. */
enum when {
	WHEN_JOIN = 1 << 0, /* sortie-join exists */
	WHEN_CONTAINERS = 1 << 1,
	WHEN_NO_CONTAINERS = 1 << 2,
	WHEN_OBSERVE = 1 << 3,
	WHEN_UNDERLAY = 1 << 4, /* the underlay is looked at: enforce and observe */
	WHEN_LOCKED = 1 << 5,	/* ... and closed */
	WHEN_RECORDED = 1 << 6, /* ... or only recorded */
	WHEN_PORT = 1 << 7,	/* WireGuard's port is known */
	WHEN_EGRESS = 1 << 8,	/* what goes out in the underlay is looked at too */
	WHEN_NO_EGRESS = 1 << 9,
};

enum row_family { ROW_ANY, ROW_BOTH, ROW_IPV4, ROW_IPV6 };

#define ROW_TERMS_MAX 9
struct rule_row {
	uint8_t chain;
	uint8_t family; /* ROW_BOTH: once for each; ROW_ANY: no address in it, once */
	uint16_t when;
	struct term terms[ROW_TERMS_MAX];
};

/* The rows of a role, and what both share (logs, what a deny does). */
const struct rule_row *layout_workload(size_t *ret_n);
const struct rule_row *layout_hub(size_t *ret_n);
const struct rule_row *layout_common(size_t *ret_n);
/* The bits of enum when that hold. */
uint16_t layout_when(const struct fw_desired *desired);
