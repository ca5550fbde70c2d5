/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The links, then the ways of those that are bridges; a host without a bridge is asked for nothing more. */
#include "daemon/uplink.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_bridge(const struct link_info *link)
{
	return strcmp(link->kind, "bridge") == 0;
}

/* dummy: libvirt's bridges have one, so that their address is always the same. */
static bool ends_here(const struct link_info *port)
{
	static const char *const kinds[] = {"veth", "tun", "dummy"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(port->kind, kinds[i]) == 0)
			return true;
	return false;
}

static bool leads_out(const struct link_info *bridge, const struct link_info *links, size_t n_links,
		      const unsigned int *ways, size_t n_ways)
{
	for (size_t i = 0; i < n_ways; i++)
		if (ways[i] == bridge->index)
			return true;
	for (size_t i = 0; i < n_links; i++)
		if (links[i].master == bridge->index && !ends_here(&links[i]))
			return true;
	return false;
}

static bool has(const struct uplinks *uplinks, const char *name)
{
	for (size_t i = 0; i < uplinks->n; i++)
		if (strcmp(uplinks->names[i], name) == 0)
			return true;
	return false;
}

static void add(struct uplinks *uplinks, const char *name)
{
	uplinks->too_many |= uplinks->n == FIREWALL_IFNAMES_MAX;
	if (uplinks->n < FIREWALL_IFNAMES_MAX)
		(void)snprintf(uplinks->names[uplinks->n++], IFNAMSIZ, "%s", name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

void uplink_choose(const struct link_info *links, size_t n_links, const unsigned int *ways,
		   size_t n_ways, struct uplinks *uplinks)
{
	struct uplinks found = {0};

	for (size_t i = 0; i < n_links; i++)
		if (is_bridge(&links[i]) && (leads_out(&links[i], links, n_links, ways, n_ways) ||
					     (n_ways == 0 && has(uplinks, links[i].name))))
			add(&found, links[i].name);
	/* Which the kernel lists first changes nothing in the rules. */
	qsort(found.names, found.n, sizeof(found.names[0]), compare_names);
	*uplinks = found;
}

/* To the ways of all default routes those to the hub: it may be on a network without one. */
static int add_hubs(struct link_handle *handle, const struct endpoint *hubs, size_t n_hubs,
		    unsigned int **ways, size_t *n_ways)
{
	unsigned int *more = reallocarray(*ways, *n_ways + n_hubs + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*ways = more;
	for (size_t i = 0; i < n_hubs; i++)
		if (link_way_to(handle, &hubs[i].addr, &more[*n_ways]) == 0)
			(*n_ways)++;
	return 0;
}

int uplink_look(struct link_handle *handle, const struct endpoint *hubs, size_t n_hubs,
		struct uplinks *uplinks)
{
	_cleanup_(freep) struct link_info *links = NULL;
	_cleanup_(freep) unsigned int *ways = NULL;
	size_t n_links = 0, n_ways = 0;
	bool bridges = false;
	int r = link_list(handle, &links, &n_links);

	for (size_t i = 0; i < n_links; i++)
		bridges |= is_bridge(&links[i]);
	if (r == 0 && bridges)
		r = link_ways_out(handle, &ways, &n_ways);
	if (r == 0 && bridges)
		r = add_hubs(handle, hubs, n_hubs, &ways, &n_ways);
	if (r == 0)
		uplink_choose(links, n_links, ways, n_ways, uplinks);
	return r;
}
