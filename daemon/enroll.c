/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a join token to an identity.
 *
 *	token --checks without a packet--> keys and request on disk --> sortie-join up --> POST /v1/enroll
 *	   --> root by its fingerprint, our own token statement --> answer on disk --> sortie-join gone --> sortie0
 *
 * The request on disk is what makes it safe to crash anywhere: the same token and the same K3 get the same answer.
 * Once a packet may have reached the hub, only a refusal or `leave` gives the token up; silence is asked again.
 */
#include "api/local.h"
#include "api/message.h"
#include "common/log.h"
#include "daemon/agent.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_MS	 5000
#define RETRY_MS	 1000
#define RETRY_LATER_MS	 10000
#define WAITER_MS	 ((LOCAL_ENROLL_SECONDS - 15) * 1000)
#define LOOK_MS		 2000 /* a hub that has not shaken hands by then is asked at its next endpoint */
#define RESOLVE_FAILURES 3
#define JOIN_ROUNDS_MAX	 6

static void send_request(struct agent *agent);

/* ---- ends ---- */

static void forget(struct agent_enroll *enroll)
{
	token_wipe(&enroll->token);
	free(enroll->request);
	desired_free(enroll->desired);
	sd_event_source_disable_unref(enroll->timer);
	memset(enroll, 0, sizeof(*enroll));
}

void enroll_done(struct agent *agent)
{
	if (agent->child)
		child_cancel(agent->child, agent->enroll.question);
	forget(&agent->enroll);
}

void enroll_forget_waiter(struct agent *agent, uint64_t id)
{
	if (agent->enroll.waiter == id)
		agent->enroll.waiter = 0;
}

static void tell_waiter(struct agent *agent, const char *code, const char *detail)
{
	uint64_t waiter = agent->enroll.waiter;

	agent->enroll.waiter = 0;
	if (waiter)
		local_answer_problem(agent, waiter, code, detail);
}

/* Back to where we were: no interface, no table, no keys, no token. */
static void give_up(struct agent *agent, const char *code, const char *detail)
{
	uint64_t waiter = agent->enroll.waiter;
	struct err err = {0};

	log_error("enrolment: %s", detail);
	/* First the deed, then the word: who hears the answer finds nothing left. */
	agent->enroll.waiter = 0;
	if (agent_leave(agent, false, &err) < 0)
		log_error("%s", err.text);
	if (waiter)
		local_answer_problem(agent, waiter, code, detail);
}

/* ---- the answer ---- */

static bool same_range(const struct prefix *a, const struct prefix *b)
{
	return prefix_compare(a, b) == 0;
}

/* What the token said before the first packet and what the root signs must be the same network. */
static int check_root(const struct agent *agent, const struct root_statement *root, struct err *err)
{
	const struct join_token *token = &agent->enroll.token;

	if (same_range(&root->overlay6, &token->overlay6) &&
	    same_range(&root->overlay4, &token->overlay4) &&
	    key_equal(&root->hub_key, &token->hub_key))
		return 0;
	return err_code(err, -EKEYREJECTED,
			"the network's root says other ranges or another hub than the token");
}

static int verify_answer(struct agent *agent, const struct enroll_answer *answer, struct err *err)
{
	_cleanup_(trust_freep) struct trust *trust = NULL;
	struct enroll_request request = {0};
	struct verified_identity self;
	int64_t now = clock_wall();
	int r = trust_new(&agent->enroll.token.network, &agent->enroll.token.root_fingerprint,
			  &trust);

	/* An answer asked for again after the token's end is still the answer to what was in time. */
	if (now >= agent->enroll.token.not_after)
		now = agent->enroll.token.not_after - 1;
	if (r == 0)
		r = trust_accept_root(trust, answer->root, strlen(answer->root), err);
	if (r == 0)
		r = check_root(agent, trust_root(trust), err);
	if (r == 0)
		r = enroll_request_decode(agent->enroll.request, strlen(agent->enroll.request),
					  &request, err);
	if (r == 0)
		r = trust_verify_redemption(trust, answer->token, request.identity, request.key,
					    now, &self, err);
	enroll_request_done(&request);
	if (r == 0 && !key_equal(&self.k3, &agent->k3.public_key))
		r = err_code(err, -EKEYREJECTED, "the answer is not about us");
	return r;
}

