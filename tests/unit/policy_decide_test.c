/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers with reasons, the policy's own tests, differences, findings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/policy_helpers.h"

static const char *const people[] = {
	"site-a/web role=web,env=prod",
	"site-b/db role=db,env=prod",
	"site-b/old role=db,env=dev",
	"site-c/bare",
};

static const char rules[] =
	"version: 1\n"
	"groups: {databases: \"role=db,env=prod\"}\n"
	"resources: [{name: lan, via: site-c/bare, cidr: 10.0.0.0/8}]\n"
	"rules:\n"
	"  - {name: web reads, from: \"role=web,env=prod\", to: databases, allow: [tcp/5432]}\n"
	"  - {name: wide, from: \"role=web,env=prod\", to: databases, allow: [tcp/5433-5440, tcp/6000]}\n"
	"  - {name: short, from: site-b/db, to: site-b/old, allow: [icmp], expires: 2027-06-30}\n"
	"  - {name: gone, from: site-b/old, to: site-b/db, allow: [udp/53], expires: 2027-01-01}\n"
	"  - {name: lan, from: site-b/old, to: \"resource:lan\", allow: [tcp/22]}\n";

static const struct {
	const char *from, *to, *port;
	bool allowed;
	const char *reason;
} decisions[] = {
	{"site-a/web", "site-b/db", "tcp/5432", true, "rule \"web reads\" allows it"},
	{"site-b/db", "site-b/old", "icmp", true,
	 "rule \"short\" allows it until 2027-06-30T00:00:00Z"},
	/* two rules together */
	{"site-a/web", "site-b/db", "tcp/5432-5440", true, "rule \"web reads\" allows it"},
	{"site-a/web", "site-b/db", "tcp/5432-5441", false,
	 "rule \"web reads\" is nearest: it allows tcp/5432, not tcp/5432-5441"},
	{"site-a/web", "site-b/db", "tcp/22", false,
	 "rule \"web reads\" is nearest: it allows tcp/5432, not tcp/22"},
	{"site-a/web", "site-b/db", "udp/5432", false,
	 "rule \"web reads\" is nearest: it allows tcp/5432, not udp/5432"},
	{"site-a/web", "site-b/db", "icmp", false,
	 "rule \"web reads\" is nearest: it allows tcp/5432, not icmp"},
	{"site-a/web", "site-b/old", "tcp/5432", false,
	 "rule \"web reads\" is nearest: site-b/old lacks env=prod"},
	{"site-b/db", "site-a/web", "tcp/6000", false,
	 "rule \"wide\" is nearest: site-b/db lacks role=web; site-a/web lacks role=db"},
	{"site-c/bare", "site-b/db", "tcp/5432", false,
	 "rule \"web reads\" is nearest: site-c/bare lacks role=web,env=prod"},
	{"site-b/old", "site-b/db", "udp/53", false,
	 "rule \"gone\" is nearest: it expired at 2027-01-01T00:00:00Z"},
	{"site-b/old", "site-b/db", "tcp/53", false,
	 "rule \"gone\" is nearest: it allows udp/53, not tcp/53; it expired at 2027-01-01T00:00:00Z"},
	{"site-a/web", "site-a/web", "tcp/5432", false,
	 "site-a/web is asked about itself: that never crosses the network"},
};

static const struct policy_member *member(const struct policy_inventory *inventory,
					  const char *name)
{
	for (size_t i = 0; i < inventory->n; i++)
		if (strcmp(inventory->members[i].name, name) == 0)
			return &inventory->members[i];
	fail_msg("no %s", name);
	return NULL;
}

static void test_decisions(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy(rules);
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));

	for (size_t i = 0; i < ARRAY_SIZE(decisions); i++) {
		struct policy_port port = parse_port(decisions[i].port);
		struct policy_decision decision;
		policy_decide(policy, member(&inventory, decisions[i].from),
			      member(&inventory, decisions[i].to), &port, NOW, &decision);
		assert_string_equal(decision.reason, decisions[i].reason);
		assert_int_equal(decision.allowed, decisions[i].allowed);
	}
}

static void test_no_rules(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy("version: 1\n");
	struct policy_member a = parse_member("a/b x=y"), b = parse_member("c/d x=y");
	struct policy_port port = parse_port("tcp/1");
	struct policy_decision decision;

	policy_decide(policy, &a, &b, &port, NOW, &decision);
	assert_true(!decision.allowed && !decision.rule);
	assert_string_equal(decision.reason, "the policy has no rules: everything is denied");
}

