/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Measuring the way to the hub, step by step in the loop:
 *
 *	names --> a UDP datagram of full size to each endpoint, never fragmented
 *	      --> an echo in the management session by way of each endpoint, the one in use first
 *	      --> an echo of the overlay's full size by the one in use
 *	      --> what routers answered to the datagrams --> doctor_conclude()
 *
 * A hub answers nobody but who speaks WireGuard with a key it knows, so whether UDP arrives only the session can tell:
 * its peer is pointed at one endpoint after the other, and back. WireGuard lets its own packets be fragmented and the
 * relay carries no fragments, so an echo alone does not prove the path's MTU: datagrams that may not be fragmented
 * make the router speak that would have done it.
 */
#include <time.h> /* linux/errqueue.h needs it */

#include <errno.h>
#include <linux/errqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include "daemon/doctor_report.h"
#include "daemon/echo.h"

#define NAMES_US      UINT64_C(8000000) /* for all of them */
#define ECHO_US	      UINT64_C(500000)	/* between two, and for the answer */
#define DETOUR_US     UINT64_C(150000)	/* at most at once */
#define ECHOES_IN_USE 4
#define ECHOES_OTHER  3
#define ERRORS_MS     600 /* how long routers have to answer */
#define ECHO_SIZE     64
#define OUTER_DATA    32 /* WireGuard's header and tag */
#define DATAGRAM_MAX  65507
#define ERRORS_MAX    8

static const uint16_t echo_id = 0x5358, return_id = 0x5359; /* probe.c has another */

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct doctor *doctor = data;

	doctor->step(doctor);
	return 0;
}

static void next_in(struct doctor *doctor, uint64_t us, void (*step)(struct doctor *doctor))
{
	sd_event *event = doctor->agent->event;

	doctor->step = step;
	if (!doctor->timer)
		(void)sd_event_add_time_relative(event, &doctor->timer, CLOCK_BOOTTIME, us, 1000,
						 on_timer, doctor);
	(void)sd_event_source_set_time_relative(doctor->timer, us);
	(void)sd_event_source_set_enabled(doctor->timer, SD_EVENT_ONESHOT);
}

/* ---- names ---- */

static void legs_begin(struct doctor *doctor);

static void add_leg(struct doctor_path *path, const struct endpoint *to)
{
	for (size_t i = 0; i < path->n_legs; i++)
		if (endpoint_equal(&path->legs[i].to, to))
			return;
	if (path->n_legs < ARRAY_SIZE(path->legs))
		path->legs[path->n_legs++] = (struct doctor_leg){.to = *to, .fd = -1};
}

static void names_next(struct doctor *doctor);

static void on_resolved(const struct ipc_resolved *resolved, void *data)
{
	struct doctor *doctor = data;
	struct doctor_name *name = &doctor->path.names[doctor->path.n_names - 1];

	doctor->question = 0;
	name->error = resolved->error;
	name->n_found = resolved->n_endpoints;
	for (size_t i = 0; i < resolved->n_endpoints; i++)
		add_leg(&doctor->path, &resolved->endpoints[i]);
	names_next(doctor);
}

static int ask_name(struct doctor *doctor, const char *text)
{
	if (!doctor->agent->child || !child_is_ready(doctor->agent->child))
		return -EAGAIN;
	return child_resolve_text(doctor->agent->child, text, on_resolved, doctor,
				  &doctor->question);
}

static void names_next(struct doctor *doctor)
{
	struct doctor_path *path = &doctor->path;
	const char *text;

	while (path->n_names < ARRAY_SIZE(path->names) &&
	       (text = hubs_text(doctor->agent, path->n_names))) {
		struct doctor_name *name = &path->names[path->n_names++];
		struct endpoint endpoint;

		(void)snprintf(name->text, sizeof(name->text), "%s", text);
		if (endpoint_parse(text, &endpoint) == 0) {
			add_leg(path, &endpoint);
			continue;
		}
		name->error = ask_name(doctor, text);
		if (name->error == 0)
			return; /* on_resolved() goes on */
	}
	legs_begin(doctor);
}

