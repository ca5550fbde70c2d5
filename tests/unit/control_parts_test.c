/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control plane's small parts: endpoints that count, nonces, rate limits, pairs, ranges, the signer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/stat.h>
#include "control-plane/endpoints.h"
#include "control-plane/hub_watch.h"
#include "control-plane/inventory.h"
#include "control-plane/limit.h"
#include "control-plane/nonce.h"
#include "netlink/link.h"
#include "tests/unit/control_bed.h"

#define WHERE "/dev/shm"

/* ---- endpoints ---- */

static struct endpoint endpoint(const char *text)
{
	struct endpoint ret = {0};

	if (text)
		assert_int_equal(endpoint_parse(text, &ret), 0);
	return ret;
}

#define SITE	 "192.0.2.1:1000"
#define REBOUND	 "192.0.2.1:2000"
#define ATTACKER "203.0.113.9:666"

/* A story is what WireGuard shows at each look, and which endpoint counts after it. */
static void test_endpoints(void **state)
{
	static const struct {
		const char *what;
		struct {
			bool reset; /* the interface was made anew before this look */
			const char *shown;
			int64_t handshake_at;
			uint64_t rx_bytes;
			const char *counts;
		} looks[6];
	} stories[] = {
		{"a handshake",
		 {{false, NULL, 0, 0, NULL},
		  {false, SITE, 0, 148, NULL},
		  {false, SITE, 5, 300, SITE}}},
		{"a replay before any handshake counts for nothing",
		 {{false, ATTACKER, 0, 148, NULL},
		  {false, ATTACKER, 0, 296, NULL},
		  {false, SITE, 7, 500, SITE}}},
		{"hub restart: the old endpoint stays until the site is back",
		 {{false, SITE, 5, 300, SITE},
		  {true, ATTACKER, 0, 148, SITE},
		  {false, ATTACKER, 0, 296, SITE},
		  {false, REBOUND, 9, 700, REBOUND}}},
		{"NAT rebind between handshakes: after two looks with data",
		 {{false, SITE, 5, 300, SITE},
		  {false, REBOUND, 5, 400, SITE},
		  {false, REBOUND, 5, 500, REBOUND}}},
		{"one packet from elsewhere moves nothing",
		 {{false, SITE, 5, 300, SITE},
		  {false, ATTACKER, 5, 448, SITE},
		  {false, ATTACKER, 5, 448, SITE},
		  {false, SITE, 5, 600, SITE}}},
		{"a new handshake from a new place counts at once",
		 {{false, SITE, 5, 300, SITE}, {false, REBOUND, 125, 400, REBOUND}}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		struct hub_watch watch = {0};

		for (size_t j = 0; j < ARRAY_SIZE(stories[i].looks); j++) {
			struct endpoint before = watch.confirmed;
			struct endpoint expected = endpoint(stories[i].looks[j].counts);
			struct wg_peer peer = {
				.endpoint = endpoint(stories[i].looks[j].shown),
				.last_handshake_at = stories[i].looks[j].handshake_at,
				.rx_bytes = stories[i].looks[j].rx_bytes,
			};
			bool changed;

			if (j > 0 && !stories[i].looks[j].shown)
				break;
			if (stories[i].looks[j].reset)
				hub_watch_reset(&watch);
			changed = hub_watch_look(&watch, &peer, (struct mono){1000000});
			if (!endpoint_equal(&watch.confirmed, &expected))
				fail_msg("%s: look %zu", stories[i].what, j);
			assert_int_equal(changed, !endpoint_equal(&before, &watch.confirmed));
		}
	}
}

/* Silence, in seconds after the first look: the endpoint goes after 180 and comes back with the peer. */
static void test_silence(void **state)
{
	static const struct {
		int64_t second;
		int64_t handshake_at;
		uint64_t rx_bytes;
		bool changed, silent;
	} looks[] = {
		{0, 5, 300, true, false},	{179, 5, 300, false, false},
		{180, 5, 300, false, false},	{181, 5, 300, true, true},
		{182, 5, 300, false, true},	{500, 5, 300, false, true},
		{501, 900, 450, true, false},	{600, 900, 482, false, false},
		{780, 900, 482, false, false},	/* 180 since the data */
		{1900, 900, 514, false, false}, /* nobody looked for long; it was there */
		{2081, 900, 514, true, true},
	};
	struct hub_watch watch = {0}, never = {0};
	const struct wg_peer nobody = {0};

	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		const struct wg_peer peer = {
			.endpoint = endpoint(SITE),
			.last_handshake_at = looks[i].handshake_at,
			.rx_bytes = looks[i].rx_bytes,
		};
		struct mono now = {(looks[i].second + 1000) * 1000000};

		if (hub_watch_look(&watch, &peer, now) != looks[i].changed ||
		    watch.silent != looks[i].silent ||
		    addr_is_set(&watch.confirmed.addr) == looks[i].silent)
			fail_msg("at %lld s", (long long)looks[i].second);
	}
	assert_false(hub_watch_look(&never, &nobody, (struct mono){1000000}));
	assert_false(hub_watch_look(&never, &nobody, (struct mono){181000000}));
	assert_true(hub_watch_look(&never, &nobody, (struct mono){181001000}));
	assert_true(never.silent);
}

