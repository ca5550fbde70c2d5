/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tokens in the store. Redemption, which touches tokens and identities in one transaction, is in store_redeem.c. */
#include "control-plane/store_token.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {
	[TOKEN_NEW] = "new",
	[TOKEN_USED] = "used",
	[TOKEN_REVOKED] = "revoked",
};

const char *token_state_name(enum token_state state)
{
	return state_names[state];
}

void token_row_done(struct token_row *token)
{
	free(token->statement);
	token->statement = NULL;
}

static int state_parse(const char *text, enum token_state *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
		if (strcmp(text, state_names[i]) == 0) {
			*ret = (enum token_state)i;
			return 0;
		}
	}
	return -EBADMSG;
}

#define TOKEN_COLUMNS                                                                              \
	"join_key, onetime_key, address, name, labels, not_after, state, created_at, changed_at, " \
	"used_by, statement "

static int read_row(const struct query *q, struct token_row *ret)
{
	struct token_row row = {
		.not_after = query_int(q, 5),
		.created_at = query_int(q, 7),
		.changed_at = query_int(q, 8),
	};
	int r = query_blob(q, 0, row.join_key.bytes, KEY_SIZE);

	if (r == 0)
		r = query_blob(q, 1, row.onetime_key.bytes, KEY_SIZE);
	if (r == 0)
		r = query_addr(q, 2, &row.address);
	if (r == 0)
		r = labels_parse(query_text(q, 4), &row.labels, NULL);
	if (r == 0)
		r = state_parse(query_text(q, 6), &row.state);
	if (r == 0 && row.state == TOKEN_USED)
		r = query_blob(q, 9, row.used_by.bytes, sizeof(row.used_by.bytes));
	if (r < 0)
		return r;
	snprintf(row.name, sizeof(row.name), "%s", query_text(q, 3));
	row.statement = query_text_copy(q, 10);
	if (!row.statement)
		return -ENOMEM;
	*ret = row;
	return 0;
}

static int add_locked(struct store *store, const struct token_row *token, const char *actor)
{
	_cleanup_(query_done) struct query q =
		query(store, "INSERT INTO tokens (" TOKEN_COLUMNS ") "
			     "VALUES (?, ?, ?, ?, ?, ?, 'new', ?, ?, NULL, ?)");
	_cleanup_(freep) char *labels = labels_format(&token->labels);
	char object[KEY_HEX_MAX], detail[AUDIT_TEXT_MAX];
	uint64_t revision;
	int r;

	if (!labels)
		return -ENOMEM;
	query_bind_blob(&q, token->join_key.bytes, KEY_SIZE);
	query_bind_blob(&q, token->onetime_key.bytes, KEY_SIZE);
	query_bind_addr(&q, &token->address);
	query_bind_text(&q, token->name);
	query_bind_text(&q, labels);
	query_bind_int(&q, token->not_after);
	query_bind_int(&q, token->created_at);
	query_bind_int(&q, token->created_at);
	query_bind_text(&q, token->statement);
	r = store_refuse_key(store, STORE_IDENTITY_KEYS, &token->onetime_key);
	if (r == 0)
		r = query_run(&q);
	if (r < 0)
		return r;
	snprintf(detail, sizeof(detail), "for %s, labels %.100s", token->name, labels);
	r = store_audit_add(store, &(struct audit_entry){
					   .at = token->created_at,
					   .actor = actor,
					   .action = "token-created",
					   .object = key_format_hex(&token->join_key, object),
					   .detail = detail,
				   });
	return r < 0 ? r : store_raise_revision(store, &revision);
}

int store_token_add(struct store *store, const struct token_row *tokens, size_t n,
		    const char *actor)
{
	int r = store_begin(store);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_locked(store, &tokens[i], actor);
	return store_end(store, r);
}

static int read_one(struct query *q, struct token_row *ret)
{
	int r = query_step(q);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return read_row(q, ret);
}

int store_token_by_address(struct store *store, const struct addr *address, struct token_row *ret)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT " TOKEN_COLUMNS "FROM tokens WHERE address = ?");

	query_bind_addr(&q, address);
	return read_one(&q, ret);
}

int store_token_by_join_key(struct store *store, const struct key *join_key, struct token_row *ret)
{
	_cleanup_(query_done) struct query q =
		query(store, "SELECT " TOKEN_COLUMNS "FROM tokens WHERE join_key = ?");

	query_bind_blob(&q, join_key->bytes, KEY_SIZE);
	return read_one(&q, ret);
}

int store_token_list(struct store *store,
		     int (*on_token)(const struct token_row *token, void *data), void *data)
{
	_cleanup_(query_done) struct query q = query(
		store, "SELECT " TOKEN_COLUMNS "FROM tokens ORDER BY created_at DESC, join_key");
	int r;

	while ((r = query_step(&q)) > 0) {
		_cleanup_(token_row_done) struct token_row token = {0};

		r = read_row(&q, &token);
		if (r == 0)
			r = on_token(&token, data);
		if (r < 0)
			return r;
	}
	return r;
}

static int revoke_locked(struct store *store, const struct key *join_key, const char *actor,
			 int64_t now)
{
	_cleanup_(query_done) struct query q =
		query(store, "UPDATE tokens SET state = 'revoked', changed_at = ? "
			     "WHERE join_key = ? AND state = 'new'");
	_cleanup_(token_row_done) struct token_row token = {0};
	char object[KEY_HEX_MAX];
	int r;

	query_bind_int(&q, now);
	query_bind_blob(&q, join_key->bytes, KEY_SIZE);
	r = query_run(&q);
	if (r < 0)
		return r;
	if (store_changes(store) != 1) {
		r = store_token_by_join_key(store, join_key, &token);
		return r < 0 ? r : -EALREADY;
	}
	return store_audit_add(store, &(struct audit_entry){
					      .at = now,
					      .actor = actor,
					      .action = "token-revoked",
					      .object = key_format_hex(join_key, object),
				      });
}

int store_token_revoke(struct store *store, const struct key *join_key, const char *actor,
		       int64_t now)
{
	int r = store_begin(store);

	return r < 0 ? r : store_end(store, revoke_locked(store, join_key, actor, now));
}
