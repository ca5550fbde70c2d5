/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hub's endpoints: the texts that the root statement (before it: the token) names, looked up by sortie-net, one
 * after the other. Order is kept, so that the first text is the first choice until the hub has answered elsewhere; where it
 * answered last is on disk, because a start must not begin with endpoints that were dead a moment ago.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/agent.h"
#include "firewall/guard.h"
#include <errno.h>
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
	if (hubs->n_found < CHOICE_MAX)
		hubs->found[hubs->n_found++] = *endpoint;
}

/* A name may take its time to resolve: until then its former endpoints stand for it, or a start would shut them out. */
static int read_former(const struct agent *agent, struct guard *ret)
{
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};
	size_t length = 0;
	int r = state_has(agent->state, STATE_GUARD) ? 0 : -ENOENT;

	if (r == 0)
		r = state_load(agent->state, STATE_GUARD, &text, &length, &err);
	return r < 0 ? r : guard_parse(text, ret, &err);
}

void hubs_adopt(struct agent *agent, const struct endpoint *first)
{
	struct endpoint list[CHOICE_MAX] = {*first};
	struct guard guard = {0};
	size_t n = 1;

	if (read_former(agent, &guard) == 0)
		for (size_t i = 0; i < guard.desired.n_hubs && n < CHOICE_MAX; i++)
			if (!endpoint_equal(&guard.hubs[i], first))
				list[n++] = guard.hubs[i];
	choice_set(&agent->hubs.choice, list, n);
	guard_done(&guard);
}

static void finish(struct agent *agent)
{
	struct agent_hubs *hubs = &agent->hubs;

	hubs->running = false;
	choice_set(&hubs->choice, hubs->found, hubs->n_found); /* no answer keeps the old ones */
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

void hubs_load(struct agent *agent)
{
	_cleanup_(freep) char *text = NULL;
	struct endpoint good;
	struct err err = {0};
	size_t length = 0;

	if (!state_has(agent->state, STATE_HUB) ||
	    state_load(agent->state, STATE_HUB, &text, &length, &err) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (endpoint_parse(text, &good) == 0) /* else it is no hint */
		agent->hubs.choice.good = good;
}

static void save_good(struct agent *agent)
{
	char text[ENDPOINT_TEXT_MAX + 1];
	struct err err = {0};

	endpoint_format(&agent->hubs.choice.good, text);
	strcat(text, "\n");
	if (state_save(agent->state, STATE_HUB, text, strlen(text), &err) < 0)
		log_debug("%s", err.text);
}

void hubs_next(struct agent *agent)
{
	choice_next(&agent->hubs.choice, path_exists);
}

void hubs_answered(struct agent *agent)
{
	struct choice *choice = &agent->hubs.choice;
	bool moved = choice->n && choice->at != 0;
	char text[ENDPOINT_TEXT_MAX];
	struct err err = {0};

	if (choice_answered(choice))
		save_good(agent);
	if (!moved)
		return;
	log_info("the hub answers at %s: everything goes there",
		 endpoint_format(&choice->list[0], text));
	agent->path_source = (struct addr){0}; /* by another way */
	if (agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
}

void hubs_done(struct agent *agent)
{
	if (agent->child)
		child_cancel(agent->child, agent->hubs.question);
	memset(&agent->hubs, 0, sizeof(agent->hubs));
}
