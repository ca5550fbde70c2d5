/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Others' rules, as the kernel told of them (tests/fuzz/corpus/ruleset, stored by tests/tools/ruleset_save.py): what of ours
 * they drop, and the line that would allow it. Then the walk by itself, expression by expression.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include "common/cleanup.h"
#include "common/file.h"
#include "firewall/foreign.h"
#include "firewall/walk.h"
#include "netlink/answer.h"

#define CORPUS	  "tests/fuzz/corpus/ruleset/"
#define BYTES_MAX (1 << 20)

/* ---- stored rulesets ---- */

static int feed(struct ruleset *ruleset, const char *bytes, size_t length)
{
	const uint8_t *at = (const uint8_t *)bytes;
	const struct nlmsghdr *message;
	int r = 0;

	while ((message = message_next(&at, &length, &r)) && r == 0)
		r = ruleset_feed(ruleset, message);
	return r < 0 ? r : ruleset_link(ruleset);
}

static struct ruleset *load(const char *name)
{
	struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
	_cleanup_(freep) char *bytes = NULL;
	char path[128];
	size_t length;

	(void)snprintf(path, sizeof(path), CORPUS "%s", name);
	assert_non_null(ruleset);
	assert_int_equal(file_read(path, BYTES_MAX, &bytes, &length), 0);
	assert_int_equal(feed(ruleset, bytes, length), 0);
	return ruleset;
}

struct world {
	struct fw_desired desired;
	struct fw_peer peer;
	struct fw_tuple tuples[4];
	struct endpoint hub;
	struct foreign_question question;
};

static struct addr address(const char *text)
{
	struct addr ret;

	assert_int_equal(addr_parse(text, &ret), 0);
	return ret;
}

static void prepare(struct world *world, const char *overlay4)
{
	char text[64];

	*world = (struct world){
		.desired = {.ifname = "sortie0",
			    .containers = true,
			    .api_port = 4280,
			    .listen_port = 40404,
			    .hub6 = address("fd12:3456:789a::1")},
		.tuples = {{.inbound = true, .protocol = IPPROTO_TCP, .port_low = 5432},
			   {.inbound = true, .protocol = IPPROTO_TCP, .port_low = 22},
			   {.protocol = IPPROTO_UDP, .port_low = 7000},
			   {.protocol = IPPROTO_ICMP}},
	};
	assert_int_equal(endpoint_parse("192.0.2.1:51820", &world->hub), 0);
	(void)snprintf(text, sizeof(text), "%s.0.0/16", overlay4);
	assert_int_equal(prefix_parse(text, &world->desired.overlay4), 0);
	assert_int_equal(prefix_parse("fd12:3456:789a::/48", &world->desired.overlay6), 0);
	(void)snprintf(text, sizeof(text), "%s.0.1", overlay4);
	world->desired.hub4 = address(text);
	(void)snprintf(text, sizeof(text), "%s.0.11", overlay4);
	world->peer =
		(struct fw_peer){.ipv4 = address(text), .ipv6 = address("fd12:3456:789a:11::b")};
	(void)snprintf(text, sizeof(text), "%s.0.10", overlay4);
	world->desired.hubs = &world->hub;
	world->desired.n_hubs = 1;
	world->desired.peers = &world->peer;
	world->desired.n_peers = 1;
	world->desired.tuples = world->tuples;
	world->desired.n_tuples = ARRAY_SIZE(world->tuples);
	world->question = (struct foreign_question){.desired = &world->desired,
						    .ipv4 = address(text),
						    .ipv6 = address("fd12:3456:789a:10::a"),
						    .ifindex = 7,
						    .containers = {"docker0"},
						    .n_containers = 1};
}

