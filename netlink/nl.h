/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One netlink socket, its requests and their answers, over libmnl.
 *
 * All functions return 0 (or a count) or a negative errno. Extended acks are asked for on every socket: after a
 * failed call nl_error() says what the kernel said. A struct nl belongs to one thread; requests are answered before
 * the call returns (bounded by NL_TIMEOUT_MS), so it never waits for anything but the kernel.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>
#include "common/cleanup.h"

#define NL_TIMEOUT_MS 5000

struct nl;

/* bus: NETLINK_GENERIC, NETLINK_NETFILTER, ... Opens in the caller's network namespace. */
int nl_open(int bus, struct nl **ret);
/*
 * NULL is fine. The symbol has another name because libnl exports an nl_close() that it calls itself, and ours would
 * take its place in every program that links both.
 */
void nl_close(struct nl *nl) __asm__("sortie_nl_close");
DEFINE_CLEANUP(nl_close, struct nl *);

int nl_fd(const struct nl *nl);
struct mnl_socket *nl_socket(struct nl *nl);
uint32_t nl_sequence(struct nl *nl); /* the next sequence number */

/* Joins a multicast group; events are then read by the caller from nl_fd(). */
int nl_join(struct nl *nl, uint32_t group);

/*
 * Sends one message (NLM_F_ACK or NLM_F_DUMP set by the caller) and feeds every answer to on_message (may be NULL).
 * A dump that the kernel marks as interrupted (NLM_F_DUMP_INTR) returns -EINTR: forget what was read, ask again.
 * -ENOBUFS where answers were lost, -EMSGSIZE where one was truncated, -ETIMEDOUT; on_message may return a negative
 * errno to stop.
 */
int nl_request(struct nl *nl, struct nlmsghdr *message,
	       int (*on_message)(const struct nlmsghdr *message, void *data), void *data);

/* The kernel's words about the last failed request ("" if none); borrowed, valid until the next request. */
const char *nl_error(const struct nl *nl);

/* Generic netlink family id by name; -ENOENT where the kernel has none. */
int nl_family(struct nl *nl, const char *name, uint16_t *ret);
