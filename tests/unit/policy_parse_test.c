/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The language: what is read, and what is refused at which place with which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include "tests/unit/policy_helpers.h"

#define V    "version: 1\n"
#define RULE "{name: r, from: a=b, to: c=d, allow: [tcp/1]}"
#define HEX  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct refusal {
	const char *text;
	unsigned int line, column;
	const char *words; /* part of the sentence */
};

/* Prints what is wrong; the caller fails when the whole table has been looked at. */
static bool refused(const char *text, const struct refusal *want, int code)
{
	struct policy *policy = NULL;
	struct err err = {0};
	int r = policy_parse(text, strlen(text), &policy, &err);

	if (r == code && err.line == want->line && err.column == want->column &&
	    strstr(err.text, want->words) && !policy)
		return true;
	print_error("got %d at %u:%u \"%s\", want %u:%u \"%s\" in\n%.300s\n", r, err.line,
		    err.column, err.text, want->line, want->column, want->words, text);
	policy_free(policy);
	return false;
}

static const struct refusal refusals[] = {
	/* the file */
	{"", 1, 1, "is empty"},
	{"# nothing\n", 1, 1, "is empty"},
	{"rules: []\n", 1, 1, "lacks \"version\""},
	{"version: 2\n", 1, 10, "write 1"},
	{"- version: 1\n", 1, 1, "a policy is a mapping"},
	{"hello\n", 1, 1, "a policy is a mapping"},
	{V "rulez: []\n", 2, 1, "a policy has no key \"rulez\": use version, services, groups"},
	{V "rules:\n", 2, 7, "rules is a list"},
	{V "rules: {a: b}\n", 2, 8, "rules is a list"},
	{V "groups: []\n", 2, 9, "groups is a mapping"},
	{V "---\n" V, 2, 1, "one document"},
	{V "? [a]\n: b\n", 2, 3, "a key must be a word"},
	/* YAML that a policy has no use for */
	{V "rules: &a []\n", 2, 8, "anchors and aliases"},
	{V "groups: &a {x: a=b}\n", 2, 9, "anchors and aliases"},
	{V "services: {a: &p [tcp/1], b: *p}\n", 2, 15, "anchors and aliases"},
	{V "rules: *a\n", 2, 8, "anchors and aliases"},
	{V "rules: !!seq []\n", 2, 8, "tags are refused"},
	{"version: !!int 1\n", 1, 10, "tags are refused"},
	{"%YAML 1.1\n---\n" V, 1, 1, "directives are refused"},
	{"%TAG ! x:\n---\n" V, 1, 1, "directives are refused"},
	{V "rules: [\n", 3, 1, "no YAML here"},
	{V "rules: ]\n", 2, 8, "no YAML here"},
	{V " rules: []\n", 2, 7, "no YAML here"},
	{V "rules: []\nrules: []\n", 3, 1, "stands twice (first in line 2)"},
	{V "version: 1\n", 2, 1, "key \"version\" stands twice"},
	{V "rules:\n\t- " RULE "\n", 3, 1, "a tab"},
	{V "rules: []\t# note\n", 2, 10, "a tab"},
	{V "groups: {a: \"x\\0=y\"}\n", 2, 13, "NUL"},
	{V "groups: {a: \xff}\n", 2, 13, "UTF-8"},
	{V "groups: {a: \x01}\n", 2, 13, "UTF-8"},
	/* services */
	{V "services: {web: tcp/80}\n", 2, 17, "ports are a list"},
	{V "services: {web: []}\n", 2, 17, "empty list of ports"},
	{V "services: {web: [tcp/0]}\n", 2, 18, "port \"tcp/0\": write tcp/N"},
	{V "services: {web: [tcp/65536]}\n", 2, 18, "port \"tcp/65536\""},
	{V "services: {web: [tcp/80-79]}\n", 2, 18, "not behind its beginning"},
	{V "services: {web: [tcp/80, sctp/1]}\n", 2, 26, "port \"sctp/1\""},
	{V "services: {web: [[tcp/80]]}\n", 2, 18, "expected a word"},
	{V "services: {a: [tcp/80], b: [a]}\n", 2, 29, "service \"a\" is unknown"},
	{V "services: {icmp: [tcp/80]}\n", 2, 12, "like a protocol"},
	{V "services: {Web: [tcp/80]}\n", 2, 12, "name \"Web\""},
	{V "services: {web: [tcp/80], web: [tcp/81]}\n", 2, 27, "stands twice"},
	/* groups */
	{V "groups: {any: a=b}\n", 2, 10, "hide the wildcard"},
	{V "groups: {all: any}\n", 2, 15, "cannot be \"any\""},
	{V "groups: {a: x=y, b: a}\n", 2, 21, "group \"a\" is unknown"},
	{V "groups: {a: [x=y]}\n", 2, 13, "expected a word"},
	{V "groups: {a: }\n", 2, 13, "write labels"},
	/* rules */
	{V "rules: [r]\n", 2, 9, "a rule is a mapping"},
	{V "rules: [{name: r, to: c=d, allow: [tcp/1]}]\n", 2, 9, "lacks \"from\""},
	{V "rules: [{name: r, from: a=b, to: c=d}]\n", 2, 9, "lacks \"allow\""},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: []}]\n", 2, 46, "empty list of ports"},
	{V "rules: [{name: r, from: a=b, to: c=d, ports: [tcp/1]}]\n", 2, 39, "no key \"ports\""},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: [postgres]}]\n", 2, 47,
	 "service \"postgres\" is unknown: add it to services"},
	{V "rules: [{name: r, from: a=b, to: databases, allow: [tcp/1]}]\n", 2, 34,
	 "group \"databases\" is unknown"},
	{V "rules: [{name: r, from: a=b, to: \"resource:lan\", allow: [tcp/1]}]\n", 2, 34,
	 "resource \"lan\" is unknown"},
	{V "rules: [{name: r, from: any, to: c=d, allow: [tcp/1]}]\n", 2, 9, "needs \"any: true\""},
	{V "rules: [{name: r, from: any, to: c=d, allow: [tcp/1], any: false}]\n", 2, 9,
	 "needs \"any: true\""},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: [tcp/1], any: true}]\n", 2, 60,
	 "without a wildcard"},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: [tcp/1], any: yes}]\n", 2, 60,
	 "write false or true"},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: [tcp/1], expires: 2027-02-30}]\n", 2, 64,
	 "time \"2027-02-30\""},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: [tcp/1], expires: 1970-01-01}]\n", 2, 64,
	 "time \"1970-01-01\""},
	{V "rules: [{name: r, from: a=b, to: c=d, allow: [tcp/1], on-loss: open}]\n", 2, 64,
	 "write deny or keep"},
	{V "rules: [{name: \"\", from: a=b, to: c=d, allow: [tcp/1]}]\n", 2, 16,
	 "a text of 0 bytes"},
	{V "rules: [{name: \" r\", from: a=b, to: c=d, allow: [tcp/1]}]\n", 2, 16,
	 "a space at the"},
	{V "rules: [{name: \"a\\nb\", from: a=b, to: c=d, allow: [tcp/1]}]\n", 2, 16, "invisible"},
	{V "rules: [{name: \"a\\u202eb\", from: a=b, to: c=d, allow: [tcp/1]}]\n", 2, 16,
	 "invisible"},
	{V "rules: [{name: \"a\\x85b\", from: a=b, to: c=d, allow: [tcp/1]}]\n", 2, 16,
	 "invisible"},
	{V "rules:\n  - " RULE "\n  - " RULE "\n", 4, 12, "name \"r\" stands in line 3 already"},
	{V "rules:\n  - {name: Db, from: a=b, to: c=d, allow: [tcp/1]}\n"
	   "  - {name: dB, from: a=b, to: c=d, allow: [tcp/1]}\n",
	 4, 12, "stands in line 3 already"},
	{V "rules: [" RULE
	   "]\nunderlay: [{name: R, on: a=b, from: [10.0.0.0/8], allow: [tcp/22]}]\n",
	 3, 19, "stands in line 2 already"},
	/* selectors */
	{V "groups:\n  a: role\n", 3, 6, "group \"role\" is unknown"},
	{V "groups:\n  a: role=\n", 3, 6, "no label value at"},
	{V "groups:\n  a: =db\n", 3, 6, "no label key"},
	{V "groups:\n  a: Role=db\n", 3, 6, "no label key"},
	{V "groups:\n  a: role==db\n", 3, 6, "no label value"},
	{V "groups:\n  a: role=db,\n", 3, 6, "no label key"},
	{V "groups:\n  a: role=db env=prod\n", 3, 6, "expected a comma or the end"},
	{V "groups:\n  a: role in db\n", 3, 6, "values stand in brackets"},
	{V "groups:\n  a: role in ()\n", 3, 6, "no label value"},
	{V "groups:\n  a: role in (a,b\n", 3, 6, "lacks its \")\""},
	{V "groups:\n  a: role in (a,a)\n", 3, 6, "stands twice"},
	{V "groups:\n  a: role=a,role=b\n", 3, 6, "compared twice"},
	{V "groups:\n  a: role=a,role in (a,b)\n", 3, 6, "compared twice"},
	{V "groups:\n  a: role like a\n", 3, 6, "expected =, !=, in (...) or notin (...)"},
	{V "groups:\n  a: sortie/x=a\n", 3, 6, "reserved"},
	{V "groups:\n  a: Site/web\n", 3, 6, "write labels"},
	{V "groups:\n  a: site/web/x\n", 3, 6, "write labels"},
	/* hosts, underlay, resources, enrollers, tests */
	{V "hosts: [{mode: observe}]\n", 2, 9, "lacks \"on\""},
	{V "hosts: [{on: a=b, mode: off}]\n", 2, 25, "write enforce or overlay or observe"},
	{V "hosts: [{on: any, mode: observe}]\n", 2, 9, "needs \"any: true\""},
	{V "hosts: [{on: a=b, egress: shut}]\n", 2, 27, "write open or locked"},
	{V "hosts: [{on: a=b, containers: 1}]\n", 2, 31, "write false or true"},
	{V "hosts: [{on: a=b, lease: 59s}]\n", 2, 26, "write 60s to 30d"},
	{V "hosts: [{on: a=b, lease: 31d}]\n", 2, 26, "write 60s to 30d"},
	{V "hosts: [{on: a=b,c=d}]\n", 2, 18, "no key \"c=d\""},
	{V "underlay: [{name: u, on: a=b, from: [10.0.0.1/8], allow: [tcp/22]}]\n", 2, 38,
	 "range \"10.0.0.1/8\""},
	{V "underlay: [{name: u, on: a=b, from: [], allow: [tcp/22]}]\n", 2, 37,
	 "empty list of ranges"},
	{V "underlay: [{name: u, on: a=b, from: [0.0.0.0/0], allow: [tcp/22]}]\n", 2, 12,
	 "needs \"any: true\""},
	{V "underlay: [{name: u, on: a=b, from: [\"::/0\"], allow: [tcp/22]}]\n", 2, 12,
	 "needs \"any: true\""},
	{V "egress: [{name: u, on: a=b, to: [10.0.0.1/8], allow: [udp/53]}]\n", 2, 34,
	 "range \"10.0.0.1/8\""},
	{V "egress: [{name: u, on: a=b, to: [], allow: [udp/53]}]\n", 2, 33,
	 "empty list of ranges"},
	{V "egress: [{name: u, on: a=b, to: [0.0.0.0/0], allow: [udp/53]}]\n", 2, 10,
	 "needs \"any: true\""},
	{V "egress: [{name: u, on: any, to: [10.0.0.0/8], allow: [udp/53]}]\n", 2, 10,
	 "needs \"any: true\""},
	{V "egress: [{name: u, on: a=b, from: [10.0.0.0/8], allow: [udp/53]}]\n", 2, 29,
	 "no key \"from\""},
	{V "egress: [{name: u, on: a=b, to: [10.0.0.0/8]}]\n", 2, 10, "lacks \"allow\""},
	{V "underlay: [{name: u, on: a=b, from: [10.0.0.0/8], allow: [tcp/1]}]\n"
	   "egress: [{name: U, on: a=b, to: [10.0.0.0/8], allow: [tcp/1]}]\n",
	 3, 17, "stands in line 2"},
	{V "resources: [{name: a, via: s/g, cidr: 0.0.0.0/0}]\n", 2, 39, "a subnet, not every"},
	{V "resources: [{name: a, via: gw, cidr: 10.0.0.0/8}]\n", 2, 28, "site/workload"},
	{V "resources:\n  - {name: a, via: s/g, cidr: 10.0.0.0/8}\n"
	   "  - {name: b, via: s/h, cidr: 10.1.0.0/16}\n",
	 4, 31, "overlaps resource \"a\""},
	{V "resources:\n  - {name: a, via: s/g, cidr: 10.0.0.0/8}\n"
	   "  - {name: a, via: s/h, cidr: 11.0.0.0/8}\n",
	 4, 12, "stands twice"},
	{V "enrollers: [{id: abc, scope: a=b}]\n", 2, 18, "64 lower-case hex digits"},
	{V "enrollers: [{id: " HEX ", scope: \"\"}]\n", 2, 91, "would admit anybody"},
	{V "enrollers: [{id: " HEX ", scope: sortie/x=a}]\n", 2, 91, "reserved"},
	{V "enrollers: [{id: " HEX ", scope: a}]\n", 2, 91, "expected key=value"},
	{V "enrollers: [{id: " HEX ", scope: a=b}, {id: " HEX ", scope: a=c}]\n", 2, 102,
	 "stands twice"},
	{V "tests: [{from: a/b, to: c/d}]\n", 2, 9, "tests nothing"},
	{V "tests: [{from: web, to: c/d, deny: [tcp/1]}]\n", 2, 16, "site/workload"},
	{V "tests: [{from: a/b, to: c/d, allow: [ssh]}]\n", 2, 38, "service \"ssh\" is unknown"},
};

