/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the feed decides: driven against a relay of a few arrays, which the linker puts in the place of the real one
 * (--wrap), refuses what the real one refuses and counts the calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "control-plane/relay_feed.h"
#include "relay/relay.h"

#define NUMBERS 300
#define NOW	INT64_C(1800000000)
#define A	"192.0.2.1:1"
#define B	"192.0.2.1:2"
#define C	"[2001:db8::1]:3"

/* ---- the relay ---- */

static struct {
	struct {
		bool set;
		struct key key, previous;
		struct endpoint endpoint;
		int64_t expires_us;
	} sites[NUMBERS];
	int64_t pairs[NUMBERS][NUMBERS]; /* expiry, both directions; 0: none */
	size_t site_sets, endpoint_sets, forgets, pair_sets, pair_removes, warnings;
	int pair_set_fails, site_pairs_fails;
	uint32_t full; /* this site takes no new pair */
} fake;

int __wrap_relay_open(const char *bpffs_dir, struct relay **ret);
void __wrap_relay_close(struct relay *relay);
int __wrap_relay_set_hub(struct relay *relay, const struct key *public_key, uint16_t port);
int __wrap_relay_site_set(struct relay *relay, uint32_t site, const struct key *public_key,
			  const struct key *previous_key, struct mono expires);
int __wrap_relay_site_adopt(struct relay *relay, uint32_t site, const struct key *public_key,
			    struct mono expires);
int __wrap_relay_site_endpoint(struct relay *relay, uint32_t site, const struct endpoint *endpoint);
int __wrap_relay_site_remove(struct relay *relay, uint32_t site);
int __wrap_relay_pair_set(struct relay *relay, uint32_t a, uint32_t b, struct mono expires);
int __wrap_relay_pair_remove(struct relay *relay, uint32_t a, uint32_t b);
int __wrap_relay_site_pairs(struct relay *relay, uint32_t site, uint16_t ret[RELAY_CANDIDATES_MAX],
			    size_t *ret_n);
void __wrap_log_at(enum log_level level, const char *format, ...);

int __wrap_relay_open(const char *bpffs_dir, struct relay **ret)
{
	*ret = (struct relay *)&fake;
	return 0;
}

void __wrap_relay_close(struct relay *relay)
{
}

int __wrap_relay_set_hub(struct relay *relay, const struct key *public_key, uint16_t port)
{
	return 0;
}

int __wrap_relay_site_set(struct relay *relay, uint32_t site, const struct key *public_key,
			  const struct key *previous_key, struct mono expires)
{
	fake.site_sets++;
	fake.sites[site].set = true;
	fake.sites[site].key = *public_key;
	fake.sites[site].previous = previous_key ? *previous_key : (struct key){{0}};
	fake.sites[site].expires_us = expires.us;
	return 0;
}

int __wrap_relay_site_adopt(struct relay *relay, uint32_t site, const struct key *public_key,
			    struct mono expires)
{
	struct key stood = fake.sites[site].key, previous = fake.sites[site].previous;
	bool other = fake.sites[site].set && !key_equal(&stood, public_key);

	return __wrap_relay_site_set(relay, site, public_key, other ? &stood : &previous, expires);
}

int __wrap_relay_site_endpoint(struct relay *relay, uint32_t site, const struct endpoint *endpoint)
{
	if (!fake.sites[site].set)
		return -ENOENT;
	for (uint32_t i = 0; endpoint && i < NUMBERS; i++)
		if (i != site && fake.sites[i].set &&
		    endpoint_equal(&fake.sites[i].endpoint, endpoint))
			return -EADDRINUSE;
	*(endpoint ? &fake.endpoint_sets : &fake.forgets) += 1;
	fake.sites[site].endpoint = endpoint ? *endpoint : (struct endpoint){0};
	return 0;
}

