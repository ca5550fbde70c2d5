/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMPv6 echoes over a raw socket. Opening one needs CAP_NET_RAW, sending does not: sortied opens it before it gives
 * its privileges up, and names interface and source with each packet.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"

#define ECHO_OVERHEAD 48 /* IPv6 and ICMPv6 headers */
#define ECHO_SIZE_MIN (ECHO_OVERHEAD + 8)

struct echo {
	struct addr from, to;
	unsigned int ifindex;
	uint16_t id, sequence;
};

/* Hears nothing until echo_listen(). */
int echo_open(int *ret_fd);
/* Replies from now on, or none any more; what still waits to be read is thrown away. */
int echo_listen(int fd, bool on);
/* A packet of size bytes, headers and all, at least ECHO_SIZE_MIN. Carries the time when it was sent. */
int echo_send(int fd, const struct echo *echo, size_t size);
/*
 * One reply, as echo_send() filled it; *ret_size is the packet's, *ret_us how long it took. -EAGAIN: none is there,
 * -EBADMSG: what came is something else.
 */
int echo_receive(int fd, struct echo *ret, size_t *ret_size, uint32_t *ret_us);
