/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy file and an inventory to the kernel's rules, without agent or control plane.
 *
 *   fw_apply --self SITE/NAME --policy FILE --inventory FILE --overlay6 PREFIX [--overlay4 PREFIX] --hub6 ADDR [--hub4 ADDR]
 *            [--hub HOST:PORT]... [--ifname sortie0] [--join-ifname NAME] [--listen-port N] [--mode enforce|overlay|observe]
 *            [--underlay-locked] [--api-port 4280] [--enroll-port 4281] [--api-uid N] [--lease SECONDS] [--role hub]
 *            [--container-if NAME]... [--plan | --verify | --remove | --counters | --foreign | --hold]
 *
 * INVENTORY is JSON: [{"name": "site/name", "labels": {}, "ipv6": "...", "ipv4": "...", "k3hex": "64 hex digits"}, ...].
 * The mode of the command line wins over the policy's. --verify applies nothing: it exits 6 where the table is not what
 * these arguments ask for. --foreign applies nothing: it prints what others' rules drop of it, "certain|maybe, who (where),
 * what, line" with tabs between. --hold applies with a table of its own and stays. Exit codes: 0, 1 with one line on stderr,
 * 2 usage, 6 differs.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/file.h"
#include "common/key.h"
#include "firewall/firewall.h"
#include "firewall/foreign.h"
#include "policy/policy.h"

#define FILE_MAX_BYTES (64U << 20)
#define GRANTS_MAX     4000000
#define LIST_MAX       16

enum action {
	ACTION_APPLY,
	ACTION_PLAN,
	ACTION_VERIFY,
	ACTION_REMOVE,
	ACTION_COUNTERS,
	ACTION_FOREIGN,
	ACTION_HOLD
};

struct arguments {
	const char *self, *policy, *inventory;
	enum action action;
	bool mode_given;
	uint32_t lease_s;
	struct endpoint hubs[LIST_MAX];
	char container_ifnames[LIST_MAX][IFNAMSIZ];
	struct fw_desired desired;
};

/* All that the desired state points to. */
struct world {
	struct policy *policy;
	struct policy_member *members;
	struct fw_peer *peers; /* one a member, the same index */
	size_t n;
	ssize_t self;
	struct addr ipv6, ipv4; /* our own */
	struct fw_tuple *tuples;
	struct fw_underlay *underlay, *egress;
};

static int complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "fw_apply: %s: %s\n", what, why);
	return 1;
}

static void world_done(struct world *world)
{
	policy_free(world->policy);
	free(world->members);
	free(world->peers);
	free(world->tuples);
	free(world->underlay);
	free(world->egress);
}

/* ---- inventory ---- */

static int read_labels(json_t *object, struct labels *ret)
{
	const char *key;
	json_t *value;
	struct err err;

	json_object_foreach (object, key, value)
		if (!json_is_string(value) ||
		    labels_add(ret, key, json_string_value(value), &err) < 0)
			return -EINVAL;
	return 0;
}

static int read_address(json_t *object, const char *name, struct addr *ret)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text && *text ? addr_parse(text, ret) : 0;
}

static int read_member(json_t *object, size_t i, struct world *world)
{
	struct policy_member *member = &world->members[i];
	struct fw_peer *peer = &world->peers[i];
	const char *name = json_string_value(json_object_get(object, "name"));
	const char *hex = json_string_value(json_object_get(object, "k3hex"));
	struct key key;

	if (!name || !name_valid(name) || !hex || key_parse_hex(hex, &key) < 0)
		return -EINVAL;
	(void)snprintf(member->name, sizeof(member->name), "%s", name);
	member->id = id_of_public_key(key.bytes);
	peer->number = (uint32_t)i + 1;
	if (read_labels(json_object_get(object, "labels"), &member->labels) < 0 ||
	    read_address(object, "ipv6", &peer->ipv6) < 0 ||
	    read_address(object, "ipv4", &peer->ipv4) < 0)
		return -EINVAL;
	return 0;
}

