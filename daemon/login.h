/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which login a process belongs to, and whether that login began after a moment that was marked.
 *
 * The kernel gives every login an audit session when its PAM stack sets the login uid: a number that only grows, that all
 * its processes inherit, and that su, sudo, tmux and setsid do not change. Where no process of the host has one, a login
 * is as old as the oldest process with a terminal among a process's ancestors; there, a new window of an old tmux passes.
 * proc is "/proc", or what a test has put in its place.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOGIN_NONE UINT32_MAX /* what the kernel says for "no session" */

struct login {
	uint32_t session;
	int64_t since_us; /* CLOCK_BOOTTIME; 0: no ancestor has a terminal */
};

struct login_mark {
	uint32_t session; /* the newest that any process had */
	int64_t at_us;
};

/* -ESRCH where the process is gone, -EBADMSG where /proc is not as known. */
int login_of(const char *proc, pid_t pid, struct login *ret);
/* -errno where proc cannot be listed. */
int login_mark_now(const char *proc, int64_t now_us, struct login_mark *ret);
#define LOGIN_BOOT_MAX 40
/* Names this boot of the kernel. */
int login_boot_id(char ret[LOGIN_BOOT_MAX]);
bool login_is_newer(const struct login *login, const struct login_mark *mark);