static void test_refusals(void **state)
{
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		all &= refused(refusals[i].text, &refusals[i], -EINVAL);
	assert_true(all);
}

/* A text of n times the same piece between two others. */
static char *repeat(const char *before, const char *piece, size_t n, const char *after)
{
	size_t step = strlen(piece);
	char *text = malloc(strlen(before) + n * step + strlen(after) + 1);
	char *at;

	assert_non_null(text);
	at = stpcpy(text, before);
	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, piece);
	strcpy(at, after);
	return text;
}

/* Elements, depth, bytes, ports, values, terms: each limit at its first step beyond. */
static void test_limits(void **state)
{
	static const struct {
		const char *before, *piece, *after;
		size_t n;
		struct refusal want;
	} cases[] = {
		{V "rules: [", "a,", "]", 500000, {NULL, 2, 399997, "too many YAML nodes"}},
		{V "rules: [", "a, ", "]", 1000000, {NULL, 0, 0, "at most 1048576 are read"}},
		{V "rules: ", "[", "", 100000, {NULL, 2, 23, "nested too deeply"}},
		{V "rules: ", "{a: ", "", 100000, {NULL, 2, 68, "nested too deeply"}},
		{V "rules: [", RULE ",", "]", 10001, {NULL, 2, 8, "rules has 10001 entries"}},
		{V "tests: [", "{},", "]", 1001, {NULL, 2, 8, "tests has 1001 entries"}},
		{V "hosts: [", "{},", "]", 257, {NULL, 2, 8, "hosts has 257 entries"}},
		{V "services: {s: [", "tcp/1,", "]}", 65, {NULL, 2, 400, "more than 64 ports"}},
		{V "groups: {g: \"", "a!=b,", "a!=b\"}", 16, {NULL, 2, 13, "more than 16 terms"}},
		{V "groups: {g: \"a=", "bcdefghi", "\"}", 600, {NULL, 2, 13, "more than 4096"}},
	};
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(freep) char *text =
			repeat(cases[i].before, cases[i].piece, cases[i].n, cases[i].after);
		all &= refused(text, &cases[i].want, -EFBIG);
	}
	assert_true(all);
}

