/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET /v1/local/status: what the agent knows, gathered when asked. */
#include "common/log.h"
#include "daemon/beside.h"
#include "daemon/local.h"
#include "daemon/mode.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WARNING_MAX    400
#define POLICY_ALARM_S (3 * 86400) /* said from here on; expiry itself is a sentence of its own */

static const char *mode_name(const struct agent *agent)
{
	if (agent->phase != AGENT_ENROLLED || !agent->desired)
		return "none";
	switch (agent->desired->fw.mode) {
	case FW_MODE_ENFORCE:
		return "enforce";
	case FW_MODE_OVERLAY:
		return "overlay";
	case FW_MODE_OBSERVE:
		break;
	}
	return "observe";
}

static const char *backend_name(const struct agent *agent)
{
	if (!agent->desired)
		return "none";
	return kernel_backend(agent->kernel) == WG_BACKEND_USERSPACE ? "userspace" : "kernel";
}

static __attribute__((format(printf, 2, 3))) void warn(struct local_status *status,
						       const char *format, ...)
{
	char *text = NULL;
	va_list args;

	if (status->n_warnings >= LOCAL_WARNINGS_MAX)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0)
		status->warnings[status->n_warnings++] = text;
	va_end(args);
}

static void add_warnings(struct agent *agent, struct local_status *status)
{
	int64_t now = clock_wall();

	if (!agent_clock_sane(agent))
		warn(status, "the clock is far off: every admission counts as expired");
	if (agent->trouble[0])
		warn(status, "the kernel does not hold what it should: %s", agent->trouble);
	if (agent->sync.problem[0])
		warn(status, "%s", agent->sync.problem);
	if (agent->down)
		warn(status, "down: nobody is reachable until `sortie up`; the rules hold all the "
			     "same");
	if (agent->names_problem[0])
		warn(status, "%s", agent->names_problem);
	if (agent->phase == AGENT_UNENROLLED && state_has(agent->state, STATE_INTERFACE))
		warn(status,
		     "the rest of an earlier membership is left: `sortie leave` removes it");
	if (agent->phase == AGENT_ENROLLING)
		warn(status, "enrolling: the hub has not answered yet (%u attempts)",
		     agent->enroll.failures);
	if (agent->phase != AGENT_ENROLLED)
		return;
	if (mode_confirm_left(agent))
		warn(status,
		     "the underlay's lock is undone in %u s unless `sortie confirm` comes from a "
		     "login that began after it",
		     mode_confirm_left(agent));
	if (agent->local.held && agent->enforce_pending)
		warn(status,
		     "the underlay's lock was undone because nobody confirmed it: `sortie mode "
		     "enforce --confirm 60s` takes it again");
	if (agent->desired && agent->desired->fw.mode == FW_MODE_OBSERVE)
		warn(status, "mode observe: nothing is dropped between paired identities and on "
			     "the underlay");
	if (kernel_backend(agent->kernel) == WG_BACKEND_USERSPACE)
		warn(status,
		     "WireGuard runs in user space (wireguard-go): slower, and gone when that "
		     "process ends");
	if (agent->view && status->lease_not_after <= now && !status->revoked)
		warn(status, "the admission of this host has expired: nobody is reachable");
	if (status->policy_version && status->policy_not_after <= now)
		warn(status, "the policy has expired: nobody is reachable");
	else if (status->policy_version && status->policy_not_after - now < POLICY_ALARM_S)
		warn(status, "the policy expires within three days: sign a new one");
	if (agent->view && agent->view->n_refused)
		warn(status, "%zu peers do not verify and are left out: %s", agent->view->n_refused,
		     agent->view->refusal.text);
	if (agent->repaired)
		warn(status, "something else changed the kernel's state %llu times: repaired",
		     (unsigned long long)agent->repaired);
}

static const struct verified_identity *find_peer(const struct view *view, const struct id *id)
{
	for (size_t i = 0; view && i < view->n_peers; i++)
		if (id_equal(&view->peers[i].id, id))
			return &view->peers[i];
	return NULL;
}

static void add_peer(const struct agent *agent, const struct wg_device *device,
		     const struct desired_name *name, struct local_status *status)
{
	const struct verified_identity *peer = find_peer(agent->view, &name->id);
	struct local_peer *out = &status->peers[status->n_peers];
	const struct wg_peer *wg;

	if (!peer || status->n_peers >= LOCAL_PEERS_MAX)
		return;
	status->n_peers++;
	out->id = peer->id;
	memcpy(out->name, peer->member.name, sizeof(out->name));
	out->ipv6 = peer->ipv6;
	out->ipv4 = peer->ipv4;
	out->lease_not_after = peer->lease_not_after;
	wg = device ? wg_find_peer(device, &peer->k4) : NULL;
	if (!wg)
		return;
	out->handshake_at = wg->last_handshake_at;
	out->rx_bytes = wg->rx_bytes;
	out->tx_bytes = wg->tx_bytes;
}

static int add_peers(struct agent *agent, struct local_status *status)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	size_t n = agent->desired ? agent->desired->n_names : 0;

	status->peers = calloc(n + 1, sizeof(*status->peers));
	if (!status->peers)
		return -ENOMEM;
	if (n > 0 && kernel_device(agent->kernel, agent->options.interface, &device) < 0)
		device = NULL; /* they are listed all the same, without handshakes */
	for (size_t i = 0; i < n; i++)
		add_peer(agent, device, &agent->desired->names[i], status);
	return 0;
}

