/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the firewall still what was applied? Other software flushes rulesets, and a flushed one is an open door.
 *
 * The kernel counts transactions. Ten times a second we ask for that number; where it has moved and not by one of our
 * own, everything is read and compared, and repaired. Notifications would come at once, but while anybody listens the
 * kernel writes one for every element: a load of 100,000 took 2 s instead of 0.45 s, ours as well as other people's.
 *
 * A comparison of a large table takes up to a second, so comparisons get at most a tenth of the time.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include "netlink/ruleset.h"
#include <linux/netlink.h>
#include <string.h>

#define PERIOD_US    UINT64_C(100000)
#define PERIOD_SLACK UINT64_C(20000)
#define PAUSE_FACTOR 10
#define SMALL_TUPLES 5000
#define SMALL_TICKS  10 /* without a hint, in case the number says less than we think */
#define LARGE_TICKS  60

uint32_t verify_generation(struct agent *agent)
{
	uint32_t ret = 0;

	if (!agent->verify.nl || ruleset_generation(agent->verify.nl, &ret) < 0)
		return 0;
	return ret;
}

static void compare(struct agent *agent)
{
	struct agent_verify *verify = &agent->verify;
	struct mono begin = clock_mono(), end;
	struct err err = {0};
	uint32_t now =
		verify_generation(agent); /* before: what changes meanwhile is seen the next time */
	int r = kernel_verify_firewall(agent->kernel, &err);

	end = clock_mono();
	verify->not_before.us = end.us + (end.us - begin.us) * PAUSE_FACTOR;
	if (r == 0)
		verify->generation = now;
	if (r != 1)
		return;
	agent->repaired++;
	log_warning("%s: repairing", err.text);
	if (kernel_reopen_firewall(agent->kernel, &err) < 0 || agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
}

static bool can_compare(const struct agent *agent)
{
	return agent->phase == AGENT_ENROLLED && agent->converged && agent->desired;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)sd_event_source_set_time_relative(source, PERIOD_US);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (can_compare(agent) && verify_generation(agent) != agent->verify.generation &&
	    clock_mono().us >= agent->verify.not_before.us)
		compare(agent);
	return 0;
}

void verify_now_and_then(struct agent *agent)
{
	unsigned int ticks =
		agent->desired->fw.n_tuples <= SMALL_TUPLES ? SMALL_TICKS : LARGE_TICKS;

	if (can_compare(agent) && agent->ticks % ticks == 0)
		compare(agent);
}

void verify_before_own(struct agent *agent)
{
	agent->verify.before_own = verify_generation(agent);
}

/* One transaction after a known state was ours. More: somebody else's may be among them. */
void verify_after_own(struct agent *agent)
{
	struct agent_verify *verify = &agent->verify;

	if (verify->before_own == verify->generation &&
	    verify_generation(agent) == verify->before_own + 1)
		verify->generation = verify->before_own + 1;
}

int verify_start(struct agent *agent, struct err *err)
{
	int r = nl_open(NETLINK_NETFILTER, &agent->verify.nl);

	if (r == 0)
		r = sd_event_add_time_relative(agent->event, &agent->verify.timer, CLOCK_BOOTTIME,
					       PERIOD_US, PERIOD_SLACK, on_timer, agent);
	return r < 0 ? err_code(err, r, "watch the firewall: %s", strerror(-r)) : 0;
}

void verify_done(struct agent *agent)
{
	sd_event_source_disable_unref(agent->verify.timer);
	nl_close(agent->verify.nl);
	memset(&agent->verify, 0, sizeof(agent->verify));
}
