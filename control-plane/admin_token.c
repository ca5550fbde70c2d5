/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tokens on the admin socket. A token's secret seed is never here; a list shows join public keys. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "common/log.h"
#include "control-plane/admin.h"
#include "control-plane/store_token.h"

#define ID_DIGITS_MIN 8

static void describe(const struct token_row *token, int64_t now, struct admin_token *ret)
{
	bool expired = token->state == TOKEN_NEW && token->not_after <= now;

	*ret = (struct admin_token){
		.labels = token->labels,
		.created_at = token->created_at,
		.not_after = token->not_after,
	};
	key_format_hex(&token->join_key, ret->id);
	snprintf(ret->name, sizeof(ret->name), "%s", token->name);
	snprintf(ret->state, sizeof(ret->state), "%s",
		 expired		     ? "expired"
		 : token->state == TOKEN_NEW ? "open"
					     : token_state_name(token->state));
	if (token->state == TOKEN_USED) {
		ret->used_at = token->changed_at;
		id_format(&token->used_by, ret->used_by);
	}
}

/* ---- create ---- */

static int verify(const struct admin_call *call, char *statement, struct token_row *ret,
		  struct reply *reply)
{
	struct token_statement token;
	struct err err = {0};
	int r = trust_verify_token(call->control->trust, statement, strlen(statement), call->now,
				   &token, &err);

	if (r < 0) {
		reply_problem(reply, r == -EKEYEXPIRED ? "token-expired" : "bad-signature",
			      "cannot create the token: %.200s", err.text);
		return r;
	}
	*ret = (struct token_row){
		.join_key = token.join_key,
		.onetime_key = token.onetime_key,
		.address =
			token_address(&control_root(call->control)->overlay6, &token.onetime_key),
		.labels = token.labels,
		.not_after = token.not_after,
		.created_at = call->now,
		.changed_at = call->now,
		.statement = statement, /* borrowed */
	};
	snprintf(ret->name, sizeof(ret->name), "%s", token.name);
	return 0;
}

static void answer_rows(const struct admin_call *call, const struct token_row *rows, size_t n,
			struct reply *reply)
{
	_cleanup_(freep) struct admin_token *tokens = calloc(n + 1, sizeof(*tokens));
	struct admin_token_list list = {.tokens = tokens, .n_tokens = n};

	for (size_t i = 0; tokens && i < n; i++)
		describe(&rows[i], call->now, &tokens[i]);
	reply_json(reply, tokens ? admin_token_list_encode(&list) : NULL);
}

static void create(const struct admin_call *call, const struct admin_token_create *create,
		   struct token_row *rows, struct reply *reply)
{
	size_t n = create->n_statements;
	int r;

	for (size_t i = 0; i < n; i++)
		if (verify(call, create->statements[i], &rows[i], reply) < 0)
			return;
	r = store_token_add(call->control->store, rows, n, call->actor);
	if (r == -EEXIST) {
		reply_problem(reply, "conflict",
			      "cannot create the token: its key is known already");
		return;
	}
	if (r < 0) {
		reply_store_error(reply, r, "create the token");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		log_info("token for %s created by %s", rows[i].name, call->actor);
		control_token_added(call->control, &rows[i].onetime_key, &rows[i].address);
	}
	answer_rows(call, rows, n, reply);
}

void admin_token_create_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(admin_token_create_done) struct admin_token_create message = {0};
	_cleanup_(freep) struct token_row *rows = NULL;
	struct err err = {0};
	size_t length;
	const char *body = http_body(call->request, &length);

	if (admin_token_create_decode(body, length, &message, &err) < 0) {
		reply_problem(reply, "bad-request", "cannot create a token: %.200s", err.text);
		return;
	}
	if (message.n_statements == 0) {
		reply_problem(reply, "bad-request", "cannot create a token: there is no statement");
		return;
	}
	rows = calloc(message.n_statements, sizeof(*rows));
	if (rows)
		create(call, &message, rows, reply);
	else
		reply_json(reply, NULL);
}

/* ---- list and revoke ---- */

struct listing {
	int64_t now;
	const char *who; /* NULL: all */
	struct admin_token *tokens;
	size_t n, room;
};

/* An id, the beginning of one, or a name. */
static bool is_meant(const struct admin_token *token, const char *who)
{
	size_t length = strlen(who);

	if (!who[0])
		return false;
	if (strcmp(token->name, who) == 0)
		return true;
	return length >= ID_DIGITS_MIN && strncmp(token->id, who, length) == 0;
}

static int add_token(const struct token_row *row, void *data)
{
	struct listing *listing = data;
	struct admin_token token;

	describe(row, listing->now, &token);
	if (listing->who && (strcmp(token.state, "open") != 0 || !is_meant(&token, listing->who)))
		return 0;
	if (listing->n == ADMIN_TOKENS_MAX)
		return 0;
	if (listing->n == listing->room) {
		size_t room = listing->room ? listing->room * 2 : 64;
		struct admin_token *tokens = reallocarray(listing->tokens, room, sizeof(*tokens));

		if (!tokens)
			return -ENOMEM;
		listing->tokens = tokens;
		listing->room = room;
	}
	listing->tokens[listing->n++] = token;
	return 0;
}

static void listing_done(struct listing *listing)
{
	free(listing->tokens);
}

void admin_token_list_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(listing_done) struct listing listing = {.now = call->now};
	struct admin_token_list list;
	int r = store_token_list(call->control->store, add_token, &listing);

	if (r < 0) {
		reply_store_error(reply, r, "list tokens");
		return;
	}
	list = (struct admin_token_list){.tokens = listing.tokens, .n_tokens = listing.n};
	reply_json(reply, admin_token_list_encode(&list));
}

static int revoke_each(const struct admin_call *call, struct listing *listing)
{
	for (size_t i = 0; i < listing->n; i++) {
		struct key join_key;
		int r = key_parse_hex(listing->tokens[i].id, &join_key);

		if (r == 0)
			r = store_token_revoke(call->control->store, &join_key, call->actor,
					       call->now);
		if (r < 0 && r != -EALREADY)
			return r;
		snprintf(listing->tokens[i].state, sizeof(listing->tokens[i].state), "%s",
			 r == -EALREADY ? "used" : "revoked");
		if (r == 0)
			log_info("token for %s revoked by %s", listing->tokens[i].name,
				 call->actor);
	}
	return 0;
}

void admin_token_revoke_call(struct admin_call *call, struct reply *reply)
{
	_cleanup_(admin_token_revoke_done) struct admin_token_revoke message = {0};
	_cleanup_(listing_done) struct listing listing = {.now = call->now};
	struct admin_token_list list;
	struct err err = {0};
	size_t length;
	const char *body = http_body(call->request, &length);
	int r;

	if (admin_token_revoke_decode(body, length, &message, &err) < 0) {
		reply_problem(reply, "bad-request", "cannot revoke a token: %.200s", err.text);
		return;
	}
	listing.who = message.token;
	r = store_token_list(call->control->store, add_token, &listing);
	if (r == 0 && listing.n == 0) {
		reply_problem(reply, "token-unknown",
			      "cannot revoke a token: no open one has this id or name");
		return;
	}
	if (r == 0)
		r = revoke_each(call, &listing);
	if (r < 0) {
		reply_store_error(reply, r, "revoke the token");
		return;
	}
	list = (struct admin_token_list){.tokens = listing.tokens, .n_tokens = listing.n};
	reply_json(reply, admin_token_list_encode(&list));
}
