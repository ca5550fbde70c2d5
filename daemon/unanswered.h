/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers that do not answer: something is sent to them all the time and nothing comes back. Pure.
 *
 * It is what a host sees whose clock was ahead and was set back: its peers remember the newest handshake and refuse every
 * older one, for as long as the clock was ahead. Wall time is of no use here; bytes are counted by looks at the device.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/clock.h"
#include "common/identity.h"
#include "daemon/view.h"
#include "netlink/wireguard.h"

#define UNANSWERED_SECONDS                                                                         \
	30 /* silence before anybody is asked, and between two times for the same peer */
#define RENEW_SECONDS 20 /* between two renewals of the same peer that others ask for */

struct unanswered; /* what the last look saw of each peer */

int unanswered_new(struct unanswered **ret);
void unanswered_free(struct unanswered *unanswered);
DEFINE_CLEANUP(unanswered_free, struct unanswered *);

/* A look. Peers of the view that the device does not have are forgotten. -ENOMEM: the look did not happen. */
int unanswered_look(struct unanswered *unanswered, const struct view *view,
		    const struct wg_device *device, struct mono now);
/* Who is silent and was not taken in the last while; each counts as taken now. At most max. */
size_t unanswered_take(struct unanswered *unanswered, struct mono now, struct id *ret, size_t max);
/* Somebody wants a new session with this peer: may we? At most one in RENEW_SECONDS; true counts. */
bool unanswered_may_renew(struct unanswered *unanswered, const struct id *id, struct mono now);
