/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One handle, many changes: what it works out from memory must be what a fresh look would find.
 *
 *   fw_random SEED STEPS      (in a namespace of its own)
 *
 * Each step changes some peers, tuples, leases, the mode, at times the table behind the handle's back, and applies; then
 * the handle verifies, and a new handle, that has read the kernel, must plan nothing. 0, or the step that differs.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "firewall/firewall.h"

#define PEERS_MAX  40
#define TUPLES_MAX 300
#define LEASE_S	   86400

static struct fw_peer peers[PEERS_MAX];
static struct fw_tuple tuples[TUPLES_MAX];
static struct fw_desired desired = {.ifname = "sortie0",
				    .api_port = 4280,
				    .enroll_port = 4281,
				    .listen_port = 40404,
				    .peers = peers,
				    .tuples = tuples};

static unsigned int below(unsigned int n)
{
	return (unsigned int)random() % n;
}

static int fail(unsigned int step, const char *what, const char *why)
{
	(void)fprintf(stderr, "fw_random: step %u: %s: %s\n", step, what, why);
	return 1;
}

static bool taken(const struct addr *addr)
{
	for (size_t i = 0; i < desired.n_peers; i++)
		if (addr_equal(&peers[i].ipv6, addr))
			return true;
	return false;
}

/* Few addresses, so that they come back and move from one peer to another; no two peers have the same. */
static void random_peer(struct fw_peer *peer)
{
	struct addr addr;
	unsigned int place;
	char text[64];

	do {
		place = 1 + below(2 * PEERS_MAX);
		(void)snprintf(text, sizeof(text), "fd12:3456:789a::%x",
			       0x100 + place * 7919 % 4093);
		(void)addr_parse(text, &addr);
	} while (taken(&addr));
	*peer = (struct fw_peer){.ipv6 = addr, .number = 1 + below(1000), .lease_s = LEASE_S};
	(void)snprintf(text, sizeof(text), "10.77.1.%u", place);
	if (below(4))
		(void)addr_parse(text, &peer->ipv4);
}

static void random_tuple(struct fw_tuple *tuple)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
	static const uint16_t widths[] = {0, 0, 0, 0, 3, 63, 64, 500};
	uint16_t low = (uint16_t)(1 + below(3000));

	*tuple = (struct fw_tuple){.peer = below((unsigned int)desired.n_peers),
				   .inbound = below(2),
				   .protocol = protocols[below(3)],
				   .port_low = low,
				   .port_high = (uint16_t)(low + widths[below(8)]),
				   .left_s = below(5) ? 0 : 10000 + below(10000),
				   .on_loss_keep = below(6) == 0};
	if (tuple->protocol == IPPROTO_ICMP)
		tuple->port_low = tuple->port_high = 0;
}

static void random_world(void)
{
	memset(peers, 0, sizeof(peers));
	desired.n_peers = 1 + below(PEERS_MAX);
	for (size_t i = 0; i < desired.n_peers; i++)
		random_peer(&peers[i]);
	desired.n_tuples = below(TUPLES_MAX);
	for (size_t i = 0; i < desired.n_tuples; i++)
		random_tuple(&tuples[i]);
}

static void change_some(void)
{
	for (unsigned int n = below(6); n > 0 && desired.n_tuples; n--)
		random_tuple(&tuples[below((unsigned int)desired.n_tuples)]);
	switch (below(8)) {
	case 0:
		random_peer(&peers[below((unsigned int)desired.n_peers)]);
		break;
	case 1:
		peers[below((unsigned int)desired.n_peers)].lease_s = below(2) * LEASE_S;
		break;
	case 2: /* a tuple less */
		if (desired.n_tuples)
			tuples[below((unsigned int)desired.n_tuples)] =
				tuples[desired.n_tuples - 1];
		desired.n_tuples -= desired.n_tuples > 0;
		break;
	case 3: /* a tuple more */
		if (desired.n_tuples < TUPLES_MAX)
			random_tuple(&tuples[desired.n_tuples++]);
		break;
	case 4: /* the order says nothing */
		if (desired.n_tuples > 1) {
			struct fw_tuple first = tuples[0];

			tuples[0] = tuples[desired.n_tuples - 1];
			tuples[desired.n_tuples - 1] = first;
		}
		break;
	case 5:
		desired.mode = (enum fw_mode)below(3);
		desired.containers = below(2);
		break;
	case 6:
		if (below(4) == 0)
			random_world();
		break;
	default:
		break;
	}
}

