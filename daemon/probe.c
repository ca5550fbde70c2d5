/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the hub there? An ICMPv6 echo inside the management session every 2 s, due within 1 s; a miss repeats at once,
 * after two the hub's peer is removed and added again, because WireGuard by itself takes more than a minute to notice
 * a hub that lost its sessions (82 s measured). A new session is due within 1 s as well; which of the hub's endpoints is
 * tried next is choice.h's. On a long way answers take more than that: one that comes late counts, what is due follows the
 * round trip, and every seventh try (it goes round all endpoints) waits for longer.
 *
 * The socket was opened before CAP_NET_RAW was given up; it may still send, and names the interface with each packet.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include "daemon/doctor.h"
#include "daemon/echo.h"
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>

#define PERIOD_US    UINT64_C(2000000)
#define DUE_US	     UINT64_C(1000000)
#define JITTER_US    100000
#define DUE_MAX_US   UINT64_C(3000000) /* longer, and a hub's return would be noticed too late */
#define LONG_TURN    7
#define LATE_MAX     4 /* echoes back: the round trip is then longer than DUE_MAX_US anyway */
#define MISSES_MAX   2
#define HURRY_US     UINT64_C(300000)
#define HURRY_ECHOES 5
#define RESOLVE_TURN 5 /* after so many tries in vain names are looked up again */

static const uint16_t echo_id = 0x5357;

int probe_open(struct agent *agent, struct err *err)
{
	int r = echo_open(&agent->probe.fd);

	if (r < 0)
		return err_code(
			err, r,
			"open an ICMPv6 socket: %s: sortied starts with CAP_NET_RAW and gives "
			"it up",
			strerror(-r));
	r = echo_listen(agent->probe.fd, true);
	return r < 0 ? err_code(err, r, "filter the ICMPv6 socket: %s", strerror(-r)) : 0;
}

static void set_timer(struct agent *agent, uint64_t in_us)
{
	(void)sd_event_source_set_time_relative(agent->probe.timer, in_us);
	(void)sd_event_source_set_enabled(agent->probe.timer, SD_EVENT_ONESHOT);
}

static int send_echo(struct agent *agent)
{
	const struct echo echo = {
		.from = agent->ipv6,
		.to = agent->desired->fw.hub6,
		.ifindex = kernel_interface_index(agent->kernel, agent->options.interface),
		.id = echo_id,
		.sequence = ++agent->probe.sequence,
	};

	return echo_send(agent->probe.fd, &echo, ECHO_SIZE_MIN);
}

static uint64_t due_us(const struct agent *agent)
{
	unsigned int tries = agent->hubs.choice.tries;
	uint64_t twice = 2 * (uint64_t)agent->probe.round_trip_us;

	if (twice > DUE_MAX_US || (tries > 0 && tries % LONG_TURN == 0))
		return DUE_MAX_US;
	return twice > DUE_US ? twice : DUE_US;
}

/* A packet that cannot be sent is one that is not answered. */
static void ask(struct agent *agent)
{
	(void)send_echo(agent);
	agent->probe.waiting = true;
	set_timer(agent, due_us(agent));
}

/* At choice.at. The peers stay where they are: what is tried may be dead, and only the hub may be silent. */
static void restart_hub(struct agent *agent)
{
	const struct root_statement *root = trust_root(agent->trust);
	const struct endpoint *at = choice_now(&agent->hubs.choice);
	const struct wg_peer *hub;
	struct err err = {0};

	if (at)
		desired_point_peer(agent->desired, &root->hub_key, at);
	hub = wg_find_peer(&agent->desired->wg, &root->hub_key);
	if (agent->probe.answers)
		log_warning("the hub does not answer: starting its session anew");
	agent->probe.answers = false;
	agent->probe.misses = 0;
	if (hub && kernel_restart_peer(agent->kernel, hub, &err) < 0)
		log_error("%s", err.text);
}

static void try_again(struct agent *agent)
{
	hubs_next(agent);
	if (agent->hubs.choice.tries % RESOLVE_TURN == 0)
		hubs_resolve(agent);
	restart_hub(agent);
}

/* Who has not even shaken hands does so no more: an echo may be lost, a handshake is repeated only after 5 s. */
static bool is_lost(struct agent *agent)
{
	return agent->probe.misses >= MISSES_MAX ||
	       !kernel_has_session(agent->kernel, agent->options.interface,
				   &trust_root(agent->trust)->hub_key);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	if (!agent->desired || !agent->trust)
		return 0;
	/* An echo would take the detour, too: neither its answer nor that there is none would mean anything. */
	if (doctor_detours(agent)) {
		agent->probe.waiting = false;
		set_timer(agent, HURRY_US);
		return 0;
	}
	if (agent->probe.waiting) {
		agent->probe.misses++;
		if (is_lost(agent))
			try_again(agent);
	}
	ask(agent);
	return 0;
}

/* What an earlier session was asked nobody answers any more: its keys went with the peer. */
static bool is_answer(const struct agent *agent, const struct echo *echo)
{
	return agent->probe.waiting && agent->desired && echo->id == echo_id &&
	       (uint16_t)(agent->probe.sequence - echo->sequence) < LATE_MAX &&
	       addr_equal(&echo->from, &agent->desired->fw.hub6);
}

static void answered(struct agent *agent, uint32_t took_us)
{
	struct agent_probe *probe = &agent->probe;
	bool came_back = !probe->answers;

	probe->waiting = false;
	probe->misses = 0;
	probe->answers = true;
	probe->round_trip_us = took_us;
	set_timer(agent, probe->hurry ? HURRY_US : PERIOD_US + randombytes_uniform(JITTER_US));
	probe->hurry -= probe->hurry > 0;
	hubs_answered(agent);
	if (came_back) {
		log_info("the hub answers (%u us)", probe->round_trip_us);
		/* A poll that was under way may wait for an answer that never comes. */
		sync_start(agent);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct agent *agent = data;
	struct echo echo;
	uint32_t took_us;
	size_t size;

	if (echo_receive(fd, &echo, &size, &took_us) == 0 && is_answer(agent, &echo))
		answered(agent, took_us);
	return 0;
}

void probe_start(struct agent *agent)
{
	struct agent_probe *probe = &agent->probe;
	int r = 0;

	if (!probe->io)
		r = sd_event_add_io(agent->event, &probe->io, probe->fd, EPOLLIN, on_io, agent);
	if (r >= 0 && !probe->timer)
		r = sd_event_add_time_relative(agent->event, &probe->timer, CLOCK_BOOTTIME, 0,
					       DUE_US / 20, on_timer, agent);
	if (r < 0)
		(void)log_errno(r, "watch the hub");
	else
		set_timer(agent, 0);
}

void probe_hurry(struct agent *agent)
{
	if (!agent->probe.timer || !agent->desired || !agent->trust)
		return;
	agent->probe.hurry = HURRY_ECHOES;
	ask(agent);
}

void probe_renew(struct agent *agent)
{
	if (!agent->probe.timer || !agent->desired || !agent->trust)
		return;
	restart_hub(agent);
	ask(agent);
}

void probe_stop(struct agent *agent)
{
	struct agent_probe *probe = &agent->probe;

	probe->io = sd_event_source_disable_unref(probe->io);
	probe->timer = sd_event_source_disable_unref(probe->timer);
	probe->answers = probe->waiting = false;
	probe->misses = 0;
}

void probe_done(struct agent *agent)
{
	probe_stop(agent);
	if (agent->probe.fd >= 0)
		close(agent->probe.fd);
	agent->probe.fd = -1;
}
