/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Audit rows: appended under the write lock of the caller's transaction, so that the chain has no forks. */
#include "control-plane/store_audit.h"
#include "control-plane/store_internal.h"
#include <errno.h>
#include <string.h>

int store_audit_head(struct store *store, int64_t *ret_seq, uint8_t ret_hash[32])
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
	int r = query_step(&q);

	if (r < 0)
		return r;
	if (r == 0) {
		*ret_seq = 0;
		memset(ret_hash, 0, 32);
		return 0;
	}
	*ret_seq = query_int(&q, 0);
	return query_blob(&q, 1, ret_hash, 32);
}

static int insert(struct store *store, const struct audit_entry *entry, const uint8_t hash[32])
{
	_cleanup_(query_done) struct query q =
		query(store, "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)");

	query_bind_int(&q, entry->seq);
	query_bind_int(&q, entry->at);
	query_bind_text(&q, entry->actor);
	query_bind_text(&q, entry->action);
	query_bind_text(&q, entry->object);
	query_bind_text(&q, entry->detail);
	query_bind_blob(&q, hash, 32);
	return query_run(&q);
}

int store_audit_add(struct store *store, const struct audit_entry *entry)
{
	char actor[AUDIT_TEXT_MAX], action[AUDIT_TEXT_MAX];
	char object[AUDIT_TEXT_MAX], detail[AUDIT_TEXT_MAX];
	struct audit_entry row = {
		.at = entry->at,
		.actor = audit_clean(entry->actor, actor),
		.action = audit_clean(entry->action, action),
		.object = audit_clean(entry->object ? entry->object : "", object),
		.detail = audit_clean(entry->detail ? entry->detail : "", detail),
	};
	uint8_t previous[32], hash[32];
	int r = store_audit_head(store, &row.seq, previous);

	if (r < 0)
		return r;
	row.seq++;
	audit_hash(previous, &row, hash);
	return insert(store, &row, hash);
}

int store_audit_event(struct store *store, const struct audit_entry *entry)
{
	int r = store_begin(store);

	return r < 0 ? r : store_end(store, store_audit_add(store, entry));
}

int store_audit_list(struct store *store, int64_t after, size_t limit,
		     int (*on_entry)(const struct audit_entry *entry, const uint8_t hash[32],
				     void *data),
		     void *data)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT seq, at, actor, action, object, detail, hash FROM audit "
			     "WHERE seq > ? ORDER BY seq LIMIT ?");
	int r;

	query_bind_int(&q, after);
	query_bind_int(&q, (int64_t)limit);
	while ((r = query_step(&q)) > 0) {
		struct audit_entry entry = {
			.seq = query_int(&q, 0),
			.at = query_int(&q, 1),
			.actor = query_text(&q, 2),
			.action = query_text(&q, 3),
			.object = query_text(&q, 4),
			.detail = query_text(&q, 5),
		};
		uint8_t hash[32];

		r = query_blob(&q, 6, hash, sizeof(hash));
		if (r == 0)
			r = on_entry(&entry, hash, data);
		if (r < 0)
			return r;
	}
	return r;
}

struct chain {
	int64_t seq;
	uint8_t hash[32];
};

static int check_link(const struct audit_entry *entry, const uint8_t hash[32], void *data)
{
	struct chain *chain = data;
	uint8_t expected[32];

	audit_hash(chain->hash, entry, expected);
	if (entry->seq != ++chain->seq || memcmp(expected, hash, 32) != 0)
		return -EBADMSG;
	memcpy(chain->hash, hash, 32);
	return 0;
}

int store_audit_verify(struct store *store, int64_t *ret_seq)
{
	struct chain chain = {0};
	int r = store_audit_list(store, 0, SIZE_MAX / 2, check_link, &chain);

	if (r == -EBADMSG)
		*ret_seq = chain.seq;
	return r;
}
