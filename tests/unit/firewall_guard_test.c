/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that the agent leaves for sortie-guard: there and back, and what is not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "firewall/guard.h"

static const char whole[] = "sortie guard 1\n"
			    "interface sortie0\n"
			    "mode enforce\n"
			    "locked 1\n"
			    "egress-locked 1\n"
			    "containers 0\n"
			    "api-port 4280\n"
			    "enroll-port 4281\n"
			    "api-uid 65534\n"
			    "overlay fd12:3456:789a::/48\n"
			    "overlay 10.77.0.0/16\n"
			    "hub-address fd12:3456:789a::1/128\n"
			    "hub-address 10.77.0.1/32\n"
			    "hub 192.0.2.1:51820\n"
			    "hub [2001:db8::1]:443\n"
			    "underlay 192.0.2.0/24 6 22 22\n"
			    "egress 2001:db8::53/128 17 53 53\n"
			    "egress 192.0.2.53/32 1 0 0\n"
			    "container-interface lxc0\n"
			    "container-interface br-0123456789ab\n"
			    "uplink br0\n";

static struct guard parse(const char *text)
{
	struct guard guard = {0};
	struct err err = {0};

	if (guard_parse(text, &guard, &err) < 0)
		fail_msg("%s", err.text);
	return guard;
}

static void test_there_and_back(void **state)
{
	struct guard guard = parse(whole);
	char *text = NULL;

	assert_string_equal(guard.desired.ifname, "sortie0");
	assert_int_equal(guard.desired.mode, FW_MODE_ENFORCE);
	assert_true(guard.desired.underlay_locked && guard.desired.egress_locked);
	assert_int_equal(guard.desired.n_hubs, 2);
	assert_int_equal(guard.desired.hubs[1].port, 443);
	assert_int_equal(guard.desired.n_underlay, 1);
	assert_int_equal(guard.desired.underlay[0].protocol, IPPROTO_TCP);
	assert_int_equal(guard.desired.n_egress, 2);
	assert_int_equal(guard.desired.egress[0].port_high, 53);
	assert_int_equal(guard.desired.n_container_ifnames, 2);
	assert_string_equal(guard.desired.container_ifnames[1], "br-0123456789ab");
	assert_int_equal(guard.desired.n_uplink_ifnames, 1);
	assert_string_equal(guard.desired.uplink_ifnames[0], "br0");
	/* nobody is admitted, and WireGuard's port will be another one */
	assert_int_equal(guard.desired.n_peers + guard.desired.n_tuples, 0);
	assert_int_equal(guard.desired.listen_port, 0);
	assert_int_equal(guard_format(&guard.desired, true, &text), 0);
	assert_string_equal(text, whole);
	free(text);
	/* a lock that waits for its confirmation is not for the next boot */
	assert_int_equal(guard_format(&guard.desired, false, &text), 0);
	assert_non_null(strstr(text, "\nlocked 0\n"));
	free(text);
	guard_done(&guard);
}

/* whole, with one line in place of another */
static char *replaced(const char *line, const char *other)
{
	const char *at = strstr(whole, line);
	char *text = NULL;

	assert_non_null(at);
	if (asprintf(&text, "%.*s%s%s", (int)(at - whole), whole, other, at + strlen(line)) < 0)
		fail();
	return text;
}

static void test_damage(void **state)
{
	static const struct {
		const char *line, *other, *words;
	} cases[] = {
		{"sortie guard 1\n", "sortie guard 2\n", "line 1"},
		{"interface sortie0\n", "", "\"interface\" is missing"},
		{"interface sortie0\n", "interface a/b\n", "line 2"},
		{"interface sortie0\n", "interface 1234567890123456\n", "line 2"},
		{"mode enforce\n", "mode open\n", "line 3"},
		{"locked 1\n", "locked 2\n", "line 4"},
		{"locked 1\n", "locked\n", "line 4"},
		{"locked 1\n", "locked -1\n", "line 4"},
		{"api-port 4280\n", "api-port 65536\n", "line 7"},
		{"api-uid 65534\n", "api-uid 4294967296\n", "line 9"},
		{"overlay fd12:3456:789a::/48\n", "overlay fd12::1/48\n", "line 10"},
		{"hub-address 10.77.0.1/32\n", "hub-address 10.77.0.0/16\n", "line 13"},
		{"hub 192.0.2.1:51820\n", "hub example.org:51820\n", "line 14"},
		{"underlay 192.0.2.0/24 6 22 22\n", "underlay 192.0.2.0/24 6 22\n", "line 16"},
		{"underlay 192.0.2.0/24 6 22 22\n", "underlay 192.0.2.0/24 6 22 21\n", "line 16"},
		{"underlay 192.0.2.0/24 6 22 22\n", "underlay 192.0.2.0/24 6 22 22 \n", "line 16"},
		{"underlay 192.0.2.0/24 6 22 22\n", "underlay 192.0.2.0/24 600 22 22\n", "line 16"},
		{"underlay 192.0.2.0/24 6 22 22\n", "open 192.0.2.0/24 6 22 22\n", "line 16"},
		{"egress 192.0.2.53/32 1 0 0\n", "\n", "line 18"},
		{"container-interface lxc0\n", "container-interface l/c0\n", "line 19"},
		{"uplink br0\n", "uplink \n", "line 21"},
		{"uplink br0\n", "uplink 1234567890123456\n", "line 21"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text = replaced(cases[i].line, cases[i].other);
		struct guard guard;
		struct err err = {0};

		if (guard_parse(text, &guard, &err) != -EINVAL || !strstr(err.text, cases[i].words))
			fail_msg("case %zu: %s", i, err.text);
		free(text);
	}
}

static void test_limit(void **state)
{
	char text[sizeof(whole) + FIREWALL_IFNAMES_MAX * 16];
	size_t length = sizeof(whole) - 1;
	struct guard guard;
	struct err err = {0};

	memcpy(text, whole, sizeof(whole));
	for (int i = 1; i < FIREWALL_IFNAMES_MAX; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "uplink v%d\n", i);
	guard = parse(text);
	assert_int_equal(guard.desired.n_uplink_ifnames, FIREWALL_IFNAMES_MAX);
	guard_done(&guard);
	(void)snprintf(text + length, sizeof(text) - length, "uplink more\n");
	assert_int_equal(guard_parse(text, &guard, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests_name("firewall_guard", tests, NULL, NULL);
}
