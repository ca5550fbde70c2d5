/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One message of nfnetlink_log, bytes only. Inside netlink/ and its tests only. */
#pragma once
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include "netlink/nflog.h"

struct nflog_message {
	struct nflog_packet packet; /* without in, out and lost */
	uint32_t in_index, out_index;
	bool numbered;
	uint32_t sequence;
};

/* -ENOMSG where it is no packet, -EBADMSG, -EINVAL where the packet is no IP. */
int nflog_decode_message(const struct nlmsghdr *message, struct nflog_message *ret);