static void test_values_limit(void **state)
{
	char text[1024] = "a in (v0";
	struct policy_selector selector;
	struct err err;

	for (int i = 1; i <= 64; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used, ",v%d", i);
	}
	strcat(text, ")");
	assert_int_equal(policy_selector_parse(text, &selector, &err), -EFBIG);
	assert_non_null(strstr(err.text, "more than 64 values"));
}

/* A bomb of aliases: nine levels of nine would be 10^8 nodes. It dies at its first anchor. */
static void test_alias_bomb(void **state)
{
	static const char text[] = V "groups:\n  a: &a [x,x,x]\n  b: &b [*a,*a,*a]\n";

	assert_true(refused(text, &(struct refusal){NULL, 3, 6, "anchors and aliases"}, -EINVAL));
}

/* Every prefix of a valid policy is refused or read, without a crash or a leak. */
static void test_truncated(void **state)
{
	static const char text[] = V
		"services: {web: [tcp/80, udp/1-5]}\ngroups: {db: role=db}\nrules:\n  - name: r\n"
		"    from: a in (b,c)\n    to: db\n    allow: [web, icmp]\n    expires: 2027-06-30\n";
	for (size_t length = 0; length < sizeof(text); length++) {
		_cleanup_(policy_freep) struct policy *policy = NULL;
		struct err err;
		(void)policy_parse(text, length, &policy, &err);
	}
}

