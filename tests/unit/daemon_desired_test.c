/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From verified identities and rules to kernel state, and from there to steps: tables, no kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "daemon/desired.h"
#include "daemon/plan.h"
#include "tests/unit/policy_helpers.h"

static const char policy_text[] =
	"version: 1\n"
	"services:\n"
	"  postgres: [tcp/5432]\n"
	"rules:\n"
	"  - {name: web, from: role=web, to: role=db, allow: [postgres]}\n"
	"  - {name: ping, from: role=db, to: role=web, allow: [icmp]}\n"
	"  - {name: kept, from: role=ci, to: role=db, allow: [tcp/22], on-loss: keep}\n"
	"  - {name: old, from: role=old, to: role=db, allow: [tcp/1], expires: 2026-01-01}\n"
	"underlay:\n"
	"  - {name: bastion, on: role=db, from: [192.0.2.0/24], allow: [tcp/22, tcp/443]}\n"
	"  - {name: other, on: role=web, from: [198.51.100.0/24], allow: [tcp/22]}\n"
	"hosts:\n"
	"  - {on: role=db, mode: overlay, lease: 3600s}\n";

enum { WEB, CI, OLD, STRANGER, PEERS };
static const char *const lines[] = {"site-a/web role=web", "site-a/ci role=ci",
				    "site-b/old role=old", "site-c/stranger role=other"};

struct bed {
	struct root_statement root;
	struct policy *policy;
	struct view view;
	struct verified_identity peers[PEERS];
	struct key k4;
	struct endpoint hubs[2];
	struct desired_input input;
};

static struct addr address6(uint8_t last)
{
	uint8_t bytes[16] = {0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 7};

	bytes[15] = last;
	return addr_from_bytes(AF_INET6, bytes);
}

static struct verified_identity identity(const char *line, uint8_t number)
{
	struct verified_identity v = {.member = parse_member(line),
				      .ipv6 = address6(number),
				      .generation = 1,
				      .lease_not_after = NOW + 7200};

	memset(v.id.bytes, number, sizeof(v.id.bytes));
	v.member.id = v.id;
	memset(v.k4.bytes, number, sizeof(v.k4.bytes));
	v.ipv4 = addr_from_bytes(AF_INET, (uint8_t[]){10, 77, 0, number});
	return v;
}

static int bed_new(void **ret)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->root = (struct root_statement){.name = "testnet",
					    .version = 1,
					    .mtu = 1280,
					    .api_port = 4280,
					    .enroll_port = 4281};
	assert_int_equal(prefix_parse("fd12:3456:789a::/48", &bed->root.overlay6), 0);
	assert_int_equal(prefix_parse("10.77.0.0/16", &bed->root.overlay4), 0);
	memset(bed->root.hub_key.bytes, 0xaa, KEY_SIZE);
	bed->policy = parse_policy(policy_text);
	bed->view.self = identity("site-b/db role=db", 9);
	for (size_t i = 0; i < PEERS; i++)
		bed->peers[i] = identity(lines[i], (uint8_t)(20 + i));
	bed->view.peers = bed->peers;
	bed->view.n_peers = PEERS;
	memset(bed->k4.bytes, 1, KEY_SIZE);
	assert_int_equal(endpoint_parse("203.0.113.5:51820", &bed->hubs[0]), 0);
	assert_int_equal(endpoint_parse("[2001:db8::5]:51820", &bed->hubs[1]), 0);
	bed->input = (struct desired_input){.ifname = "sortie0",
					    .root = &bed->root,
					    .view = &bed->view,
					    .policy = bed->policy,
					    .policy_not_after = NOW + 100000,
					    .k4 = &bed->k4,
					    .ipv6 = bed->view.self.ipv6,
					    .ipv4 = bed->view.self.ipv4,
					    .now = NOW,
					    .clock_sane = true,
					    .least_mode = POLICY_MODE_OBSERVE,
					    .listen_port = 40000,
					    .hubs = bed->hubs,
					    .n_hubs = 2,
					    .api_uid = 65534};
	*ret = bed;
	return 0;
}

