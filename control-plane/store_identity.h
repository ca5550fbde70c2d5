/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identities, their statements, leases and tombstones.
 *
 * An identity is living, suspended or dead; dead is for ever: its id, name, addresses and site number stay in the
 * table (the site number is freed), so that no address is ever given twice. Living names are unique.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/identity.h"
#include "common/key.h"
#include "control-plane/store.h"

enum identity_state { IDENTITY_LIVING, IDENTITY_SUSPENDED, IDENTITY_DEAD };

struct identity_row {
	struct id id;
	struct key k3, join_key;
	char name[NAME_MAX_TEXT];
	struct labels labels;
	struct addr ipv6, ipv4; /* ipv4: proposed at enrolment; unset if the network has none */
	uint32_t site;		/* for the relay; 0: dead */
	enum identity_state state;
	struct key k4;
	uint64_t generation;
	/* envelopes, owned; ipv4_statement and lease may be NULL */
	char *token, *identity, *key, *ipv4_statement, *lease;
	int64_t lease_not_after; /* 0: none */
	int64_t created_at;
	uint64_t revision; /* of its last change */
};

void identity_row_done(struct identity_row *row);
const char *identity_state_name(enum identity_state state);

/* All that are not dead (or, with dead, all), by name. The row is borrowed during the call. */
int store_identity_list(struct store *store, bool dead,
			int (*on_identity)(const struct identity_row *row, void *data), void *data);
int store_identity_get(struct store *store, const struct id *id, struct identity_row *ret);

/* The K3's own statements, verified by the caller. *ret_revision is the one that the change got. */
int store_identity_set_ipv4(struct store *store, const struct id *id, const char *envelope,
			    int64_t now, uint64_t *ret_revision);
/* -ESTALE unless generation is greater than the stored one; -EEXIST where another identity has that key. */
int store_identity_set_key(struct store *store, const struct id *id, const struct key *k4,
			   uint64_t generation, const char *envelope, int64_t now,
			   uint64_t *ret_revision);
/* -EKEYREVOKED for the dead, -EACCES for the suspended. */
int store_identity_set_lease(struct store *store, const struct id *id, const char *envelope,
			     int64_t not_after, int64_t now, uint64_t *ret_revision);
/* One transaction: tombstone, identity dead, site freed, audit. -EALREADY where it is dead, -ENOENT. */
int store_identity_revoke(struct store *store, const struct id *id, const char *tombstone,
			  const char *reason, const char *actor, int64_t now,
			  uint64_t *ret_revision);
/* Suspend: the lease is withdrawn and none is made until resume. -EALREADY, -ENOENT. */
int store_identity_suspend(struct store *store, const struct id *id, bool suspend,
			   const char *actor, int64_t now, uint64_t *ret_revision);

int store_tombstone_list(struct store *store, int (*on_tombstone)(const char *envelope, void *data),
			 void *data);
