/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Verified identities and rules to WireGuard peers, addresses, routes and firewall tuples. No clock, no I/O.
 *
 * The interface's routes are the overlay prefixes, not the peers: they stand for ever, a packet to somebody who is no
 * peer dies in the tunnel with an error to its sender, and the unreachable routes of the worst metric behind them say
 * the same while the interface is down, so that nothing for the overlay ever leaves by the default route.
 */
#include "daemon/desired.h"
#include "daemon/lease.h"
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IPV6_METRIC 1024 /* what the kernel makes of "none" for IPv6 */

void desired_free(struct desired *desired)
{
	if (!desired)
		return;
	for (size_t i = 0; i < desired->wg.n_peers; i++)
		free(desired->wg.peers[i].allowed);
	free(desired->wg.peers);
	key_wipe(&desired->wg.private_key);
	free((void *)(uintptr_t)desired->fw.hubs);
	free((void *)(uintptr_t)desired->fw.peers);
	free((void *)(uintptr_t)desired->fw.tuples);
	free((void *)(uintptr_t)desired->fw.underlay);
	free((void *)(uintptr_t)desired->fw.egress);
	free((void *)(uintptr_t)desired->fw.container_ifnames);
	free((void *)(uintptr_t)desired->fw.uplink_ifnames);
	free(desired->names);
	free(desired->hosts);
	free(desired);
}

const struct desired_name *desired_find_name(const struct desired *desired, uint32_t number)
{
	size_t low = 0, high = desired->n_names;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (desired->names[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < desired->n_names && desired->names[low].number == number ? &desired->names[low]
									      : NULL;
}

/* enforce > overlay > observe: the enum counts down in strictness. */
enum policy_mode desired_mode(const struct desired_input *input)
{
	enum policy_mode mode = POLICY_MODE_ENFORCE;

	if (input->policy && input->view)
		mode = policy_host_settings(input->policy, &input->view->self.member).mode;
	return input->least_mode < mode ? input->least_mode : mode;
}

static enum fw_mode firewall_mode(enum policy_mode mode)
{
	switch (mode) {
	case POLICY_MODE_OVERLAY:
		return FW_MODE_OVERLAY;
	case POLICY_MODE_OBSERVE:
		return FW_MODE_OBSERVE;
	case POLICY_MODE_ENFORCE:
		break;
	}
	return FW_MODE_ENFORCE;
}

/* ---- shared by both interfaces ---- */

/* Every peer's endpoint is the hub's; none while its name is not resolved yet. */
static int add_wg_peer(struct desired *d, const struct key *public_key, uint16_t keepalive,
		       const struct addr *a6, const struct addr *a4)
{
	struct wg_peer *peer = &d->wg.peers[d->wg.n_peers];

	peer->allowed = calloc(2, sizeof(*peer->allowed));
	if (!peer->allowed)
		return -ENOMEM;
	d->wg.n_peers++;
	peer->public_key = *public_key;
	if (d->fw.n_hubs)
		peer->endpoint = d->fw.hubs[0];
	peer->keepalive = keepalive;
	if (addr_is_set(a6))
		peer->allowed[peer->n_allowed++] = prefix_host(a6);
	if (addr_is_set(a4))
		peer->allowed[peer->n_allowed++] = prefix_host(a4);
	return 0;
}

static void add_addr(struct desired *d, const struct addr *addr)
{
	if (addr_is_set(addr))
		d->addrs[d->n_addrs++] = *addr;
}

static void add_route(struct desired *d, const struct prefix *destination, bool unreachable)
{
	if (!addr_is_set(&destination->addr))
		return;
	d->routes[d->n_routes++] = (struct link_route){
		.destination = *destination,
		.metric = unreachable				 ? DESIRED_WORST_METRIC
			  : destination->addr.family == AF_INET6 ? IPV6_METRIC
								 : 0,
		.table = RT_TABLE_MAIN,
		.protocol = LINK_ROUTE_PROTOCOL,
		.unreachable = unreachable,
	};
}

static int copy_hubs(struct desired *d, const struct endpoint *hubs, size_t n)
{
	struct endpoint *copy;

	if (n > DESIRED_HUBS_MAX)
		n = DESIRED_HUBS_MAX;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, hubs, n * sizeof(*copy));
	d->fw.hubs = copy;
	d->fw.n_hubs = n;
	return 0;
}

static int copy_names(const char (*names)[IFNAMSIZ], size_t n, const char (**ret)[IFNAMSIZ],
		      size_t *ret_n)
{
	char(*copy)[IFNAMSIZ] = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, names, n * sizeof(*copy));
	*ret = copy;
	*ret_n = n;
	return 0;
}

