/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers, tuples, endpoints and underlay entries to set elements.
 *
 * Keys are in network order, every field padded to four bytes, as the kernel's registers hold them. A protocol without
 * ports (echo) is an address in a set of its own; both families of ICMP are one protocol in policy.
 */
#include "firewall/elements.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "firewall/boxes.h"

#define TIMEOUT_MAX_S (40U * 86400) /* longer ones are refreshed before they end */

struct sorting {
	const struct fw_desired *desired;
	const bool *some; /* the peers whose tuples count; NULL: all */
	struct elements *elements;
	struct box *boxes;
	size_t n_boxes;
};

void elements_done(struct elements *elements)
{
	free(elements->items);
	*elements = (struct elements){0};
}

int elements_add(struct elements *elements, const struct element *element)
{
	if (elements->n == elements->size) {
		size_t size = elements->size ? 2 * elements->size : 64;
		struct element *items;

		if (size > ELEMENTS_MAX)
			return -E2BIG;
		items = reallocarray(elements->items, size, sizeof(*items));
		if (!items)
			return -ENOMEM;
		elements->items = items;
		elements->size = size;
	}
	elements->items[elements->n++] = *element;
	return 0;
}

int element_compare(const struct element *a, const struct element *b)
{
	int r = (int)a->set - (int)b->set;

	if (!r)
		r = memcmp(a->key, b->key, sizeof(a->key));
	return r ? r : memcmp(a->end, b->end, sizeof(a->end));
}

int element_search(const void *a, const void *b)
{
	return element_compare(a, b);
}

static uint32_t longer(uint32_t a, uint32_t b)
{
	return !a || !b ? 0 : a > b ? a : b;
}

/* Into the order of sets, otherwise as they come; ends[] is where each set's elements end. */
static struct element *by_set(const struct elements *elements, size_t ends[UINT8_MAX + 1])
{
	struct element *items = calloc(elements->n, sizeof(*items));
	size_t at[UINT8_MAX + 1] = {0}, sum = 0;

	if (!items)
		return NULL;
	for (size_t i = 0; i < elements->n; i++)
		at[elements->items[i].set]++;
	for (size_t set = 0; set <= UINT8_MAX; set++) {
		sum += at[set];
		ends[set] = sum;
		at[set] = sum - at[set];
	}
	for (size_t i = 0; i < elements->n; i++)
		items[at[elements->items[i].set]++] = elements->items[i];
	return items;
}

static bool in_order(const struct element *items, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (element_compare(&items[i - 1], &items[i]) > 0)
			return false;
	return true;
}

static void sort_items(struct element *items, size_t n)
{
	if (!in_order(items, n))
		qsort(items, n, sizeof(*items), element_search);
}

/* Policy comes sorted by peer and port, only the sets are mixed: mostly there is nothing left to sort in a set. */
static void sort_sets(struct elements *elements)
{
	size_t ends[UINT8_MAX + 1], start = 0;
	struct element *items =
		in_order(elements->items, elements->n) ? NULL : by_set(elements, ends);

	if (!items) {
		sort_items(elements->items, elements->n);
		return;
	}
	free(elements->items);
	elements->items = items;
	elements->size = elements->n;
	for (size_t set = 0; set <= UINT8_MAX; set++) {
		if (ends[set] > start)
			sort_items(&items[start], ends[set] - start);
		start = ends[set];
	}
}

void elements_sort(struct elements *elements)
{
	size_t n = 0;

	if (elements->n < 2)
		return;
	sort_sets(elements);
	for (size_t i = 0; i < elements->n; i++) {
		struct element *item = &elements->items[i];
		struct element *last = n ? &elements->items[n - 1] : NULL;

		if (last && element_compare(last, item) == 0)
			last->timeout_ms = longer(last->timeout_ms, item->timeout_ms);
		else if (n++ != i)
			elements->items[n - 1] = *item;
	}
	elements->n = n;
}

void elements_stamp(struct elements *elements, int64_t now_ms)
{
	for (size_t i = 0; i < elements->n; i++)
		elements->items[i].expires_ms =
			elements->items[i].timeout_ms ? now_ms + elements->items[i].timeout_ms : 0;
}

static uint32_t milliseconds(uint32_t seconds)
{
	return (seconds < TIMEOUT_MAX_S ? seconds : TIMEOUT_MAX_S) * 1000;
}

static struct element element_of(unsigned int kind, const struct addr *addr)
{
	struct element element = {.set = (uint8_t)SET_FOR(kind, addr->family == AF_INET6)};

	memcpy(element.key, addr->bytes, addr_length(addr));
	memcpy(element.end, element.key, sizeof(element.end));
	return element;
}

static void put_port(uint8_t *key, uint16_t port)
{
	key[0] = (uint8_t)(port >> 8);
	key[1] = (uint8_t)port;
}