static int bed_free(void **data)
{
	struct bed *bed = *data;

	policy_free(bed->policy);
	free(bed);
	return 0;
}

static struct desired *build(const struct bed *bed)
{
	struct desired *desired = NULL;
	struct err err = {0};

	if (desired_build(&bed->input, &desired, &err) < 0)
		fail_msg("%s", err.text);
	return desired;
}

static const struct wg_peer *wg_of(const struct desired *d, const struct verified_identity *v)
{
	return wg_find_peer(&d->wg, &v->k4);
}

static const struct fw_peer *fw_of(const struct desired *d, const struct verified_identity *v)
{
	for (size_t i = 0; i < d->fw.n_peers; i++)
		if (addr_equal(&d->fw.peers[i].ipv6, &v->ipv6))
			return &d->fw.peers[i];
	return NULL;
}

static size_t count_tuples(const struct desired *d, const struct verified_identity *v)
{
	size_t n = 0;

	for (size_t i = 0; i < d->fw.n_tuples; i++)
		n += addr_equal(&d->fw.peers[d->fw.tuples[i].peer].ipv6, &v->ipv6);
	return n;
}

/* A key only where a rule joins; the hub always, with the keepalive; every endpoint is the hub's. */
static void test_peers(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);
	const struct wg_peer *hub = wg_find_peer(&d->wg, &bed->root.hub_key);

	assert_int_equal(d->wg.n_peers, 3);
	assert_non_null(hub);
	assert_int_equal(hub->keepalive, DESIRED_HUB_KEEPALIVE_S);
	assert_int_equal(hub->n_allowed, 2);
	assert_non_null(wg_of(d, &bed->peers[WEB]));
	assert_non_null(wg_of(d, &bed->peers[CI]));
	assert_null(wg_of(d, &bed->peers[OLD]));      /* its rule has expired */
	assert_null(wg_of(d, &bed->peers[STRANGER])); /* no rule */
	for (size_t i = 0; i < d->wg.n_peers; i++) {
		assert_true(endpoint_equal(&d->wg.peers[i].endpoint, &bed->hubs[0]));
		assert_int_equal(d->wg.peers[i].n_allowed, 2);
		for (size_t j = 0; j < 2; j++)
			assert_int_equal(d->wg.peers[i].allowed[j].length,
					 addr_bits(&d->wg.peers[i].allowed[j].addr));
	}
	assert_int_equal(wg_of(d, &bed->peers[WEB])->keepalive, 0);
	assert_int_equal(d->mtu, 1280);
	/* looked for elsewhere: the hub alone */
	for (size_t at = 0; at < 2; at++) {
		bed->input.hub_at = &bed->hubs[at];
		desired_free(take_pointer(d));
		d = build(bed);
		for (size_t i = 0; i < d->wg.n_peers; i++) {
			const struct wg_peer *peer = &d->wg.peers[i];
			bool is_hub = key_equal(&peer->public_key, &bed->root.hub_key);

			assert_true(endpoint_equal(&peer->endpoint, &bed->hubs[is_hub ? at : 0]));
		}
	}
	assert_int_equal(d->n_addrs, 2);
	assert_int_equal(d->n_routes, 4);
}

static void test_tuples(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);
	bool in = false, out = false, keep = false;

	assert_int_equal(d->fw.n_peers, 2);
	assert_int_equal(d->fw.n_tuples, 3);
	for (size_t i = 0; i < d->fw.n_tuples; i++) {
		const struct fw_tuple *t = &d->fw.tuples[i];
		const struct fw_peer *peer = &d->fw.peers[t->peer];
		bool web = addr_equal(&peer->ipv6, &bed->peers[WEB].ipv6);
		in |= web && t->inbound && t->protocol == IPPROTO_TCP && t->port_low == 5432 &&
		      t->port_high == 5432;
		out |= web && !t->inbound && t->protocol == IPPROTO_ICMP;
		keep |= !web && t->inbound && t->port_low == 22 && t->on_loss_keep;
	}
	assert_true(in && out && keep);
	/* underlay: only entries that select this host, every port */
	assert_int_equal(d->fw.n_underlay, 2);
	assert_int_equal(d->fw.underlay[0].range.length, 24);
	assert_int_equal(d->fw.api_uid, 65534);
	assert_int_equal(d->fw.n_hubs, 2);
	assert_int_equal(d->fw.listen_port, 40000);
	assert_true(addr_equal(&d->fw.hub6, &(struct addr){AF_INET6,
							   {0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0,
							    0, 0, 0, 0, 0, 0, 0, 0, 1}}));
}

