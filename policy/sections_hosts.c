/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sections about hosts and networks: hosts, underlay, egress, resources, enrollers. */
#include "policy/sections.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"

#define LEASE_MIN_S 60
#define LEASE_MAX_S (30 * 86400)

/* ---- hosts ---- */

static int host_on(struct reader *reader, const struct node *node, void *object)
{
	return read_selector_node(reader, node, &((struct policy_host *)object)->on);
}

static int host_mode(struct reader *reader, const struct node *node, void *object)
{
	static const char *const words[] = {"enforce", "overlay", "observe"};
	unsigned int word;
	int r = read_word_of(reader, node, words, 3, &word);

	if (r == 0)
		((struct policy_host *)object)->mode = (enum policy_mode)word;
	return r;
}

static int host_egress(struct reader *reader, const struct node *node, void *object)
{
	static const char *const words[] = {"open", "locked"};
	unsigned int word;
	int r = read_word_of(reader, node, words, 2, &word);

	if (r == 0)
		((struct policy_host *)object)->egress_locked = word == 1;
	return r;
}

static int host_containers(struct reader *reader, const struct node *node, void *object)
{
	return read_boolean(reader, node, &((struct policy_host *)object)->containers);
}

static int host_lease(struct reader *reader, const struct node *node, void *object)
{
	struct policy_host *host = object;
	char quoted[QUOTED_MAX];
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (duration_parse(text, &host->lease_s) < 0 || host->lease_s < LEASE_MIN_S ||
	    host->lease_s > LEASE_MAX_S)
		return read_error(reader, node, "lease \"%s\": write 60s to 30d, as in 24h",
				  quote(text, quoted));
	return 0;
}

int section_host(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"on", true, host_on},		{"mode", false, host_mode},
		{"egress", false, host_egress}, {"containers", false, host_containers},
		{"lease", false, host_lease},	{"any", false, read_any},
	};
	struct policy_host *host = object;
	int r = read_fields(reader, node, "a hosts entry", fields, ARRAY_SIZE(fields), host);

	return r < 0 ? r : check_any(reader, node, host->on.any);
}

/* ---- underlay and egress ---- */

static int underlay_name(struct reader *reader, const struct node *node, void *object)
{
	return read_name(reader, node, &((struct policy_underlay *)object)->name);
}

static int underlay_on(struct reader *reader, const struct node *node, void *object)
{
	return read_selector_node(reader, node, &((struct policy_underlay *)object)->on);
}

static int underlay_ranges(struct reader *reader, const struct node *node, void *object)
{
	struct policy_underlay *entry = object;

	if (node->kind == NODE_LIST && node->n_items == 0)
		return read_error(reader, node,
				  "an empty list of ranges: name one or remove the entry");
	return read_items(reader, node, "ranges", POLICY_PORTS_MAX, sizeof(*entry->ranges),
			  read_prefix, &entry->ranges, &entry->n_ranges);
}

static int underlay_allow(struct reader *reader, const struct node *node, void *object)
{
	struct policy_underlay *entry = object;

	return read_ports(reader, node, &entry->ports, &entry->n_ports);
}

static int check_underlay(struct reader *reader, const struct node *node,
			  const struct policy_underlay *entry)
{
	bool wild = entry->on.any;

	for (size_t i = 0; i < entry->n_ranges; i++)
		wild = wild || entry->ranges[i].length == 0;
	return check_any(reader, node, wild);
}

int section_underlay(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"name", true, underlay_name},	 {"on", true, underlay_on},
		{"from", true, underlay_ranges}, {"allow", true, underlay_allow},
		{"any", false, read_any},
	};
	int r = read_fields(reader, node, "an underlay entry", fields, ARRAY_SIZE(fields), object);

	return r < 0 ? r : check_underlay(reader, node, object);
}

int section_egress(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"name", true, underlay_name}, {"on", true, underlay_on},
		{"to", true, underlay_ranges}, {"allow", true, underlay_allow},
		{"any", false, read_any},
	};
	int r = read_fields(reader, node, "an egress entry", fields, ARRAY_SIZE(fields), object);

	return r < 0 ? r : check_underlay(reader, node, object);
}

/* ---- resources ---- */

static int resource_name(struct reader *reader, const struct node *node, void *object)
{
	struct policy_resource *resource = object;
	const char *name;
	int r = read_part(reader, node, &name);

	if (r < 0)
		return r;
	for (size_t i = 0; i + 1 < reader->policy->n_resources; i++)
		if (strcmp(reader->policy->resources[i].name, name) == 0)
			return read_error(reader, node, "resource \"%s\" stands twice: rename one",
					  name);
	resource->name = strdup(name);
	return resource->name ? 0 : err_code(reader->err, -ENOMEM, "out of memory");
}

static int resource_via(struct reader *reader, const struct node *node, void *object)
{
	return read_identity(reader, node, ((struct policy_resource *)object)->via);
}

/* One address has one way, so resources must not overlap. */
static int resource_cidr(struct reader *reader, const struct node *node, void *object)
{
	struct policy_resource *resource = object;
	const struct policy *policy = reader->policy;
	int r = read_prefix(reader, node, &resource->prefix);

	if (r < 0)
		return r;
	if (resource->prefix.length == 0)
		return read_error(reader, node,
				  "a resource is a subnet, not every address: narrow it");
	for (size_t i = 0; i + 1 < policy->n_resources; i++)
		if (prefix_overlaps(&policy->resources[i].prefix, &resource->prefix))
			return read_error(reader, node,
					  "cidr overlaps resource \"%s\": keep them apart",
					  policy->resources[i].name);
	return 0;
}

int section_resource(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"name", true, resource_name},
		{"via", true, resource_via},
		{"cidr", true, resource_cidr},
	};
	return read_fields(reader, node, "a resource", fields, ARRAY_SIZE(fields), object);
}

/* ---- enrollers ---- */

static int enroller_id(struct reader *reader, const struct node *node, void *object)
{
	struct policy_enroller *enroller = object;
	char quoted[QUOTED_MAX];
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (id_parse(text, &enroller->id) < 0)
		return read_error(reader, node,
				  "id \"%s\": write the identity's 64 lower-case hex digits",
				  quote(text, quoted));
	for (size_t i = 0; i + 1 < reader->policy->n_enrollers; i++)
		if (id_equal(&reader->policy->enrollers[i].id, &enroller->id))
			return read_error(reader, node,
					  "this id stands twice: one enroller, one scope");
	return 0;
}

static int enroller_scope(struct reader *reader, const struct node *node, void *object)
{
	struct policy_enroller *enroller = object;
	const char *text = read_scalar(reader, node);

	if (!text)
		return -EINVAL;
	if (!*text)
		return read_error(reader, node, "an empty scope would admit anybody: name labels");
	/* a reserved, doubled or superfluous label: err has the sentence, callers expect a parser's errno */
	if (read_failed(reader, node, labels_parse(text, &enroller->scope, reader->err)) < 0)
		return -EINVAL;
	return 0;
}

int section_enroller(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"id", true, enroller_id},
		{"scope", true, enroller_scope},
	};
	return read_fields(reader, node, "an enroller", fields, ARRAY_SIZE(fields), object);
}
