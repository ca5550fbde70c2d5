/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences between the inventory and what the relay's maps were told.
 *
 * A site whose endpoint another site still holds gets none: it is asked for again at every sync, because what frees it
 * (the holder moves, falls silent, goes) is a change that leads to one.
 *
 * A site with RELAY_CANDIDATES_MAX pairs gets no more: who came first stays, and the rest is tried again when it loses
 * one. That is logged once and stands in `status`; it is no failure, so it holds up nobody else.
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
#define WORDS (SITES / 64 + 1)

struct pushed_site {
	bool set;
	struct key key;
	struct endpoint endpoint; /* unset: not known to have one */
	bool has_none;		  /* known to have none */
	struct endpoint refused;  /* is another site's; logged */
	bool full;		  /* has all the pairs that it can have; logged */
	int64_t lease_not_after;
};

struct relay_feed {
	struct relay *relay;
	bool adopted; /* what an earlier process left is known, or gone */
	struct pushed_site sites[SITES];
	uint64_t pairs[SITES][WORDS]; /* may stand in the maps: bit (low, high), low < high */
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

int relay_feed_check(const struct relay_feed *feed, const char **ret, struct err *err)
{
	return relay_check(feed->relay, ret, err);
}

static bool admitted(const struct member *member, int64_t now)
{
	return member->row.site != 0 && member->row.state == IDENTITY_LIVING &&
	       member->row.lease_not_after > now;
}

/* Peers that policy gives a member and the relay does not. */
static size_t count_unpaired(const struct relay_feed *feed, const struct member *member,
			     int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < member->n_peers; i++) {
		uint32_t a = member->row.site, b = member->peers[i]->row.site;
		uint32_t low = a < b ? a : b, high = a < b ? b : a;

		n += admitted(member->peers[i], now) &&
		     !(feed->pairs[low][high / 64] >> (high % 64) & 1);
	}
	return n;
}

size_t relay_feed_full(const struct relay_feed *feed, const struct inventory *inventory,
		       int64_t now, const struct member **ret, size_t *ret_unpaired)
{
	size_t n = 0, most = 0;

	for (size_t i = 0; i < inventory->n; i++) {
		const struct member *member = inventory->members[i];
		size_t unpaired = admitted(member, now) && feed->sites[member->row.site].full
					  ? count_unpaired(feed, member, now)
					  : 0;

		n += unpaired > 0;
		if (unpaired <= most)
			continue;
		most = unpaired;
		*ret = member;
		*ret_unpaired = unpaired;
	}
	return n;
}

void relay_feed_traffic(struct relay_feed *feed, uint32_t from, uint32_t to, uint64_t *ret_packets,
			uint64_t *ret_bytes)
{
	*ret_packets = *ret_bytes = 0;
	if (feed)
		relay_pair_traffic(feed->relay, from, to, ret_packets, ret_bytes);
}

/* The word and the bit of a pair. */
static uint64_t *pair_word(struct relay_feed *feed, uint32_t a, uint32_t b, uint64_t *ret_bit)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;

	*ret_bit = UINT64_C(1) << (high % 64);
	return &feed->pairs[low][high / 64];
}

static struct mono expiry(int64_t not_after, int64_t now)
{
	struct mono at = clock_mono();

	at.us += (not_after - now) * 1000000;
	return at;
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
		struct mono until = expiry(member->row.lease_not_after, now);

