/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file and the signed header as tables of sections. The order of a table is the order of reading: services and
 * groups before what uses them, resources before rules.
 */
#include "policy/sections.h"
#include <stdlib.h>

static int read_version(struct reader *reader, const struct node *node, void *object)
{
	static const char *const versions[] = {"1"};
	unsigned int version;

	return read_word_of(reader, node, versions, 1, &version);
}

static int read_resources(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "resources", POLICY_HOSTS_MAX, sizeof(*policy->resources),
			  section_resource, &policy->resources, &policy->n_resources);
}

static int read_rules(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "rules", POLICY_RULES_MAX, sizeof(*policy->rules),
			  section_rule, &policy->rules, &policy->n_rules);
}

static int read_hosts(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "hosts", POLICY_HOSTS_MAX, sizeof(*policy->hosts),
			  section_host, &policy->hosts, &policy->n_hosts);
}

static int read_underlays(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "underlay", POLICY_HOSTS_MAX, sizeof(*policy->underlay),
			  section_underlay, &policy->underlay, &policy->n_underlay);
}

static int read_egress(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "egress", POLICY_HOSTS_MAX, sizeof(*policy->egress),
			  section_egress, &policy->egress, &policy->n_egress);
}

static int read_enrollers(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "enrollers", POLICY_HOSTS_MAX, sizeof(*policy->enrollers),
			  section_enroller, &policy->enrollers, &policy->n_enrollers);
}

static int read_tests(struct reader *reader, const struct node *node, void *object)
{
	struct policy *policy = object;

	return read_items(reader, node, "tests", POLICY_TESTS_MAX, sizeof(*policy->tests),
			  section_test, &policy->tests, &policy->n_tests);
}

int sections_read_file(struct reader *reader, const struct node *root)
{
	static const struct field fields[] = {
		{"version", true, read_version},      {"services", false, section_services},
		{"groups", false, section_groups},    {"resources", false, read_resources},
		{"rules", false, read_rules},	      {"hosts", false, read_hosts},
		{"underlay", false, read_underlays},  {"egress", false, read_egress},
		{"enrollers", false, read_enrollers}, {"tests", false, read_tests},
	};
	return read_fields(reader, root, "a policy", fields, ARRAY_SIZE(fields), reader->policy);
}

int sections_read_header(struct reader *reader, const struct node *root)
{
	static const struct field fields[] = {
		{"version", true, read_version}, {"resources", true, read_resources},
		{"hosts", true, read_hosts},	 {"underlay", true, read_underlays},
		{"egress", false, read_egress},	 {"enrollers", true, read_enrollers},
	};
	return read_fields(reader, root, "a policy header", fields, ARRAY_SIZE(fields),
			   reader->policy);
}

void reader_done(struct reader *reader)
{
	for (size_t i = 0; i < reader->n_services; i++)
		free(reader->services[i].ports);
	for (size_t i = 0; i < reader->n_groups; i++)
		policy_selector_done(&reader->groups[i].selector);
	free(reader->services);
	free(reader->groups);
	free(reader->names);
}
