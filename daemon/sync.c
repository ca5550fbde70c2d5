/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The long poll: what we have seen, what our kernel holds, and then whatever is newer.
 *
 * Every request is signed by K3 for this hub and this moment. An answer is verified, written, applied, and
 * acknowledged by the next request, which goes out at once.
 */
#include "api/message.h"
#include "common/log.h"
#include "daemon/agent.h"
#include <errno.h>
#include <malloc.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS	((API_POLL_SECONDS + 10) * 1000)
#define RETRY_FIRST_MS	250
#define RETRY_LAST_MS	4000 /* a control plane that returns is found within 5 s */
#define SAME_AGAIN_MS	1000
#define READD_JITTER_MS 2000

static void schedule(struct agent *agent, uint64_t in_ms);

static uint64_t with_jitter(uint64_t ms)
{
	return ms / 2 + randombytes_uniform((uint32_t)ms + 1);
}

static void retry(struct agent *agent)
{
	unsigned int shift = agent->sync.failures < 8 ? agent->sync.failures : 8;
	uint64_t ms = (uint64_t)RETRY_FIRST_MS << shift;

	agent->sync.failures++;
	schedule(agent, with_jitter(ms < RETRY_LAST_MS ? ms : RETRY_LAST_MS));
}

/* ---- the request ---- */

static char *encode_request(struct agent *agent)
{
	char text[API_RENEW_MAX][ID_HEX_MAX], *unanswered[API_RENEW_MAX];
	struct sync_request request = {.applied = agent->applied,
				       .unanswered = unanswered,
				       .n_unanswered = agent->sync.n_unanswered};

	/* Where the last call failed, or there was none since the start: nothing is named as seen, so the answer comes at
	 * once, and `status` need not call a control plane silent that only has nothing new to say. */
	if (agent->view && agent->sync.answers) {
		request.revision = agent->view->revision;
		memcpy(request.boot_id, agent->view->boot_id, sizeof(request.boot_id));
	}
	if (!agent->view || !agent->view->self_has_ipv4)
		request.ipv4 = agent->own_ipv4;
	for (size_t i = 0; i < request.n_unanswered; i++) {
		(void)id_format(&agent->sync.unanswered[i], text[i]);
		unanswered[i] = text[i];
	}
	agent->sync.n_unanswered = 0;
	return sync_request_encode(&request);
}

static int sign_request(const struct agent *agent, char *payload, char **ret)
{
	struct call_statement call = {.network = agent->pins.network,
				      .hub = trust_root(agent->trust)->hub_key,
				      .method = "POST",
				      .path = "/v1/sync",
				      .at = clock_wall(),
				      .payload = payload};
	const struct signing_key *keys[] = {&agent->k3};
	_cleanup_(freep) char *text = NULL;

	randombytes_buf(call.nonce, sizeof(call.nonce));
	text = call_encode(&call);
	return text ? envelope_sign(TYPE_CALL, text, strlen(text), keys, 1, ret) : -ENOMEM;
}

static void on_done(const struct ipc_call_done *done, void *data);

static int send_request(struct agent *agent)
{
	_cleanup_(freep) char *payload = encode_request(agent), *envelope = NULL;
	struct ipc_call call = {.interface = agent->options.interface,
				.method = "POST",
				.path = "/v1/sync",
				.timeout_ms = TIMEOUT_MS,
				.answer_max = API_ANSWER_MAX};
	int r = payload ? sign_request(agent, payload, &envelope) : -ENOMEM;

	if (r < 0)
		return r;
	call.to.addr = agent->desired->fw.hub6;
	call.to.port = agent->desired->fw.api_port;
	call.body = envelope;
	call.body_length = strlen(envelope);
	agent->sync.asked_at = clock_mono();
	return child_call(agent->child, &call, on_done, agent, &agent->sync.question);
}

/* ---- the answer ---- */

static int on_readd(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;

	/* Without one the next convergence makes it anew. */
	if (kernel_device(agent->kernel, agent->options.interface, &device) == 0)
		contact_renew(agent, device);
	return 0;
}

/* The relay lost what it had learnt of our sessions: new handshakes teach it. Not everybody in the same moment. */
static void readd_peers(struct agent *agent)
{
	log_info("the hub was started anew: sessions with peers are, too");
	agent->sync.readd = sd_event_source_disable_unref(agent->sync.readd);
	(void)sd_event_add_time_relative(agent->event, &agent->sync.readd, CLOCK_BOOTTIME,
					 randombytes_uniform(READD_JITTER_MS) * UINT64_C(1000),
					 50000, on_readd, agent);
}

static void set_problem(struct agent *agent, const char *text)
{
	/* Once per change: a control plane that is away for a day is one line. */
	if (text[0] && strcmp(agent->sync.problem, text) != 0)
		log_warning("%s", text);
	(void)snprintf(agent->sync.problem, sizeof(agent->sync.problem), "%s", text);
}

static void fail(struct agent *agent, const char *text)
{
	agent->sync.answers = false;
	set_problem(agent, text);
	retry(agent);
}

