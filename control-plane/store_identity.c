/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identities in the store. They are born in store_redeem.c. */
#include "control-plane/store_identity.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {
	[IDENTITY_LIVING] = "living",
	[IDENTITY_SUSPENDED] = "suspended",
	[IDENTITY_DEAD] = "dead",
};

const char *identity_state_name(enum identity_state state)
{
	return state_names[state];
}

void identity_row_done(struct identity_row *row)
{
	free(row->token);
	free(row->identity);
	free(row->key);
	free(row->ipv4_statement);
	free(row->lease);
	row->token = row->identity = row->key = row->ipv4_statement = row->lease = NULL;
}

static int state_parse(const char *text, enum identity_state *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (strcmp(text, state_names[i]) == 0) {
			*ret = (enum identity_state)i;
			return 0;
		}
	}
	return -EBADMSG;
}

#define IDENTITY_SELECT                                                                            \
	"SELECT i.id, i.k3, i.join_key, i.name, i.labels, i.ipv6, i.ipv4, i.site, i.state, i.k4, " \
	"i.generation, t.statement, i.identity_statement, i.key_statement, i.ipv4_statement, "     \
	"i.lease, i.lease_not_after, i.created_at, i.revision "                                    \
	"FROM identities i JOIN tokens t ON t.join_key = i.join_key "

static int read_envelopes(const struct query *q, struct identity_row *row)
{
	row->token = query_text_copy(q, 11);
	row->identity = query_text_copy(q, 12);
	row->key = query_text_copy(q, 13);
	row->ipv4_statement = query_text_copy(q, 14);
	row->lease = query_text_copy(q, 15);
	if (!row->token || !row->identity || !row->key)
		return -ENOMEM;
	return 0;
}

static int read_row(const struct query *q, struct identity_row *ret)
{
	struct identity_row row = {
		.site = (uint32_t)query_int(q, 7),
		.generation = (uint64_t)query_int(q, 10),
		.lease_not_after = query_int(q, 16),
		.created_at = query_int(q, 17),
		.revision = (uint64_t)query_int(q, 18),
	};
	int r = query_blob(q, 0, row.id.bytes, sizeof(row.id.bytes));

	if (r == 0)
		r = query_blob(q, 1, row.k3.bytes, KEY_SIZE);
	if (r == 0)
		r = query_blob(q, 2, row.join_key.bytes, KEY_SIZE);
	if (r == 0)
		r = labels_parse(query_text(q, 4), &row.labels, NULL);
	if (r == 0)
		r = query_addr(q, 5, &row.ipv6);
	if (r == 0)
		r = query_addr(q, 6, &row.ipv4);
	if (r == 0)
		r = state_parse(query_text(q, 8), &row.state);
	if (r == 0)
		r = query_blob(q, 9, row.k4.bytes, KEY_SIZE);
	if (r < 0)
		return r;
	snprintf(row.name, sizeof(row.name), "%s", query_text(q, 3));
	r = read_envelopes(q, &row);
	if (r < 0)
		identity_row_done(&row);
	else
		*ret = row;
	return r;
}

int store_identity_list(struct store *store, bool dead,
			int (*on_identity)(const struct identity_row *row, void *data), void *data)
{
	_cleanup_(query_done) struct query q =
		query(store,
		      IDENTITY_SELECT "WHERE i.state <> 'dead' OR ? ORDER BY i.name, i.created_at");
	int r;

	query_bind_int(&q, dead);
	while ((r = query_step(&q)) > 0) {
		_cleanup_(identity_row_done) struct identity_row row = {0};

		r = read_row(&q, &row);
		if (r == 0)
			r = on_identity(&row, data);
		if (r < 0)
			return r;
	}
	return r;
}

int store_identity_get(struct store *store, const struct id *id, struct identity_row *ret)
{
	_cleanup_(query_done) struct query q = query(store, IDENTITY_SELECT "WHERE i.id = ?");
	int r;

	query_bind_blob(&q, id->bytes, sizeof(id->bytes));
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return read_row(&q, ret);
}

