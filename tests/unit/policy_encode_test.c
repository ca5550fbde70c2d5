/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What travels: one form, the same decisions on the other side, and nothing else is accepted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/policy_helpers.h"

#define HEX   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define EMPTY "{\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[],\"enrollers\":[]}"
#define LEAF  "{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}"

static const char source[] =
	"version: 1\n"
	"services: {web: [tcp/443, tcp/80]}\n"
	"groups: {databases: \"role=db , env=prod\"}\n"
	"rules:\n"
	"  - {name: \"w\u00fcb \\\"q\\\"\", from: \"role in (web, api),env!=dev\", to: databases, allow: [web, "
	"icmp],\n"
	"     owner: pay, expires: 2027-06-30, on-loss: keep}\n"
	"  - {name: all, from: any, to: site-b/db, allow: [udp/1-9], any: true}\n"
	"  - {name: lan, from: \"x notin (a)\", to: \"resource:lan\", allow: [tcp/22]}\n"
	"hosts:\n"
	"  - {on: databases, mode: observe, egress: locked, containers: true, lease: 1h}\n"
	"  - {on: any, any: true}\n"
	"underlay:\n"
	"  - {name: in, on: databases, from: [192.0.2.0/24, 0.0.0.0/0], allow: [tcp/22], any: true}\n"
	"egress:\n"
	"  - {name: names, on: any, to: [\"2001:db8::53/128\"], allow: [udp/53, tcp/53], any: true}\n"
	"resources: [{name: lan, via: a/gw, cidr: \"2001:db8::/32\"}]\n"
	"enrollers: [{id: " HEX ", scope: \"role=ci,env=dev\"}]\n"
	"tests: [{from: a/b, to: c/d, deny: [tcp/1]}]\n";

static void test_form(void **state)
{
	static const char *const leaves[] = {
		"{\"name\":\"w\u00fcb \\\"q\\\"\",\"from\":\"role in (web,api),env!=dev\",\"to\":\"role=db,env=prod\","
		"\"allow\":[\"icmp\",\"tcp/80\",\"tcp/443\"],\"owner\":\"pay\",\"expires\":\"2027-06-30T00:00:00Z\","
		"\"on-loss\":\"keep\"}",
		"{\"name\":\"all\",\"from\":\"any\",\"to\":\"site-b/db\",\"allow\":[\"udp/1-9\"],\"any\":true}",
		"{\"name\":\"lan\",\"from\":\"x notin (a)\",\"to\":\"resource:lan\",\"allow\":[\"tcp/22\"]}",
	};
	_cleanup_(policy_freep) struct policy *policy = parse_policy(source);
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};

	assert_int_equal(policy_encode(policy, &encoded), 0);
	assert_int_equal(encoded.n_leaves, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(encoded.leaves[i], leaves[i]);
	assert_string_equal(
		encoded.header,
		"{\"version\":1,\"resources\":[{\"name\":\"lan\",\"via\":\"a/gw\",\"cidr\":\"2001:db8::/32\"}],"
		"\"hosts\":[{\"on\":\"role=db,env=prod\",\"mode\":\"observe\",\"egress\":\"locked\",\"containers\":true,"
		"\"lease\":\"3600s\"},{\"on\":\"any\",\"mode\":\"enforce\",\"egress\":\"open\",\"containers\":false,"
		"\"any\":true}],\"underlay\":[{\"name\":\"in\",\"on\":\"role=db,env=prod\",\"from\":[\"192.0.2.0/24\","
		"\"0.0.0.0/0\"],\"allow\":[\"tcp/22\"],\"any\":true}],"
		"\"egress\":[{\"name\":\"names\",\"on\":\"any\",\"to\":[\"2001:db8::53/128\"],"
		"\"allow\":[\"tcp/53\",\"udp/53\"],\"any\":true}],\"enrollers\":[{\"id\":\"" HEX
		"\",\"scope\":\"env=dev,role=ci\"}]}");
}

static struct policy *round_trip(const struct policy *policy)
{
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};
	struct policy *decoded = NULL;
	struct err err = {0};

	assert_int_equal(policy_encode(policy, &encoded), 0);
	if (policy_decode(encoded.header, (const char *const *)encoded.leaves, encoded.n_leaves,
			  &decoded, &err) < 0)
		fail_msg("%s", err.text);
	return decoded;
}