static const struct {
	const char *stored, *overlay4;
	enum fw_role role;
	const char *bridge; /* NULL: docker0 */
	const char *findings[6];
} cases[] = {
	{"ufw",
	 "10.77",
	 FW_ROLE_WORKLOAD,
	 NULL,
	 {"ufw (ip filter INPUT) drops tcp/5432 from the overlay, which policy allows; to allow it: ufw allow in on sortie0",
	  "ufw (ip filter FORWARD) drops what containers of docker0 send to the overlay; to allow it: ufw route allow out on sortie0",
	  "ufw (ip filter FORWARD) drops what the overlay sends to containers of docker0; to allow it: ufw route allow in on sortie0"}},
	{"ufw",
	 "10.77",
	 FW_ROLE_HUB,
	 NULL,
	 {"ufw (ip filter INPUT) drops what sites send to UDP port 40404; to allow it: ufw allow 40404/udp",
	  "ufw (ip filter INPUT) drops agents' calls to TCP port 4280 on sortie0; to allow it: ufw allow in on sortie0"}},
	{"ufw-allowed",
	 "10.77",
	 FW_ROLE_HUB,
	 NULL,
	 {"ufw (ip filter INPUT) drops what sites send to UDP port 40404; to allow it: ufw allow 40404/udp"}},
	{"firewalld",
	 "10.77",
	 FW_ROLE_WORKLOAD,
	 NULL,
	 {"firewalld (inet firewalld filter_INPUT) drops tcp/5432 from the overlay, which policy allows; to allow it: firewall-cmd --zone=trusted --add-interface=sortie0",
	  "firewalld (inet firewalld filter_FORWARD) drops what containers of docker0 send to the overlay; to allow it: firewall-cmd --zone=trusted --add-interface=docker0"}},
	{"firewalld-trusted",
	 "10.77",
	 FW_ROLE_HUB,
	 NULL,
	 {"firewalld (inet firewalld filter_INPUT) drops what sites send to UDP port 40404; to allow it: firewall-cmd --add-port=40404/udp"}},
	{"docker", "10.77", FW_ROLE_WORKLOAD, NULL, {NULL}},
	{"docker",
	 "10.77",
	 FW_ROLE_WORKLOAD,
	 "br-lan",
	 {"Docker (ip filter FORWARD) drops what containers of br-lan send to the overlay; to allow it: iptables -I DOCKER-USER -o sortie0 -j ACCEPT",
	  "Docker (ip filter FORWARD) drops answers of the overlay to containers of br-lan; to allow it: iptables -I DOCKER-USER -i sortie0 -j ACCEPT"}},
	{"docker", "10.77", FW_ROLE_HUB, NULL, {NULL}},
	{"tailscale", "10.77", FW_ROLE_WORKLOAD, NULL, {NULL}},
	/* 100.64.0.0/10 is Tailscale's alone: why no network of ours is there */
	{"tailscale",
	 "100.99",
	 FW_ROLE_WORKLOAD,
	 NULL,
	 {"iptables (ip filter INPUT) drops tcp/5432 from the overlay, which policy allows; to allow it: iptables -I INPUT -i sortie0 -j ACCEPT"}},
	{"nft",
	 "10.77",
	 FW_ROLE_WORKLOAD,
	 NULL,
	 {"nftables (inet filter output) drops WireGuard's packets to the hub at 192.0.2.1:51820; to allow it: nft insert rule inet filter output ip daddr 192.0.2.1 udp dport 51820 accept",
	  "nftables (inet filter input) drops tcp/5432 from the overlay, which policy allows; to allow it: nft insert rule inet filter input iifname sortie0 accept",
	  "nftables (inet filter output) drops udp/7000 to the overlay, which policy allows; to allow it: nft insert rule inet filter output oifname sortie0 accept",
	  "nftables (inet filter forward) drops what containers of docker0 send to the overlay; to allow it: nft insert rule inet filter forward oifname sortie0 accept",
	  "nftables (inet filter forward) drops answers of the overlay to containers of docker0; to allow it: nft insert rule inet filter forward iifname sortie0 accept"}},
	/* named sets, marks, owners, rate limits: may drop. A map, flags, a range, a goto: do. */
	{"other",
	 "10.77",
	 FW_ROLE_WORKLOAD,
	 NULL,
	 {"nftables (inet odd output) drops WireGuard's packets to the hub at 192.0.2.1:51820; to allow it: nft insert rule inet odd output ip daddr 192.0.2.1 udp dport 51820 accept",
	  "nftables (inet odd input) drops tcp/5432 from the overlay, which policy allows; to allow it: nft insert rule inet odd input iifname sortie0 accept",
	  "nftables (inet odd early) may drop the answers of the hub at 192.0.2.1:51820; to allow it: nft insert rule inet odd early ip saddr 192.0.2.1 udp sport 51820 accept",
	  "nftables (inet odd input) may drop the answers of the hub at 192.0.2.1:51820; to allow it: nft insert rule inet odd input ip saddr 192.0.2.1 udp sport 51820 accept",
	  "nftables (inet odd early) may drop tcp/5432 from the overlay, which policy allows; to allow it: nft insert rule inet odd early iifname sortie0 accept",
	  "nftables (inet odd output) may drop answers of tcp/5432 to the overlay, which policy allows; to allow it: nft insert rule inet odd output oifname sortie0 accept"}},
};

