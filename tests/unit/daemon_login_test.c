/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may confirm a lock: audit sessions, terminals, and what /proc may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/cleanup.h"
#include "common/file.h"
#include "daemon/login.h"

static char proc[64];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static int bed_new(void **data)
{
	(void)snprintf(proc, sizeof(proc), "/tmp/sortie-proc.XXXXXX");
	return mkdtemp(proc) ? 0 : -1;
}

static int bed_free(void **data)
{
	return nftw(proc, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(int pid, const char *name, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%d", proc, pid);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%d/%s", proc, pid, name);
	assert_int_equal(file_write(path, text, strlen(text), 0644), 0);
}

/* start in seconds, name as it stands between the parentheses */
static void process(int pid, int parent, int terminal, int start_s, const char *name,
		    const char *session)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "%d (%s) S %d %d %d %d -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 %ld 0 0\n", pid,
		       name, parent, pid, pid, terminal, start_s * sysconf(_SC_CLK_TCK));
	put(pid, "stat", text);
	put(pid, "sessionid", session);
}

#define NONE "4294967295"

static struct login of(int pid)
{
	struct login login = {0};

	assert_int_equal(login_of(proc, pid, &login), 0);
	return login;
}

static void test_sessions(void **data)
{
	struct login_mark mark = {0};
	struct login login;

	process(1, 0, 0, 0, "init", NONE);
	process(50, 1, 0, 1, "sshd", NONE);
	process(100, 50, 34816, 100, "bash", "7"); /* the login that locks */
	process(110, 50, 34817, 120, "bash", "9"); /* another one, also before */
	assert_int_equal(login_mark_now(proc, 200000000, &mark), 0);
	assert_int_equal(mark.session, 9);
	/* sudo makes a new terminal and a new session of processes, tmux too: still the old login */
	process(120, 100, 34818, 210, "sudo", "7");
	login = of(120);
	assert_false(login_is_newer(&login, &mark));
	login = of(110);
	assert_false(login_is_newer(&login, &mark));
	process(130, 50, 34819, 220, "bash", "10");
	login = of(130);
	assert_true(login_is_newer(&login, &mark));
	/* a service, however new, where people have sessions */
	process(140, 1, 34820, 230, "agetty", NONE);
	login = of(140);
	assert_false(login_is_newer(&login, &mark));
}

static void test_terminals(void **data)
{
	struct login_mark mark = {0};
	struct login login;

	process(1, 0, 0, 0, "init", NONE);
	process(50, 1, 0, 1, "sshd", NONE);
	process(100, 50, 34816, 100, "bash", NONE);
	assert_int_equal(login_mark_now(proc, 200000000, &mark), 0);
	assert_int_equal(mark.session, LOGIN_NONE);
	process(120, 100, 34818, 210, "sudo", NONE); /* a terminal of its own, in an old one */
	login = of(120);
	assert_int_equal(login.since_us, 100000000);
	assert_false(login_is_newer(&login, &mark));
	process(130, 50, 34819, 220, "a) S 1 (b", NONE);
	login = of(130);
	assert_int_equal(login.since_us, 220000000);
	assert_true(login_is_newer(&login, &mark));
	process(140, 1, 0, 230, "cron", NONE); /* no terminal, nobody */
	login = of(140);
	assert_int_equal(login.since_us, 0);
	assert_false(login_is_newer(&login, &mark));
	process(150, 50, 0, 240, "bash", "3"); /* the first login that has a session */
	login = of(150);
	assert_true(login_is_newer(&login, &mark));
}

static void test_damage(void **data)
{
	static const char *const stats[] = {"", "7", "7 (x S 1 2 3 4", "7 (x) S 1 2", "7 (x) S y"};
	struct login login = {.session = 77};
	struct login_mark mark;

	assert_int_equal(login_of(proc, 7, &login), -ESRCH);
	put(7, "sessionid", "5");
	assert_int_equal(login_of(proc, 7, &login), -ESRCH);
	for (size_t i = 0; i < ARRAY_SIZE(stats); i++) {
		put(7, "stat", stats[i]);
		assert_int_equal(login_of(proc, 7, &login), -EBADMSG);
	}
	put(7, "sessionid", "x");
	assert_int_equal(login_of(proc, 7, &login), -EBADMSG);
	assert_int_equal(login.session, 77);
	/* parents that name each other */
	process(8, 9, 1, 5, "a", NONE);
	process(9, 8, 1, 6, "b", NONE);
	assert_int_equal(login_of(proc, 8, &login), 0);
	assert_int_equal(login.since_us, 5000000);
	assert_int_equal(login_mark_now("/nowhere", 1, &mark), -ENOENT);
}

static void test_this_process(void **data)
{
	struct login login;
	struct login_mark mark;

	assert_int_equal(login_of("/proc", getpid(), &login), 0);
	assert_int_equal(login_mark_now("/proc", INT64_MAX, &mark), 0);
	assert_false(login_is_newer(&login, &mark));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sessions, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_terminals, bed_new, bed_free),
		cmocka_unit_test_setup_teardown(test_damage, bed_new, bed_free),
		cmocka_unit_test(test_this_process),
	};
	return cmocka_run_group_tests_name("daemon_login", tests, NULL, NULL);
}
