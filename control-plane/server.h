/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listeners: enrolment and API on the tunnel device only, the admin socket on this host.
 *
 * To the underlay there is nothing. SO_BINDTODEVICE keeps other interfaces out but not local processes, so peers
 * that have one of the hub's own addresses are refused; and a bound listener is dead after its interface was made
 * anew, so the tunnel's listeners are opened again then.
 */
#pragma once
#include "control-plane/control.h"

int server_open_admin(struct control *control, struct err *err);
/* Closes what was open on the tunnel (kept polls are answered first) and listens on the interface that is there now. */
int server_open_tunnel(struct control *control, struct err *err);
void server_close(struct control *control);
