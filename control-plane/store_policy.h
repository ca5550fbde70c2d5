/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policy versions: the signed header, the exact leaf bytes, and the YAML that it was made from. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "control-plane/store.h"

struct policy_row {
	uint64_t version;
	char *envelope; /* owned */
	char **leaves;	/* owned */
	size_t n_leaves;
	char *yaml;  /* owned, may be NULL */
	char *actor; /* owned */
	int64_t accepted_at;
};

void policy_row_done(struct policy_row *row);

/* version must be exactly the next one, else -ESTALE. The envelope was verified by the caller. */
int store_policy_add(struct store *store, uint64_t version, const char *envelope,
		     const char *const *leaves, size_t n_leaves, const char *yaml,
		     const char *actor, int64_t now, uint64_t *ret_revision);
/* version 0: the newest. -ENOENT. */
int store_policy_get(struct store *store, uint64_t version, struct policy_row *ret);
/* Newest first; leaves, envelope and yaml are not read. */
int store_policy_list(struct store *store, size_t limit,
		      int (*on_policy)(const struct policy_row *row, void *data), void *data);