/* Only rules that lead elsewhere: each is as near as the other. */
static void test_other_targets(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy(
		"version: 1\nresources: [{name: lan, via: a/g, cidr: 10.0.0.0/8}]\nrules:\n"
		"  - {name: z, from: a/b, to: e/f, allow: [tcp/1]}\n"
		"  - {name: lan, from: a/b, to: \"resource:lan\", allow: [tcp/1]}\n");
	struct policy_member a = parse_member("a/b"), b = parse_member("c/d");
	struct policy_port port = parse_port("tcp/1");
	struct policy_decision decision;

	policy_decide(policy, &a, &b, &port, NOW, &decision);
	assert_string_equal(decision.reason, "rule \"lan\" is nearest: c/d is not resource:lan");
	policy->n_rules = 1;
	policy_decide(policy, &a, &b, &port, NOW, &decision);
	policy->n_rules = 2;
	assert_string_equal(decision.reason, "rule \"z\" is nearest: c/d is not e/f");
}

/* The longest of everything ends in dots, inside no character. */
static void test_long_reason(void **state)
{
	char text[1024] = "version: 1\nrules:\n  - {name: \"";
	char name[NAME_MAX_TEXT];
	struct policy_decision decision;
	struct policy_port port = parse_port("tcp/2");

	for (int i = 0; i < 63; i++)
		strcat(text, "\u00fc");
	strcat(text, "\", from: a=b, to: c=d, allow: [tcp/1]}\n");
	_cleanup_(policy_freep) struct policy *policy = parse_policy(text);
	memset(name, 'x', sizeof(name) - 1);
	name[63] = '/';
	name[sizeof(name) - 1] = '\0';
	struct policy_member a = parse_member(name), b = parse_member("c/d");
	policy_decide(policy, &a, &b, &port, NOW, &decision);
	assert_in_range(strlen(decision.reason), 249, 255);
	assert_string_equal(decision.reason + strlen(decision.reason) - 3, "...");
}

static void test_host_settings(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy(
		"version: 1\nhosts:\n"
		"  - {on: env=dev, mode: observe}\n"
		"  - {on: role=db, mode: overlay, egress: locked, containers: true, lease: 2h}\n"
		"  - {on: env=dev, mode: enforce}\n");
	static const struct {
		const char *member;
		struct policy_host_settings want;
	} cases[] = {
		{"a/b env=dev,role=db", {POLICY_MODE_OBSERVE, false, false, 0}},
		{"a/b env=prod,role=db", {POLICY_MODE_OVERLAY, true, true, 7200}},
		{"a/b env=prod", {POLICY_MODE_ENFORCE, false, false, 0}},
		{"a/b", {POLICY_MODE_ENFORCE, false, false, 0}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_member m = parse_member(cases[i].member);
		struct policy_host_settings got = policy_host_settings(policy, &m);
		assert_true(got.mode == cases[i].want.mode &&
			    got.lease_s == cases[i].want.lease_s &&
			    got.egress_locked == cases[i].want.egress_locked &&
			    got.containers == cases[i].want.containers);
	}
}

/* ---- the policy's own tests ---- */

static void on_failure(const struct policy_test *test, const char *sentence, void *data)
{
	char line[600];

	snprintf(line, sizeof(line), "%u: %s", test->line, sentence);
	add_line(data, line);
}

static void test_policy_tests(void **state)
{
	char text[2048];

	snprintf(
		text, sizeof(text),
		"%stests:\n"
		"  - {from: site-a/web, to: site-b/db, allow: [tcp/5432, tcp/5433-5440], deny: [tcp/22, icmp]}\n"
		"  - {from: site-a/web, to: site-b/db, allow: [tcp/22], deny: [tcp/5000-5999]}\n"
		"  - {from: site-a/nobody, to: site-b/db, deny: [tcp/22]}\n"
		"  - {from: site-a/web, to: site-b/nobody, deny: [tcp/22]}\n"
		"  - {from: site-b/old, to: site-b/db, deny: [udp/53]}\n",
		rules);
	_cleanup_(policy_freep) struct policy *policy = parse_policy(text);
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));
	struct lines lines = {0};

	assert_int_equal(policy_run_tests(policy, &inventory, NOW, on_failure, &lines), 4);
	assert_int_equal(lines.n, 4);
	assert_string_equal(
		lines.text,
		"12: site-a/web must reach site-b/db tcp/22, but: rule \"web reads\" is nearest: it allows "
		"tcp/5432, not tcp/22\n"
		"12: site-a/web must not reach site-b/db tcp/5000-5999, but: rule \"web reads\" allows tcp/5432\n"
		"13: no identity is called site-a/nobody: correct the test or enrol it\n"
		"14: no identity is called site-b/nobody: correct the test or enrol it\n");
	/* while the last rule held, the last test failed */
	lines = (struct lines){0};
	assert_int_equal(policy_run_tests(policy, &inventory, NOW - 30 * 86400, on_failure, &lines),
			 5);
}

