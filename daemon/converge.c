/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Desired, actual, plan, apply, until the plan is empty; and what makes the agent look again: kernel events, a slow
 * clock, a wall clock that was set, a host that slept.
 *
 * Several rounds are normal: WireGuard's port is known only once the interface is up, and the firewall names it.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include "daemon/doctor.h"
#include "daemon/hosts_block.h"
#include "daemon/lease.h"
#include "daemon/mode.h"
#include "firewall/guard.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define ROUNDS_MAX	 6
#define TICK_US		 UINT64_C(1000000)
#define TICK_ACCURACY_US UINT64_C(200000)
#define LOOK_TICKS	 10 /* everything is read again */
#define SOON_US		 UINT64_C(200000)
#define CLOCK_STEP_S	 3
#define SLEEP_STEP_US	 1000000

bool agent_clock_sane(const struct agent *agent)
{
	return lease_clock_sane(clock_wall(), agent->floor.signed_at);
}

static enum policy_mode stricter(enum policy_mode a, enum policy_mode b)
{
	return a < b ? a : b;
}

static enum policy_mode least_mode(const struct agent *agent)
{
	enum policy_mode local = strcmp(agent->local.mode, "enforce") == 0   ? POLICY_MODE_ENFORCE
				 : strcmp(agent->local.mode, "overlay") == 0 ? POLICY_MODE_OVERLAY
									     : POLICY_MODE_OBSERVE;

	return stricter(local, agent->options.mode);
}

static struct desired_input input_of(const struct agent *agent)
{
	const struct policy_statement *policy = trust_policy_statement(agent->trust);

	return (struct desired_input){
		.ifname = agent->options.interface,
		.root = trust_root(agent->trust),
		.view = agent->view,
		.policy = trust_policy(agent->trust),
		.policy_not_after = policy ? policy->not_after : 0,
		.k4 = &agent->k4,
		.ipv6 = agent->ipv6,
		.ipv4 = agent->ipv4,
		.now = clock_wall(),
		.clock_sane = agent_clock_sane(agent),
		.least_mode = least_mode(agent),
		.underlay_locked = agent->local.underlay_locked,
		.down = agent->down,
		.listen_port = agent->listen_port,
		.hubs = agent->hubs.choice.list,
		.n_hubs = agent->hubs.choice.n,
		.hub_at = choice_now(&agent->hubs.choice),
		.api_uid = agent->net_uid,
		.container_ifnames = agent->options.containers,
		.n_container_ifnames = agent->options.n_containers,
		.uplink_ifnames = agent->uplinks.names,
		.n_uplink_ifnames = agent->uplinks.n,
	};
}

enum policy_mode agent_mode(const struct agent *agent)
{
	struct desired_input input = input_of(agent);

	return desired_mode(&input);
}

/* What was locked stays locked over a restart; a time in another mode makes us look again. */
static void decide_underlay(struct agent *agent, struct desired *desired)
{
	bool enforce = desired->fw.mode == FW_MODE_ENFORCE;
	bool locked = enforce && agent->local.underlay_locked;
	struct state_local local = agent->local;
	struct err err = {0};

	/* Looked at also where nothing is locked unasked: status names the connections. */
	if (enforce && !locked)
		locked = underlay_examine(agent, desired) && !agent->local.held;
	agent->enforce_pending = enforce && !locked;
	desired->fw.underlay_locked = locked;
	if (locked == agent->local.underlay_locked || agent->options.plan)
		return;
	local.underlay_locked = locked;
	if (state_save_local(agent->state, &local, &err) < 0)
		log_warning("%s", err.text);
	agent->local = local;
}

static bool created_by_us(const struct agent *agent, const char *ifname)
{
	_cleanup_(freep) char *name = NULL;
	size_t length = 0;
	struct err err = {0};

	return state_has(agent->state, STATE_INTERFACE) &&
	       state_load(agent->state, STATE_INTERFACE, &name, &length, &err) == 0 &&
	       strcmp(name, ifname) == 0;
}

/* Where containers' interfaces are named there is nothing to find out. */
static int look_for_uplinks(struct agent *agent, struct err *err)
{
	bool before = agent->uplinks.too_many;
	int r = agent->options.n_containers ? 0
					    : kernel_uplinks(agent->kernel, agent->hubs.choice.list,
							     agent->hubs.choice.n, &agent->uplinks);

	if (r < 0)
		return err_code(err, r, "look which interfaces lead out of this host: %s",
				strerror(-r));
	if (agent->uplinks.too_many && !before)
		log_warning(
			"more than %d bridges lead out of this host: the others count as containers'; "
			"name those that are with --container-interface",
			FIREWALL_IFNAMES_MAX);
	return 0;
}

