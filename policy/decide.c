/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One question, one answer, with its reason: the rule that allows, or the rule that comes nearest and what it lacks.
 * The nearest rule is the one with the fewest lacks; among equals the first by name, so that the order of rules does
 * not change the answer.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "policy/evaluate.h"
#include "policy/port.h"
#include "policy/selector.h"
#include "policy/sentence.h"

/* More than any number of terms: an identity is not the other one, whatever its labels. */
#define LACKS_TARGET 100

static bool joins(const struct policy_rule *rule, const struct policy_member *from,
		  const struct policy_member *to, int64_t now)
{
	return !rule_expired(rule, now) && policy_selects(&rule->from, from) &&
	       policy_selects(&rule->to, to);
}

bool policy_paired(const struct policy *policy, const struct policy_member *a,
		   const struct policy_member *b, int64_t now)
{
	if (id_equal(&a->id, &b->id))
		return false;
	for (size_t i = 0; i < policy->n_rules; i++)
		if (joins(&policy->rules[i], a, b, now) || joins(&policy->rules[i], b, a, now))
			return true;
	return false;
}

/* The rule that allows the port `next`, and most of what follows up to high; the first among equals. */
static const struct policy_rule *find_rule(const struct policy *policy,
					   const struct policy_member *from,
					   const struct policy_member *to,
					   const struct policy_port *port, unsigned int next,
					   int64_t now, unsigned int *ret_high)
{
	const struct policy_rule *found = NULL;

	*ret_high = 0;
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		if (!joins(rule, from, to, now))
			continue;
		for (size_t j = 0; j < rule->n_ports; j++) {
			const struct policy_port *allowed = &rule->ports[j];
			unsigned int high = allowed->high < port->high ? allowed->high : port->high;
			if (allowed->protocol != port->protocol || allowed->low > next ||
			    allowed->high < next || (found && high <= *ret_high))
				continue;
			found = rule;
			*ret_high = high;
		}
	}
	return found;
}

/* A range may be allowed by several rules together; the first of them answers for it. */
static const struct policy_rule *find_allowing(const struct policy *policy,
					       const struct policy_member *from,
					       const struct policy_member *to,
					       const struct policy_port *port, int64_t now)
{
	const struct policy_rule *first = NULL;
	unsigned int next = port->low;

	for (;;) {
		unsigned int high;
		const struct policy_rule *rule =
			find_rule(policy, from, to, port, next, now, &high);
		if (!rule)
			return NULL;
		if (!first)
			first = rule;
		if (high >= port->high)
			return first;
		next = high + 1;
	}
}

static unsigned int count_lacks(const struct policy_selector *selector,
				const struct policy_member *member)
{
	unsigned int lacks = 0;

	if (policy_selects(selector, member))
		return 0;
	for (size_t i = 0; i < selector->n_terms; i++)
		lacks += !term_matches(&selector->terms[i], member);
	return lacks ? lacks : LACKS_TARGET;
}

static unsigned int count_all_lacks(const struct policy_rule *rule,
				    const struct policy_member *from,
				    const struct policy_member *to, const struct policy_port *port,
				    int64_t now)
{
	return count_lacks(&rule->from, from) + count_lacks(&rule->to, to) +
	       !ports_cover(rule->ports, rule->n_ports, port) + rule_expired(rule, now);
}

static const struct policy_rule *find_nearest(const struct policy *policy,
					      const struct policy_member *from,
					      const struct policy_member *to,
					      const struct policy_port *port, int64_t now)
{
	const struct policy_rule *nearest = NULL;
	unsigned int fewest = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		unsigned int lacks = count_all_lacks(rule, from, to, port, now);
		if (!nearest || lacks < fewest ||
		    (lacks == fewest && strcmp(rule->name, nearest->name) < 0)) {
			nearest = rule;
			fewest = lacks;
		}
	}
	return nearest;
}

static void explain_selector(struct sentence *sentence, const struct policy_selector *selector,
			     const struct policy_member *member)
{
	const char *before = " lacks ";

	if (policy_selects(selector, member))
		return;
	sentence_add(sentence, "; %s", member->name);
	if (*selector->name)
		sentence_add(sentence, " is not %s", selector->name);
	else if (selector->n_terms == 0)
		sentence_add(sentence, " is not %s", selector->text);
	for (size_t i = 0; i < selector->n_terms; i++) {
		char term[160];
		if (term_matches(&selector->terms[i], member))
			continue;
		(void)term_format(&selector->terms[i], term, sizeof(term));
		sentence_add(sentence, "%s%s", before, term);
		before = ",";
	}
}

static void explain_nearest(const struct policy_rule *rule, const struct policy_member *from,
			    const struct policy_member *to, const struct policy_port *port,
			    int64_t now, char reason[256])
{
	char lacks[256];
	struct sentence sentence = sentence_begin(lacks, sizeof(lacks));
	struct sentence whole = sentence_begin(reason, 256);

	explain_selector(&sentence, &rule->from, from);
	explain_selector(&sentence, &rule->to, to);
	if (!ports_cover(rule->ports, rule->n_ports, port)) {
		char ports[96], wanted[POLICY_PORT_TEXT_MAX];
		sentence_add(&sentence, "; it allows %s, not %s",
			     ports_format(rule->ports, rule->n_ports, ports, sizeof(ports)),
			     policy_port_format(port, wanted));
	}
	if (rule_expired(rule, now)) {
		char at[TIME_TEXT_MAX];
		sentence_add(&sentence, "; it expired at %s", time_format(rule->expires_at, at));
	}
	sentence_add(&whole, "rule \"%s\" is nearest: %s", rule->name, lacks + 2);
}

static void explain_allowed(const struct policy_rule *rule, char reason[256])
{
	struct sentence sentence = sentence_begin(reason, 256);

	sentence_add(&sentence, "rule \"%s\" allows it", rule->name);
	if (rule->expires_at) {
		char at[TIME_TEXT_MAX];
		sentence_add(&sentence, " until %s", time_format(rule->expires_at, at));
	}
}

void policy_decide(const struct policy *policy, const struct policy_member *from,
		   const struct policy_member *to, const struct policy_port *port, int64_t now,
		   struct policy_decision *ret)
{
	*ret = (struct policy_decision){0};
	if (id_equal(&from->id, &to->id)) {
		(void)snprintf(ret->reason, sizeof(ret->reason),
			       "%s is asked about itself: that never crosses the network",
			       from->name);
		return;
	}
	ret->rule = find_allowing(policy, from, to, port, now);
	ret->allowed = ret->rule != NULL;
	if (ret->allowed) {
		explain_allowed(ret->rule, ret->reason);
		return;
	}
	ret->rule = find_nearest(policy, from, to, port, now);
	if (ret->rule)
		explain_nearest(ret->rule, from, to, port, now, ret->reason);
	else
		(void)snprintf(ret->reason, sizeof(ret->reason),
			       "the policy has no rules: everything is denied");
}

struct policy_host_settings policy_host_settings(const struct policy *policy,
						 const struct policy_member *member)
{
	for (size_t i = 0; i < policy->n_hosts; i++) {
		const struct policy_host *host = &policy->hosts[i];
		if (policy_selects(&host->on, member))
			return (struct policy_host_settings){host->mode, host->egress_locked,
							     host->containers, host->lease_s};
	}
	return (struct policy_host_settings){.mode = POLICY_MODE_ENFORCE};
}