/* The control plane proposes, we sign, once: everybody pins it. */
static int sign_ipv4(struct agent *agent, const struct addr *ipv4, struct err *err)
{
	const struct join_token *token = &agent->enroll.token;
	const struct ipv4_statement statement = {
		.network = token->network, .identity = agent->id, .ipv4 = *ipv4};
	const struct signing_key *keys[] = {&agent->k3};
	_cleanup_(freep) char *payload = NULL, *envelope = NULL;
	struct addr hub;
	int r;

	if (!addr_is_set(ipv4))
		return 0;
	hub = hub_address4(&token->overlay4);
	if (!addr_is_set(&token->overlay4.addr) || !prefix_contains(&token->overlay4, ipv4) ||
	    addr_equal(&hub, ipv4) || addr_equal(&token->overlay4.addr, ipv4))
		return err_code(
			err, -EKEYREJECTED,
			"the control plane proposes an IPv4 address outside of the network");
	payload = ipv4_encode(&statement);
	r = payload ? envelope_sign(TYPE_IPV4, payload, strlen(payload), keys, 1, &envelope)
		    : -ENOMEM;
	return r < 0 ? r : state_save(agent->state, STATE_IPV4, envelope, strlen(envelope), err);
}

/* Enrolled in the moment when the answer is on disk; what follows can be done again at the next start. */
static int store_answer(struct agent *agent, const char *bytes, size_t length,
			const struct enroll_answer *answer, struct err *err)
{
	int r = sign_ipv4(agent, &answer->ipv4, err);

	if (r == 0)
		r = state_save(agent->state, STATE_ANSWER, bytes, length, err);
	return r;
}

static void finish(struct agent *agent)
{
	uint64_t waiter = agent->enroll.waiter;
	struct err err = {0};

	if (kernel_remove_interface(agent->kernel, agent->options.join_interface, &err) < 0)
		log_error("%s", err.text);
	agent->enroll.waiter = 0;
	hubs_answered(agent);
	if (agent_begin(agent, &err) < 0) {
		log_error("%s", err.text);
		if (waiter)
			local_answer_problem(agent, waiter, "internal", err.text);
		return;
	}
	log_info("enrolled as %s", agent->name);
	if (waiter)
		local_answer_enrolled(agent, waiter);
}

static void on_answer(struct agent *agent, const char *bytes, size_t length)
{
	struct enroll_answer answer = {0};
	struct err err = {0};
	int r = enroll_answer_decode(bytes, length, &answer, &err);

	if (r == 0)
		r = verify_answer(agent, &answer, &err);
	if (r < 0) {
		give_up(agent, "bad-signature", err.text);
	} else if (store_answer(agent, bytes, length, &answer, &err) < 0) {
		/* The disk is the reason, not the token: the same request gets the same answer later. */
		log_error("%s", err.text);
		tell_waiter(agent, "storage-full", err.text);
		send_request(agent);
	} else {
		finish(agent);
	}
	enroll_answer_done(&answer);
}

/* ---- asking ---- */

static void note_failure(struct agent *agent)
{
	struct agent_enroll *enroll = &agent->enroll;

	enroll->failures++;
	if (enroll->waiter && mono_diff_ms(clock_mono(), enroll->waiter_until) >= 0)
		tell_waiter(
			agent, "unreachable",
			"enrol: the hub does not answer; the agent goes on trying, `sortie leave` "
			"gives up");
}

static void drop_question(struct agent *agent)
{
	child_cancel(agent->child, agent->enroll.question);
	agent->enroll.question = 0;
}

/* A handshake now: WireGuard repeats one only after 5 s, wherever its peer is by then. */
static void restart_hub(struct agent *agent)
{
	struct desired *desired = agent->enroll.desired;
	struct err err = {0};

	desired_point_peer(desired, &agent->enroll.token.hub_key, choice_now(&agent->hubs.choice));
	if (kernel_restart_peer(agent->kernel, &desired->wg.peers[0], &err) < 0)
		log_error("%s", err.text);
}

static void ask_elsewhere(struct agent *agent)
{
	drop_question(agent);
	note_failure(agent);
	hubs_next(agent);
	restart_hub(agent);
	send_request(agent);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;
	struct agent_enroll *enroll = &agent->enroll;

	if (enroll->question) {
		if (kernel_has_session(agent->kernel, agent->options.join_interface,
				       &enroll->token.hub_key))
			hubs_answered(agent);
		else
			ask_elsewhere(agent);
	} else if (!enroll->desired || enroll->failures % RESOLVE_FAILURES == 0) {
		hubs_next(agent);
		hubs_resolve(agent); /* enroll_on_hubs() goes on */
	} else {
		send_request(agent);
	}
	return 0;
}