static void test_stored(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(ruleset_freep) struct ruleset *ruleset = load(cases[i].stored);
		_cleanup_(freep) struct foreign_finding *findings = NULL;
		char text[FOREIGN_SENTENCE_MAX];
		struct world world;
		size_t n, wanted = 0;

		print_message("# %s, %s, %s\n", cases[i].stored, cases[i].overlay4,
			      cases[i].role == FW_ROLE_HUB ? "hub" : "workload");
		prepare(&world, cases[i].overlay4);
		world.desired.role = cases[i].role;
		if (cases[i].bridge)
			(void)snprintf(world.question.containers[0], IFNAMSIZ, "%s",
				       cases[i].bridge);
		assert_int_equal(foreign_check(ruleset, &world.question, &findings, &n), 0);
		while (wanted < ARRAY_SIZE(cases[i].findings) && cases[i].findings[wanted])
			wanted++;
		for (size_t k = 0; k < n && k < wanted; k++)
			assert_string_equal(foreign_sentence(&findings[k], text),
					    cases[i].findings[k]);
		for (size_t k = wanted; k < n; k++)
			print_message("too many: %s\n", foreign_sentence(&findings[k], text));
		assert_int_equal(n, wanted);
	}
}

/* What is cut short is refused or read, never read past. */
static void test_cut(void **state)
{
	_cleanup_(freep) char *bytes = NULL;
	size_t length;

	assert_int_equal(file_read(CORPUS "nft", BYTES_MAX, &bytes, &length), 0);
	for (size_t n = 0; n < length; n += 4) {
		_cleanup_(ruleset_freep) struct ruleset *ruleset = calloc(1, sizeof(*ruleset));
		_cleanup_(freep) char *cut = malloc(n + 1);

		assert_non_null(ruleset);
		assert_non_null(cut);
		memcpy(cut, bytes, n);
		(void)feed(ruleset, cut, n);
	}
}

/* A ruleset beyond the limits is not called certain; iptables-legacy is told of. */
static void test_limits(void **state)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = load("ufw");
	_cleanup_(freep) struct foreign_finding *findings = NULL;
	char text[FOREIGN_SENTENCE_MAX];
	struct world world;
	size_t n;

	ruleset->cut = true;
	ruleset->legacy_ip = true;
	prepare(&world, "10.77");
	assert_int_equal(foreign_check(ruleset, &world.question, &findings, &n), 0);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++)
		assert_false(findings[i].certain);
	assert_string_equal(
		foreign_sentence(&findings[3], text),
		"iptables-legacy: loaded, cannot be read here; iptables-legacy-save shows what it drops");
}

/* A line goes into a root shell: no name of a table may say more there than a word. */
static void test_lines_are_words(void **state)
{
	static const char *const names[] = {"a;b", "$(c)", "a b",  "-x",
					    "",	   "1st",  "a\nb", "ok-1.b_c"};
	const struct foreign_subject subject = {.ifname = "sortie0"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char table[16], line[FOREIGN_LINE_MAX], name[] = "input";
		struct rs_chain chain = {.family = NFPROTO_INET, .table = table, .name = name};
		bool fine = i + 1 == ARRAY_SIZE(names);

		(void)snprintf(table, sizeof(table), "%s", names[i]);
		foreign_allow(FOREIGN_NFT, FOREIGN_OVERLAY_IN, &chain, &subject, line);
		assert_string_equal(
			line,
			fine ? "nft insert rule inet ok-1.b_c input iifname sortie0 accept" : "");
	}
}

/* ---- the walk ---- */

#define ACCEPTS WALK_ACCEPT
#define DROPS	WALK_DROP
#define EITHER	(WALK_ACCEPT | WALK_DROP)
#define META(k)                                                                                    \
	{                                                                                          \
		.kind = RS_META, .key = NFT_META_##k                                               \
	}
#define PAYLOAD(b, o, l)                                                                           \
	{                                                                                          \
		.kind = RS_PAYLOAD, .base = NFT_PAYLOAD_##b##_HEADER, .offset = o, .length = l     \
	}
#define CMP(o, l, ...)                                                                             \
	{                                                                                          \
		.kind = RS_COMPARE, .op = NFT_CMP_##o, .length = l, .data = { __VA_ARGS__ }        \
	}
#define DROP_IT                                                                                    \
	{                                                                                          \
		.kind = RS_VERDICT, .verdict = NF_DROP                                             \
	}

