/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grants over an inventory: tables, a slow evaluator of its own beside the fast one, and what must never change. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <time.h>
#include "tests/unit/policy_helpers.h"

static const char *const people[] = {
	"a/web role=web,env=prod",
	"b/db role=db,env=prod",
	"b/db2 role=db,env=dev",
	"c/api role=api,env=prod",
	"c/bare",
};

/* "a/web>b/db tcp/80 r0[keep][until N]; ..." */
static void format_grants(const struct policy_inventory *inventory,
			  const struct policy_grant *grants, size_t n, char *text, size_t size)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < n && used < size; i++) {
		char port[POLICY_PORT_TEXT_MAX];
		used += (size_t)snprintf(text + used, size - used, "%s>%s %s r%u%s%s; ",
					 inventory->members[grants[i].from].name,
					 inventory->members[grants[i].to].name,
					 policy_port_format(&grants[i].port, port), grants[i].rule,
					 grants[i].on_loss_keep ? " keep" : "",
					 grants[i].expires_at ? " ends" : "");
	}
}

struct resolution {
	const char *rules; /* flow mappings without the name, one a line */
	ssize_t self;
	const char *grants;
};

static const struct resolution resolutions[] = {
	{"", -1, ""},
	{"from: role=web, to: role=db, allow: [tcp/5432]\n", -1,
	 "a/web>b/db tcp/5432 r0; a/web>b/db2 tcp/5432 r0; "},
	{"from: role=web, to: \"role=db,env=prod\", allow: [tcp/5432, icmp]\n", -1,
	 "a/web>b/db icmp r0; a/web>b/db tcp/5432 r0; "},
	/* nobody to himself */
	{"from: role=db, to: role=db, allow: [tcp/1]\n", -1,
	 "b/db>b/db2 tcp/1 r0; b/db2>b/db tcp/1 r0; "},
	{"from: a/web, to: a/web, allow: [tcp/1]\n", -1, ""},
	/* what is missing never matches */
	{"from: role=web, to: role!=web, allow: [tcp/1]\n", -1,
	 "a/web>b/db tcp/1 r0; a/web>b/db2 tcp/1 r0; a/web>c/api tcp/1 r0; "},
	{"from: c/bare, to: \"env notin (dev)\", allow: [tcp/1]\n", -1,
	 "c/bare>a/web tcp/1 r0; c/bare>b/db tcp/1 r0; c/bare>c/api tcp/1 r0; "},
	{"from: role=nobody, to: role=db, allow: [tcp/1]\n", -1, ""},
	{"from: zone!=x, to: role=db, allow: [tcp/1]\n", -1, ""},
	{"from: x/y, to: role=db, allow: [tcp/1]\n", -1, ""},
	{"from: any, to: c/bare, allow: [tcp/1], any: true\n", -1,
	 "a/web>c/bare tcp/1 r0; b/db>c/bare tcp/1 r0; b/db2>c/bare tcp/1 r0; c/api>c/bare tcp/1 r0; "},
	/* time */
	{"from: a/web, to: b/db, allow: [tcp/1], expires: 2027-01-15\n", -1, ""},
	{"from: a/web, to: b/db, allow: [tcp/1], expires: 2027-01-15T08:00:00Z\n", -1, ""},
	{"from: a/web, to: b/db, allow: [tcp/1], expires: 2027-01-15T08:00:01Z\n", -1,
	 "a/web>b/db tcp/1 r0 ends; "},
	/* merging: overlapping, equal in expiry and on-loss, first rule; adjacent ones keep their rules */
	{"from: a/web, to: b/db, allow: [tcp/5-9]\nfrom: a/web, to: role=db, allow: [tcp/1-6]\n",
	 -1, "a/web>b/db tcp/1-9 r0; a/web>b/db2 tcp/1-6 r1; "},
	{"from: a/web, to: b/db, allow: [tcp/1-3]\nfrom: a/web, to: b/db, allow: [tcp/4-6]\n", -1,
	 "a/web>b/db tcp/1-3 r0; a/web>b/db tcp/4-6 r1; "},
	{"from: a/web, to: b/db, allow: [udp/1]\nfrom: a/web, to: b/db, allow: [tcp/1]\n", -1,
	 "a/web>b/db tcp/1 r1; a/web>b/db udp/1 r0; "},
	{"from: a/web, to: b/db, allow: [tcp/1-9], on-loss: keep\n"
	 "from: a/web, to: b/db, allow: [tcp/1-6]\n",
	 -1, "a/web>b/db tcp/1-6 r1; a/web>b/db tcp/1-9 r0 keep; "},
	/* different ends: the longest keeps the port, the others the rest */
	{"from: a/web, to: b/db, allow: [tcp/1-9], expires: 2028-01-01\n"
	 "from: a/web, to: b/db, allow: [tcp/4-6]\n",
	 -1, "a/web>b/db tcp/1-3 r0 ends; a/web>b/db tcp/4-6 r1; a/web>b/db tcp/7-9 r0 ends; "},
	{"from: a/web, to: b/db, allow: [tcp/4-6], expires: 2028-01-01\n"
	 "from: a/web, to: b/db, allow: [tcp/1-9]\n",
	 -1, "a/web>b/db tcp/1-9 r1; "},
	{"from: a/web, to: b/db, allow: [tcp/1-2, tcp/5-6, tcp/9], expires: 2028-01-01\n"
	 "from: a/web, to: b/db, allow: [tcp/1-65535], expires: 2027-06-01\n"
	 "from: a/web, to: b/db, allow: [tcp/6-9], expires: 2029-01-01\n",
	 -1,
	 "a/web>b/db tcp/1-2 r0 ends; a/web>b/db tcp/3-4 r1 ends; a/web>b/db tcp/5 r0 ends; "
	 "a/web>b/db tcp/6-9 r2 ends; a/web>b/db tcp/10-65535 r1 ends; "},
	{"from: a/web, to: b/db, allow: [icmp], expires: 2028-01-01\n"
	 "from: a/web, to: b/db, allow: [icmp]\n",
	 -1, "a/web>b/db icmp r1; "},
	/* one member's view: row and column */
	{"from: role=web, to: role=db, allow: [tcp/1]\nfrom: role=db, to: role=api, allow: [tcp/2]\n",
	 1, "a/web>b/db tcp/1 r0; b/db>c/api tcp/2 r1; "},
	{"from: role=db, to: role=db, allow: [tcp/1]\n", 2,
	 "b/db>b/db2 tcp/1 r0; b/db2>b/db tcp/1 r0; "},
	{"from: role=web, to: role=db, allow: [tcp/1]\n", 4, ""},
	{"from: any, to: any, allow: [tcp/1], any: true\n", 4,
	 "a/web>c/bare tcp/1 r0; b/db>c/bare tcp/1 r0; b/db2>c/bare tcp/1 r0; c/api>c/bare tcp/1 r0; "
	 "c/bare>a/web tcp/1 r0; c/bare>b/db tcp/1 r0; c/bare>b/db2 tcp/1 r0; c/bare>c/api tcp/1 r0; "},
};

