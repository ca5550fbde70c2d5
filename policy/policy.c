/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The struct policy: from the operator's text, and back to nothing. */
#include "policy/policy.h"
#include <errno.h>
#include <stdlib.h>
#include "policy/sections.h"

struct policy *policy_new(void)
{
	return calloc(1, sizeof(struct policy));
}

static void rule_done(struct policy_rule *rule)
{
	policy_selector_done(&rule->from);
	policy_selector_done(&rule->to);
	free(rule->name);
	free(rule->resource);
	free(rule->ports);
	free(rule->owner);
}

static void underlay_done(struct policy_underlay *entry)
{
	policy_selector_done(&entry->on);
	free(entry->name);
	free(entry->ranges);
	free(entry->ports);
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->n_rules; i++)
		rule_done(&policy->rules[i]);
	for (size_t i = 0; i < policy->n_hosts; i++)
		policy_selector_done(&policy->hosts[i].on);
	for (size_t i = 0; i < policy->n_underlay; i++)
		underlay_done(&policy->underlay[i]);
	for (size_t i = 0; i < policy->n_egress; i++)
		underlay_done(&policy->egress[i]);
	for (size_t i = 0; i < policy->n_resources; i++)
		free(policy->resources[i].name);
	for (size_t i = 0; i < policy->n_tests; i++) {
		free(policy->tests[i].allow);
		free(policy->tests[i].deny);
	}
	free(policy->rules);
	free(policy->hosts);
	free(policy->underlay);
	free(policy->egress);
	free(policy->resources);
	free(policy->enrollers);
	free(policy->tests);
	free(policy);
}

int policy_parse(const char *text, size_t length, struct policy **ret, struct err *err)
{
	_cleanup_(policy_freep) struct policy *policy = policy_new();
	_cleanup_(reader_done) struct reader reader = {.policy = policy, .err = err};
	_cleanup_(node_done) struct node root = {0};
	int r;

	if (!policy)
		return err_code(err, -ENOMEM, "out of memory");
	r = node_from_yaml(text, length, &root, err);
	if (r == 0)
		r = sections_read_file(&reader, &root);
	if (r == 0)
		r = check_names(&reader);
	if (r < 0)
		return r;
	*ret = take_pointer(policy);
	return 0;
}