/* Somebody else's hands. */
static void interfere(void)
{
	static const char *const commands[] = {
		"nft flush set inet sortie in4", "nft flush set inet sortie live6",
		"nft flush chain inet sortie from_peer", "nft delete table inet sortie"};

	(void)!system(commands[below(4)]);
}

/* Somebody who knows nothing: what would be done? */
static int plan_afresh(unsigned int step, struct fw_plan *ret)
{
	_cleanup_(firewall_closep) struct firewall *fresh = NULL;

	if (firewall_open(&fresh) < 0 || firewall_plan(fresh, &desired, ret) < 0)
		return fail(step, "a new handle plans", fresh ? firewall_error(fresh) : "");
	return 0;
}

static bool is_something(const struct fw_plan *plan)
{
	return plan->create || plan->elements_added || plan->elements_removed ||
	       plan->chains_rewritten;
}

static int check(unsigned int step, struct firewall *firewall)
{
	struct fw_plan plan;
	char text[160];

	if (firewall_verify(firewall) != 0)
		return fail(step, "the handle verifies", firewall_error(firewall));
	/* A hash that the kernel is still resizing shows some elements not at all: only what is seen twice counts. */
	if (plan_afresh(step, &plan) || (is_something(&plan) && plan_afresh(step, &plan)))
		return 1;
	(void)snprintf(text, sizeof(text), "create %d, %zu added, %zu removed, %zu chains",
		       plan.create, plan.elements_added, plan.elements_removed,
		       plan.chains_rewritten);
	return is_something(&plan) ? fail(step, "a new handle plans nothing", text) : 0;
}

static int run(struct firewall *firewall, unsigned int steps)
{
	for (unsigned int step = 0; step < steps; step++) {
		bool interfered = step > 0 && below(20) == 0;

		change_some();
		if (interfered)
			interfere();
		if (below(5) == 0 && step > 0 && !interfered &&
		    firewall_refresh_leases(firewall, peers, desired.n_peers) < 0)
			return fail(step, "leases", firewall_error(firewall));
		if (firewall_apply(firewall, &desired, NULL) < 0)
			return fail(step, "apply", firewall_error(firewall));
		/* What memory cannot know, verify says; then a new handle puts it right. */
		if (interfered) {
			_cleanup_(firewall_closep) struct firewall *other = NULL;

			if (firewall_open(&other) < 0 || firewall_apply(other, &desired, NULL) < 0)
				return fail(step, "repair", other ? firewall_error(other) : "");
		}
		if (check(step, firewall))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(firewall_closep) struct firewall *firewall = NULL;

	if (argc != 3)
		return 2;
	srandom((unsigned int)strtoul(argv[1], NULL, 10));
	if (prefix_parse("fd12:3456:789a::/48", &desired.overlay6) < 0 ||
	    prefix_parse("10.77.0.0/16", &desired.overlay4) < 0 ||
	    addr_parse("fd12:3456:789a::1", &desired.hub6) < 0 ||
	    addr_parse("10.77.0.1", &desired.hub4) < 0 ||
	    addr_parse("fd12:3456:789a::2", &desired.own6) < 0 ||
	    addr_parse("10.77.0.2", &desired.own4) < 0 || firewall_open(&firewall) < 0)
		return 2;
	random_world();
	return run(firewall, (unsigned int)strtoul(argv[2], NULL, 10));
}