/* Lines of "from: ..., to: ..." become rules r0, r1, ... */
static struct policy *policy_of(const char *rules)
{
	char text[4096] =
		"version: 1\nresources: [{name: lan, via: a/web, cidr: 10.0.0.0/8}]\nrules:";
	size_t used = strlen(text);
	unsigned int n = 0;

	for (const char *line = rules; *line; line = strchr(line, '\n') + 1)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "\n  - {name: r%u, %.*s}", n++, (int)strcspn(line, "\n"),
					 line);
	return parse_policy(strcat(text, n ? "\n" : " []\n"));
}

static void test_resolutions(void **state)
{
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));

	for (size_t i = 0; i < ARRAY_SIZE(resolutions); i++) {
		_cleanup_(policy_freep) struct policy *policy = policy_of(resolutions[i].rules);
		_cleanup_(freep) struct policy_grant *grants = NULL;
		char text[2048];
		size_t n;
		assert_int_equal(policy_resolve(policy, &inventory, NOW, resolutions[i].self, 100,
						&grants, &n),
				 0);
		format_grants(&inventory, grants, n, text, sizeof(text));
		assert_string_equal(text, resolutions[i].grants);
	}
}

/* A resource is behind its gateway: no grant to the gateway itself, no key pair. */
static void test_resource_opens_nothing(void **state)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("from: role=db, to: \"resource:lan\", allow: [tcp/1]\n");
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));
	_cleanup_(freep) struct policy_grant *grants = NULL;
	size_t n;

	assert_int_equal(policy_resolve(policy, &inventory, NOW, -1, 100, &grants, &n), 0);
	assert_int_equal(n, 0);
	assert_false(policy_paired(policy, &inventory.members[0], &inventory.members[1], NOW));
}

