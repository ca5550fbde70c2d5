/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which bridges lead out: a table of hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/uplink.h"

#define LINKS 8
#define WAYS  3

/* Links are "name=kind@master", numbered from 1 in their order. */
static const struct {
	const char *host, *links;
	unsigned int ways[WAYS];
	const char *known, *found;
} cases[] = {
	{"no bridge", "lo= eth0=", {2}, "", ""},
	{"Docker", "lo= eth0= docker0=bridge veth1=veth@3", {2}, "", ""},
	{"virtual machines", "br1=bridge br1-nic=dummy@1 vnet0=tun@1 eth0=", {4}, "", ""},
	{"the default route", "br0=bridge docker0=bridge veth1=veth@2", {1}, "", "br0"},
	{"a NIC, no route yet", "br0=bridge eth0=@1 docker0=bridge", {0}, "", "br0"},
	{"VLAN", "br0=bridge eth0= eth0.7=vlan@1", {2}, "", "br0"},
	{"bond", "br0=bridge eth0= bond0=bond@1", {2}, "", "br0"},
	{"a NIC beside a container", "br0=bridge veth1=veth@1 eth0=@1", {0}, "", "br0"},
	{"inside of a container", "eth0=veth br0=bridge", {1}, "", ""},
	{"several ways", "br1=bridge br0=bridge br2=bridge", {1, 2, 1}, "", "br0 br1"},
	{"the way is no bridge", "wg0=wireguard br0=bridge", {1}, "", ""},
	{"no way, known", "br0=bridge docker0=bridge", {0}, "br0", "br0"},
	{"no way, known, gone", "docker0=bridge", {0}, "br0", ""},
	{"no way, known, no bridge any more", "br0= docker0=bridge", {0}, "br0", ""},
	{"another way", "br0=bridge eth0=", {2}, "br0", ""},
};

static size_t read_links(const char *text, struct link_info links[LINKS])
{
	_cleanup_(freep) char *copy = strdup(text);
	char *rest = copy, *word;
	size_t n = 0;

	while ((word = strsep(&rest, " "))) {
		struct link_info *link = &links[n++];

		link->index = (unsigned int)n;
		assert_true(sscanf(word, "%15[^=]=%15[a-z]@%u", link->name, link->kind,
				   &link->master) >= 1);
		if (!link->kind[0])
			(void)sscanf(word, "%*[^=]=@%u", &link->master);
	}
	return n;
}

static void know(struct uplinks *uplinks, const char *name)
{
	(void)snprintf(uplinks->names[0], IFNAMSIZ, "%s", name);
	uplinks->n = *name != '\0';
}

static void test_hosts(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct link_info links[LINKS] = {0};
		struct uplinks uplinks = {0};
		size_t n_links = read_links(cases[i].links, links), n_ways = 0, length = 0;
		char text[64] = "";

		while (n_ways < WAYS && cases[i].ways[n_ways])
			n_ways++;
		know(&uplinks, cases[i].known);
		uplink_choose(links, n_links, cases[i].ways, n_ways, &uplinks);
		for (size_t u = 0; u < uplinks.n; u++)
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
						   u ? " " : "", uplinks.names[u]);
		if (strcmp(text, cases[i].found) != 0)
			fail_msg("%s: \"%s\"", cases[i].host, text);
		assert_false(uplinks.too_many);
	}
}

static void test_too_many(void **state)
{
	static struct link_info links[FIREWALL_IFNAMES_MAX + 1];
	unsigned int ways[FIREWALL_IFNAMES_MAX + 1];
	struct uplinks uplinks = {0};

	for (unsigned int i = 0; i <= FIREWALL_IFNAMES_MAX; i++) {
		links[i] = (struct link_info){.kind = "bridge", .index = i + 1};
		(void)snprintf(links[i].name, IFNAMSIZ, "br%u", i);
		ways[i] = i + 1;
	}
	uplink_choose(links, FIREWALL_IFNAMES_MAX, ways, FIREWALL_IFNAMES_MAX, &uplinks);
	assert_int_equal(uplinks.n, FIREWALL_IFNAMES_MAX);
	assert_false(uplinks.too_many);
	uplink_choose(links, ARRAY_SIZE(links), ways, ARRAY_SIZE(ways), &uplinks);
	assert_int_equal(uplinks.n, FIREWALL_IFNAMES_MAX);
	assert_true(uplinks.too_many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests_name("daemon_uplink", tests, NULL, NULL);
}