/* Which ends close whom: the peer's lease, ours, the policy's, the key's, the clock; keep outlives leases only. */
static void test_leases(void **data)
{
	static const struct {
		const char *name;
		int64_t peer, own, policy, k4;
		bool sane;
		uint32_t web; /* seconds; 0: no peer at all */
		bool ci;      /* has a key, by its keep grant */
	} cases[] = {
		{"host's lease length", NOW + 7200, NOW + 7200, NOW + 7200, 0, true, 3600, true},
		{"peer", NOW + 5, NOW + 7200, NOW + 7200, 0, true, 5, true},
		{"own", NOW + 7200, NOW + 6, NOW + 7200, 0, true, 6, true},
		{"policy", NOW + 7200, NOW + 7200, NOW + 7, 0, true, 7, true},
		{"k4", NOW + 7200, NOW + 7200, NOW + 7200, NOW + 8, true, 8, true},
		{"peer over", NOW, NOW + 7200, NOW + 7200, 0, true, 0, true},
		{"own over", NOW + 7200, 0, NOW + 7200, 0, true, 0, true},
		{"k4 over", NOW + 7200, NOW + 7200, NOW + 7200, NOW, true, 0, false},
		{"clock", NOW + 7200, NOW + 7200, NOW + 7200, 0, false, 0, false},
	};
	struct bed *bed = *data;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_freep) struct desired *d = NULL;
		const struct fw_peer *web;

		for (size_t p = 0; p < PEERS; p++) {
			bed->peers[p].lease_not_after = cases[i].peer;
			bed->peers[p].k4_not_after = cases[i].k4;
		}
		bed->view.self.lease_not_after = cases[i].own;
		bed->input.policy_not_after = cases[i].policy;
		bed->input.clock_sane = cases[i].sane;
		d = build(bed);
		web = fw_of(d, &bed->peers[WEB]);
		if ((web ? web->lease_s : 0) != cases[i].web ||
		    (wg_of(d, &bed->peers[WEB]) != NULL) != (cases[i].web > 0))
			fail_msg("%s: web has %u s", cases[i].name, web ? web->lease_s : 0);
		if ((wg_of(d, &bed->peers[CI]) != NULL) != cases[i].ci)
			fail_msg("%s: ci", cases[i].name);
		if (web == NULL)
			assert_int_equal(count_tuples(d, &bed->peers[WEB]), 0);
	}
}

/* Nothing known, revoked, no policy: the hub and nobody else. */
static void test_closed(void **data)
{
	for (int i = 0; i < 3; i++) {
		struct bed *bed = *data;
		_cleanup_(desired_freep) struct desired *d = NULL;

		bed->input.view = i == 0 ? NULL : &bed->view;
		bed->input.policy = i == 1 ? NULL : bed->policy;
		bed->view.self_revoked = i == 2;
		d = build(bed);
		assert_int_equal(d->wg.n_peers, 1);
		assert_int_equal(d->fw.n_peers, 0);
		assert_int_equal(d->fw.n_tuples, 0);
		assert_int_equal(d->fw.mode, i == 2 ? FW_MODE_OVERLAY : FW_MODE_ENFORCE);
	}
}

