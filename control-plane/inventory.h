/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The identities that are not dead, in memory, with what only matters while the program runs: who is paired with whom,
 * which revision each agent has seen, whether it waits for news.
 *
 * The store is the truth: after every committed change inventory_put() reads the row again. A member stays where it
 * is until inventory_remove(); pointers to it are borrowed. Pairs are symmetric: b in a's peers means a in b's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "api/http.h"
#include "api/message.h"
#include "common/clock.h"
#include "control-plane/hub_watch.h"
#include "control-plane/limit.h"
#include "control-plane/nonce.h"
#include "control-plane/store_identity.h"
#include "policy/policy.h"

#define MEMBERS_MAX 4096 /* site numbers: RELAY_SITES_MAX */

struct member {
	struct identity_row row;
	struct policy_member policy; /* id, name, labels as policy/ wants them */
	struct member **peers;	     /* owned array */
	size_t n_peers;

	uint64_t view;	  /* revision at which what this agent may see last changed */
	uint64_t applied; /* the last revision that its kernel holds, as it says */
	int64_t seen_at;  /* wall time of its last call, 0: none since we started */
	struct mono seen;

	struct http_request *poll; /* a kept long poll, or NULL */
	uint64_t poll_revision;	   /* what that poll has seen */
	unsigned int poll_boots;   /* control->boots when it was kept */
	sd_event_source *deadline; /* of the poll */

	struct id renew[API_RENEW_MAX]; /* peers that ask for a new session; for the next answer */
	size_t n_renew;
	struct mono asked_renew; /* when it last asked others */

	struct nonces nonces;
	struct debt views, keys; /* what it had of both by asking */
	struct hub_watch watch;	 /* its endpoint on the underlay */
};

struct inventory {
	struct member **members; /* owned, sorted by name */
	size_t n;
	uint64_t revision;
	size_t n_revoked;
};

int inventory_load(struct inventory *inventory, struct store *store);
void inventory_done(struct inventory *inventory);

struct member *inventory_find(const struct inventory *inventory, const struct id *id);
/* By either of its overlay addresses. */
struct member *inventory_by_address(const struct inventory *inventory, const struct addr *addr);
/* A name or an id in hex. */
struct member *inventory_by_text(const struct inventory *inventory, const char *text);

/* Reads the row again, or takes in a new member, which has no peers yet. */
int inventory_put(struct inventory *inventory, struct store *store, const struct id *id,
		  struct member **ret);
/* Unlinks it from its peers, then frees it. A kept poll must have been answered before. */
void inventory_remove(struct inventory *inventory, struct member *member);

/* inventory_pair.c: who policy (NULL: nobody) pairs with whom. */
int inventory_pair_all(struct inventory *inventory, const struct policy *policy, int64_t now);
int inventory_pair_one(struct inventory *inventory, struct member *member,
		       const struct policy *policy, int64_t now);
void inventory_unlink(struct member *member); /* from its peers, and they from it */
bool member_paired(const struct member *a, const struct member *b);

/* What member and its peers see has changed; everybody's has. */
void inventory_touch(struct inventory *inventory, struct member *member, uint64_t revision);
void inventory_touch_all(struct inventory *inventory, uint64_t revision);

/* When a rule expires next, 0: never; pairs must be made anew then. */
int64_t policy_next_expiry(const struct policy *policy, int64_t now);