/* The question stays ours to cancel; those behind it are not asked. */
static void names_late(struct doctor *doctor)
{
	struct doctor_path *path = &doctor->path;
	const char *text;

	child_cancel(doctor->agent->child, doctor->question);
	doctor->question = 0;
	path->names[path->n_names - 1].error = -ETIMEDOUT;
	while (path->n_names < ARRAY_SIZE(path->names) &&
	       (text = hubs_text(doctor->agent, path->n_names))) {
		struct doctor_name *name = &path->names[path->n_names++];

		(void)snprintf(name->text, sizeof(name->text), "%s", text);
		name->error = -ETIMEDOUT;
	}
	legs_begin(doctor);
}

/* ---- datagrams that may not be fragmented ---- */

static uint32_t overlay_mtu(const struct doctor *doctor)
{
	return doctor->agent->desired ? doctor->agent->desired->mtu : 1280;
}

static int set_options(int fd, int family)
{
	const int probe = family == AF_INET ? IP_PMTUDISC_PROBE : IPV6_PMTUDISC_PROBE, on = 1;
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int discover = family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
	int errors = family == AF_INET ? IP_RECVERR : IPV6_RECVERR;

	return setsockopt(fd, level, discover, &probe, sizeof(probe)) < 0 ||
			       setsockopt(fd, level, errors, &on, sizeof(on)) < 0
		       ? -errno
		       : 0;
}

static int open_leg(const struct doctor_leg *leg, int *ret_fd)
{
	struct sockaddr_storage to;
	socklen_t length = endpoint_to_sockaddr(&leg->to, &to);
	_cleanup_(closep) int fd =
		socket(leg->to.addr.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -errno : set_options(fd, leg->to.addr.family);

	if (r == 0 && connect(fd, (struct sockaddr *)&to, length) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/* What begins with a zero is of no WireGuard type: whoever gets it drops it. */
static void send_datagram(const struct doctor *doctor, struct doctor_leg *leg)
{
	static const uint8_t zeroes[DATAGRAM_MAX];
	size_t size = overlay_mtu(doctor) + OUTER_DATA;
	bool ipv4 = leg->to.addr.family == AF_INET;
	int mtu = 0;
	socklen_t length = sizeof(mtu);

	/* An error that waits at the socket is told once, instead of sending: the queue has it as well. */
	for (int i = 0; i < 2 && size <= sizeof(zeroes); i++) {
		if (send(leg->fd, zeroes, size, 0) >= 0)
			return;
	}
	if (errno == EMSGSIZE && getsockopt(leg->fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
					    ipv4 ? IP_MTU : IPV6_MTU, &mtu, &length) == 0)
		leg->mtu = (uint32_t)mtu;
}

static void send_datagrams(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->path.n_legs; i++)
		if (doctor->path.legs[i].fd >= 0)
			send_datagram(doctor, &doctor->path.legs[i]);
}

static void take_error(struct doctor_leg *leg, const struct cmsghdr *header)
{
	struct sock_extended_err error;
	struct endpoint offender = {0};
	struct sockaddr_storage from = {0};
	size_t length = header->cmsg_len - CMSG_LEN(0);

	if (length < sizeof(error))
		return;
	memcpy(&error, CMSG_DATA(header), sizeof(error));
	length -= sizeof(error);
	memcpy(&from, CMSG_DATA(header) + sizeof(error),
	       length < sizeof(from) ? length : sizeof(from));
	if (error.ee_origin == SO_EE_ORIGIN_LOCAL ||
	    endpoint_from_sockaddr((struct sockaddr *)&from, length, &offender) < 0)
		offender = (struct endpoint){0};
	if (error.ee_errno != EMSGSIZE) {
		leg->refused = (int)error.ee_errno;
		leg->refused_by_hub = addr_equal(&offender.addr, &leg->to.addr);
		return;
	}
	if (leg->mtu && error.ee_info > leg->mtu)
		return;
	leg->mtu = error.ee_info;
	leg->mtu_from = offender.addr;
}

static void read_errors(struct doctor_leg *leg)
{
	char control[512], byte;

	for (int i = 0; i < ERRORS_MAX; i++) {
		struct iovec iov = {&byte, sizeof(byte)};
		struct msghdr message = {.msg_iov = &iov,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control)};

		if (recvmsg(leg->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h))
			if ((h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_RECVERR) ||
			    (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_RECVERR))
				take_error(leg, h);
	}
}

/* ---- echoes ---- */

static const struct wg_peer *hub_peer(const struct agent *agent)
{
	return agent->desired && agent->trust
		       ? wg_find_peer(&agent->desired->wg, &trust_root(agent->trust)->hub_key)
		       : NULL;
}

static void point_hub_at(struct doctor *doctor, const struct endpoint *to)
{
	const struct wg_peer *hub = hub_peer(doctor->agent);
	struct wg_peer changed;
	struct err err = {0};

	if (!hub)
		return;
	changed = *hub;
	changed.endpoint = *to;
	/* A peer that cannot be changed does not answer there: that is what will be said. */
	(void)kernel_set_peer(doctor->agent->kernel, &changed, &err);
}

static void send_as(struct doctor *doctor, uint16_t id, uint16_t sequence, size_t size)
{
	const struct agent *agent = doctor->agent;
	struct echo echo = {
		.from = agent->ipv6, .to = agent->desired->fw.hub6, .id = id, .sequence = sequence};

	echo.ifindex = kernel_interface_index(agent->kernel, agent->options.interface);
	(void)echo_send(agent->doctor_fd, &echo, size);
}

static void send_echo(struct doctor *doctor, size_t size)
{
	doctor->sends++;
	send_as(doctor, echo_id, ++doctor->sequence, size);
}

static void leg_begin(struct doctor *doctor);
static void full_begin(struct doctor *doctor);

static void errors_late(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->path.n_legs; i++)
		if (doctor->path.legs[i].fd >= 0)
			read_errors(&doctor->path.legs[i]);
	doctor_path_stop(doctor);
	doctor_conclude(doctor);
}