static void test_modes(void **data)
{
	static const struct {
		enum policy_mode least;
		bool locked;
		enum fw_mode mode;
		bool then_locked;
	} cases[] = {
		{POLICY_MODE_OBSERVE, true, FW_MODE_OVERLAY, false}, /* policy says overlay */
		{POLICY_MODE_OVERLAY, true, FW_MODE_OVERLAY, false},
		{POLICY_MODE_ENFORCE, true, FW_MODE_ENFORCE, true},
		{POLICY_MODE_ENFORCE, false, FW_MODE_ENFORCE, false},
	};
	struct bed *bed = *data;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(desired_freep) struct desired *d = NULL;

		bed->input.least_mode = cases[i].least;
		bed->input.underlay_locked = cases[i].locked;
		d = build(bed);
		assert_int_equal(d->fw.mode, cases[i].mode);
		assert_int_equal(d->fw.underlay_locked, cases[i].then_locked);
	}
}

/* One address, one key: otherwise nothing is built at all. */
static void test_unique(void **data)
{
	for (int i = 0; i < 7; i++) {
		struct bed *bed;
		struct desired *d = NULL;
		struct err err = {0};

		assert_int_equal(bed_new((void **)&bed), 0);
		if (i == 0)
			bed->peers[CI].k4 = bed->peers[WEB].k4;
		if (i == 1)
			bed->peers[CI].ipv6 = bed->peers[WEB].ipv6;
		if (i == 2)
			bed->peers[CI].ipv4 = bed->peers[WEB].ipv4;
		if (i == 3)
			bed->peers[CI].ipv4 = bed->view.self.ipv4;
		if (i == 4)
			bed->peers[CI].k4 = bed->root.hub_key;
		if (i == 5)
			bed->peers[CI].ipv4 = hub_address4(&bed->root.overlay4);
		if (i == 6)
			bed->peers[CI].ipv6 = hub_address6(&bed->root.overlay6);
		assert_int_equal(desired_build(&bed->input, &d, &err), -ENOTUNIQ);
		assert_null(d);
		assert_int_equal(bed_free((void **)&bed), 0);
	}
}

static void test_hosts_and_names(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);
	const struct fw_peer *web = fw_of(d, &bed->peers[WEB]);
	const struct desired_name *name = desired_find_name(d, web->number);

	assert_non_null(name);
	assert_string_equal(name->name, "site-a/web");
	assert_null(desired_find_name(d, 1));
	assert_non_null(strstr(d->hosts, "\nfd12:3456:789a:7::14 web.site-a.testnet.internal\n"));
	assert_non_null(strstr(d->hosts, "\n10.77.0.20 web.site-a.testnet.internal\n"));
	assert_non_null(strstr(d->hosts, "\n10.77.0.9 db.site-b.testnet.internal\n"));
	assert_null(strstr(d->hosts, "stranger"));
}

static void test_no_hub(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = NULL;

	bed->input.n_hubs = 0;
	d = build(bed);
	assert_int_equal(d->fw.n_hubs, 0);
	for (size_t i = 0; i < d->wg.n_peers; i++)
		assert_int_equal(d->wg.peers[i].endpoint.addr.family, AF_UNSPEC);
}

static void test_join(void **data)
{
	struct bed *bed = *data;
	struct join_token token = {.overlay6 = bed->root.overlay6, .overlay4 = bed->root.overlay4};
	const struct desired_join_input input = {.ifname = "sortie0",
						 .join_ifname = "sjoin0",
						 .token = &token,
						 .enroll_port = 4281,
						 .api_port = 4280,
						 .hubs = bed->hubs,
						 .n_hubs = 1};
	_cleanup_(desired_freep) struct desired *d = NULL;
	struct key public_key;
	struct addr expected;
	struct err err = {0};

	memset(token.seed.bytes, 7, KEY_SIZE);
	memset(token.hub_key.bytes, 0xaa, KEY_SIZE);
	assert_int_equal(desired_build_join(&input, &d, &err), 0);
	assert_string_equal(d->ifname, "sjoin0");
	assert_string_equal(d->fw.ifname, "sortie0");
	assert_string_equal(d->fw.join_ifname, "sjoin0");
	assert_int_equal(d->fw.mode, FW_MODE_OVERLAY);
	assert_int_equal(d->wg.n_peers, 1);
	assert_int_equal(d->wg.peers[0].n_allowed, 1);
	assert_int_equal(key_public_curve25519(&d->wg.private_key, &public_key), 0);
	expected = token_address(&token.overlay6, &public_key);
	assert_int_equal(d->n_addrs, 1);
	assert_true(addr_equal(&d->addrs[0], &expected));
	assert_int_equal(d->n_routes, 1);
	assert_int_equal(d->routes[0].destination.length, 128);
	assert_int_equal(d->fw.n_peers, 0);
}