int __wrap_relay_site_remove(struct relay *relay, uint32_t site)
{
	if (site >= NUMBERS || !fake.sites[site].set)
		return 0;
	memset(&fake.sites[site], 0, sizeof(fake.sites[site]));
	for (uint32_t i = 0; i < NUMBERS; i++)
		fake.pairs[site][i] = fake.pairs[i][site] = 0;
	return 0;
}

int __wrap_relay_pair_set(struct relay *relay, uint32_t a, uint32_t b, struct mono expires)
{
	fake.pair_sets++;
	if (fake.pair_set_fails)
		return fake.pair_set_fails;
	if ((a == fake.full || b == fake.full) && fake.full && !fake.pairs[a][b])
		return -ENOSPC;
	fake.pairs[a][b] = fake.pairs[b][a] = expires.us;
	return 0;
}

int __wrap_relay_pair_remove(struct relay *relay, uint32_t a, uint32_t b)
{
	fake.pair_removes++;
	if (a < NUMBERS && b < NUMBERS)
		fake.pairs[a][b] = fake.pairs[b][a] = 0;
	return 0;
}

int __wrap_relay_site_pairs(struct relay *relay, uint32_t site, uint16_t ret[RELAY_CANDIDATES_MAX],
			    size_t *ret_n)
{
	*ret_n = 0;
	for (uint16_t i = 0; site < NUMBERS && i < NUMBERS; i++)
		if (fake.pairs[site][i])
			ret[(*ret_n)++] = i;
	for (uint16_t i = NUMBERS; fake.full && site == fake.full && *ret_n < RELAY_CANDIDATES_MAX;
	     i++)
		ret[(*ret_n)++] = i;
	return fake.site_pairs_fails;
}

void __wrap_log_at(enum log_level level, const char *format, ...)
{
	fake.warnings++;
}

/* ---- the inventory ---- */

static struct {
	struct member members[NUMBERS];
	struct member *order[NUMBERS];
	struct member *peers[NUMBERS][NUMBERS];
	struct inventory inventory;
	struct relay_feed *feed;
} world;

static struct endpoint endpoint(const char *text)
{
	struct endpoint ret = {0};

	if (text)
		assert_int_equal(endpoint_parse(text, &ret), 0);
	return ret;
}

static void open_feed(void)
{
	static const struct key hub = {{9}};

	relay_feed_close(world.feed);
	assert_int_equal(relay_feed_open("/nowhere", &hub, 1, &world.feed), 0);
}

/* Site numbers 1 to n, nobody paired. */
static void start(size_t n)
{
	memset(&fake, 0, sizeof(fake));
	memset(&world.members, 0, sizeof(world.members));
	for (uint32_t i = 1; i <= n; i++) {
		struct member *member = &world.members[i];

		world.order[i - 1] = member;
		member->peers = world.peers[i];
		member->row.site = i;
		member->row.state = IDENTITY_LIVING;
		member->row.lease_not_after = NOW + 86400;
		member->row.k4.bytes[0] = (uint8_t)i;
		snprintf(member->row.name, sizeof(member->row.name), "s/%u", i);
	}
	world.inventory = (struct inventory){.members = world.order, .n = n};
	open_feed();
}

static int stop(void **state)
{
	relay_feed_close(world.feed);
	world.feed = NULL;
	return 0;
}

static void join(uint32_t a, uint32_t b)
{
	struct member *left = &world.members[a], *right = &world.members[b];

	left->peers[left->n_peers++] = right;
	right->peers[right->n_peers++] = left;
}

static void shows(uint32_t site, const char *text)
{
	world.members[site].watch.confirmed = endpoint(text);
	world.members[site].watch.silent = false;
}

static void falls_silent(uint32_t site)
{
	shows(site, NULL);
	world.members[site].watch.silent = true;
}

static void feed_once(void)
{
	assert_int_equal(relay_feed_sync(world.feed, &world.inventory, NOW), 0);
}

static void assert_at(uint32_t site, const char *text)
{
	struct endpoint expected = endpoint(text);

	assert_true(endpoint_equal(&fake.sites[site].endpoint, &expected));
}

