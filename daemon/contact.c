/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handshakes that WireGuard by itself would begin late.
 *
 * First contact with peers that were just added. Both ends of a new pair learn of it within some tens of milliseconds of each
 * other; a handshake that the quicker one begins meanwhile is lost, and WireGuard repeats it only after 5 s. So for some
 * seconds after a peer was added we look: where something was sent and no handshake came, the handshake begins anew.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include <stdlib.h>
#include <string.h>

#define LOOK_US	      UINT64_C(500000)
#define LOOK_SLACK_US UINT64_C(100000)
#define LOOKS	      6	  /* after the last addition: 3 s */
#define SESSION_S     180 /* WireGuard's REJECT_AFTER_TIME */
#define RESTARTS_MAX  32  /* a look: the relay lets 8 handshakes a second through to one site */

static bool is_unanswered(const struct wg_peer *peer)
{
	return peer && peer->tx_bytes > 0 && peer->last_handshake_at == 0;
}

size_t contact_unanswered(const struct wg_device *desired, const struct wg_device *actual,
			  const struct key *hub, const struct wg_peer **ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; n < max && i < desired->n_peers; i++) {
		const struct wg_peer *peer = &desired->peers[i];

		if (!key_equal(&peer->public_key, hub) &&
		    is_unanswered(wg_find_peer(actual, &peer->public_key)))
			ret[n++] = peer;
	}
	return n;
}

static void look(struct agent *agent)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	const struct wg_peer *unanswered[RESTARTS_MAX];
	struct err err = {0};
	size_t n;

	if (kernel_device(agent->kernel, agent->options.interface, &device) < 0)
		return;
	n = contact_unanswered(&agent->desired->wg, device, &trust_root(agent->trust)->hub_key,
			       unanswered, RESTARTS_MAX);
	for (size_t i = 0; i < n; i++)
		if (kernel_restart_peer(agent->kernel, unanswered[i], &err) < 0)
			log_error("%s", err.text);
}

static int on_look(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	if (agent->phase != AGENT_ENROLLED || !agent->desired || !agent->trust)
		return 0;
	look(agent);
	if (--agent->contact.looks > 0) {
		(void)sd_event_source_set_time_relative(source, LOOK_US);
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	return 0;
}

void contact_watch(struct agent *agent)
{
	agent->contact.looks = LOOKS;
	agent->contact.timer = sd_event_source_disable_unref(agent->contact.timer);
	(void)sd_event_add_time_relative(agent->event, &agent->contact.timer, CLOCK_BOOTTIME,
					 LOOK_US, LOOK_SLACK_US, on_look, agent);
}

/* Where there is none, the next packet begins one: nobody has to be told. A clock that was set back is no reason. */
static bool has_session(const struct wg_peer *peer)
{
	return peer && peer->last_handshake_at &&
	       clock_wall() - peer->last_handshake_at <= SESSION_S;
}

void contact_renew(struct agent *agent, const struct wg_device *device)
{
	struct err err = {0};

	if (!agent->desired || !agent->trust || !device)
		return;
	for (size_t i = 0; i < agent->desired->wg.n_peers; i++) {
		const struct wg_peer *peer = &agent->desired->wg.peers[i];

		if (!key_equal(&peer->public_key, &trust_root(agent->trust)->hub_key) &&
		    has_session(wg_find_peer(device, &peer->public_key)) &&
		    kernel_restart_peer(agent->kernel, peer, &err) < 0)
			log_error("%s", err.text);
	}
}

/* ---- peers that refuse us, see unanswered.h ---- */

void contact_look(struct agent *agent)
{
	size_t n;

	if (!agent->contact.unanswered && unanswered_new(&agent->contact.unanswered) < 0)
		return;
	if (!agent->view || !agent->device ||
	    unanswered_look(agent->contact.unanswered, agent->view, agent->device, clock_mono()) <
		    0)
		return;
	/* Where the hub is not heard either, nobody can be asked, and it is not their fault. */
	if (!agent->probe.answers || !agent->sync.answers)
		return;
	n = unanswered_take(agent->contact.unanswered, clock_mono(), agent->sync.unanswered,
			    API_RENEW_MAX);
	if (n == 0)
		return;
	log_info("%zu peers have not answered for %d s: asking them by way of the hub", n,
		 UNANSWERED_SECONDS);
	agent->sync.n_unanswered = n;
	sync_start(agent);
}

void contact_renew_asked(struct agent *agent, const struct id *ids, size_t n)
{
	struct err err = {0};

	for (size_t i = 0; i < agent->view->n_peers; i++) {
		const struct verified_identity *v = &agent->view->peers[i];
		const struct wg_peer *peer = wg_find_peer(&agent->desired->wg, &v->k4);
		bool asked = false;

		for (size_t j = 0; j < n; j++)
			asked |= id_equal(&ids[j], &v->id);
		if (!asked || !peer || !agent->contact.unanswered ||
		    !unanswered_may_renew(agent->contact.unanswered, &v->id, clock_mono()))
			continue;
		log_info("%s asks for a new session: beginning one", v->member.name);
		if (kernel_restart_peer(agent->kernel, peer, &err) < 0)
			log_error("%s", err.text);
	}
}

void contact_stop(struct agent *agent)
{
	unanswered_free(agent->contact.unanswered);
	agent->contact.unanswered = NULL;
	agent->contact.timer = sd_event_source_disable_unref(agent->contact.timer);
}
