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
 */
#pragma once
#include "relay/mac1.bpf.h"

enum verdict { VERDICT_PASS, VERDICT_DROP, VERDICT_FORWARD };

static __always_inline enum verdict pass(__u32 counter)
{
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
 * Remembers where the site dials. A source address can be forged, so a packet that nothing confirms (confirmed = 0:
 * no mac1, no session index) only fills a gap, or replaces what was not confirmed for longer than a session lives.
 */
static __always_inline void path_learn(__u32 site, const struct relay_packet *packet, __u64 now,
				       int confirmed)
{
	struct relay_path *path = bpf_map_lookup_elem(&paths, &site);
	if (!path)
		return;
	__u64 age = now - path->confirmed_ns;
	if (path->local.family && (confirmed ? age < PATH_REFRESH_NS : age < PATH_STALE_NS) &&
	    (!confirmed ||
	     (path->interface == packet->interface && endpoint_same(&path->local, &packet->local))))
		return;
	path->local = packet->local;
	path->interface = packet->interface;
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

static __always_inline enum verdict forward(struct relay_scratch *s, __u32 to,
					    struct relay_pair *pair, __u64 now)
{
	struct relay_packet *packet = &s->packet;
	struct relay_site *site = bpf_map_lookup_elem(&sites, &to);
	struct relay_path *path = bpf_map_lookup_elem(&paths, &to);
	if (!site || !path)
		return drop(RELAY_PAIR_REFUSED);
	if (site->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	if (!site->endpoint.family)
		return drop(RELAY_UNREACHABLE);
	if (site->endpoint.family != packet->source.family)
		return drop(RELAY_FAMILY_REFUSED);
	s->route.to = site->endpoint;
	if (path->local.family == packet->local.family) {
		s->route.from = path->local;
		s->route.interface = path->interface;
	} else {
		s->route.from = packet->local;
		s->route.interface = packet->interface;
	}
	__sync_fetch_and_add(&pair->packets, 1);
	__sync_fetch_and_add(&pair->bytes, packet->length);
	count_add(RELAY_FORWARDED_PACKETS, 1);
	count_add(RELAY_FORWARDED_BYTES, packet->length);
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
	if (!s || !site || site->expires_ns <= search->now)
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
	if (old && now - old->born_ns < RELAY_SESSION_LIFE_NS) {
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

static __always_inline enum verdict decide_initiation(struct relay_scratch *s,
						      const struct relay_owner *owner, __u64 now)
{
	__u32 zero = 0, source = owner->site;
	struct relay_config *hub = bpf_map_lookup_elem(&config, &zero);
	/* Outside the budgets: the hub must stay reachable, and its WireGuard would do the same work. */
	if (hub && hub->hub_is_set && mac1_test(s, &hub->hub)) {
		path_learn(source, &s->packet, now, 1);
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
	path_learn(source, &s->packet, now, 1);
	count_add(RELAY_INITIATIONS, 1);
	return forward(s, responder, pair, now);
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
	if (!ring || bpf_map_update_elem(&sessions, pending, &entry, BPF_EXIST))
		return 0;
	struct relay_session *old = bpf_map_lookup_elem(&sessions, &back);
	if (old && old->to != responder && now - old->born_ns < RELAY_SESSION_LIFE_NS) {
		count_add(RELAY_INDEX_TAKEN, 1);
		return 0;
	}
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
	if (!session || now - session->born_ns >= RELAY_SESSION_LIFE_NS) {
		path_learn(owner->site, &s->packet, now, 0);
		return pass(RELAY_UNKNOWN_INDEX);
	}
	__u32 initiator = session->to;
	if (session->state != RELAY_SESSION_PENDING ||
	    now - session->born_ns >= RELAY_PENDING_LIFE_NS)
		return drop(RELAY_RESPONSE_REFUSED);
	if (owner->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	struct relay_pair *pair = pair_live(owner->site, initiator, now);
	if (!pair || !session_add(&key, initiator, s->packet.word1, now))
		return VERDICT_DROP;
	path_learn(owner->site, &s->packet, now, 1);
	count_add(RELAY_RESPONSES, 1);
	return forward(s, initiator, pair, now);
}

static __always_inline enum verdict decide_indexed(struct relay_scratch *s,
						   const struct relay_owner *owner, __u64 now)
{
	struct relay_session_key key = {.from = owner->site, .index = s->packet.word1};
	struct relay_session *session = bpf_map_lookup_elem(&sessions, &key);
	/* Before the response nobody has a key for data; a cookie may come. */
	if (!session || now - session->born_ns >= RELAY_SESSION_LIFE_NS ||
	    (s->packet.type == MESSAGE_DATA && session->state != RELAY_SESSION_CONFIRMED)) {
		path_learn(owner->site, &s->packet, now, 0);
		return pass(RELAY_UNKNOWN_INDEX);
	}
	__u32 to = session->to;
	if (owner->expires_ns <= now)
		return drop(RELAY_EXPIRED);
	struct relay_pair *pair = pair_live(owner->site, to, now);
	if (!pair)
		return VERDICT_DROP;
	path_learn(owner->site, &s->packet, now, 1);
	return forward(s, to, pair, now);
}

/* Reads s->packet, and for an initiation s->m and s->mac1; fills s->route where it says forward. */
static __always_inline enum verdict decide(struct relay_scratch *s)
{
	if (!well_formed(&s->packet))
		return drop(RELAY_MALFORMED);
	struct relay_owner *owner = bpf_map_lookup_elem(&endpoints, &s->packet.source);
	if (!owner)
		return pass(RELAY_UNKNOWN_ENDPOINT);
	__u64 now = bpf_ktime_get_boot_ns();
	if (s->packet.type == MESSAGE_INITIATION)
		return decide_initiation(s, owner, now);
	if (s->packet.type == MESSAGE_RESPONSE)
		return decide_response(s, owner, now);
	return decide_indexed(s, owner, now);
}
