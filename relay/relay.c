// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The writer of the pinned maps. One process writes them; the eBPF program reads at any moment between two calls, so
 * the order within each function matters: what permits is written last and deleted first.
 */
#include "relay/relay.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "relay/hook.h"
#include "relay/layout.h"
#include "relay/mac1.h"
#include "relay/maps.h"

_Static_assert(RELAY_SITE_SLOTS == RELAY_SITES_MAX + 1, "site ids start at 1");
_Static_assert(RELAY_LIST_MAX == RELAY_CANDIDATES_MAX, "a pair is a candidate");

enum map {
	MAP_CONFIG,
	MAP_ENDPOINTS,
	MAP_SITES,
	MAP_CANDIDATES,
	MAP_PATHS,
	MAP_PAIRS,
	MAP_HANDSHAKES,
	MAP_SESSIONS,
	MAP_TOTALS,
	MAP_ANSWERS,
	MAP_COUNTERS,
	MAP_LAYOUT,
	MAPS,
};
static const char *const map_names[] = {RELAY_MAP_NAMES};
_Static_assert(ARRAY_SIZE(map_names) == MAPS, "one name a map");

struct relay {
	int maps[MAPS];
};

static int get(const struct relay *relay, enum map map, const void *key, void *value)
{
	return bpf_map_lookup_elem(relay->maps[map], key, value) < 0 ? -errno : 0;
}

static int put(const struct relay *relay, enum map map, const void *key, const void *value)
{
	return bpf_map_update_elem(relay->maps[map], key, value, BPF_ANY) < 0 ? -errno : 0;
}

/* Gone is gone, whoever did it. */
static int forget(const struct relay *relay, enum map map, const void *key)
{
	return bpf_map_delete_elem(relay->maps[map], key) < 0 && errno != ENOENT ? -errno : 0;
}

static int open_maps(struct relay *relay, const char *dir)
{
	for (size_t i = 0; i < MAPS; i++) {
		char path[4096];
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, map_names[i]) >=
		    sizeof(path))
			return -ENAMETOOLONG;
		relay->maps[i] = bpf_obj_get(path);
		if (relay->maps[i] < 0)
			return -errno;
	}
	return 0;
}

int relay_open(const char *bpffs_dir, struct relay **ret)
{
	struct relay_layout layout;
	_cleanup_(relay_closep) struct relay *relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	for (size_t i = 0; i < MAPS; i++)
		relay->maps[i] = -1;
	/* First: another version may have other maps. */
	int r = layout_read(bpffs_dir, &layout);
	if (r == 0 && layout.version != RELAY_LAYOUT)
		r = -EPROTONOSUPPORT;
	if (r == 0)
		r = open_maps(relay, bpffs_dir);
	if (r < 0)
		return r;
	*ret = take_pointer(relay);
	return 0;
}

void relay_close(struct relay *relay)
{
	if (!relay)
		return;
	for (size_t i = 0; i < MAPS; i++)
		closep(&relay->maps[i]);
	free(relay);
}

/* Of all interfaces together; hook_name() is static. */
static const char *name_of_all(const struct relay_interface *interfaces)
{
	const char *found = NULL;
	for (size_t i = 0; i < RELAY_INTERFACES; i++) {
		const char *name = hook_name((enum relay_hook)interfaces[i].hook);
		if (interfaces[i].index == 0)
			continue;
		if (found && strcmp(found, name) != 0)
			return "mixed";
		found = name;
	}
	return found ? found : "none";
}

/* Read each time: the loader may have run since. */
const char *relay_attachment(const struct relay *relay)
{
	struct relay_layout layout = {0};
	uint32_t zero = 0;
	return get(relay, MAP_LAYOUT, &zero, &layout) < 0 ? "unknown"
							  : name_of_all(layout.interfaces);
}

int relay_check(const struct relay *relay, const char **ret, struct err *err)
{
	struct relay_layout layout = {0};
	uint32_t zero = 0;
	int result = 0, r = get(relay, MAP_LAYOUT, &zero, &layout);
	if (r < 0)
		return err_code(err, r, "reading the relay's map \"layout\": %s", strerror(-r));
	for (size_t i = 0; i < RELAY_INTERFACES; i++) {
		struct err own = {0};
		r = layout.interfaces[i].index ? hook_check(&layout.interfaces[i], &own) : 0;
		if (r < 0 && result == 0) {
			result = r;
			*err = own;
		}
	}
	*ret = name_of_all(layout.interfaces);
	return result;
}

static bool site_valid(uint32_t site)
{
	return site >= 1 && site <= RELAY_SITES_MAX;
}