static void test_limits(void **state)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("from: role=web, to: role=db, allow: [tcp/1]\n");
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));
	struct policy_grant *grants = NULL;
	size_t n = 77;

	assert_int_equal(policy_resolve(policy, &inventory, NOW, -1, 1, &grants, &n), -EFBIG);
	assert_int_equal(policy_resolve(policy, &inventory, NOW, 5, 9, &grants, &n), -EINVAL);
	assert_true(!grants && n == 77);
	assert_int_equal(policy_resolve(policy, &inventory, NOW, -1, 2, &grants, &n), 0);
	assert_int_equal(n, 2);
	free(grants);
}

static void test_paired(void **state)
{
	_cleanup_(policy_freep) struct policy *policy = policy_of(
		"from: role=web, to: role=db, allow: [tcp/1]\n"
		"from: c/api, to: role=web, allow: [tcp/1], expires: 2027-01-01\n"
		"from: any, to: role=db, allow: [tcp/1], any: true, expires: 2027-01-01\n");
	_cleanup_(inventory_done) struct policy_inventory inventory =
		parse_inventory(people, ARRAY_SIZE(people));
	const struct policy_member *m = inventory.members;

	assert_true(policy_paired(policy, &m[0], &m[1], NOW));
	assert_true(policy_paired(policy, &m[1], &m[0], NOW));
	assert_false(policy_paired(policy, &m[0], &m[0], NOW));
	assert_false(policy_paired(policy, &m[1], &m[2], NOW));
	assert_false(policy_paired(policy, &m[3], &m[0], NOW));
	assert_true(policy_paired(policy, &m[3], &m[0], NOW - 30 * 86400));
}

/* The longest end of a port with this on-loss, asked rule by rule; -1: not allowed. */
static int64_t longest(const struct policy *policy, const struct policy_member *from,
		       const struct policy_member *to, const struct policy_port *port, bool keep)
{
	int64_t end = -1;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		int64_t until = rule->expires_at ? rule->expires_at : INT64_MAX;
		if (until <= NOW || rule->on_loss_keep != keep ||
		    !policy_selects(&rule->from, from) || !policy_selects(&rule->to, to))
			continue;
		for (size_t j = 0; j < rule->n_ports; j++)
			if (rule->ports[j].protocol == port->protocol &&
			    rule->ports[j].low <= port->low && rule->ports[j].high >= port->high &&
			    until > end)
				end = until;
	}
	return end;
}

/* Every port of every grant carries the longest end that any rule gives it. */
static void check_ends(const struct policy *policy, const struct policy_inventory *inventory)
{
	_cleanup_(freep) struct policy_grant *g = NULL;
	size_t n;

	assert_int_equal(policy_resolve(policy, inventory, NOW, -1, 100000, &g, &n), 0);
	for (size_t i = 0; i < n; i++)
		for (unsigned int p = g[i].port.low; p <= g[i].port.high; p++) {
			struct policy_port port = {g[i].port.protocol, (uint16_t)p, (uint16_t)p};
			assert_int_equal(longest(policy, &inventory->members[g[i].from],
						 &inventory->members[g[i].to], &port,
						 g[i].on_loss_keep),
					 g[i].expires_at ? g[i].expires_at : INT64_MAX);
		}
}

/* ---- random policies ---- */

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void random_selector(char *text, size_t size, bool *any)
{
	static const char *const operators[] = {"=", "!=", " in (", " notin ("};
	uint32_t kind = roll(12);
	size_t used = 0;

	if (kind == 0) {
		*any = true;
		snprintf(text, size, "any");
		return;
	}
	if (kind == 1) {
		snprintf(text, size, "s/m%u", roll(9));
		return;
	}
	for (uint32_t i = 0; i < 1 + roll(2); i++) {
		uint32_t operator= roll(4);
		char key = (char)('a' + (char)i); /* different keys: no contradiction to refuse */
		used += (size_t)snprintf(text + used, size - used, "%s%c%sv%u%s", i ? "," : "", key,
					 operators[operator], roll(3), operator < 2 ? "" : ",v9)");
	}
}

