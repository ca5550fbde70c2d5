/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For store*.c only: queries and transactions.
 *
 *	_cleanup_(query_done) struct query q = query(store, "SELECT ... WHERE id = ?");
 *	query_bind_blob(&q, id->bytes, 32);
 *	while ((r = query_step(&q)) > 0) ...
 *
 * Binding errors are kept and returned by query_step(), so that a sequence of binds needs no checks.
 */
#pragma once
#include <sqlite3.h>
#include "common/addr.h"
#include "common/identity.h"
#include "common/key.h"
#include "control-plane/store.h"

#define STORE_STATEMENTS_MAX 64

struct store {
	sqlite3 *db;
	bool failed;
	/* prepared statements, found by the address of their text: each query is one literal */
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} cache[STORE_STATEMENTS_MAX];
	size_t n_cache;
};

struct query {
	struct store *store;
	sqlite3_stmt *statement;
	int error; /* SQLite's code */
	int bound;
};

struct query query(struct store *store, const char *sql);
void query_done(struct query *q);
void query_bind_blob(struct query *q, const void *bytes, size_t length);
void query_bind_text(struct query *q, const char *text); /* NULL is NULL */
void query_bind_int(struct query *q, int64_t value);
void query_bind_addr(struct query *q, const struct addr *addr); /* unset is NULL */
/* 1: a row, 0: no more, negative errno. */
int query_step(struct query *q);
/* For changes: steps to the end; 0 or a negative errno. */
int query_run(struct query *q);

int64_t query_int(const struct query *q, int column);
const char *query_text(const struct query *q, int column); /* borrowed; "" for NULL */
/* malloc()ed; NULL for NULL and when out of memory. */
char *query_text_copy(const struct query *q, int column);
/* -EBADMSG where the stored length differs. */
int query_blob(const struct query *q, int column, void *ret, size_t length);
int query_addr(const struct query *q, int column, struct addr *ret);

/* BEGIN IMMEDIATE: readers go on, a second writer waits (bounded by the busy timeout). */
int store_begin(struct store *store);
/* Commits if result is 0 or more, else rolls back; returns result or why the commit failed. */
int store_end(struct store *store, int result);
/* Rows changed by the last statement. */
int store_changes(const struct store *store);
/*
 * The hub has one peer a key, tokens and identities together: -EEXIST where one of these has this key. Inside a
 * transaction.
 */
#define STORE_ONETIME_KEYS  "SELECT 1 FROM tokens WHERE onetime_key = ?"
#define STORE_IDENTITY_KEYS "SELECT 1 FROM identities WHERE k4 = ?"
int store_refuse_key(struct store *store, const char *keys, const struct key *key);
/* Inside a transaction. */
int store_raise_revision(struct store *store, uint64_t *ret);
/* Maps SQLite's code to a negative errno and remembers a failed sync. */
int store_errno(struct store *store, int code);
