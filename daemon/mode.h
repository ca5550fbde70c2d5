/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `sortie mode` and `sortie confirm`: what the host's people ask for, and the lock that is undone unless somebody who came
 * in after it says that it may stay.
 *
 * Only the underlay's lock (and the egress lock with it) is ever undone: peers, tuples, leases and tombstones are not in
 * question. After that nothing locks by itself: the connections that stood against it are gone, and so is the operator.
 */
#pragma once
#include "daemon/agent.h"

#define MODE_CONFIRM_MIN_S 5
#define MODE_CONFIRM_MAX_S 3600

/* confirm_s 0: no confirmation. *ret_code is the problem's where it fails. */
int mode_set(struct agent *agent, const char *mode, uint32_t confirm_s, const char **ret_code,
	     struct err *err);
/* pid: whoever confirms. */
int mode_confirm(struct agent *agent, pid_t pid, const char **ret_code, struct err *err);
/* At the start: a lock that waits goes on waiting, one that is overdue or of another boot is undone. */
int mode_resume(struct agent *agent, struct err *err);
void mode_forget(struct agent *agent); /* leave */
/* Seconds left to confirm, at least 1; 0: nothing waits. */
uint32_t mode_confirm_left(const struct agent *agent);