/* ---- changes: run in a transaction that raises the revision, changes one row and writes one audit row ---- */

struct change {
	const struct id *id;
	const char *actor, *action, *detail;
	int64_t now;
	uint64_t revision;
};

static int begin_change(struct store *store, struct change *change)
{
	return store_raise_revision(store, &change->revision);
}

/* An update that met no row: tell why. */
static int why_not(struct store *store, const struct id *id)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT state FROM identities WHERE id = ?");
	enum identity_state state;
	int r;

	query_bind_blob(&q, id->bytes, sizeof(id->bytes));
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = state_parse(query_text(&q, 0), &state);
	if (r < 0)
		return r;
	if (state == IDENTITY_DEAD)
		return -EKEYREVOKED;
	return state == IDENTITY_SUSPENDED ? -EACCES : -ESTALE;
}

static int end_change(struct store *store, const struct change *change, struct query *q)
{
	char id[ID_HEX_MAX], own[AUDIT_TEXT_MAX];
	int r = query_run(q);

	if (r < 0)
		return r;
	if (store_changes(store) != 1)
		return why_not(store, change->id);
	id_format(change->id, id);
	snprintf(own, sizeof(own), "identity %s", id);
	return store_audit_add(store, &(struct audit_entry){
					      .at = change->now,
					      .actor = change->actor ? change->actor : own,
					      .action = change->action,
					      .object = id,
					      .detail = change->detail,
				      });
}

static int set_ipv4_locked(struct store *store, struct change *change, const char *envelope)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE identities SET ipv4_statement = ?, revision = ? "
			     "WHERE id = ? AND state <> 'dead'");
	int r = begin_change(store, change);

	if (r < 0)
		return r;
	query_bind_text(&q, envelope);
	query_bind_int(&q, (int64_t)change->revision);
	query_bind_blob(&q, change->id->bytes, sizeof(change->id->bytes));
	return end_change(store, change, &q);
}

int store_identity_set_ipv4(struct store *store, const struct id *id, const char *envelope,
			    int64_t now, uint64_t *ret_revision)
{
	struct change change = {.id = id, .action = "ipv4-signed", .now = now};
	int r = store_begin(store);

	if (r < 0)
		return r;
	r = store_end(store, set_ipv4_locked(store, &change, envelope));
	if (r == 0)
		*ret_revision = change.revision;
	return r;
}

static int set_key_locked(struct store *store, struct change *change, const struct key *k4,
			  uint64_t generation, const char *envelope)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE identities SET k4 = ?, generation = ?, key_statement = ?, "
			     "revision = ? WHERE id = ? AND state <> 'dead' AND generation < ?");
	int r = store_refuse_key(store, STORE_ONETIME_KEYS, k4);

	if (r == 0)
		r = begin_change(store, change);
	if (r < 0)
		return r;
	query_bind_blob(&q, k4->bytes, KEY_SIZE);
	query_bind_int(&q, (int64_t)generation);
	query_bind_text(&q, envelope);
	query_bind_int(&q, (int64_t)change->revision);
	query_bind_blob(&q, change->id->bytes, sizeof(change->id->bytes));
	query_bind_int(&q, (int64_t)generation);
	return end_change(store, change, &q);
}

int store_identity_set_key(struct store *store, const struct id *id, const struct key *k4,
			   uint64_t generation, const char *envelope, int64_t now,
			   uint64_t *ret_revision)
{
	struct change change = {.id = id, .action = "key-rotated", .now = now};
	int r;

	if (generation > INT64_MAX)
		return -EINVAL;
	r = store_begin(store);
	if (r < 0)
		return r;
	r = store_end(store, set_key_locked(store, &change, k4, generation, envelope));
	if (r == 0)
		*ret_revision = change.revision;
	return r;
}

