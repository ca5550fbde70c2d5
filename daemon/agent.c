/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent's life: where it stands when it starts, and the steps from one phase to the next. */
#include "daemon/agent.h"
#include "common/log.h"
#include "daemon/doctor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int agent_init(struct agent *agent, const struct agent_options *options, sd_event *event,
	       struct err *err)
{
	int r;

	memset(agent, 0, sizeof(*agent));
	agent->options = *options;
	agent->event = event;
	agent->probe.fd = -1;
	agent->doctor_fd = -1;
	sandbox_lock_memory(&agent->k3, sizeof(agent->k3));
	sandbox_lock_memory(&agent->k4, sizeof(agent->k4));
	sandbox_lock_memory(&agent->enroll.token, sizeof(agent->enroll.token));
	r = flowlog_new(&agent->flowlog);
	return r < 0 ? err_code(err, r, "out of memory") : 0;
}

void agent_done(struct agent *agent)
{
	doctor_close(agent);
	local_done(agent);
	sync_stop(agent);
	contact_stop(agent);
	probe_done(agent);
	enroll_done(agent);
	hubs_done(agent);
	verify_done(agent);
	sd_event_source_disable_unref(agent->nflog_source);
	sd_event_source_disable_unref(agent->link_source);
	sd_event_source_disable_unref(agent->tick);
	sd_event_source_disable_unref(agent->soon);
	nflog_close(agent->nflog);
	link_events_close(agent->link_events);
	child_free(agent->child);
	desired_free(agent->desired);
	wg_device_free(agent->device);
	agent_forget_network(agent);
	flowlog_free(agent->flowlog);
	kernel_close(agent->kernel);
	state_close(agent->state);
}

/* What an enrolment leaves behind when it ends: a crash in between is made good here. */
static int tidy_enrolment(struct agent *agent, struct err *err)
{
	int r = state_remove(agent->state, STATE_TOKEN, err);

	if (r == 0)
		r = state_remove(agent->state, STATE_REQUEST, err);
	enroll_done(agent);
	return r;
}

int agent_begin(struct agent *agent, struct err *err)
{
	int r = agent_load_network(agent, err);

	if (r < 0)
		return r;
	agent->phase = AGENT_ENROLLED;
	agent->listen_port = 0;
	r = tidy_enrolment(agent, err);
	if (r < 0)
		return r;
	r = agent_converge(agent, err);
	if (r < 0)
		return r;
	if (child_is_ready(agent->child))
		hubs_resolve(agent);
	return 0;
}

/* The temporary interface of an enrolment that ended in a crash. */
static void remove_left_over_join(struct agent *agent)
{
	struct err err = {0};

	if ((state_has(agent->state, STATE_TOKEN)) &&
	    kernel_remove_interface(agent->kernel, agent->options.join_interface, &err) < 0)
		log_warning("%s", err.text);
}

int agent_start(struct agent *agent, struct err *err)
{
	int r = state_load_floor(agent->state, &agent->floor, err);

	if (r == 0)
		r = state_load_local(agent->state, &agent->local, err);
	if (r < 0)
		return r;
	if (state_has(agent->state, STATE_ANSWER)) {
		remove_left_over_join(agent);
		return agent_begin(agent, err);
	}
	if (state_has(agent->state, STATE_TOKEN))
		return enroll_resume(agent, err);
	/* Keys without a token are those of an enrolment that had not begun. */
	return state_clear(agent->state, err);
}

void agent_on_ready(void *data)
{
	struct agent *agent = data;

	if (agent->phase != AGENT_UNENROLLED)
		hubs_resolve(agent);
}

/* Endpoints are known, or nothing new is: go on with what was waiting for them. */
void agent_on_hubs(struct agent *agent, bool found)
{
	struct err err = {0};

	if (agent->phase == AGENT_ENROLLING) {
		enroll_on_hubs(agent, found);
		return;
	}
	if (agent->phase != AGENT_ENROLLED)
		return;
	if (agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
	if (!agent->probe.timer)
		probe_start(agent);
	if (!agent->sync.question)
		sync_start(agent);
}

static int remove_kernel(struct agent *agent, struct err *err)
{
	int r = 0;

	if (agent->phase == AGENT_UNENROLLED)
		return 0;
	if (agent->phase == AGENT_ENROLLING)
		r = kernel_remove_interface(agent->kernel, agent->options.join_interface, err);
	return r < 0 ? r : kernel_remove(agent->kernel, agent->options.interface, err);
}

int agent_leave(struct agent *agent, struct err *err)
{
	int r;

	doctor_stop(agent);
	sync_stop(agent);
	contact_stop(agent);
	probe_stop(agent);
	r = remove_kernel(agent, err);
	/* Not half gone: the state still says what there is to remove the next time. */
	if (r < 0)
		return r;
	enroll_done(agent);
	hubs_done(agent);
	desired_free(agent->desired);
	wg_device_free(agent->device);
	agent->desired = NULL;
	agent->device = NULL;
	agent_forget_network(agent);
	flowlog_clear(agent->flowlog);
	agent->floor = (struct state_floor){0};
	agent->local = (struct state_local){0};
	agent->phase = AGENT_UNENROLLED;
	agent->applied = 0;
	agent->repaired = 0;
	agent->converged = false;
	agent->trouble[0] = '\0';
	agent->n_pending = 0;
	agent->enforce_pending = false;
	return state_clear(agent->state, err);
}

int agent_remove(struct agent *agent, struct err *err)
{
	_cleanup_(freep) char *ifname = NULL;
	size_t length = 0;
	int r;

	if (!state_has(agent->state, STATE_INTERFACE))
		return 0; /* nothing was ever made */
	r = state_load(agent->state, STATE_INTERFACE, &ifname, &length, err);
	return r < 0 ? r : kernel_remove(agent->kernel, ifname, err);
}
