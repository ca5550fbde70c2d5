/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verified state from what is stored: the control plane believes its own database no more than an agent would.
 */
#pragma once
#include "control-plane/store_policy.h"
#include "trust/verify.h"

/*
 * Root, then tombstones, then the policy (version 0: none). An expired policy is left out: the result then has no
 * policy, which denies. Anything that does not verify is an error.
 */
int trust_load(struct store *store, const char *root, const struct policy_row *policy, int64_t now,
	       struct trust **ret, struct err *err);
