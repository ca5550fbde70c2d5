/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a message that arrives at the hub's port. One decide() for every hook.
 *
 *   type 1  hub's mac1 -> pass; a candidate's mac1 -> pending entry (candidate, sender) = source, forward
 *   type 2  pending entry (source, receiver) -> consumed; entry (initiator, sender) = source, forward
 *   type 3, 4  entry (source, receiver) and a live pair -> forward
 *   else    pass: the hub's own WireGuard is behind this
 *
 * Nothing in a packet is trusted but what an entry confirms; a packet changes nothing of a pair it is not of.
 *
 * XDP stands in front of tc and takes data only: a handshake changes state, and what passes XDP is decided once more at
 * tc. So at XDP whatever passes has counted nothing and learnt nothing.
 */
#pragma once
#include "relay/mac1.bpf.h"

enum verdict { VERDICT_PASS, VERDICT_DROP, VERDICT_FORWARD };
enum hook { AT_TC, AT_XDP }; /* a constant at every call */

static __always_inline enum verdict pass(enum hook hook, __u32 counter)
{
	if (hook == AT_TC)
		count_add(counter, 1);
	return VERDICT_PASS;
}

static __always_inline enum verdict drop(__u32 counter)
{
	count_add(counter, 1);
	return VERDICT_DROP;
}

/* Lengths exact; the reserved bytes are the upper three of the type's word, so comparing the word checks them. */
static __always_inline int well_formed(const struct relay_packet *packet)
{
	switch (packet->type) {
	case MESSAGE_INITIATION:
		return packet->length == LENGTH_INITIATION;
	case MESSAGE_RESPONSE:
		return packet->length == LENGTH_RESPONSE;
	case MESSAGE_COOKIE:
		return packet->length == LENGTH_COOKIE;
	case MESSAGE_DATA:
		return packet->length >= LENGTH_DATA_MIN;
	}
	return 0;
}

/* Two CPUs may have read the clock in the other order. */
static __always_inline __u64 age(__u64 now, __u64 then)
{
	return now > then ? now - then : 0;
}

static __always_inline int endpoint_same(const struct relay_endpoint *a,
					 const struct relay_endpoint *b)
{
	return a->address[0] == b->address[0] && a->address[1] == b->address[1] &&
	       a->address[2] == b->address[2] && a->address[3] == b->address[3] &&
	       a->port == b->port && a->family == b->family;
}

#define PATH_REFRESH_NS (10 * 1000000000ULL)
#define PATH_STALE_NS	(180 * 1000000000ULL)

/*
 * Remembers where the site dials. A source address can be forged, and so can an initiation by whoever knows the responder's
 * public key, which for the hub is whoever has seen a token. So a packet without a session's index (confirmed = 0) only
 * fills a gap, or replaces what was not confirmed for longer than a session lives; what the hub's WireGuard answers
 * confirms it where the answer leaves (path_confirm). What was learnt while the site had another endpoint is a gap: the
 * handshake that moved it came from where it was unknown.
 */
static __always_inline void path_learn(__u32 site, const struct relay_packet *packet, __u64 now,
				       int confirmed)
{
	struct relay_path *path = bpf_map_lookup_elem(&paths, &site);
	if (!path)
		return;
	__u64 since = age(now, path->confirmed_ns);
	if (confirmed ? since < PATH_REFRESH_NS && path->interface == packet->interface &&
				endpoint_same(&path->local, &packet->local)
		      : since < PATH_STALE_NS && endpoint_same(&path->peer, &packet->source))
		return;
	path->local = packet->local;
	path->peer = packet->source;
	path->interface = packet->interface;
	path->confirmed_ns = now;
}

/*
 * The hub's own WireGuard sends this to the site, from the address and port where what it has authenticated came to. The
 * interface stays where nothing else changes: packets may come by another than they leave by.
 */
static __always_inline void path_confirm(struct relay_path *path, const struct relay_packet *packet,
					 __u64 now)
{
	if (!endpoint_same(&path->local, &packet->local) ||
	    !endpoint_same(&path->peer, &packet->source)) {
		path->local = packet->local;
		path->peer = packet->source;
		path->interface = packet->interface;
	} else if (age(now, path->confirmed_ns) < PATH_REFRESH_NS) {
		return;
	}
	path->confirmed_ns = now;
}

