/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub's endpoints: the texts that the root statement (before it: the token) names, looked up by sortie-net, one
 * after the other. Order is kept, so that the first text is the first choice; a lost hub moves on to the next.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include <string.h>

static const char *text_of(const struct agent *agent, size_t index)
{
	const struct root_statement *root =
		agent->phase == AGENT_ENROLLED && agent->trust ? trust_root(agent->trust) : NULL;
	const struct join_token *token =
		agent->phase == AGENT_ENROLLING ? &agent->enroll.token : &agent->pins;

	if (root)
		return index < root->n_endpoints ? root->endpoints[index] : NULL;
	return index < token->n_endpoints ? token->endpoints[index] : NULL;
}

const char *hubs_text(const struct agent *agent, size_t index)
{
	return text_of(agent, index);
}

static void add_found(struct agent_hubs *hubs, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < hubs->n_found; i++)
		if (endpoint_equal(&hubs->found[i], endpoint))
			return;
	if (hubs->n_found < DESIRED_HUBS_MAX)
		hubs->found[hubs->n_found++] = *endpoint;
}

static bool same_list(const struct agent_hubs *hubs)
{
	if (hubs->n != hubs->n_found)
		return false;
	for (size_t i = 0; i < hubs->n; i++) {
		bool known = false;
		for (size_t j = 0; j < hubs->n_found; j++)
			known |= endpoint_equal(&hubs->list[i], &hubs->found[j]);
		if (!known)
			return false;
	}
	return true;
}

static void finish(struct agent *agent)
{
	struct agent_hubs *hubs = &agent->hubs;

	hubs->running = false;
	/* The same endpoints keep the order that rotation gave them; no answer keeps the old ones. */
	if (hubs->n_found > 0 && !same_list(hubs)) {
		memcpy(hubs->list, hubs->found, sizeof(hubs->list));
		hubs->n = hubs->n_found;
	}
	agent_on_hubs(agent, hubs->n_found > 0);
}

static void ask_next(struct agent *agent);

static void on_resolved(const struct ipc_resolved *resolved, void *data)
{
	struct agent *agent = data;
	const char *text = text_of(agent, agent->hubs.next);

	agent->hubs.question = 0;
	if (resolved->error < 0)
		log_warning("the hub's endpoint %s does not resolve: %s", text ? text : "",
			    strerror(-resolved->error));
	for (size_t i = 0; i < resolved->n_endpoints; i++)
		add_found(&agent->hubs, &resolved->endpoints[i]);
	agent->hubs.next++;
	ask_next(agent);
}

static void ask_next(struct agent *agent)
{
	struct agent_hubs *hubs = &agent->hubs;

	for (const char *text; (text = text_of(agent, hubs->next)); hubs->next++) {
		struct endpoint endpoint;
		if (endpoint_parse(text, &endpoint) == 0) {
			add_found(hubs, &endpoint);
			continue;
		}
		if (agent->child && child_resolve_text(agent->child, text, on_resolved, agent,
						       &hubs->question) == 0)
			return; /* on_resolved() goes on */
	}
	finish(agent);
}

void hubs_resolve(struct agent *agent)
{
	struct agent_hubs *hubs = &agent->hubs;

	if (hubs->running)
		return;
	hubs->running = true;
	hubs->n_found = 0;
	hubs->next = 0;
	ask_next(agent);
}

void hubs_rotate(struct agent *agent)
{
	struct agent_hubs *hubs = &agent->hubs;
	struct endpoint first = hubs->list[0];

	if (hubs->n > 1) {
		memmove(&hubs->list[0], &hubs->list[1], (hubs->n - 1) * sizeof(first));
		hubs->list[hubs->n - 1] = first;
	}
	hubs_resolve(agent);
}

void hubs_done(struct agent *agent)
{
	if (agent->child)
		child_cancel(agent->child, agent->hubs.question);
	memset(&agent->hubs, 0, sizeof(agent->hubs));
}