static const char everything[] =
	V "services:\n"
	  "  web: [tcp/443, tcp/80, udp/443]\n"
	  "groups:\n"
	  "  databases: role=db,env=prod\n"
	  "  admin: ops/alice\n"
	  "rules:\n"
	  "  - name: web reads\n"
	  "    from: role in (web, api),env!=dev\n"
	  "    to: databases\n"
	  "    allow: [tcp/5432, web, tcp/81]\n"
	  "    owner: payments\n"
	  "    expires: 2027-06-30\n"
	  "    on-loss: keep\n"
	  "  - {name: \"p\u00e4ge\", from: any, to: admin, allow: [icmp], any: true}\n"
	  "  - {name: lan, from: admin, to: resource:lan, allow: [tcp/22]}\n"
	  "hosts:\n"
	  "  - {on: databases, mode: overlay, egress: locked, containers: true, lease: 1h}\n"
	  "  - {on: any, any: true}\n"
	  "underlay:\n"
	  "  - {name: bastion, on: admin, from: [192.0.2.0/24, 2001:db8::/32], allow: [tcp/22]}\n"
	  "resources:\n"
	  "  - {name: lan, via: site-a/gateway, cidr: 10.0.0.0/8}\n"
	  "enrollers:\n"
	  "  - {id: " HEX ", scope: \"role=ci,env=dev\"}\n"
	  "tests:\n"
	  "  - {from: site-a/web, to: site-b/db, allow: [web], deny: [tcp/22]}\n";

