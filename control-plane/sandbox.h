/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a serving control plane gives away, so that the unit file's restrictions also hold without systemd. Before the first
 * socket takes a call, and for ever: wireguard-go, where it has to be started anew, inherits it.
 */
#pragma once
#include "common/err.h"

/*
 * CAP_NET_ADMIN, where there is one, and no other capability; calls that neither the control plane nor wireguard-go has any
 * use for (debugging others, mounts, namespaces, modules, keys, io_uring) answer EPERM. The relay's maps are written through
 * pins that belong to this user, which takes no capability. Returns 0 or a negative errno with a sentence in err.
 */
int sandbox_enter(struct err *err);
