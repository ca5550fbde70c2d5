/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policy versions in the store. Leaves are kept as one JSON array of strings: decoding gives the exact bytes back. */
#include "control-plane/store_policy.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_internal.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

void policy_row_done(struct policy_row *row)
{
	for (size_t i = 0; i < row->n_leaves; i++)
		free(row->leaves[i]);
	free(row->leaves);
	free(row->envelope);
	free(row->yaml);
	free(row->actor);
	*row = (struct policy_row){0};
}

static char *leaves_to_text(const char *const *leaves, size_t n)
{
	json_t *array = json_array();
	char *text = NULL;
	bool ok = array != NULL;

	for (size_t i = 0; i < n && ok; i++)
		ok = json_array_append_new(array, json_string(leaves[i])) == 0;
	if (ok)
		text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	return text;
}

static int leaves_from_array(const json_t *array, struct policy_row *row)
{
	size_t n = json_array_size(array);

	row->leaves = calloc(n ? n : 1, sizeof(*row->leaves));
	if (!row->leaves)
		return -ENOMEM;
	for (; row->n_leaves < n; row->n_leaves++) {
		const char *leaf = json_string_value(json_array_get(array, row->n_leaves));

		if (!leaf)
			return -EBADMSG;
		row->leaves[row->n_leaves] = strdup(leaf);
		if (!row->leaves[row->n_leaves])
			return -ENOMEM;
	}
	return 0;
}

static int leaves_from_text(const char *text, struct policy_row *row)
{
	json_t *array = json_loads(text, 0, NULL);
	int r = json_is_array(array) ? leaves_from_array(array, row) : -EBADMSG;

	json_decref(array);
	return r;
}

/* The number is the guard: two at once, or one that was signed against an older state, cannot both be next. */
static int insert(struct store *store, uint64_t version, const char *envelope, const char *leaves,
		  const char *yaml, const char *actor, int64_t now)
{
	_cleanup_(query_done) struct query q =
		query(store, "INSERT INTO policies SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
			     "WHERE ?1 = (SELECT COALESCE(MAX(version), 0) + 1 FROM policies)");
	int r;

	query_bind_int(&q, (int64_t)version);
	query_bind_text(&q, envelope);
	query_bind_text(&q, leaves);
	query_bind_text(&q, yaml);
	query_bind_int(&q, now);
	query_bind_text(&q, actor);
	r = query_run(&q);
	if (r < 0)
		return r;
	return store_changes(store) == 1 ? 0 : -ESTALE;
}

int store_policy_add(struct store *store, uint64_t version, const char *envelope,
		     const char *const *leaves, size_t n_leaves, const char *yaml,
		     const char *actor, int64_t now, uint64_t *ret_revision)
{
	_cleanup_(freep) char *text = leaves_to_text(leaves, n_leaves);
	char object[40], detail[64];
	uint64_t revision = 0;
	int r;

	if (!text)
		return -ENOMEM;
	r = store_begin(store);
	if (r < 0)
		return r;
	r = insert(store, version, envelope, text, yaml, actor, now);
	snprintf(object, sizeof(object), "policy %" PRIu64, version);
	snprintf(detail, sizeof(detail), "%zu rules", n_leaves);
	if (r == 0)
		r = store_audit_add(store, &(struct audit_entry){
						   .at = now,
						   .actor = actor,
						   .action = "policy-applied",
						   .object = object,
						   .detail = detail,
					   });
	if (r == 0)
		r = store_raise_revision(store, &revision);
	r = store_end(store, r);
	if (r == 0)
		*ret_revision = revision;
	return r;
}

int store_policy_get(struct store *store, uint64_t version, struct policy_row *ret)
{
	_cleanup_(query_done) struct query q = query(
		store, "SELECT version, envelope, leaves, yaml, accepted_at, actor FROM policies "
		       "WHERE version = ?1 OR ?1 = 0 ORDER BY version DESC LIMIT 1");
	struct policy_row row = {0};
	int r;

	query_bind_int(&q, (int64_t)version);
	r = query_step(&q);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	row.version = (uint64_t)query_int(&q, 0);
	row.envelope = query_text_copy(&q, 1);
	row.yaml = query_text_copy(&q, 3);
	row.accepted_at = query_int(&q, 4);
	row.actor = query_text_copy(&q, 5);
	r = row.envelope && row.actor ? leaves_from_text(query_text(&q, 2), &row) : -ENOMEM;
	if (r < 0)
		policy_row_done(&row);
	else
		*ret = row;
	return r;
}

int store_policy_list(struct store *store, size_t limit,
		      int (*on_policy)(const struct policy_row *row, void *data), void *data)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT version, accepted_at, actor FROM policies "
			     "ORDER BY version DESC LIMIT ?");
	int r;

	query_bind_int(&q, (int64_t)limit);
	while ((r = query_step(&q)) > 0) {
		_cleanup_(policy_row_done) struct policy_row row = {
			.version = (uint64_t)query_int(&q, 0),
			.accepted_at = query_int(&q, 1),
			.actor = query_text_copy(&q, 2),
		};

		r = row.actor ? on_policy(&row, data) : -ENOMEM;
		if (r < 0)
			return r;
	}
	return r;
}