static void check_ports(const struct policy_port *ports, size_t n, const char *want)
{
	char text[256] = "";

	for (size_t i = 0; i < n; i++) {
		char one[POLICY_PORT_TEXT_MAX];
		strcat(strcat(text, policy_port_format(&ports[i], one)), " ");
	}
	assert_string_equal(text, want);
}

static void test_rules_read(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy(everything);
	const struct policy_rule *rule = policy->rules;

	assert_int_equal(policy->n_rules, 3);
	assert_string_equal(rule->name, "web reads");
	assert_string_equal(rule->from.text, "role in (web, api),env!=dev");
	assert_int_equal(rule->from.n_terms, 2);
	assert_int_equal(rule->from.terms[0].operator, POLICY_IN);
	assert_string_equal(rule->from.terms[0].values[1], "api");
	assert_int_equal(rule->from.terms[1].operator, POLICY_NOT_EQUAL);
	assert_string_equal(rule->to.text, "databases");
	assert_int_equal(rule->to.n_terms, 2);
	check_ports(rule->ports, rule->n_ports, "tcp/80-81 tcp/443 tcp/5432 udp/443 ");
	assert_string_equal(rule->owner, "payments");
	assert_int_equal(rule->expires_at, 1814313600);
	assert_true(rule->on_loss_keep);
	assert_int_equal(rule->line, 8);
	assert_true(rule[1].from.any);
	assert_string_equal(rule[1].to.name, "ops/alice");
	check_ports(rule[1].ports, rule[1].n_ports, "icmp ");
	assert_false(rule[1].on_loss_keep);
	assert_string_equal(rule[2].resource, "lan");
	assert_int_equal(rule[2].to.n_terms, 0);
}

