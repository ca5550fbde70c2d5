/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The architecture holds: a folder includes only what the Makefile's "program = folders" lines put to its right, and each
 * library is known to one folder. Reads the sources; run from the root of the tree.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "common/cleanup.h"

static const struct {
	const char *folder;
	const char *allowed; /* folders whose headers it may include, itself aside */
} layers[] = {
	{"common", ""},
	{"policy", "common"},
	{"trust", "policy common"},
	{"api", "trust policy common"},
	{"netlink", "common"},
	{"firewall", "netlink policy common"},
	{"relay", "common"},
	{"daemon", "firewall netlink api policy trust common"},
	{"control-plane", "relay netlink firewall api policy trust common"},
	{"cli", "api policy trust common"},
};

static const struct {
	const char *header; /* prefix of a system include */
	const char *folders;
} libraries[] = {
	{"libmnl/", "netlink firewall"},
	{"netlink/netlink", "netlink"},
	{"netlink/route/", "netlink"},
	{"libnftnl/", "firewall"},
	{"libnetfilter_conntrack/", "netlink"},
	{"bpf/", "relay"},
	{"yaml.h", "policy"},
	{"sqlite3.h", "control-plane"},
	{"microhttpd.h", "api"},
	{"curl/", "api"},
};

static bool listed(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}

static void check_project_include(const char *folder, const char *allowed, const char *path,
				  const char *included)
{
	char target[64];
	const char *slash = strchr(included, '/');

	if (!slash || (size_t)(slash - included) >= sizeof(target))
		fail_msg("%s: include \"%s\" is not written from the root", path, included);
	(void)snprintf(target, sizeof(target), "%.*s", (int)(slash - included), included);
	if (strcmp(target, folder) != 0 && !listed(allowed, target))
		fail_msg("%s: %s/ may not include \"%s\"", path, folder, included);
}

static void check_system_include(const char *folder, const char *path, const char *included)
{
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++)
		if (strncmp(included, libraries[i].header, strlen(libraries[i].header)) == 0 &&
		    !listed(libraries[i].folders, folder))
			fail_msg("%s: <%s> belongs to %s", path, included, libraries[i].folders);
}

static size_t check_file(const char *folder, const char *allowed, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[512];
	char included[256];
	size_t found = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "#include \"%255[^\"]\"", included) == 1) {
			check_project_include(folder, allowed, path, included);
			found++;
		} else if (sscanf(line, "#include <%255[^>]>", included) == 1) {
			check_system_include(folder, path, included);
			found++;
		}
	}
	(void)fclose(file);
	return found;
}

static void test_includes_point_down(void **state)
{
	size_t found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		DIR *dir = opendir(layers[i].folder);
		struct dirent *entry;

		assert_non_null(dir);
		while ((entry = readdir(dir))) {
			char path[512];
			const char *dot = strrchr(entry->d_name, '.');

			if (!dot || (strcmp(dot, ".c") != 0 && strcmp(dot, ".h") != 0))
				continue;
			(void)snprintf(path, sizeof(path), "%s/%s", layers[i].folder,
				       entry->d_name);
			found += check_file(layers[i].folder, layers[i].allowed, path);
		}
		(void)closedir(dir);
	}
	assert_true(found > 100); /* the reader reads */
}

static void test_list_matches_whole_words(void **state)
{
	assert_true(listed("a bc d", "bc"));
	assert_true(listed("a bc d", "a"));
	assert_true(listed("a bc d", "d"));
	assert_false(listed("a bc d", "b"));
	assert_false(listed("a bc d", "c"));
	assert_false(listed("", "c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_includes_point_down),
		cmocka_unit_test(test_list_matches_whole_words),
	};
	return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
