/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the control plane remembers, in one SQLite file (WAL, synchronous=FULL). SQL is spoken in store*.c only.
 *
 * A struct store belongs to one thread. Functions return 0 or a negative errno: -ENOSPC (disk full), -EIO, -EBUSY,
 * -EEXIST (a unique thing twice), -EBADMSG (damaged). Every change runs in one transaction with its audit row and
 * raises the revision; functions that change something open that transaction themselves.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"

#define STORE_FILE "control.db"

struct store;

/* Makes a new database with all tables. -EEXIST where the file stands. */
int store_create(const char *path, struct err *err);
/*
 * Opens a database, checks it (quick_check) and brings its tables up to date. -ENOENT, -EBADMSG (damaged),
 * -EPROTO (written by a newer version).
 */
int store_open(const char *path, struct store **ret, struct err *err);
void store_close(struct store *store);
DEFINE_CLEANUP(store_close, struct store *);

/* A disk that could not sync a commit: what was committed is unknown, so the program must end and look again. */
bool store_failed(const struct store *store);
/* SQLite's words about the last failure; borrowed. */
const char *store_error(const struct store *store);

/* Small facts: the network id, the root envelope. *ret is malloc()ed. -ENOENT. */
int store_meta_get(struct store *store, const char *key, char **ret);
int store_meta_set(struct store *store, const char *key, const char *value);

/* Raised by every change that an agent's view may depend on; never goes down. */
int store_revision(struct store *store, uint64_t *ret);
