/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent's life: where it stands when it starts, and the steps from one phase to the next. */
#include "daemon/agent.h"
#include "common/log.h"
#include "daemon/beside.h"
#include "daemon/doctor.h"
#include "daemon/hosts_block.h"
#include "daemon/mode.h"
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
	beside_forget(agent);
	sd_event_source_disable_unref(agent->confirm_timer);
	sd_event_source_disable_unref(agent->nflog_source);
	sd_event_source_disable_unref(agent->link_source);
	sd_event_source_disable_unref(agent->tick);
	sd_event_source_disable_unref(agent->soon);
	nflog_close(agent->nflog);
	link_events_close(agent->link_events);
	child_free(agent->child);
	desired_free(agent->desired);
	wg_device_free(agent->device);
	free(agent->guard);
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
	if (child_is_ready(agent->child) && !agent->down)
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

/* What the state folder says that we made, whatever else of it is gone; "" where it names nothing. */
static void made_by_us(const struct agent *agent, char ifname[IFNAMSIZ])
{
	_cleanup_(freep) char *name = NULL;
	size_t length = 0;
	struct err err = {0};

	ifname[0] = '\0';
	if (state_has(agent->state, STATE_INTERFACE) &&
	    state_load(agent->state, STATE_INTERFACE, &name, &length, &err) == 0 &&
	    link_name_valid(name))
		(void)snprintf(ifname, IFNAMSIZ, "%s", name);
}

/* Lost files must not open a host that was shut. */
static bool left_over(const struct agent *agent)
{
	char made[IFNAMSIZ];

	made_by_us(agent, made);
	return made[0] && (kernel_interface_index(agent->kernel, made) != 0 ||
			   kernel_has_table(agent->kernel));
}

int agent_start(struct agent *agent, struct err *err)
{
	int r = state_load_floor(agent->state, &agent->floor, err);

	if (r == 0)
		r = state_load_local(agent->state, &agent->local, err);
	if (r == 0)
		r = mode_resume(agent, err);
	if (r < 0)
		return r;
	agent->down = state_has(agent->state, STATE_DOWN);
	hubs_load(agent);
	if (state_has(agent->state, STATE_ANSWER)) {
		remove_left_over_join(agent);
		return agent_begin(agent, err);
	}
	if (state_has(agent->state, STATE_TOKEN))
		return enroll_resume(agent, err);
	if (left_over(agent)) {
		log_warning("the state folder has lost its membership, but what it made stands and "
			    "shuts this host: `sortie leave` removes it");
		return 0;
	}
	/* Keys without a token are those of an enrolment that had not begun. */
	agent->floor = (struct state_floor){0};
	agent->down = false;
	mode_forget(agent);
	return state_clear(agent->state, err);
}

void agent_on_ready(void *data)
{
	struct agent *agent = data;

	if (agent->phase != AGENT_UNENROLLED && !agent->down)
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
	if (agent->down)
		return;
	if (!agent->probe.timer)
		probe_start(agent);
	if (!agent->sync.question)
		sync_start(agent);
}

static void stop_talking(struct agent *agent)
{
	int64_t succeeded_at = agent->sync.succeeded_at;

	doctor_stop(agent);
	sync_stop(agent);
	agent->sync.succeeded_at = succeeded_at; /* `status` says when */
	contact_stop(agent);
	probe_stop(agent);
}

static int store_down(struct agent *agent, bool down, struct err *err)
{
	int r = down ? state_save(agent->state, STATE_DOWN, "", 0, err)
		     : state_remove(agent->state, STATE_DOWN, err);

	if (r == 0)
		agent->down = down;
	return r;
}

int agent_set_down(struct agent *agent, bool down, struct err *err)
{
	int r;

	if (agent->phase != AGENT_ENROLLED)
		return err_code(err, -ENOENT,
				"this host is not enrolled, it has no interface: `sortie "
				"enroll --token file:PATH`");
	if (agent->down == down)
		return 0;
	r = store_down(agent, down, err);
	if (r < 0)
		return r;
	log_info(down ? "down: the interface is lowered, the firewall's table stands"
		      : "up: the interface is raised");
	if (down)
		stop_talking(agent);
	agent->converged = false; /* what comes is no repair */
	r = agent_converge(agent, err);
	if (r == 0 && !down)
		hubs_resolve(agent);
	return r;
}

/* A hub on this host has a table and an interface of the same names: nobody's are not ours. */
static int check_nothing_stands(struct agent *agent, struct err *err)
{
	const char *ifname = agent->options.interface;
	bool interface = kernel_interface_index(agent->kernel, ifname) != 0;
	bool table = kernel_has_table(agent->kernel);

	if (!interface && !table)
		return 0;
	return err_code(err, -EEXIST,
			"leave: %s%s%s, but the state folder does not say that this agent made "
			"%s: `sortie leave --force` removes what stands, unless a hub or another "
			"agent runs here",
			table ? "table inet sortie" : "",
			table && interface ? " and interface " : "", interface ? ifname : "",
			table && interface ? "them" : "it");
}

static int remove_kernel(struct agent *agent, bool forced, struct err *err)
{
	char made[IFNAMSIZ];
	int r;

	made_by_us(agent, made);
	if (agent->phase == AGENT_UNENROLLED && !made[0] && !forced)
		return check_nothing_stands(agent, err);
	if (agent->phase == AGENT_ENROLLING)
		r = kernel_remove_interface(agent->kernel, agent->options.join_interface, err);
	else
		r = made[0] ? kernel_remove_interface(agent->kernel, made, err) : 0;
	if (r == 0)
		r = kernel_remove(agent->kernel, agent->options.interface, err);
	if (r == 0 && agent->options.hosts_block)
		r = hosts_block_write(agent->options.hosts_block, NULL, err);
	return r;
}

int agent_leave(struct agent *agent, bool forced, struct err *err)
{
	int r;

	stop_talking(agent);
	r = remove_kernel(agent, forced, err);
	/* Not half gone: the state still says what there is to remove the next time. */
	if (r < 0)
		return r;
	underlay_restore_pickup(agent);
	enroll_done(agent);
	hubs_done(agent);
	desired_free(agent->desired);
	wg_device_free(agent->device);
	agent->desired = NULL;
	agent->device = NULL;
	free(agent->guard);
	agent->guard = NULL;
	agent_forget_network(agent);
	flowlog_clear(agent->flowlog);
	agent->floor = (struct state_floor){0};
	mode_forget(agent);
	agent->phase = AGENT_UNENROLLED;
	agent->applied = 0;
	agent->repaired = 0;
	agent->converged = agent->down = false;
	agent->trouble[0] = agent->names_problem[0] = '\0';
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
	if (r == 0)
		r = kernel_remove(agent->kernel, ifname, err);
	if (r == 0)
		underlay_restore_pickup(agent);
	if (r == 0 && agent->options.hosts_block)
		r = hosts_block_write(agent->options.hosts_block, NULL, err);
	return r;
}