static void set_timer(struct agent *agent, uint64_t in_ms)
{
	struct agent_enroll *enroll = &agent->enroll;

	enroll->timer = sd_event_source_disable_unref(enroll->timer);
	(void)sd_event_add_time_relative(agent->event, &enroll->timer, CLOCK_BOOTTIME, in_ms * 1000,
					 50000, on_timer, agent);
}

static void try_later(struct agent *agent, uint64_t in_ms)
{
	note_failure(agent);
	set_timer(agent, in_ms + randombytes_uniform(500));
}

static void on_refused(struct agent *agent, const struct ipc_call_done *done)
{
	struct problem problem;
	struct err err = {0};

	if (done->status >= 500 || done->status == 429 || done->status == 408) {
		try_later(agent, RETRY_MS);
		return;
	}
	if (problem_decode(done->body, done->body_length, &problem, &err) < 0) {
		(void)snprintf(problem.code, sizeof(problem.code), "internal");
		(void)snprintf(problem.detail, sizeof(problem.detail),
			       "enrol: the hub answers with HTTP %u", done->status);
	}
	give_up(agent, problem.code, problem.detail);
}

static void on_done(const struct ipc_call_done *done, void *data)
{
	struct agent *agent = data;

	agent->enroll.question = 0;
	if (agent->phase != AGENT_ENROLLING)
		return;
	if (done->error < 0)
		try_later(agent, RETRY_MS);
	else if (done->status != 200)
		on_refused(agent, done);
	else
		on_answer(agent, done->body, done->body_length);
}

static void send_request(struct agent *agent)
{
	struct agent_enroll *enroll = &agent->enroll;
	const struct ipc_call call = {
		.to = {.addr = enroll->desired->fw.hub6, .port = enroll->desired->fw.enroll_port},
		.interface = agent->options.join_interface,
		.method = "POST",
		.path = "/v1/enroll",
		.timeout_ms = CALL_TIMEOUT_MS,
		.answer_max = API_ENROLL_BODY_MAX * 16,
		.body = enroll->request,
		.body_length = strlen(enroll->request),
	};

	enroll->sent = true;
	if (!child_is_ready(agent->child) ||
	    child_call(agent->child, &call, on_done, agent, &enroll->question) < 0)
		try_later(agent, RETRY_MS);
	else if (agent->hubs.choice.n > 1)
		set_timer(agent, LOOK_MS);
}

/* ---- the interface that asks ---- */

static int join_round(struct agent *agent, struct err *err)
{
	struct agent_enroll *enroll = &agent->enroll;
	const struct desired_join_input input = {
		.ifname = agent->options.interface,
		.join_ifname = agent->options.join_interface,
		.token = &enroll->token,
		.enroll_port = ENROLL_PORT_DEFAULT,
		.api_port = API_PORT_DEFAULT,
		.listen_port = enroll->listen_port,
		.hubs = agent->hubs.choice.list,
		.n_hubs = agent->hubs.choice.n,
		.hub_at = choice_now(&agent->hubs.choice),
		.api_uid = agent->net_uid,
	};
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct desired *desired = NULL;
	struct actual actual = {0};
	int r = desired_build_join(&input, &desired, err);

	if (r == 0)
		r = kernel_read(agent->kernel, desired, true, &actual, err);
	if (r == 0 && actual.wg)
		desired->wg.listen_port = desired->fw.listen_port = enroll->listen_port =
			actual.wg->listen_port;
	if (r == 0)
		r = plan_build(desired, &actual, &plan);
	if (r == 0 && plan->n > 0)
		r = kernel_apply(agent->kernel, desired, plan, err) < 0 ? -EIO : 1;
	desired_free(enroll->desired);
	enroll->desired = r < 0 ? NULL : desired;
	if (r < 0)
		desired_free(desired);
	actual_done(&actual);
	return r;
}

static int bring_up(struct agent *agent, struct err *err)
{
	int r = 1;

	for (int i = 0; r == 1 && i < JOIN_ROUNDS_MAX; i++)
		r = join_round(agent, err);
	return r < 0 ? r : 0;
}

