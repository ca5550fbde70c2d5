/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header: the rule is all there is. */
#include "control-plane/hub_watch.h"

static bool is_real(const struct hub_watch *watch, const struct wg_peer *peer)
{
	if (!addr_is_set(&peer->endpoint.addr) || peer->last_handshake_at == 0)
		return false;
	if (peer->last_handshake_at > watch->handshake_at)
		return true;
	return endpoint_equal(&peer->endpoint, &watch->seen) && peer->rx_bytes > watch->rx_bytes;
}

#define CALLED_NOW (-1)

/*
 * The first handshake after a call, at the endpoint that was called, is the hub's own: the next one counts. From elsewhere it
 * is the site's, which came back in another place.
 */
static void note_session(struct hub_watch *watch, const struct wg_peer *peer)
{
	int64_t at = peer->last_handshake_at;

	if (watch->called == CALLED_NOW && at && at != watch->handshake_at)
		watch->called = endpoint_equal(&peer->endpoint, &watch->confirmed) ? at : 0;
	else if (watch->called > 0 && at > watch->called)
		watch->called = 0;
}

bool hub_watch_look(struct hub_watch *watch, const struct wg_peer *peer, struct mono now)
{
	const struct hub_watch before = *watch;
	bool real = is_real(watch, peer);

	note_session(watch, peer);
	if (real || watch->heard.us == 0)
		watch->heard = now;
	if (real) {
		watch->fresh = false;
		watch->calls = 0;
	}
	watch->silent = mono_diff_ms(now, watch->heard) > HUB_WATCH_SILENT_SECONDS * 1000;
	if (watch->silent)
		watch->confirmed = (struct endpoint){0};
	else if (real && watch->called == 0)
		watch->confirmed = peer->endpoint;
	watch->seen = peer->endpoint;
	watch->handshake_at = peer->last_handshake_at;
	watch->rx_bytes = peer->rx_bytes;
	return watch->silent != before.silent ||
	       !endpoint_equal(&watch->confirmed, &before.confirmed);
}

void hub_watch_reset(struct hub_watch *watch)
{
	watch->seen = (struct endpoint){0};
	watch->handshake_at = 0;
	watch->rx_bytes = 0;
	watch->heard = (struct mono){0};
	watch->fresh = true;
	watch->called = 0;
	watch->calls = 0;
}

bool hub_watch_call(struct hub_watch *watch, struct mono now)
{
	int64_t seconds = watch->fresh ? HUB_WATCH_CALL_NEW_SECONDS : HUB_WATCH_CALL_SECONDS;

	/* Silence takes confirmed away, so there are few calls. */
	if (!addr_is_set(&watch->confirmed.addr) || watch->heard.us == 0 ||
	    mono_diff_ms(now, watch->heard) < (seconds << watch->calls) * 1000)
		return false;
	watch->calls++;
	watch->called = CALLED_NOW;
	return true;
}

bool hub_watch_doubts(const struct hub_watch *watch)
{
	return watch->called == 0 && watch->handshake_at != 0 && addr_is_set(&watch->seen.addr) &&
	       !watch->silent && !endpoint_equal(&watch->seen, &watch->confirmed);
}