static int read_inventory(const char *path, struct world *world)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	size_t n = json_array_size(root);
	int r = root ? 0 : complain(path, error.text);

	world->members = calloc(n + 1, sizeof(*world->members));
	world->peers = calloc(n + 1, sizeof(*world->peers));
	if (!world->members || !world->peers)
		r = complain(path, "out of memory");
	world->n = n;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (read_member(json_array_get(root, i), i, world) < 0)
			r = complain(path, "a member is not as described");
	json_decref(root);
	return r;
}

static int read_policy(const char *path, struct world *world)
{
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};
	size_t length = 0;
	char place[300];
	int r = file_read(path, FILE_MAX_BYTES, &text, &length);

	if (r < 0)
		return complain(path, strerror(-r));
	if (policy_parse(text, length, &world->policy, &err) == 0)
		return 0;
	(void)snprintf(place, sizeof(place), "%u:%u: %s", err.line, err.column, err.text);
	return complain(path, place);
}

/* ---- what should hold ---- */

static const enum fw_mode modes[] = {[POLICY_MODE_ENFORCE] = FW_MODE_ENFORCE,
				     [POLICY_MODE_OVERLAY] = FW_MODE_OVERLAY,
				     [POLICY_MODE_OBSERVE] = FW_MODE_OBSERVE};

static int resolve(const struct arguments *arguments, struct world *world,
		   struct fw_desired *desired)
{
	const struct policy_inventory inventory = {world->members, world->n};
	_cleanup_(freep) struct policy_grant *grants = NULL;
	int64_t now = clock_wall();
	size_t n = 0;
	int r = policy_resolve(world->policy, &inventory, now, world->self, GRANTS_MAX, &grants,
			       &n);

	if (r < 0)
		return complain(arguments->policy, strerror(-r));
	world->tuples = calloc(n + 1, sizeof(*world->tuples));
	if (!world->tuples)
		return complain(arguments->policy, "out of memory");
	for (size_t i = 0; i < n; i++) {
		bool inbound = grants[i].to == (uint32_t)world->self;

		world->tuples[i] = (struct fw_tuple){
			.peer = inbound ? grants[i].from : grants[i].to,
			.inbound = inbound,
			.protocol = grants[i].port.protocol,
			.port_low = grants[i].port.low,
			.port_high = grants[i].port.high,
			.left_s = grants[i].expires_at ? (uint32_t)(grants[i].expires_at - now) : 0,
			.on_loss_keep = grants[i].on_loss_keep};
	}
	desired->tuples = world->tuples;
	desired->n_tuples = n;
	return 0;
}

static int collect(const struct world *world, const struct policy_underlay *list, size_t n_list,
		   struct fw_underlay **ret, size_t *ret_n)
{
	size_t all = 0;

	for (size_t i = 0; i < n_list; i++)
		all += list[i].n_ranges * list[i].n_ports;
	*ret = calloc(all + 1, sizeof(**ret));
	if (!*ret)
		return complain("underlay", "out of memory");
	for (size_t i = 0; i < n_list; i++) {
		const struct policy_underlay *entry = &list[i];

		if (!policy_selects(&entry->on, &world->members[world->self]))
			continue;
		for (size_t f = 0; f < entry->n_ranges; f++)
			for (size_t p = 0; p < entry->n_ports; p++)
				(*ret)[(*ret_n)++] = (struct fw_underlay){
					entry->ranges[f], entry->ports[p].protocol,
					entry->ports[p].low, entry->ports[p].high};
	}
	return 0;
}

static int collect_underlay(struct world *world, struct fw_desired *desired)
{
	const struct policy *policy = world->policy;

	if (collect(world, policy->underlay, policy->n_underlay, &world->underlay,
		    &desired->n_underlay) ||
	    collect(world, policy->egress, policy->n_egress, &world->egress, &desired->n_egress))
		return 1;
	desired->underlay = world->underlay;
	desired->egress = world->egress;
	return 0;
}