static int add_pending(const struct agent *agent, struct local_status *status)
{
	status->enforce_pending = agent->phase == AGENT_ENROLLED && agent->enforce_pending;
	status->pending = calloc(agent->n_pending + 1, sizeof(*status->pending));
	if (!status->pending)
		return -ENOMEM;
	for (size_t i = 0; status->enforce_pending && i < agent->n_pending; i++) {
		char *text = strdup(agent->pending[i]);
		if (!text)
			return -ENOMEM;
		status->pending[status->n_pending++] = text;
	}
	return 0;
}

static void add_identity(const struct agent *agent, struct local_status *status)
{
	const struct root_statement *root = agent->trust ? trust_root(agent->trust) : NULL;
	const struct policy_statement *policy =
		agent->trust ? trust_policy_statement(agent->trust) : NULL;

	if (agent->phase != AGENT_ENROLLED)
		return;
	status->enrolled = true;
	status->revoked = agent_revoked(agent);
	status->down = agent->down;
	(void)id_format(&agent->id, status->id);
	memcpy(status->name, agent->name, sizeof(status->name));
	if (root)
		(void)snprintf(status->network, sizeof(status->network), "%s", root->name);
	status->ipv6 = agent->ipv6;
	status->ipv4 = agent->ipv4;
	status->policy_version = policy ? policy->version : 0;
	status->policy_not_after = policy ? policy->not_after : 0;
	status->lease_not_after = agent->view ? agent->view->self.lease_not_after : 0;
	status->revision = agent->applied;
}

static void add_hub(const struct agent *agent, struct local_status *status)
{
	char text[ENDPOINT_TEXT_MAX];

	if (agent->hubs.choice.n)
		(void)snprintf(status->hub, sizeof(status->hub), "%s",
			       endpoint_format(&agent->hubs.choice.list[0], text));
	status->hub_answers = agent->probe.answers;
	status->hub_round_trip_us = agent->probe.round_trip_us;
	status->control_answers = agent->sync.answers;
	status->control_at = agent->sync.succeeded_at;
}

static void add_denies(struct agent *agent, struct local_status *status)
{
	const struct local_flow *last = flowlog_last_denied(agent->flowlog);
	struct fw_counters counters = {0};

	if (last) {
		bool out = strcmp(last->direction, "out") == 0;

		status->last_deny_at = last->at;
		(void)snprintf(status->last_deny, sizeof(status->last_deny), "%s %s %s",
			       last->direction,
			       last->peer[0] ? last->peer
			       : out	     ? last->to
					     : last->from,
			       last->port);
	}
	if (agent->desired && kernel_counters(agent->kernel, &counters) < 0)
		log_debug("the firewall's counters cannot be read");
	status->counters = (struct local_counters){.denied_in = counters.denied_in,
						   .denied_out = counters.denied_out,
						   .denied_underlay = counters.denied_underlay,
						   .denied_spoofed = counters.denied_spoofed,
						   .would_deny = counters.would_deny,
						   .repaired = agent->repaired};
}

/* Without it the status is true all the same. */
static int add_foreign(struct agent *agent, struct local_status *status)
{
	const struct foreign_finding *findings = NULL;
	size_t n = 0;
	int r = 0;

	if (agent->phase == AGENT_ENROLLED && agent->desired)
		r = beside_recent(agent, &findings, &n);
	if (r < 0)
		log_debug("the rules of other software cannot be read: %s", strerror(-r));
	status->foreign = calloc(n + 1, sizeof(*status->foreign));
	if (!status->foreign)
		return -ENOMEM;
	for (size_t i = 0; i < n && i < LOCAL_FOREIGN_MAX; i++) {
		struct local_foreign *out = &status->foreign[status->n_foreign++];

		out->certain = findings[i].certain;
		(void)snprintf(out->software, sizeof(out->software), "%s",
			       foreign_software_name(findings[i].software));
		(void)snprintf(out->where, sizeof(out->where), "%s", findings[i].where);
		(void)snprintf(out->what, sizeof(out->what), "%s", findings[i].what);
		(void)snprintf(out->allow, sizeof(out->allow), "%s", findings[i].allow);
	}
	return 0;
}

static bool is_ready(const struct agent *agent, const struct local_status *status)
{
	return status->enrolled && !agent->down && agent->desired && !agent->trouble[0] &&
	       agent->view && agent->applied == agent->view->revision && !agent->enforce_pending &&
	       agent->probe.answers && agent_clock_sane(agent) &&
	       status->lease_not_after > clock_wall() && !status->revoked;
}

char *local_status_text(struct agent *agent)
{
	struct local_status status = {.version = SORTIE_VERSION};
	char *text = NULL;
	int r = add_pending(agent, &status);

	if (r == 0)
		r = add_peers(agent, &status);
	if (r == 0)
		r = add_foreign(agent, &status);
	status.warnings = calloc(LOCAL_WARNINGS_MAX, sizeof(*status.warnings));
	if (r == 0 && status.warnings) {
		(void)snprintf(status.interface, sizeof(status.interface), "%s",
			       agent->options.interface);
		(void)snprintf(status.mode, sizeof(status.mode), "%s", mode_name(agent));
		(void)snprintf(status.backend, sizeof(status.backend), "%s", backend_name(agent));
		status.enrolling = agent->phase == AGENT_ENROLLING;
		add_identity(agent, &status);
		add_hub(agent, &status);
		add_denies(agent, &status);
		add_warnings(agent, &status);
		status.ready = is_ready(agent, &status);
		text = local_status_encode(&status);
	}
	local_status_done(&status);
	return text;
}