static void errors_begin(struct doctor *doctor)
{
	int64_t passed_ms = mono_diff_ms(clock_mono(), doctor->began_at);

	doctor->first = 0;
	next_in(doctor, passed_ms < ERRORS_MS ? (uint64_t)(ERRORS_MS - passed_ms) * 1000 : 0,
		errors_late);
}

static void leg_done(struct doctor *doctor)
{
	doctor->at++;
	leg_begin(doctor);
}

static void restore_hub(struct doctor *doctor)
{
	const struct doctor_path *path = &doctor->path;

	if (path->tunnel && path->n_legs > 1 && path->legs[0].in_use)
		point_hub_at(doctor, &path->legs[0].to);
}

static void leg_again(struct doctor *doctor);

/*
 * Back before the answer is late. A NAT may show the hub another address for each that we dial; what the hub sees twice, a
 * quarter of a second apart, is where it says the relay has to look for this host (hub_watch.h), and what the host says to
 * other sites comes from the first one.
 */
static void detour_ends(struct doctor *doctor)
{
	restore_hub(doctor);
	send_as(doctor, return_id, 0, ECHO_SIZE);
	next_in(doctor, ECHO_US - DETOUR_US, leg_again);
}

/* Pointed there each time: whatever the hub sent meanwhile led WireGuard back to where that came from. */
static void ask_leg(struct doctor *doctor)
{
	const struct doctor_leg *leg = &doctor->path.legs[doctor->at];

	if (!leg->in_use)
		point_hub_at(doctor, &leg->to);
	send_echo(doctor, ECHO_SIZE);
	if (leg->in_use)
		next_in(doctor, ECHO_US, leg_again);
	else
		next_in(doctor, DETOUR_US, detour_ends);
}

static void leg_again(struct doctor *doctor)
{
	const struct doctor_leg *leg = &doctor->path.legs[doctor->at];

	if (doctor->sends == 1)
		send_datagrams(doctor); /* the first ones may have been lost */
	if (doctor->sends >= (leg->in_use ? ECHOES_IN_USE : ECHOES_OTHER))
		leg_done(doctor);
	else
		ask_leg(doctor);
}