static int copy_interfaces(struct desired *d, const struct desired_input *input)
{
	struct fw_desired *fw = &d->fw;
	int r = copy_names(input->container_ifnames, input->n_container_ifnames,
			   &fw->container_ifnames, &fw->n_container_ifnames);

	return r < 0 ? r
		     : copy_names(input->uplink_ifnames, input->n_uplink_ifnames,
				  &fw->uplink_ifnames, &fw->n_uplink_ifnames);
}

struct claim {
	struct prefix prefix;
	size_t peer;
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;

	return prefix_compare(&x->prefix, &y->prefix);
}

/*
 * The kernel moves an allowed address from one peer to the next without a word, so nothing is sent unless every key
 * and every address stands once. Allowed addresses are hosts: two are in conflict exactly when they are equal.
 */
static int check_unique(struct desired *d, struct err *err)
{
	_cleanup_(freep) struct claim *claims = calloc(d->wg.n_peers * 2 + 2, sizeof(*claims));
	char text[PREFIX_TEXT_MAX];
	size_t n = 0;

	if (!claims)
		return -ENOMEM;
	wg_device_sort(&d->wg);
	for (size_t i = 0; i < d->wg.n_peers; i++) {
		if (i > 0 && key_equal(&d->wg.peers[i - 1].public_key, &d->wg.peers[i].public_key))
			return err_code(
				err, -ENOTUNIQ,
				"two peers have the same WireGuard key: nothing was changed");
		for (size_t j = 0; j < d->wg.peers[i].n_allowed; j++)
			claims[n++] = (struct claim){d->wg.peers[i].allowed[j], i};
	}
	for (size_t i = 0; i < d->n_addrs; i++)
		claims[n++] = (struct claim){prefix_host(&d->addrs[i]), SIZE_MAX};
	qsort(claims, n, sizeof(*claims), compare_claims);
	for (size_t i = 1; i < n; i++)
		if (prefix_compare(&claims[i - 1].prefix, &claims[i].prefix) == 0)
			return err_code(err, -ENOTUNIQ,
					"address %s is claimed twice: nothing was changed",
					prefix_format(&claims[i].prefix, text));
	return 0;
}

/* ---- peers of sortie0 ---- */

struct build {
	const struct desired_input *input;
	struct desired *desired;
	struct policy_host_settings settings;
	struct policy_member *members; /* 0: self; i + 1: peers[i] of the view */
	struct policy_grant *grants;
	size_t n_grants;
	size_t *peer_of_member; /* index in fw.peers, SIZE_MAX: none */
	bool *kept;		/* member has a grant that outlives its lease */
};

static void build_done(struct build *b)
{
	free(b->members);
	free(b->grants);
	free(b->peer_of_member);
	free(b->kept);
}

/* The member at the other end; everybody's grants start or end at ourselves. */
static size_t other_end(const struct policy_grant *grant)
{
	return grant->from == 0 ? grant->to : grant->from;
}

static int resolve_grants(struct build *b, struct err *err)
{
	const struct view *view = b->input->view;
	size_t n = view->n_peers + 1;
	struct policy_inventory inventory;
	int r;

	b->members = calloc(n, sizeof(*b->members));
	b->peer_of_member = calloc(n, sizeof(*b->peer_of_member));
	b->kept = calloc(n, sizeof(*b->kept));
	if (!b->members || !b->peer_of_member || !b->kept)
		return -ENOMEM;
	b->members[0] = view->self.member;
	for (size_t i = 0; i < view->n_peers; i++)
		b->members[i + 1] = view->peers[i].member;
	inventory = (struct policy_inventory){.members = b->members, .n = n};
	r = policy_resolve(b->input->policy, &inventory, b->input->now, 0, DESIRED_TUPLES_MAX,
			   &b->grants, &b->n_grants);
	if (r == -EFBIG)
		return err_code(err, r, "policy gives this host more than %d (peer, port) pairs",
				DESIRED_TUPLES_MAX);
	for (size_t i = 0; r == 0 && i < b->n_grants; i++)
		b->kept[other_end(&b->grants[i])] |= b->grants[i].on_loss_keep;
	return r;
}