static void test_round_trip(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = parse_policy(source);
	_cleanup_(policy_freep) struct policy *decoded = round_trip(policy);
	_cleanup_(policy_encoded_done) struct policy_encoded first = {0}, second = {0};

	assert_int_equal(decoded->n_tests, 0);
	assert_int_equal(decoded->rules[0].line, 0);
	assert_string_equal(decoded->rules[0].to.text, "role=db,env=prod");
	assert_int_equal(policy_encode(policy, &first), 0);
	assert_int_equal(policy_encode(decoded, &second), 0);
	assert_string_equal(first.header, second.header);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(first.leaves[i], second.leaves[i]);
}

/* Same grants, same settings of every host. */
static void test_same_decisions(void **state)
{
	static const char *const people[] = {
		"site-a/web role=web,env=prod,x=b",
		"site-a/api role=api,env=dev,x=a",
		"site-b/db role=db,env=prod",
		"site-b/old role=db",
		"site-c/bare",
	};
	_cleanup_(policy_freep) struct policy *policy = parse_policy(source);
	_cleanup_(policy_freep) struct policy *decoded = round_trip(policy);
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));
	_cleanup_(freep) struct policy_grant *a = NULL;
	_cleanup_(freep) struct policy_grant *b = NULL;
	size_t n_a, n_b;

	assert_int_equal(policy_resolve(policy, &inventory, NOW, -1, 1000, &a, &n_a), 0);
	assert_int_equal(policy_resolve(decoded, &inventory, NOW, -1, 1000, &b, &n_b), 0);
	assert_int_equal(n_a, 7); /* three ports for web, udp for four */
	assert_int_equal(n_a, n_b);
	for (size_t i = 0; i < n_a; i++)
		assert_true(a[i].from == b[i].from && a[i].to == b[i].to &&
			    a[i].rule == b[i].rule && same_port(&a[i].port, &b[i].port) &&
			    a[i].expires_at == b[i].expires_at &&
			    a[i].on_loss_keep == b[i].on_loss_keep);
	for (size_t i = 0; i < inventory.n; i++) {
		struct policy_host_settings s = policy_host_settings(policy, &inventory.members[i]);
		struct policy_host_settings t =
			policy_host_settings(decoded, &inventory.members[i]);
		assert_true(s.mode == t.mode && s.egress_locked == t.egress_locked &&
			    s.containers == t.containers && s.lease_s == t.lease_s);
	}
}

static void check_decode(const char *header, const char *leaf, bool accepted, const char *words)
{
	struct policy *policy = NULL;
	struct err err = {0};
	int r = policy_decode(header, &leaf, leaf ? 1 : 0, &policy, &err);

	if ((r == 0) != accepted || (r < 0 && (policy || !strstr(err.text, words))))
		fail_msg("%d \"%s\" (want \"%s\"): %s %s", r, err.text, words, header,
			 leaf ? leaf : "");
	policy_free(policy);
}

