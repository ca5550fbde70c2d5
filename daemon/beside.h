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

/* desired: agent->desired's, or as much of it as is known. *ret is malloc()ed. */
int beside_look(const struct agent *agent, const struct fw_desired *desired,
		struct foreign_finding **ret, size_t *ret_n);