/* When the hub calls a peer by itself: seconds after the first look. */
static void test_calls(void **state)
{
	static const struct {
		const char *what;
		bool fresh;	     /* the hub is new and knows the endpoint from before */
		uint64_t heard_at;   /* data of the peer, 0: none */
		int64_t calls_at[6]; /* of 300 looks, a second apart */
	} cases[] = {
		{"never heard since the hub came back", true, 0, {8, 16, 32, 64, 128}},
		{"it came by itself", true, 5, {35, 65, 125}},
		{"it fell silent", false, 100, {30, 60, 130, 160, 220}},
		{"nothing at all", false, 0, {30, 60, 120}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hub_watch watch = {0};
		struct wg_peer peer = {
			.endpoint = endpoint(SITE), .last_handshake_at = 5, .rx_bytes = 1};
		size_t calls = 0;

		(void)hub_watch_look(&watch, &peer, (struct mono){1});
		if (cases[i].fresh) {
			hub_watch_reset(&watch);
			peer = (struct wg_peer){0};
		}
		for (int64_t second = 0; second < 300; second++) {
			struct mono now = {(second + 1) * 1000000};

			if (cases[i].heard_at && second == (int64_t)cases[i].heard_at)
				peer = (struct wg_peer){.endpoint = endpoint(SITE),
							.last_handshake_at = 300,
							.rx_bytes = 1000};
			(void)hub_watch_look(&watch, &peer, now);
			if (!hub_watch_call(&watch, now))
				continue;
			if (calls == ARRAY_SIZE(cases[i].calls_at) ||
			    cases[i].calls_at[calls++] != second)
				fail_msg("%s: call %zu at %lld s", cases[i].what, calls,
					 (long long)second);
		}
		if (calls < ARRAY_SIZE(cases[i].calls_at) && cases[i].calls_at[calls])
			fail_msg("%s: %zu calls", cases[i].what, calls);
	}
}

/* After a call the hub knows no timestamp of the peer's: a repeated initiation makes whoever sent it the endpoint. */
static void test_replay_after_call(void **state)
{
	const struct endpoint site = endpoint(SITE), rebound = endpoint(REBOUND);
	struct hub_watch watch = {0};
	struct wg_peer peer = {.endpoint = site, .last_handshake_at = 5, .rx_bytes = 1};
	struct mono now = {1};

	(void)hub_watch_look(&watch, &peer, now);
	now.us += (HUB_WATCH_CALL_SECONDS + 1) * INT64_C(1000000);
	assert_true(hub_watch_call(&watch, now));
	peer = (struct wg_peer){.endpoint = site, .last_handshake_at = 40, .rx_bytes = 92};
	(void)hub_watch_look(&watch, &peer, now);
	assert_true(endpoint_equal(&watch.confirmed, &site));
	peer.endpoint = rebound; /* what a replay does */
	for (int i = 0; i < 3; i++) {
		peer.rx_bytes += 148;
		now.us += 1000000;
		(void)hub_watch_look(&watch, &peer, now);
		assert_true(endpoint_equal(&watch.confirmed, &site));
		assert_false(hub_watch_doubts(&watch));
	}
	peer.last_handshake_at = 160; /* the site itself, from there */
	(void)hub_watch_look(&watch, &peer, now);
	assert_true(endpoint_equal(&watch.confirmed, &rebound));
	/* It rebooted: called in vain at the old place, it comes from a new one. */
	now.us += (HUB_WATCH_CALL_SECONDS + 1) * INT64_C(1000000);
	assert_true(hub_watch_call(&watch, now));
	peer = (struct wg_peer){.endpoint = site, .last_handshake_at = 300, .rx_bytes = 148};
	(void)hub_watch_look(&watch, &peer, now);
	assert_true(endpoint_equal(&watch.confirmed, &site));
}

static void test_doubts(void **state)
{
	struct hub_watch watch = {0};
	struct wg_peer peer = {.endpoint = endpoint(SITE)};

	assert_false(hub_watch_doubts(&watch));
	(void)hub_watch_look(&watch, &peer, (struct mono){1});
	assert_false(hub_watch_doubts(
		&watch)); /* without a handshake: a replay can do that as often as it likes */
	peer.last_handshake_at = 5;
	(void)hub_watch_look(&watch, &peer, (struct mono){2});
	assert_false(hub_watch_doubts(&watch));
	peer.endpoint = endpoint(REBOUND);
	(void)hub_watch_look(&watch, &peer, (struct mono){3});
	assert_true(hub_watch_doubts(&watch));
	peer.rx_bytes = 100;
	(void)hub_watch_look(&watch, &peer, (struct mono){4});
	assert_false(hub_watch_doubts(&watch));
}

/* What is remembered of endpoints comes back, and a damaged file is only less of a hint. */
static void test_endpoints_file(void **state)
{
	struct member a = {.row.id.bytes = {1}}, b = {.row.id.bytes = {2}},
		      c = {.row.id.bytes = {3}};
	struct member *members[] = {&a, &b, &c};
	struct inventory inventory = {.members = members, .n = 3};
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *damaged = NULL;
	const struct endpoint site = endpoint(SITE), rebound = endpoint(REBOUND);

	a.watch.confirmed = site;
	b.watch.confirmed = endpoint("[2001:db8::1234:5678]:65535");
	text = endpoints_format(&inventory);
	assert_non_null(text);
	a.watch.confirmed = (struct endpoint){0};
	b.watch.confirmed = rebound; /* what is known already is newer */
	assert_int_equal(endpoints_parse(text, &inventory), 1);
	assert_true(endpoint_equal(&a.watch.confirmed, &site));
	assert_true(endpoint_equal(&b.watch.confirmed, &rebound));
	assert_false(addr_is_set(&c.watch.confirmed.addr));
	a.watch.confirmed = b.watch.confirmed = (struct endpoint){0};
	/* cut off within the last line; rubbish before it */
	assert_true(asprintf(&damaged, "\n\nx y\n%s 1.2.3.4\n%.*s", "00", (int)strlen(text) - 1,
			     text) > 0);
	assert_int_equal(endpoints_parse(damaged, &inventory), 1);
	assert_int_equal(endpoints_parse("", &inventory), 0);
}

/* ---- nonces ---- */

static void number(uint8_t nonce[16], uint32_t value)
{
	memset(nonce, 0, 16);
	memcpy(nonce, &value, sizeof(value));
}

static void test_nonces(void **state)
{
	struct nonces nonces = {0};
	uint8_t nonce[16];

	for (uint32_t i = 0; i < 1000; i++) {
		number(nonce, i);
		assert_true(nonces_take(&nonces, nonce, 100 + i));
		assert_false(nonces_take(&nonces, nonce, 100 + i));
	}
	for (uint32_t i = 0; i < 1000; i++) { /* also those that fell out of the ring */
		number(nonce, i);
		assert_false(nonces_take(&nonces, nonce, 100 + i));
	}
	number(nonce, 5000);
	assert_false(nonces_take(&nonces, nonce, 100)); /* too old to tell */
	assert_true(nonces_take(&nonces, nonce, 1099)); /* another call in the last second */
}

static void test_clock_step(void **state)
{
	struct nonces nonces = {0};
	uint8_t nonce[16];

	for (uint32_t i = 0; i < 50;
	     i++) { /* a clock that was set back must not lock its host out */
		number(nonce, i);
		assert_true(nonces_take(&nonces, nonce, 1000 - i));
	}
}

/* ---- limits ---- */

static void test_limit(void **state)
{
	_cleanup_(freep) struct limit *limit = limit_new(1.0, 5.0);
	struct addr a, b;
	struct mono now = {1000000};
	size_t passed = 0;

	MUST(addr_parse("fd00::1", &a));
	MUST(addr_parse("fd00::2", &b));
	for (size_t i = 0; i < 50; i++)
		passed += limit_take(limit, &a, now);
	assert_int_equal(passed, 5);
	assert_true(limit_take(limit, &b, now)); /* others are not hit */
	now.us += 2100000;
	assert_true(limit_take(limit, &a, now));
	assert_true(limit_take(limit, &a, now));
	assert_false(limit_take(limit, &a, now));
}

/* Five at once, then one each minute; what was never taken is no credit. */
static void test_debt(void **state)
{
	const int64_t minute_us = 60000000;
	struct debt debt = {0};
	struct mono now = {3600 * INT64_C(1000000)};
	size_t passed = 0;

	for (size_t i = 0; i < 50; i++) {
		if (debt_wait_us(&debt, now, 4 * minute_us) > 0)
			continue;
		debt_add(&debt, now, minute_us);
		passed++;
	}
	assert_int_equal(passed, 5);
	assert_int_equal(debt_wait_us(&debt, now, 4 * minute_us), minute_us);
	now.us += minute_us - 1;
	assert_int_equal(debt_wait_us(&debt, now, 4 * minute_us), 1);
	now.us++;
	assert_int_equal(debt_wait_us(&debt, now, 4 * minute_us), 0);
	debt_add(&debt, now, minute_us);
	assert_int_equal(debt_wait_us(&debt, now, 4 * minute_us), minute_us);
}

/* ---- pairs ---- */

static void enrol(struct bed *bed, const char *name, struct id *ret)
{
	_cleanup_(freep) char *request = NULL;
	struct bed_token token;
	struct bed_host host;

	bed_add_token(bed, name, bed->now + 3600, &token);
	bed_new_host(bed, &host);
	request = bed_request(bed, &token, &host);
	assert_int_equal(bed_redeem(bed, &token, request, NULL), 200);
	*ret = host.id;
}

static void test_pairs(void **state)
{
	static const char text[] = "version: 1\n"
				   "rules:\n"
				   "  - name: a talks to b\n"
				   "    from: s/a\n"
				   "    to: s/b\n"
				   "    allow: [tcp/1]\n"
				   "  - name: for a while\n"
				   "    from: s/a\n"
				   "    to: s/c\n"
				   "    allow: [tcp/1]\n"
				   "    expires: 2100-01-01\n";
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(policy_freep) struct policy *policy = NULL;
	_cleanup_(inventory_done) struct inventory inventory = {0};
	struct member *a, *b, *c;
	struct id ids[3];
	struct err err = {0};
	int64_t end;

	if (policy_parse(text, strlen(text), &policy, &err) < 0)
		fail_msg("%u: %s", err.line, err.text);
	enrol(bed, "s/c", &ids[2]);
	enrol(bed, "s/a", &ids[0]);
	MUST(inventory_load(&inventory, bed->store));
	MUST(inventory_pair_all(&inventory, policy, bed->now));
	enrol(bed, "s/b", &ids[1]);
	MUST(inventory_put(&inventory, bed->store, &ids[1], &b));
	MUST(inventory_pair_one(&inventory, b, policy, bed->now));
	assert_int_equal(inventory.n, 3);
	a = inventory_by_text(&inventory, "s/a");
	c = inventory_find(&inventory, &ids[2]);
	assert_ptr_equal(inventory_by_address(&inventory, &a->row.ipv4), a);
	assert_ptr_equal(inventory_by_text(&inventory, "s/b"), b);
	assert_null(inventory_by_text(&inventory, "s/d"));
	assert_true(member_paired(a, b) && member_paired(b, a));
	assert_true(member_paired(a, c) && member_paired(c, a));
	assert_false(member_paired(b, c));
	/* news go to those who may see it */
	inventory_touch(&inventory, b, 1000);
	assert_int_equal(a->view, 1000);
	assert_int_equal(b->view, 1000);
	assert_true(c->view < 1000);
	/* a rule ends */
	MUST(time_parse("2100-01-01", &end));
	assert_int_equal(policy_next_expiry(policy, bed->now), end);
	assert_int_equal(policy_next_expiry(policy, end), 0);
	MUST(inventory_pair_all(&inventory, policy, end));
	assert_false(member_paired(a, c));
	assert_true(member_paired(a, b));
	/* a member goes */
	inventory_remove(&inventory, b);
	assert_int_equal(a->n_peers, 0);
	assert_int_equal(inventory.n, 2);
	MUST(inventory_pair_all(&inventory, NULL, bed->now)); /* no policy, no pairs */
	assert_int_equal(a->n_peers + c->n_peers, 0);
}

/* ---- init ---- */

static void test_endpoint_texts(void **state)
{
	static const struct {
		const char *text;
		uint16_t port; /* 0: refused */
	} cases[] = {
		{"192.0.2.1:51820", 51820},
		{"hub.example.org:443", 443},
		{"[2001:db8::1]:51820", 51820},
		{"hub.example.org", 0},
		{"hub:0", 0},
		{"hub:65536", 0},
		{":51820", 0},
		{"2001:db8::1:51820", 0},
		{"hub example:1", 0},
		{"[192.0.2.1]:1", 0},
		{"-hub:1", 0},
		{"hub:1x", 0},
		{"[::1:5", 0},
		{"hub: 5", 0},
		{"hub;rm:5", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint16_t port = 0;
		int r = init_endpoint_port(cases[i].text, &port);

		if ((r == 0) != (cases[i].port != 0) || port != cases[i].port)
			fail_msg("%s: %d, port %u", cases[i].text, r, port);
	}
}

/* What agents are given to try: first what the operator named, then the same hosts at the second port. */
static void test_endpoints_given(void **state)
{
	static const struct {
		const char *given[4];
		size_t n;
		uint16_t alt_port;
		const char *expected; /* joined by blanks */
	} cases[] = {
		{{"hub.example:51820"}, 1, 443, "hub.example:51820 hub.example:443"},
		{{"hub.example:51820"}, 1, 0, "hub.example:51820"},
		{{"hub.example:443"}, 1, 443, "hub.example:443"},
		{{"[2001:db8::1]:51820", "192.0.2.1:51820"},
		 2,
		 443,
		 "[2001:db8::1]:51820 192.0.2.1:51820 [2001:db8::1]:443 192.0.2.1:443"},
		{{"a:1", "a:443", "b:1"}, 3, 443, "a:1 a:443 b:1 b:443"},
		{{"a:1", "b:1", "c:1"}, 3, 443, "a:1 b:1 c:1 a:443"},
		{{"a:1", "b:1", "c:1", "d:1"}, 4, 443, "a:1 b:1 c:1 d:1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char list[TOKEN_ENDPOINTS_MAX][TOKEN_HOST_MAX], text[1024] = "";
		size_t n = init_endpoints(cases[i].given, cases[i].n, cases[i].alt_port, list);

		size_t at = 0;

		for (size_t j = 0; j < n; j++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", j ? " " : "",
					       list[j]);
		assert_string_equal(text, cases[i].expected);
	}
}

static void test_ranges(void **state)
{
	struct link_route routes[260] = {0}; /* the first is the default route */
	struct prefix range;
	char text[PREFIX_TEXT_MAX];

	MUST(prefix_parse("10.7.3.0/24", &routes[1].destination));
	MUST(prefix_parse("10.8.0.0/15", &routes[2].destination));
	MUST(init_choose_ipv4(routes, 3, 7, &range));
	assert_string_equal(prefix_format(&range, text), "10.10.0.0/16");
	MUST(init_choose_ipv4(routes, 3, 255, &range));
	assert_string_equal(prefix_format(&range, text), "10.255.0.0/16");
	MUST(prefix_parse("10.0.0.0/8", &routes[3].destination));
	assert_int_equal(init_choose_ipv4(routes, 4, 0, &range), -ENOSPC);
}

static void test_init_refuses(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	struct init_options good = {
		.network = "n", .endpoints = {"192.0.2.1:1"}, .n_endpoints = 1, .mtu = INIT_MTU};
	struct init_options options = good;
	struct err err = {0};
	char path[128];
	struct stat st;

	options.state_dir = bed->dir; /* holds a network */
	assert_int_equal(init_network(&options, &err), -EEXIST);
	snprintf(path, sizeof(path), "%s/other", bed->parent);
	options = good;
	options.state_dir = path;
	options.network = "Bad_Name";
	assert_int_equal(init_network(&options, &err), -EINVAL);
	options = good;
	options.state_dir = path;
	options.mtu = 1279;
	assert_int_equal(init_network(&options, &err), -EINVAL);
	options = good;
	options.state_dir = path;
	options.ipv4 = INIT_IPV4_GIVEN;
	MUST(prefix_parse("10.0.0.0/30", &options.overlay4));
	assert_int_equal(init_network(&options, &err), -EINVAL);
	MUST(prefix_parse("100.100.0.0/16", &options.overlay4));
	assert_int_equal(init_network(&options, &err), -EINVAL);
	assert_non_null(strstr(err.text, "100.64.0.0/10"));
	/* nothing half made is left */
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(stat(bed->parent, &st), 0);
	assert_int_equal(st.st_nlink, 3); /* ".", its name, and the state folder */
	options = good;
	options.state_dir = path;
	options.ipv4 = INIT_IPV4_NONE;
	assert_int_equal(init_network(&options, &err), 0);
	snprintf(path, sizeof(path), "%s/other/keys/root", bed->parent);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* ---- the signer ---- */

static void test_signer(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(signer_stopp) struct signer *signer = NULL;
	_cleanup_(envelope_freep) struct envelope *envelope = NULL;
	_cleanup_(freep) char *lease = NULL;
	_cleanup_(freep) char *tombstone = NULL;
	const struct id id = {{1, 2, 3}};
	struct lease_statement statement;
	struct err err = {0};
	char path[128];

	assert_int_equal(signer_start(bed->dir, &signer, &err), 0);
	MUST(signer_lease(signer, &id, &lease));
	MUST(envelope_parse(lease, strlen(lease), TYPE_LEASE, &envelope, &err));
	assert_true(envelope_signed_by(envelope, &trust_root(bed->trust)->control_key));
	MUST(lease_decode(envelope->payload, envelope->payload_length, &statement, &err));
	assert_true(id_equal(&statement.identity, &id));
	assert_int_equal(statement.not_after - statement.issued_at, LEASE_SECONDS);
	MUST(signer_tombstone(signer, &id, "left the company", &tombstone));
	assert_int_equal(trust_accept_tombstone(bed->trust, tombstone, strlen(tombstone), &err), 0);
	assert_true(trust_revoked(bed->trust, &id));
	/* the key is read by the signer alone, and must be safe where it lies */
	signer_stop(take_pointer(signer));
	snprintf(path, sizeof(path), "%s/%s", bed->dir, SIGNER_KEY_FILE);
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(signer_start(bed->dir, &signer, &err) < 0);
	assert_true(err.text[0]);
	assert_int_equal(unlink(path), 0);
	assert_true(signer_start(bed->dir, &signer, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_replay_after_call),
		cmocka_unit_test(test_endpoints_file),
		cmocka_unit_test(test_nonces),
		cmocka_unit_test(test_clock_step),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_debt),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_endpoint_texts),
		cmocka_unit_test(test_endpoints_given),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_init_refuses),
		cmocka_unit_test(test_signer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