/* A packet of a peer to TCP port 5432 here, source port unknown, in by sortie0. */
static struct walk_packet packet_in(void)
{
	return (struct walk_packet){.hook = NF_INET_LOCAL_IN,
				    .in = {WALK_IF_NAMED, "sortie0", 7},
				    .source = address("10.77.0.11"),
				    .destination = address("10.77.0.10"),
				    .protocol = IPPROTO_TCP,
				    .destination_port = 5432,
				    .source_type = RTN_UNICAST,
				    .destination_type = RTN_LOCAL};
}

static const struct {
	const char *name;
	struct rs_expr exprs[5];
	unsigned int n;
	unsigned int result;
} walks[] = {
	{"no match, a verdict", {DROP_IT}, 1, DROPS},
	{"a port", {PAYLOAD(TRANSPORT, 2, 2), CMP(EQ, 2, 0x15, 0x38), DROP_IT}, 3, DROPS},
	{"another port", {PAYLOAD(TRANSPORT, 2, 2), CMP(EQ, 2, 0, 22), DROP_IT}, 3, ACCEPTS},
	{"not that port", {PAYLOAD(TRANSPORT, 2, 2), CMP(NEQ, 2, 0, 22), DROP_IT}, 3, DROPS},
	{"a source port, not known",
	 {PAYLOAD(TRANSPORT, 0, 2), CMP(EQ, 2, 0, 22), DROP_IT},
	 3,
	 EITHER},
	{"half of it known",
	 {PAYLOAD(TRANSPORT, 0, 4), CMP(EQ, 4, 0, 22, 0, 22), DROP_IT},
	 3,
	 ACCEPTS},
	{"greater", {PAYLOAD(TRANSPORT, 2, 2), CMP(GT, 2, 0x15, 0x37), DROP_IT}, 3, DROPS},
	{"not greater", {PAYLOAD(TRANSPORT, 2, 2), CMP(GT, 2, 0x15, 0x38), DROP_IT}, 3, ACCEPTS},
	{"greater than what is not known",
	 {PAYLOAD(TRANSPORT, 0, 2), CMP(GT, 2, 4, 0), DROP_IT},
	 3,
	 EITHER},
	{"a network",
	 {PAYLOAD(NETWORK, 12, 4),
	  {.kind = RS_MASK, .length = 4, .data = {255, 255}},
	  CMP(EQ, 4, 10, 77),
	  DROP_IT},
	 4,
	 DROPS},
	{"masked away, not known is known",
	 {PAYLOAD(TRANSPORT, 0, 2), {.kind = RS_MASK, .length = 2}, CMP(EQ, 2, 0), DROP_IT},
	 4,
	 DROPS},
	{"the interface",
	 {META(IIFNAME), CMP(EQ, 16, 's', 'o', 'r', 't', 'i', 'e', '0'), DROP_IT},
	 3,
	 DROPS},
	{"a prefix of its name", {META(IIFNAME), CMP(EQ, 3, 's', 'o', 'r'), DROP_IT}, 3, DROPS},
	{"its index", {META(IIF), CMP(EQ, 4, 7), DROP_IT}, 3, DROPS},
	{"no interface to go out by",
	 {META(OIFNAME), CMP(EQ, 16, 'e', 't', 'h', '0'), DROP_IT},
	 3,
	 ACCEPTS},
	{"the family", {META(NFPROTO), CMP(EQ, 1, NFPROTO_IPV6), DROP_IT}, 3, ACCEPTS},
	{"a mark", {META(MARK), CMP(EQ, 4, 7), DROP_IT}, 3, EITHER},
	{"a range",
	 {PAYLOAD(TRANSPORT, 2, 2),
	  {.kind = RS_RANGE, .length = 2, .data = {0x10}, .more = {0x20}},
	  DROP_IT},
	 3,
	 DROPS},
	{"out of a range",
	 {PAYLOAD(TRANSPORT, 2, 2),
	  {.kind = RS_RANGE, .length = 2, .data = {0x10}, .more = {0x20}, .inverted = true},
	  DROP_IT},
	 3,
	 ACCEPTS},
	{"a set that is not there",
	 {META(MARK), {.kind = RS_LOOKUP, .target = UINT32_MAX}, DROP_IT},
	 3,
	 EITHER},
	{"a new connection", {{.kind = RS_XT_STATE, .states = 1 << 3}, DROP_IT}, 2, DROPS},
	{"an established one", {{.kind = RS_XT_STATE, .states = 1 << 1}, DROP_IT}, 2, ACCEPTS},
	{"ct state", {{.kind = RS_CT, .key = NFT_CT_STATE}, CMP(EQ, 4, 1 << 3), DROP_IT}, 3, DROPS},
	{"ct status dnat",
	 {{.kind = RS_CT, .key = NFT_CT_STATUS},
	  {.kind = RS_MASK, .length = 4, .data = {0x20}},
	  CMP(NEQ, 4, 0),
	  DROP_IT},
	 4,
	 ACCEPTS},
	{"a rate", {{.kind = RS_MAYBE}, DROP_IT}, 2, EITHER},
	{"a rate makes no known thing unknown",
	 {{.kind = RS_MAYBE}, PAYLOAD(TRANSPORT, 2, 2), CMP(EQ, 2, 0, 22), DROP_IT},
	 4,
	 ACCEPTS},
	{"what a rate may have written is not known",
	 {PAYLOAD(TRANSPORT, 2, 2), {.kind = RS_MAYBE}, CMP(EQ, 2, 0, 22), DROP_IT},
	 4,
	 EITHER},
	{"never", {{.kind = RS_NEVER}, DROP_IT}, 2, ACCEPTS},
	{"a queue", {{.kind = RS_ANY_VERDICT}}, 1, EITHER},
	{"xt ports",
	 {{.kind = RS_XT_PORTS, .ports = {{0, 65535}, {5000, 6000}}}, DROP_IT},
	 2,
	 DROPS},
	{"xt ports, flags",
	 {{.kind = RS_XT_PORTS, .ports = {{0, 65535}, {0, 65535}, 0x17, 0x02, 0, true}}, DROP_IT},
	 2,
	 DROPS},
	{"xt ports, other flags",
	 {{.kind = RS_XT_PORTS, .ports = {{0, 65535}, {0, 65535}, 0x17, 0x10, 0, true}}, DROP_IT},
	 2,
	 ACCEPTS},
	{"xt port set",
	 {{.kind = RS_XT_PORT_SET, .port_set = {{22, 5000, 6000}, 1 << 1, 3, 1, false}}, DROP_IT},
	 2,
	 DROPS},
	{"xt address type",
	 {{.kind = RS_XT_TYPE, .types = {0, 1 << RTN_LOCAL}}, DROP_IT},
	 2,
	 DROPS},
	{"xt address type, another",
	 {{.kind = RS_XT_TYPE, .types = {0, 1 << RTN_BROADCAST}}, DROP_IT},
	 2,
	 ACCEPTS},
	{"a chain that is not there",
	 {{.kind = RS_VERDICT, .verdict = NFT_JUMP, .target = UINT32_MAX}},
	 1,
	 EITHER},
	{"return means the policy", {{.kind = RS_VERDICT, .verdict = NFT_RETURN}}, 1, ACCEPTS},
	{"a jump to itself ends",
	 {{.kind = RS_VERDICT, .verdict = NFT_JUMP, .target = 0}},
	 1,
	 EITHER},
};

