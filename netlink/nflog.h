/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that the firewall logged (nfnetlink_log), decoded to what a flow record needs.
 *
 * nflog_open() binds a group in the caller's network namespace; nflog_dispatch() reads what is there.
 */
#pragma once
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"

struct nflog;

struct nflog_packet {
	char prefix[64]; /* the rule's words, e.g. "in deny" */
	uint32_t mark;
	char in[IFNAMSIZ], out[IFNAMSIZ]; /* "" if none */
	struct addr from, to;
	uint8_t protocol;
	uint16_t from_port,
		to_port; /* ICMP: type and code in to_port's bytes; 0 where there are none */
	uint64_t lost;	 /* packets the kernel could not deliver since the last one */
};

/* -EPERM without CAP_NET_ADMIN, and where another socket of this namespace has the group. */
int nflog_open(uint16_t group, void (*on_packet)(const struct nflog_packet *packet, void *data),
	       void *data, struct nflog **ret);
int nflog_fd(const struct nflog *nflog);
int nflog_dispatch(struct nflog *nflog); /* -ENOBUFS is counted as lost, not returned */
void nflog_close(struct nflog *nflog);

/* The decoder alone, for tests and fuzzing: an IPv4 or IPv6 packet of length bytes. -EINVAL. */
int nflog_decode_packet(const uint8_t *bytes, size_t length, struct nflog_packet *ret);