/* rules[] are texts so that a test may leave out, repeat or reorder them. */
static void random_rules(char (*rules)[256], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char from[64], to[64];
		bool any = false;
		uint32_t low = 1 + roll(6);
		random_selector(from, sizeof(from), &any);
		random_selector(to, sizeof(to), &any);
		snprintf(rules[i], sizeof(rules[i]),
			 "  - {name: r%zu, from: \"%s\", to: \"%s\", allow: [%s/%u-%u%s]%s%s%s}\n",
			 i, from, to, roll(2) ? "tcp" : "udp", low, low + 1 + roll(3),
			 roll(5) ? "" : ", icmp", any ? ", any: true" : "",
			 roll(4) ? "" : ", on-loss: keep",
			 roll(4)   ? ""
			 : roll(2) ? ", expires: 2020-01-01"
				   : ", expires: 2030-01-01");
	}
}

static struct policy *policy_of_rules(char (*rules)[256], const size_t *order, size_t n)
{
	char text[8192] = "version: 1\nrules:\n";

	for (size_t i = 0; i < n; i++)
		strcat(text, rules[order[i]]);
	return parse_policy(n ? text : "version: 1\n");
}

static struct policy_inventory random_inventory(const char *site, size_t n)
{
	struct policy_member *members = calloc(n, sizeof(*members));

	assert_non_null(members);
	for (size_t i = 0; i < n; i++) {
		snprintf(members[i].name, sizeof(members[i].name), "%s/m%zu", site, i);
		members[i].id.bytes[0] = (uint8_t)i;
		for (int key = 'a'; key <= 'b'; key++) {
			char value[3] = {'v', (char)('0' + (char)roll(3)), 0};
			if (roll(4))
				labels_add(&members[i].labels, (char[]){key, 0}, value, NULL);
		}
	}
	return (struct policy_inventory){members, n};
}

#define MEMBERS 8
#define PORTS	12 /* tcp/0..11; then udp/0..11; then icmp */
#define MATRIX	(MEMBERS * MEMBERS * (2 * PORTS + 1))

static void grant_matrix(const struct policy *policy, const struct policy_inventory *inventory,
			 bool matrix[MATRIX])
{
	_cleanup_(freep) struct policy_grant *grants = NULL;
	size_t n;

	memset(matrix, 0, MATRIX);
	assert_int_equal(policy_resolve(policy, inventory, NOW, -1, 1000000, &grants, &n), 0);
	for (size_t i = 0; i < n; i++) {
		size_t base = (grants[i].from * MEMBERS + grants[i].to) * (2 * PORTS + 1);
		if (grants[i].port.protocol == IPPROTO_ICMP)
			matrix[base + 2 * PORTS] = true;
		else
			for (unsigned int p = grants[i].port.low; p <= grants[i].port.high; p++)
				matrix[base + (grants[i].port.protocol == IPPROTO_UDP ? PORTS : 0) +
				       p] = true;
	}
}

static struct policy_port port_of(size_t i)
{
	if (i == 2 * PORTS)
		return (struct policy_port){.protocol = IPPROTO_ICMP};
	return (struct policy_port){i < PORTS ? IPPROTO_TCP : IPPROTO_UDP, (uint16_t)(i % PORTS),
				    (uint16_t)(i % PORTS)};
}

/* resolve, decide, paired and the view of each member say the same about every triple. */
static void check_agreement(const struct policy *policy, const struct policy_inventory *inventory)
{
	bool matrix[MATRIX];

	grant_matrix(policy, inventory, matrix);
	for (size_t f = 0; f < MEMBERS; f++)
		for (size_t t = 0; t < MEMBERS; t++) {
			const bool *row = &matrix[(f * MEMBERS + t) * (2 * PORTS + 1)];
			bool any = false;
			for (size_t p = 0; p < 2 * PORTS + 1; p++) {
				struct policy_port port = port_of(p);
				struct policy_decision decision;
				policy_decide(policy, &inventory->members[f],
					      &inventory->members[t], &port, NOW, &decision);
				assert_int_equal(decision.allowed, row[p]);
				any |= row[p];
			}
			if (any)
				assert_true(policy_paired(policy, &inventory->members[f],
							  &inventory->members[t], NOW));
		}
}

