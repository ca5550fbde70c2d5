/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sync answer's bytes, verified: the one way from bytes (boot cache or long poll) to identities that may become peers.
 *
 * view_accept() moves trust forward (root, tombstones, policy) and checks every identity against it and against what
 * was seen before. Peers that do not verify are left out and counted, since leaving out can only close; a root,
 * policy or tombstone that does not verify, or our own identity, refuses the whole answer. After a refusal trust may
 * already be ahead of what is on disk: the caller loads it anew.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "api/message.h"
#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/seen.h"
#include "trust/verify.h"

struct view {
	struct verified_identity self;
	struct verified_identity
		*peers; /* verified, not revoked, sorted by id; leases may have lapsed */
	size_t n_peers;
	size_t n_refused;
	struct err refusal; /* the first */
	uint64_t revision;
	char boot_id[33];
	bool self_has_ipv4;  /* the control plane keeps our IPv4 statement */
	bool self_revoked;   /* a tombstone names us: peers is empty */
	bool policy_expired; /* the policy it brought is over: the one before stays, if any */
	int64_t newest_signed_at;
	struct id renew[API_RENEW_MAX]; /* peers that ask for a new session; of news only */
	size_t n_renew;
	char *new_tombstones; /* lines of envelopes not seen before; may be NULL */
};

struct view_context {
	struct trust *trust;
	struct seen *seen;
	const struct id *self;
	const struct key *k4; /* our public key: an answer that says otherwise is refused */
	const char *
		own_ipv4; /* our signed statement, for answers that do not have it yet; may be NULL */
};

int view_accept(const struct view_context *context, const char *answer, size_t length, int64_t now,
		struct view **ret, bool *ret_seen_changed, struct err *err);
/* Takes out peers that have one WireGuard key in common: which of them is right cannot be told. Sorts by id. */
void view_drop_doubles(struct view *view);
/* Takes out whom trust knows as revoked; true where somebody was. */
bool view_drop_revoked(struct view *view, const struct trust *trust);
void view_free(struct view *view);
DEFINE_CLEANUP(view_free, struct view *);
