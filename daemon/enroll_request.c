/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host brings to its enrolment: K3 and K4, and the two statements that bind them to the token. Made once and
 * written before the first packet, so that every repetition is the same request.
 */
#include "api/message.h"
#include "daemon/agent.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define K3_ATTEMPTS 16

static int make_k3(struct agent *agent, const struct join_token *token, struct err *err)
{
	int r = -EAGAIN;

	/* One in 32,768 addresses is reserved. */
	for (int i = 0; r == -EAGAIN && i < K3_ATTEMPTS; i++) {
		signing_key_generate(&agent->k3);
		r = identity_address(&token->network, &token->overlay6, &agent->k3.public_key,
				     &agent->ipv6);
	}
	if (r < 0)
		return err_code(err, r, "make an identity key: %s", strerror(-r));
	agent->id = id_of_public_key(agent->k3.public_key.bytes);
	key_generate_curve25519(&agent->k4);
	return key_public_curve25519(&agent->k4, &agent->k4_public);
}

static int sign_identity(const struct agent *agent, const struct join_token *token, char **ret)
{
	struct identity_statement statement = {.network = token->network,
					       .k3 = agent->k3.public_key,
					       .k4 = agent->k4_public,
					       .ipv6 = agent->ipv6,
					       .created_at = clock_wall()};
	struct signing_key join;
	const struct signing_key *keys[] = {&agent->k3, &join};
	_cleanup_(freep) char *payload = NULL;
	int r;

	token_join_key(token, &join);
	statement.join_key = join.public_key;
	payload = identity_encode(&statement);
	r = payload ? envelope_sign(TYPE_IDENTITY, payload, strlen(payload), keys, 2, ret)
		    : -ENOMEM;
	signing_key_wipe(&join);
	return r;
}

static int sign_k4(const struct agent *agent, const struct join_token *token, char **ret)
{
	const struct key_statement statement = {.network = token->network,
						.identity = agent->id,
						.generation = 1,
						.k4 = agent->k4_public,
						.not_before = clock_wall()};
	const struct signing_key *keys[] = {&agent->k3};
	_cleanup_(freep) char *payload = key_encode(&statement);

	return payload ? envelope_sign(TYPE_KEY, payload, strlen(payload), keys, 1, ret) : -ENOMEM;
}

int enroll_make_request(struct agent *agent, const struct join_token *token, struct err *err)
{
	struct enroll_request request = {0};
	int r = make_k3(agent, token, err);

	if (r == 0)
		r = sign_identity(agent, token, &request.identity);
	if (r == 0)
		r = sign_k4(agent, token, &request.key);
	if (r == 0) {
		agent->enroll.request = enroll_request_encode(&request);
		r = agent->enroll.request ? 0 : -ENOMEM;
	}
	enroll_request_done(&request);
	return r;
}

/* The token comes last: it is what says that the rest is complete. */
int enroll_store_request(struct agent *agent, const struct join_token *token, struct err *err)
{
	struct join_token pins = *token;
	char text[TOKEN_TEXT_MAX];
	int r;

	key_wipe(&pins.seed);
	r = token_encode(&pins, text);
	if (r == 0)
		r = state_save_k3(agent->state, &agent->k3, err);
	if (r == 0)
		r = state_save_k4(agent->state, &agent->k4, err);
	if (r == 0)
		r = state_save(agent->state, STATE_PINS, text, strlen(text), err);
	if (r == 0)
		r = state_save(agent->state, STATE_REQUEST, agent->enroll.request,
			       strlen(agent->enroll.request), err);
	if (r == 0)
		r = state_save(agent->state, STATE_INTERFACE, agent->options.join_interface,
			       strlen(agent->options.join_interface), err);
	if (r == 0)
		r = token_encode(token, text);
	if (r == 0)
		r = state_save(agent->state, STATE_TOKEN, text, strlen(text), err);
	sodium_memzero(text, sizeof(text));
	return r;
}