static void test_sections_read(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy(everything);
	const struct policy_host *host = policy->hosts;

	assert_int_equal(policy->n_hosts, 2);
	assert_int_equal(host->mode, POLICY_MODE_OVERLAY);
	assert_true(host->egress_locked && host->containers && host->lease_s == 3600);
	assert_true(host[1].on.any && host[1].mode == POLICY_MODE_ENFORCE);
	assert_int_equal(policy->n_underlay, 1);
	assert_int_equal(policy->underlay->n_ranges, 2);
	assert_int_equal(policy->underlay->ranges[1].length, 32);
	assert_int_equal(policy->n_resources, 1);
	assert_string_equal(policy->resources->via, "site-a/gateway");
	assert_int_equal(policy->n_enrollers, 1);
	assert_string_equal(labels_get(&policy->enrollers->scope, "role"), "ci");
	assert_int_equal(policy->n_tests, 1);
	check_ports(policy->tests->allow, policy->tests->n_allow, "tcp/80 tcp/443 udp/443 ");
}

/* JSON is YAML; the smallest policy denies everything. */
static void test_forms(void **state)
{
	static const char *const texts[] = {
		"version: 1",
		("{\"version\": 1, \"rules\": [{\"name\": \"r\", \"from\": \"a=b\", \"to\": \"s/w\", "
		 "\"allow\": [\"tcp/1\"]}]}"),
		"---\nversion: 1\n...\n",
		"version: 1\r\nrules: []\r\n",
		"\xef\xbb\xbfversion: 1\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(policy_freep) struct policy *policy = parse_policy(texts[i]);
		assert_int_equal(policy->n_rules, i == 1);
	}
}

