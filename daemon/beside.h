/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside other software: whose firewall drops what this agent needs or what policy allows here, for `status` and `doctor`.
 *
 * What the findings mean: firewall/foreign.h.
 */
#pragma once
#include <stddef.h>
#include "daemon/agent.h"
#include "firewall/foreign.h"

/*
 * What was found last, for those who ask often: a look reads everybody's rules, so it is taken again only where the ruleset or
 * what is desired has changed, and gets a tenth of the time. Borrowed until the next call. Errors as beside_look().
 */
int beside_recent(struct agent *agent, const struct foreign_finding **ret, size_t *ret_n);
void beside_forget(struct agent *agent);

/* Reads the kernel now. desired: agent->desired's, or as much of it as is known. *ret is malloc()ed. */
int beside_look(const struct agent *agent, const struct fw_desired *desired,
		struct foreign_finding **ret, size_t *ret_n);
