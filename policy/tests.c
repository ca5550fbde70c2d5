/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy's own tests: run on every change of policy and of membership. `deny` means that no port of a range is open. */
#include <string.h>
#include "policy/evaluate.h"
#include "policy/port.h"
#include "policy/sentence.h"

struct run {
	const struct policy *policy;
	int64_t now;
	const struct policy_test *test;
	const struct policy_member *from, *to;
	void (*on_failure)(const struct policy_test *test, const char *sentence, void *data);
	void *data;
	size_t failures;
};

static void fail(struct run *run, const char *sentence)
{
	run->failures++;
	run->on_failure(run->test, sentence, run->data);
}

static void check_allowed(struct run *run, const struct policy_port *port)
{
	char text[SENTENCE_MAX], wanted[POLICY_PORT_TEXT_MAX];
	struct sentence sentence = sentence_begin(text, sizeof(text));
	struct policy_decision decision;

	policy_decide(run->policy, run->from, run->to, port, run->now, &decision);
	if (decision.allowed)
		return;
	sentence_add(&sentence, "%s must reach %s %s, but: %s", run->test->from, run->test->to,
		     policy_port_format(port, wanted), decision.reason);
	fail(run, text);
}

/* The part of the range that some rule allows, or NULL. */
static const struct policy_rule *find_opening(const struct run *run, const struct policy_port *port,
					      struct policy_port *ret)
{
	for (size_t i = 0; i < run->policy->n_rules; i++) {
		const struct policy_rule *rule = &run->policy->rules[i];
		if (rule_expired(rule, run->now) || !policy_selects(&rule->from, run->from) ||
		    !policy_selects(&rule->to, run->to))
			continue;
		for (size_t j = 0; j < rule->n_ports; j++)
			if (port_overlaps(&rule->ports[j], port)) {
				*ret = rule->ports[j];
				return rule;
			}
	}
	return NULL;
}

static void check_denied(struct run *run, const struct policy_port *port)
{
	char text[SENTENCE_MAX], wanted[POLICY_PORT_TEXT_MAX], open[POLICY_PORT_TEXT_MAX];
	struct sentence sentence = sentence_begin(text, sizeof(text));
	const struct policy_rule *rule;
	struct policy_port opened;

	if (id_equal(&run->from->id, &run->to->id))
		return;
	rule = find_opening(run, port, &opened);
	if (!rule)
		return;
	sentence_add(&sentence, "%s must not reach %s %s, but: rule \"%s\" allows %s",
		     run->test->from, run->test->to, policy_port_format(port, wanted), rule->name,
		     policy_port_format(&opened, open));
	fail(run, text);
}

static const struct policy_member *find(struct run *run, const struct index *index,
					const char *name)
{
	char text[SENTENCE_MAX];
	struct sentence sentence = sentence_begin(text, sizeof(text));
	ssize_t at = index_find(index, name);

	if (at >= 0)
		return &index->inventory->members[at];
	sentence_add(&sentence, "no identity is called %s: correct the test or enrol it", name);
	fail(run, text);
	return NULL;
}

static void run_test(struct run *run, const struct index *index)
{
	run->from = find(run, index, run->test->from);
	run->to = run->from ? find(run, index, run->test->to) : NULL;
	if (!run->to)
		return;
	for (size_t i = 0; i < run->test->n_allow; i++)
		check_allowed(run, &run->test->allow[i]);
	for (size_t i = 0; i < run->test->n_deny; i++)
		check_denied(run, &run->test->deny[i]);
}

size_t policy_run_tests(const struct policy *policy, const struct policy_inventory *inventory,
			int64_t now,
			void (*on_failure)(const struct policy_test *test, const char *sentence,
					   void *data),
			void *data)
{
	struct run run = {.policy = policy, .now = now, .on_failure = on_failure, .data = data};
	_cleanup_(index_done) struct index index = {0};
	int r = index_init(&index, inventory);

	for (size_t i = 0; i < policy->n_tests; i++) {
		run.test = &policy->tests[i];
		if (r < 0) /* a test that cannot run has not passed */
			fail(&run, "the test could not run: out of memory or too many identities");
		else
			run_test(&run, &index);
	}
	return run.failures;
}
