/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens by itself: each second a look at the hub (its peers' endpoints, its interface), each minute everything
 * compared as a whole, and after every change the relay and the polls.
 *
 * Events wake us, looking decides: a missed netlink message costs a second, not the hub.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "common/log.h"
#include "control-plane/control.h"
#include "control-plane/endpoints.h"
#include "control-plane/server.h"
#include "control-plane/state_path.h"
#include "control-plane/store_token.h"
#include "control-plane/sync.h"

#define TICK_US		UINT64_C(1000000)
#define DOUBT_US	UINT64_C(250000) /* while some endpoint does not count yet */
#define FILTER_SECONDS	5		 /* the hub's filter, the relay's attachment */
#define SAVE_SECONDS	5
#define CALLS_MAX	50 /* handshakes that the hub begins in one look */
#define COMPARE_SECONDS 60

/* ---- the hub's peers ---- */

struct peers {
	struct hub_peer *items;
	size_t n, room;
	int64_t now;
};

static int add_peer(struct peers *peers, const struct hub_peer *peer)
{
	if (peers->n == peers->room) {
		size_t room = peers->room ? peers->room * 2 : 64;
		struct hub_peer *items = reallocarray(peers->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		peers->items = items;
		peers->room = room;
	}
	peers->items[peers->n++] = *peer;
	return 0;
}

/* A refusal must be a clear line and a second use an alarm, so the one-time key works for a day longer. */
static int add_onetime(const struct token_row *token, void *data)
{
	struct peers *peers = data;
	int64_t from = token->state == TOKEN_NEW ? token->not_after : token->changed_at;
	const struct hub_peer peer = {.public_key = token->onetime_key, .ipv6 = token->address};

	return from + TOKEN_ONETIME_SECONDS > peers->now ? add_peer(peers, &peer) : 0;
}

static int set_peers(struct control *control, struct err *err)
{
	struct peers peers = {.now = clock_wall()};
	int r = 0;

	for (size_t i = 0; i < control->inventory.n && r == 0; i++) {
		const struct member *member = control->inventory.members[i];
		const struct identity_row *row = &member->row;

		r = add_peer(&peers, &(struct hub_peer){.public_key = row->k4,
							.ipv6 = row->ipv6,
							.ipv4 = row->ipv4,
							.endpoint = member->watch.confirmed});
	}
	if (r == 0)
		r = store_token_list(control->store, add_onetime, &peers);
	if (r == 0)
		r = hub_set_peers(control->hub, peers.items, peers.n, err);
	free(peers.items);
	return r;
}

/* ---- the hub's interface ---- */

/* What the hub knew of sessions is gone: agents learn by the boot id that their peers must be told anew. */
static int new_boot_id(struct control *control)
{
	uint8_t bytes[16];

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2hex(control->boot_id, sizeof(control->boot_id), bytes, sizeof(bytes));
	control->boots++;
	control_news(control);
	return store_meta_set(control->store, "boot-id", control->boot_id);
}

static void forget_handshakes(struct control *control)
{
	for (size_t i = 0; i < control->inventory.n; i++)
		hub_watch_reset(&control->inventory.members[i]->watch);
}

static int load_boot_id(struct control *control)
{
	_cleanup_(freep) char *text = NULL;
	int r = store_meta_get(control->store, "boot-id", &text);

	if (r == -ENOENT)
		return new_boot_id(control);
	if (r == 0)
		snprintf(control->boot_id, sizeof(control->boot_id), "%s", text);
	return r;
}

int control_make_hub(struct control *control, struct err *err)
{
	bool created = false;
	int r = hub_ensure(control->hub, &created, err);

	if (r < 0)
		return r;
	if (created) {
		log_info("hub: interface %s made (%s)", hub_ifname(control->hub),
			 hub_backend_name(control->hub));
		forget_handshakes(control);
		r = new_boot_id(control);
	} else if (!control->boot_id[0]) {
		log_info("hub: interface %s adopted (%s)", hub_ifname(control->hub),
			 hub_backend_name(control->hub));
		r = load_boot_id(control);
	}
	if (r < 0)
		return err_code(err, r, "cannot store the hub's boot id: %s", strerror(-r));
	if (created || control->hub_dirty)
		r = set_peers(control, err);
	if (r == 0)
		control->hub_dirty = false;
	if (r == 0 && control->listening_index != hub_index(control->hub))
		r = server_open_tunnel(control, err);
	return r;
}

static void heal_hub(struct control *control)
{
	struct err err = {0};

	control->links_changed = false;
	if (control_make_hub(control, &err) < 0) {
		control->links_changed = true; /* again at the next tick */
		log_error("hub: %s", err.text);
	}
}

static void call(struct control *control, const struct member *member)
{
	const struct hub_peer peer = {.public_key = member->row.k4,
				      .ipv6 = member->row.ipv6,
				      .ipv4 = member->row.ipv4,
				      .endpoint = member->watch.confirmed};
	int r = hub_call_peer(control->hub, &peer);

	if (r < 0)
		log_warning("hub: cannot call %s: %s", member->row.name, strerror(-r));
	else
		log_debug("hub: %s is silent: calling it", member->row.name);
}

/* *ret_doubts: some endpoint may count soon. */
static void watch_hub(struct control *control, bool *ret_doubts)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	struct mono now = clock_mono();
	size_t calls = 0;
	int r = hub_read(control->hub, &device);

	if (r < 0) {
		log_warning("hub: cannot read %s: %s", hub_ifname(control->hub), strerror(-r));
		control->links_changed = true;
		return;
	}
	for (size_t i = 0; i < control->inventory.n; i++) {
		struct member *member = control->inventory.members[i];
		const struct wg_peer *peer = wg_find_peer(device, &member->row.k4);

		if (!peer)
			control->hub_dirty = true; /* somebody took it away */
		else if (hub_watch_look(&member->watch, peer, now))
			control->relay_dirty = control->endpoints_dirty = true;
		*ret_doubts |= hub_watch_doubts(&member->watch);
		if (peer && calls < CALLS_MAX && hub_watch_call(&member->watch, now)) {
			call(control, member);
			calls++;
		}
	}
}

static void save_endpoints(struct control *control, int64_t now)
{
	int r;

	if (!control->endpoints_dirty || (now >= control->endpoints_saved_at &&
					  now - control->endpoints_saved_at < SAVE_SECONDS))
		return;
	control->endpoints_saved_at = now;
	r = endpoints_save(control->options->state_dir, &control->inventory);
	if (r < 0)
		log_warning("cannot save the sites' endpoints: %s", strerror(-r));
	control->endpoints_dirty = r < 0;
}

/* Other software flushes rulesets; the hub must not stay open because nobody told us. */
static void check_filter(struct control *control, int64_t now)
{
	struct err err = {0};
	int r;

	if (now >= control->filter_checked_at && now - control->filter_checked_at < FILTER_SECONDS)
		return;
	control->filter_checked_at = now;
	r = hub_check_filter(control->hub, &err);
	if (r < 0)
		log_error("hub: %s", err.text);
	else if (r > 0)
		log_warning("hub: the filter had been changed by somebody else: loaded again");
}

/* ---- relay and news ---- */

static struct relay_pin find_pin(const struct control *control)
{
	char path[PATH_MAX];
	struct stat st;

	/* The loader pins this map last. */
	if (state_path(control->options->bpffs_dir, "layout", path) < 0 || stat(path, &st) < 0)
		return (struct relay_pin){0};
	return (struct relay_pin){.device = st.st_dev, .inode = st.st_ino};
}

static bool same_pin(struct relay_pin a, struct relay_pin b)
{
	return a.device == b.device && a.inode == b.inode;
}

/* Maps that another pin leads to know no session of those before, also if they were exchanged while nobody looked. */
static int note_maps(struct control *control)
{
	_cleanup_(freep) char *before = NULL;
	char text[64];
	int r = store_meta_get(control->store, "relay-maps", &before);

	snprintf(text, sizeof(text), "%" PRIu64 ":%" PRIu64, control->relay_pin.device,
		 control->relay_pin.inode);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && strcmp(before, text) == 0)
		return 0;
	r = store_meta_set(control->store, "relay-maps", text);
	return r < 0 ? r : new_boot_id(control);
}