static int load(const struct arguments *arguments, struct world *world, struct fw_desired *desired)
{
	struct policy_host_settings settings;

	if (read_policy(arguments->policy, world) || read_inventory(arguments->inventory, world))
		return 1;
	world->self = -1;
	for (size_t i = 0; i < world->n; i++)
		if (strcmp(world->members[i].name, arguments->self) == 0)
			world->self = (ssize_t)i;
	if (world->self < 0)
		return complain(arguments->self, "is not in the inventory");
	settings = policy_host_settings(world->policy, &world->members[world->self]);
	if (!arguments->mode_given)
		desired->mode = modes[settings.mode];
	desired->containers = settings.containers;
	desired->egress_locked = settings.egress_locked;
	for (size_t i = 0; i < world->n; i++)
		world->peers[i].lease_s = arguments->lease_s;
	world->ipv6 = world->peers[world->self].ipv6;
	world->ipv4 = world->peers[world->self].ipv4;
	desired->own6 = world->ipv6;
	desired->own4 = world->ipv4;
	/* Nobody is his own peer: an unset address makes no element. */
	world->peers[world->self].ipv6 = world->peers[world->self].ipv4 = (struct addr){0};
	desired->peers = world->peers;
	desired->n_peers = world->n;
	return resolve(arguments, world, desired) || collect_underlay(world, desired);
}

/* ---- actions ---- */

static int report(const struct firewall *firewall, int r)
{
	if (r >= 0)
		return 0;
	return complain(strerrorname_np(-r), firewall_error(firewall));
}

static void print_plan(const struct fw_plan *plan)
{
	printf("create %d\nadded %zu\nremoved %zu\nrefreshed %zu\nchains %zu\n", plan->create,
	       plan->elements_added, plan->elements_removed, plan->leases_refreshed,
	       plan->chains_rewritten);
}

static int verify(struct firewall *firewall, const struct fw_desired *desired)
{
	struct fw_plan plan;
	int r = firewall_plan(firewall, desired, &plan);

	if (r < 0)
		return report(firewall, r);
	if (!plan.create && !plan.elements_added && !plan.elements_removed &&
	    !plan.chains_rewritten)
		return 0;
	print_plan(&plan);
	return 6;
}

static int counters(struct firewall *firewall)
{
	struct fw_counters values;
	int r = firewall_counters(firewall, &values);

	if (r < 0)
		return report(firewall, r);
	printf("in %llu\nout %llu\nunderlay %llu\nspoofed %llu\nwould %llu\n",
	       (unsigned long long)values.denied_in, (unsigned long long)values.denied_out,
	       (unsigned long long)values.denied_underlay,
	       (unsigned long long)values.denied_spoofed, (unsigned long long)values.would_deny);
	return 0;
}

static int foreign(const struct world *world, const struct fw_desired *desired)
{
	_cleanup_(freep) struct foreign_finding *findings = NULL;
	struct foreign_question question = {.desired = desired,
					    .ipv6 = world->ipv6,
					    .ipv4 = world->ipv4,
					    .ifindex = if_nametoindex(desired->ifname)};
	size_t n = 0;
	int r;

	for (size_t i = 0; i < desired->n_container_ifnames && i < FOREIGN_CONTAINERS_MAX; i++)
		memcpy(question.containers[question.n_containers++], desired->container_ifnames[i],
		       IFNAMSIZ);
	r = foreign_look(&question, &findings, &n);
	if (r < 0)
		return complain("read others' rules", strerror(-r));
	for (size_t i = 0; i < n; i++)
		printf("%s\t%s (%s)\t%s\t%s\n", findings[i].certain ? "certain" : "maybe",
		       foreign_software_name(findings[i].software), findings[i].where,
		       findings[i].what, findings[i].allow);
	return 0;
}

/* As the agent does: the table is its own while it runs. */
static int hold(struct firewall *firewall, const struct fw_desired *desired)
{
	int r;

	firewall_own(firewall);
	r = firewall_apply(firewall, desired, NULL);
	if (r == 0)
		r = firewall_try(firewall, desired);
	if (r == 0)
		r = firewall_verify(firewall);
	if (r < 0)
		return report(firewall, r);
	puts(r == 0 ? "holding" : firewall_error(firewall));
	(void)fflush(stdout);
	return pause();
}

