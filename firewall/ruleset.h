/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of everybody else in nftables, as plain data: what nft, iptables-nft, ufw, firewalld or Docker have loaded.
 *
 * Read only, and only so far as it takes to follow a packet (firewall/walk.h): an expression whose meaning is not known here
 * becomes "may match". Our own table and dormant tables are left out. Of sets, the anonymous ones are read (`{ 80, 443 }`);
 * a named one may hold a hundred thousand addresses, so whether it matches stays open.
 *
 * Nothing in the bytes is trusted; limits below. 0 or a negative errno.
 */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>
#include "common/cleanup.h"
#include "netlink/nl.h"

#define RULESET_CHAINS_MAX	8192
#define RULESET_RULES_MAX	16384
#define RULESET_EXPRS_MAX	131072
#define RULESET_SETS_MAX	512
#define RULESET_SET_ELEMENTS	256
#define RULESET_DATA_MAX	32 /* bytes of a value or of an element's key */
#define RULESET_REGISTERS	64 /* bytes */
#define RULESET_MULTIPORT_PORTS 15

enum rs_kind {
	/* into registers dreg, length bytes */
	RS_META,     /* key: NFT_META_* */
	RS_CT,	     /* key: NFT_CT_* */
	RS_PAYLOAD,  /* base, offset */
	RS_FIB,	     /* key: NFT_FIB_RESULT_*, flags */
	RS_CONSTANT, /* data */
	RS_MASK,     /* data: and, more: xor; from sreg */
	RS_UNKNOWN,  /* something that is not known here, into any register */
	/* matches on registers sreg, length bytes */
	RS_COMPARE, /* op: NFT_CMP_*; data */
	RS_RANGE,   /* op: NFT_RANGE_*; data to more */
	RS_LOOKUP,  /* set by name; inverted; with map, a verdict by the key found */
	/* matches of xtables */
	RS_XT_STATE,	/* states, in nftables' bits; inverted */
	RS_XT_PORTS,	/* ranges: source, destination; flags */
	RS_XT_PORT_SET, /* ports */
	RS_XT_TYPE,	/* of addresses: bits 1 << RTN_* */
	RS_XT_ICMP,
	RS_MAYBE, /* a match that is not known here, a rate limit; may write registers too */
	RS_NEVER, /* matches nothing that the walk sends: routing headers and the like */
	/* statements */
	RS_VERDICT,	/* verdict; chain by name */
	RS_ANY_VERDICT, /* queue and others: may accept, may drop */
};

struct rs_ports {
	uint16_t source[2], destination[2];
	uint8_t tcp_mask, tcp_flags, inverted;
	bool tcp;
};

struct rs_port_set {
	uint16_t ports[RULESET_MULTIPORT_PORTS];
	uint16_t ranges; /* bit i: ports[i] to ports[i + 1] */
	uint8_t n, which;
	bool inverted;
};

struct rs_types {
	uint16_t source, destination;
	bool source_inverted, destination_inverted;
};

struct rs_icmp {
	uint8_t type, code[2];
	bool inverted;
};

struct rs_expr {
	uint8_t kind; /* enum rs_kind */
	uint8_t op, base;
	uint8_t sreg, dreg, length; /* registers in bytes */
	bool inverted, map;
	uint32_t key, flags, offset;
	int32_t verdict;
	uint32_t target; /* index of chain or set, once linked; UINT32_MAX: not there */
	char *name;	 /* of chain or set; owned */
	union {
		struct {
			uint8_t data[16], more[16];
		};
		uint32_t states;
		struct rs_ports ports;
		struct rs_port_set port_set;
		struct rs_types types;
		struct rs_icmp icmp;
	};
};

struct rs_rule {
	uint32_t first, n; /* of exprs */
	uint32_t next;	   /* rule of the same chain; UINT32_MAX: the last */
};

struct rs_chain {
	uint8_t family; /* NFPROTO_INET, _IPV4, _IPV6 */
	bool base, drops;
	uint32_t hook; /* NF_INET_* */
	int32_t priority;
	char *table, *name;
	uint32_t first, last; /* rules */
};

struct rs_element {
	uint8_t key[RULESET_DATA_MAX];
	uint8_t end[RULESET_DATA_MAX]; /* has_end: of a range */
	bool has_end, interval_end, catch_all;
	int32_t verdict;
	uint32_t target;
	char *chain;
};

struct rs_set {
	uint8_t family;
	char *table, *name;
	uint32_t flags;
	uint32_t key_length;
	bool known; /* all elements are here */
	struct rs_element *elements;
	uint32_t n;
};

struct ruleset {
	struct rs_chain *chains;
	struct rs_rule *rules;
	struct rs_expr *exprs;
	struct rs_set *sets;
	uint32_t n_chains, n_rules, n_exprs, n_sets;
	char **dormant; /* names of tables that do nothing */
	uint32_t n_dormant;
	bool cut; /* beyond the limits: not all of it is here */
	bool legacy_ip,
		legacy_ip6; /* xtables' own tables are loaded; they cannot be read over netlink */
};

/* Reads the caller's network namespace. */
int ruleset_read(struct nl *nl, struct ruleset **ret);
void ruleset_free(struct ruleset *ruleset);
DEFINE_CLEANUP(ruleset_free, struct ruleset *);

/*
 * The parts of it, for tests: a message of nfnetlink's nf_tables subsystem (tables first, then chains, sets, elements,
 * rules), then the links between what was read. Messages of other kinds are skipped; -EBADMSG, -ENOMEM.
 */
int ruleset_feed(struct ruleset *ruleset, const struct nlmsghdr *message);
int ruleset_link(struct ruleset *ruleset);

/* ruleset_expr.c: one expression. Statements that change nothing for us leave *ret_used false. */
int ruleset_expr(const struct nlattr *expression, uint8_t family, struct rs_expr *ret,
		 bool *ret_used);
/* A chain or a verdict out of NFTA_DATA_VERDICT: *ret_chain is malloc()ed or NULL. */
int ruleset_verdict(const struct nlattr *data, int32_t *ret, char **ret_chain);
/* A text attribute as it is, at most 255 bytes. NULL: out of memory or none. */
char *ruleset_name(const struct nlattr *attribute);