static void lose_relay(struct control *control)
{
	log_warning("relay: the maps in %s are others than those in use: opening them anew",
		    control->options->bpffs_dir);
	relay_feed_close(control->relay);
	control->relay = NULL;
	control->relay_error = 0;
}

static void open_relay(struct control *control)
{
	struct relay_pin pin = find_pin(control);
	int r = relay_feed_open(control->options->bpffs_dir, hub_public_key(control->hub),
				control->hub_port, &control->relay);

	if (r == 0) {
		log_info("relay: maps in %s (%s)", control->options->bpffs_dir,
			 relay_feed_attachment(control->relay));
		control->relay_dirty = true;
		control->relay_pin = pin;
		if (note_maps(control) < 0)
			log_warning("relay: cannot store which maps those are; sites that are "
				    "connected may take 15 s to find each other again");
	} else if (r == -EPROTONOSUPPORT && r != control->relay_error) {
		log_warning("relay: the maps in %s are another version's: run sortie-relay-load "
			    "--unload, then load it again",
			    control->options->bpffs_dir);
	} else if (r == -ENOSYS && r != control->relay_error) {
		log_warning("relay: this kernel has no BPF: sites cannot reach each other; run the "
			    "hub on a kernel that has");
	} else if (r != control->relay_error) {
		log_warning("relay: nothing usable in %s: %s; sites cannot reach each other until "
			    "sortie-relay-load has run",
			    control->options->bpffs_dir, strerror(-r));
	}
	control->relay_error = r;
}