static int act(struct firewall *firewall, enum action action, const struct world *world,
	       const struct fw_desired *desired)
{
	struct fw_plan plan;
	int r;

	switch (action) {
	case ACTION_APPLY:
		return report(firewall, firewall_apply(firewall, desired, NULL));
	case ACTION_PLAN:
		r = firewall_plan(firewall, desired, &plan);
		if (r == 0)
			print_plan(&plan);
		return report(firewall, r);
	case ACTION_VERIFY:
		return verify(firewall, desired);
	case ACTION_REMOVE:
		return report(firewall, firewall_remove(firewall));
	case ACTION_COUNTERS:
		return counters(firewall);
	case ACTION_FOREIGN:
		return foreign(world, desired);
	case ACTION_HOLD:
		return hold(firewall, desired);
	}
	return 1;
}

/* ---- arguments ---- */

enum option_value {
	OPTION_SELF = 'a',
	OPTION_POLICY,
	OPTION_INVENTORY,
	OPTION_IFNAME,
	OPTION_JOIN_IFNAME,
	OPTION_OVERLAY6,
	OPTION_OVERLAY4,
	OPTION_HUB6,
	OPTION_HUB4,
	OPTION_HUB,
	OPTION_LISTEN_PORT,
	OPTION_MODE,
	OPTION_LOCKED,
	OPTION_API_PORT,
	OPTION_ENROLL_PORT,
	OPTION_API_UID,
	OPTION_LEASE,
	OPTION_ROLE,
	OPTION_CONTAINER_IF,
	OPTION_ACTION, /* and on: enum action */
};

static const struct option options[] = {
	{"self", 1, NULL, OPTION_SELF},
	{"policy", 1, NULL, OPTION_POLICY},
	{"inventory", 1, NULL, OPTION_INVENTORY},
	{"ifname", 1, NULL, OPTION_IFNAME},
	{"join-ifname", 1, NULL, OPTION_JOIN_IFNAME},
	{"overlay6", 1, NULL, OPTION_OVERLAY6},
	{"overlay4", 1, NULL, OPTION_OVERLAY4},
	{"hub6", 1, NULL, OPTION_HUB6},
	{"hub4", 1, NULL, OPTION_HUB4},
	{"hub", 1, NULL, OPTION_HUB},
	{"listen-port", 1, NULL, OPTION_LISTEN_PORT},
	{"mode", 1, NULL, OPTION_MODE},
	{"underlay-locked", 0, NULL, OPTION_LOCKED},
	{"api-port", 1, NULL, OPTION_API_PORT},
	{"enroll-port", 1, NULL, OPTION_ENROLL_PORT},
	{"api-uid", 1, NULL, OPTION_API_UID},
	{"lease", 1, NULL, OPTION_LEASE},
	{"role", 1, NULL, OPTION_ROLE},
	{"container-if", 1, NULL, OPTION_CONTAINER_IF},
	{"plan", 0, NULL, OPTION_ACTION + ACTION_PLAN},
	{"verify", 0, NULL, OPTION_ACTION + ACTION_VERIFY},
	{"remove", 0, NULL, OPTION_ACTION + ACTION_REMOVE},
	{"counters", 0, NULL, OPTION_ACTION + ACTION_COUNTERS},
	{"foreign", 0, NULL, OPTION_ACTION + ACTION_FOREIGN},
	{"hold", 0, NULL, OPTION_ACTION + ACTION_HOLD},
	{NULL, 0, NULL, 0},
};

static int read_number(const char *text, unsigned long max, uint32_t *ret)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || value > max)
		return -EINVAL;
	*ret = (uint32_t)value;
	return 0;
}

static int read_port(const char *text, uint16_t *ret)
{
	uint32_t value;
	int r = read_number(text, UINT16_MAX, &value);

	if (r == 0)
		*ret = (uint16_t)value;
	return r;
}

static int read_mode(const char *text, struct arguments *arguments)
{
	static const char *const names[] = {[FW_MODE_ENFORCE] = "enforce",
					    [FW_MODE_OVERLAY] = "overlay",
					    [FW_MODE_OBSERVE] = "observe"};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			arguments->desired.mode = (enum fw_mode)i;
			arguments->mode_given = true;
			return 0;
		}
	}
	return -EINVAL;
}

static int read_ifname(const char *text, char ret[IFNAMSIZ])
{
	return snprintf(ret, IFNAMSIZ, "%s", text) < IFNAMSIZ ? 0 : -EINVAL;
}

