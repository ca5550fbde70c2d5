/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policy to the JSON that is signed. Groups and services are written out, wildcards keep their `any: true`, so each leaf is
 * a rule of the language again. One policy has one encoding; tests are the operator's and are not distributed.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "policy/policy.h"
#include "policy/selector.h"

/* The setters take ownership of value and fail on NULL, so errors surface at the end of a chain of them. */
static int set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value);
}

static int set_selector(json_t *object, const char *key, const struct policy_selector *selector)
{
	_cleanup_(freep) char *text = selector_format(selector);

	return set(object, key, text ? json_string(text) : NULL);
}

static json_t *encode_ports(const struct policy_port *ports, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		char text[POLICY_PORT_TEXT_MAX];
		if (json_array_append_new(list, json_string(policy_port_format(&ports[i], text))) <
		    0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Hands over object, or NULL where a setter failed. */
static json_t *finish(json_t *object, int failed)
{
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static int set_target(json_t *object, const struct policy_rule *rule)
{
	if (rule->resource)
		return set(object, "to", json_sprintf("resource:%s", rule->resource));
	return set_selector(object, "to", &rule->to);
}

static json_t *encode_rule(const struct policy_rule *rule)
{
	json_t *object = json_object();
	int failed = set(object, "name", json_string(rule->name));

	failed |= set_selector(object, "from", &rule->from);
	failed |= set_target(object, rule);
	failed |= set(object, "allow", encode_ports(rule->ports, rule->n_ports));
	if (rule->owner)
		failed |= set(object, "owner", json_string(rule->owner));
	if (rule->expires_at) {
		char text[TIME_TEXT_MAX];
		failed |= set(object, "expires", json_string(time_format(rule->expires_at, text)));
	}
	if (rule->on_loss_keep)
		failed |= set(object, "on-loss", json_string("keep"));
	if (rule->from.any || rule->to.any)
		failed |= set(object, "any", json_true());
	return finish(object, failed);
}

static json_t *encode_host(const void *item)
{
	static const char *const modes[] = {"enforce", "overlay", "observe"};
	const struct policy_host *host = item;
	json_t *object = json_object();
	int failed = set_selector(object, "on", &host->on);

	failed |= set(object, "mode", json_string(modes[host->mode]));
	failed |= set(object, "egress", json_string(host->egress_locked ? "locked" : "open"));
	failed |= set(object, "containers", json_boolean(host->containers));
	if (host->lease_s)
		failed |= set(object, "lease", json_sprintf("%llds", (long long)host->lease_s));
	if (host->on.any)
		failed |= set(object, "any", json_true());
	return finish(object, failed);
}

static json_t *encode_prefixes(const struct prefix *prefixes, size_t n, bool *wild)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		char text[PREFIX_TEXT_MAX];
		*wild = *wild || prefixes[i].length == 0;
		if (json_array_append_new(list, json_string(prefix_format(&prefixes[i], text))) <
		    0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *encode_entry(const struct policy_underlay *entry, const char *ranges)
{
	json_t *object = json_object();
	bool wild = entry->on.any;
	int failed = set(object, "name", json_string(entry->name));

	failed |= set_selector(object, "on", &entry->on);
	failed |= set(object, ranges, encode_prefixes(entry->ranges, entry->n_ranges, &wild));
	failed |= set(object, "allow", encode_ports(entry->ports, entry->n_ports));
	if (wild)
		failed |= set(object, "any", json_true());
	return finish(object, failed);
}

static json_t *encode_underlay(const void *item)
{
	return encode_entry(item, "from");
}

static json_t *encode_egress(const void *item)
{
	return encode_entry(item, "to");
}

static json_t *encode_resource(const void *item)
{
	const struct policy_resource *resource = item;
	char text[PREFIX_TEXT_MAX];
	json_t *object = json_object();
	int failed = set(object, "name", json_string(resource->name));

	failed |= set(object, "via", json_string(resource->via));
	failed |= set(object, "cidr", json_string(prefix_format(&resource->prefix, text)));
	return finish(object, failed);
}

static json_t *encode_enroller(const void *item)
{
	const struct policy_enroller *enroller = item;
	_cleanup_(freep) char *scope = labels_format(&enroller->scope);
	char id[ID_HEX_MAX];
	json_t *object = json_object();
	int failed = set(object, "id", json_string(id_format(&enroller->id, id)));

	failed |= set(object, "scope", scope ? json_string(scope) : NULL);
	return finish(object, failed);
}

static json_t *encode_list(const void *items, size_t n, size_t size,
			   json_t *(*encode)(const void *))
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, encode((const char *)items + i * size)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *encode_header(const struct policy *p)
{
	json_t *object = json_object();
	int failed = set(object, "version", json_integer(1));

	failed |= set(
		object, "resources",
		encode_list(p->resources, p->n_resources, sizeof(*p->resources), encode_resource));
	failed |= set(object, "hosts",
		      encode_list(p->hosts, p->n_hosts, sizeof(*p->hosts), encode_host));
	failed |=
		set(object, "underlay",
		    encode_list(p->underlay, p->n_underlay, sizeof(*p->underlay), encode_underlay));
	/* Left out where empty: policies of before there was such a section keep their one form. */
	if (p->n_egress)
		failed |=
			set(object, "egress",
			    encode_list(p->egress, p->n_egress, sizeof(*p->egress), encode_egress));
	failed |= set(
		object, "enrollers",
		encode_list(p->enrollers, p->n_enrollers, sizeof(*p->enrollers), encode_enroller));
	return finish(object, failed);
}

static char *dump(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

int policy_encode(const struct policy *policy, struct policy_encoded *ret)
{
	_cleanup_(policy_encoded_done) struct policy_encoded encoded = {0};

	encoded.header = dump(encode_header(policy));
	encoded.leaves = calloc(policy->n_rules + 1, sizeof(*encoded.leaves));
	if (!encoded.header || !encoded.leaves)
		return -ENOMEM;
	for (size_t i = 0; i < policy->n_rules; i++) {
		encoded.leaves[i] = dump(encode_rule(&policy->rules[i]));
		if (!encoded.leaves[i])
			return -ENOMEM;
		encoded.n_leaves++;
	}
	*ret = encoded;
	encoded = (struct policy_encoded){0}; /* NOLINT: read by its cleanup */
	return 0;
}

void policy_encoded_done(struct policy_encoded *encoded)
{
	for (size_t i = 0; i < encoded->n_leaves; i++)
		free(encoded->leaves[i]);
	free(encoded->leaves);
	free(encoded->header);
	*encoded = (struct policy_encoded){0};
}
