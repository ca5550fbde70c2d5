/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that run now: conntrack entries (libnetfilter_conntrack) and established TCP sockets (sock_diag).
 *
 * The agent asks before it locks the underlay: which inbound connections would be cut?
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"

struct flow {
	struct endpoint from, to; /* as the initiator sent it; ports 0 for ICMP */
	uint8_t protocol;
	bool inbound;	   /* somebody else opened it towards this host */
	bool from_sockets; /* found by sock_diag, not by conntrack */
};

/*
 * Lists flows that others opened to a local address of this namespace (loopback excluded), at most limit.
 * *ret is malloc()ed. Where conntrack is not loaded, only sockets are seen.
 */
int flows_inbound(size_t limit, struct flow **ret, size_t *ret_n);

/*
 * Tells conntrack of TCP connections that are older than it (it begins to look with the first rule that asks), so that it
 * knows who opened them and does not have to guess by the next packet. What it knows already stays as it is. *ret_n: how
 * many were new to it. -E2BIG where there are more than 100,000: the first ones are told.
 */
int flows_adopt(size_t *ret_n);
