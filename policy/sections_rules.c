/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sections about access: services, groups, rules, tests. */
#include "policy/sections.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "policy/selector.h"

/* ---- services and groups ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_mapping(struct reader *reader, const struct node *node, const char *what,
			 size_t max)
{
	if (node->kind != NODE_MAPPING)
		return read_error(reader, node, "%s is a mapping: write \"name: value\" lines",
				  what);
	if (node->n_items / 2 > max) {
		(void)read_error(reader, node, "%s has %zu entries: at most %zu", what,
				 node->n_items / 2, max);
		return -EFBIG;
	}
	return 0;
}

static int read_service(struct reader *reader, const struct node *key, const struct node *value,
			struct service *service)
{
	struct reader bare = {.err = reader->err}; /* services do not use services */

	if (strcmp(key->text, "icmp") == 0 || strcmp(key->text, "tcp") == 0 ||
	    strcmp(key->text, "udp") == 0)
		return read_error(reader, key,
				  "service \"%s\" is called like a protocol: rename it", key->text);
	return read_ports(&bare, value, &service->ports, &service->n_ports);
}

int section_services(struct reader *reader, const struct node *node, void *object)
{
	int r = check_mapping(reader, node, "services", POLICY_SERVICES_MAX);

	if (r < 0)
		return r;
	reader->services = calloc(node->n_items ? node->n_items : 1, sizeof(*reader->services));
	if (!reader->services)
		return err_code(reader->err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < node->n_items; i += 2) {
		struct service *service = &reader->services[reader->n_services++];
		r = read_part(reader, &node->items[i], &service->name);
		if (r == 0)
			r = read_service(reader, &node->items[i], &node->items[i + 1], service);
	}
	if (r == 0)
		qsort(reader->services, reader->n_services, sizeof(*reader->services),
		      compare_names);
	return r;
}

static int read_group(struct reader *reader, const struct node *key, const struct node *value,
		      struct group *group)
{
	struct reader bare = {.err = reader->err}; /* groups do not use groups */
	int r;

	if (strcmp(key->text, SELECTOR_ANY) == 0)
		return read_error(reader, key, "group \"any\" would hide the wildcard: rename it");
	r = read_selector_node(&bare, value, &group->selector);
	if (r == 0 && group->selector.any)
		return read_error(
			reader, value,
			"a group cannot be \"any\": write any in the rule, where it is seen");
	return r;
}

int section_groups(struct reader *reader, const struct node *node, void *object)
{
	int r = check_mapping(reader, node, "groups", POLICY_GROUPS_MAX);

	if (r < 0)
		return r;
	reader->groups = calloc(node->n_items ? node->n_items : 1, sizeof(*reader->groups));
	if (!reader->groups)
		return err_code(reader->err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < node->n_items; i += 2) {
		struct group *group = &reader->groups[reader->n_groups++];
		r = read_part(reader, &node->items[i], &group->name);
		if (r == 0)
			r = read_group(reader, &node->items[i], &node->items[i + 1], group);
	}
	if (r == 0)
		qsort(reader->groups, reader->n_groups, sizeof(*reader->groups), compare_names);
	return r;
}

/* ---- rules ---- */

static int rule_name(struct reader *reader, const struct node *node, void *object)
{
	return read_name(reader, node, &((struct policy_rule *)object)->name);
}

static int rule_from(struct reader *reader, const struct node *node, void *object)
{
	return read_selector_node(reader, node, &((struct policy_rule *)object)->from);
}

static const struct policy_resource *find_resource(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_resources; i++)
		if (strcmp(policy->resources[i].name, name) == 0)
			return &policy->resources[i];
	return NULL;
}

static int rule_to(struct reader *reader, const struct node *node, void *object)
{
	struct policy_rule *rule = object;
	char quoted[QUOTED_MAX];

	if (node->kind != NODE_SCALAR || strncmp(node->text, "resource:", 9) != 0)
		return read_selector_node(reader, node, &rule->to);
	if (!find_resource(reader->policy, node->text + 9))
		return read_error(reader, node, "resource \"%s\" is unknown: add it to resources",
				  quote(node->text + 9, quoted));
	rule->resource = strdup(node->text + 9);
	rule->to.text = strdup(node->text);
	return rule->resource && rule->to.text ? 0
					       : err_code(reader->err, -ENOMEM, "out of memory");
}

static int rule_allow(struct reader *reader, const struct node *node, void *object)
{
	struct policy_rule *rule = object;

	return read_ports(reader, node, &rule->ports, &rule->n_ports);
}

static int rule_owner(struct reader *reader, const struct node *node, void *object)
{
	return read_text(reader, node, &((struct policy_rule *)object)->owner);
}

static int rule_expires(struct reader *reader, const struct node *node, void *object)
{
	struct policy_rule *rule = object;
	char quoted[QUOTED_MAX];
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	/* 0 would mean "never" */
	if (time_parse(text, &rule->expires_at) < 0 || rule->expires_at == 0)
		return read_error(reader, node,
				  "time \"%s\": write 2027-06-30 or 2027-06-30T12:00:00Z",
				  quote(text, quoted));
	return 0;
}

static int rule_on_loss(struct reader *reader, const struct node *node, void *object)
{
	static const char *const words[] = {"deny", "keep"};
	unsigned int word;
	int r = read_word_of(reader, node, words, 2, &word);

	if (r == 0)
		((struct policy_rule *)object)->on_loss_keep = word == 1;
	return r;
}

int section_rule(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"name", true, rule_name},
		{"from", true, rule_from},
		{"to", true, rule_to},
		{"allow", true, rule_allow},
		{"owner", false, rule_owner},
		{"expires", false, rule_expires},
		{"on-loss", false, rule_on_loss},
		{"any", false, read_any},
	};
	struct policy_rule *rule = object;
	int r;

	rule->line = node->line;
	r = read_fields(reader, node, "a rule", fields, ARRAY_SIZE(fields), rule);
	return r < 0 ? r : check_any(reader, node, rule->from.any || rule->to.any);
}

/* ---- tests ---- */

static int test_from(struct reader *reader, const struct node *node, void *object)
{
	return read_identity(reader, node, ((struct policy_test *)object)->from);
}

static int test_to(struct reader *reader, const struct node *node, void *object)
{
	return read_identity(reader, node, ((struct policy_test *)object)->to);
}

static int test_allow(struct reader *reader, const struct node *node, void *object)
{
	struct policy_test *test = object;

	return read_ports(reader, node, &test->allow, &test->n_allow);
}

static int test_deny(struct reader *reader, const struct node *node, void *object)
{
	struct policy_test *test = object;

	return read_ports(reader, node, &test->deny, &test->n_deny);
}

int section_test(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"from", true, test_from},
		{"to", true, test_to},
		{"allow", false, test_allow},
		{"deny", false, test_deny},
	};
	struct policy_test *test = object;
	int r;

	test->line = node->line;
	r = read_fields(reader, node, "a test", fields, ARRAY_SIZE(fields), test);
	if (r == 0 && test->n_allow + test->n_deny == 0)
		return read_error(reader, node, "a test that tests nothing: add allow or deny");
	return r;
}
