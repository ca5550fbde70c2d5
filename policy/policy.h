/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy language: what an operator writes, what agents evaluate. Allow only; what no rule allows is denied.
 *
 * YAML (JSON is YAML too) is parsed by policy_parse(). For distribution policy_encode() makes a header (everything
 * that restricts, JSON) and one leaf per allow rule (JSON bytes); policy_decode() reads them back. Everything is pure:
 * no I/O, no clock; `now` is wall time in seconds.
 *
 * Structs are plain data, read-only for users; a struct policy owns all it points to and is freed by policy_free().
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "common/identity.h"

#define POLICY_TEXT_MAX	    (1024 * 1024) /* bytes of YAML */
#define POLICY_RULES_MAX    10000
#define POLICY_SERVICES_MAX 1000
#define POLICY_GROUPS_MAX   1000
#define POLICY_PORTS_MAX    64	/* a rule, after services are expanded */
#define POLICY_TERMS_MAX    16	/* a selector */
#define POLICY_VALUES_MAX   64	/* an in(...) list */
#define POLICY_HOSTS_MAX    256 /* `hosts:` entries; also `underlay:`, `resources:`, `enrollers:` */
#define POLICY_TESTS_MAX    1000
#define POLICY_MEMBERS_MAX  65536
#define POLICY_DEPTH_MAX    16 /* YAML nesting */
#define POLICY_NODES_MAX                                                                           \
	200000 /* YAML events, counted before anything is built; aliases are refused */

enum policy_operator { POLICY_EQUAL, POLICY_NOT_EQUAL, POLICY_IN, POLICY_NOT_IN };

struct policy_term {
	char key[LABEL_KEY_MAX];
	enum policy_operator operator;
	char (*values)[LABEL_VALUE_MAX]; /* owned */
	size_t n_values;
};

/*
 * A conjunction of terms over labels, or one identity by name, or (any: true) everybody. A selector without terms and
 * name and any matches nothing. `!=` and `notin` match only identities that carry the key.
 */
struct policy_selector {
	char *text; /* as written, for people; owned */
	bool any;
	char name[NAME_MAX_TEXT];  /* "" unless the selector is one identity's name */
	struct policy_term *terms; /* owned */
	size_t n_terms;
};

struct policy_port {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_ICMP for echo of both families */
	uint16_t low, high; /* 0, 0 for echo */
};

struct policy_rule {
	char *name;
	struct policy_selector from, to;
	char *resource; /* `to: resource NAME`, owned; NULL if the target are identities */
	struct policy_port *ports; /* owned, sorted, merged */
	size_t n_ports;
	char *owner;	    /* may be NULL */
	int64_t expires_at; /* 0: never */
	bool on_loss_keep;
	unsigned int line; /* in the YAML; 0 when decoded */
};

enum policy_mode { POLICY_MODE_ENFORCE, POLICY_MODE_OVERLAY, POLICY_MODE_OBSERVE };

/* `hosts:`, first match wins. Unset parts take the defaults of policy_host_defaults. */
struct policy_host {
	struct policy_selector on;
	enum policy_mode mode;
	bool egress_locked;
	bool containers;
	int64_t lease_s; /* 0: the network's default */
};

/* Outside the overlay: `underlay:` lets ranges in, `egress:` lets the host out to them where its egress is locked. */
struct policy_underlay {
	char *name;
	struct policy_selector on;
	struct prefix *ranges; /* owned; `from` or `to` */
	size_t n_ranges;
	struct policy_port *ports; /* owned */
	size_t n_ports;
};

struct policy_resource {
	char *name;
	char via[NAME_MAX_TEXT];
	struct prefix prefix;
};

/* Somebody besides K1 who may sign tokens, for identities whose labels carry all of scope. */
struct policy_enroller {
	struct id id;
	struct labels scope;
};

struct policy_test {
	char from[NAME_MAX_TEXT], to[NAME_MAX_TEXT];
	struct policy_port *allow, *deny; /* owned */
	size_t n_allow, n_deny;
	unsigned int line;
};

struct policy {
	struct policy_rule *rules;
	size_t n_rules;
	struct policy_host *hosts;
	size_t n_hosts;
	struct policy_underlay *underlay;
	size_t n_underlay;
	struct policy_underlay *egress;
	size_t n_egress;
	struct policy_resource *resources;
	size_t n_resources;
	struct policy_enroller *enrollers;
	size_t n_enrollers;
	struct policy_test *tests; /* not distributed */
	size_t n_tests;
};

/* YAML to policy. -EINVAL (err has line and column), -ENOMEM, -EFBIG over a limit (err says which). */
int policy_parse(const char *text, size_t length, struct policy **ret, struct err *err);
void policy_free(struct policy *policy);
DEFINE_CLEANUP(policy_free, struct policy *);

