/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Others' rules as nf_tables tells of them, and packets of ours sent through what was read. */
#include <netinet/in.h>
#include <linux/rtnetlink.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/foreign.h"
#include "netlink/answer.h"
#include "tests/fuzz/fuzz.h"

static void ask(const struct ruleset *ruleset, enum fw_role role)
{
	_cleanup_(freep) struct foreign_finding *findings = NULL;
	const struct fw_peer peer = {
		.ipv4 = {AF_INET, {10, 77, 0, 11}},
		.ipv6 = {AF_INET6, {0xfd, 1, [15] = 11}},
	};
	const struct fw_tuple tuples[] = {
		{.inbound = true, .protocol = IPPROTO_TCP, .port_low = 22},
		{.protocol = IPPROTO_ICMP},
	};
	const struct endpoint hub = {{AF_INET, {192, 0, 2, 1}}, 51820};
	const struct fw_desired desired = {.role = role,
					   .ifname = "sortie0",
					   .containers = true,
					   .hub4 = {AF_INET, {10, 77, 0, 1}},
					   .listen_port = 40404,
					   .api_port = 4280,
					   .hubs = &hub,
					   .n_hubs = 1,
					   .peers = &peer,
					   .n_peers = 1,
					   .tuples = tuples,
					   .n_tuples = ARRAY_SIZE(tuples)};
	const struct foreign_question question = {.desired = &desired,
						  .ipv4 = {AF_INET, {10, 77, 0, 10}},
						  .ipv6 = {AF_INET6, {0xfd, 1, [15] = 10}},
						  .containers = {"docker0"},
						  .n_containers = 1};
	char text[FOREIGN_SENTENCE_MAX];
	size_t n = 0;

	if (foreign_check(ruleset, &question, &findings, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		const char *at = foreign_sentence(&findings[i], text);

		/* what is shown is printable, and a line says nothing more to a shell than words */
		for (; *at; at++)
			if (*at < ' ' || *at > '~')
				abort();
		if (strpbrk(findings[i].allow, ";&|$`\"'\\<>*?(){}"))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
	_cleanup_(freep) uint8_t *copy = malloc(size + 1); /* libmnl reads words */
	const struct nlmsghdr *message;
	const uint8_t *at = copy;
	size_t length = size;
	int r = 0;

	if (!ruleset || !copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	while ((message = message_next(&at, &length, &r)) && r == 0)
		r = ruleset_feed(ruleset, message);
	if (ruleset_link(ruleset) == 0) {
		ask(ruleset, FW_ROLE_WORKLOAD);
		ask(ruleset, FW_ROLE_HUB);
	}
	return 0;
}