		/* A restart in the midst of a rotation: those who have not heard of the new key still use the old one. */
		r = site->set ? relay_site_set(feed->relay, member->row.site, &member->row.k4,
					       rotated ? &site->key : NULL, until)
			      : relay_site_adopt(feed->relay, member->row.site, &member->row.k4,
						 until);
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

static bool is_full(struct relay_feed *feed, uint32_t site)
{
	uint16_t peers[RELAY_CANDIDATES_MAX];
	size_t n = 0;

	return relay_site_pairs(feed->relay, site, peers, &n) == 0 && n >= RELAY_CANDIDATES_MAX;
}

/* Which of the two it is that takes no more. */
static void mark_full(struct relay_feed *feed, const struct member *a, const struct member *b)
{
	const struct member *full = is_full(feed, a->row.site) ? a : b;
	const struct member *other = full == a ? b : a;

	feed->sites[full->row.site].full = true;
	log_warning(
		"relay: policy pairs %s with more than %d identities, which is the most that it "
		"can reach; %s and others do not reach it: narrow the rules that name it",
		full->row.name, RELAY_CANDIDATES_MAX, other->row.name);
}

static int push_pair(struct relay_feed *feed, const struct member *a, const struct member *b,
		     bool again, int64_t now)
{
	int64_t not_after = a->row.lease_not_after < b->row.lease_not_after
				    ? a->row.lease_not_after
				    : b->row.lease_not_after;
	uint64_t bit, *word = pair_word(feed, a->row.site, b->row.site, &bit);
	int r;

	if (*word & bit ? !again : feed->sites[a->row.site].full || feed->sites[b->row.site].full)
		return 0;
	*word |= bit;
	r = relay_pair_set(feed->relay, a->row.site, b->row.site, expiry(not_after, now));
	if (r == -ENOSPC) {
		*word &= ~bit;
		mark_full(feed, a, b);
		return 0;
	}
	if (r < 0)
		feed->sites[a->row.site].lease_not_after = 0; /* so that it is pushed again */
	return r;
}

static int drop_pair(struct relay_feed *feed, uint32_t a, uint32_t b)
{
	uint64_t bit, *word = pair_word(feed, a, b, &bit);
	int r = *word & bit ? relay_pair_remove(feed->relay, a, b) : 0;

	if (r == 0 || r == -ENOENT) {
		*word &= ~bit;
		feed->sites[a].full = feed->sites[b].full = false;
	}
	return r == -ENOENT ? 0 : r;
}

/* After a start: what stands in the maps counts as pushed, so what of it is not wanted is closed like any other pair. */
static int adopt_pairs(struct relay_feed *feed)
{
	uint16_t peers[RELAY_CANDIDATES_MAX];
	int r = 0;

	for (uint32_t a = 1; a < SITES && r == 0; a++) {
		size_t n = 0;

		r = relay_site_pairs(feed->relay, a, peers, &n);
		for (size_t i = 0; r == 0 && i < n; i++) {
			uint64_t bit, *word;

			if (peers[i] == 0 || peers[i] >= SITES)
				return -EBADMSG;
			word = pair_word(feed, a, peers[i], &bit);
			*word |= bit;
		}
	}
	return r;
}

/* Closes what is open between a and the sites above it and should not be; a gone site has no pairs. */
static int close_pairs(struct relay_feed *feed, const struct member *const *by_site, uint32_t a)
{
	uint64_t wanted[WORDS] = {0};
	int r, result = 0;

	for (size_t i = 0; by_site[a] && i < by_site[a]->n_peers; i++) {
		uint32_t b = by_site[a]->peers[i]->row.site;

		if (by_site[b] == by_site[a]->peers[i])
			wanted[b / 64] |= UINT64_C(1) << (b % 64);
	}
	for (uint32_t i = 0; i < WORDS; i++) {
		uint64_t ended = feed->pairs[a][i] & ~wanted[i];

		for (; ended; ended &= ended - 1) {
			r = drop_pair(feed, a, i * 64 + (uint32_t)__builtin_ctzll(ended));
			result = r < 0 ? r : result;
		}
	}
	return result;
}

/* Closing comes before opening: a site number that changed hands must not inherit a pair. */
static int close_what_ended(struct relay_feed *feed, const struct member *const *by_site)
{
	int r, result = 0;

	for (uint32_t a = 1; a < SITES; a++) {
		r = close_pairs(feed, by_site, a);
		result = r < 0 ? r : result;
		if (by_site[a] || (feed->adopted && !feed->sites[a].set))
			continue;
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
	int adopted, closed, opened;

	if (!by_site)
		return -ENOMEM;
	for (size_t i = 0; i < inventory->n; i++)
		if (admitted(inventory->members[i], now))
			by_site[inventory->members[i]->row.site] = inventory->members[i];
	adopted = feed->adopted ? 0 : adopt_pairs(feed);
	closed = close_what_ended(feed, by_site);
	opened = open_what_began(feed, inventory, now);
	feed->adopted = feed->adopted || (adopted == 0 && closed == 0);
	if (adopted < 0)
		return adopted;
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
		r = drop_pair(feed, site, member->peers[i]->row.site);
		result = r < 0 ? r : result;
	}
	r = drop_site(feed, site);
	return r < 0 ? r : result;
}