/* ---- difference ---- */

static void check_diff(const char *before, const struct policy_inventory *old, const char *after,
		       const struct policy_inventory *new, const char *want)
{
	_cleanup_(policy_freep) struct policy *a = before ? parse_policy(before) : NULL;
	_cleanup_(policy_freep) struct policy *b = parse_policy(after);
	_cleanup_(freep) struct policy_change *changes = NULL;
	char text[2048] = "";
	size_t n;

	assert_int_equal(policy_diff(a, old, b, new, NOW, &changes, &n), 0);
	for (size_t i = 0; i < n; i++) {
		char line[400], port[POLICY_PORT_TEXT_MAX];
		snprintf(line, sizeof(line), "%c %s %s %s\n", changes[i].gained ? '+' : '-',
			 changes[i].from, changes[i].to,
			 policy_port_format(&changes[i].port, port));
		strcat(text, line);
	}
	assert_string_equal(text, want);
}

#define P(ports) "version: 1\nrules: [{name: r, from: role=web, to: role=db, allow: " ports "}]\n"

static void test_diff(void **state)
{
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory((const char *const[]){"s/w role=web", "s/d role=db"}, 2);
	_cleanup_(inventory_done) struct policy_inventory more = parse_inventory(
		(const char *const[]){"s/d role=db", "s/e role=db", "s/w role=web"}, 3);
	static const struct {
		const char *before, *after, *want;
	} cases[] = {
		{NULL, "version: 1\n", ""},
		{NULL, P("[tcp/80, icmp]"), "+ s/w s/d icmp\n+ s/w s/d tcp/80\n"},
		{P("[tcp/80]"), "version: 1\n", "- s/w s/d tcp/80\n"},
		{P("[tcp/80]"), P("[tcp/80]"), ""},
		{P("[tcp/80]"), P("[udp/80]"), "- s/w s/d tcp/80\n+ s/w s/d udp/80\n"},
		{P("[tcp/1-100]"), P("[tcp/50-150]"),
		 "- s/w s/d tcp/1-49\n+ s/w s/d tcp/101-150\n"},
		{P("[tcp/1-100]"), P("[tcp/20, tcp/40-50]"),
		 "- s/w s/d tcp/1-19\n- s/w s/d tcp/21-39\n- s/w s/d tcp/51-100\n"},
		{P("[tcp/1-65535]"), P("[tcp/65535]"), "- s/w s/d tcp/1-65534\n"},
		/* two rules that say together what one said */
		{P("[tcp/1-9]"),
		 "version: 1\nrules:\n  - {name: a, from: role=web, to: role=db, allow: [tcp/5-9]}\n"
		 "  - {name: b, from: s/w, to: s/d, allow: [tcp/1-4], on-loss: keep, expires: 2027-06-30}\n",
		 ""},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_diff(cases[i].before, &inventory, cases[i].after, &inventory, cases[i].want);
	/* membership alone */
	check_diff(P("[tcp/80]"), &inventory, P("[tcp/80]"), &more, "+ s/w s/e tcp/80\n");
	check_diff(P("[tcp/80]"), &more, P("[tcp/80]"), &inventory, "- s/w s/e tcp/80\n");
	check_diff(NULL, NULL, P("[tcp/80]"), &inventory, "+ s/w s/d tcp/80\n");
}

/* A renamed identity is the same one; another one by the old name is not. */
static void test_diff_identities(void **state)
{
	_cleanup_(inventory_done) struct policy_inventory before =
		parse_inventory((const char *const[]){"s/w role=web", "s/d role=db"}, 2);
	struct policy_member renamed[2] = {before.members[0], before.members[1]};
	struct policy_member replaced[2] = {before.members[0], before.members[1]};

	strcpy(renamed[1].name, "s/new");
	check_diff(P("[tcp/80]"), &before, P("[tcp/80]"), &(struct policy_inventory){renamed, 2},
		   "");
	replaced[1].id.bytes[31] = 0xff;
	check_diff(P("[tcp/80]"), &before, P("[tcp/80]"), &(struct policy_inventory){replaced, 2},
		   "- s/w s/d tcp/80\n+ s/w s/d tcp/80\n");
}

/* ---- lint ---- */

static void on_finding(const char *sentence, void *data)
{
	add_line(data, sentence);
}

static void test_lint(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"version: 1\n", ""},
		{"version: 1\nrules: [{name: r, from: role=web, to: role=db, allow: [tcp/1]}]\n",
		 ""},
		{"version: 1\nrules: [{name: r, from: any, to: role=db, allow: [tcp/1], any: true}]\n",
		 "rule \"r\" lets every identity of the network in: name who needs it\n"},
		{"version: 1\nrules: [{name: r, from: role=db, to: any, allow: [tcp/1], any: true}]\n",
		 "rule \"r\" reaches every identity of the network: name what it needs\n"},
		{"version: 1\nrules: [{name: r, from: any, to: any, allow: [tcp/1-65535], any: true}]\n",
		 "rule \"r\" lets every identity reach every other: name one side\n"
		 "rule \"r\" allows every tcp port: name those it needs\n"},
		{"version: 1\nrules: [{name: r, from: role=x, to: s/x, allow: [tcp/1], expires: 2027-01-01}]\n",
		 "rule \"r\": nobody matches from: role=x\nrule \"r\": nobody matches to: s/x\n"
		 "rule \"r\" expired at 2027-01-01T00:00:00Z: remove or renew it\n"},
		{"version: 1\nrules:\n"
		 "  - {name: a, from: role=web, to: role=db, allow: [tcp/1], expires: 2027-06-30}\n"
		 "  - {name: b, from: role=web, to: role=db, allow: [tcp/1-5]}\n",
		 "rule \"a\" ends, but rule \"b\" allows the same for longer: one of them misleads\n"},
		{"version: 1\nrules:\n"
		 "  - {name: a, from: role=web, to: role=db, allow: [tcp/1, tcp/9], expires: 2027-06-30}\n"
		 "  - {name: b, from: role=web, to: role=db, allow: [tcp/1-5]}\n",
		 ""},
		{"version: 1\nhosts:\n  - {on: role=x}\n  - {on: any, any: true, mode: observe}\n"
		 "  - {on: role=db}\n",
		 "hosts: nobody matches on: role=x\n"
		 "hosts: \"any\" is in mode observe: nothing is dropped there\n"
		 "hosts: \"role=db\" stands behind \"any\" and is never used: move it up\n"},
		{"version: 1\nunderlay: [{name: u, on: any, from: [0.0.0.0/0], allow: [tcp/1], any: true}]\n",
		 "underlay \"u\" opens ports on every host: name which\n"
		 "underlay \"u\" is open to 0.0.0.0/0: name the ranges\n"},
		{"version: 1\nunderlay: [{name: u, on: a=b, from: [10.0.0.0/8], allow: [tcp/1]}]\n",
		 "underlay \"u\": nobody matches on: a=b\n"},
		{"version: 1\nhosts: [{on: role=db, egress: locked}]\n"
		 "egress: [{name: e, on: any, to: [10.0.0.0/8], allow: [udp/53], any: true}]\n",
		 ""},
		{"version: 1\nhosts: [{on: role=db, egress: locked, mode: overlay}]\n"
		 "egress: [{name: e, on: role=web, to: [0.0.0.0/0], allow: [udp/53], any: true}]\n",
		 "hosts: \"role=db\" locks egress, but only mode enforce closes anything there\n"
		 "egress \"e\": on: role=web selects no host whose egress is locked\n"
		 "egress \"e\" is open to 0.0.0.0/0: name the ranges\n"},
		{"version: 1\nresources: [{name: lan, via: s/g, cidr: 10.0.0.0/8}]\n"
		 "enrollers: [{id: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, scope: a=b}]\n",
		 "resource \"lan\": no identity is called s/g\n"
		 "enroller 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef: no identity has "
		 "this id\n"},
		{"version: 1\nresources: [{name: lan, via: site-c/bare, cidr: 10.0.0.0/8}]\n"
		 "rules: [{name: r, from: role=db, to: \"resource:lan\", allow: [tcp/1]}]\n",
		 "rule \"r\": to: resource:lan opens nothing, agents do not act as gateways\n"},
	};
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(policy_freep) struct policy *policy = parse_policy(cases[i].text);
		struct lines lines = {0};
		policy_lint(policy, &inventory, NOW, on_finding, &lines);
		assert_string_equal(lines.text, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),     cmocka_unit_test(test_no_rules),
		cmocka_unit_test(test_other_targets), cmocka_unit_test(test_long_reason),
		cmocka_unit_test(test_host_settings), cmocka_unit_test(test_policy_tests),
		cmocka_unit_test(test_diff),	      cmocka_unit_test(test_diff_identities),
		cmocka_unit_test(test_lint),
	};
	return cmocka_run_group_tests_name("policy_decide", tests, NULL, NULL);
}
