/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members. Nothing here talks to the network or the kernel. */
#include "control-plane/inventory.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void member_free(struct member *member)
{
	identity_row_done(&member->row);
	sd_event_source_disable_unref(member->deadline);
	free(member->peers);
	free(member);
}

/* Takes the row over. */
static void fill(struct member *member, struct identity_row *row)
{
	identity_row_done(&member->row);
	member->row = *row;
	*row = (struct identity_row){0};
	member->policy.id = member->row.id;
	member->policy.labels = member->row.labels;
	snprintf(member->policy.name, sizeof(member->policy.name), "%s", member->row.name);
}

/* Where the name is or belongs. */
static size_t place(const struct inventory *inventory, const char *name)
{
	size_t low = 0, high = inventory->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(inventory->members[middle]->row.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int insert(struct inventory *inventory, struct identity_row *row, struct member **ret)
{
	struct member *member;
	size_t at;

	if (inventory->n == MEMBERS_MAX)
		return -EUSERS;
	if (!inventory->members) {
		inventory->members = calloc(MEMBERS_MAX, sizeof(struct member *));
		if (!inventory->members)
			return -ENOMEM;
	}
	member = calloc(1, sizeof(*member));
	if (!member)
		return -ENOMEM;
	at = place(inventory, row->name);
	fill(member, row);
	memmove(&inventory->members[at + 1], &inventory->members[at],
		(inventory->n - at) * sizeof(struct member *));
	inventory->members[at] = member;
	inventory->n++;
	*ret = member;
	return 0;
}

struct loading {
	struct inventory *inventory;
	struct store *store;
};

static int on_row(const struct identity_row *row, void *data)
{
	struct loading *loading = data;
	struct member *member;

	if (row->state == IDENTITY_DEAD) {
		loading->inventory->n_revoked++;
		return 0;
	}
	return inventory_put(loading->inventory, loading->store, &row->id, &member);
}

int inventory_load(struct inventory *inventory, struct store *store)
{
	struct loading loading = {inventory, store};
	int r = store_revision(store, &inventory->revision);

	if (r == 0)
		r = store_identity_list(store, true, on_row, &loading);
	/* what an agent saw at this revision is still so; older ones get news at once */
	if (r == 0)
		inventory_touch_all(inventory, inventory->revision);
	return r;
}

void inventory_done(struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n; i++)
		member_free(inventory->members[i]);
	free(inventory->members);
	*inventory = (struct inventory){0};
}

struct member *inventory_find(const struct inventory *inventory, const struct id *id)
{
	for (size_t i = 0; i < inventory->n; i++)
		if (id_equal(&inventory->members[i]->row.id, id))
			return inventory->members[i];
	return NULL;
}

struct member *inventory_by_address(const struct inventory *inventory, const struct addr *addr)
{
	if (!addr_is_set(addr))
		return NULL;
	for (size_t i = 0; i < inventory->n; i++) {
		struct member *member = inventory->members[i];

		if (addr_equal(&member->row.ipv6, addr) || addr_equal(&member->row.ipv4, addr))
			return member;
	}
	return NULL;
}

struct member *inventory_by_text(const struct inventory *inventory, const char *text)
{
	struct id id;
	size_t at;

	if (id_parse(text, &id) == 0)
		return inventory_find(inventory, &id);
	at = place(inventory, text);
	if (at < inventory->n && strcmp(inventory->members[at]->row.name, text) == 0)
		return inventory->members[at];
	return NULL;
}

int inventory_put(struct inventory *inventory, struct store *store, const struct id *id,
		  struct member **ret)
{
	_cleanup_(identity_row_done) struct identity_row row = {0};
	struct member *member = inventory_find(inventory, id);
	int r = store_identity_get(store, id, &row);

	if (r < 0)
		return r;
	if (!member)
		return insert(inventory, &row, ret);
	fill(member, &row); /* names never change, so the order holds */
	*ret = member;
	return 0;
}

void inventory_remove(struct inventory *inventory, struct member *member)
{
	size_t at = place(inventory, member->row.name);

	inventory_unlink(member);
	inventory->n--;
	memmove(&inventory->members[at], &inventory->members[at + 1],
		(inventory->n - at) * sizeof(struct member *));
	inventory->n_revoked++;
	member_free(member);
}

void inventory_touch(struct inventory *inventory, struct member *member, uint64_t revision)
{
	if (revision > inventory->revision)
		inventory->revision = revision;
	member->view = revision;
	for (size_t i = 0; i < member->n_peers; i++)
		member->peers[i]->view = revision;
}

void inventory_touch_all(struct inventory *inventory, uint64_t revision)
{
	if (revision > inventory->revision)
		inventory->revision = revision;
	for (size_t i = 0; i < inventory->n; i++)
		inventory->members[i]->view = revision;
}

int64_t policy_next_expiry(const struct policy *policy, int64_t now)
{
	int64_t next = 0;

	for (size_t i = 0; policy && i < policy->n_rules; i++) {
		int64_t at = policy->rules[i].expires_at;

		if (at > now && (next == 0 || at < next))
			next = at;
	}
	return next;
}