static void check_views(const struct policy *policy, const struct policy_inventory *inventory)
{
	_cleanup_(freep) struct policy_grant *all = NULL;
	size_t n_all;

	assert_int_equal(policy_resolve(policy, inventory, NOW, -1, 100000, &all, &n_all), 0);
	for (ssize_t self = 0; self < MEMBERS; self++) {
		_cleanup_(freep) struct policy_grant *own = NULL;
		size_t n_own, seen = 0;
		assert_int_equal(policy_resolve(policy, inventory, NOW, self, 100000, &own, &n_own),
				 0);
		for (size_t i = 0; i < n_all; i++) {
			if (all[i].from != self && all[i].to != self)
				continue;
			assert_true(seen < n_own);
			assert_true(all[i].from == own[seen].from && all[i].to == own[seen].to &&
				    all[i].rule == own[seen].rule &&
				    same_port(&all[i].port, &own[seen].port));
			seen++;
		}
		assert_int_equal(seen, n_own);
	}
}

/* Between grants of one pair, protocol and on-loss no port stands twice; order is as promised. */
static void check_form(const struct policy *policy, const struct policy_inventory *inventory)
{
	_cleanup_(freep) struct policy_grant *g = NULL;
	size_t n;

	assert_int_equal(policy_resolve(policy, inventory, NOW, -1, 100000, &g, &n), 0);
	for (size_t i = 1; i < n; i++) {
		assert_true(g[i - 1].from < g[i].from ||
			    (g[i - 1].from == g[i].from &&
			     (g[i - 1].to < g[i].to ||
			      (g[i - 1].to == g[i].to &&
			       (g[i - 1].port.protocol < g[i].port.protocol ||
				(g[i - 1].port.protocol == g[i].port.protocol &&
				 g[i - 1].port.low <= g[i].port.low))))));
		for (size_t j = 0; j < i; j++)
			assert_false(g[j].from == g[i].from && g[j].to == g[i].to &&
				     g[j].port.protocol == g[i].port.protocol &&
				     g[j].on_loss_keep == g[i].on_loss_keep &&
				     g[j].port.low <= g[i].port.high &&
				     g[i].port.low <= g[j].port.high);
	}
}

#define RULES 7

static void check_metamorphic(char (*rules)[256], const struct policy *policy,
			      const struct policy_inventory *inventory)
{
	static const size_t reversed[RULES] = {6, 5, 4, 3, 2, 1, 0};
	_cleanup_(policy_freep) struct policy *backwards = policy_of_rules(rules, reversed, RULES);
	bool matrix[MATRIX], other[MATRIX];

	grant_matrix(policy, inventory, matrix);
	/* the order of rules changes nothing */
	grant_matrix(backwards, inventory, other);
	assert_memory_equal(matrix, other, sizeof(matrix));
	/* removing a rule never opens */
	for (size_t left_out = 0; left_out < RULES; left_out++) {
		size_t order[RULES - 1], n = 0;
		for (size_t i = 0; i < RULES; i++)
			if (i != left_out)
				order[n++] = i;
		_cleanup_(policy_freep) struct policy *fewer = policy_of_rules(rules, order, n);
		grant_matrix(fewer, inventory, other);
		for (size_t i = 0; i < MATRIX; i++)
			assert_true(matrix[i] || !other[i]);
	}
}

/* Renaming identities changes nothing where rules do not name them. */
static void check_renamed(char (*rules)[256], const struct policy_inventory *inventory)
{
	size_t order[RULES], n = 0;
	bool matrix[MATRIX], other[MATRIX];
	struct policy_member *members = calloc(MEMBERS, sizeof(*members));

	assert_non_null(members);
	for (size_t i = 0; i < RULES; i++)
		if (!strstr(rules[i], "\"s/m"))
			order[n++] = i;
	_cleanup_(policy_freep) struct policy *policy = policy_of_rules(rules, order, n);
	grant_matrix(policy, inventory, matrix);
	for (size_t i = 0; i < MEMBERS; i++) {
		members[i] = inventory->members[i];
		snprintf(members[i].name, sizeof(members[i].name), "t/x%zu", MEMBERS - i);
	}
	grant_matrix(policy, &(struct policy_inventory){members, MEMBERS}, other);
	assert_memory_equal(matrix, other, sizeof(matrix));
	free(members);
}

