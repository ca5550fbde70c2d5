/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET /v1/local/flows, POST /v1/local/can: questions about what was denied, and what would be. */
#include "daemon/local.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POLLS_MAX  32 /* waiting at a time: more get an empty answer at once */
#define DENIES_MAX 5  /* shown by `can` */

struct poll {
	uint64_t id; /* 0: free */
	uint64_t after;
	bool denied_only;
	struct agent *agent;
	sd_event_source *timer;
};

/* Waiting requests belong to the process like its loop; there is one agent in it. */
static struct poll polls[POLLS_MAX];

/* ---- flows ---- */

/* NULL where nothing is there and the asker would rather wait. */
static char *encode_flows(const struct agent *agent, uint64_t after, bool denied_only,
			  bool even_empty)
{
	struct local_flows answer = {0};
	char *text = NULL;

	answer.flows = calloc(LOCAL_FLOWS_MAX, sizeof(*answer.flows));
	if (!answer.flows)
		return NULL;
	answer.n_flows = flowlog_read(agent->flowlog, after, denied_only, answer.flows,
				      LOCAL_FLOWS_MAX, &answer.lost);
	answer.next = answer.n_flows == LOCAL_FLOWS_MAX ? answer.flows[answer.n_flows - 1].sequence
							: flowlog_next(agent->flowlog) - 1;
	if (answer.n_flows > 0 || even_empty)
		text = local_flows_encode(&answer);
	local_flows_done(&answer);
	return text;
}

static void end_poll(struct poll *poll)
{
	poll->timer = sd_event_source_disable_unref(poll->timer);
	poll->id = 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct poll *poll = data;
	uint64_t id = poll->id;
	char *text = encode_flows(poll->agent, poll->after, poll->denied_only, true);

	end_poll(poll);
	local_answer_text(poll->agent, id, text);
	return 0;
}

static bool start_poll(struct agent *agent, uint64_t id, uint64_t after, bool denied_only)
{
	for (size_t i = 0; i < POLLS_MAX; i++) {
		struct poll *poll = &polls[i];
		if (poll->id)
			continue;
		*poll = (struct poll){id, after, denied_only, agent, NULL};
		if (sd_event_add_time_relative(agent->event, &poll->timer, CLOCK_BOOTTIME,
					       LOCAL_POLL_SECONDS * UINT64_C(1000000), 100000,
					       on_deadline, poll) >= 0)
			return true;
		poll->id = 0;
		return false;
	}
	return false;
}

void local_flows_ask(struct agent *agent, uint64_t id, uint64_t after, bool denied_only, bool wait)
{
	char *text;

	/* A number from before our restart would wait for records that never come. */
	if (after >= flowlog_next(agent->flowlog))
		after = 0;
	text = encode_flows(agent, after, denied_only, !wait);
	if (!text && wait && start_poll(agent, id, after, denied_only))
		return;
	if (!text)
		text = encode_flows(agent, after, denied_only, true);
	local_answer_text(agent, id, text);
}

void local_flows_forget(struct agent *agent, uint64_t id)
{
	for (size_t i = 0; i < POLLS_MAX; i++)
		if (polls[i].id == id)
			end_poll(&polls[i]);
}

void local_on_flow(struct agent *agent)
{
	for (size_t i = 0; i < POLLS_MAX; i++) {
		struct poll *poll = &polls[i];
		char *text = poll->id ? encode_flows(agent, poll->after, poll->denied_only, false)
				      : NULL;
		uint64_t id = poll->id;
		if (!text)
			continue;
		end_poll(poll);
		local_answer_text(agent, id, text);
	}
}

void local_done(struct agent *agent)
{
	for (size_t i = 0; i < POLLS_MAX; i++)
		end_poll(&polls[i]);
}

/* ---- can ---- */

static const struct verified_identity *find_name(const struct agent *agent, const char *name)
{
	const struct view *view = agent->view;

	if (name[0] == '\0' || strcmp(name, view->self.member.name) == 0)
		return &view->self;
	for (size_t i = 0; i < view->n_peers; i++)
		if (strcmp(view->peers[i].member.name, name) == 0)
			return &view->peers[i];
	return NULL;
}

