/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	pending --mode enforce --confirm--> locked, waiting --confirm by a new login--> locked
 *	   ^                                      |
 *	   +--mode enforce-- held <---deadline----+
 *
 * What waits is on disk before the lock is in the kernel: an agent that is killed in between finds the deadline again.
 * Deadlines are on the boot's clock, so that setting the wall clock neither saves nor undoes a lock; another boot is over.
 */
#include "daemon/mode.h"
#include "common/log.h"
#include "daemon/login.h"
#include <errno.h>
#include <string.h>

#define ACCURACY_US 100000

static const char *mode_text(enum policy_mode mode)
{
	return mode == POLICY_MODE_ENFORCE   ? "enforce"
	       : mode == POLICY_MODE_OVERLAY ? "overlay"
					     : "observe";
}

static int save(struct agent *agent, const struct state_local *local, const char **ret_code,
		struct err *err)
{
	int r = state_save_local(agent->state, local, err);

	if (r < 0) {
		*ret_code = r == -ENOSPC || r == -EDQUOT ? "storage-full" : "internal";
		return r;
	}
	agent->local = *local;
	return 0;
}

/* ---- waiting ---- */

uint32_t mode_confirm_left(const struct agent *agent)
{
	int64_t left = agent->local.confirm.deadline_us - clock_mono().us;

	if (!agent->local.confirm.deadline_us)
		return 0;
	return left < 1000000 ? 1 : (uint32_t)(left / 1000000);
}

static void stop_waiting(struct agent *agent)
{
	agent->confirm_timer = sd_event_source_disable_unref(agent->confirm_timer);
}

static void undo(struct agent *agent)
{
	struct state_local local = agent->local;
	struct err err = {0};

	stop_waiting(agent);
	(void)snprintf(local.mode, sizeof(local.mode), "%s", local.confirm.mode_before);
	local.underlay_locked = false;
	local.held = true;
	local.confirm = (struct state_confirm){0};
	/* Undone all the same: the disk still has the deadline, and the next start undoes it again. */
	if (state_save_local(agent->state, &local, &err) < 0)
		log_warning("%s", err.text);
	agent->local = local;
	log_warning("the underlay's lock was not confirmed: undone, and nothing locks it by itself "
		    "(`sortie mode enforce`)");
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;
	struct err err = {0};

	undo(agent);
	if (agent_converge(agent, &err) < 0)
		log_error("%s", err.text);
	return 0;
}

static int wait_for_deadline(struct agent *agent, struct err *err)
{
	int r;

	stop_waiting(agent);
	r = sd_event_add_time(agent->event, &agent->confirm_timer, CLOCK_BOOTTIME,
			      (uint64_t)agent->local.confirm.deadline_us, ACCURACY_US, on_deadline,
			      agent);
	return r < 0 ? err_code(err, r, "wait for the confirmation: %s", strerror(-r)) : 0;
}

int mode_resume(struct agent *agent, struct err *err)
{
	const struct state_confirm *confirm = &agent->local.confirm;
	char boot[LOGIN_BOOT_MAX] = "";

	if (!confirm->deadline_us)
		return 0;
	if (login_boot_id(boot) == 0 && strcmp(boot, confirm->boot) == 0 &&
	    clock_mono().us < confirm->deadline_us)
		return wait_for_deadline(agent, err);
	undo(agent);
	return 0;
}

void mode_forget(struct agent *agent)
{
	stop_waiting(agent);
	agent->local = (struct state_local){0};
}

/* ---- what is asked for ---- */

static int begin_waiting(struct agent *agent, uint32_t confirm_s, struct state_local *local,
			 const char **ret_code, struct err *err)
{
	int64_t now_us = clock_mono().us;
	struct login_mark mark;
	int r = login_mark_now("/proc", now_us, &mark);

	*ret_code = "internal";
	if (r == 0)
		r = login_boot_id(local->confirm.boot);
	if (r < 0)
		return err_code(err, r, "mode: read /proc for who is logged in: %s", strerror(-r));
	/* Asked a second time, it is still the first one that there is to go back to. */
	if (!agent->local.confirm.deadline_us)
		(void)snprintf(local->confirm.mode_before, sizeof(local->confirm.mode_before), "%s",
			       agent->local.mode);
	local->confirm.at_us = now_us;
	local->confirm.session = mark.session;
	local->confirm.deadline_us = now_us + confirm_s * INT64_C(1000000);
	local->underlay_locked = true;
	return 0;
}

