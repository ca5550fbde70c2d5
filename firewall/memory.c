/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy of what was last asked for. It only ever saves work: where it is not valid, everything is worked out anew.
 */
#include "firewall/memory.h"
#include <stdlib.h>
#include <string.h>

void memory_done(struct memory *memory)
{
	free(memory->hubs);
	free(memory->peers);
	free(memory->tuples);
	free(memory->underlay);
	free(memory->egress);
	free(memory->container_ifnames);
	free(memory->uplink_ifnames);
	*memory = (struct memory){0};
}

/* The buffer stays from one time to the next: a fresh one of this size costs more than the copy. */
static bool keep(void **copy, const void *from, size_t n, size_t size)
{
	void *buffer = reallocarray(*copy, n + 1, size);

	if (!buffer)
		return false;
	*copy = buffer;
	if (n)
		memcpy(buffer, from, n * size);
	return true;
}

/* Every address of a peer is an element of its own. */
static bool addresses_differ(const struct fw_desired *desired, const struct elements *elements)
{
	size_t addresses = 0, known = 0;

	for (size_t i = 0; i < desired->n_peers; i++)
		addresses += (size_t)addr_is_set(&desired->peers[i].ipv6) +
			     addr_is_set(&desired->peers[i].ipv4);
	for (size_t i = 0; i < elements->n && elements->items[i].set / 2 <= SET_KNOWN; i++)
		known += elements->items[i].set / 2 == SET_KNOWN;
	return addresses == known;
}

void memory_keep(struct memory *memory, const struct fw_desired *desired,
		 const struct elements *elements)
{
	memory->desired = *desired;
	memory->valid =
		addresses_differ(desired, elements) &&
		keep(&memory->hubs, desired->hubs, desired->n_hubs, sizeof(*desired->hubs)) &&
		keep(&memory->peers, desired->peers, desired->n_peers, sizeof(*desired->peers)) &&
		keep(&memory->tuples, desired->tuples, desired->n_tuples,
		     sizeof(*desired->tuples)) &&
		keep(&memory->underlay, desired->underlay, desired->n_underlay,
		     sizeof(*desired->underlay)) &&
		keep(&memory->egress, desired->egress, desired->n_egress,
		     sizeof(*desired->egress)) &&
		keep(&memory->container_ifnames, desired->container_ifnames,
		     desired->n_container_ifnames, sizeof(*desired->container_ifnames)) &&
		keep(&memory->uplink_ifnames, desired->uplink_ifnames, desired->n_uplink_ifnames,
		     sizeof(*desired->uplink_ifnames));
	memory->desired.hubs = memory->hubs;
	memory->desired.peers = memory->peers;
	memory->desired.tuples = memory->tuples;
	memory->desired.underlay = memory->underlay;
	memory->desired.egress = memory->egress;
	memory->desired.container_ifnames = memory->container_ifnames;
	memory->desired.uplink_ifnames = memory->uplink_ifnames;
}

/* ---- the same? ---- */

/* What is compared below. A new member that nobody compares would be a change that nobody makes. */
_Static_assert(sizeof(void *) != 8 || sizeof(struct fw_desired) == 280,
	       "struct fw_desired has changed: compare the new member here");

static bool same_options(const struct fw_desired *a, const struct fw_desired *b)
{
	return a->role == b->role && a->mode == b->mode &&
	       a->underlay_locked == b->underlay_locked && a->egress_locked == b->egress_locked &&
	       a->containers == b->containers && strncmp(a->ifname, b->ifname, IFNAMSIZ) == 0 &&
	       strncmp(a->join_ifname, b->join_ifname, IFNAMSIZ) == 0 &&
	       prefix_compare(&a->overlay6, &b->overlay6) == 0 &&
	       prefix_compare(&a->overlay4, &b->overlay4) == 0 && addr_equal(&a->hub6, &b->hub6) &&
	       addr_equal(&a->hub4, &b->hub4) && addr_equal(&a->own6, &b->own6) &&
	       addr_equal(&a->own4, &b->own4) && a->api_port == b->api_port &&
	       a->enroll_port == b->enroll_port && a->listen_port == b->listen_port &&
	       a->api_uid == b->api_uid;
}

static bool same_hubs(const struct fw_desired *a, const struct fw_desired *b)
{
	bool same = a->n_hubs == b->n_hubs;

	for (size_t i = 0; same && i < a->n_hubs; i++)
		same = endpoint_equal(&a->hubs[i], &b->hubs[i]);
	return same;
}

static bool same_entries(const struct fw_underlay *a, size_t n_a, const struct fw_underlay *b,
			 size_t n_b)
{
	bool same = n_a == n_b;

	for (size_t i = 0; same && i < n_a; i++) {
		const struct fw_underlay *x = &a[i], *y = &b[i];

		same = prefix_compare(&x->range, &y->range) == 0 && x->protocol == y->protocol &&
		       x->port_low == y->port_low && x->port_high == y->port_high;
	}
	return same;
}

static bool same_underlay(const struct fw_desired *a, const struct fw_desired *b)
{
	return same_entries(a->underlay, a->n_underlay, b->underlay, b->n_underlay) &&
	       same_entries(a->egress, a->n_egress, b->egress, b->n_egress);
}

static bool same_names(const char (*a)[IFNAMSIZ], size_t n_a, const char (*b)[IFNAMSIZ], size_t n_b)
{
	bool same = n_a == n_b;

	for (size_t i = 0; same && i < n_a; i++)
		same = strncmp(a[i], b[i], IFNAMSIZ) == 0;
	return same;
}

static bool same_containers(const struct fw_desired *a, const struct fw_desired *b)
{
	return same_names(a->container_ifnames, a->n_container_ifnames, b->container_ifnames,
			  b->n_container_ifnames) &&
	       same_names(a->uplink_ifnames, a->n_uplink_ifnames, b->uplink_ifnames,
			  b->n_uplink_ifnames);
}

static bool same_peers(const struct fw_desired *a, const struct fw_desired *b)
{
	bool same = a->n_peers == b->n_peers;

	for (size_t i = 0; same && i < a->n_peers; i++) {
		const struct fw_peer *x = &a->peers[i], *y = &b->peers[i];

		same = x->number == y->number && addr_equal(&x->ipv6, &y->ipv6) &&
		       addr_equal(&x->ipv4, &y->ipv4);
	}
	return same;
}

bool memory_matches(const struct memory *memory, const struct fw_desired *desired)
{
	const struct fw_desired *old = &memory->desired;

	return memory->valid && same_options(old, desired) && same_hubs(old, desired) &&
	       same_underlay(old, desired) && same_containers(old, desired) &&
	       same_peers(old, desired);
}