static void feed_relay(struct control *control)
{
	int r;

	if (!control->relay || !control->relay_dirty)
		return;
	r = relay_feed_sync(control->relay, &control->inventory, clock_wall());
	if (r < 0)
		log_warning("relay: cannot update its maps: %s; trying again", strerror(-r));
	control->relay_dirty = r < 0;
}

/* Paths open before the agents hear of it; closing has been done by then. */
static int on_news(sd_event_source *source, void *data)
{
	struct control *control = data;

	feed_relay(control);
	sync_flush(control);
	return 0;
}

void control_news(struct control *control)
{
	control->relay_dirty = true;
	sd_event_source_set_enabled(control->news, SD_EVENT_ONESHOT);
}

/* ---- the clock ---- */

static void end_rules(struct control *control, int64_t now)
{
	const struct policy *policy = trust_policy(control->trust);

	if (control->pairs_until == 0 || control->pairs_until > now)
		return;
	control->pairs_until = policy_next_expiry(policy, now);
	if (inventory_pair_all(&control->inventory, policy, now) < 0) {
		control_fatal(control, "cannot pair the identities anew");
		return;
	}
	inventory_touch_all(&control->inventory, control->inventory.revision);
	control_news(control);
}

/* Other software flushes filters, too, and interfaces come and go. */
static void check_relay(struct control *control, int64_t now)
{
	const char *stands;
	struct err err = {0};
	int r;

	if (!control->relay ||
	    (now >= control->relay_checked_at && now - control->relay_checked_at < FILTER_SECONDS))
		return;
	control->relay_checked_at = now;
	r = relay_feed_check(control->relay, &stands, &err);
	if (r < 0 && strcmp(err.text, control->relay_missing) != 0)
		log_warning("relay: %s: run sortie-relay-load again", err.text);
	(void)snprintf(control->relay_missing, sizeof(control->relay_missing), "%.159s", err.text);
}

void control_tend_relay(struct control *control)
{
	if (!control->options->bpffs_dir)
		return;
	if (control->relay && !same_pin(find_pin(control), control->relay_pin))
		lose_relay(control);
	if (!control->relay)
		open_relay(control);
	feed_relay(control);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *data)
{
	struct control *control = data;
	int64_t now = clock_wall();
	bool doubts = false;

	if (now - control->synced_at >= COMPARE_SECONDS || now < control->synced_at) {
		control->synced_at = now;
		control->hub_dirty = true;
		control->relay_dirty = true; /* leases that ended */
	}
	watch_hub(control, &doubts);
	sd_event_source_set_time_relative(source, doubts ? DOUBT_US : TICK_US);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (control->links_changed || control->hub_dirty)
		heal_hub(control);
	check_filter(control, now);
	end_rules(control, now);
	control_tend_relay(control);
	check_relay(control, now);
	save_endpoints(control, now);
	return 0;
}

int control_start_ticking(struct control *control)
{
	int r = sd_event_add_defer(control->event, &control->news, on_news, control);

	if (r >= 0)
		r = sd_event_add_time_relative(control->event, &control->tick, CLOCK_BOOTTIME, 0,
					       10000, on_tick, control);
	return r < 0 ? r : 0;
}
