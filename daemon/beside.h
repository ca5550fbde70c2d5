/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside other software: whose firewall drops what this agent needs or what policy allows here, for `status` and `doctor`.
 *
 * Reads the kernel each time it is asked and keeps nothing. What the findings mean: firewall/foreign.h.
 */
#pragma once
#include <stddef.h>
#include "daemon/agent.h"
#include "firewall/foreign.h"

/* None before the agent knows what should hold. *ret is malloc()ed or NULL. */
int beside_look(const struct agent *agent, struct foreign_finding **ret, size_t *ret_n);
