/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POST /v1/enroll: a join token becomes an identity.
 *
 * Who calls is the tunnel's source address, which WireGuard binds to the token's one-time key; the body says nothing
 * about that. Order: token by address, signatures, one guarded write. The control plane admits nobody by itself: it
 * stores statements that the token's signer, the join key and the new K3 made.
 */
#pragma once
#include "common/addr.h"
#include "control-plane/reply.h"
#include "control-plane/store.h"
#include "trust/verify.h"

struct enroll {
	struct store *store;
	const struct trust *trust;
	const char *root; /* envelope */
};

/*
 * Fills reply in any case. Returns 1 with the new identity's id if one was made, 0 if not (also where the answer was
 * a repeated one), or a negative errno that the reply already reports.
 */
int enroll_handle(const struct enroll *enroll, const struct addr *from, const char *body,
		  size_t length, int64_t now, struct reply *reply, struct id *ret_id);
