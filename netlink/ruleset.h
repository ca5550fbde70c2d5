/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The nftables ruleset as a whole: only how often it was changed. */
#pragma once
#include <stdint.h>
#include "netlink/nl.h"

/*
 * The number of the last transaction in this network namespace, whoever's it was; never 0. One small message, whatever the
 * size of the ruleset. Expiring elements and counters are no transactions.
 */
int ruleset_generation(struct nl *nl, uint32_t *ret);
