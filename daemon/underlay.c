/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before the underlay is locked: which inbound connections run now that the lock would cut? An operator's own SSH
 * session is one of them. None, and it locks at once; some, and the agent records only and names them.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLOWS_MAX 4096
#define TCP_LOOSE "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"

static bool served(const struct fw_desired *fw, const struct flow *flow)
{
	for (size_t i = 0; i < fw->n_underlay; i++) {
		const struct fw_underlay *u = &fw->underlay[i];
		if (u->protocol == flow->protocol && flow->to.port >= u->port_low &&
		    flow->to.port <= u->port_high && prefix_contains(&u->range, &flow->from.addr))
			return true;
	}
	return false;
}

static bool in_overlay(const struct fw_desired *fw, const struct addr *addr)
{
	return prefix_contains(&fw->overlay6, addr) ||
	       (addr_is_set(&fw->overlay4.addr) && prefix_contains(&fw->overlay4, addr));
}

/* A ping is no connection; overlay flows are decided by their own rules; WireGuard's port stays open to the hub. */
static bool would_be_cut(const struct fw_desired *fw, const struct flow *flow)
{
	if (!flow->inbound || flow->protocol == IPPROTO_ICMP || flow->protocol == IPPROTO_ICMPV6)
		return false;
	if (in_overlay(fw, &flow->to.addr) || in_overlay(fw, &flow->from.addr))
		return false;
	if (flow->protocol == IPPROTO_UDP && flow->to.port == fw->listen_port)
		return false;
	return !served(fw, flow);
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "other";
}

static void name_pending(struct agent *agent, const struct flow *flow)
{
	char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	if (agent->n_pending < AGENT_PENDING_MAX)
		(void)snprintf(agent->pending[agent->n_pending++], sizeof(agent->pending[0]),
			       "%s %s -> %s", protocol_name(flow->protocol),
			       endpoint_format(&flow->from, from), endpoint_format(&flow->to, to));
}

bool underlay_examine(struct agent *agent, const struct desired *desired)
{
	_cleanup_(freep) struct flow *flows = NULL;
	size_t n = 0, before = agent->n_pending;
	int r = flows_inbound(FLOWS_MAX, &flows, &n);

	agent->n_pending = 0;
	/* Not knowing is no reason to cut somebody off, and none to be silent about it. */
	if (r < 0) {
		(void)snprintf(agent->pending[0], sizeof(agent->pending[0]),
			       "running connections cannot be listed: %s", strerror(-r));
		agent->n_pending = 1;
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (would_be_cut(&desired->fw, &flows[i]))
			name_pending(agent, &flows[i]);
	/* More than can be listed: some of the rest would be. */
	if (agent->n_pending == 0 && n == FLOWS_MAX) {
		(void)snprintf(agent->pending[0], sizeof(agent->pending[0]),
			       "%d inbound connections or more, not all could be looked at",
			       FLOWS_MAX);
		agent->n_pending = 1;
	}
	if (agent->n_pending > 0 && before == 0)
		log_warning("enforce pending: the underlay only records, because it would cut %s%s",
			    agent->pending[0], agent->n_pending > 1 ? " and others" : "");
	return agent->n_pending == 0;
}

/* ---- nf_conntrack_tcp_loose ---- */

static int write_pickup(const char *value)
{
	_cleanup_(closep) int fd = open(TCP_LOOSE, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, value, 1) != 1 ? -errno : 0;
}

void underlay_remember_pickup(struct agent *agent)
{
	_cleanup_(closep) int fd = open(TCP_LOOSE, O_RDONLY | O_CLOEXEC);
	struct err err = {0};
	char value = '1'; /* the kernel's own, where conntrack is not loaded yet */

	if (state_has(agent->state, STATE_LOOSE) || (fd >= 0 && read(fd, &value, 1) != 1) ||
	    value == '0')
		return;
	if (state_save(agent->state, STATE_LOOSE, &value, 1, &err) < 0)
		log_warning("%s", err.text);
}

void underlay_restore_pickup(struct agent *agent)
{
	_cleanup_(freep) char *value = NULL;
	struct err err = {0};
	size_t length = 0;
	int r;

	if (!state_has(agent->state, STATE_LOOSE))
		return;
	r = state_load(agent->state, STATE_LOOSE, &value, &length, &err);
	if (r == 0 && length > 0)
		r = write_pickup(value);
	if (r == 0)
		r = state_remove(agent->state, STATE_LOOSE, &err);
	if (r < 0)
		log_warning("set " TCP_LOOSE " back: %s", err.text[0] ? err.text : strerror(-r));
}