static void test_walk(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(walks); i++) {
		struct rs_expr exprs[5];
		struct rs_rule rule = {.n = walks[i].n, .next = UINT32_MAX};
		struct rs_chain chain = {.family = NFPROTO_INET, .base = true};
		struct ruleset ruleset = {.chains = &chain,
					  .rules = &rule,
					  .exprs = exprs,
					  .n_chains = 1,
					  .n_rules = 1,
					  .n_exprs = walks[i].n};
		struct walk_packet packet = packet_in();

		print_message("# %s\n", walks[i].name);
		memcpy(exprs, walks[i].exprs, sizeof(exprs));
		assert_int_equal(walk_chain(&ruleset, &chain, &packet), walks[i].result);
	}
}

/* Every rule of a chain that calls itself doubles the way: it ends all the same, and soon. */
static void test_walk_is_bounded(void **state)
{
	struct rs_expr jump = {.kind = RS_VERDICT, .verdict = NFT_JUMP, .target = 0};
	struct rs_rule rules[8];
	struct rs_chain chain = {.family = NFPROTO_INET, .base = true, .first = 0};
	struct ruleset ruleset = {.chains = &chain,
				  .rules = rules,
				  .exprs = &jump,
				  .n_chains = 1,
				  .n_rules = ARRAY_SIZE(rules),
				  .n_exprs = 1};
	struct walk_packet packet = packet_in();

	for (uint32_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i] = (struct rs_rule){.n = 1,
					    .next = i + 1 < ARRAY_SIZE(rules) ? i + 1 : UINT32_MAX};
	assert_int_equal(walk_chain(&ruleset, &chain, &packet), EITHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_lines_are_words),
		cmocka_unit_test(test_walk),   cmocka_unit_test(test_walk_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
