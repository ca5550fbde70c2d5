/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Join tokens as the control plane knows them: the signed statement, never the seed.
 *
 * A token is found by the address that its one-time WireGuard key has in the tunnel: the caller's identity at
 * enrolment comes from the tunnel, not from what he says. States: new, used (for ever), revoked (for ever).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/identity.h"
#include "common/key.h"
#include "control-plane/audit.h"
#include "control-plane/store.h"

#define TOKEN_ONETIME_SECONDS                                                                      \
	86400 /* how long a one-time peer stays after use, expiry or revocation */

enum token_state { TOKEN_NEW, TOKEN_USED, TOKEN_REVOKED };

struct token_row {
	struct key join_key, onetime_key;
	struct addr address; /* prefix:ffff::x */
	char name[NAME_MAX_TEXT];
	struct labels labels;
	int64_t not_after, created_at, changed_at; /* changed_at: creation, use or revocation */
	enum token_state state;
	struct id used_by; /* TOKEN_USED */
	char *statement;   /* envelope, owned */
};

void token_row_done(struct token_row *token);
const char *token_state_name(enum token_state state);

/* All or none. -EEXIST where a join key or a one-time key is known already, be it as an identity's key. */
int store_token_add(struct store *store, const struct token_row *tokens, size_t n,
		    const char *actor);
int store_token_by_address(struct store *store, const struct addr *address, struct token_row *ret);
int store_token_by_join_key(struct store *store, const struct key *join_key, struct token_row *ret);
/* All tokens, newest first. The row is borrowed during the call. */
int store_token_list(struct store *store,
		     int (*on_token)(const struct token_row *token, void *data), void *data);
/* Only a new token can be revoked. -ENOENT, -EALREADY (used or revoked). */
int store_token_revoke(struct store *store, const struct key *join_key, const char *actor,
		       int64_t now);