void element_tuple(struct element *element, unsigned int kind, const struct addr *addr,
		   uint8_t protocol, uint16_t low, uint16_t high)
{
	unsigned int at = addr_length(addr);

	*element = element_of(kind, addr);
	element->key[at] = element->end[at] = protocol;
	put_port(&element->key[at + 4], low);
	put_port(&element->end[at + 4], high);
}

/* ---- peers ---- */

static int add_lease(const struct fw_peer *peer, const struct addr *addr, struct elements *ret)
{
	struct element live = element_of(SET_LIVE, addr);

	if (!addr_is_set(addr) || !peer->lease_s)
		return 0;
	live.timeout_ms = milliseconds(peer->lease_s);
	return elements_add(ret, &live);
}

static int add_leases(const struct fw_peer *peer, struct elements *ret)
{
	int r = add_lease(peer, &peer->ipv6, ret);

	return r < 0 ? r : add_lease(peer, &peer->ipv4, ret);
}

int elements_of_leases(const struct fw_peer *peers, size_t n, struct elements *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_leases(&peers[i], ret);
	return r;
}

static int add_peer(const struct fw_peer *peer, struct elements *ret)
{
	const struct addr *addrs[] = {&peer->ipv6, &peer->ipv4};
	int r = add_leases(peer, ret);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(addrs); i++) {
		struct element known, id;

		if (!addr_is_set(addrs[i]))
			continue;
		known = element_of(SET_KNOWN, addrs[i]);
		id = element_of(SET_ID, addrs[i]);
		id.data = peer->number;
		r = elements_add(ret, &known);
		if (r == 0)
			r = elements_add(ret, &id);
	}
	return r;
}

/* ---- tuples ---- */

static int add_box(struct sorting *sorting, const struct box *box)
{
	struct box *boxes;

	if (sorting->n_boxes >= INTERVALS_MAX)
		return -E2BIG;
	boxes = reallocarray(sorting->boxes, sorting->n_boxes + 1, sizeof(*boxes));
	if (!boxes)
		return -ENOMEM;
	sorting->boxes = boxes;
	sorting->boxes[sorting->n_boxes++] = *box;
	return 0;
}

static int add_echo(struct sorting *sorting, const struct fw_tuple *tuple, const struct addr *addr)
{
	unsigned int kind = tuple->on_loss_keep ? SET_IN_ECHO_KEEP : SET_IN_ECHO;
	struct element element;

	kind += tuple->inbound ? 0 : SET_OUT_SHIFT;
	element = element_of(kind, addr);
	element.timeout_ms = milliseconds(tuple->left_s);
	return elements_add(sorting->elements, &element);
}

static int add_ports(struct sorting *sorting, const struct fw_tuple *tuple, const struct addr *addr)
{
	unsigned int kind = tuple->on_loss_keep ? SET_IN_KEEP
			    : tuple->left_s	? SET_IN_TIMED
						: SET_IN;
	struct element element;
	int r = 0;

	kind += tuple->inbound ? 0 : SET_OUT_SHIFT;
	for (uint32_t port = tuple->port_low; r == 0 && port <= tuple->port_high; port++) {
		element_tuple(&element, kind, addr, tuple->protocol, (uint16_t)port,
			      (uint16_t)port);
		element.timeout_ms = milliseconds(tuple->left_s);
		r = elements_add(sorting->elements, &element);
	}
	return r;
}

static int add_tuple(struct sorting *sorting, const struct fw_tuple *tuple, const struct addr *addr)
{
	unsigned int kind = tuple->on_loss_keep ? SET_IN_RANGE_KEEP : SET_IN_RANGE;
	struct box box = {.prefix = prefix_host(addr),
			  .protocol = tuple->protocol,
			  .low = tuple->port_low,
			  .high = tuple->port_high,
			  .timeout_ms = milliseconds(tuple->left_s)};

	if (!addr_is_set(addr))
		return 0;
	if (tuple->protocol == IPPROTO_ICMP)
		return add_echo(sorting, tuple, addr);
	if (tuple->port_high - tuple->port_low < RANGE_WIDE)
		return add_ports(sorting, tuple, addr);
	kind += tuple->inbound ? 0 : SET_OUT_SHIFT;
	box.set = (uint8_t)SET_FOR(kind, addr->family == AF_INET6);
	return add_box(sorting, &box);
}

static int add_tuples(struct sorting *sorting)
{
	const struct fw_desired *desired = sorting->desired;
	int r = 0;

	for (size_t i = 0; r == 0 && i < desired->n_tuples; i++) {
		const struct fw_tuple *tuple = &desired->tuples[i];

		if (tuple->peer >= desired->n_peers || tuple->port_low > tuple->port_high)
			return -EINVAL;
		if (sorting->some && !sorting->some[tuple->peer])
			continue;
		r = add_tuple(sorting, tuple, &desired->peers[tuple->peer].ipv6);
		if (r == 0)
			r = add_tuple(sorting, tuple, &desired->peers[tuple->peer].ipv4);
	}
	return r;
}

