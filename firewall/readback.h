/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands in the kernel, read as a struct state.
 */
#pragma once
#include "firewall/state.h"
#include "netlink/nl.h"

/*
 * Reads the whole table. No table: exists is false, success. -EEXIST where a table of that name has another layout,
 * but for one before ours: that is not read, older is true and exists false.
 * Reads again where the ruleset changed meanwhile; -EAGAIN where it does not stand still.
 */
int readback_state(struct nl *nl, int64_t now_ms, struct state *ret);
/* Is there a table of our name, of whatever layout? 1, 0. */
int readback_table(struct nl *nl);
/* Table, chains and rules only: no sets and elements. Not read again where it changes meanwhile. */
int readback_frame(struct nl *nl, struct state *ret);
/* Asks for some elements by key. 0 where all stand, -ENOENT where one does not. */
int readback_elements(struct nl *nl, const struct element *items, size_t n);
/* 1, 0. An interval that covers the one asked for is another: the kernel finds by the lower end alone. */
int readback_stands(struct nl *nl, const struct element *item);
int readback_counters(struct nl *nl, struct fw_counters *ret);

/*
 * The decoders alone, for tests and fuzzing: one message of an element or rule dump, added to state. -EBADMSG where it is
 * not what our tables hold.
 */
int readback_on_elements(const struct nlmsghdr *message, int64_t now_ms, struct elements *ret);
int readback_on_rule(const struct nlmsghdr *message, struct state *ret);
