/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The redemption of a token: one guarded write.
 *
 * Others checked first and marked later, and handed out a one-time token seven times under load. Here the row count
 * of `UPDATE ... WHERE state = 'new' AND not_after > now` decides, in one transaction with identity and audit.
 */
#pragma once
#include <stdint.h>
#include "control-plane/store_identity.h"

enum redeem_result {
	REDEEM_DONE,	 /* a new identity */
	REDEEM_REPEATED, /* this K3 used this token before: the stored answer, byte for byte */
	REDEEM_USED,	 /* another K3 did: refused and recorded */
	REDEEM_EXPIRED,
	REDEEM_REVOKED,	   /* the token */
	REDEEM_DEAD,	   /* the identity that used it was revoked */
	REDEEM_NAME_TAKEN, /* a living identity has the name; the token stays new */
	REDEEM_KEY_TAKEN,  /* another identity has this K3 or K4; the token stays new */
	REDEEM_FULL,	   /* no site number is left; the token stays new */
};

struct redemption {
	const struct identity_row *identity; /* all but ipv4, site, revision and lease */
	struct prefix overlay4;		     /* AF_UNSPEC: no IPv4 */
	const char *actor;
	int64_t now;
	/* Makes the answer's text, malloc()ed, from the IPv4 address that the identity got (or unset). */
	char *(*answer)(const struct addr *ipv4, void *data);
	void *data;
};

/* *ret_answer (malloc()ed) is set for REDEEM_DONE and REDEEM_REPEATED. -ENOENT: no such token. */
int store_redeem(struct store *store, const struct redemption *redemption,
		 enum redeem_result *ret_result, char **ret_answer);
