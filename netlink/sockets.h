/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Established TCP connections of this network namespace as its sockets know them (sock_diag), whether conntrack has seen
 * them or not.
 *
 * A socket does not say who opened its connection. It counts as inbound where its port is listened on, or is one that
 * clients do not use: below 512, or from 1024 up outside the range of ephemeral ports.
 */
#pragma once
#include "netlink/flows.h"

/* Calls on_flow for each, loopback included, as its initiator sent it; a negative errno of on_flow ends it. */
int sockets_established(int (*on_flow)(const struct flow *flow, void *data), void *data);
