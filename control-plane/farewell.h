/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A revoked identity that is connected hears that it was: its poll is answered with its own tombstone, which its agent
 * verifies like any other. For that to leave, the hub's WireGuard peer stays for a moment longer: everything else is
 * shut by then, the relay for its peers and the API for its calls.
 *
 * Best effort: who is away, or does not read, finds a silent hub.
 */
#pragma once
#include <stdbool.h>
#include "control-plane/control.h"

struct farewell;

/* True: the hub's peer is taken away in a moment, and admin_on_cut() says when. False: nothing was done. */
bool farewell_begin(struct control *control, struct member *member, const char *tombstone);
/* The program ends, and goes without the moment. */
void farewell_forget_all(struct control *control);