static uint32_t left_of(const struct build *b, const struct verified_identity *peer)
{
	const struct lease_limits limits = {
		.lease_not_after = peer->lease_not_after,
		.own_not_after = b->input->view->self.lease_not_after,
		.policy_not_after = b->input->policy_not_after,
		.k4_not_after = peer->k4_not_after,
		.length_s = b->settings.lease_s ? b->settings.lease_s : LEASE_SECONDS,
	};

	return lease_left(&limits, b->input->now, b->input->clock_sane);
}

/*
 * Log records name a peer by a number that fits a packet mark. Taken from the id, so that a restarted agent gives the
 * same peer the same number and the records of rules that stand already stay right.
 */
static uint32_t number_of(const struct id *id)
{
	uint32_t number;

	memcpy(&number, id->bytes, sizeof(number));
	return number ? number : 1;
}

static int compare_names(const void *a, const void *b)
{
	const struct desired_name *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int add_peer(struct build *b, struct fw_peer *fw_peers, size_t member, uint32_t lease_s)
{
	const struct verified_identity *peer = &b->input->view->peers[member - 1];
	struct desired *d = b->desired;
	struct desired_name *name = &d->names[d->n_names++];

	name->number = number_of(&peer->id);
	name->id = peer->id;
	memcpy(name->name, peer->member.name, sizeof(name->name));
	b->peer_of_member[member] = d->fw.n_peers;
	fw_peers[d->fw.n_peers++] = (struct fw_peer){
		.ipv6 = peer->ipv6, .ipv4 = peer->ipv4, .number = name->number, .lease_s = lease_s};
	return add_wg_peer(d, &peer->k4, 0, &peer->ipv6, &peer->ipv4);
}

/*
 * A key only for those whom a rule joins with us and whose admission holds; one whose lease has lapsed keeps it only
 * for grants that say `on-loss: keep`, and even then not beyond the end of its own key.
 */
static int add_peers(struct build *b)
{
	const struct view *view = b->input->view;
	struct fw_peer *fw_peers = calloc(view->n_peers + 1, sizeof(*fw_peers));
	int r = 0;

	b->desired->fw.peers = fw_peers;
	b->desired->names = calloc(view->n_peers + 1, sizeof(*b->desired->names));
	if (!fw_peers || !b->desired->names)
		return -ENOMEM;
	for (size_t i = 0; i < view->n_peers && r == 0; i++) {
		const struct verified_identity *peer = &view->peers[i];
		uint32_t lease_s = left_of(b, peer);
		bool key_holds = peer->k4_not_after == 0 || peer->k4_not_after > b->input->now;

		b->peer_of_member[i + 1] = SIZE_MAX;
		if (!policy_paired(b->input->policy, &view->self.member, &peer->member,
				   b->input->now))
			continue;
		if (lease_s > 0 || (b->kept[i + 1] && key_holds && b->input->clock_sane))
			r = add_peer(b, fw_peers, i + 1, lease_s);
	}
	qsort(b->desired->names, b->desired->n_names, sizeof(*b->desired->names), compare_names);
	return r;
}

static int add_tuples(struct build *b)
{
	struct fw_tuple *tuples = calloc(b->n_grants + 1, sizeof(*tuples));
	struct fw_desired *fw = &b->desired->fw;

	fw->tuples = tuples;
	if (!tuples)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_grants; i++) {
		const struct policy_grant *grant = &b->grants[i];
		size_t peer = b->peer_of_member[other_end(grant)];
		int64_t left = grant->expires_at ? grant->expires_at - b->input->now : 0;

		if (peer == SIZE_MAX || left < 0 || (grant->expires_at && left == 0))
			continue;
		tuples[fw->n_tuples++] = (struct fw_tuple){
			.peer = (uint32_t)peer,
			.inbound = grant->to == 0,
			.protocol = grant->port.protocol,
			.port_low = grant->port.low,
			.port_high = grant->port.high,
			.left_s = left > UINT32_MAX ? UINT32_MAX : (uint32_t)left,
			.on_loss_keep = grant->on_loss_keep,
		};
	}
	return 0;
}

/* Those of the list's entries that select this host, every range with every port. */
static int add_entries(const struct build *b, const struct policy_underlay *list, size_t n_list,
		       const struct fw_underlay **ret, size_t *ret_n)
{
	const struct policy_member *self = &b->input->view->self.member;
	struct fw_underlay *entries;
	size_t n = 0;

	for (size_t i = 0; i < n_list; i++)
		n += list[i].n_ranges * list[i].n_ports;
	*ret = entries = calloc(n + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < n_list; i++) {
		const struct policy_underlay *u = &list[i];
		if (!policy_selects(&u->on, self))
			continue;
		for (size_t f = 0; f < u->n_ranges; f++)
			for (size_t p = 0; p < u->n_ports; p++)
				entries[(*ret_n)++] =
					(struct fw_underlay){u->ranges[f], u->ports[p].protocol,
							     u->ports[p].low, u->ports[p].high};
	}
	return 0;
}