static int read_hub(const char *text, struct arguments *arguments)
{
	if (arguments->desired.n_hubs == LIST_MAX)
		return -EINVAL;
	return endpoint_parse(text, &arguments->hubs[arguments->desired.n_hubs++]);
}

static int read_container(const char *text, struct arguments *arguments)
{
	if (arguments->desired.n_container_ifnames == LIST_MAX)
		return -EINVAL;
	return read_ifname(text,
			   arguments->container_ifnames[arguments->desired.n_container_ifnames++]);
}

static int read_text(const char *text, const char **ret)
{
	*ret = text;
	return 0;
}

static int read_option(int option, const char *value, struct arguments *arguments)
{
	struct fw_desired *desired = &arguments->desired;

	switch (option) {
	case OPTION_SELF:
		return read_text(value, &arguments->self);
	case OPTION_POLICY:
		return read_text(value, &arguments->policy);
	case OPTION_INVENTORY:
		return read_text(value, &arguments->inventory);
	case OPTION_IFNAME:
		return read_ifname(value, desired->ifname);
	case OPTION_JOIN_IFNAME:
		return read_ifname(value, desired->join_ifname);
	case OPTION_OVERLAY6:
		return prefix_parse(value, &desired->overlay6);
	case OPTION_OVERLAY4:
		return prefix_parse(value, &desired->overlay4);
	case OPTION_HUB6:
		return addr_parse(value, &desired->hub6);
	case OPTION_HUB4:
		return addr_parse(value, &desired->hub4);
	case OPTION_HUB:
		return read_hub(value, arguments);
	case OPTION_LISTEN_PORT:
		return read_port(value, &desired->listen_port);
	case OPTION_MODE:
		return read_mode(value, arguments);
	case OPTION_LOCKED:
		desired->underlay_locked = true;
		return 0;
	case OPTION_API_PORT:
		return read_port(value, &desired->api_port);
	case OPTION_ENROLL_PORT:
		return read_port(value, &desired->enroll_port);
	case OPTION_API_UID:
		return read_number(value, UINT32_MAX, &desired->api_uid);
	case OPTION_LEASE:
		return read_number(value, UINT32_MAX, &arguments->lease_s);
	case OPTION_ROLE:
		desired->role = FW_ROLE_HUB;
		return strcmp(value, "hub") == 0 ? 0 : -EINVAL;
	case OPTION_CONTAINER_IF:
		return read_container(value, arguments);
	default:
		arguments->action = (enum action)(option - OPTION_ACTION);
		return 0;
	}
}

static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
	int option, index = 0;

	while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (option == '?')
			return -EINVAL;
		if (read_option(option, optarg, arguments) < 0) {
			complain(options[index].name, "is not as described");
			return -EINVAL;
		}
	}
	arguments->desired.hubs = arguments->hubs;
	arguments->desired.container_ifnames =
		(const char(*)[IFNAMSIZ])arguments->container_ifnames;
	return optind == argc ? 0 : -EINVAL;
}

/* What needs no policy: the hub has none, and some actions ask the kernel only. */
static bool needs_policy(const struct arguments *arguments)
{
	return arguments->desired.role == FW_ROLE_WORKLOAD && arguments->action != ACTION_REMOVE &&
	       arguments->action != ACTION_COUNTERS;
}

int main(int argc, char **argv)
{
	static struct arguments arguments = {
		.lease_s = 86400,
		.desired = {.ifname = "sortie0", .api_port = 4280, .enroll_port = 4281}};
	_cleanup_(firewall_closep) struct firewall *firewall = NULL;
	_cleanup_(world_done) struct world world = {0};
	int r;

	if (read_arguments(argc, argv, &arguments) < 0)
		return 2;
	if (needs_policy(&arguments)) {
		if (!arguments.self || !arguments.policy || !arguments.inventory)
			return complain("usage", "--self, --policy and --inventory are needed") + 1;
		if (load(&arguments, &world, &arguments.desired))
			return 1;
	}
	r = firewall_open(&firewall);
	if (r < 0)
		return complain("netlink", strerror(-r));
	return act(firewall, arguments.action, &world, &arguments.desired);
}