static int check_mode(struct agent *agent, const char *mode, uint32_t confirm_s,
		      const char **ret_code, struct err *err)
{
	bool enforce = strcmp(mode, "enforce") == 0;
	struct state_local local = agent->local;
	enum policy_mode holds;

	*ret_code = "bad-request";
	if (!enforce && strcmp(mode, "overlay") != 0)
		return err_set(err, "mode: \"%s\" is neither enforce nor overlay", mode);
	if (confirm_s && !enforce)
		return err_set(err, "mode: overlay locks nothing that there is to confirm");
	if (confirm_s && (confirm_s < MODE_CONFIRM_MIN_S || confirm_s > MODE_CONFIRM_MAX_S))
		return err_set(err, "mode: --confirm takes %ds to %ds", MODE_CONFIRM_MIN_S,
			       MODE_CONFIRM_MAX_S);
	if (agent->phase != AGENT_ENROLLED || !agent->trust) {
		*ret_code = "not-enrolled";
		return err_code(
			err, -ENOENT,
			"mode: this host is not enrolled: `sortie enroll --token file:PATH`");
	}
	/* What policy and --mode say, without what was set here before: that may be taken back. */
	agent->local.mode[0] = '\0';
	holds = agent_mode(agent);
	agent->local = local;
	if ((enforce ? POLICY_MODE_ENFORCE : POLICY_MODE_OVERLAY) <= holds)
		return 0;
	*ret_code = "mode-loosens";
	if (agent->options.mode == holds)
		return err_code(
			err, -EPERM,
			"mode: sortied was started with --mode %s: change its options, as in "
			"/etc/sortie/sortied.env",
			mode_text(holds));
	return err_code(err, -EPERM,
			"mode: policy says %s here, and a host may only tighten it: change the "
			"policy's `hosts`",
			mode_text(holds));
}

int mode_set(struct agent *agent, const char *mode, uint32_t confirm_s, const char **ret_code,
	     struct err *err)
{
	struct state_local local;
	bool waits;
	int r = check_mode(agent, mode, confirm_s, ret_code, err);

	if (r < 0)
		return r;
	/* Another mode: the question whether this one may stay is answered. */
	if (strcmp(mode, "overlay") == 0 && agent->local.confirm.deadline_us)
		undo(agent);
	local = agent->local;
	(void)snprintf(local.mode, sizeof(local.mode), "%s", mode);
	local.held = false;
	/* A lock that stands and was confirmed, or was never in question, stays. */
	waits = confirm_s && (!local.underlay_locked || local.confirm.deadline_us);
	if (waits)
		r = begin_waiting(agent, confirm_s, &local, ret_code, err);
	if (r == 0)
		r = save(agent, &local, ret_code, err);
	if (r < 0)
		return r;
	*ret_code = "internal";
	r = waits ? wait_for_deadline(agent, err) : 0;
	if (r < 0) {
		undo(agent); /* nothing else would */
		return r;
	}
	return agent_converge(agent, err);
}

int mode_confirm(struct agent *agent, pid_t pid, const char **ret_code, struct err *err)
{
	const struct login_mark mark = {agent->local.confirm.session, agent->local.confirm.at_us};
	struct state_local local = agent->local;
	struct login login;
	int r;

	*ret_code = "not-enrolled";
	if (agent->phase != AGENT_ENROLLED)
		return err_code(err, -ENOENT,
				"confirm: this host is not enrolled, it has no lock to confirm");
	*ret_code = "conflict";
	if (!local.confirm.deadline_us)
		return err_set(err, "confirm: nothing waits for it%s",
			       local.held ? ": the lock was undone, `sortie mode enforce --confirm "
					    "60s` takes it again"
					  : "");
	r = login_of("/proc", pid, &login);
	*ret_code = "internal";
	if (r < 0)
		return err_code(err, r, "confirm: read who asks from /proc/%d: %s", (int)pid,
				strerror(-r));
	*ret_code = "forbidden";
	if (!login_is_newer(&login, &mark))
		return err_code(err, -EPERM,
				"confirm: this login is older than the lock, or none: log in anew "
				"from outside and confirm there, %u s are left",
				mode_confirm_left(agent));
	local.confirm = (struct state_confirm){0};
	r = save(agent, &local, ret_code, err);
	if (r < 0)
		return r;
	stop_waiting(agent);
	log_info("the underlay's lock is confirmed");
	agent_converge_soon(agent);
	return 0;
}