/* ---- plan ---- */

static char *plan_text(const struct desired *desired, const struct actual *actual)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	char *text = NULL;
	size_t length = 0;
	FILE *out;

	assert_int_equal(plan_build(desired, actual, &plan), 0);
	out = open_memstream(&text, &length);
	plan_print(plan, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* From nothing: the order is what keeps the door shut while it is built. */
static void test_plan_from_nothing(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);
	struct actual actual = {.firewall = {.first = true, .create = true, .elements_added = 5},
				.hosts_differ = true};
	_cleanup_(freep) char *text = plan_text(d, &actual);

	assert_string_equal(text, "create sortie0\n"
				  "adopt running connections\n"
				  "firewall create elements +5 -0 leases 0 chains 0\n"
				  "adopt running connections\n"
				  "verify firewall\n"
				  "mtu 1280 dev sortie0\n"
				  "wireguard sortie0 peers +3 -0 key\n"
				  "address add fd12:3456:789a:7::9 dev sortie0\n"
				  "address add 10.77.0.9 dev sortie0\n"
				  "route add unreachable fd12:3456:789a::/48\n"
				  "route add unreachable 10.77.0.0/16\n"
				  "up sortie0\n"
				  "route add fd12:3456:789a::/48 dev sortie0\n"
				  "route add 10.77.0.0/16 dev sortie0\n"
				  "names\n");
}

/* Somebody's name for our interface: no second one is made, and rules stand before it has its name. */
static void test_plan_rename(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);
	struct actual actual = {.renamed = "x0"};
	_cleanup_(freep) char *text = plan_text(d, &actual), *flushed = NULL;

	assert_string_equal(text, "rename x0 back to sortie0\n");
	actual.firewall = (struct fw_plan){.create = true, .elements_added = 5};
	flushed = plan_text(d, &actual);
	assert_string_equal(flushed, "firewall create elements +5 -0 leases 0 chains 0\n"
				     "verify firewall\n"
				     "rename x0 back to sortie0\n");
}

/* What stands exactly as desired, made from desired itself. */
static void make_actual(const struct desired *d, struct actual *actual, struct link_addr addrs[4],
			struct link_route routes[8], struct wg_device *wg)
{
	*wg = d->wg;
	*actual = (struct actual){.exists = true,
				  .link = {.index = 7, .mtu = 1280, .up = true},
				  .wg = wg,
				  .addrs = addrs,
				  .routes = routes};
	for (size_t i = 0; i < d->n_addrs; i++)
		addrs[actual->n_addrs++] = (struct link_addr){
			.index = 7, .prefix = prefix_host(&d->addrs[i]), .local = d->addrs[i]};
	for (size_t i = 0; i < d->n_routes; i++) {
		routes[i] = d->routes[i];
		routes[i].oif = routes[i].unreachable ? 1 : 7; /* lo, as the kernel shows it */
		actual->n_routes++;
	}
}

static void test_plan_nothing_to_do(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);
	struct link_addr addrs[4];
	struct link_route routes[8];
	struct wg_device wg;
	struct actual actual;
	_cleanup_(freep) char *text = NULL;

	make_actual(d, &actual, addrs, routes, &wg);
	/* others' things on the same host, and the kernel's own link-local address, are not ours */
	addrs[actual.n_addrs++] =
		(struct link_addr){.index = 7,
				   .prefix = {{AF_INET6, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1}}, 64},
				   .local = {AF_INET6, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1}}};
	routes[actual.n_routes++] = (struct link_route){
		.destination = {{AF_INET, {10, 77, 5}}, 24}, .oif = 3, .table = 254, .protocol = 4};
	text = plan_text(d, &actual);
	assert_string_equal(text, "");
}

