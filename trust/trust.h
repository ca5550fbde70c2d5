/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of struct trust, for verify.c (its state) and chain.c (what it says about identities). */
#pragma once
#include "trust/envelope.h"
#include "trust/tombstones.h"
#include "trust/verify.h"

struct trust {
	struct network_id network;
	struct key root_fingerprint;

	struct root_statement *root; /* owned, NULL before the first */
	struct envelope *root_envelope;

	struct policy_statement policy_statement;
	struct policy *policy; /* owned, NULL before the first */
	struct envelope *policy_envelope;

	struct tombstones tombstones;
};

/* Times come from other clocks, which may be ahead of ours by TRUST_CLOCK_SKEW_S. */
static inline bool trust_is_future(int64_t at, int64_t now)
{
	return at - TRUST_CLOCK_SKEW_S > now; /* at is 0..2^53, now may be anything */
}

/* -EKEYREJECTED with a sentence where there is no root yet or the statement is of another network. */
int trust_check_network(const struct trust *trust, const struct network_id *network,
			const char *object, struct err *err);
int trust_check_root(const struct trust *trust, struct err *err);
