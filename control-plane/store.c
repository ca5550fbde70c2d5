/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening, checking and migrating the database; transactions and queries for the other store_*.c files.
 *
 * WAL with synchronous=FULL: a commit is on disk before anybody hears of it. NORMAL would be 30 times as fast and
 * may forget a used token or a revocation at a power cut. Readers never wait for writers.
 */
#include "control-plane/store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_BUSY_MS 10000

/* One row a version, in order; never edited after a release. */
static const char *const migrations[] = {
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('revision', '1'), ('ipv4-next', '2');"
	"CREATE TABLE tokens ("
	" join_key BLOB PRIMARY KEY CHECK (length(join_key) = 32),"
	" onetime_key BLOB NOT NULL UNIQUE CHECK (length(onetime_key) = 32),"
	" address BLOB NOT NULL UNIQUE,"
	" name TEXT NOT NULL,"
	" labels TEXT NOT NULL,"
	" not_after INTEGER NOT NULL,"
	" state TEXT NOT NULL CHECK (state IN ('new', 'used', 'revoked')),"
	" created_at INTEGER NOT NULL,"
	" changed_at INTEGER NOT NULL,"
	" used_by BLOB CHECK ((used_by IS NOT NULL) = (state = 'used')),"
	" statement TEXT NOT NULL) STRICT;"
	"CREATE TABLE identities ("
	" id BLOB PRIMARY KEY CHECK (length(id) = 32),"
	" k3 BLOB NOT NULL UNIQUE,"
	" join_key BLOB NOT NULL UNIQUE REFERENCES tokens (join_key),"
	" name TEXT NOT NULL,"
	" labels TEXT NOT NULL,"
	" ipv6 BLOB NOT NULL UNIQUE,"
	" ipv4 BLOB UNIQUE,"
	" site INTEGER UNIQUE,"
	" state TEXT NOT NULL CHECK (state IN ('living', 'suspended', 'dead')),"
	" k4 BLOB NOT NULL,"
	" generation INTEGER NOT NULL,"
	" identity_statement TEXT NOT NULL,"
	" key_statement TEXT NOT NULL,"
	" ipv4_statement TEXT,"
	" lease TEXT,"
	" lease_not_after INTEGER NOT NULL DEFAULT 0,"
	" answer TEXT NOT NULL,"
	" created_at INTEGER NOT NULL,"
	" revision INTEGER NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX identities_name ON identities (name) WHERE state <> 'dead';"
	"CREATE UNIQUE INDEX identities_k4 ON identities (k4);"
	"CREATE TABLE tombstones ("
	" identity BLOB PRIMARY KEY,"
	" envelope TEXT NOT NULL,"
	" at INTEGER NOT NULL,"
	" revision INTEGER NOT NULL) STRICT;"
	"CREATE TABLE policies ("
	" version INTEGER PRIMARY KEY,"
	" envelope TEXT NOT NULL,"
	" leaves TEXT NOT NULL,"
	" yaml TEXT,"
	" accepted_at INTEGER NOT NULL,"
	" actor TEXT NOT NULL) STRICT;"
	"CREATE TABLE audit ("
	" seq INTEGER PRIMARY KEY,"
	" at INTEGER NOT NULL,"
	" actor TEXT NOT NULL,"
	" action TEXT NOT NULL,"
	" object TEXT NOT NULL,"
	" detail TEXT NOT NULL,"
	" hash BLOB NOT NULL CHECK (length(hash) = 32)) STRICT;"
	/* a slip of our own must not rewrite history; who holds the file still can, which is what the hashes are for */
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;"
	"CREATE TRIGGER tombstones_for_ever BEFORE DELETE ON tombstones "
	"BEGIN SELECT RAISE(ABORT, 'tombstones are for ever'); END;",
};

int store_errno(struct store *store, int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	default:
		/* After a failed fsync the kernel may have dropped the dirty pages: nothing can be trusted. */
		if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
			store->failed = true;
		return -EIO;
	}
}

static int run_script(struct store *store, const char *sql)
{
	return store_errno(store, sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}

/* ---- queries ---- */

struct query query(struct store *store, const char *sql)
{
	struct query q = {.store = store};

	for (size_t i = 0; i < store->n_cache; i++)
		if (store->cache[i].sql == sql)
			q.statement = store->cache[i].statement;
	if (q.statement)
		return q;
	q.error = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q.statement,
				     NULL);
	if (q.error != SQLITE_OK)
		return q;
	if (store->n_cache == STORE_STATEMENTS_MAX) {
		sqlite3_finalize(store->cache[0].statement);
		store->cache[0] = store->cache[--store->n_cache];
	}
	store->cache[store->n_cache].sql = sql;
	store->cache[store->n_cache++].statement = q.statement;
	return q;
}

