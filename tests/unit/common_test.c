/* SPDX-License-Identifier: GPL-2.0-or-later */
/* common/: texts of addresses, keys, times, names, labels; durable files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/addr.h"
#include "common/base32.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"
#include "common/identity.h"
#include "common/key.h"
#include "common/log.h"

static void test_prefixes(void **state)
{
	static const struct {
		const char *text;
		const char *back; /* NULL: refused */
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"10.1.2.3", "10.1.2.3/32"},
		{"::/0", "::/0"},
		{"fd00::1", "fd00::1/128"},
		{"fd00:1:2::/48", "fd00:1:2::/48"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"10.0.0.1/8", NULL},
		{"10.0.0.0/33", NULL},
		{"fd00::/129", NULL},
		{"10.0.0.0/", NULL},
		{"10.0.0.0/08", NULL},
		{"10.0.0.0/-1", NULL},
		{"10.0.0/8", NULL},
		{"", NULL},
		{"10.0.0.0/8 ", NULL},
		{"fd00::1/64", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix prefix;
		char text[PREFIX_TEXT_MAX];
		int r = prefix_parse(cases[i].text, &prefix);

		if (!cases[i].back) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(prefix_format(&prefix, text), cases[i].back);
	}
}

static void test_prefix_containment(void **state)
{
	static const struct {
		const char *prefix, *addr;
		bool contains;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"0.0.0.0/0", "1.2.3.4", true},
		{"0.0.0.0/0", "::1", false},
		{"::/0", "1.2.3.4", false},
		{"fd00:1::/33", "fd00:1:7fff::1", true},
		{"fd00:1::/33", "fd00:1:8000::1", false},
		{"fd00::1/128", "fd00::1", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix prefix;
		struct addr addr;
		struct prefix host;

		assert_int_equal(prefix_parse(cases[i].prefix, &prefix), 0);
		assert_int_equal(addr_parse(cases[i].addr, &addr), 0);
		host = prefix_host(&addr);
		assert_int_equal(prefix_contains(&prefix, &addr), cases[i].contains);
		assert_int_equal(prefix_overlaps(&prefix, &host), cases[i].contains);
		assert_int_equal(prefix_overlaps(&host, &prefix), cases[i].contains);
	}
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{"192.0.2.1:51820", true},
		{"[2001:db8::1]:1", true},
		{"[2001:db8::1]:65535", true},
		{"192.0.2.1:0", false},
		{"192.0.2.1:65536", false},
		{"192.0.2.1", false},
		{"2001:db8::1:51820", false},
		{"[192.0.2.1]:1", false},
		{"[::1:1", false},
		{":1", false},
		{"host:1", false},
		{"192.0.2.1:+1", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct endpoint endpoint;
		struct endpoint back;
		struct sockaddr_storage storage;
		char text[ENDPOINT_TEXT_MAX];
		socklen_t length;

		assert_int_equal(endpoint_parse(cases[i].text, &endpoint),
				 cases[i].good ? 0 : -EINVAL);
		if (!cases[i].good)
			continue;
		assert_string_equal(endpoint_format(&endpoint, text), cases[i].text);
		length = endpoint_to_sockaddr(&endpoint, &storage);
		assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&storage, length, &back),
				 0);
		assert_true(endpoint_equal(&endpoint, &back));
	}
}

static void test_mapped_ipv4_is_ipv4(void **state)
{
	struct endpoint mapped;
	struct sockaddr_storage storage;
	socklen_t length;
	char text[ENDPOINT_TEXT_MAX];

	assert_int_equal(endpoint_parse("[::ffff:192.0.2.7]:5", &mapped), 0);
	length = endpoint_to_sockaddr(&mapped, &storage);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&storage, length, &mapped), 0);
	assert_string_equal(endpoint_format(&mapped, text), "192.0.2.7:5");
}

