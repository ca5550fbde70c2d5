/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences between the inventory and what the relay's maps were told.
 *
 * A site whose endpoint another site still holds gets none: it is asked for again at every sync, because what frees it
 * (the holder moves, falls silent, goes) is a change that leads to one.
 *
 * Site numbers index the arrays here. A pair's expiry is that of the shorter lease; it is pushed again when either
 * site's lease changed.
 */
#include "control-plane/relay_feed.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "relay/relay.h"

#define SITES (RELAY_SITES_MAX + 1)

struct pushed_site {
	bool set;
	struct key key;
	struct endpoint endpoint; /* unset: not known to have one */
	bool has_none;		  /* known to have none */
	struct endpoint refused;  /* is another site's; logged */
	int64_t lease_not_after;
};

struct relay_feed {
	struct relay *relay;
	bool cleaned; /* leftovers of an earlier process are gone */
	struct pushed_site sites[SITES];
	uint8_t pairs[SITES][SITES / 8 + 1]; /* bit (low, high), low < high */
};

int relay_feed_open(const char *bpffs_dir, const struct key *hub_key, uint16_t hub_port,
		    struct relay_feed **ret)
{
	_cleanup_(relay_feed_closep) struct relay_feed *feed = calloc(1, sizeof(*feed));
	int r;

	if (!feed)
		return -ENOMEM;
	r = relay_open(bpffs_dir, &feed->relay);
	if (r == 0)
		r = relay_set_hub(feed->relay, hub_key, hub_port);
	if (r < 0)
		return r;
	*ret = take_pointer(feed);
	return 0;
}

void relay_feed_close(struct relay_feed *feed)
{
	if (!feed)
		return;
	relay_close(feed->relay);
	free(feed);
}

const char *relay_feed_attachment(const struct relay_feed *feed)
{
	return feed ? relay_attachment(feed->relay) : "none";
}

/* The byte and mask of a pair. */
static uint8_t *pair_byte(struct relay_feed *feed, uint32_t a, uint32_t b, uint8_t *ret_mask)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;

	*ret_mask = (uint8_t)(1U << (high % 8));
	return &feed->pairs[low][high / 8];
}

static struct mono expiry(int64_t not_after, int64_t now)
{
	struct mono at = clock_mono();

	at.us += (not_after - now) * 1000000;
	return at;
}

static bool admitted(const struct member *member, int64_t now)
{
	return member->row.site != 0 && member->row.state == IDENTITY_LIVING &&
	       member->row.lease_not_after > now;
}

/* *ret_changed: its pairs must be pushed again. */
static int push_site(struct relay_feed *feed, const struct member *member, int64_t now,
		     bool *ret_changed)
{
	struct pushed_site *site = &feed->sites[member->row.site];
	bool rotated = site->set && !key_equal(&site->key, &member->row.k4);
	int r = 0;

	*ret_changed = !site->set || site->lease_not_after != member->row.lease_not_after;
	if (*ret_changed || rotated) {
		r = relay_site_set(feed->relay, member->row.site, &member->row.k4,
				   rotated ? &site->key : NULL,
				   expiry(member->row.lease_not_after, now));
		if (r < 0)
			return r;
		site->set = true;
		site->key = member->row.k4;
		site->lease_not_after = member->row.lease_not_after;
	}
	return 0;
}

/* ---- endpoints ---- */

static int forget_endpoint(struct relay_feed *feed, uint32_t number)
{
	struct pushed_site *site = &feed->sites[number];
	int r = site->has_none ? 0 : relay_site_endpoint(feed->relay, number, NULL);

	if (r == 0) {
		site->endpoint = (struct endpoint){0};
		site->has_none = true;
	}
	return r;
}

/* 0 also where there is nothing to set. */
static int set_endpoint(struct relay_feed *feed, const struct member *member)
{
	struct pushed_site *site = &feed->sites[member->row.site];
	const struct endpoint *wanted = &member->watch.confirmed;
	int r;

	if (!addr_is_set(&wanted->addr) || endpoint_equal(&site->endpoint, wanted))
		return 0;
	r = relay_site_endpoint(feed->relay, member->row.site, wanted);
	if (r == 0) {
		site->endpoint = *wanted;
		site->has_none = false;
		site->refused = (struct endpoint){0};
	}
	return r;
}

/* A site that has moved is not where it was, so what it had is free, also while it cannot have what it wants yet. */
static int move_endpoint(struct relay_feed *feed, const struct member *member)
{
	int r;

	if (member->watch.silent)
		return forget_endpoint(feed, member->row.site);
	r = set_endpoint(feed, member);
	return r == -EADDRINUSE ? forget_endpoint(feed, member->row.site) : r;
}

static int retry_endpoint(struct relay_feed *feed, const struct member *member)
{
	struct pushed_site *site = &feed->sites[member->row.site];
	const struct endpoint *wanted = &member->watch.confirmed;
	int r = set_endpoint(feed, member);
	char text[ENDPOINT_TEXT_MAX];

	if (r != -EADDRINUSE)
		return r;
	if (!endpoint_equal(&site->refused, wanted))
		log_warning("relay: %s comes from %s, which is another site's until that has been "
			    "silent for %d s; nobody reaches it until then",
			    member->row.name, endpoint_format(wanted, text),
			    HUB_WATCH_SILENT_SECONDS);
	site->refused = *wanted;
	return 0;
}