static void leg_begin(struct doctor *doctor)
{
	struct doctor_path *path = &doctor->path;

	while (doctor->at < path->n_legs && path->legs[doctor->at].fd < 0)
		doctor->at++;
	if (doctor->at == path->n_legs) {
		full_begin(doctor);
		return;
	}
	path->legs[doctor->at].asked = true;
	doctor->sends = 0;
	doctor->first = (uint16_t)(doctor->sequence + 1);
	ask_leg(doctor);
}

static void full_again(struct doctor *doctor);

/* Restored each time: a late answer from a detour led WireGuard there again. */
static void ask_full(struct doctor *doctor)
{
	restore_hub(doctor);
	send_echo(doctor, doctor->path.full_size);
	next_in(doctor, ECHO_US, full_again);
}

static void full_again(struct doctor *doctor)
{
	if (doctor->sends >= ECHOES_OTHER)
		errors_begin(doctor);
	else
		ask_full(doctor);
}

static void full_begin(struct doctor *doctor)
{
	struct doctor_path *path = &doctor->path;

	if (path->n_legs == 0 || !path->legs[0].in_use || !path->legs[0].answered) {
		restore_hub(doctor);
		errors_begin(doctor);
		return;
	}
	path->full_asked = true;
	path->full_size = overlay_mtu(doctor);
	doctor->sends = 0;
	doctor->first = (uint16_t)(doctor->sequence + 1);
	ask_full(doctor);
}

/* In order, but for wrap-around, which takes 65536 echoes. */
static bool is_of_this_step(const struct doctor *doctor, const struct echo *echo)
{
	return doctor->first && doctor->agent->desired && echo->id == echo_id &&
	       addr_equal(&echo->from, &doctor->agent->desired->fw.hub6) &&
	       echo->sequence >= doctor->first && echo->sequence <= doctor->sequence;
}

/* Where the hub's peer speaks to now: WireGuard sends to where the last packet came from. */
static bool find_hub(const struct doctor *doctor, struct endpoint *ret)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	struct agent *agent = doctor->agent;
	const struct wg_peer *hub;

	if (!agent->trust || kernel_device(agent->kernel, agent->options.interface, &device) < 0)
		return false;
	hub = wg_find_peer(device, &trust_root(agent->trust)->hub_key);
	if (hub)
		*ret = hub->endpoint;
	return hub;
}

/*
 * The hub answers a session from the port where that began, so an echo to its second port comes back from the first one: it
 * has arrived, which is what a firewall would have prevented. One that leaves us at the other family went by that, too: a packet
 * of the hub's had just led WireGuard away from the detour.
 */
static void take_leg_answer(struct doctor *doctor, uint32_t us)
{
	struct doctor_leg *leg = &doctor->path.legs[doctor->at];
	struct endpoint from = {0};
	bool found = find_hub(doctor, &from);

	if (!leg->in_use && us < DETOUR_US && found && from.addr.family != leg->to.addr.family)
		return; /* leg_again() goes on */
	leg->answered = true;
	leg->by_another = !found || !endpoint_equal(&from, &leg->to);
	leg->round_trip_us = us;
	leg_done(doctor);
}

/* A handshake that fell into a detour bound the session to that port, which a NAT may not let in: it begins anew. */
static void renew_session(struct doctor *doctor)
{
	const struct doctor_leg *in_use = &doctor->path.legs[0];
	const struct wg_peer *hub = hub_peer(doctor->agent);
	struct endpoint from;
	struct wg_peer changed;
	struct err err = {0};

	if (!hub || in_use->by_another || !find_hub(doctor, &from) ||
	    endpoint_equal(&from, &in_use->to))
		return;
	changed = *hub;
	changed.endpoint = in_use->to;
	(void)kernel_restart_peer(doctor->agent->kernel, &changed, &err);
}

static void take_answer(struct doctor *doctor, size_t size, uint32_t us)
{
	struct doctor_path *path = &doctor->path;

	if (!path->full_asked) {
		take_leg_answer(doctor, us);
		return;
	}
	path->full_answered = size == path->full_size;
	if (!path->full_answered)
		return;
	renew_session(doctor);
	errors_begin(doctor);
}

