/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/sessionid and /proc/PID/stat. A process may end while we look: that is -ESRCH, or no vote in the mark. */
#include "daemon/login.h"
#include "common/cleanup.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES    4096
#define BOOT_ID	      "/proc/sys/kernel/random/boot_id"
#define ANCESTORS_MAX 256

struct process {
	pid_t parent;
	int terminal; /* 0: none */
	int64_t since_us;
};

/* What lies in /proc has no size before it is read. */
static int read_text(const char *path, char *ret, size_t size)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

static int read_file(const char *proc, pid_t pid, const char *name, char ret[FILE_BYTES])
{
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%d/%s", proc, (int)pid, name);
	r = read_text(path, ret, FILE_BYTES);
	return r == -ENOENT ? -ESRCH : r;
}

int login_boot_id(char ret[LOGIN_BOOT_MAX])
{
	int r = read_text(BOOT_ID, ret, LOGIN_BOOT_MAX);

	ret[r < 0 ? 0 : strcspn(ret, "\n")] = '\0';
	return r;
}

static int read_session(const char *proc, pid_t pid, uint32_t *ret)
{
	char text[FILE_BYTES];
	int r = read_file(proc, pid, "sessionid", text);

	if (r < 0)
		return r;
	return sscanf(text, "%" SCNu32, ret) == 1 ? 0 : -EBADMSG;
}

/* "PID (NAME) STATE PARENT GROUP SESSION TERMINAL ..."; the 22nd is the start. A name may hold anything, ") " too. */
static int read_process(const char *proc, pid_t pid, struct process *ret)
{
	char text[FILE_BYTES];
	unsigned long long start;
	int parent, terminal, r = read_file(proc, pid, "stat", text);
	const char *rest;

	if (r < 0)
		return r;
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest,
			    ") %*c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			    "%*d %*d %llu",
			    &parent, &terminal, &start) != 3)
		return -EBADMSG;
	ret->parent = parent;
	ret->terminal = terminal;
	ret->since_us = (int64_t)(start * (1000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK)));
	return 0;
}

/* An ancestor may end, and leave its children to another one: that is the end of the list. */
static int read_ancestors(const char *proc, pid_t pid, int64_t *ret)
{
	struct process process;
	int64_t since_us = 0;
	int r = read_process(proc, pid, &process);

	if (r < 0)
		return r;
	for (int i = 0; r == 0 && i < ANCESTORS_MAX; i++) {
		if (process.terminal && (!since_us || process.since_us < since_us))
			since_us = process.since_us;
		r = process.parent > 1 ? read_process(proc, process.parent, &process) : -ESRCH;
	}
	if (r < 0 && r != -ESRCH)
		return r;
	*ret = since_us;
	return 0;
}

int login_of(const char *proc, pid_t pid, struct login *ret)
{
	struct login login = {0};
	int r = read_session(proc, pid, &login.session);

	if (r == 0)
		r = read_ancestors(proc, pid, &login.since_us);
	if (r == 0)
		*ret = login;
	return r;
}

int login_mark_now(const char *proc, int64_t now_us, struct login_mark *ret)
{
	struct login_mark mark = {LOGIN_NONE, now_us};
	DIR *dir = opendir(proc);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		uint32_t session;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    read_session(proc, (pid_t)strtol(entry->d_name, NULL, 10), &session) < 0 ||
		    session == LOGIN_NONE)
			continue;
		if (mark.session == LOGIN_NONE || session > mark.session)
			mark.session = session;
	}
	(void)closedir(dir);
	*ret = mark;
	return 0;
}

bool login_is_newer(const struct login *login, const struct login_mark *mark)
{
	if (login->session != LOGIN_NONE)
		return mark->session == LOGIN_NONE || login->session > mark->session;
	return mark->session == LOGIN_NONE && login->since_us > mark->at_us;
}