static uint64_t to_ns(struct mono time)
{
	if (time.us <= 0)
		return 0;
	return time.us > INT64_MAX / 1000 ? INT64_MAX : (uint64_t)time.us * 1000;
}

static int to_relay_endpoint(const struct endpoint *endpoint, struct relay_endpoint *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (endpoint->port == 0 || !addr_is_set(&endpoint->addr))
		return -EINVAL;
	memcpy(ret->address, endpoint->addr.bytes, sizeof(ret->address));
	ret->port = htons(endpoint->port);
	ret->family = endpoint->addr.family == AF_INET ? RELAY_IPV4 : RELAY_IPV6;
	return 0;
}

int relay_set_hub(struct relay *relay, const struct key *public_key, uint16_t port)
{
	struct relay_config config = {.port = htons(port), .hub_is_set = 1};
	uint32_t zero = 0;
	if (port == 0)
		return -EINVAL;
	mac1_state(public_key, &config.hub);
	return put(relay, MAP_CONFIG, &zero, &config);
}

/* -ENOENT where there is no such site. */
static int get_site(const struct relay *relay, uint32_t id, struct relay_site *ret)
{
	int r = get(relay, MAP_SITES, &id, ret);
	return r == 0 && ret->states == 0 ? -ENOENT : r;
}

static int put_owner(struct relay *relay, uint32_t id, const struct relay_site *site)
{
	struct relay_owner owner = {.expires_ns = site->expires_ns, .site = id};
	return put(relay, MAP_ENDPOINTS, &site->endpoint, &owner);
}

static int forget_endpoint(struct relay *relay, uint32_t site,
			   const struct relay_endpoint *endpoint)
{
	struct relay_owner owner = {0};
	int r = get(relay, MAP_ENDPOINTS, endpoint, &owner);
	if (r < 0 || owner.site != site)
		return r == -ENOENT ? 0 : r;
	return forget(relay, MAP_ENDPOINTS, endpoint);
}

static int put_site(struct relay *relay, uint32_t id, const struct relay_site *site)
{
	int r = put(relay, MAP_SITES, &id, site);
	return r < 0 || !site->endpoint.family ? r : put_owner(relay, id, site);
}

int relay_site_set(struct relay *relay, uint32_t site, const struct key *public_key,
		   const struct key *previous_key, struct mono expires)
{
	struct relay_site entry = {0};
	if (!site_valid(site))
		return -EINVAL;
	int r = get_site(relay, site, &entry);
	if (r < 0 && r != -ENOENT)
		return r;
	entry.expires_ns = to_ns(expires);
	entry.states = previous_key ? 2 : 1;
	mac1_state(public_key, &entry.mac1[0]);
	memset(&entry.mac1[1], 0, sizeof(entry.mac1[1]));
	if (previous_key)
		mac1_state(previous_key, &entry.mac1[1]);
	return put_site(relay, site, &entry);
}

int relay_site_adopt(struct relay *relay, uint32_t site, const struct key *public_key,
		     struct mono expires)
{
	struct relay_site entry = {0};
	struct relay_mac1 mac1;
	if (!site_valid(site))
		return -EINVAL;
	int r = get_site(relay, site, &entry);
	if (r == -ENOENT)
		return relay_site_set(relay, site, public_key, NULL, expires);
	if (r < 0)
		return r;
	entry.expires_ns = to_ns(expires);
	mac1_state(public_key, &mac1);
	if (memcmp(&mac1, &entry.mac1[0], sizeof(mac1)) != 0) {
		entry.mac1[1] = entry.mac1[0];
		entry.mac1[0] = mac1;
		entry.states = 2;
	}
	return put_site(relay, site, &entry);
}

/* 0 where the endpoint is free: nobody's, this site's, or left over from a site that is gone, moved or expired. */
static int endpoint_free(struct relay *relay, uint32_t site, const struct relay_endpoint *endpoint)
{
	struct relay_owner owner = {0};
	struct relay_site other = {0};
	int r = get(relay, MAP_ENDPOINTS, endpoint, &owner);
	if (r == 0 && owner.site != site)
		r = get_site(relay, owner.site, &other);
	else if (r == 0)
		return 0;
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	bool stale = memcmp(&other.endpoint, endpoint, sizeof(*endpoint)) != 0 ||
		     other.expires_ns <= to_ns(clock_mono());
	return stale ? 0 : -EADDRINUSE;
}