static int add_underlay(struct build *b)
{
	const struct policy *policy = b->input->policy;
	struct fw_desired *fw = &b->desired->fw;
	int r = add_entries(b, policy->underlay, policy->n_underlay, &fw->underlay,
			    &fw->n_underlay);

	return r < 0 ? r
		     : add_entries(b, policy->egress, policy->n_egress, &fw->egress, &fw->n_egress);
}

/* "site-b/db" is db.site-b.NETWORK.internal: names were checked by their parser, two parts, no dots. */
static void write_host(FILE *out, const struct addr *addr, const char *name, const char *network)
{
	const char *slash = strchr(name, '/');
	char text[ADDR_TEXT_MAX];

	if (slash && addr_is_set(addr))
		(void)fprintf(out, "%s %s.%.*s.%s.internal\n", addr_format(addr, text), slash + 1,
			      (int)(slash - name), name, network);
}

static int write_hosts(struct build *b)
{
	const struct desired_input *input = b->input;
	const struct fw_desired *fw = &b->desired->fw;
	size_t length = 0;
	FILE *out = open_memstream(&b->desired->hosts, &length);

	if (!out)
		return -ENOMEM;
	(void)fprintf(out,
		      "# written by sortied: the identities that policy joins with this host\n");
	write_host(out, &input->ipv6, input->view->self.member.name, input->root->name);
	write_host(out, &input->ipv4, input->view->self.member.name, input->root->name);
	for (size_t i = 0; i < fw->n_peers; i++) {
		const struct desired_name *name =
			desired_find_name(b->desired, fw->peers[i].number);
		write_host(out, &fw->peers[i].ipv6, name->name, input->root->name);
		write_host(out, &fw->peers[i].ipv4, name->name, input->root->name);
	}
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

static int build_from_policy(struct build *b, struct err *err)
{
	int r = resolve_grants(b, err);

	if (r == 0)
		r = add_peers(b);
	if (r == 0)
		r = add_tuples(b);
	if (r == 0)
		r = add_underlay(b);
	return r;
}

static void fill_firewall(const struct desired_input *input, struct desired *d,
			  const struct policy_host_settings *settings)
{
	struct fw_desired *fw = &d->fw;

	fw->role = FW_ROLE_WORKLOAD;
	fw->mode = firewall_mode(desired_mode(input));
	fw->underlay_locked = fw->mode == FW_MODE_ENFORCE && input->underlay_locked;
	fw->egress_locked = settings->egress_locked;
	fw->containers = settings->containers;
	memcpy(fw->ifname, d->ifname, sizeof(fw->ifname));
	fw->overlay6 = input->root->overlay6;
	fw->overlay4 = input->root->overlay4;
	fw->hub6 = hub_address6(&input->root->overlay6);
	if (addr_is_set(&input->root->overlay4.addr))
		fw->hub4 = hub_address4(&input->root->overlay4);
	fw->own6 = input->ipv6;
	fw->own4 = input->ipv4;
	fw->api_port = input->root->api_port;
	fw->enroll_port = input->root->enroll_port;
	fw->listen_port = input->listen_port;
	fw->api_uid = input->api_uid;
}

static int fill(struct build *b, struct err *err)
{
	const struct desired_input *input = b->input;
	struct desired *d = b->desired;
	bool admitted = input->view && !input->view->self_revoked;
	size_t n_peers = input->view ? input->view->n_peers : 0;
	int r = copy_hubs(d, input->hubs, input->n_hubs);

	if (r == 0)
		r = copy_interfaces(d, input);
	if (r < 0)
		return r;
	(void)snprintf(d->ifname, sizeof(d->ifname), "%s", input->ifname);
	memcpy(d->wg.name, d->ifname, sizeof(d->wg.name));
	d->wg.private_key = *input->k4;
	d->wg.listen_port = input->listen_port;
	d->mtu = input->root->mtu;
	d->up = !input->down;
	add_addr(d, &input->ipv6);
	add_addr(d, &input->ipv4);
	/* A lowered interface has no routes; the unreachable ones hold what would leave by another. */
	for (int unreachable = input->down; unreachable < 2; unreachable++) {
		add_route(d, &input->root->overlay6, unreachable);
		add_route(d, &input->root->overlay4, unreachable);
	}
	if (admitted && input->policy)
		b->settings = policy_host_settings(input->policy, &input->view->self.member);
	fill_firewall(input, d, &b->settings);
	d->wg.peers = calloc(n_peers + 1, sizeof(*d->wg.peers));
	if (!d->wg.peers)
		return -ENOMEM;
	r = add_wg_peer(d, &input->root->hub_key, DESIRED_HUB_KEEPALIVE_S, &d->fw.hub6,
			&d->fw.hub4);
	if (r == 0 && input->hub_at)
		d->wg.peers[0].endpoint = *input->hub_at;
	if (r == 0 && admitted && input->policy)
		r = build_from_policy(b, err);
	if (r == 0 && admitted)
		r = write_hosts(b);
	return r < 0 ? r : check_unique(d, err);
}

int desired_build(const struct desired_input *input, struct desired **ret, struct err *err)
{
	_cleanup_(desired_freep) struct desired *desired = calloc(1, sizeof(*desired));
	struct build b = {.input = input, .desired = desired};
	int r;

	if (!desired)
		return -ENOMEM;
	r = fill(&b, err);
	build_done(&b);
	if (r == 0)
		*ret = take_pointer(desired);
	return r;
}

void desired_point_peer(struct desired *desired, const struct key *public_key,
			const struct endpoint *to)
{
	for (size_t i = 0; i < desired->wg.n_peers; i++)
		if (key_equal(&desired->wg.peers[i].public_key, public_key))
			desired->wg.peers[i].endpoint = *to;
}

/* ---- the interface of an enrolment ---- */

static void fill_join_firewall(const struct desired_join_input *input, struct desired *d)
{
	struct fw_desired *fw = &d->fw;

	/* No mode is known before the first policy: overlay rules hold, the underlay is left alone. */
	fw->role = FW_ROLE_WORKLOAD;
	fw->mode = FW_MODE_OVERLAY;
	(void)snprintf(fw->ifname, sizeof(fw->ifname), "%s", input->ifname);
	(void)snprintf(fw->join_ifname, sizeof(fw->join_ifname), "%s", input->join_ifname);
	fw->overlay6 = input->token->overlay6;
	fw->overlay4 = input->token->overlay4;
	fw->hub6 = hub_address6(&input->token->overlay6);
	fw->api_port = input->api_port;
	fw->enroll_port = input->enroll_port;
	fw->listen_port = input->listen_port;
	fw->api_uid = input->api_uid;
}

static int fill_join(const struct desired_join_input *input, struct desired *d, struct err *err)
{
	struct key onetime_public;
	struct prefix hub;
	struct addr self;
	int r = copy_hubs(d, input->hubs, input->n_hubs);

	if (r < 0)
		return r;
	(void)snprintf(d->ifname, sizeof(d->ifname), "%s", input->join_ifname);
	memcpy(d->wg.name, d->ifname, sizeof(d->wg.name));
	token_wireguard_key(input->token, &d->wg.private_key);
	r = key_public_curve25519(&d->wg.private_key, &onetime_public);
	if (r < 0)
		return err_code(err, r, "the token's seed makes no key");
	d->wg.listen_port = input->listen_port;
	d->mtu = 1280; /* the signed number comes with the answer; this one fits everywhere */
	d->up = true;
	self = token_address(&input->token->overlay6, &onetime_public);
	add_addr(d, &self);
	fill_join_firewall(input, d);
	hub = prefix_host(&d->fw.hub6);
	add_route(d, &hub, false);
	d->wg.peers = calloc(1, sizeof(*d->wg.peers));
	if (!d->wg.peers)
		return -ENOMEM;
	r = add_wg_peer(d, &input->token->hub_key, 0, &d->fw.hub6, &(struct addr){0});
	if (r == 0 && input->hub_at)
		d->wg.peers[0].endpoint = *input->hub_at;
	return r;
}

int desired_build_join(const struct desired_join_input *input, struct desired **ret,
		       struct err *err)
{
	_cleanup_(desired_freep) struct desired *desired = calloc(1, sizeof(*desired));
	int r;

	if (!desired)
		return -ENOMEM;
	r = fill_join(input, desired, err);
	if (r == 0)
		*ret = take_pointer(desired);
	return r;
}
