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

bool hub_watch_look(struct hub_watch *watch, const struct wg_peer *peer)
{
	bool changed = is_real(watch, peer) && !endpoint_equal(&peer->endpoint, &watch->confirmed);

	if (changed)
		watch->confirmed = peer->endpoint;
	watch->seen = peer->endpoint;
	watch->handshake_at = peer->last_handshake_at;
	watch->rx_bytes = peer->rx_bytes;
	return changed;
}

void hub_watch_reset(struct hub_watch *watch)
{
	watch->seen = (struct endpoint){0};
	watch->handshake_at = 0;
	watch->rx_bytes = 0;
}
