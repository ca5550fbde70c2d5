/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One entry a peer, in the order of the view, which is sorted by id. */
#include "daemon/unanswered.h"
#include <errno.h>
#include <stdlib.h>

struct entry {
	struct id id;
	uint64_t tx_bytes, rx_bytes;
	struct mono since;   /* sent to at every look and not heard; 0: not so */
	struct mono taken;   /* 0: never */
	struct mono renewed; /* 0: never */
};

struct unanswered {
	struct entry *entries;
	size_t n;
};

int unanswered_new(struct unanswered **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void unanswered_free(struct unanswered *unanswered)
{
	if (!unanswered)
		return;
	free(unanswered->entries);
	free(unanswered);
}

static int compare_ids(const void *id, const void *entry)
{
	return id_compare(id, &((const struct entry *)entry)->id);
}

static struct entry *find(const struct unanswered *unanswered, const struct id *id)
{
	return unanswered->n ? bsearch(id, unanswered->entries, unanswered->n,
				       sizeof(*unanswered->entries), compare_ids)
			     : NULL;
}

/* Counters that went down are those of a new peer or a new interface. A lone keepalive is not answered and need not be. */
static void look_at(struct entry *entry, const struct wg_peer *peer, struct mono now)
{
	bool heard = peer->rx_bytes > entry->rx_bytes;
	bool sent = peer->tx_bytes > 0 && peer->tx_bytes != entry->tx_bytes;

	if (heard || !sent)
		entry->since = (struct mono){0};
	else if (entry->since.us == 0)
		entry->since = now;
	entry->tx_bytes = peer->tx_bytes;
	entry->rx_bytes = peer->rx_bytes;
}

int unanswered_look(struct unanswered *unanswered, const struct view *view,
		    const struct wg_device *device, struct mono now)
{
	struct entry *entries = calloc(view->n_peers + 1, sizeof(*entries));
	size_t n = 0;

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < view->n_peers; i++) {
		const struct wg_peer *peer = wg_find_peer(device, &view->peers[i].k4);
		const struct entry *before = find(unanswered, &view->peers[i].id);

		if (!peer)
			continue;
		if (before)
			entries[n] = *before;
		entries[n].id = view->peers[i].id;
		look_at(&entries[n++], peer, now);
	}
	free(unanswered->entries);
	unanswered->entries = entries;
	unanswered->n = n;
	return 0;
}

static bool within(struct mono then, struct mono now, int64_t seconds)
{
	return then.us != 0 && mono_diff_ms(now, then) < seconds * 1000;
}

size_t unanswered_take(struct unanswered *unanswered, struct mono now, struct id *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; n < max && i < unanswered->n; i++) {
		struct entry *entry = &unanswered->entries[i];

		if (entry->since.us == 0 || within(entry->since, now, UNANSWERED_SECONDS) ||
		    within(entry->taken, now, UNANSWERED_SECONDS))
			continue;
		entry->taken = now;
		ret[n++] = entry->id;
	}
	return n;
}

bool unanswered_may_renew(struct unanswered *unanswered, const struct id *id, struct mono now)
{
	struct entry *entry = find(unanswered, id);

	if (!entry || within(entry->renewed, now, RENEW_SECONDS))
		return false;
	entry->renewed = now;
	return true;
}