void enroll_on_hubs(struct agent *agent, bool found)
{
	struct err err = {0};

	if (!found && !agent->enroll.sent && agent->enroll.waiter) {
		give_up(agent, "endpoint-unresolved",
			"enrol: no endpoint of the token resolves to an address: check the name and "
			"this host's name servers");
		return;
	}
	if (agent->hubs.choice.n == 0) {
		try_later(agent, RETRY_LATER_MS);
		return;
	}
	drop_question(agent);
	if (bring_up(agent, &err) < 0) {
		if (!agent->enroll.sent && agent->enroll.waiter) {
			give_up(agent, "internal", err.text);
			return;
		}
		log_error("%s", err.text);
		try_later(agent, RETRY_LATER_MS);
		return;
	}
	restart_hub(agent);
	send_request(agent);
}

/* ---- the beginning ---- */

static int start_new(struct agent *agent, const struct join_token *token, const char **ret_code,
		     struct err *err)
{
	struct err ignored = {0};
	int r = enroll_check(agent, token, ret_code, err);

	if (r < 0)
		return r;
	r = enroll_make_request(agent, token, err);
	if (r == 0)
		r = enroll_store_request(agent, token, err);
	if (r < 0) {
		*ret_code = r == -ENOSPC || r == -EDQUOT ? "storage-full" : "internal";
		enroll_done(agent);
		(void)state_clear(agent->state, &ignored);
		return r;
	}
	agent->enroll.token = *token;
	agent->phase = AGENT_ENROLLING;
	return 0;
}

static bool same_token(const struct join_token *a, const struct join_token *b)
{
	return memcmp(&a->network, &b->network, sizeof(a->network)) == 0 &&
	       key_equal(&a->seed, &b->seed);
}

static int begin(struct agent *agent, const struct join_token *token, const char **ret_code,
		 struct err *err)
{
	if (agent->phase == AGENT_ENROLLED) {
		*ret_code = "already-enrolled";
		return err_code(err, -EALREADY,
				"enrol: this host is enrolled as %s: `sortie leave` first",
				agent->name);
	}
	if (agent->phase == AGENT_UNENROLLED && state_has(agent->state, STATE_INTERFACE)) {
		*ret_code = "conflict";
		return err_code(
			err, -EEXIST,
			"enrol: the rest of an earlier membership is left here, %s among it: "
			"`sortie leave` first",
			agent->options.interface);
	}
	if (agent->phase == AGENT_UNENROLLED)
		return start_new(agent, token, ret_code, err);
	if (same_token(&agent->enroll.token, token))
		return 0; /* it is under way: wait for it too */
	*ret_code = "conflict";
	return err_code(
		err, -EBUSY,
		"enrol: an enrolment with another token is under way: `sortie leave` gives it "
		"up");
}

int enroll_begin(struct agent *agent, const char *text, uint64_t waiter, const char **ret_code,
		 struct err *err)
{
	struct join_token token;
	bool running = agent->phase == AGENT_ENROLLING;
	int r = token_decode(text, &token, err);

	if (r < 0) {
		*ret_code = "token-invalid";
		return r;
	}
	r = begin(agent, &token, ret_code, err);
	token_wipe(&token);
	if (r < 0)
		return r;
	tell_waiter(agent, "conflict", "enrol: somebody else asked with the same token");
	agent->enroll.waiter = waiter;
	agent->enroll.waiter_until.us = clock_mono().us + WAITER_MS * INT64_C(1000);
	if (!running)
		hubs_resolve(agent);
	return 0;
}

int enroll_resume(struct agent *agent, struct err *err)
{
	char *text = NULL;
	size_t length = 0;
	int r = state_load_k3(agent->state, &agent->k3, err);

	if (r == 0)
		r = state_load_k4(agent->state, &agent->k4, err);
	if (r == 0)
		r = key_public_curve25519(&agent->k4, &agent->k4_public);
	if (r == 0)
		r = state_load(agent->state, STATE_REQUEST, &agent->enroll.request, &length, err);
	if (r == 0)
		r = state_load(agent->state, STATE_TOKEN, &text, &length, err);
	if (r == 0)
		r = token_decode(text, &agent->enroll.token, err);
	if (text)
		sodium_memzero(text, length);
	free(text);
	if (r < 0)
		return r;
	agent->id = id_of_public_key(agent->k3.public_key.bytes);
	agent->enroll.sent = true; /* for all we know */
	agent->phase = AGENT_ENROLLING;
	log_info("an enrolment was interrupted: going on with it");
	return 0;
}
