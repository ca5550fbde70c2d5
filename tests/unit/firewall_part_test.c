/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A change worked out in part must be the change worked out as a whole: the same delta, the same elements afterwards.
 * Random changes of random policies; SEED=n runs one seed again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/part.h"

#define SEEDS	   5000
#define STEPS	   4 /* changes of each */
#define PEERS_MAX  12
#define MANY	   600 /* more than are looked at one by one */
#define TUPLES_MAX 520

struct world {
	uint64_t seed, random;
	struct endpoint hub;
	struct fw_peer peers[PEERS_MAX];
	struct fw_tuple tuples[TUPLES_MAX];
	struct fw_underlay underlay[2], egress[2];
	char ifnames[1][IFNAMSIZ], uplinks[1][IFNAMSIZ];
	struct fw_desired desired;
	int64_t now_ms;
};

/* ---- random worlds ---- */

static uint32_t any(struct world *world, uint32_t n)
{
	world->random = world->random * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(world->random >> 33) % n;
}

static struct addr address(const char *prefix, unsigned int i)
{
	struct addr addr;
	char text[64];

	(void)snprintf(text, sizeof(text), "%s%u", prefix, i);
	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static uint32_t some_seconds(struct world *world)
{
	static const uint32_t seconds[] = {0, 1, 2, 3, 60, 3600, 5000000};

	return seconds[any(world, ARRAY_SIZE(seconds))];
}

static struct fw_tuple some_tuple(struct world *world)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	static const uint16_t widths[] = {0, 0, 0, 0, 0, 0, 3, 63, 64, 900};
	uint16_t width = widths[any(world, ARRAY_SIZE(widths))];
	struct fw_tuple tuple = {.peer = any(world, (uint32_t)world->desired.n_peers),
				 .inbound = any(world, 2),
				 .protocol = protocols[any(world, ARRAY_SIZE(protocols))],
				 .port_low = (uint16_t)(20 + any(world, 30)),
				 .left_s = any(world, 12) ? 0 : some_seconds(world),
				 .on_loss_keep = !any(world, 6)};

	/* Neighbours often overlap, and often are the same element. */
	tuple.port_high = (uint16_t)(tuple.port_low + width);
	return tuple;
}

static int by_policy(const void *a, const void *b)
{
	const struct fw_tuple *x = a, *y = b;

	if (x->inbound != y->inbound)
		return x->inbound - y->inbound;
	if (x->peer != y->peer)
		return x->peer < y->peer ? -1 : 1;
	return x->protocol != y->protocol ? x->protocol - y->protocol : x->port_low - y->port_low;
}

static void sort_tuples(struct world *world)
{
	qsort(world->tuples, world->desired.n_tuples, sizeof(world->tuples[0]), by_policy);
}

static void make_world(struct world *world, uint64_t seed)
{
	*world = (struct world){.seed = seed, .random = seed, .now_ms = 1000000};
	world->desired = (struct fw_desired){.ifname = "sortie0",
					     .mode = FW_MODE_ENFORCE,
					     .api_port = 4280,
					     .listen_port = 40404,
					     .hubs = &world->hub,
					     .n_hubs = 1,
					     .peers = world->peers,
					     .n_peers = 1 + any(world, PEERS_MAX),
					     .tuples = world->tuples,
					     .n_tuples = any(world, 100),
					     .underlay = world->underlay,
					     .egress = world->egress,
					     .n_egress = 1,
					     .n_underlay = any(world, 3)};
	world->desired.container_ifnames = (const char(*)[IFNAMSIZ])world->ifnames;
	world->desired.n_container_ifnames = any(world, 2);
	memcpy(world->ifnames[0], "br0", 4);
	world->desired.uplink_ifnames = (const char(*)[IFNAMSIZ])world->uplinks;
	world->desired.n_uplink_ifnames = any(world, 2);
	memcpy(world->uplinks[0], "br1", 4);
	assert_int_equal(endpoint_parse("192.0.2.1:51820", &world->hub), 0);
	assert_int_equal(prefix_parse("fd00::/48", &world->desired.overlay6), 0);
	world->underlay[0] = (struct fw_underlay){
		prefix_host(&(struct addr){AF_INET, {192, 0, 2, 9}}), IPPROTO_TCP, 22, 22};
	world->underlay[1] = world->underlay[0];
	world->egress[0] = world->egress[1] = world->underlay[0];
	world->underlay[1].port_high = 90;
	for (size_t i = 0; i < world->desired.n_peers; i++)
		world->peers[i] =
			(struct fw_peer){.ipv6 = address("fd00::", 900 - 7 * (unsigned int)i),
					 .number = (uint32_t)i,
					 .lease_s = some_seconds(world)};
	for (size_t i = 0; i < world->desired.n_peers; i++)
		if (any(world, 3))
			world->peers[i].ipv4 = address("10.77.0.", 200 - (unsigned int)i * 3);
	for (size_t i = 0; i < world->desired.n_tuples; i++)
		world->tuples[i] = some_tuple(world);
	if (any(world, 4))
		sort_tuples(world);
}