static void test_ports(void **state)
{
	static const struct {
		const char *text;
		struct policy_port port; /* protocol 0: refused */
	} cases[] = {
		{"tcp/1", {IPPROTO_TCP, 1, 1}},
		{"udp/65535", {IPPROTO_UDP, 65535, 65535}},
		{"tcp/1-65535", {IPPROTO_TCP, 1, 65535}},
		{"icmp", {IPPROTO_ICMP, 0, 0}},
		{"", {0}},
		{"tcp", {0}},
		{"tcp/", {0}},
		{"tcp/01", {0}},
		{"tcp/+1", {0}},
		{"tcp/1-", {0}},
		{"tcp/1-1", {0}},
		{"tcp/-1", {0}},
		{"tcp/1-2-3", {0}},
		{"TCP/1", {0}},
		{"tcp/1 ", {0}},
		{" tcp/1", {0}},
		{"icmp/8", {0}},
		{"tcp/99999", {0}},
		{"tcp/1-99999", {0}},
		{"80", {0}},
		{"tcp/18446744073709551617", {0}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[POLICY_PORT_TEXT_MAX];
		struct policy_port port = {0};
		int r = policy_port_parse(cases[i].text, &port, NULL);
		assert_int_equal(r, cases[i].port.protocol ? 0 : -EINVAL);
		assert_true(same_port(&port, &cases[i].port));
		if (r == 0)
			assert_string_equal(policy_port_format(&port, text), cases[i].text);
	}
}

/* What is missing never matches. */
static void test_selectors(void **state)
{
	static const struct {
		const char *selector, *member;
		bool selects;
	} cases[] = {
		{"role=db", "a/b role=db", true},
		{"role=db", "a/b role=web", false},
		{"role=db", "a/b", false},
		{"role!=db", "a/b role=web", true},
		{"role!=db", "a/b role=db", false},
		{"role!=db", "a/b", false},
		{"role!=db", "a/b env=prod", false},
		{"role in (db,web)", "a/b role=web", true},
		{"role in (db,web)", "a/b role=we", false},
		{"role in (db,web)", "a/b", false},
		{"role notin (db,web)", "a/b role=api", true},
		{"role notin (db,web)", "a/b role=db", false},
		{"role notin (db,web)", "a/b", false},
		{"role=db,env=prod", "a/b role=db,env=prod", true},
		{"role=db,env=prod", "a/b role=db", false},
		{" role = db , env != dev ", "a/b role=db,env=prod", true},
		{"role!=a,role!=b", "a/b role=c", true},
		{"role!=a,role!=b", "a/b role=b", false},
		{"a/b", "a/b", true},
		{"a/b", "a/bb", false},
		{"a/b", "a/c a=b", false},
		{"app.kubernetes.io/name=x", "a/b app.kubernetes.io/name=x", true},
		{"role=DB", "a/b role=db", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_member member = parse_member(cases[i].member);
		struct policy_selector selector;
		assert_int_equal(policy_selector_parse(cases[i].selector, &selector, NULL), 0);
		if (policy_selects(&selector, &member) != cases[i].selects)
			fail_msg("%s on %s", cases[i].selector, cases[i].member);
		policy_selector_done(&selector);
	}
}

static void test_selectors_refused(void **state)
{
	static const char *const texts[] = {
		"",	   "any",     "databases", " ",	    ",",    "a=b,,c=d", "a=b)",
		"(a=b)",   "a in(b)", "a inb",	   "a=b c", "a = ", "!a",	"a!b",
		"a=b;c=d", "a=b\n",   "a in (b),", "a=*",   "*",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct policy_selector selector;
		struct err err = {0};
		if (policy_selector_parse(texts[i], &selector, &err) != -EINVAL || !*err.text)
			fail_msg("accepted: \"%s\"", texts[i]);
	}
}

/* No terms, no name, not any: nobody. */
static void test_empty_selector(void **state)
{
	struct policy_member member = parse_member("a/b role=db");
	struct policy_selector selector = {0};

	assert_false(policy_selects(&selector, &member));
	member.name[0] = '\0';
	assert_false(policy_selects(&selector, &member));
	selector.any = true;
	assert_true(policy_selects(&selector, &member));
	policy_selector_done(&selector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_values_limit),
		cmocka_unit_test(test_alias_bomb),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_rules_read),
		cmocka_unit_test(test_sections_read),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_selectors_refused),
		cmocka_unit_test(test_empty_selector),
	};
	return cmocka_run_group_tests_name("policy_parse", tests, NULL, NULL);
}