/* ---- the underlay ---- */

static int add_entries(struct sorting *sorting, unsigned int kind,
		       const struct fw_underlay *entries, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct fw_underlay *entry = &entries[i];
		bool ipv6 = entry->range.addr.family == AF_INET6;
		struct box box = {.set = (uint8_t)SET_FOR(kind, ipv6),
				  .prefix = entry->range,
				  .protocol = entry->protocol,
				  .low = entry->port_low,
				  .high = entry->port_high};

		if (!addr_is_set(&entry->range.addr))
			return -EINVAL;
		if (entry->protocol == IPPROTO_ICMP) {
			/* conntrack's "port" of an echo flow is type and code of the request */
			box.protocol = ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
			box.low = box.high = ipv6 ? 128 << 8 : 8 << 8;
		}
		r = add_box(sorting, &box);
	}
	return r;
}

static int add_underlay(struct sorting *sorting)
{
	const struct fw_desired *desired = sorting->desired;
	int r = add_entries(sorting, SET_UNDERLAY, desired->underlay, desired->n_underlay);

	return r < 0 ? r : add_entries(sorting, SET_EGRESS, desired->egress, desired->n_egress);
}

static int add_hubs(const struct fw_desired *desired, struct elements *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < desired->n_hubs; i++) {
		struct element element = element_of(SET_HUB, &desired->hubs[i].addr);

		if (!addr_is_set(&desired->hubs[i].addr))
			return -EINVAL;
		put_port(&element.key[addr_length(&desired->hubs[i].addr)], desired->hubs[i].port);
		memcpy(element.end, element.key, sizeof(element.end));
		r = elements_add(ret, &element);
	}
	return r;
}

static int add_containers(const struct fw_desired *desired, struct elements *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < desired->n_container_ifnames; i++) {
		struct element element = {.set = SET_FOR(SET_CONTAINER, false)};

		memcpy(element.key, desired->container_ifnames[i],
		       strnlen(desired->container_ifnames[i], IFNAMSIZ - 1));
		memcpy(element.end, element.key, sizeof(element.end));
		r = elements_add(ret, &element);
	}
	return r;
}

/* The last address of a prefix, into a key. */
static void put_last(uint8_t *key, const struct prefix *prefix)
{
	for (unsigned int bit = prefix->length; bit < addr_bits(&prefix->addr); bit++)
		key[bit / 8] = (uint8_t)(key[bit / 8] | 0x80 >> bit % 8);
}

static int add_intervals(struct sorting *sorting)
{
	_cleanup_(freep) struct box *boxes = NULL;
	size_t n = 0;
	int r = boxes_disjoint(sorting->boxes, sorting->n_boxes, INTERVALS_MAX, &boxes, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct element element;

		element_tuple(&element, boxes[i].set / 2, &boxes[i].prefix.addr, boxes[i].protocol,
			      boxes[i].low, boxes[i].high);
		put_last(element.end, &boxes[i].prefix);
		element.timeout_ms = boxes[i].timeout_ms;
		r = elements_add(sorting->elements, &element);
	}
	return r;
}

static int collect(struct sorting *sorting)
{
	const struct fw_desired *desired = sorting->desired;
	int r = add_hubs(desired, sorting->elements);

	for (size_t i = 0; r == 0 && i < desired->n_peers; i++)
		r = add_peer(&desired->peers[i], sorting->elements);
	if (r == 0)
		r = add_containers(desired, sorting->elements);
	if (r == 0)
		r = add_tuples(sorting);
	if (r == 0)
		r = add_underlay(sorting);
	return r == 0 ? add_intervals(sorting) : r;
}

static int collect_some(struct sorting *sorting, bool intervals)
{
	const struct fw_desired *desired = sorting->desired;
	int r = elements_of_leases(desired->peers, desired->n_peers, sorting->elements);

	if (r == 0)
		r = add_tuples(sorting);
	if (r == 0 && intervals)
		r = add_underlay(sorting);
	return r == 0 && intervals ? add_intervals(sorting) : r;
}

static int finish(struct sorting *sorting, int r, struct elements *ret)
{
	free(sorting->boxes);
	if (r < 0) {
		elements_done(sorting->elements);
		return r;
	}
	elements_sort(sorting->elements);
	*ret = *sorting->elements;
	return 0;
}

int elements_of(const struct fw_desired *desired, struct elements *ret)
{
	struct elements elements = {0};
	struct sorting sorting = {.desired = desired, .elements = &elements};

	return finish(&sorting, collect(&sorting), ret);
}

int elements_of_some(const struct fw_desired *desired, const bool *some, bool intervals,
		     struct elements *ret)
{
	struct elements elements = {0};
	struct sorting sorting = {.desired = desired, .some = some, .elements = &elements};

	return finish(&sorting, collect_some(&sorting, intervals), ret);
}
