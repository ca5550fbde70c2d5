/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reviewer should look at. Nothing here is an error: the policy is valid, and may still say more, or less, than
 * its author thinks.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "policy/evaluate.h"
#include "policy/port.h"
#include "policy/selector.h"
#include "policy/sentence.h"

struct lint {
	const struct policy *policy;
	const struct policy_inventory *inventory;
	struct index index;
	uint32_t *members; /* room for a selection */
	int64_t now;
	void (*on_finding)(const char *sentence, void *data);
	void *data;
};

#define FIND(lint, ...)                                                                            \
	do {                                                                                       \
		char text_[SENTENCE_MAX];                                                          \
		struct sentence sentence_ = sentence_begin(text_, sizeof(text_));                  \
		sentence_add(&sentence_, __VA_ARGS__);                                             \
		(lint)->on_finding(text_, (lint)->data);                                           \
	} while (0)

static size_t count_members(struct lint *lint, const struct policy_selector *selector)
{
	return index_select(&lint->index, selector, lint->members);
}

static void lint_wildcards(struct lint *lint, const struct policy_rule *rule)
{
	if (rule->from.any && rule->to.any)
		FIND(lint, "rule \"%s\" lets every identity reach every other: name one side",
		     rule->name);
	else if (rule->from.any)
		FIND(lint, "rule \"%s\" lets every identity of the network in: name who needs it",
		     rule->name);
	else if (rule->to.any)
		FIND(lint, "rule \"%s\" reaches every identity of the network: name what it needs",
		     rule->name);
	for (size_t i = 0; i < rule->n_ports; i++)
		if (rule->ports[i].low == 1 && rule->ports[i].high == UINT16_MAX)
			FIND(lint, "rule \"%s\" allows every %s port: name those it needs",
			     rule->name, rule->ports[i].protocol == IPPROTO_TCP ? "tcp" : "udp");
}

static void lint_members(struct lint *lint, const struct policy_rule *rule)
{
	if (count_members(lint, &rule->from) == 0)
		FIND(lint, "rule \"%s\": nobody matches from: %s", rule->name, rule->from.text);
	if (rule->resource)
		FIND(lint, "rule \"%s\": to: %s opens nothing, agents do not act as gateways",
		     rule->name, rule->to.text);
	else if (count_members(lint, &rule->to) == 0)
		FIND(lint, "rule \"%s\": nobody matches to: %s", rule->name, rule->to.text);
}

static void lint_expiry(struct lint *lint, const struct policy_rule *rule)
{
	char at[TIME_TEXT_MAX];

	if (rule_expired(rule, lint->now))
		FIND(lint, "rule \"%s\" expired at %s: remove or renew it", rule->name,
		     time_format(rule->expires_at, at));
}

static void lint_hosts(struct lint *lint)
{
	const struct policy_host *wildcard = NULL;

	for (size_t i = 0; i < lint->policy->n_hosts; i++) {
		const struct policy_host *host = &lint->policy->hosts[i];
		if (wildcard)
			FIND(lint,
			     "hosts: \"%s\" stands behind \"any\" and is never used: move it up",
			     host->on.text);
		else if (count_members(lint, &host->on) == 0)
			FIND(lint, "hosts: nobody matches on: %s", host->on.text);
		if (host->mode == POLICY_MODE_OBSERVE)
			FIND(lint, "hosts: \"%s\" is in mode observe: nothing is dropped there",
			     host->on.text);
		if (host->egress_locked && host->mode != POLICY_MODE_ENFORCE)
			FIND(lint,
			     "hosts: \"%s\" locks egress, but only mode enforce closes anything there",
			     host->on.text);
		if (host->on.any)
			wildcard = host;
	}
}

static void lint_ranges(struct lint *lint, const char *section, const struct policy_underlay *entry)
{
	for (size_t i = 0; i < entry->n_ranges; i++)
		if (entry->ranges[i].length == 0) {
			char prefix[PREFIX_TEXT_MAX];
			FIND(lint, "%s \"%s\" is open to %s: name the ranges", section, entry->name,
			     prefix_format(&entry->ranges[i], prefix));
		}
}

static void lint_underlay(struct lint *lint, const struct policy_underlay *entry)
{
	if (entry->on.any)
		FIND(lint, "underlay \"%s\" opens ports on every host: name which", entry->name);
	else if (count_members(lint, &entry->on) == 0)
		FIND(lint, "underlay \"%s\": nobody matches on: %s", entry->name, entry->on.text);
	lint_ranges(lint, "underlay", entry);
}

/* An entry that applies to everybody (resolvers, time) is usual here; one that no locked host uses is not. */
static void lint_egress(struct lint *lint, const struct policy_underlay *entry)
{
	bool used = false;

	for (size_t i = 0; !used && i < lint->inventory->n; i++) {
		const struct policy_member *member = &lint->inventory->members[i];
		used = policy_selects(&entry->on, member) &&
		       policy_host_settings(lint->policy, member).egress_locked;
	}
	if (!used)
		FIND(lint, "egress \"%s\": on: %s selects no host whose egress is locked",
		     entry->name, entry->on.text);
	lint_ranges(lint, "egress", entry);
}