static int look(struct agent *agent, struct desired **ret_desired, struct actual *ret_actual,
		struct err *err)
{
	_cleanup_(desired_freep) struct desired *desired = NULL;
	struct desired_input input;
	int r = look_for_uplinks(agent, err);

	if (r < 0)
		return r;
	input = input_of(agent);
	r = desired_build(&input, &desired, err);
	if (r < 0)
		return r;
	decide_underlay(agent, desired);
	r = kernel_read(agent->kernel, desired, created_by_us(agent, desired->ifname), ret_actual,
			err);
	if (r == 0)
		*ret_desired = take_pointer(desired);
	return r;
}

static bool has_step(const struct plan *plan, enum plan_kind kind)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->steps[i].kind == kind)
			return true;
	return false;
}

/* Steps that neither a new answer nor a lease's end can ask for once the interface stood. */
static bool is_repair(const struct plan *plan)
{
	return has_step(plan, PLAN_RENAME) || has_step(plan, PLAN_CREATE) ||
	       has_step(plan, PLAN_UP) || has_step(plan, PLAN_DOWN) ||
	       has_step(plan, PLAN_ADDR_ADD) || has_step(plan, PLAN_ROUTE_ADD);
}

static int carry_out(struct agent *agent, const struct desired *desired, const struct plan *plan,
		     struct err *err)
{
	const char *ifname = desired->ifname;
	int r = 0;

	/* The name is on disk before the interface is there: after a crash in between it is known as ours. */
	if (has_step(plan, PLAN_CREATE))
		r = state_save(agent->state, STATE_INTERFACE, ifname, strlen(ifname), err);
	if (desired->fw.underlay_locked)
		underlay_remember_pickup(agent);
	verify_before_own(agent);
	if (r == 0)
		r = kernel_apply(agent->kernel, desired, plan, err);
	verify_after_own(agent);
	if (r == 0 && agent->converged && is_repair(plan)) {
		agent->repaired++;
		log_warning("the kernel differed from what should hold: repaired (%s)",
			    plan->steps[0].text);
	}
	/* Seen by the change itself, before verify.c looked. */
	if (kernel_was_mistaken(agent->kernel)) {
		agent->repaired++;
		log_warning("the firewall differed from what was applied: repaired");
	}
	for (size_t i = 0; r == 0 && i < plan->n; i++)
		log_debug("%s", plan->steps[i].text);
	return r;
}

/*
 * Before names resolve again, what a former run knew: where the hub answered, else the endpoint that its peer has in the
 * kernel, which may be one that was tried in vain.
 */
static bool adopt_hub(struct agent *agent, const struct wg_device *device)
{
	const struct choice *choice = &agent->hubs.choice;
	const struct wg_peer *hub =
		device ? wg_find_peer(device, &trust_root(agent->trust)->hub_key) : NULL;

	if (choice->n > 0 || !hub || !addr_is_set(&hub->endpoint.addr))
		return false;
	hubs_adopt(agent, addr_is_set(&choice->good.addr) ? &choice->good : &hub->endpoint);
	return true;
}

/* Learns from what stands; true where desired was built without it. */
static bool adopt(struct agent *agent, const struct wg_device *device)
{
	bool news = adopt_hub(agent, device);

	if (!device || device->listen_port == agent->listen_port)
		return news;
	agent->listen_port = device->listen_port;
	return true;
}

static bool adds_peers(const struct plan *plan, const struct wg_device *actual)
{
	for (size_t i = 0; i < plan->n_changes; i++)
		if (plan->changes[i].kind == WG_CHANGE_PEER_SET &&
		    (!actual || !wg_find_peer(actual, &plan->changes[i].peer->public_key)))
			return true;
	return false;
}

/*
 * The device as it was before this round. An interface that was made anew (its process was killed, somebody deleted it)
 * knows no session, and the other ends go on with the old ones for 15 s: they hear from us first.
 */
static void keep_device(struct agent *agent, struct actual *actual, bool created)
{
	if (created)
		contact_renew(agent, agent->device);
	if (!actual->wg)
		return;
	wg_device_free(agent->device);
	agent->device = take_pointer(actual->wg);
}

