/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of ports: sorted by (protocol, low), disjoint, not even adjacent. */
#pragma once
#include "policy/policy.h"

/* By protocol, low, high. */
int port_compare(const struct policy_port *a, const struct policy_port *b);
/* Sorts and merges in place; *n shrinks. */
void ports_normalise(struct policy_port *ports, size_t *n);
/* Every port of `inner` is one of `outer`. */
bool port_covers(const struct policy_port *outer, const struct policy_port *inner);
bool port_overlaps(const struct policy_port *a, const struct policy_port *b);
/* Of a normalised set: a range cannot be covered by two of its members. */
bool ports_cover(const struct policy_port *ports, size_t n, const struct policy_port *port);
/* "tcp/80, tcp/443, ...": as much as fits. Returns text. */
const char *ports_format(const struct policy_port *ports, size_t n, char *text, size_t size);