static void fail_by_problem(struct agent *agent, const struct ipc_call_done *done)
{
	struct problem problem;
	struct err err = {0};
	char text[sizeof(agent->sync.problem) + sizeof(problem.code)];

	if (problem_decode(done->body, done->body_length, &problem, &err) < 0)
		(void)snprintf(text, sizeof(text), "the control plane answers with HTTP %u",
			       done->status);
	else
		(void)snprintf(text, sizeof(text), "the control plane refuses: %.200s (%s)",
			       problem.detail, problem.code);
	fail(agent, text);
}

static void fail_by_error(struct agent *agent, int error)
{
	char text[128];

	/* Anything else than no connection and no answer in time: it was ended, or broke off. */
	(void)snprintf(text, sizeof(text), "the control plane does not answer: %s",
		       error == -EIO ? "the connection ended before the answer" : strerror(-error));
	fail(agent, text);
}

/* A server that answers at once with nothing new is not asked in a loop. */
static bool was_poll(const struct agent *agent)
{
	return mono_diff_ms(clock_mono(), agent->sync.asked_at) > SAME_AGAIN_MS;
}

/* The hub speaks with us no more, so nobody is asked again. */
static void stop_revoked(struct agent *agent)
{
	agent->sync.answers = false;
	set_problem(agent,
		    "this identity was revoked: `sortie leave`, then enrol again with a new token");
}

static void accept_tombstone(struct agent *agent, const struct ipc_call_done *done)
{
	char text[sizeof(agent->sync.problem)];
	struct err err = {0};

	if (agent_accept_tombstone(agent, done->body, done->body_length, &err) < 0) {
		(void)snprintf(text, sizeof(text),
			       "the control plane says that we were revoked and does not show it: "
			       "%.120s",
			       err.text);
		fail(agent, text);
		return;
	}
	if (agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
	stop_revoked(agent);
}

/* Already applied in the moment when the next request says so. */
static void accept_answer(struct agent *agent, const struct ipc_call_done *done)
{
	uint64_t before = agent->view ? agent->view->revision : 0;
	char boot_id[sizeof(agent->view->boot_id)] = "";
	struct err err = {0};
	bool news;

	if (agent->view)
		memcpy(boot_id, agent->view->boot_id, sizeof(boot_id));
	if (agent_accept(agent, done->body, done->body_length, &err) < 0) {
		fail(agent, err.text);
		return;
	}
	agent->sync.answers = true;
	agent->sync.failures = 0;
	agent->sync.succeeded_at = clock_wall();
	set_problem(agent, "");
	news = agent->view->revision != before || agent->applied != agent->view->revision;
	if (agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
	/* Decoding an answer takes several times what stays of it: with 100 peers 1.4 MB go back to the system. */
	(void)malloc_trim(0);
	if (boot_id[0] && strcmp(boot_id, agent->view->boot_id) != 0)
		readd_peers(agent);
	contact_renew_asked(agent, agent->view->renew, agent->view->n_renew);
	if (agent_revoked(agent))
		stop_revoked(agent);
	else if ((news && !agent->trouble[0]) || was_poll(agent))
		sync_start(agent);
	else
		schedule(agent, SAME_AGAIN_MS);
}

static void on_done(const struct ipc_call_done *done, void *data)
{
	struct agent *agent = data;

	agent->sync.question = 0;
	if (agent->phase != AGENT_ENROLLED)
		return;
	if (done->error < 0)
		fail_by_error(agent, done->error);
	else if (done->status == API_REVOKED_STATUS)
		accept_tombstone(agent, done);
	else if (done->status != 200)
		fail_by_problem(agent, done);
	else
		accept_answer(agent, done);
}

/* ---- when ---- */

static int on_retry(sd_event_source *source, uint64_t usec, void *data)
{
	sync_start(data);
	return 0;
}

static void schedule(struct agent *agent, uint64_t in_ms)
{
	agent->sync.retry = sd_event_source_disable_unref(agent->sync.retry);
	(void)sd_event_add_time_relative(agent->event, &agent->sync.retry, CLOCK_BOOTTIME,
					 in_ms * 1000, 50000, on_retry, agent);
}

void sync_start(struct agent *agent)
{
	int r;

	if (agent->phase != AGENT_ENROLLED || agent->down || !agent->trust || !agent->desired)
		return;
	child_cancel(agent->child, agent->sync.question);
	agent->sync.question = 0;
	agent->sync.retry = sd_event_source_disable_unref(agent->sync.retry);
	if (agent_revoked(agent)) {
		stop_revoked(agent);
		return;
	}
	r = child_is_ready(agent->child) ? send_request(agent) : -EAGAIN;
	if (r < 0)
		retry(agent);
}

void sync_stop(struct agent *agent)
{
	if (agent->child)
		child_cancel(agent->child, agent->sync.question);
	sd_event_source_disable_unref(agent->sync.retry);
	sd_event_source_disable_unref(agent->sync.readd);
	memset(&agent->sync, 0, sizeof(agent->sync));
}
