/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit rows. A row is written in the transaction of its effect; see audit.h for the chain. */
#pragma once
#include "control-plane/audit.h"
#include "control-plane/store.h"

/* Inside a transaction of another store_*.c; seq is filled in here. Texts are cleaned. */
int store_audit_add(struct store *store, const struct audit_entry *entry);
/* What has no other effect, a refusal or a start: a transaction of its own. */
int store_audit_event(struct store *store, const struct audit_entry *entry);

/* Calls on_entry for entries with seq > after, oldest first, at most limit. */
int store_audit_list(struct store *store, int64_t after, size_t limit,
		     int (*on_entry)(const struct audit_entry *entry, const uint8_t hash[32],
				     void *data),
		     void *data);
/* The last entry's number and hash; 0 and zeros when empty. */
int store_audit_head(struct store *store, int64_t *ret_seq, uint8_t ret_hash[32]);
/* Recomputes the chain: 0, or -EBADMSG with the first entry that does not fit in *ret_seq. */
int store_audit_verify(struct store *store, int64_t *ret_seq);
