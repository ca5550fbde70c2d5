/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What link.c and link_route.c share about libnl. Inside netlink/ only. */
#pragma once
#include <netlink/netlink.h>
#include <netlink/addr.h>
#include <netlink/errno.h>
#include "netlink/link.h"

struct link_handle {
	struct nl_sock *socket;
	int kernel_error; /* what the kernel answered to the last request, if libnl saw it */
};

/* Before each request, and on its result: 0 or a negative errno instead of libnl's NLE_* codes. */
void link_begin(struct link_handle *handle);
int link_end(const struct link_handle *handle, int nle);

/* libnl's addresses from and to ours. NULL where out of memory. */
struct nl_addr *link_nl_addr(const struct addr *addr, uint8_t length);
int link_prefix(const struct nl_addr *nl_addr, struct prefix *ret);

DEFINE_CLEANUP(nl_addr_put, struct nl_addr *);