static size_t count_open(const struct policy *policy, const struct policy_inventory *inventory)
{
	bool matrix[MATRIX];
	size_t open = 0;

	grant_matrix(policy, inventory, matrix);
	for (size_t i = 0; i < MATRIX; i++)
		open += matrix[i];
	return open;
}

static void test_random(void **state)
{
	const char *given = getenv("SEED");
	uint32_t first = given ? (uint32_t)strtoul(given, NULL, 0) : 1;
	static const size_t order[RULES] = {0, 1, 2, 3, 4, 5, 6};
	size_t open = 0;

	for (uint32_t round = 0; round < 150; round++) {
		char rules[RULES][256];
		seed = first + round;
		random_rules(rules, RULES);
		_cleanup_(policy_freep) struct policy *policy =
			policy_of_rules(rules, order, RULES);
		_cleanup_(inventory_done) struct policy_inventory inventory =
			random_inventory("s", MEMBERS);
		check_agreement(policy, &inventory);
		check_views(policy, &inventory);
		check_form(policy, &inventory);
		check_ends(policy, &inventory);
		check_metamorphic(rules, policy, &inventory);
		check_renamed(rules, &inventory);
		open += count_open(policy, &inventory);
	}
	print_message("# seeds %u to %u, %zu open triples\n", first, first + 149, open);
	assert_in_range(open, 10000,
			150 * MATRIX / 2); /* neither nothing nor everything was asked */
}

/* ---- speed ---- */

/* 10,000 rules over 1,000 members, 100,000 grants. */
static struct policy *large_policy(void)
{
	struct policy *policy;
	size_t used = 0, size = 2000000;
	_cleanup_(freep) char *text = malloc(size);
	struct err err;

	assert_non_null(text);
	used += (size_t)snprintf(text, size, "version: 1\nrules:\n");
	for (unsigned int i = 0; i < 10000; i++)
		used += (size_t)snprintf(
			text + used, size - used,
			" - {name: r%u, from: a=v%u, to: b!=x%u, allow: [tcp/%u]}\n", i, i % 1000,
			i % 1000, 1 + i);
	used = strlen(text);
	assert_int_equal(policy_parse(text, used, &policy, &err), 0);
	/* `b!=` looks at all carriers of b, of whom there are eleven */
	return policy;
}

static struct policy_inventory large_inventory(void)
{
	struct policy_member *members = calloc(1000, sizeof(*members));

	assert_non_null(members);
	for (unsigned int i = 0; i < 1000; i++) {
		char value[16];
		snprintf(members[i].name, sizeof(members[i].name), "s/m%u", i);
		memcpy(members[i].id.bytes, &i, sizeof(i));
		snprintf(value, sizeof(value), "v%u", i);
		labels_add(&members[i].labels, "a", value, NULL);
		if (i >= 990)
			labels_add(&members[i].labels, "b", "y", NULL);
	}
	return (struct policy_inventory){members, 1000};
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_speed(void **state)
{
	double start = seconds();
	_cleanup_(policy_freep) struct policy *policy = large_policy();
	double parsed = seconds();
	_cleanup_(inventory_done) struct policy_inventory inventory = large_inventory();
	_cleanup_(freep) struct policy_grant *grants = NULL;
	double begin = seconds();
	size_t n;

	assert_int_equal(policy_resolve(policy, &inventory, NOW, -1, 200000, &grants, &n), 0);
	print_message(
		"# parse 10,000 rules %.3f s, resolve over 1,000 members to %zu grants %.3f s\n",
		parsed - start, n, seconds() - begin);
	assert_int_equal(
		n, 99900); /* 10 rules a member to 10 others, the ten do not reach themselves */
	/* generous: sanitizers and a loaded machine; natively it is a twentieth */
	assert_true(seconds() - begin < 1.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolutions), cmocka_unit_test(test_resource_opens_nothing),
		cmocka_unit_test(test_limits),	    cmocka_unit_test(test_paired),
		cmocka_unit_test(test_random),	    cmocka_unit_test(test_speed),
	};
	return cmocka_run_group_tests_name("policy_resolve", tests, NULL, NULL);
}
