/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Short words for writing rows. For the files that hold tables of rows only. */
#pragma once
#include <netinet/in.h> /* first: linux/in.h gives way to it */
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/rtnetlink.h>
#include "firewall/layout.h"

/* Bits of ct state as nftables has them: 1 << (enum ip_conntrack_info + 1), invalid is bit 0. */
#define STATE_INVALID	  (1U << 0)
#define STATE_NEW	  (1U << 3)
#define STATE_RELATED	  (1U << 2)
#define STATE_ESTABLISHED (1U << 1)

#define T(kind, arg)                                                                               \
	{                                                                                          \
		TERM_##kind, false, arg                                                            \
	}
#define N(kind, arg)                                                                               \
	{                                                                                          \
		TERM_##kind, true, arg                                                             \
	}
#define FROM_LO		     T(IN_IF, WHERE_LO)
#define FROM_OVERLAY	     T(IN_IF, WHERE_OVERLAY)
#define FROM_JOIN	     T(IN_IF, WHERE_JOIN)
#define TO_LO		     T(OUT_IF, WHERE_LO)
#define TO_OVERLAY	     T(OUT_IF, WHERE_OVERLAY)
#define TO_JOIN		     T(OUT_IF, WHERE_JOIN)
#define ORIGINAL	     T(DIRECTION, IP_CT_DIR_ORIGINAL)
#define REPLY		     T(DIRECTION, IP_CT_DIR_REPLY)
#define INVALID		     T(STATE, STATE_INVALID)
#define RELATED		     T(STATE, STATE_RELATED)
#define PROTO(p)	     T(PROTOCOL, IPPROTO_##p)
#define ICMP_TYPE(t)	     T(ICMP_TYPE, t)
#define ICMP_TYPES(from, to) T(ICMP_TYPE, (from) | (to) << 8)
#define MLD2_REPORT	     143
#define ECHO_REQUEST	     PROTO(ICMP), ICMP_TYPE(ICMP_ECHO_REQUEST_BOTH)
#define ECHO_REPLY	     PROTO(ICMP), ICMP_TYPE(ICMP_ECHO_REPLY_BOTH)
#define SPORT(p)	     T(SOURCE_PORT, p)
#define DPORT(p)	     T(DESTINATION_PORT, p)
#define SOURCE(r)	     T(SOURCE, RANGE_##r)
#define DESTINATION(r)	     T(DESTINATION, RANGE_##r)
#define NOT_SOURCE(r)	     N(SOURCE, RANGE_##r)
#define NOT_DESTINATION(r)   N(DESTINATION, RANGE_##r)
#define SOURCE_IN(s)	     T(SOURCE_SET, SET_##s)
#define DESTINATION_IN(s)    T(DESTINATION_SET, SET_##s)
#define DNAT		     T(STATUS, IPS_DST_NAT)
#define ACCEPT		     T(ACCEPT, 0)
#define DROP		     T(DROP, 0)
#define RETURN		     T(RETURN, 0)
#define JUMP(c)		     T(JUMP, CHAIN_##c)
#define GOTO(c)		     T(GOTO, CHAIN_##c)
#define COUNT(c)	     T(COUNT, COUNTER_##c)
#define LIMIT		     T(LIMIT, 0)

#define ROW(chain, family, when, ...)                                                              \
	{                                                                                          \
		CHAIN_##chain, ROW_##family, when,                                                 \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

/* A tuple in any of its classes. Those with a lease first: they are the most. */
#define ROWS_TUPLE(chain, set, term, side)                                                         \
	ROW(chain, BOTH, 0, T(term, set), T(side##_SET, SET_LIVE), ACCEPT),                        \
		ROW(chain, BOTH, 0, T(term, set + SET_IN_TIMED - SET_IN), T(side##_SET, SET_LIVE), \
		    ACCEPT),                                                                       \
		ROW(chain, BOTH, 0, T(term, set + SET_IN_RANGE - SET_IN), T(side##_SET, SET_LIVE), \
		    ACCEPT),                                                                       \
		ROW(chain, BOTH, 0, T(term, set + SET_IN_KEEP - SET_IN), ACCEPT),                  \
		ROW(chain, BOTH, 0, T(term, set + SET_IN_RANGE_KEEP - SET_IN), ACCEPT)
/* Echo, matched by one or two terms given last. */
#define ROWS_ECHO(chain, set, side, ...)                                                           \
	ROW(chain, BOTH, 0, __VA_ARGS__, T(side##_SET, set), T(side##_SET, SET_LIVE), ACCEPT),     \
		ROW(chain, BOTH, 0, __VA_ARGS__, T(side##_SET, set + 1), ACCEPT)