static void lint_others(struct lint *lint)
{
	for (size_t i = 0; i < lint->policy->n_resources; i++)
		if (index_find(&lint->index, lint->policy->resources[i].via) < 0)
			FIND(lint, "resource \"%s\": no identity is called %s",
			     lint->policy->resources[i].name, lint->policy->resources[i].via);
	for (size_t i = 0; i < lint->policy->n_enrollers; i++) {
		char id[ID_HEX_MAX];
		size_t at = 0;
		while (at < lint->inventory->n &&
		       !id_equal(&lint->inventory->members[at].id, &lint->policy->enrollers[i].id))
			at++;
		if (at == lint->inventory->n)
			FIND(lint, "enroller %s: no identity has this id",
			     id_format(&lint->policy->enrollers[i].id, id));
	}
}

/* ---- rules with an end beside rules without one ---- */

/* Rules by the canonical text of their sides, so that equal sides stand together. */
struct sides {
	const struct policy_rule *rule;
	char *text; /* owned */
};

static int compare_sides(const void *a, const void *b)
{
	return strcmp(((const struct sides *)a)->text, ((const struct sides *)b)->text);
}

static int sides_init(struct sides *sides, const struct policy_rule *rule)
{
	_cleanup_(freep) char *from = selector_format(&rule->from);
	_cleanup_(freep) char *to = selector_format(&rule->to);
	size_t size = from && to ? strlen(from) + strlen(to) + 2 : 0;
	struct sentence both;

	sides->rule = rule;
	sides->text = size ? malloc(size) : NULL;
	if (!sides->text)
		return -1;
	both = sentence_begin(sides->text, size);
	sentence_add(&both, "%s\n%s", from, to);
	return 0;
}

static bool outlives(const struct policy_rule *rule, const struct policy_rule *other)
{
	return other->expires_at && (rule->expires_at == 0 || rule->expires_at > other->expires_at);
}

static void compare_pair_of_rules(struct lint *lint, const struct policy_rule *rule,
				  const struct policy_rule *longer)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		if (!ports_cover(longer->ports, longer->n_ports, &rule->ports[i]))
			return;
	FIND(lint,
	     "rule \"%s\" ends, but rule \"%s\" allows the same for longer: one of them misleads",
	     rule->name, longer->name);
}

/* An end that ends nothing: access is the sum of all rules. */
static void lint_overlaps(struct lint *lint)
{
	size_t n = 0;
	struct sides *sides = calloc(lint->policy->n_rules + 1, sizeof(*sides));

	for (size_t i = 0; sides && i < lint->policy->n_rules; i++)
		if (!lint->policy->rules[i].resource &&
		    sides_init(&sides[n], &lint->policy->rules[i]) == 0)
			n++;
	if (n)
		qsort(sides, n, sizeof(*sides), compare_sides);
	for (size_t first = 0; first < n;) {
		size_t end = first + 1;
		while (end < n && strcmp(sides[first].text, sides[end].text) == 0)
			end++;
		for (size_t i = first; i < end; i++)
			for (size_t j = first; sides[i].rule->expires_at && j < end; j++)
				if (outlives(sides[j].rule, sides[i].rule))
					compare_pair_of_rules(lint, sides[i].rule, sides[j].rule);
		first = end;
	}
	for (size_t i = 0; i < n; i++)
		free(sides[i].text);
	free(sides);
}

void policy_lint(const struct policy *policy, const struct policy_inventory *inventory, int64_t now,
		 void (*on_finding)(const char *sentence, void *data), void *data)
{
	struct lint lint = {.policy = policy,
			    .inventory = inventory,
			    .now = now,
			    .on_finding = on_finding,
			    .data = data};

	lint.members = calloc(inventory->n + 1, sizeof(*lint.members));
	if (index_init(&lint.index, inventory) < 0 || !lint.members) {
		FIND(&lint, "the policy was not looked at: out of memory or too many identities");
	} else {
		for (size_t i = 0; i < policy->n_rules; i++) {
			lint_wildcards(&lint, &policy->rules[i]);
			lint_members(&lint, &policy->rules[i]);
			lint_expiry(&lint, &policy->rules[i]);
		}
		lint_overlaps(&lint);
		lint_hosts(&lint);
		for (size_t i = 0; i < policy->n_underlay; i++)
			lint_underlay(&lint, &policy->underlay[i]);
		for (size_t i = 0; i < policy->n_egress; i++)
			lint_egress(&lint, &policy->egress[i]);
		lint_others(&lint);
	}
	index_done(&lint.index);
	free(lint.members);
}