/* ---- random changes ---- */

static void insert(struct world *world)
{
	size_t n = world->desired.n_tuples, at = any(world, (uint32_t)n + 1);

	if (n == TUPLES_MAX)
		return;
	memmove(&world->tuples[at + 1], &world->tuples[at], (n - at) * sizeof(world->tuples[0]));
	/* Twice the same tuple now and then. */
	world->tuples[at] = n > at && !any(world, 5) ? world->tuples[at + 1] : some_tuple(world);
	world->desired.n_tuples++;
}

static void take_out(struct world *world)
{
	size_t n = world->desired.n_tuples, at, count;

	if (!n)
		return;
	at = any(world, (uint32_t)n);
	count = any(world, 8) ? 1 : 1 + any(world, (uint32_t)(n - at));
	memmove(&world->tuples[at], &world->tuples[at + count],
		(n - at - count) * sizeof(world->tuples[0]));
	world->desired.n_tuples -= count;
}

static void exchange(struct world *world)
{
	if (world->desired.n_tuples)
		world->tuples[any(world, (uint32_t)world->desired.n_tuples)] = some_tuple(world);
}

/* The tuple stays, with another end or none. */
static void change_end(struct world *world)
{
	if (world->desired.n_tuples)
		world->tuples[any(world, (uint32_t)world->desired.n_tuples)].left_s =
			any(world, 3) ? 0 : some_seconds(world);
}

static void end_no_more(struct world *world)
{
	for (size_t i = 0; i < world->desired.n_tuples; i++)
		if (world->tuples[i].left_s && any(world, 2))
			world->tuples[i].left_s = 0;
}

static void change_lease(struct world *world)
{
	world->peers[any(world, (uint32_t)world->desired.n_peers)].lease_s = some_seconds(world);
}

static void change_frame(struct world *world)
{
	switch (any(world, 4)) {
	case 0:
		world->peers[any(world, (uint32_t)world->desired.n_peers)].number += 100;
		break;
	case 1:
		world->desired.mode = (enum fw_mode)any(world, 3);
		break;
	case 2:
		world->underlay[0].port_low = (uint16_t)(1 + any(world, 22));
		break;
	default:
		world->peers[any(world, (uint32_t)world->desired.n_peers)].ipv4 = (struct addr){0};
	}
}

static void change(struct world *world)
{
	static void (*const changes[])(struct world *) = {
		insert,	  insert,	take_out,    take_out,	 exchange,   change_lease,
		exchange, change_lease, sort_tuples, change_end, end_no_more};

	for (uint32_t n = any(world, 6); n > 0; n--)
		changes[any(world, ARRAY_SIZE(changes))](world);
	if (!any(world, 16))
		change_frame(world);
	world->now_ms += any(world, 2) ? 0 : (int64_t)any(world, 5000);
	if (!any(world, 10))
		world->now_ms += 4000000;
}

/* ---- the same? ---- */

