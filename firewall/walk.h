/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a chain of somebody else does with a packet of ours: accept, drop, or either.
 *
 * The packet is a model: some of its bytes are known, others are not (a source port, a mark). A match that depends on what
 * is not known may hold or not, and both ways are followed. So a result of WALK_DROP alone means that the chain drops every
 * such packet, WALK_ACCEPT alone that it drops none; both, that it depends. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/addr.h"
#include "firewall/ruleset.h"

#define WALK_ACCEPT 1U
#define WALK_DROP   2U

enum walk_state { WALK_NEW, WALK_ESTABLISHED };

/* An interface of the packet: by name (and index, where known); some other one, neither loopback nor `not`; or none. */
struct walk_if {
	enum { WALK_IF_NONE, WALK_IF_NAMED, WALK_IF_SOME } kind;
	char name[IFNAMSIZ]; /* of SOME: which it is not */
	unsigned int index;  /* 0: not known */
};

struct walk_packet {
	uint32_t hook; /* NF_INET_* */
	struct walk_if in, out;
	struct addr source, destination; /* unset: not known, and then `v6` says which family */
	bool v6;
	uint8_t protocol;
	uint16_t source_port, destination_port; /* 0: not known; ICMP has none */
	uint8_t icmp_type;
	enum walk_state state;
	bool reply;				/* direction */
	bool dnat;				/* a published port's */
	uint16_t source_type, destination_type; /* RTN_*; 0: not known */
};

/* The verdict of one base chain: WALK_* bits. Too deep or too long to follow: both. */
unsigned int walk_chain(const struct ruleset *ruleset, const struct rs_chain *base,
			const struct walk_packet *packet);