/* The live pair of two sites; the only permission there is. */
static __always_inline struct relay_pair *pair_live(__u32 from, __u32 to, __u64 now)
{
	struct relay_pair_key key = {.from = from, .to = to};
	struct relay_pair *pair = bpf_map_lookup_elem(&pairs, &key);
	if (!pair) {
		count_add(RELAY_PAIR_REFUSED, 1);
		return 0;
	}
	if (pair->expires_ns <= now) {
		count_add(RELAY_EXPIRED, 1);
		return 0;
	}
	return pair;
}

/* The kernel's own last way to that endpoint, where it may be taken again. */
static __always_inline int hop_recall(struct relay_route *route, const struct relay_hop *hop,
				      __u64 now)
{
	if (!hop->learnt_ns || age(now, hop->learnt_ns) >= RELAY_HOP_LIFE_NS ||
	    hop->interface != route->interface || !endpoint_same(&hop->to, &route->to))
		return 0;
	__builtin_memcpy(route->ethernet, hop->ethernet, sizeof(route->ethernet));
	return 1;
}

static __always_inline const struct relay_interface *interface_find(__u32 index)
{
	__u32 zero = 0;
	struct relay_layout *loaded = bpf_map_lookup_elem(&layout, &zero);
	if (loaded)
#pragma unroll
		for (int i = 0; i < RELAY_INTERFACES; i++)
			if (loaded->interfaces[i].index == index)
				return &loaded->interfaces[i];
	return 0;
}

/*
 * Whether XDP can send it: the way is known; and by another interface only where the program stands at XDP too, as
 * drivers send redirected frames only then. An IPv6 checksum cannot be made here where none came.
 */
static __always_inline int xdp_sends(const struct relay_scratch *s)
{
	const struct relay_route *route = &s->route;
	const struct relay_interface *out;
	if (!route->hop_known || (!s->packet.checksum && route->to.family == RELAY_IPV6))
		return 0;
	if (route->interface == s->packet.interface)
		return 1;
	out = interface_find(route->interface);
	return out && out->hook == RELAY_BY_XDP;
}

/* The destination sees the address that it dials; where that is not known, the one that the packet came to. */
static __always_inline int route_fill(struct relay_scratch *s, const struct relay_site *site,
				      const struct relay_path *path, __u64 now)
{
	struct relay_route *route = &s->route;
	route->to = site->endpoint;
	if (path->local.family == site->endpoint.family) {
		route->from = path->local;
		route->interface = path->interface;
	} else if (s->packet.local.family == site->endpoint.family) {
		route->from = s->packet.local;
		route->interface = s->packet.interface;
	} else {
		return 0;
	}
	route->hop_known = hop_recall(route, &path->hop, now);
	return 1;
}