struct pair {
	const struct verified_identity *from, *to;
	struct policy_port port;
};

static int find_pair(const struct agent *agent, const struct local_can *question, struct pair *ret,
		     const char **ret_code, struct err *err)
{
	int r;

	if (agent->phase != AGENT_ENROLLED || !agent->view || !agent->trust) {
		*ret_code = "not-enrolled";
		return err_code(err, -ENOENT,
				agent->phase == AGENT_ENROLLED
					? "can: this host has no answer of a control plane yet"
					: "can: this host is not enrolled: `sortie enroll --token "
					  "file:PATH`");
	}
	r = policy_port_parse(question->port, &ret->port, err);
	if (r < 0)
		return r;
	ret->from = find_name(agent, question->from);
	ret->to = find_name(agent, question->to);
	*ret_code = "not-found";
	if (!ret->from || !ret->to)
		return err_code(
			err, -ENOENT,
			"can: %s is neither this host nor one of its peers: ask on the control "
			"plane's host",
			ret->from ? question->to : question->from);
	return 0;
}

/* A rule is one thing, an admission that holds now the other. */
static void decide_lease(const struct agent *agent, const struct verified_identity *who,
			 struct local_can_answer *answer)
{
	if (!answer->allowed || who->lease_not_after > clock_wall())
		return;
	answer->allowed = false;
	(void)snprintf(answer->reason, sizeof(answer->reason),
		       "a rule allows it, but the admission of %.126s has expired",
		       who->member.name);
}

static void decide(const struct agent *agent, const struct pair *pair,
		   struct local_can_answer *answer)
{
	const struct policy *policy = trust_policy(agent->trust);
	const struct policy_statement *statement = trust_policy_statement(agent->trust);
	struct policy_decision decision = {0};

	if (!policy || !statement || statement->not_after <= clock_wall()) {
		(void)snprintf(answer->reason, sizeof(answer->reason),
			       policy ? "the policy has expired: everything is denied"
				      : "there is no policy yet: everything is denied");
		return;
	}
	policy_decide(policy, &pair->from->member, &pair->to->member, &pair->port, clock_wall(),
		      &decision);
	answer->allowed = decision.allowed;
	memcpy(answer->reason, decision.reason, sizeof(answer->reason));
	if (decision.rule)
		(void)snprintf(answer->rule, sizeof(answer->rule), "%s", decision.rule->name);
	decide_lease(agent, pair->from, answer);
	decide_lease(agent, pair->to, answer);
}

/* Those between this host and the other end, in that direction; the newest first. */
static int add_denies(const struct agent *agent, const struct pair *pair,
		      struct local_can_answer *answer)
{
	bool outbound = pair->from == &agent->view->self;
	const char *other = outbound ? pair->to->member.name : pair->from->member.name;
	_cleanup_(freep) struct local_flow *flows = calloc(FLOWLOG_MAX, sizeof(*flows));
	uint64_t lost = 0;
	size_t n;

	answer->denies = calloc(DENIES_MAX, sizeof(*answer->denies));
	if (!flows || !answer->denies)
		return -ENOMEM;
	n = flowlog_read(agent->flowlog, 0, true, flows, FLOWLOG_MAX, &lost);
	for (size_t i = n; i > 0 && answer->n_denies < DENIES_MAX; i--)
		if (strcmp(flows[i - 1].peer, other) == 0 &&
		    (flows[i - 1].direction[0] == 'o') == outbound)
			answer->denies[answer->n_denies++] = flows[i - 1];
	return 0;
}

int local_can_text(struct agent *agent, const struct local_can *question, char **ret,
		   const char **ret_code, struct err *err)
{
	struct local_can_answer answer = {0};
	struct pair pair;
	int r = find_pair(agent, question, &pair, ret_code, err);

	if (r < 0)
		return r;
	memcpy(answer.from, pair.from->member.name, sizeof(answer.from));
	memcpy(answer.to, pair.to->member.name, sizeof(answer.to));
	memcpy(answer.port, question->port, sizeof(answer.port));
	decide(agent, &pair, &answer);
	r = add_denies(agent, &pair, &answer);
	if (r == 0)
		*ret = local_can_answer_encode(&answer);
	local_can_answer_done(&answer);
	return r;
}
