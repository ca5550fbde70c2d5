/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Enrolment. Everything that is refused here leaves the token as it was. */
#include "control-plane/enroll.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "api/message.h"
#include "control-plane/store_audit.h"
#include "control-plane/store_redeem.h"
#include "control-plane/store_token.h"

#define TRIED "cannot enrol"

static void audit_refusal(const struct enroll *enroll, const struct token_row *token,
			  const char *action, const char *detail, int64_t now)
{
	char hex[KEY_HEX_MAX], actor[AUDIT_TEXT_MAX];

	key_format_hex(&token->join_key, hex);
	snprintf(actor, sizeof(actor), "token %s", hex);
	/* a full disk must not turn a refusal into something else */
	(void)store_audit_event(enroll->store, &(struct audit_entry){
						       .at = now,
						       .actor = actor,
						       .action = action,
						       .object = hex,
						       .detail = detail,
					       });
}

struct answer_data {
	const struct enroll *enroll;
	const struct token_row *token;
};

static char *make_answer(const struct addr *ipv4, void *data)
{
	const struct answer_data *from = data;
	_cleanup_(freep) char *root = strdup(from->enroll->root);
	struct enroll_answer answer = {
		.root = root, .token = from->token->statement, .ipv4 = *ipv4};

	return root ? enroll_answer_encode(&answer) : NULL;
}

static int answer_redemption(const struct token_row *token, enum redeem_result result, char *answer,
			     struct reply *reply)
{
	switch (result) {
	case REDEEM_DONE:
		reply_json(reply, answer);
		return 1;
	case REDEEM_REPEATED:
		reply_json(reply, answer);
		return 0;
	case REDEEM_USED:
		reply_problem(reply, "token-used",
			      TRIED ": another host has used the token for %.127s; if that was not "
				    "you, revoke that identity, then create a new token",
			      token->name);
		return 0;
	case REDEEM_EXPIRED:
		reply_problem(reply, "token-expired",
			      TRIED ": the token for %.127s has expired; create a new one",
			      token->name);
		return 0;
	case REDEEM_REVOKED:
		reply_problem(reply, "token-revoked",
			      TRIED ": the token for %.127s was revoked; create a new one",
			      token->name);
		return 0;
	case REDEEM_DEAD:
		reply_problem(reply, "revoked",
			      TRIED ": the identity %.127s that this token made was revoked",
			      token->name);
		return 0;
	case REDEEM_NAME_TAKEN:
		reply_problem(reply, "conflict",
			      TRIED
			      ": a living identity is named %.127s; revoke it or use another name",
			      token->name);
		return 0;
	case REDEEM_KEY_TAKEN:
		reply_problem(reply, "conflict",
			      TRIED ": an identity with this host's key exists; make new keys "
				    "(a copied state folder?)");
		return 0;
	case REDEEM_FULL:
		reply_problem(reply, "unavailable",
			      TRIED ": the network is full (4096 identities); revoke some");
		return 0;
	}
	return -EINVAL;
}

static int redeem(const struct enroll *enroll, const struct token_row *token,
		  const struct enroll_request *request, const struct verified_identity *verified,
		  int64_t now, struct reply *reply, struct id *ret_id)
{
	struct answer_data data = {enroll, token};
	struct identity_row row = {
		.id = verified->id,
		.k3 = verified->k3,
		.join_key = verified->join_key,
		.labels = verified->member.labels,
		.ipv6 = verified->ipv6,
		.k4 = verified->k4,
		.generation = verified->generation,
		.identity = request->identity,
		.key = request->key,
	};
	char actor[AUDIT_TEXT_MAX], hex[KEY_HEX_MAX];
	struct redemption redemption = {
		.identity = &row,
		.overlay4 = trust_root(enroll->trust)->overlay4,
		.actor = actor,
		.now = now,
		.answer = make_answer,
		.data = &data,
	};
	enum redeem_result result;
	char *answer = NULL;
	int r;

	snprintf(row.name, sizeof(row.name), "%s", verified->member.name);
	snprintf(actor, sizeof(actor), "token %s", key_format_hex(&token->join_key, hex));
	r = store_redeem(enroll->store, &redemption, &result, &answer);
	if (r < 0) {
		reply_store_error(reply, r, "enrol");
		return r;
	}
	*ret_id = row.id;
	return answer_redemption(token, result, answer, reply);
}

/*
 * A used token is verified as of its use: the same request must get the same answer also when the token's time is
 * over by now. An expired or revoked one is refused before anything is verified.
 */
static bool refused_at_once(const struct enroll *enroll, const struct token_row *token, int64_t now,
			    struct reply *reply)
{
	if (token->state == TOKEN_REVOKED) {
		audit_refusal(enroll, token, "token-refused-revoked", token->name, now);
		answer_redemption(token, REDEEM_REVOKED, NULL, reply);
		return true;
	}
	if (token->state == TOKEN_NEW && token->not_after <= now) {
		audit_refusal(enroll, token, "token-expired", token->name, now);
		answer_redemption(token, REDEEM_EXPIRED, NULL, reply);
		return true;
	}
	return false;
}

static int verify(const struct enroll *enroll, const struct token_row *token,
		  const struct enroll_request *request, int64_t now, struct verified_identity *ret,
		  struct reply *reply)
{
	int64_t as_of = token->state == TOKEN_USED ? token->changed_at : now;
	struct err err = {0};
	int r = trust_verify_redemption(enroll->trust, token->statement, request->identity,
					request->key, as_of, ret, &err);

	if (r == 0 && key_equal(&ret->join_key, &token->join_key))
		return 0;
	if (r == -ENOMEM) {
		reply_problem(reply, "internal", TRIED ": out of memory");
		return r;
	}
	audit_refusal(enroll, token, "enrol-refused", err.text, now);
	reply_problem(reply, "bad-signature", TRIED ": %.200s",
		      r == 0 ? "the statement belongs to another token" : err.text);
	return -EKEYREJECTED;
}

int enroll_handle(const struct enroll *enroll, const struct addr *from, const char *body,
		  size_t length, int64_t now, struct reply *reply, struct id *ret_id)
{
	_cleanup_(enroll_request_done) struct enroll_request request = {0};
	_cleanup_(token_row_done) struct token_row token = {0};
	struct verified_identity verified;
	struct err err = {0};
	int r = store_token_by_address(enroll->store, from, &token);

	if (r == -ENOENT) {
		reply_problem(reply, "token-unknown", TRIED ": no token belongs to this address");
		return 0;
	}
	if (r < 0) {
		reply_store_error(reply, r, "enrol");
		return r;
	}
	if (refused_at_once(enroll, &token, now, reply))
		return 0;
	r = enroll_request_decode(body, length, &request, &err);
	if (r < 0) {
		reply_problem(reply, "bad-request", TRIED ": %.200s", err.text);
		return 0;
	}
	r = verify(enroll, &token, &request, now, &verified, reply);
	if (r < 0)
		return r == -EKEYREJECTED ? 0 : r;
	return redeem(enroll, &token, &request, &verified, now, reply, ret_id);
}