static void expect_same(const struct world *world, const char *what, const struct elements *part,
			const struct elements *all)
{
	bool same = part->n == all->n;

	for (size_t i = 0; same && i < all->n; i++) {
		const struct element *a = &part->items[i], *b = &all->items[i];

		same = element_compare(a, b) == 0 && a->data == b->data &&
		       a->timeout_ms == b->timeout_ms && a->expires_ms == b->expires_ms;
	}
	if (!same)
		fail_msg("seed %llu: %s: %zu in part, %zu as a whole, or others",
			 (unsigned long long)world->seed, what, part->n, all->n);
}

/* False where it was not done in part. */
static bool compare_ways(const struct world *world, const struct memory *memory,
			 const struct elements *actual, const struct elements *desired,
			 const struct delta *delta)
{
	struct elements settled = {0};
	struct delta found = {0};
	struct part part = {0};

	if (!part_of(memory, actual, &world->desired, world->now_ms, &part, &found))
		return false;
	expect_same(world, "added", &found.added, &delta->added);
	expect_same(world, "removed", &found.removed, &delta->removed);
	expect_same(world, "refreshed", &found.refreshed, &delta->refreshed);
	for (size_t i = 0; i < actual->n; i++)
		assert_int_equal(elements_add(&settled, &actual->items[i]), 0);
	assert_int_equal(part_reserve(&part, &settled), 0);
	part_settle(&part, &settled);
	expect_same(world, "what stands", &settled, desired);
	elements_done(&settled);
	part_done(&part);
	delta_done(&found);
	return true;
}

/* Both ways to what the world wants now, which is what stands afterwards. */
static bool step(struct world *world, struct memory *memory, struct elements *actual)
{
	struct elements desired = {0};
	struct delta delta = {0};
	bool partly;

	assert_int_equal(elements_of(&world->desired, &desired), 0);
	elements_stamp(&desired, world->now_ms);
	assert_int_equal(delta_of_elements(actual, &desired, world->now_ms, &delta), 0);
	elements_keep_ends(actual, &desired);
	partly = compare_ways(world, memory, actual, &desired, &delta);
	delta_done(&delta);
	elements_done(actual);
	*actual = desired;
	memory_keep(memory, &world->desired, actual);
	return partly;
}

static size_t run_seed(uint64_t seed)
{
	struct world world;
	struct memory memory = {0};
	struct elements actual = {0};
	size_t partly = 0;

	make_world(&world, seed);
	for (unsigned int i = 0; i <= STEPS; i++) {
		partly += step(&world, &memory, &actual);
		change(&world);
	}
	memory_done(&memory);
	elements_done(&actual);
	return partly;
}

static void test_random_changes(void **state)
{
	const char *seed = getenv("SEED");
	size_t partly = 0;

	if (seed) {
		print_message("# %zu changes in part\n", run_seed(strtoull(seed, NULL, 10)));
		return;
	}
	for (uint64_t i = 1; i <= SEEDS; i++)
		partly += run_seed(i);
	print_message("# seeds 1 to %d: %zu of %d changes in part\n", SEEDS, partly, SEEDS * STEPS);
	assert_true(partly > (size_t)SEEDS * STEPS / 2);
}

/* ---- what must be worked out as a whole ---- */

static void widen(struct world *world)
{
	world->desired.n_tuples = TUPLES_MAX;
	for (size_t i = 0; i < TUPLES_MAX; i++)
		world->tuples[i] = (struct fw_tuple){.peer = (uint32_t)i % 3,
						     .protocol = IPPROTO_UDP,
						     .port_low = (uint16_t)(100 * i),
						     .port_high = (uint16_t)(100 * i + 80)};
}

#define OTHER(name, statement)                                                                     \
	static void name(struct world *world)                                                      \
	{                                                                                          \
		statement;                                                                         \
	}