/* Lowered: down before anything else, nothing leads through the interface, what shuts the overlay stands. */
static void test_plan_down(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *up = build(bed);
	_cleanup_(desired_freep) struct desired *d = NULL;
	struct link_addr addrs[4];
	struct link_route routes[8];
	struct wg_device wg;
	struct actual actual;
	_cleanup_(freep) char *text = NULL, *again = NULL;

	bed->input.down = true;
	d = build(bed);
	bed->input.down = false;
	make_actual(up, &actual, addrs, routes, &wg);
	text = plan_text(d, &actual);
	assert_string_equal(text, "down sortie0\n"
				  "route remove fd12:3456:789a::/48 dev sortie0\n"
				  "route remove 10.77.0.0/16 dev sortie0\n");
	/* ... and stays */
	make_actual(d, &actual, addrs, routes, &wg);
	actual.link.up = false;
	again = plan_text(d, &actual);
	assert_string_equal(again, "");
}

static void test_plan_differences(void **data)
{
	struct bed *bed = *data;
	_cleanup_(desired_freep) struct desired *d = build(bed);

	static const char *const expected[] = {
		"up sortie0\n",
		"mtu 1280 dev sortie0\n",
		"address add fd12:3456:789a:7::9 dev sortie0\n",
		"address remove 10.77.0.99/32 dev sortie0\n",
		"route remove 10.77.0.0/16 dev sortie0\nroute add 10.77.0.0/16 dev sortie0\n",
		"route remove 10.77.8.0/24 dev sortie0\n",
		"wireguard sortie0 peers +0 -1\n",
		"wireguard sortie0 peers +1 -0\n",
		"firewall change elements +0 -2 leases 0 chains 1\n",
		"names\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		struct link_addr addrs[4];
		struct link_route routes[8];
		struct wg_device wg;
		struct wg_peer more[8];
		struct actual actual;
		_cleanup_(freep) char *text = NULL;

		make_actual(d, &actual, addrs, routes, &wg);
		if (i == 0)
			actual.link.up = false;
		if (i == 1)
			actual.link.mtu = 1420;
		if (i == 2)
			addrs[0] = addrs[--actual.n_addrs];
		if (i == 3)
			addrs[actual.n_addrs++] =
				(struct link_addr){.index = 7,
						   .prefix = {{AF_INET, {10, 77, 0, 99}}, 32},
						   .local = {AF_INET, {10, 77, 0, 99}}};
		if (i == 4)
			routes[1].metric = 5;
		if (i == 5)
			routes[actual.n_routes++] =
				(struct link_route){.destination = {{AF_INET, {10, 77, 8}}, 24},
						    .oif = 7,
						    .table = 254,
						    .protocol = LINK_ROUTE_PROTOCOL};
		if (i == 6) {
			memcpy(more, wg.peers, wg.n_peers * sizeof(more[0]));
			more[wg.n_peers] = (struct wg_peer){.public_key = {{0xff, 0xff}}};
			wg.peers = more;
			wg.n_peers++;
		}
		if (i == 7)
			wg.n_peers--;
		if (i == 8)
			actual.firewall =
				(struct fw_plan){.elements_removed = 2, .chains_rewritten = 1};
		if (i == 9)
			actual.hosts_differ = true;
		text = plan_text(d, &actual);
		if (strcmp(text, expected[i]) != 0)
			fail_msg("case %zu:\n%s", i, text);
	}
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, bed_new, bed_free)
	const struct CMUnitTest tests[] = {
		TEST(test_peers),
		TEST(test_tuples),
		TEST(test_leases),
		TEST(test_closed),
		TEST(test_modes),
		TEST(test_unique),
		TEST(test_hosts_and_names),
		TEST(test_no_hub),
		TEST(test_join),
		TEST(test_plan_from_nothing),
		TEST(test_plan_rename),
		TEST(test_plan_nothing_to_do),
		TEST(test_plan_down),
		TEST(test_plan_differences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
