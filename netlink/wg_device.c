/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * WireGuard devices as plain data: building, sorting, finding, the difference of two. Nothing here talks to anybody.
 *
 * wg_diff() emits removals first, then the device's own settings, then peers. Each WG_CHANGE_PEER_SET names a peer's
 * complete allowed IPs and no address stands at two desired peers, so an address that moves between peers ends at the
 * right one in whatever order the sets are applied.
 */
#include "netlink/wg_device.h"
#include <errno.h>
#include <string.h>
#include "netlink/grow.h"

int wg_device_add_peer(struct wg_device *device, const struct key *public_key, struct wg_peer **ret)
{
	void *peers = device->peers;
	int r;

	if (device->n_peers >= WG_PEERS_MAX)
		return -E2BIG;
	r = grow(&peers, device->n_peers, sizeof(*device->peers));
	if (r < 0)
		return r;
	device->peers = peers;
	*ret = &device->peers[device->n_peers++];
	**ret = (struct wg_peer){.public_key = *public_key};
	return 0;
}

int wg_peer_add_allowed(struct wg_peer *peer, const struct addr *addr, uint8_t length)
{
	struct prefix prefix = {.addr = *addr, .length = length};
	void *allowed = peer->allowed;
	int r;

	/* a prefix contains its own address only where no bit behind the length is set */
	if (length > addr_bits(addr) || !prefix_contains(&prefix, addr))
		return -EBADMSG;
	if (peer->n_allowed >= WG_ALLOWED_MAX)
		return -E2BIG;
	r = grow(&allowed, peer->n_allowed, sizeof(*peer->allowed));
	if (r < 0)
		return r;
	peer->allowed = allowed;
	peer->allowed[peer->n_allowed++] = prefix;
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct wg_peer *x = a, *y = b;
	return key_compare(&x->public_key, &y->public_key);
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

static void sort(void *array, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	if (n > 1)
		qsort(array, n, size, compare);
}

void wg_device_sort(struct wg_device *device)
{
	sort(device->peers, device->n_peers, sizeof(*device->peers), by_key);
	for (size_t i = 0; i < device->n_peers; i++)
		sort(device->peers[i].allowed, device->peers[i].n_allowed, sizeof(struct prefix),
		     by_prefix);
}

static bool sorted_and_unique(const struct wg_device *device)
{
	for (size_t i = 1; i < device->n_peers; i++)
		if (by_key(&device->peers[i - 1], &device->peers[i]) >= 0)
			return false;
	return true;
}

int wg_device_finish(struct wg_device *device)
{
	wg_device_sort(device);
	return sorted_and_unique(device) ? 0 : -EBADMSG;
}

const struct wg_peer *wg_find_peer(const struct wg_device *device, const struct key *public_key)
{
	const struct wg_peer wanted = {.public_key = *public_key};

	if (!device->n_peers)
		return NULL;
	return bsearch(&wanted, device->peers, device->n_peers, sizeof(wanted), by_key);
}

void wg_device_free(struct wg_device *device)
{
	if (!device)
		return;
	for (size_t i = 0; i < device->n_peers; i++)
		free(device->peers[i].allowed);
	free(device->peers);
	key_wipe(&device->private_key);
	free(device);
}

/* Writes a peer's allowed IPs, sorted, to a new array; NULL only when out of memory. */
static struct prefix *sorted_allowed(const struct wg_peer *peer)
{
	struct prefix *copy = reallocarray(NULL, peer->n_allowed + 1, sizeof(*copy));

	if (!copy)
		return NULL;
	if (peer->n_allowed)
		memcpy(copy, peer->allowed, peer->n_allowed * sizeof(*copy));
	sort(copy, peer->n_allowed, sizeof(*copy), by_prefix);
	return copy;
}

static int same_allowed(const struct wg_peer *a, const struct wg_peer *b, bool *ret)
{
	_cleanup_(freep) struct prefix *x = sorted_allowed(a);
	_cleanup_(freep) struct prefix *y = sorted_allowed(b);

	if (!x || !y)
		return -ENOMEM;
	*ret = a->n_allowed == b->n_allowed;
	for (size_t i = 0; *ret && i < a->n_allowed; i++)
		*ret = prefix_compare(&x[i], &y[i]) == 0;
	return 0;
}

/* The kernel would hand a twice named address silently to whoever comes last. */
static int check_allowed_unique(const struct wg_device *device)
{
	_cleanup_(freep) struct prefix *all = NULL;
	size_t n = 0;

	for (size_t i = 0; i < device->n_peers; i++)
		n += device->peers[i].n_allowed;
	all = reallocarray(NULL, n + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < device->n_peers; i++)
		for (size_t j = 0; j < device->peers[i].n_allowed; j++)
			all[n++] = device->peers[i].allowed[j];
	sort(all, n, sizeof(*all), by_prefix);
	for (size_t i = 1; i < n; i++)
		if (prefix_compare(&all[i - 1], &all[i]) == 0)
			return -EADDRINUSE;
	return 0;
}

/* Both backends clamp a private key when they take it. No key stays no key. */
static bool same_private_key(const struct key *a, const struct key *b)
{
	_cleanup_(key_wipe) struct key x = *a, y = *b;

	if (key_is_zero(a) || key_is_zero(b))
		return key_equal(a, b);
	x.bytes[0] &= 248;
	y.bytes[0] &= 248;
	x.bytes[31] = (uint8_t)((x.bytes[31] & 127) | 64);
	y.bytes[31] = (uint8_t)((y.bytes[31] & 127) | 64);
	return key_equal(&x, &y);
}

/* One block: the changes, and behind them copies of peers that must not carry their endpoint. */
struct diff {
	struct wg_change *changes;
	size_t n;
	struct wg_peer *copies;
	size_t n_copies;
	bool want_endpoint;
};

static int diff_init(struct diff *diff, size_t max)
{
	_Static_assert(sizeof(struct wg_change) % _Alignof(struct wg_peer) == 0,
		       "peers stand behind changes");

	diff->changes = calloc(max, sizeof(*diff->changes) + sizeof(*diff->copies));
	if (!diff->changes)
		return -ENOMEM;
	diff->copies = (struct wg_peer *)(void *)(diff->changes + max);
	return 0;
}

static void diff_add(struct diff *diff, enum wg_change_kind kind, const struct wg_device *device,
		     const struct wg_peer *peer)
{
	diff->changes[diff->n++] = (struct wg_change){.kind = kind, .device = device, .peer = peer};
}

static bool endpoint_wanted(const struct diff *diff, const struct wg_peer *want,
			    const struct wg_peer *have)
{
	if (!addr_is_set(&want->endpoint.addr))
		return false;
	return diff->want_endpoint || !addr_is_set(&have->endpoint.addr);
}

static int diff_peer(struct diff *diff, const struct wg_peer *want, const struct wg_peer *have)
{
	bool endpoint, same;
	int r;

	if (!have) {
		diff_add(diff, WG_CHANGE_PEER_SET, NULL, want);
		return 0;
	}
	r = same_allowed(want, have, &same);
	if (r < 0)
		return r;
	endpoint = endpoint_wanted(diff, want, have);
	if (same && want->keepalive == have->keepalive &&
	    (!endpoint || endpoint_equal(&want->endpoint, &have->endpoint)))
		return 0;
	if (!endpoint && addr_is_set(&want->endpoint.addr)) {
		struct wg_peer *copy = &diff->copies[diff->n_copies++];
		*copy = *want;
		copy->endpoint = (struct endpoint){0};
		want = copy;
	}
	diff_add(diff, WG_CHANGE_PEER_SET, NULL, want);
	return 0;
}

static int diff_fill(struct diff *diff, const struct wg_device *desired,
		     const struct wg_device *actual)
{
	int r = 0;

	for (size_t i = 0; i < actual->n_peers; i++)
		if (!wg_find_peer(desired, &actual->peers[i].public_key))
			diff_add(diff, WG_CHANGE_PEER_REMOVE, NULL, &actual->peers[i]);
	if (!same_private_key(&desired->private_key, &actual->private_key) ||
	    (desired->listen_port && desired->listen_port != actual->listen_port))
		diff_add(diff, WG_CHANGE_DEVICE, desired, NULL);
	for (size_t i = 0; i < desired->n_peers && r == 0; i++)
		r = diff_peer(diff, &desired->peers[i],
			      wg_find_peer(actual, &desired->peers[i].public_key));
	return r;
}

int wg_diff(const struct wg_device *desired, const struct wg_device *actual, bool want_endpoint,
	    struct wg_change **ret, size_t *ret_n)
{
	struct diff diff = {.want_endpoint = want_endpoint};
	int r;

	if (!sorted_and_unique(desired) || !sorted_and_unique(actual))
		return -EINVAL;
	r = check_allowed_unique(desired);
	if (r < 0)
		return r;
	r = diff_init(&diff, desired->n_peers + actual->n_peers + 1);
	if (r < 0)
		return r;
	r = diff_fill(&diff, desired, actual);
	if (r < 0) {
		free(diff.changes);
		return r;
	}
	*ret = diff.changes;
	*ret_n = diff.n;
	return 0;
}