/* "tcp/5432", "udp/1000-2000", "icmp". -EINVAL. */
int policy_port_parse(const char *text, struct policy_port *ret, struct err *err);
#define POLICY_PORT_TEXT_MAX 20
const char *policy_port_format(const struct policy_port *port, char text[POLICY_PORT_TEXT_MAX]);
/* "role=db,env=prod", "env!=dev", "role in (a,b)", "role notin (a,b)" or "site/workload". -EINVAL. */
int policy_selector_parse(const char *text, struct policy_selector *ret, struct err *err);
void policy_selector_done(struct policy_selector *selector);

/* ---- distribution ---- */

/* malloc()ed texts. The header is a JSON object {"hosts":[...],"underlay":[...],...} that trust/ embeds and signs. */
struct policy_encoded {
	char *header;
	char **leaves; /* one JSON object per rule, in rule order */
	size_t n_leaves;
};
int policy_encode(const struct policy *policy, struct policy_encoded *ret);
void policy_encoded_done(struct policy_encoded *encoded);
/* Strict: unknown or duplicate keys are -EINVAL. The bytes were verified before. */
int policy_decode(const char *header, const char *const *leaves, size_t n_leaves,
		  struct policy **ret, struct err *err);

/* ---- evaluation over an inventory ---- */

struct policy_member {
	struct id id;
	char name[NAME_MAX_TEXT];
	struct labels labels;
};

struct policy_inventory {
	const struct policy_member *members; /* any order; names are unique */
	size_t n;
};

bool policy_selects(const struct policy_selector *selector, const struct policy_member *member);

/* One allowed (from, to, port range) by one rule. from and to index the inventory. */
struct policy_grant {
	uint32_t from, to, rule;
	struct policy_port port;
	int64_t expires_at; /* 0: never */
	bool on_loss_keep;
};

/*
 * All grants of rules that have not expired at now, nobody to himself; sorted by (from, to, protocol, low). With
 * self >= 0 only those that start or end at that member. *ret is malloc()ed. -EFBIG over limit grants (counted
 * before merging). Among grants of one pair, protocol and on_loss_keep no port stands twice: overlapping ranges of one
 * end are merged (rule: the first), and where ends differ the longest keeps the port. `to: resource` grants nothing.
 */
int policy_resolve(const struct policy *policy, const struct policy_inventory *inventory,
		   int64_t now, ssize_t self, size_t limit, struct policy_grant **ret,
		   size_t *ret_n);

/* Are the two joined by any rule, in either direction? (Decides who gets whose key.) */
bool policy_paired(const struct policy *policy, const struct policy_member *a,
		   const struct policy_member *b, int64_t now);

struct policy_decision {
	bool allowed;
	const struct policy_rule
		*rule; /* the rule that allows, or the nearest one, or NULL (no rules) */
	char reason
		[256]; /* one sentence: "rule \"x\" allows it", "rule \"x\" is nearest: it lacks ..." */
};
void policy_decide(const struct policy *policy, const struct policy_member *from,
		   const struct policy_member *to, const struct policy_port *port, int64_t now,
		   struct policy_decision *ret);

struct policy_host_settings {
	enum policy_mode mode;
	bool egress_locked, containers;
	int64_t lease_s; /* 0: the network's default */
};
/* First match in hosts; else enforce, not locked, no containers. */
struct policy_host_settings policy_host_settings(const struct policy *policy,
						 const struct policy_member *member);

/*
 * Runs the policy's tests. Calls on_failure for each that does not hold, with a sentence. Returns the number of
 * failures. An unknown name in a test is a failure of that test.
 */
size_t policy_run_tests(const struct policy *policy, const struct policy_inventory *inventory,
			int64_t now,
			void (*on_failure)(const struct policy_test *test, const char *sentence,
					   void *data),
			void *data);

/* What changes between two policies over two inventories (members are matched by id). */
struct policy_change {
	bool gained; /* else lost */
	char from[NAME_MAX_TEXT], to[NAME_MAX_TEXT];
	struct policy_port port;
};
/* NULL for before means the empty policy. Adjacent ranges are merged; sorted. *ret is malloc()ed. */
int policy_diff(const struct policy *before, const struct policy_inventory *inventory_before,
		const struct policy *after, const struct policy_inventory *inventory_after,
		int64_t now, struct policy_change **ret, size_t *ret_n);

/*
 * What changes outside the overlay, host by host: on_change gets "192.0.2.0/24 -> site-a/web tcp/22" for what `underlay`
 * lets in, "site-a/web -> 192.0.2.53/32 udp/53" for `egress`, and a line for what modes leave open. -ENOMEM, -EFBIG.
 */
int policy_diff_hosts(const struct policy *before, const struct policy *after,
		      const struct policy_inventory *inventory,
		      void (*on_change)(bool gained, const char *sentence, void *data), void *data);

/* What a reviewer should look at: wildcards, rules that match nobody, expired rules. on_finding gets a sentence. */
void policy_lint(const struct policy *policy, const struct policy_inventory *inventory, int64_t now,
		 void (*on_finding)(const char *sentence, void *data), void *data);