/* 1: another round is needed, 0: it holds. */
static int one_round(struct agent *agent, struct err *err)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	_cleanup_(desired_freep) struct desired *desired = NULL;
	struct actual actual = {0};
	bool told = false;
	int r = look(agent, &desired, &actual, err);

	if (r < 0)
		return r;
	if (adopt(agent, actual.wg)) {
		actual_done(&actual);
		return 1;
	}
	if (actual.wg)
		doctor_hide_detour(agent, &desired->wg, actual.wg);
	r = plan_build(desired, &actual, &plan);
	if (r < 0)
		(void)err_code(err, r, "plan: %s", strerror(-r));
	else if (plan->n > 0) {
		told = true;
		r = carry_out(agent, desired, plan, err) < 0 ? -EIO : 1;
	}
	if (r == 1 && adds_peers(plan, actual.wg))
		contact_watch(agent);
	/* Also where only a part was carried out: what is written again later must not bring back what this took away. */
	if (r >= 0 || told) {
		desired_free(agent->desired);
		agent->desired = take_pointer(desired);
	}
	if (r >= 0)
		keep_device(agent, &actual, r == 1 && has_step(plan, PLAN_CREATE));
	actual_done(&actual);
	return r;
}

/* For people: where it cannot be, everything still holds, and `status` says why it is not. */
static void write_names(struct agent *agent)
{
	struct err err = {0};

	if (!agent->options.hosts_block || !agent->desired || !agent->desired->hosts)
		return;
	(void)hosts_block_write(agent->options.hosts_block, agent->desired->hosts, &err);
	if (err.text[0] && strcmp(err.text, agent->names_problem) != 0)
		log_warning("%s", err.text);
	(void)snprintf(agent->names_problem, sizeof(agent->names_problem), "%s", err.text);
}

/*
 * Leaves behind what should hold before the next start, once it holds. Restored bytes are written again after a start: the
 * file may be another run's.
 */
static void tell_guard(struct agent *agent)
{
	const struct fw_desired *fw = &agent->desired->fw;
	_cleanup_(freep) char *text = NULL;
	struct err err = {0};

	if (guard_format(fw, fw->underlay_locked && !mode_confirm_left(agent), &text) < 0 ||
	    (agent->guard && strcmp(agent->guard, text) == 0))
		return;
	if (state_save(agent->state, STATE_GUARD, text, strlen(text), &err) < 0) {
		log_warning("%s", err.text);
		return;
	}
	free(agent->guard);
	agent->guard = take_pointer(text);
}

int agent_converge(struct agent *agent, struct err *err)
{
	int r = 1;

	if (agent->phase != AGENT_ENROLLED || !agent->trust)
		return 0;
	for (int i = 0; r == 1 && i < ROUNDS_MAX; i++)
		r = one_round(agent, err);
	if (r == 1)
		r = err_code(err, -ELOOP, "the kernel does not come to hold what it should");
	(void)snprintf(agent->trouble, sizeof(agent->trouble), "%s", r < 0 ? err->text : "");
	if (r == 0) {
		agent->converged = true;
		agent->applied = agent->view ? agent->view->revision : 0;
		write_names(agent);
		tell_guard(agent);
		if (!agent->desired->fw.underlay_locked)
			underlay_restore_pickup(agent);
	}
	return r;
}

/* What a first round would do. The plan borrows from both. */
static int plan_only(struct agent *agent, struct desired **ret_desired, struct actual *ret_actual,
		     struct plan **ret, struct err *err)
{
	int r;

	if (agent->phase != AGENT_ENROLLED)
		return err_code(err, -ENOENT,
				"this host is not enrolled: there is nothing to plan");
	r = look(agent, ret_desired, ret_actual, err);
	if (r == 0 && adopt(agent, ret_actual->wg)) {
		desired_free(take_pointer(*ret_desired));
		actual_done(ret_actual);
		r = look(agent, ret_desired, ret_actual, err);
	}
	return r < 0 ? r : plan_build(*ret_desired, ret_actual, ret);
}

int agent_print_plan(struct agent *agent, struct err *err)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	_cleanup_(desired_freep) struct desired *desired = NULL;
	struct actual actual = {0};
	int r = plan_only(agent, &desired, &actual, &plan, err);

	if (r == 0) {
		plan_print(plan, stdout);
		r = plan->n > 0;
	}
	actual_done(&actual);
	return r;
}

int agent_look(struct agent *agent, size_t *ret_steps, char first[160], struct err *err)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	_cleanup_(desired_freep) struct desired *desired = NULL;
	struct actual actual = {0};
	int r = plan_only(agent, &desired, &actual, &plan, err);

	if (r == 0) {
		*ret_steps = plan->n;
		(void)snprintf(first, 160, "%s", plan->n ? plan->steps[0].text : "");
		desired_free(agent->desired);
		agent->desired = take_pointer(desired);
	}
	actual_done(&actual);
	return r;
}

/* ---- what makes us look again ---- */