int relay_site_endpoint(struct relay *relay, uint32_t site, const struct endpoint *endpoint)
{
	struct relay_site entry = {0};
	struct relay_endpoint before = {0}, now = {0};
	if (!site_valid(site))
		return -EINVAL;
	int r = get_site(relay, site, &entry);
	if (r == 0 && endpoint)
		r = to_relay_endpoint(endpoint, &now);
	if (r == 0 && endpoint)
		r = endpoint_free(relay, site, &now);
	if (r < 0)
		return r;
	before = entry.endpoint;
	entry.endpoint = now;
	if (endpoint)
		r = put_owner(relay, site, &entry);
	if (r == 0)
		r = put(relay, MAP_SITES, &site, &entry);
	if (r < 0 || !before.family || memcmp(&before, &now, sizeof(now)) == 0)
		return r;
	return forget_endpoint(relay, site, &before);
}

int relay_site_remove(struct relay *relay, uint32_t site)
{
	struct relay_site entry = {0};
	struct relay_candidates list = {0};
	static const struct relay_site no_site;
	static const struct relay_path no_path;
	if (!site_valid(site))
		return -EINVAL;
	int r = get_site(relay, site, &entry);
	if (r == 0)
		r = put(relay, MAP_SITES, &site, &no_site);
	if (r == 0 && entry.endpoint.family)
		r = forget_endpoint(relay, site, &entry.endpoint);
	if (r < 0 && r != -ENOENT)
		return r;
	r = get(relay, MAP_CANDIDATES, &site, &list);
	for (uint32_t i = 0; r == 0 && i < list.count; i++)
		r = relay_pair_remove(relay, site, list.sites[i]);
	return r < 0 ? r : put(relay, MAP_PATHS, &site, &no_path);
}

static uint32_t list_find(const struct relay_candidates *list, uint32_t site)
{
	uint32_t i = 0;
	while (i < list->count && list->sites[i] != site)
		i++;
	return i;
}

static int candidate_add(struct relay *relay, uint32_t of, uint32_t site)
{
	struct relay_candidates list = {0};
	int r = get(relay, MAP_CANDIDATES, &of, &list);
	if (r < 0 || list_find(&list, site) < list.count)
		return r;
	if (list.count == RELAY_LIST_MAX)
		return -ENOSPC;
	list.sites[list.count++] = (uint16_t)site;
	return put(relay, MAP_CANDIDATES, &of, &list);
}

static int candidate_drop(struct relay *relay, uint32_t of, uint32_t site)
{
	struct relay_candidates list = {0};
	int r = get(relay, MAP_CANDIDATES, &of, &list);
	uint32_t at = r < 0 ? 0 : list_find(&list, site);
	if (r < 0 || at == list.count)
		return r;
	list.sites[at] = list.sites[--list.count];
	return put(relay, MAP_CANDIDATES, &of, &list);
}

/* One direction. A renewal keeps the traffic counted so far (but for what passes in that very moment). */
static int half_set(struct relay *relay, uint32_t from, uint32_t to, uint64_t expires_ns)
{
	struct relay_pair_key key = {.from = from, .to = to};
	struct relay_pair pair = {0};
	static const struct relay_handshakes none;
	int r = get(relay, MAP_PAIRS, &key, &pair);
	if (r < 0 && r != -ENOENT)
		return r;
	if (bpf_map_update_elem(relay->maps[MAP_HANDSHAKES], &key, &none, BPF_NOEXIST) < 0 &&
	    errno != EEXIST)
		return -errno;
	r = candidate_add(relay, from, to);
	if (r < 0)
		return r;
	pair.expires_ns = expires_ns;
	return put(relay, MAP_PAIRS, &key, &pair);
}

int relay_pair_set(struct relay *relay, uint32_t a, uint32_t b, struct mono expires)
{
	if (!site_valid(a) || !site_valid(b) || a == b)
		return -EINVAL;
	int r = half_set(relay, a, b, to_ns(expires));
	if (r == 0)
		r = half_set(relay, b, a, to_ns(expires));
	if (r < 0)
		relay_pair_remove(relay, a, b); /* half a pair is none */
	return r;
}

static int session_forget(struct relay *relay, uint32_t from, uint32_t index, uint32_t to)
{
	struct relay_session_key key = {.from = from, .index = index};
	struct relay_session session = {0};
	int r = get(relay, MAP_SESSIONS, &key, &session);
	if (r < 0 || session.to != to)
		return r == -ENOENT ? 0 : r;
	return forget(relay, MAP_SESSIONS, &key);
}