/* ---- endpoints ---- */

/* Where the sites stand before and after, what the relay must hold then, and how many of them had to forget first. */
static void test_moves(void **state)
{
	static const struct {
		const char *what;
		const char *before[3], *after[3], *held[3];
		size_t forgets, warnings;
	} cases[] = {
		{"nothing new", {A, B, C}, {A, B, C}, {A, B, C}, 0, 0},
		{"a move leaves no gap", {A, B}, {A, C}, {A, C}, 0, 0},
		{"no endpoint yet", {NULL, B}, {A, B}, {A, B}, 0, 0},
		{"two swapped", {A, B, C}, {B, A, C}, {B, A, C}, 1, 0},
		{"three in a ring", {A, B, C}, {B, C, A}, {B, C, A}, 2, 0},
		{"into the place of one that moved", {A, B}, {B, C}, {B, C}, 1, 0},
		{"another site's endpoint", {A, B}, {B, B}, {NULL, B}, 1, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(3);
		for (uint32_t j = 0; j < 3; j++)
			shows(j + 1, cases[i].before[j]);
		feed_once();
		fake.forgets = 0;
		for (uint32_t j = 0; j < 3; j++)
			shows(j + 1, cases[i].after[j]);
		feed_once();
		for (uint32_t j = 0; j < 3; j++) {
			struct endpoint held = endpoint(cases[i].held[j]);

			if (!endpoint_equal(&fake.sites[j + 1].endpoint, &held))
				fail_msg("%s: site %u", cases[i].what, j + 1);
		}
		if (fake.forgets != cases[i].forgets || fake.warnings != cases[i].warnings)
			fail_msg("%s: %zu forgot, %zu warnings", cases[i].what, fake.forgets,
				 fake.warnings);
	}
}

/* Refused is no failure (which would be repeated each second), it is said once, and the others get theirs. */
static void test_endpoint_in_use(void **state)
{
	start(3);
	shows(2, A);
	feed_once();
	shows(1, A);
	shows(3, C);
	for (size_t i = 0; i < 5; i++)
		feed_once();
	assert_int_equal(fake.warnings, 1);
	assert_at(1, NULL);
	assert_at(2, A);
	assert_at(3, C);
	/* the holder falls silent; whoever comes back later gets what he has then */
	falls_silent(2);
	feed_once();
	assert_at(1, A);
	assert_at(2, NULL);
	shows(2, B);
	feed_once();
	assert_at(2, B);
	/* refused again is news again */
	shows(1, B);
	feed_once();
	assert_int_equal(fake.warnings, 2);
}

static void test_silent(void **state)
{
	start(2);
	shows(1, A);
	feed_once();
	falls_silent(1);
	falls_silent(2); /* what an earlier process may have set is not known: forgotten, too */
	feed_once();
	feed_once();
	assert_at(1, NULL);
	assert_int_equal(fake.forgets, 2);
	shows(1, A);
	feed_once();
	assert_at(1, A);
	assert_int_equal(fake.endpoint_sets, 2);
}

/* The maps hold a site's endpoint over a restart, until it is heard elsewhere or known to be silent. */
static void test_restart_keeps_endpoints(void **state)
{
	start(2);
	shows(1, A);
	shows(2, B);
	feed_once();
	shows(1, NULL);
	shows(2, NULL);
	open_feed();
	feed_once();
	assert_at(1, A);
	assert_at(2, B);
	falls_silent(1);
	shows(2, A);
	feed_once();
	assert_at(1, NULL);
	assert_at(2, A);
}

/* In the midst of a rotation: what the maps hold of the old key is not lost. It goes with the next lease, as ever. */
static void test_restart_keeps_previous_keys(void **state)
{
	start(2);
	feed_once();
	world.members[1].row.k4.bytes[0] = 77;
	feed_once();
	world.members[2].row.k4.bytes[0] = 78; /* stored, and then the process was killed */
	open_feed();
	feed_once();
	assert_int_equal(fake.sites[1].key.bytes[0], 77);
	assert_int_equal(fake.sites[1].previous.bytes[0], 1);
	assert_int_equal(fake.sites[2].key.bytes[0], 78);
	assert_int_equal(fake.sites[2].previous.bytes[0], 2);
	world.members[1].row.lease_not_after += 1000;
	feed_once();
	assert_int_equal(fake.sites[1].previous.bytes[0], 0);
}

/* How many are full, which misses most peers, and how many. */
static void assert_full(size_t n, uint32_t site, size_t unpaired)
{
	const struct member *member = NULL;
	size_t missed = 0;

	assert_int_equal(relay_feed_full(world.feed, &world.inventory, NOW, &member, &missed), n);
	assert_ptr_equal(member, n ? &world.members[site] : NULL);
	assert_int_equal(missed, unpaired);
}

/* ---- sites and pairs ---- */

static void test_life(void **state)
{
	start(3);
	join(1, 2);
	join(1, 3);
	feed_once();
	assert_true(fake.pairs[1][2] && fake.pairs[3][1] && !fake.pairs[2][3]);
	assert_int_equal(fake.site_sets, 3);
	assert_int_equal(fake.pair_sets, 2);
	feed_once(); /* nothing new, no call */
	assert_int_equal(fake.site_sets + fake.pair_sets, 5);
	/* a longer lease of one: its site and its pairs; a pair lives as long as the shorter one */
	world.members[2].row.lease_not_after += 1000;
	feed_once();
	assert_int_equal(fake.site_sets, 4);
	assert_int_equal(fake.pair_sets, 3);
	assert_true(fake.pairs[1][2] < fake.sites[2].expires_us - 900 * INT64_C(1000000));
	/* a new key: the old one is kept beside it until the next lease */
	world.members[3].row.k4.bytes[0] = 77;
	feed_once();
	assert_int_equal(fake.sites[3].key.bytes[0], 77);
	assert_int_equal(fake.sites[3].previous.bytes[0], 3);
	/* a lease that ended, a suspended one, and one that is cut */
	world.members[2].row.lease_not_after = NOW;
	feed_once();
	assert_false(fake.sites[2].set);
	assert_int_equal(fake.pairs[1][2], 0);
	assert_true(fake.pairs[1][3]);
	assert_int_equal(relay_feed_cut(world.feed, &world.members[1]), 0);
	assert_false(fake.sites[1].set);
	assert_int_equal(fake.pairs[1][3], 0);
	world.members[3].row.state = IDENTITY_SUSPENDED;
	feed_once();
	assert_false(fake.sites[3].set);
	assert_true(
		fake.sites[1].set); /* still in the inventory: whoever cuts for good takes it out */
}

static void test_policy_closes(void **state)
{
	start(3);
	join(1, 2);
	join(2, 3);
	feed_once();
	world.members[2].n_peers = 1; /* only 1 is left */
	world.members[3].n_peers = 0;
	fake.pair_removes = 0;
	feed_once();
	assert_true(fake.pairs[1][2]);
	assert_int_equal(fake.pairs[2][3], 0);
	assert_int_equal(fake.pair_removes, 1);
}

/* After a restart the number of calls follows what stands, not the number of couples. */
static void test_restart_closes(void **state)
{
	const uint32_t n = 200;

	start(n);
	for (uint32_t i = 2; i <= n; i++)
		join(1, i);
	join(7, 8);
	join(9, 10);
	feed_once();
	world.members[7].n_peers--; /* policy changed while nobody looked */
	world.members[8].n_peers--;
	world.inventory.n = n - 1; /* one is gone */
	world.members[1].n_peers--;
	open_feed();
	fake.pair_removes = 0;
	feed_once();
	assert_int_equal(fake.pairs[7][8], 0);
	assert_int_equal(fake.pairs[1][n], 0);
	assert_false(fake.sites[n].set);
	assert_true(fake.pairs[9][10] && fake.pairs[1][n - 1]);
	assert_int_equal(fake.pair_removes, 2);
	feed_once();
	assert_int_equal(fake.pair_removes, 2);
}

/* What failed is tried again until it stands, and reported until then. */
static void test_failures_are_repeated(void **state)
{
	int64_t before;

	start(3);
	join(1, 2);
	fake.pairs[1][3] = fake.pairs[3][1] = 1;
	fake.site_pairs_fails = -EIO;
	assert_int_equal(relay_feed_sync(world.feed, &world.inventory, NOW), -EIO);
	assert_true(fake.pairs[1][3] && fake.pairs[1][2]);
	fake.site_pairs_fails = 0;
	feed_once();
	assert_int_equal(fake.pairs[1][3], 0);
	/* a renewal that could not be written: the pair must not end with the old lease */
	before = fake.pairs[1][2];
	world.members[1].row.lease_not_after += 1000;
	world.members[2].row.lease_not_after += 1000;
	fake.pair_set_fails = -ENOMEM;
	assert_int_equal(relay_feed_sync(world.feed, &world.inventory, NOW), -ENOMEM);
	fake.pair_set_fails = 0;
	feed_once();
	assert_true(fake.pairs[1][2] > before + 900 * INT64_C(1000000));
}

/* The pair that a site has no room for: one line, and everybody else's pairs and renewals go on. */
static void test_no_room_for_a_pair(void **state)
{
	int64_t before;

	start(4);
	join(1, 2);
	feed_once();
	assert_full(0, 0, 0);
	fake.full = 1;
	join(1, 3);
	join(3, 4);
	feed_once();
	assert_int_equal(fake.warnings, 1);
	assert_true(fake.pairs[1][2] && fake.pairs[3][4]);
	assert_int_equal(fake.pairs[1][3], 0);
	assert_full(1, 1, 1); /* not 3 either, which has room */
	join(1, 4);
	fake.pair_sets = 0;
	feed_once();
	assert_int_equal(fake.pair_sets, 0); /* it is known to be full */
	assert_full(1, 1, 2);
	world.members[3].row.state =
		IDENTITY_SUSPENDED; /* nobody reaches it: not for want of room */
	assert_full(1, 1, 1);
	world.members[3].row.state = IDENTITY_LIVING;
	before = fake.pairs[1][2];
	for (uint32_t i = 1; i <= 4; i++)
		world.members[i].row.lease_not_after += 1000;
	feed_once();
	assert_true(fake.pairs[1][2] > before + 900 * INT64_C(1000000));
	assert_int_equal(fake.warnings, 1);
	/* 2 goes: there is room, for the next */
	fake.full = 0;
	world.members[2].n_peers = 0;
	world.members[1].peers[0] = &world.members[4];
	world.members[1].n_peers = 2;
	feed_once();
	assert_int_equal(fake.pairs[1][2], 0);
	assert_true(fake.pairs[1][3] && fake.pairs[1][4]);
	assert_full(0, 0, 0);
}

/* A start finds out anew: what the maps hold stays, what has no room is told again. */
static void test_full_after_a_restart(void **state)
{
	start(5);
	join(1, 2);
	join(3, 4);
	feed_once();
	fake.full = 1;
	join(1, 3);
	join(1, 4);
	join(3, 5);
	open_feed();
	assert_full(0, 0, 0); /* nobody has looked */
	feed_once();
	assert_true(fake.pairs[1][2] && fake.pairs[3][4] && fake.pairs[3][5]);
	assert_full(1, 1, 2);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, stop)
	const struct CMUnitTest tests[] = {
		TEST(test_moves),
		TEST(test_endpoint_in_use),
		TEST(test_silent),
		TEST(test_restart_keeps_endpoints),
		TEST(test_restart_keeps_previous_keys),
		TEST(test_life),
		TEST(test_policy_closes),
		TEST(test_restart_closes),
		TEST(test_failures_are_repeated),
		TEST(test_no_room_for_a_pair),
		TEST(test_full_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