void query_done(struct query *q)
{
	if (!q->statement)
		return;
	sqlite3_reset(q->statement);
	sqlite3_clear_bindings(q->statement);
}

static void keep_error(struct query *q, int code)
{
	if (q->error == SQLITE_OK)
		q->error = code;
}

void query_bind_blob(struct query *q, const void *bytes, size_t length)
{
	if (q->error == SQLITE_OK)
		keep_error(q, sqlite3_bind_blob(q->statement, ++q->bound, bytes, (int)length,
						SQLITE_TRANSIENT));
}

void query_bind_text(struct query *q, const char *text)
{
	if (q->error == SQLITE_OK)
		keep_error(q,
			   sqlite3_bind_text(q->statement, ++q->bound, text, -1, SQLITE_TRANSIENT));
}

void query_bind_int(struct query *q, int64_t value)
{
	if (q->error == SQLITE_OK)
		keep_error(q, sqlite3_bind_int64(q->statement, ++q->bound, value));
}

void query_bind_addr(struct query *q, const struct addr *addr)
{
	if (addr_is_set(addr))
		query_bind_blob(q, addr->bytes, addr_length(addr));
	else
		query_bind_text(q, NULL);
}

int query_step(struct query *q)
{
	int code;

	if (q->error != SQLITE_OK)
		return store_errno(q->store, q->error);
	code = sqlite3_step(q->statement);
	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return store_errno(q->store, sqlite3_extended_errcode(q->store->db));
}

int query_run(struct query *q)
{
	int r;

	while ((r = query_step(q)) > 0)
		;
	return r;
}

int64_t query_int(const struct query *q, int column)
{
	return sqlite3_column_int64(q->statement, column);
}

const char *query_text(const struct query *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q->statement, column);

	return text ? text : "";
}

char *query_text_copy(const struct query *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q->statement, column);

	return text ? strdup(text) : NULL;
}

int query_blob(const struct query *q, int column, void *ret, size_t length)
{
	const void *bytes = sqlite3_column_blob(q->statement, column);

	if ((size_t)sqlite3_column_bytes(q->statement, column) != length)
		return -EBADMSG;
	memcpy(ret, bytes, length);
	return 0;
}

int query_addr(const struct query *q, int column, struct addr *ret)
{
	const void *bytes = sqlite3_column_blob(q->statement, column);
	int length = sqlite3_column_bytes(q->statement, column);

	if (!bytes)
		*ret = (struct addr){0};
	else if (length == 4)
		*ret = addr_from_bytes(AF_INET, bytes);
	else if (length == 16)
		*ret = addr_from_bytes(AF_INET6, bytes);
	else
		return -EBADMSG;
	return 0;
}

/* ---- transactions ---- */

int store_begin(struct store *store)
{
	if (store->failed)
		return -EIO;
	_cleanup_(query_done) struct query q = query(store, "BEGIN IMMEDIATE");
	return query_run(&q);
}

int store_end(struct store *store, int result)
{
	int r;

	if (result >= 0) {
		_cleanup_(query_done) struct query commit = query(store, "COMMIT");
		r = query_run(&commit);
		if (r >= 0)
			return result;
		result = r;
	}
	/* SQLite rolls back by itself after some errors (disk full): then there is nothing left to undo */
	if (!sqlite3_get_autocommit(store->db)) {
		_cleanup_(query_done) struct query rollback = query(store, "ROLLBACK");
		query_run(&rollback);
	}
	return result;
}

int store_changes(const struct store *store)
{
	return sqlite3_changes(store->db);
}

bool store_failed(const struct store *store)
{
	return store->failed;
}

const char *store_error(const struct store *store)
{
	return sqlite3_errmsg(store->db);
}

/* ---- meta ---- */

int store_meta_get(struct store *store, const char *key, char **ret)
{
	_cleanup_(query_done) struct query q = query(store, "SELECT value FROM meta WHERE key = ?");
	char *value;
	int r;

	query_bind_text(&q, key);
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	value = query_text_copy(&q, 0);
	if (!value)
		return -ENOMEM;
	*ret = value;
	return 0;
}

int store_meta_set(struct store *store, const char *key, const char *value)
{
	_cleanup_(query_done) struct query q =
		query(store, "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET "
			     "value = excluded.value");

	query_bind_text(&q, key);
	query_bind_text(&q, value);
	return query_run(&q);
}

int store_revision(struct store *store, uint64_t *ret)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'");
	int r = query_step(&q);

	if (r <= 0)
		return r < 0 ? r : -EBADMSG;
	*ret = (uint64_t)query_int(&q, 0);
	return 0;
}