/* Two rounds: the first frees whatever the second needs, so sites that swapped endpoints both get theirs. */
static int push_endpoints(struct relay_feed *feed, const struct inventory *inventory, int64_t now)
{
	int r, result = 0;

	for (unsigned int round = 0; round < 2; round++) {
		for (size_t i = 0; i < inventory->n; i++) {
			const struct member *member = inventory->members[i];

			if (!admitted(member, now) || !feed->sites[member->row.site].set)
				continue;
			r = round == 0 ? move_endpoint(feed, member) : retry_endpoint(feed, member);
			result = r < 0 ? r : result;
		}
	}
	return result;
}

static int drop_site(struct relay_feed *feed, uint32_t site)
{
	int r = relay_site_remove(feed->relay, site);

	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		feed->sites[site] = (struct pushed_site){0};
	return r;
}

static int push_pair(struct relay_feed *feed, const struct member *a, const struct member *b,
		     bool again, int64_t now)
{
	int64_t not_after = a->row.lease_not_after < b->row.lease_not_after
				    ? a->row.lease_not_after
				    : b->row.lease_not_after;
	uint8_t mask, *byte = pair_byte(feed, a->row.site, b->row.site, &mask);
	int r;

	if ((*byte & mask) && !again)
		return 0;
	r = relay_pair_set(feed->relay, a->row.site, b->row.site, expiry(not_after, now));
	if (r == 0)
		*byte |= mask;
	return r;
}

static int drop_pair(struct relay_feed *feed, uint32_t a, uint32_t b, bool known_only)
{
	uint8_t mask, *byte = pair_byte(feed, a, b, &mask);
	int r;

	if (known_only && !(*byte & mask))
		return 0;
	r = relay_pair_remove(feed->relay, a, b);
	if (r == 0 || r == -ENOENT)
		*byte &= (uint8_t)~mask;
	return r == -ENOENT ? 0 : r;
}

/* Closing comes before opening: a site number that changed hands must not inherit a pair. */
static int close_what_ended(struct relay_feed *feed, const struct member *const *by_site)
{
	int r = 0, result = 0;

	for (uint32_t a = 1; a < SITES; a++) {
		bool gone = !by_site[a];

		if (gone && !feed->sites[a].set && feed->cleaned)
			continue;
		for (uint32_t b = a + 1; b < SITES; b++) {
			if (!gone && by_site[b] && member_paired(by_site[a], by_site[b]))
				continue;
			/* leftovers: only between sites that go on, the others end with their site */
			r = drop_pair(feed, a, b, feed->cleaned || gone || !by_site[b]);
			result = r < 0 ? r : result;
		}
		if (gone)
			r = drop_site(feed, a);
		result = r < 0 ? r : result;
	}
	return result;
}

static int open_what_began(struct relay_feed *feed, const struct inventory *inventory, int64_t now)
{
	bool changed[SITES] = {0};
	int r, result = 0;

	for (size_t i = 0; i < inventory->n; i++) {
		const struct member *member = inventory->members[i];

		if (!admitted(member, now))
			continue;
		r = push_site(feed, member, now, &changed[member->row.site]);
		result = r < 0 ? r : result;
	}
	r = push_endpoints(feed, inventory, now);
	result = r < 0 ? r : result;
	for (size_t i = 0; i < inventory->n; i++) {
		const struct member *a = inventory->members[i];

		for (size_t j = 0; admitted(a, now) && j < a->n_peers; j++) {
			const struct member *b = a->peers[j];

			if (a->row.site > b->row.site || !admitted(b, now))
				continue;
			r = push_pair(feed, a, b, changed[a->row.site] || changed[b->row.site],
				      now);
			result = r < 0 ? r : result;
		}
	}
	return result;
}

int relay_feed_sync(struct relay_feed *feed, const struct inventory *inventory, int64_t now)
{
	_cleanup_(freep) const struct member **by_site = calloc(SITES, sizeof(*by_site));
	int closed, opened;

	if (!by_site)
		return -ENOMEM;
	for (size_t i = 0; i < inventory->n; i++)
		if (admitted(inventory->members[i], now))
			by_site[inventory->members[i]->row.site] = inventory->members[i];
	closed = close_what_ended(feed, by_site);
	opened = open_what_began(feed, inventory, now);
	feed->cleaned = feed->cleaned || closed == 0;
	return closed < 0 ? closed : opened;
}

int relay_feed_cut(struct relay_feed *feed, const struct member *member)
{
	uint32_t site = member->row.site;
	int r, result = 0;

	if (site == 0)
		return 0;
	for (size_t i = 0; i < member->n_peers; i++) {
		if (member->peers[i]->row.site == 0)
			continue;
		r = drop_pair(feed, site, member->peers[i]->row.site, true);
		result = r < 0 ? r : result;
	}
	r = drop_site(feed, site);
	return r < 0 ? r : result;
}
