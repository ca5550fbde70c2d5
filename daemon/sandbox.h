/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each of the two processes gives away, so that the unit file's restrictions also hold without systemd.
 * All functions return 0 or a negative errno with a sentence in err.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/err.h"
#include "common/key.h"

/* No core dumps, no ptrace by the same user; keys are locked into memory where limits allow. */
int sandbox_no_dumps(struct err *err);
void sandbox_lock_memory(void *secret, size_t length);

/* -EPERM where CAP_NET_ADMIN is missing: said before anything is touched. */
int sandbox_check_privileges(struct err *err);
/* sortied, once its raw socket is open and the child has been started: CAP_NET_ADMIN and nothing else, ever. */
int sandbox_keep_net_admin(struct err *err);

struct sandbox_user {
	uid_t uid;
	gid_t gid;
};
/* Who sortie-net is: user "sortie-net" where it exists, else nobody; this user where we may not change it. */
struct sandbox_user sandbox_net_user(void);
/* Between fork and exec: async-signal-safe. */
int sandbox_become(const struct sandbox_user *user);

/* sortie-net's system calls; trap: a call that is not on the list ends the process with its number on stderr. */
int sandbox_net_calls(bool trap, struct err *err);