static void test_keys_have_one_text(void **state)
{
	struct key key;
	struct key public;
	char b64[KEY_B64_MAX];
	char hex[KEY_HEX_MAX];
	struct key back;

	key_generate_curve25519(&key);
	assert_int_equal(key_parse_b64(key_format_b64(&key, b64), &back), 0);
	assert_true(key_equal(&key, &back));
	assert_int_equal(key_parse_hex(key_format_hex(&key, hex), &back), 0);
	assert_true(key_equal(&key, &back));
	assert_int_equal(key_public_curve25519(&key, &public), 0);
	assert_false(key_equal(&key, &public));
	/* a pair made by wg(8) */
	assert_int_equal(
		key_parse_hex("77076d0a7318a57d3c16c17251b26645df4c2f92ebc0992ac177fba51db92c2a",
			      &key),
		0);
	assert_int_equal(key_public_curve25519(&key, &public), 0);
	assert_string_equal(key_format_hex(&public, hex),
			    "f8a9535a2d2ff605e8e144d54f4ef5c62313a2055dbb21fddd3fd9c299eb015d");
	assert_int_equal(
		key_parse_hex("77076d0a7318a57d3c16c17251b26645c6c2c2f1f1c2b8b2a1a2a3a4a5a6a7A8",
			      &back),
		-EINVAL); /* upper case */
	assert_int_equal(
		key_parse_hex("77076d0a7318a57d3c16c17251b26645df4c2f6ebc0992ac177fba51db92c2a",
			      &back),
		-EINVAL); /* odd length */
	/* trailing bits: 43 characters and "=", the last of which must be one of 16 */
	assert_int_equal(key_parse_b64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &back), 0);
	assert_true(key_is_zero(&back));
	assert_int_equal(key_parse_b64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=", &back),
			 -EINVAL);
	assert_int_equal(key_parse_b64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", &back),
			 -EINVAL);
	assert_int_equal(key_public_curve25519(&back, &public), 0); /* clamping makes it usable */
}

