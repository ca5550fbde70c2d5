/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The marked block in somebody else's file: every byte around it stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "common/cleanup.h"
#include "common/file.h"
#include "daemon/hosts_block.h"

#define B "# begin sortied: written by the agent, what is changed here is lost\n"
#define E "# end sortied\n"

static void test_merge(void **state)
{
	static const struct {
		const char *file, *names, *result;
	} cases[] = {
		{"", "fd00::1 a\n", B "fd00::1 a\n" E},
		{"127.0.0.1 localhost\n", "fd00::1 a\n", "127.0.0.1 localhost\n" B "fd00::1 a\n" E},
		{"127.0.0.1 localhost", "fd00::1 a\n", "127.0.0.1 localhost\n" B "fd00::1 a\n" E},
		{"x\n" B "fd00::1 a\n" E "y\n", "fd00::2 b\n", "x\n" B "fd00::2 b\n" E "y\n"},
		{"x\n" B E "y", "fd00::2 b\n", "x\n" B "fd00::2 b\n" E "y"},
		{"x\n" B "fd00::1 a\n# end sortied", "fd00::2 b\n", "x\n" B "fd00::2 b\n" E},
		{"x\n", "# a comment\nfd00::1 a\n# another", "x\n" B "fd00::1 a\n" E},
		{"x\n", "", "x\n" B E},
		/* taken out */
		{"x\n" B "fd00::1 a\n" E "y\n", NULL, "x\ny\n"},
		{"x\n", NULL, "x\n"},
		{"x", NULL, "x"},
		{B E, NULL, ""},
		/* what only looks like a mark is text */
		{"# end sortied too\n # end sortied\n", NULL,
		 "# end sortied too\n # end sortied\n"},
		{"\n\n# begin sortied\n", "n\n", "\n\n# begin sortied\n" B "n\n" E},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *text = NULL, *again = NULL;
		struct err err;
		assert_int_equal(hosts_block_merge(cases[i].file, cases[i].names, &text, &err), 0);
		assert_string_equal(text, cases[i].result);
		assert_int_equal(hosts_block_merge(text, cases[i].names, &again, &err), 0);
		assert_string_equal(again, text);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *file;
		unsigned int line;
	} cases[] = {
		{"x\n" B "y\n", 4}, {"x\n" E, 2},	{E B, 1},
		{B B E, 2},	    {B E "x\n" B E, 4}, {B E E, 3},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = NULL;
		struct err err = {0};
		assert_int_equal(hosts_block_merge(cases[i].file, "n\n", &text, &err), -EINVAL);
		assert_null(text);
		assert_int_equal(err.line, cases[i].line);
		assert_int_equal(hosts_block_merge(cases[i].file, NULL, &text, &err), -EINVAL);
	}
}

static char folder[] = "/tmp/hosts_block.XXXXXX";

static void in_folder(const char *name, char path[64])
{
	snprintf(path, 64, "%s/%s", folder, name);
}

static void test_file(void **state)
{
	char path[64], link[64];
	_cleanup_(freep) char *text = NULL;
	size_t length;
	struct stat st;
	struct err err = {0};
	in_folder("hosts", path);
	in_folder("link", link);
	assert_int_equal(hosts_block_write(path, "a\n", &err), -ENOENT);
	assert_int_equal(hosts_block_write(path, NULL, &err), 0);
	assert_int_equal(file_write(path, "x\n", 2, 0644), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(hosts_block_write(path, "a\n", &err), 0);
	assert_int_equal(file_read(path, 4096, &text, &length), 0);
	assert_string_equal(text, "x\n" B "a\n" E);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* unchanged: not even written */
	ino_t before = st.st_ino;
	assert_int_equal(hosts_block_write(path, "a\n", &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_ino, before);
	/* neither is the group, where it can be kept */
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 0, 4), 0);
		assert_int_equal(hosts_block_write(path, "c\n", &err), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_gid, 4);
		assert_int_equal(st.st_mode & 07777, 0640);
		assert_int_equal(chown(path, 1, 0), 0);
		assert_int_equal(hosts_block_write(path, "d\n", &err), -EPERM);
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(hosts_block_write(link, "b\n", &err), -ELOOP);
	assert_non_null(strstr(err.text, "symbolic link"));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(path), 0);
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_refused),
		cmocka_unit_test_setup_teardown(test_file, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