static int on_echo(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct doctor *doctor = data;
	struct echo echo;
	size_t size;
	uint32_t us;

	if (echo_receive(fd, &echo, &size, &us) == 0 && is_of_this_step(doctor, &echo))
		take_answer(doctor, size, us);
	return 0;
}

/* ---- the whole ---- */

static bool tunnel_stands(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;
	struct link_info link;

	return agent->phase == AGENT_ENROLLED && agent->desired && agent->kernel &&
	       agent->doctor_fd >= 0 && hub_peer(agent) &&
	       kernel_link(agent->kernel, agent->options.interface, &link) == 0 && link.up &&
	       echo_listen(agent->doctor_fd, true) == 0 &&
	       sd_event_add_io(agent->event, &doctor->io, agent->doctor_fd, EPOLLIN, on_echo,
			       doctor) >= 0;
}

/* The endpoint that the kernel has goes first: whatever names say now, this is where packets go. */
static void find_in_use(struct doctor *doctor)
{
	_cleanup_(wg_device_freep) struct wg_device *device = NULL;
	struct doctor_path *path = &doctor->path;
	struct agent *agent = doctor->agent;
	const struct wg_peer *hub;

	if (kernel_device(agent->kernel, agent->options.interface, &device) < 0)
		return;
	hub = wg_find_peer(device, &trust_root(agent->trust)->hub_key);
	if (!hub || !addr_is_set(&hub->endpoint.addr))
		return;
	path->handshake_at = hub->last_handshake_at;
	add_leg(path, &hub->endpoint);
	for (size_t i = 0; i < path->n_legs; i++) {
		struct doctor_leg leg = path->legs[i];
		if (!endpoint_equal(&leg.to, &hub->endpoint))
			continue;
		leg.in_use = true;
		memmove(&path->legs[1], &path->legs[0], i * sizeof(leg));
		path->legs[0] = leg;
	}
}

static void legs_begin(struct doctor *doctor)
{
	struct doctor_path *path = &doctor->path;

	path->tunnel = tunnel_stands(doctor);
	if (path->tunnel)
		find_in_use(doctor);
	for (size_t i = 0; i < path->n_legs; i++)
		path->legs[i].route_error = -open_leg(&path->legs[i], &path->legs[i].fd);
	doctor->began_at = clock_mono();
	send_datagrams(doctor);
	if (path->tunnel)
		leg_begin(doctor);
	else
		errors_begin(doctor);
}

bool doctor_detours(const struct agent *agent)
{
	const struct doctor *doctor = agent->doctor;

	return doctor && doctor->path.tunnel && doctor->first && !doctor->path.full_asked &&
	       doctor->at < doctor->path.n_legs && !doctor->path.legs[doctor->at].in_use;
}

void doctor_hide_detour(const struct agent *agent, const struct wg_device *desired,
			struct wg_device *actual)
{
	const struct key *key = agent->trust ? &trust_root(agent->trust)->hub_key : NULL;
	const struct wg_peer *want = key ? wg_find_peer(desired, key) : NULL;

	for (size_t i = 0; want && doctor_detours(agent) && i < actual->n_peers; i++)
		if (key_equal(&actual->peers[i].public_key, key))
			actual->peers[i].endpoint = want->endpoint;
}

void doctor_path_begin(struct doctor *doctor)
{
	next_in(doctor, NAMES_US, names_late);
	names_next(doctor);
}

void doctor_path_stop(struct doctor *doctor)
{
	struct doctor_path *path = &doctor->path;

	if (doctor->question)
		child_cancel(doctor->agent->child, doctor->question);
	doctor->question = 0;
	/* Also at the end: what came by a detour after it was over has led WireGuard there again. */
	if (doctor->io) {
		(void)echo_listen(doctor->agent->doctor_fd, false);
		restore_hub(doctor);
	}
	doctor->io = sd_event_source_disable_unref(doctor->io);
	doctor->timer = sd_event_source_disable_unref(doctor->timer);
	for (size_t i = 0; i < path->n_legs; i++) {
		if (path->legs[i].fd >= 0)
			close(path->legs[i].fd);
		path->legs[i].fd = -1;
	}
}