int store_refuse_key(struct store *store, const char *keys, const struct key *key)
{
	_cleanup_(query_done) struct query q = query(store, keys);
	int r;

	query_bind_blob(&q, key->bytes, KEY_SIZE);
	r = query_step(&q);
	return r > 0 ? -EEXIST : r;
}

int store_raise_revision(struct store *store, uint64_t *ret)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) "
			     "WHERE key = 'revision'");
	int r = query_run(&q);

	return r < 0 ? r : store_revision(store, ret);
}

/* ---- opening ---- */

static int configure(struct store *store)
{
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, STORE_BUSY_MS);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
	return run_script(store, "PRAGMA journal_mode = WAL;"
				 "PRAGMA synchronous = FULL;"
				 "PRAGMA foreign_keys = ON;"
				 "PRAGMA trusted_schema = OFF;"
				 "PRAGMA cell_size_check = ON;");
}

static int quick_check(struct store *store, struct err *err)
{
	_cleanup_(query_done) struct query q = query(store, "PRAGMA quick_check(1)");
	int r = query_step(&q);

	if (r > 0 && strcmp(query_text(&q, 0), "ok") == 0)
		return 0;
	return err_code(err, -EBADMSG, "the database is damaged (%.150s): restore a backup",
			r > 0 ? query_text(&q, 0) : store_error(store));
}

static int schema_version(struct store *store, int64_t *ret)
{
	int r;

	r = run_script(store, "CREATE TABLE IF NOT EXISTS migrations "
			      "(version INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;");
	if (r < 0)
		return r;
	_cleanup_(query_done) struct query q =
		query(store, "SELECT COALESCE(MAX(version), 0) FROM migrations");
	r = query_step(&q);
	if (r > 0)
		*ret = query_int(&q, 0);
	return r < 0 ? r : 0;
}

static int migrate_locked(struct store *store, struct err *err)
{
	int64_t version = 0;
	int r = schema_version(store, &version);

	if (r < 0)
		return r;
	if (version > (int64_t)ARRAY_SIZE(migrations))
		return err_code(err, -EPROTO,
				"the database has version %" PRId64
				", this program knows %zu: install the newer sortie-control",
				version, ARRAY_SIZE(migrations));
	for (; version < (int64_t)ARRAY_SIZE(migrations); version++) {
		r = run_script(store, migrations[version]);
		if (r < 0)
			return r;
		_cleanup_(query_done) struct query q =
			query(store, "INSERT INTO migrations VALUES (?, unixepoch())");
		query_bind_int(&q, version + 1);
		r = query_run(&q);
		if (r < 0)
			return r;
	}
	return 0;
}

static int migrate(struct store *store, struct err *err)
{
	int r = store_begin(store);

	return r < 0 ? r : store_end(store, migrate_locked(store, err));
}

/* sqlite3_open_v2() creates with 0644 & ~umask; the file must never have been readable by others. */
static int open_file(const char *path, int flags, struct err *err)
{
	_cleanup_(closep) int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0)
		return err_code(err, -errno, "cannot open the database %.150s: %s", path,
				strerror(errno));
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
		return err_code(
			err, -EPERM,
			"the database %.150s can be read by others: chmod 0600 and look who did",
			path);
	return 0;
}

static int open_store(const char *path, struct store **ret, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return -ENOMEM;
	r = store_errno(store, sqlite3_open_v2(path, &store->db,
					       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
						       SQLITE_OPEN_NOFOLLOW,
					       NULL));
	if (r == 0)
		r = configure(store);
	if (r < 0)
		err_code(err, r, "cannot open the database %.120s: %.100s", path,
			 store->db ? store_error(store) : "out of memory");
	if (r == 0)
		r = quick_check(store, err);
	if (r == 0) {
		r = migrate(store, err);
		if (r < 0 && r != -EPROTO)
			err_code(err, r, "cannot bring the database up to date: %.150s",
				 store_error(store));
	}
	if (r < 0)
		store_close(store);
	else
		*ret = store;
	return r;
}

int store_create(const char *path, struct err *err)
{
	_cleanup_(store_closep) struct store *store = NULL;
	int r = open_file(path, O_RDWR | O_CREAT | O_EXCL, err);

	return r < 0 ? r : open_store(path, &store, err);
}

int store_open(const char *path, struct store **ret, struct err *err)
{
	int r = open_file(path, O_RDWR, err);

	return r < 0 ? r : open_store(path, ret, err);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->n_cache; i++)
		sqlite3_finalize(store->cache[i].statement);
	sqlite3_close(store->db);
	free(store);
}
