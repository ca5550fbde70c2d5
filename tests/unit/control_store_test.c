/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store: what it refuses to open, what survives a kill, what a full disk does, that history stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "common/file.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_identity.h"
#include "control-plane/store_policy.h"
#include "tests/unit/control_bed.h"

#define WHERE	   "/dev/shm"
#define LATER(bed) ((bed)->now + 3600)

/* SQL from outside, as somebody with the file would do it. */
static void tamper(const char *db, const char *sql)
{
	sqlite3 *raw;

	assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
	if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(raw));
	sqlite3_close(raw);
}

static int open_again(const struct bed *bed, struct err *err)
{
	_cleanup_(store_closep) struct store *store = NULL;

	return store_open(bed->db, &store, err);
}

static void enrol_one(struct bed *bed, const char *name, struct bed_host *ret)
{
	_cleanup_(freep) char *request = NULL;
	struct bed_token token;

	bed_add_token(bed, name, LATER(bed), &token);
	bed_new_host(bed, ret);
	request = bed_request(bed, &token, ret);
	assert_int_equal(bed_redeem(bed, &token, request, NULL), 200);
}

/* ---- opening ---- */

static void test_open(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	struct err err = {0};
	struct stat st;

	assert_int_equal(open_again(bed, &err), 0);
	assert_int_equal(store_create(bed->db, &err), -EEXIST);
	assert_int_equal(stat(bed->db, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(chmod(bed->db, 0640), 0);
	assert_int_equal(open_again(bed, &err), -EPERM);
	assert_non_null(strstr(err.text, "read by others"));
}

static void test_newer(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	struct err err = {0};

	tamper(bed->db, "INSERT INTO migrations VALUES (99, 0)");
	assert_int_equal(open_again(bed, &err), -EPROTO);
	assert_non_null(strstr(err.text, "99"));
}

/* Every place of the file is hit once; each damage must be noticed, and none may crash us. */
static void test_damaged(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *good = NULL;
	size_t length, refused = 0, n = 0;
	struct bed_host host;

	enrol_one(bed, "site-a/web", &host);
	bed_close(bed);
	tamper(bed->db, "PRAGMA wal_checkpoint(TRUNCATE)");
	MUST(file_read(bed->db, 1 << 24, &good, &length));
	for (size_t page = 0; page < length / 4096; page++) {
		_cleanup_(freep) char *bad = malloc(length);
		struct err err = {0};
		int r;

		assert_non_null(bad);
		memcpy(bad, good, length);
		memset(bad + page * 4096, 0x5a, 64); /* a page's header says what it is */
		MUST(file_write(bed->db, bad, length, 0600));
		r = open_again(bed, &err);
		n++;
		if (r < 0) {
			refused++;
			assert_true(err.text[0]);
		}
	}
	assert_true(n > 5);
	assert_int_equal(refused, n);
	MUST(file_write(bed->db, good, length / 2, 0600)); /* cut short */
	struct err err = {0};
	assert_int_equal(open_again(bed, &err), -EBADMSG);
	MUST(file_write(bed->db,
			"not a database, but as long as a header of one has to be: 100 bytes. "
			"That is what this sentence is for, and it is longer than that.",
			130, 0600));
	assert_int_equal(open_again(bed, &err), -EBADMSG);
	MUST(file_write(bed->db, good, length, 0600));
	bed_open(bed);
}

/* ---- kill ---- */

/* The child enrols and says so after each answer; it is killed in the middle. What was answered must be there. */
static _Noreturn void enrol_until_killed(const struct bed *bed, int fd)
{
	struct bed own = *bed;

	bed_open(&own);
	for (unsigned int i = 0;; i++) {
		struct bed_host host;
		char name[40];

		snprintf(name, sizeof(name), "kill/host-%d-%u", (int)getpid(), i);
		enrol_one(&own, name, &host);
		if (write(fd, host.id.bytes, sizeof(host.id.bytes)) < 0)
			_exit(1);
	}
}

static void test_killed(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	size_t answered = 0;

	for (unsigned int round = 0; round < 10; round++) {
		struct id id;
		int fds[2];
		pid_t pid;
		int64_t seq;

		assert_int_equal(pipe(fds), 0);
		bed_close(bed);
		pid = fork();
		if (pid == 0)
			enrol_until_killed(bed, fds[1]);
		close(fds[1]);
		usleep(30000 + 7919 * round); /* different places of the work */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		bed_open(bed);
		while (read(fds[0], id.bytes, sizeof(id.bytes)) == sizeof(id.bytes)) {
			_cleanup_(identity_row_done) struct identity_row row = {0};

			assert_int_equal(store_identity_get(bed->store, &id, &row), 0);
			answered++;
		}
		close(fds[0]);
		assert_int_equal(store_audit_verify(bed->store, &seq), 0);
	}
	assert_true(answered > 0);
	/* half of a redemption would be a used token without its identity, or the reverse */
	tamper(bed->db,
	       "CREATE TEMP TABLE t (n INTEGER CHECK (n = 0));"
	       "INSERT INTO t SELECT COUNT(*) FROM tokens WHERE state = 'used' AND used_by NOT IN "
	       "(SELECT id FROM identities);"
	       "INSERT INTO t SELECT COUNT(*) FROM identities WHERE id NOT IN "
	       "(SELECT used_by FROM tokens WHERE state = 'used');"
	       "INSERT INTO t SELECT (SELECT COUNT(*) FROM identities) - "
	       "(SELECT COUNT(*) FROM audit WHERE action = 'enrolled')");
}

/* ---- full disk ---- */

static void limit_files(rlim_t bytes)
{
	const struct rlimit limit = {bytes, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A file-size limit is what an unprivileged test has; the write fails in the same place. */
static void test_full(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *request = NULL;
	struct bed_token token;
	struct bed_host host, before;
	_cleanup_(identity_row_done) struct identity_row row = {0};
	unsigned int status;
	int64_t seq;

	enrol_one(bed, "site-a/web", &before);
	bed_add_token(bed, "site-b/web", LATER(bed), &token);
	bed_new_host(bed, &host);
	request = bed_request(bed, &token, &host);
	limit_files(4096);
	status = bed_redeem(bed, &token, request, NULL);
	assert_int_equal(store_identity_get(bed->store, &before.id, &row), 0); /* reads go on */
	limit_files(RLIM_INFINITY);
	assert_true(status >= 500);
	identity_row_done(&row);
	assert_int_equal(store_identity_get(bed->store, &host.id, &row), -ENOENT);
	assert_int_equal(bed_redeem(bed, &token, request, NULL),
			 200); /* the token was not used up */
	assert_int_equal(store_audit_verify(bed->store, &seq), 0);
}

/* ---- audit ---- */

static void test_audit_tampering(void **state)
{
	static const char *const changes[] = {
		"UPDATE audit SET actor = 'somebody' WHERE seq = 2",
		"UPDATE audit SET action = 'nothing' WHERE seq = 3",
		"UPDATE audit SET at = at + 1 WHERE seq = 1",
		"UPDATE audit SET detail = detail || '.', object = object WHERE seq = 2",
		"DELETE FROM audit WHERE seq = 2",
		"UPDATE audit SET hash = zeroblob(32) WHERE seq = 2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
		struct bed_host host;
		int64_t seq = 0;
		sqlite3 *raw;

		enrol_one(bed, "site-a/web", &host);
		enrol_one(bed, "site-b/web", &host);
		assert_int_equal(store_audit_verify(bed->store, &seq), 0);
		assert_int_equal(sqlite3_open(bed->db, &raw), SQLITE_OK);
		/* our own slips are stopped by a trigger */
		assert_int_not_equal(sqlite3_exec(raw, changes[i], NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(raw);
		tamper(bed->db, "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete");
		tamper(bed->db, changes[i]);
		assert_int_equal(store_audit_verify(bed->store, &seq), -EBADMSG);
		assert_true(seq >= 1 && seq <= 4);
	}
}

static void test_audit_hash(void **state)
{
	const uint8_t zeros[32] = {0};
	struct audit_entry entry = {
		.seq = 1, .at = 2, .actor = "ab", .action = "c", .object = "d", .detail = "e"};
	struct audit_entry moved = entry;
	uint8_t a[32], b[32];
	char clean[AUDIT_TEXT_MAX];

	audit_hash(zeros, &entry, a);
	moved.actor = "a";
	moved.action = "bc";
	audit_hash(zeros, &moved, b);
	assert_memory_not_equal(a, b, 32);
	assert_string_equal(audit_clean("a\nb\033[1m\x9b", clean), "a?b?[1m?");
}

/* ---- revocation, leases, policy ---- */

static void test_revoke(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(identity_row_done) struct identity_row row = {0};
	struct bed_host host;
	uint64_t before, revision = 0;
	const struct id nobody = {{1}};

	enrol_one(bed, "site-a/web", &host);
	MUST(store_revision(bed->store, &before));
	MUST(store_identity_set_lease(bed->store, &host.id, "lease", bed->now + 100, bed->now,
				      &revision));
	assert_true(revision > before);
	assert_int_equal(
		store_identity_revoke(bed->store, &nobody, "{}", "", "t", bed->now, &revision),
		-ENOENT);
	MUST(store_identity_revoke(bed->store, &host.id, "tombstone", "", "t", bed->now, &before));
	assert_true(before > revision);
	assert_int_equal(
		store_identity_revoke(bed->store, &host.id, "{}", "", "t", bed->now, &revision),
		-EALREADY);
	assert_int_equal(store_identity_set_lease(bed->store, &host.id, "lease", bed->now + 100,
						  bed->now, &revision),
			 -EKEYREVOKED);
	assert_int_equal(
		store_identity_suspend(bed->store, &host.id, false, "t", bed->now, &revision),
		-EKEYREVOKED);
	MUST(store_identity_get(bed->store, &host.id, &row));
	assert_int_equal(row.state, IDENTITY_DEAD);
	assert_null(row.lease);
	bed_close(bed); /* nothing undoes it */
	MUST(store_open(bed->db, &bed->store, NULL));
	identity_row_done(&row);
	MUST(store_identity_get(bed->store, &host.id, &row));
	assert_int_equal(row.state, IDENTITY_DEAD);
}

static void test_suspend(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	struct bed_host host;
	uint64_t revision;

	enrol_one(bed, "site-a/web", &host);
	assert_int_equal(
		store_identity_suspend(bed->store, &host.id, false, "t", bed->now, &revision),
		-EALREADY);
	MUST(store_identity_suspend(bed->store, &host.id, true, "t", bed->now, &revision));
	assert_int_equal(store_identity_set_lease(bed->store, &host.id, "lease", bed->now + 100,
						  bed->now, &revision),
			 -EACCES);
	MUST(store_identity_suspend(bed->store, &host.id, false, "t", bed->now, &revision));
	MUST(store_identity_set_lease(bed->store, &host.id, "lease", bed->now + 100, bed->now,
				      &revision));
}

static void test_key_generations(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	struct bed_host a, b;
	const struct key fresh = {{7}};
	uint64_t revision;

	enrol_one(bed, "site-a/web", &a);
	enrol_one(bed, "site-b/web", &b);
	assert_int_equal(
		store_identity_set_key(bed->store, &a.id, &fresh, 1, "k", bed->now, &revision),
		-ESTALE);
	assert_int_equal(
		store_identity_set_key(bed->store, &a.id, &b.k4, 2, "k", bed->now, &revision),
		-EEXIST);
	MUST(store_identity_set_key(bed->store, &a.id, &fresh, 2, "k", bed->now, &revision));
}

/*
 * The hub has one peer a key, identities and tokens together. Who takes a token's one-time key as his own (his token's, he
 * knows it) would be the second one, and the hub's peers could not be set any more, not even at a start.
 */
static void test_onetime_key_as_own(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(freep) char *request = NULL, *body = NULL, *statement = NULL;
	struct bed_token used, other, late;
	struct bed_host a, b;
	struct token_row row;
	uint64_t revision;

	bed_add_token(bed, "site-a/web", bed->now + 3600, &used);
	bed_add_token(bed, "site-b/web", bed->now + 3600, &other);
	bed_new_host(bed, &a);
	request = bed_request(bed, &used, &a);
	assert_int_equal(bed_redeem(bed, &used, request, NULL), 200);
	assert_int_equal(store_identity_set_key(bed->store, &a.id, &used.onetime, 2, "k", bed->now,
						&revision),
			 -EEXIST);
	assert_int_equal(store_identity_set_key(bed->store, &a.id, &other.onetime, 2, "k", bed->now,
						&revision),
			 -EEXIST);
	/* at enrolment */
	free(request);
	bed_new_host(bed, &b);
	b.k4 = other.onetime;
	request = bed_request(bed, &other, &b);
	assert_int_equal(bed_redeem(bed, &other, request, &body), 409);
	/* and a token that comes later than the key */
	statement = bed_make_token(bed, "site-c/web", bed->now + 3600, &late);
	late.onetime = a.k4;
	row = bed_token_row(bed, &late, bed->now + 3600, statement);
	assert_int_equal(store_token_add(bed->store, &row, 1, "test"), -EEXIST);
}

static void test_policy_versions(void **state)
{
	_cleanup_(bed_freep) struct bed *bed = bed_new(WHERE);
	_cleanup_(policy_row_done) struct policy_row row = {0};
	const char *const leaves[] = {"{\"a\":\"\\u00e9 \\\"\"}", "{}"};
	uint64_t revision;

	assert_int_equal(store_policy_get(bed->store, 0, &row), -ENOENT);
	assert_int_equal(
		store_policy_add(bed->store, 2, "e", leaves, 2, "y", "t", bed->now, &revision),
		-ESTALE);
	MUST(store_policy_add(bed->store, 1, "e1", leaves, 2, "y", "t", bed->now, &revision));
	assert_int_equal(
		store_policy_add(bed->store, 1, "e", leaves, 2, "y", "t", bed->now, &revision),
		-ESTALE);
	MUST(store_policy_add(bed->store, 2, "e2", leaves, 0, NULL, "t", bed->now, &revision));
	MUST(store_policy_get(bed->store, 0, &row));
	assert_int_equal(row.version, 2);
	assert_int_equal(row.n_leaves, 0);
	policy_row_done(&row);
	MUST(store_policy_get(bed->store, 1, &row));
	assert_string_equal(row.envelope, "e1");
	assert_int_equal(row.n_leaves, 2);
	assert_string_equal(row.leaves[0], leaves[0]); /* the exact bytes */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_audit_tampering),
		cmocka_unit_test(test_audit_hash),
		cmocka_unit_test(test_revoke),
		cmocka_unit_test(test_suspend),
		cmocka_unit_test(test_key_generations),
		cmocka_unit_test(test_onetime_key_as_own),
		cmocka_unit_test(test_policy_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