static void test_headers(void **state)
{
	static const struct {
		const char *header, *words; /* no words: accepted */
	} cases[] = {
		{EMPTY, NULL},
		/* whoever embeds it may write other spaces and another order */
		{"{ \"hosts\": [], \"version\": 1, \"resources\": [], \"enrollers\": [], \"underlay\": [] }",
		 NULL},
		/* of before there was such a section, and with it */
		{"{\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[],\"egress\":[],\"enrollers\":[]}",
		 "one form"},
		{"{\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[],\"egress\":[{\"name\":\"n\",\"on\":\"a=b\","
		 "\"to\":[\"192.0.2.53/32\"],\"allow\":[\"udp/53\"]}],\"enrollers\":[]}",
		 NULL},
		{"{\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[],\"egress\":[{\"name\":\"n\",\"on\":\"a=b\","
		 "\"from\":[\"192.0.2.53/32\"],\"allow\":[\"udp/53\"]}],\"enrollers\":[]}",
		 "no key \"from\""},
		{"", "no JSON"},
		{"[]", "is a mapping"},
		{"{}", "lacks \"version\""},
		{EMPTY "x", "no JSON"},
		{"{\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[]}",
		 "lacks \"enrollers\""},
		{"{\"version\":2,\"resources\":[],\"hosts\":[],\"underlay\":[],\"enrollers\":[]}",
		 "write 1"},
		{"{\"version\":\"1\",\"resources\":[],\"hosts\":[],\"underlay\":[],\"enrollers\":[]}",
		 "one form"},
		{"{\"version\":1.0,\"resources\":[],\"hosts\":[],\"underlay\":[],\"enrollers\":[]}",
		 "fraction"},
		{"{\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[],\"enrollers\":[],\"rules\":[]}",
		 "no key \"rules\""},
		{"{\"version\":1,\"version\":1,\"resources\":[],\"hosts\":[],\"underlay\":[],\"enrollers\":[]}",
		 "duplicate"},
		{"{\"version\":1,\"resources\":[],\"hosts\":null,\"underlay\":[],\"enrollers\":[]}",
		 "null"},
		{"{\"version\":1,\"resources\":[],\"hosts\":[{\"on\":\"a=b\"}],\"underlay\":[],\"enrollers\":[]}",
		 "one form"},
		{"{\"version\":1,\"resources\":[],\"hosts\":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]],\"underlay\":[],"
		 "\"enrollers\":[]}",
		 "levels"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_decode(cases[i].header, NULL, !cases[i].words, cases[i].words);
}

static void test_leaves(void **state)
{
	static const struct {
		const char *leaf, *words;
	} cases[] = {
		{LEAF, NULL},
		{LEAF " ", "one form"},
		{"{\"from\":\"a=b\",\"name\":\"r\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "one form"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\"}", "lacks \"allow\""},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"web\"]}",
		 "service \"web\" is unknown"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"db\",\"allow\":[\"tcp/1\"]}",
		 "group \"db\" is unknown"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"resource:x\",\"allow\":[\"tcp/1\"]}",
		 "is unknown"},
		{"{\"name\":\"r\",\"from\":\"any\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "any: true"},
		{"{\"name\":\"r\",\"from\":\"any\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"],\"any\":\"true\"}",
		 "one form"},
		{"{\"name\":\"r\",\"from\":\"any\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"],\"any\":true}",
		 NULL},
		{"{\"name\":\"r\",\"from\":\"\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "write labels"},
		{"{\"name\":\"r\",\"from\":\"a=b \",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "one form"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/2\",\"tcp/1\"]}",
		 "one form"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\",\"tcp/1\"]}",
		 "one form"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"],\"expires\":\"2027-06-30\"}",
		 "one form"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"],\"on-loss\":\"deny\"}",
		 "one form"},
		{"{\"name\":\"r\",\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "duplicate"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"],\"deny\":[]}",
		 "no key \"deny\""},
		{"{\"name\":\"a\\u0000b\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "no JSON"},
		{"{\"name\":\"r\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[1]}", "service \"1\""},
		{"{\"name\":[],\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "expected a word"},
		{"{\"name\":\"r\xff\",\"from\":\"a=b\",\"to\":\"s/w\",\"allow\":[\"tcp/1\"]}",
		 "no JSON"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_decode(EMPTY, cases[i].leaf, !cases[i].words, cases[i].words);
}

static void test_limits(void **state)
{
	static const char *leaves[POLICY_RULES_MAX + 1];
	struct policy *policy = NULL;
	struct err err;
	char big[70000];

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		leaves[i] = LEAF;
	assert_int_equal(policy_decode(EMPTY, leaves, ARRAY_SIZE(leaves), &policy, &err), -EFBIG);
	assert_int_equal(policy_decode(EMPTY, leaves, 2, &policy, &err), -EINVAL);
	assert_non_null(strstr(err.text, "stands twice"));
	memset(big, ' ', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	leaves[0] = big;
	assert_int_equal(policy_decode(EMPTY, leaves, 1, &policy, &err), -EFBIG);
	assert_null(policy);
}

/* The largest rule that the language allows still travels. */
static void test_largest_rule(void **state)
{
	static char text[16384];
	size_t used = (size_t)snprintf(text, sizeof(text), "version: 1\nrules:\n - name: ");

	for (int i = 0; i < 127; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "n");
	for (int side = 0; side < 2; side++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "\n   %s: k in (",
					 side ? "to" : "from");
		for (int i = 0; i < 64; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%060d",
						 i ? "," : "", i);
		used += (size_t)snprintf(text + used, sizeof(text) - used, ")");
	}
	used += (size_t)snprintf(text + used, sizeof(text) - used, "\n   allow: [");
	for (int i = 0; i < 64; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%stcp/%d-%d",
					 i ? "," : "", 10000 + 3 * i, 10001 + 3 * i);
	snprintf(text + used, sizeof(text) - used, "]\n");
	_cleanup_(policy_freep) struct policy *policy = parse_policy(text);
	_cleanup_(policy_freep) struct policy *decoded = round_trip(policy);
	assert_int_equal(decoded->rules[0].n_ports, 64);
	assert_int_equal(decoded->rules[0].to.terms[0].n_values, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),	       cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_same_decisions), cmocka_unit_test(test_headers),
		cmocka_unit_test(test_leaves),	       cmocka_unit_test(test_limits),
		cmocka_unit_test(test_largest_rule),
	};
	return cmocka_run_group_tests_name("policy_encode", tests, NULL, NULL);
}