static __always_inline enum verdict forward(struct relay_scratch *s, enum hook hook, __u32 to,
					    struct relay_pair *pair, __u64 now)
{
	__u32 zero = 0;
	struct relay_site *site = bpf_map_lookup_elem(&sites, &to);
	struct relay_path *path = bpf_map_lookup_elem(&paths, &to);
	struct relay_counts *counts = bpf_map_lookup_elem(&counters, &zero);
	if (!site || !path || !counts || !site->states)
		return drop(RELAY_PAIR_REFUSED);
	if (site->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	if (!site->endpoint.family || !route_fill(s, site, path, now))
		return drop(RELAY_UNREACHABLE);
	if (hook == AT_XDP && !xdp_sends(s))
		return VERDICT_PASS;
	/* plain: what one site sends is one flow, which one CPU receives; a locked addition costs as much as a lookup */
	pair->packets++;
	pair->bytes += s->packet.length;
	counts->of[RELAY_FORWARDED_PACKETS]++;
	counts->of[RELAY_FORWARDED_BYTES] += s->packet.length;
	if (hook == AT_XDP)
		counts->of[RELAY_XDP_PACKETS]++;
	return VERDICT_FORWARD;
}

struct search {
	__u32 source;
	__u32 found;
	__u32 allowed; /* tests that the budgets leave */
	__u32 used;
	__u64 now;
};

/* The candidate at a position: the recently matched ones first, then the list without them; 0 is none. */
static __always_inline __u32 candidate_at(__u32 position, __u32 source)
{
	struct relay_path *path = bpf_map_lookup_elem(&paths, &source);
	struct relay_candidates *list = bpf_map_lookup_elem(&candidates, &source);
	if (!path || !list)
		return 0;
	if (position < RELAY_RECENT)
		return path->recent[position];
	position -= RELAY_RECENT;
	if (position >= RELAY_LIST_MAX)
		return 0;
	__u16 site = list->sites[position];
#pragma unroll
	for (int i = 0; i < RELAY_RECENT; i++)
		if (path->recent[i] == site)
			return 0;
	return site;
}

static long test_candidate(__u32 position, void *data)
{
	struct search *search = data;
	struct relay_scratch *s = scratch_get();
	__u32 id = candidate_at(position, search->source);
	struct relay_site *site = id ? bpf_map_lookup_elem(&sites, &id) : 0;
	if (!s || !site || !site->states || site->expires_ns <= search->now)
		return 0;
	for (__u32 i = 0; i < 2; i++) {
		if (i >= site->states)
			return 0;
		if (search->used >= search->allowed)
			return 1;
		search->used++;
		if (mac1_test(s, &site->mac1[i])) {
			search->found = id;
			return 1;
		}
	}
	return 0;
}

static __always_inline void remember_match(struct relay_path *path, __u16 found)
{
	__u16 carried = found;
#pragma unroll
	for (int i = 0; i < RELAY_RECENT; i++) {
		__u16 here = path->recent[i];
		path->recent[i] = carried;
		if (here == found)
			return;
		carried = here;
	}
}

/* The responder of the initiation in the scratch, 0 where there is none or the budgets end. */
static __always_inline __u32 find_responder(__u32 source, __u64 now)
{
	__u32 zero = 0;
	struct relay_candidates *list = bpf_map_lookup_elem(&candidates, &source);
	struct relay_path *path = bpf_map_lookup_elem(&paths, &source);
	__u64 *all_ns = bpf_map_lookup_elem(&totals, &zero);
	if (!list || !path || !all_ns)
		return 0;
	__u64 own = budget_left(&path->tests_ns, now, RELAY_TESTS_RATE, RELAY_TESTS_BURST);
	__u64 all = budget_left(all_ns, now, RELAY_ALL_TESTS_RATE, RELAY_ALL_TESTS_BURST);
	struct search search = {.source = source, .now = now, .allowed = own < all ? own : all};
	__u32 positions = list->count;
	if (positions > RELAY_LIST_MAX)
		positions = RELAY_LIST_MAX;
	bpf_loop(positions + RELAY_RECENT, test_candidate, &search, 0);
	budget_charge(&path->tests_ns, now, RELAY_TESTS_RATE, search.used);
	budget_charge(all_ns, now, RELAY_ALL_TESTS_RATE, search.used);
	if (search.found)
		remember_match(path, search.found);
	else
		count_add(search.used >= search.allowed ? RELAY_BUDGET_REFUSED : RELAY_PAIR_REFUSED,
			  1);
	return search.found;
}

/* Deletes an entry that the pair itself has made: it must still lead to the same site. */
static __always_inline void session_forget(__u32 from, __u32 index, __u32 to, __u32 state)
{
	struct relay_session_key key = {.from = from, .index = index};
	struct relay_session *session = bpf_map_lookup_elem(&sessions, &key);
	if (session && session->to == to && session->state == state)
		bpf_map_delete_elem(&sessions, &key);
}

/* Makes (responder, sender index) lead to the initiator. A repeated initiation adds nothing and revives nothing. */
static __always_inline int pending_add(struct relay_handshakes *ring, __u32 initiator,
				       __u32 responder, __u32 index, __u64 now)
{
	struct relay_session_key key = {.from = responder, .index = index};
	struct relay_session *old = bpf_map_lookup_elem(&sessions, &key);
	if (old && age(now, old->born_ns) < RELAY_SESSION_LIFE_NS) {
		if (old->to == initiator)
			return 1;
		count_add(RELAY_INDEX_TAKEN, 1);
		return 0;
	}
	__u32 slot = ring->next_pending++ % RELAY_PENDING;
	session_forget(responder, ring->pending[slot], initiator, RELAY_SESSION_PENDING);
	ring->pending[slot] = index;
	struct relay_session entry = {
		.born_ns = now, .to = initiator, .state = RELAY_SESSION_PENDING};
	return bpf_map_update_elem(&sessions, &key, &entry, BPF_ANY) == 0;
}

/* By which port the peer's session with the hub itself goes: what the hub answers must leave from there. */
static __always_inline void answer_remember(const struct relay_packet *packet)
{
	struct relay_answer_key key = {.peer = packet->source, .index = packet->word1};
	__u32 by_alt = packet->by_alt;
	bpf_map_update_elem(&answers, &key, &by_alt, BPF_ANY);
}

static __always_inline int for_hub(struct relay_scratch *s)
{
	__u32 zero = 0;
	struct relay_config *hub = bpf_map_lookup_elem(&config, &zero);
	if (!hub || !hub->hub_is_set || !mac1_test(s, &hub->hub))
		return 0;
	answer_remember(&s->packet);
	return 1;
}

static __always_inline enum verdict decide_initiation(struct relay_scratch *s,
						      const struct relay_owner *owner, __u64 now)
{
	__u32 source = owner->site;
	/* Outside the budgets: the hub must stay reachable, and its WireGuard would do the same work. */
	if (for_hub(s)) {
		path_learn(source, &s->packet, now, 0);
		return VERDICT_PASS;
	}
	if (owner->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	__u32 responder = find_responder(source, now);
	if (!responder)
		return VERDICT_DROP;
	struct relay_pair_key key = {.from = source, .to = responder};
	struct relay_pair *pair = pair_live(source, responder, now);
	struct relay_handshakes *ring = bpf_map_lookup_elem(&handshakes, &key);
	struct relay_path *target = bpf_map_lookup_elem(&paths, &responder);
	if (!pair || !ring || !target)
		return VERDICT_DROP;
	if (!budget_take(&ring->budget_ns, now, RELAY_PAIR_RATE, RELAY_PAIR_BURST) ||
	    !budget_take(&target->target_ns, now, RELAY_TARGET_RATE, RELAY_TARGET_BURST))
		return drop(RELAY_BUDGET_REFUSED);
	if (!pending_add(ring, source, responder, s->packet.word1, now))
		return VERDICT_DROP;
	path_learn(source, &s->packet, now, 0);
	count_add(RELAY_INITIATIONS, 1);
	return forward(s, AT_TC, responder, pair, now);
}

/* Turns the pending entry into a session of two entries; the oldest session of the pair makes room. */
static __always_inline int session_add(const struct relay_session_key *pending, __u32 initiator,
				       __u32 responder_index, __u64 now)
{
	__u32 responder = pending->from;
	struct relay_pair_key pair = {.from = initiator, .to = responder};
	struct relay_session_key back = {.from = initiator, .index = responder_index};
	struct relay_session entry = {
		.born_ns = now, .to = initiator, .state = RELAY_SESSION_CONFIRMED};
	struct relay_handshakes *ring = bpf_map_lookup_elem(&handshakes, &pair);
	struct relay_session *old = bpf_map_lookup_elem(&sessions, &back);
	if (old && old->to != responder && age(now, old->born_ns) < RELAY_SESSION_LIFE_NS) {
		bpf_map_delete_elem(&sessions, pending); /* no ring would remember it */
		count_add(RELAY_INDEX_TAKEN, 1);
		return 0;
	}
	if (!ring || bpf_map_update_elem(&sessions, pending, &entry, BPF_EXIST))
		return 0;
	__u32 slot = ring->next_session++ % RELAY_SESSIONS;
	session_forget(responder, ring->sessions[slot].initiator_index, initiator,
		       RELAY_SESSION_CONFIRMED);
	session_forget(initiator, ring->sessions[slot].responder_index, responder,
		       RELAY_SESSION_CONFIRMED);
	ring->sessions[slot].initiator_index = pending->index;
	ring->sessions[slot].responder_index = responder_index;
	entry.to = responder;
	return bpf_map_update_elem(&sessions, &back, &entry, BPF_ANY) == 0;
}

static __always_inline enum verdict decide_response(struct relay_scratch *s,
						    const struct relay_owner *owner, __u64 now)
{
	struct relay_session_key key = {.from = owner->site, .index = s->packet.word2};
	struct relay_session *session = bpf_map_lookup_elem(&sessions, &key);
	if (!session || age(now, session->born_ns) >= RELAY_SESSION_LIFE_NS) {
		path_learn(owner->site, &s->packet, now, 0);
		answer_remember(&s->packet); /* the hub itself asked */
		return pass(AT_TC, RELAY_UNKNOWN_INDEX);
	}
	__u32 initiator = session->to;
	if (session->state != RELAY_SESSION_PENDING ||
	    age(now, session->born_ns) >= RELAY_PENDING_LIFE_NS)
		return drop(RELAY_RESPONSE_REFUSED);
	if (owner->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	struct relay_pair *pair = pair_live(owner->site, initiator, now);
	if (!pair || !session_add(&key, initiator, s->packet.word1, now))
		return VERDICT_DROP;
	path_learn(owner->site, &s->packet, now, 1);
	count_add(RELAY_RESPONSES, 1);
	return forward(s, AT_TC, initiator, pair, now);
}

static __always_inline enum verdict decide_indexed(struct relay_scratch *s, enum hook hook,
						   const struct relay_owner *owner, __u64 now)
{
	struct relay_session_key key = {.from = owner->site, .index = s->packet.word1};
	struct relay_session *session = bpf_map_lookup_elem(&sessions, &key);
	/* Before the response nobody has a key for data; a cookie may come. */
	if (!session || age(now, session->born_ns) >= RELAY_SESSION_LIFE_NS ||
	    (s->packet.type == MESSAGE_DATA && session->state != RELAY_SESSION_CONFIRMED)) {
		if (hook == AT_TC)
			path_learn(owner->site, &s->packet, now, 0);
		return pass(hook, RELAY_UNKNOWN_INDEX);
	}
	__u32 to = session->to;
	if (owner->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	struct relay_pair *pair = pair_live(owner->site, to, now);
	if (!pair)
		return VERDICT_DROP;
	enum verdict verdict = forward(s, hook, to, pair, now);
	if (hook == AT_TC || verdict == VERDICT_FORWARD)
		path_learn(owner->site, &s->packet, now, 1);
	return verdict;
}

/* Reads s->packet, and for an initiation s->m and s->mac1; fills s->route where it says forward. */
static __always_inline enum verdict decide(struct relay_scratch *s, enum hook hook)
{
	struct relay_packet *packet = &s->packet;
	if (!well_formed(packet)) {
		if (!packet->by_alt)
			return drop(RELAY_MALFORMED);
		packet->by_alt =
			0; /* the second port may be somebody's who speaks another protocol */
		return VERDICT_PASS;
	}
	if (hook == AT_XDP && packet->type != MESSAGE_DATA)
		return VERDICT_PASS;
	struct relay_owner *owner = bpf_map_lookup_elem(&endpoints, &packet->source);
	if (!owner && packet->type == MESSAGE_INITIATION && packet->by_alt)
		for_hub(s);
	if (!owner)
		return pass(hook, RELAY_UNKNOWN_ENDPOINT);
	if (packet->type == MESSAGE_DATA)
		return decide_indexed(s, hook, owner, now_coarse(s));
	__u64 now = bpf_ktime_get_boot_ns();
	if (packet->type == MESSAGE_INITIATION)
		return decide_initiation(s, owner, now);
	if (packet->type == MESSAGE_RESPONSE)
		return decide_response(s, owner, now);
	return decide_indexed(s, hook, owner, now);
}