static void converge_and_log(struct agent *agent)
{
	struct err err = {0};

	if (agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
}

static int on_soon(sd_event_source *source, uint64_t usec, void *data)
{
	converge_and_log(data);
	path_check(data);
	return 0;
}

void agent_converge_soon(struct agent *agent)
{
	int enabled = SD_EVENT_OFF;

	if (agent->soon && sd_event_source_get_enabled(agent->soon, &enabled) >= 0 &&
	    enabled != SD_EVENT_OFF)
		return;
	if (!agent->soon) {
		(void)sd_event_add_time_relative(agent->event, &agent->soon, CLOCK_BOOTTIME,
						 SOON_US, SOON_US / 4, on_soon, agent);
		return;
	}
	(void)sd_event_source_set_time_relative(agent->soon, SOON_US);
	(void)sd_event_source_set_enabled(agent->soon, SD_EVENT_ONESHOT);
}

static int64_t monotonic_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* Element timeouts run on jiffies: a host that slept, or whose clock was set, has wrong ones. */
static bool time_jumped(struct agent *agent, bool *ret_slept)
{
	int64_t clock = clock_wall() - clock_mono().us / 1000000;
	int64_t sleep = clock_mono().us - monotonic_us();
	bool set = llabs(clock - agent->clock_offset) > CLOCK_STEP_S;

	*ret_slept = llabs(sleep - agent->sleep_offset) > SLEEP_STEP_US;
	agent->clock_offset = clock;
	agent->sleep_offset = sleep;
	return set || *ret_slept;
}

static void check_time(struct agent *agent)
{
	struct err err = {0};
	bool slept;

	if (!time_jumped(agent, &slept))
		return;
	log_warning("the clock was set or this host slept: leases are computed anew");
	converge_and_log(agent);
	verify_before_own(agent);
	if (kernel_refresh_leases(agent->kernel, agent->desired, &err) < 0)
		log_error("%s", err.text);
	verify_after_own(agent);
	/* The kernel's WireGuard forgets its sessions when it goes to sleep; the other ends still believe in theirs. */
	if (slept) {
		contact_renew(agent, agent->device);
		probe_renew(agent);
	}
}

static int on_tick(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)sd_event_source_set_time_relative(source, TICK_US);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (agent->phase != AGENT_ENROLLED)
		return 0;
	agent->ticks++;
	if (agent->converged) {
		check_time(agent);
		verify_now_and_then(agent);
	}
	if (agent->ticks % LOOK_TICKS)
		return 0;
	converge_and_log(agent);
	path_check(agent);
	contact_look(agent);
	/* It failed when it began: only now there is something to ask through. */
	if (agent->converged && !agent->probe.timer && !agent->down)
		hubs_resolve(agent);
	return 0;
}

static void on_link_change(unsigned int index, void *data)
{
	struct agent *agent = data;

	if (agent->phase == AGENT_ENROLLED && agent->converged)
		agent_converge_soon(agent);
}

static int on_link_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct agent *agent = data;
	int r = link_events_dispatch(agent->link_events);

	if (r < 0)
		(void)log_errno(r, "read link events");
	return 0;
}

static void on_packet(const struct nflog_packet *packet, void *data)
{
	struct agent *agent = data;
	const struct desired_name *name =
		agent->desired ? desired_find_name(agent->desired, packet->mark) : NULL;

	if (flowlog_add(agent->flowlog, packet, name ? name->name : "", clock_wall()))
		local_on_flow(agent);
}

static int on_nflog_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct agent *agent = data;
	int r = nflog_dispatch(agent->nflog);

	if (r < 0)
		(void)log_errno(r, "read the firewall's records");
	return 0;
}

static int watch_denies(struct agent *agent, struct err *err)
{
	int r = nflog_open(FIREWALL_NFLOG_GROUP, on_packet, agent, &agent->nflog);

	/* Records are for people: without them everything still holds. */
	if (r < 0) {
		log_warning("the firewall's records cannot be read (%s): `sortie flows` is empty",
			    strerror(-r));
		return 0;
	}
	r = sd_event_add_io(agent->event, &agent->nflog_source, nflog_fd(agent->nflog), EPOLLIN,
			    on_nflog_io, agent);
	return r < 0 ? err_code(err, r, "watch records: %s", strerror(-r)) : 0;
}

int agent_watch(struct agent *agent, struct err *err)
{
	bool slept;
	int r = link_events_open(on_link_change, agent, &agent->link_events);

	if (r == 0)
		r = sd_event_add_io(agent->event, &agent->link_source,
				    link_events_fd(agent->link_events), EPOLLIN, on_link_io, agent);
	if (r >= 0)
		r = sd_event_add_time_relative(agent->event, &agent->tick, CLOCK_BOOTTIME, TICK_US,
					       TICK_ACCURACY_US, on_tick, agent);
	if (r < 0)
		return err_code(err, r, "watch the kernel: %s", strerror(-r));
	(void)time_jumped(agent, &slept);
	r = verify_start(agent, err);
	return r < 0 ? r : watch_denies(agent, err);
}