static void test_base32(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rfc4648[] = {{"", ""},
		       {"f", "my"},
		       {"fo", "mzxq"},
		       {"foo", "mzxw6"},
		       {"foob", "mzxw6yq"},
		       {"fooba", "mzxw6ytb"},
		       {"foobar", "mzxw6ytboi"}};
	static const char *const bad[] = {"m", "mz1", "MY", "mz", "my======", "mzx", "mzxw6y"};
	uint8_t bytes[16];
	size_t length;

	for (size_t i = 0; i < ARRAY_SIZE(rfc4648); i++) {
		char text[32];

		base32_encode((const uint8_t *)rfc4648[i].bytes, strlen(rfc4648[i].bytes), text);
		assert_string_equal(text, rfc4648[i].text);
		assert_int_equal(strlen(text), BASE32_LENGTH(strlen(rfc4648[i].bytes)));
		assert_int_equal(base32_decode(text, bytes, sizeof(bytes), &length), 0);
		assert_int_equal(length, strlen(rfc4648[i].bytes));
		assert_memory_equal(bytes, rfc4648[i].bytes, length);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(base32_decode(bad[i], bytes, sizeof(bytes), &length), -EINVAL);
	assert_int_equal(base32_decode("mzxw6ytboi", bytes, 5, &length), -ENOSPC);
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t at; /* -1: refused */
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-22", 1795305600},
		{"2027-06-30T23:59:59Z", 1814399999},
		{"2024-02-29", 1709164800},
		{"2023-02-29", -1},
		{"2026-13-01", -1},
		{"2026-11-22T24:00:00Z", -1},
		{"2026-11-22T12:00:00", -1},
		{"2026-11-22 12:00:00Z", -1},
		{"1969-12-31", -1},
		{"+026-11-22", -1},
		{"", -1},
	};
	static const struct {
		const char *text;
		int64_t seconds;
	} durations[] = {{"90s", 90}, {"15m", 900}, {"24h", 86400},	 {"30d", 2592000},
			 {"7", 7},    {"0", -1},    {"-1s", -1},	 {"1w", -1},
			 {"1hh", -1}, {"", -1},	    {"99999999999s", -1}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t at = -2;
		int r = time_parse(cases[i].text, &at);

		assert_int_equal(r, cases[i].at < 0 ? -EINVAL : 0);
		assert_int_equal(at, cases[i].at < 0 ? -2 : cases[i].at);
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		int64_t seconds = 0;
		int r = duration_parse(durations[i].text, &seconds);

		assert_int_equal(r, durations[i].seconds < 0 ? -EINVAL : 0);
		if (r == 0)
			assert_int_equal(seconds, durations[i].seconds);
	}
	char text[TIME_TEXT_MAX];
	assert_string_equal(time_format(1814399999, text), "2027-06-30T23:59:59Z");
	assert_string_equal(time_format(-1, text), "out of range");
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
		{"site-a/web", true},
		{"a/b", true},
		{"0/9", true},
		{"site-a", false},
		{"/web", false},
		{"site/", false},
		{"a/b/c", false},
		{"-a/b", false},
		{"a-/b", false},
		{"A/b", false},
		{"a/b\n", false},
		{"a/b c", false},
		{"a.b/c", false},
		{"../etc", false},
		{"a/b\"", false},
		{"a/0123456789012345678901234567890123456789012345678901234567890123", false},
		{"a/012345678901234567890123456789012345678901234567890123456789012", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(name_valid(cases[i].name), cases[i].valid);
}

static void test_labels(void **state)
{
	static const struct {
		const char *text;
		const char *back; /* NULL: refused */
	} cases[] = {
		{"role=web,env=prod", "env=prod,role=web"},
		{"", ""},
		{"a=B.c_d-9", "a=B.c_d-9"},
		{"app.example/tier=1", "app.example/tier=1"},
		{"role=web,role=db", NULL},
		{"role", NULL},
		{"role=", NULL},
		{"=web", NULL},
		{"sortie/hub=1", NULL},
		{"role=web,", NULL},
		{"Role=web", NULL},
		{"role=we b", NULL},
		{"role=web\n", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct labels labels;
		struct err err = {0};
		_cleanup_(freep) char *back = NULL;
		int r = labels_parse(cases[i].text, &labels, &err);

		if (!cases[i].back) {
			assert_true(r < 0);
			assert_true(err.text[0] != '\0');
			continue;
		}
		assert_int_equal(r, 0);
		back = labels_format(&labels);
		assert_string_equal(back, cases[i].back);
	}
}

static void test_errors_are_printable(void **state)
{
	struct err err;

	assert_int_equal(err_at(&err, 3, 7, "bad \"%s\"", "a\x1b[31m\n"), -EINVAL);
	assert_string_equal(err.text, "bad \"a?[31m?\"");
	assert_int_equal(err.line, 3);
	assert_int_equal(err.column, 7);
	assert_int_equal(err_set(NULL, "x"), -EINVAL);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/sortie-common-XXXXXX";
	char path[64];
	char link_path[64];
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int fd;
	int again;

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	(void)snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_int_equal(file_read(path, 100, &text, &length), -ENOENT);
	assert_int_equal(file_write(path, "one", 3, 0644), 0);
	assert_int_equal(file_write(path, "three", 5, 0644), 0);
	assert_int_equal(file_read(path, 100, &text, &length), 0);
	assert_int_equal(length, 5);
	assert_string_equal(text, "three");
	assert_int_equal(file_read(path, 4, &text, &length), -EFBIG);
	assert_int_equal(file_read_secret(path, 100, &text, &length), -EPERM);
	assert_int_equal(symlink(path, link_path), 0);
	assert_int_equal(file_read(link_path, 100, &text, &length), -ELOOP);
	assert_int_equal(file_read(folder, 100, &text, &length), -EINVAL);
	assert_int_equal(folder_make(folder, 0700), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(folder_make(folder, 0700), -EPERM);
	assert_int_equal(folder_make(path, 0700), -ENOTDIR);
	assert_int_equal(folder_lock(folder, &fd), 0);
	assert_int_equal(folder_lock(folder, &again), -EWOULDBLOCK);
	close(fd);
	assert_int_equal(folder_lock(folder, &again), 0);
	close(again);
	assert_int_equal(unlink(link_path) | unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	assert_int_equal(unlink(path) | rmdir(folder), 0);
}

/* What stands in a folder, as "a b c". */
static void names_in(const char *folder, char *ret, size_t size)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort);

	*ret = '\0';
	for (int i = 0; i < n; i++) {
		size_t length = strlen(ret);

		if (entries[i]->d_name[0] != '.')
			(void)snprintf(ret + length, size - length, "%s%s", length ? " " : "",
				       entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

/* In a child that dies in the middle of its write, as by kill -9. */
static void die_writing(const char *path)
{
	static char data[8192];
	const struct rlimit limit = {sizeof(data) / 2, sizeof(data) / 2}, none = {0};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)signal(SIGXFSZ, SIG_DFL);
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)setrlimit(RLIMIT_FSIZE, &limit);
		(void)file_write(path, data, sizeof(data) / 2, 0600);
		(void)file_write(path, data, sizeof(data), 0600);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

/* Beside a file of that name stand others', and nothing of ours, however it ends. */
static void test_files_beside(void **state)
{
	char folder[] = "/tmp/sortie-common-XXXXXX", path[64], other[64], names[256];
	_cleanup_(freep) char *text = NULL;
	size_t length;

	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/file", folder);
	(void)snprintf(other, sizeof(other), "%s/file.new", folder);
	assert_int_equal(file_write(other, "a stranger's", 12, 0600), 0);
	assert_int_equal(file_write(path, "one", 3, 0600), 0);
	assert_int_equal(file_read(other, 100, &text, &length), 0);
	assert_string_equal(text, "a stranger's");
	names_in(folder, names, sizeof(names));
	assert_string_equal(names, "file file.new");
	die_writing(path);
	names_in(folder, names, sizeof(names));
	assert_string_equal(names, "file file.new");
	/* a folder cannot be replaced */
	assert_int_equal(unlink(path) | mkdir(path, 0700), 0);
	assert_int_equal(file_write(path, "two", 3, 0600), -EISDIR);
	names_in(folder, names, sizeof(names));
	assert_string_equal(names, "file file.new");
	assert_int_equal(rmdir(path) | unlink(other) | rmdir(folder), 0);
	assert_int_equal(file_write(path, "two", 3, 0600), -ENOENT);
}

/* The mode that was asked for, whatever the umask: not wider, and not narrower, as names are for everybody. */
static void test_file_modes(void **state)
{
	static const mode_t modes[] = {0600, 0644, 0640}, masks[] = {0, 077};
	char path[] = "/tmp/sortie-mode-XXXXXX";
	struct stat st;
	int fd = mkstemp(path);
	mode_t before = umask(0);

	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		for (size_t j = 0; j < ARRAY_SIZE(masks); j++) {
			(void)umask(masks[j]);
			assert_int_equal(file_write(path, "x", 1, modes[i]), 0);
			assert_int_equal(stat(path, &st), 0);
			assert_int_equal(st.st_mode & 07777, modes[i]);
		}
	(void)umask(before);
	assert_int_equal(unlink(path), 0);
}

/* One message is one line and moves no cursor, whatever somebody else's text is in it. */
static void test_log_is_one_line(void **state)
{
	char path[] = "/tmp/sortie-log-XXXXXX", text[2048] = "";
	int fd = mkstemp(path), before = dup(STDERR_FILENO);

	assert_true(fd >= 0 && before >= 0);
	(void)unsetenv("JOURNAL_STREAM");
	log_init("test", LOG_LEVEL_INFO);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	log_warning("%s", "a\nforged: line\r\x1b[2J\tb\x7f");
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "test: a?forged: line??[2J?b?\n");
	close(fd);
	close(before);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_prefix_containment),
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_mapped_ipv4_is_ipv4),
		cmocka_unit_test(test_keys_have_one_text),
		cmocka_unit_test(test_base32),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_errors_are_printable),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_files_beside),
		cmocka_unit_test(test_file_modes),
		cmocka_unit_test(test_log_is_one_line),
	};
	return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}