/* What the handshakes that one side began have left. */
static int sessions_forget(struct relay *relay, uint32_t initiator, uint32_t responder)
{
	struct relay_pair_key key = {.from = initiator, .to = responder};
	struct relay_handshakes left = {0};
	int r = get(relay, MAP_HANDSHAKES, &key, &left);
	for (size_t i = 0; r == 0 && i < RELAY_PENDING; i++)
		r = session_forget(relay, responder, left.pending[i], initiator);
	for (size_t i = 0; r == 0 && i < RELAY_SESSIONS; i++) {
		r = session_forget(relay, responder, left.sessions[i].initiator_index, initiator);
		if (r == 0)
			r = session_forget(relay, initiator, left.sessions[i].responder_index,
					   responder);
	}
	return r < 0 && r != -ENOENT ? r : forget(relay, MAP_HANDSHAKES, &key);
}

int relay_pair_remove(struct relay *relay, uint32_t a, uint32_t b)
{
	if (!site_valid(a) || !site_valid(b) || a == b)
		return -EINVAL;
	struct relay_pair_key there = {.from = a, .to = b}, back = {.from = b, .to = a};
	/* Every step is tried whatever became of the others: the first two are what cuts. */
	int results[] = {
		forget(relay, MAP_PAIRS, &there), forget(relay, MAP_PAIRS, &back),
		candidate_drop(relay, a, b),	  candidate_drop(relay, b, a),
		sessions_forget(relay, a, b),	  sessions_forget(relay, b, a),
	};
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		if (results[i] < 0)
			return results[i];
	return 0;
}

int relay_site_pairs(struct relay *relay, uint32_t site, uint16_t ret[RELAY_CANDIDATES_MAX],
		     size_t *ret_n)
{
	struct relay_candidates list = {0};
	if (!site_valid(site))
		return -EINVAL;
	int r = get(relay, MAP_CANDIDATES, &site, &list);
	if (r < 0)
		return r;
	if (list.count > RELAY_LIST_MAX)
		return -EBADMSG;
	memcpy(ret, list.sites, list.count * sizeof(*ret));
	*ret_n = list.count;
	return 0;
}

static int counters_sum(struct relay *relay, uint64_t ret[RELAY_COUNTERS])
{
	uint32_t zero = 0;
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 0)
		return cpus;
	_cleanup_(freep) struct relay_counts *counts = calloc((size_t)cpus, sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	int r = get(relay, MAP_COUNTERS, &zero, counts);
	if (r < 0)
		return r;
	memset(ret, 0, RELAY_COUNTERS * sizeof(*ret));
	for (int i = 0; i < cpus; i++)
		for (size_t j = 0; j < RELAY_COUNTERS; j++)
			ret[j] += counts[i].of[j];
	return 0;
}

int relay_counters(struct relay *relay, struct relay_counters *ret)
{
	struct relay_counters sums;
	uint64_t *const places[] = {
		[RELAY_FORWARDED_PACKETS] = &sums.forwarded_packets,
		[RELAY_FORWARDED_BYTES] = &sums.forwarded_bytes,
		[RELAY_INITIATIONS] = &sums.initiations,
		[RELAY_RESPONSES] = &sums.responses,
		[RELAY_UNKNOWN_ENDPOINT] = &sums.unknown_endpoint,
		[RELAY_UNKNOWN_INDEX] = &sums.unknown_index,
		[RELAY_PAIR_REFUSED] = &sums.pair_refused,
		[RELAY_BUDGET_REFUSED] = &sums.budget_refused,
		[RELAY_MALFORMED] = &sums.malformed,
		[RELAY_EXPIRED] = &sums.expired,
		[RELAY_RESPONSE_REFUSED] = &sums.response_refused,
		[RELAY_INDEX_TAKEN] = &sums.index_taken,
		[RELAY_FAMILY_REFUSED] = &sums.family_refused,
		[RELAY_UNREACHABLE] = &sums.unreachable,
		[RELAY_MAC1_TESTS] = &sums.mac1_tests,
		[RELAY_XDP_PACKETS] = &sums.xdp_packets,
	};
	_Static_assert(ARRAY_SIZE(places) == RELAY_COUNTERS, "one place a counter");
	uint64_t values[RELAY_COUNTERS];
	int r = counters_sum(relay, values);
	if (r < 0)
		return r;
	for (size_t i = 0; i < RELAY_COUNTERS; i++)
		*places[i] = values[i];
	*ret = sums;
	return 0;
}

int relay_pair_traffic(struct relay *relay, uint32_t from, uint32_t to, uint64_t *ret_packets,
		       uint64_t *ret_bytes)
{
	struct relay_pair_key key = {.from = from, .to = to};
	struct relay_pair pair = {0};
	int r = get(relay, MAP_PAIRS, &key, &pair);
	if (r < 0)
		return r;
	*ret_packets = pair.packets;
	*ret_bytes = pair.bytes;
	return 0;
}