static int set_lease_locked(struct store *store, struct change *change, const char *envelope,
			    int64_t not_after)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE identities SET lease = ?, lease_not_after = ?, revision = ? "
			     "WHERE id = ? AND state = 'living'");
	int r = begin_change(store, change);

	if (r < 0)
		return r;
	query_bind_text(&q, envelope);
	query_bind_int(&q, not_after);
	query_bind_int(&q, (int64_t)change->revision);
	query_bind_blob(&q, change->id->bytes, sizeof(change->id->bytes));
	return end_change(store, change, &q);
}

int store_identity_set_lease(struct store *store, const struct id *id, const char *envelope,
			     int64_t not_after, int64_t now, uint64_t *ret_revision)
{
	struct change change = {.id = id, .actor = "control", .action = "lease-signed", .now = now};
	int r = store_begin(store);

	if (r < 0)
		return r;
	r = store_end(store, set_lease_locked(store, &change, envelope, not_after));
	if (r == 0)
		*ret_revision = change.revision;
	return r;
}

static int add_tombstone(struct store *store, const struct change *change, const char *envelope)
{
	_cleanup_(query_done) struct query q =
		query(store, "INSERT INTO tombstones VALUES (?, ?, ?, ?)");

	query_bind_blob(&q, change->id->bytes, sizeof(change->id->bytes));
	query_bind_text(&q, envelope);
	query_bind_int(&q, change->now);
	query_bind_int(&q, (int64_t)change->revision);
	return query_run(&q);
}

static int revoke_locked(struct store *store, struct change *change, const char *tombstone)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE identities SET state = 'dead', site = NULL, lease = NULL, "
			     "lease_not_after = 0, revision = ? WHERE id = ? AND state <> 'dead'");
	int r = begin_change(store, change);

	if (r < 0)
		return r;
	query_bind_int(&q, (int64_t)change->revision);
	query_bind_blob(&q, change->id->bytes, sizeof(change->id->bytes));
	r = end_change(store, change, &q);
	if (r < 0)
		return r == -EKEYREVOKED ? -EALREADY : r;
	return add_tombstone(store, change, tombstone);
}

int store_identity_revoke(struct store *store, const struct id *id, const char *tombstone,
			  const char *reason, const char *actor, int64_t now,
			  uint64_t *ret_revision)
{
	struct change change = {
		.id = id, .actor = actor, .action = "revoked", .detail = reason, .now = now};
	int r = store_begin(store);

	if (r < 0)
		return r;
	r = store_end(store, revoke_locked(store, &change, tombstone));
	if (r == 0)
		*ret_revision = change.revision;
	return r;
}

static int suspend_locked(struct store *store, struct change *change, bool suspend)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE identities SET state = ?, lease = NULL, lease_not_after = 0, "
			     "revision = ? WHERE id = ? AND state = ?");
	int r = begin_change(store, change);

	if (r < 0)
		return r;
	query_bind_text(&q, suspend ? "suspended" : "living");
	query_bind_int(&q, (int64_t)change->revision);
	query_bind_blob(&q, change->id->bytes, sizeof(change->id->bytes));
	query_bind_text(&q, suspend ? "living" : "suspended");
	r = end_change(store, change, &q);
	return r == -EACCES || r == -ESTALE ? -EALREADY : r;
}

int store_identity_suspend(struct store *store, const struct id *id, bool suspend,
			   const char *actor, int64_t now, uint64_t *ret_revision)
{
	struct change change = {
		.id = id, .actor = actor, .action = suspend ? "suspended" : "resumed", .now = now};
	int r = store_begin(store);

	if (r < 0)
		return r;
	r = store_end(store, suspend_locked(store, &change, suspend));
	if (r == 0)
		*ret_revision = change.revision;
	return r;
}

int store_tombstone_list(struct store *store, int (*on_tombstone)(const char *envelope, void *data),
			 void *data)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT envelope FROM tombstones ORDER BY revision");
	int r;

	while ((r = query_step(&q)) > 0) {
		r = on_tombstone(query_text(&q, 0), data);
		if (r < 0)
			return r;
	}
	return r;
}