OTHER(other_role, world->desired.role = FW_ROLE_HUB)
OTHER(other_mode, world->desired.mode = FW_MODE_OBSERVE)
OTHER(other_lock, world->desired.underlay_locked = true)
OTHER(other_containers, world->desired.containers = true)
OTHER(other_ifname, memcpy(world->desired.ifname, "sortie1", 8))
OTHER(other_join_ifname, memcpy(world->desired.join_ifname, "join", 5))
OTHER(other_overlay6, world->desired.overlay6.length = 47)
OTHER(other_overlay4, world->desired.overlay4.addr.family = AF_INET)
OTHER(other_hub6, world->desired.hub6 = world->peers[0].ipv6)
OTHER(other_hub4, world->desired.hub4 = world->peers[0].ipv6)
OTHER(other_own6, world->desired.own6 = world->peers[0].ipv6)
OTHER(other_own4, world->desired.own4 = world->peers[0].ipv6)
OTHER(other_api_port, world->desired.api_port++)
OTHER(other_enroll_port, world->desired.enroll_port++)
OTHER(other_listen_port, world->desired.listen_port++)
OTHER(other_api_uid, world->desired.api_uid++)
OTHER(other_hub, world->hub.port++)
OTHER(no_hub, world->desired.n_hubs = 0)
OTHER(fewer_peers, world->desired.n_peers--)
OTHER(other_number, world->peers[1].number = 77)
OTHER(other_ipv6, world->peers[1].ipv6.bytes[7] = 1)
OTHER(other_ipv4, world->peers[1].ipv4 = address("10.77.1.", 1))
OTHER(other_underlay, world->underlay[0].range.addr.bytes[3]++)
OTHER(other_underlay_protocol, world->underlay[0].protocol = IPPROTO_UDP)
OTHER(other_underlay_low, world->underlay[0].port_low--)
OTHER(other_underlay_high, world->underlay[0].port_high++)
OTHER(no_underlay, world->desired.n_underlay = 0)
OTHER(other_egress_lock, world->desired.egress_locked = true)
OTHER(other_egress, world->egress[0].range.addr.bytes[3]++)
OTHER(more_egress, world->desired.n_egress = 2)
OTHER(no_egress, world->desired.n_egress = 0)
OTHER(other_container, world->ifnames[0][2] = '7')
OTHER(no_container, world->desired.n_container_ifnames = 0)
OTHER(other_uplink, world->uplinks[0][2] = '7')
OTHER(no_uplink, world->desired.n_uplink_ifnames = 0)
OTHER(unknown_peer, world->tuples[0].peer = PEERS_MAX)
OTHER(empty_range, (world->tuples[0].port_low = 9, world->tuples[0].port_high = 8))
OTHER(too_many_wide, widen(world))
OTHER(nothing_other, (void)world)
OTHER(other_tuple, world->tuples[0].inbound ^= true)
OTHER(other_lease, world->peers[1].lease_s += 100)
OTHER(no_tuples, (world->desired.n_tuples = 0, world->desired.tuples = NULL))

static const struct {
	const char *name;
	void (*change)(struct world *world);
	bool partly;
} cases[] = {
	{"role", other_role, false},
	{"mode", other_mode, false},
	{"underlay locked", other_lock, false},
	{"containers", other_containers, false},
	{"interface", other_ifname, false},
	{"interface while enrolling", other_join_ifname, false},
	{"IPv6 overlay", other_overlay6, false},
	{"IPv4 overlay", other_overlay4, false},
	{"hub's IPv6", other_hub6, false},
	{"hub's IPv4", other_hub4, false},
	{"its own IPv6", other_own6, false},
	{"its own IPv4", other_own4, false},
	{"API port", other_api_port, false},
	{"enrolment port", other_enroll_port, false},
	{"WireGuard's port", other_listen_port, false},
	{"uid", other_api_uid, false},
	{"hub's endpoint", other_hub, false},
	{"no endpoint", no_hub, false},
	{"a peer less", fewer_peers, false},
	{"a peer's number", other_number, false},
	{"a peer's IPv6", other_ipv6, false},
	{"a peer's IPv4", other_ipv4, false},
	{"underlay prefix", other_underlay, false},
	{"underlay protocol", other_underlay_protocol, false},
	{"underlay port", other_underlay_low, false},
	{"underlay last port", other_underlay_high, false},
	{"no underlay", no_underlay, false},
	{"egress locked", other_egress_lock, false},
	{"egress prefix", other_egress, false},
	{"more egress", more_egress, false},
	{"no egress", no_egress, false},
	{"container interface", other_container, false},
	{"no container interface", no_container, false},
	{"uplink", other_uplink, false},
	{"no uplink", no_uplink, false},
	{"a tuple of nobody", unknown_peer, false},
	{"a tuple without ports", empty_range, false},
	{"more wide ranges than there may be", too_many_wide, false},
	{"nothing", nothing_other, true},
	{"a tuple", other_tuple, true},
	{"a lease", other_lease, true},
	{"all tuples gone", no_tuples, true},
};

/* A world in which all of the above is there. */
static void make_full_world(struct world *world)
{
	make_world(world, 7);
	world->desired.n_peers = 3;
	for (unsigned int i = 0; i < 3; i++)
		world->peers[i] = (struct fw_peer){address("fd00::", i + 1),
						   address("10.77.0.", i + 1), i + 1, 3600};
	world->desired.n_tuples = 20;
	for (size_t i = 0; i < 20; i++)
		world->tuples[i] = some_tuple(world);
	world->desired.n_underlay = 2;
	world->desired.n_container_ifnames = 1;
	world->desired.n_uplink_ifnames = 1;
}

static bool same_chains(const struct world *world, const struct state *before)
{
	struct state after = {0};
	bool same;

	assert_int_equal(state_of(&world->desired, world->now_ms, &after), 0);
	same = rules_equal(&before->rules, &after.rules);
	state_done(&after);
	return same;
}

static void test_what_must_be_whole(void **unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world world;
		struct memory memory = {0};
		struct state state = {0};
		struct delta delta = {0};
		struct part part = {0};

		print_message("# %s\n", cases[i].name);
		make_full_world(&world);
		assert_int_equal(state_of(&world.desired, world.now_ms, &state), 0);
		memory_keep(&memory, &world.desired, &state.elements);
		assert_true(memory.valid);
		cases[i].change(&world);
		assert_int_equal(part_of(&memory, &state.elements, &world.desired, world.now_ms,
					 &part, &delta),
				 cases[i].partly);
		assert_true(!cases[i].partly || same_chains(&world, &state));
		part_done(&part);
		delta_done(&delta);
		memory_done(&memory);
		state_done(&state);
	}
}

/* One element would be of two peers: taking a tuple from one must not take it from the other. */
static void test_shared_address(void **unused)
{
	struct world world;
	struct memory memory = {0};
	struct elements elements = {0};

	make_full_world(&world);
	world.peers[2].ipv6 = world.peers[1].ipv6;
	assert_int_equal(elements_of(&world.desired, &elements), 0);
	memory_keep(&memory, &world.desired, &elements);
	assert_false(memory.valid);
	memory_done(&memory);
	elements_done(&elements);
}

/* All peers of many, in an order that is not that of their addresses. */
static void test_many_peers(void **unused)
{
	static struct fw_peer peers[MANY];
	static struct fw_tuple tuples[MANY];
	struct world world = {.desired = {.peers = peers, .tuples = tuples}, .now_ms = 1000000};
	struct memory memory = {0};
	struct elements actual = {0};

	for (unsigned int i = 0; i < MANY; i++) {
		peers[i] = (struct fw_peer){address("fd00::", i * 377 % MANY),
					    address(i % 2 ? "10.77.1." : "10.77.2.", i / 2 % 250),
					    i + 1, 3600};
		tuples[i] = (struct fw_tuple){i, true, IPPROTO_TCP, 22, 22, 0, false};
	}
	world.desired.n_peers = world.desired.n_tuples = 500;
	assert_false(step(&world, &memory, &actual));
	for (unsigned int i = 0; i < MANY; i++)
		tuples[i].port_high = (uint16_t)(22 + i % 3);
	assert_true(step(&world, &memory, &actual));
	for (unsigned int i = 0; i < MANY; i++)
		peers[i].ipv4 = (struct addr){0};
	world.desired.n_peers = world.desired.n_tuples = MANY;
	assert_false(step(&world, &memory, &actual));
	for (unsigned int i = 0; i < MANY; i++)
		tuples[i].inbound = false;
	assert_false(step(&world, &memory, &actual)); /* too many */
	memory_done(&memory);
	elements_done(&actual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_changes),
		cmocka_unit_test(test_what_must_be_whole),
		cmocka_unit_test(test_shared_address),
		cmocka_unit_test(test_many_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
