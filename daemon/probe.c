/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the hub there? An ICMPv6 echo inside the management session every 2 s, due within 1 s; a miss repeats at once,
 * after two the hub's peer is removed and added again, because WireGuard by itself takes more than a minute to notice
 * a hub that lost its sessions (82 s measured).
 *
 * The socket was opened before CAP_NET_RAW was given up; it may still send, and names the interface with each packet.
 */
#include "common/log.h"
#include "daemon/agent.h"
#include "daemon/doctor.h"
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PERIOD_US     UINT64_C(2000000)
#define DUE_US	      UINT64_C(1000000)
#define JITTER_US     100000
#define MISSES_MAX    2
#define HURRY_US      UINT64_C(300000)
#define HURRY_ECHOES  5
#define RESTARTS_TURN 5 /* after so many restarts in vain the next endpoint is tried */

static const uint16_t echo_id = 0x5357;

int probe_open(struct agent *agent, struct err *err)
{
	struct icmp6_filter filter;
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);

	agent->probe.fd = fd;
	if (fd < 0)
		return err_code(
			err, -errno,
			"open an ICMPv6 socket: %s: sortied starts with CAP_NET_RAW and gives "
			"it up",
			strerror(errno));
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
	if (setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) < 0)
		return err_code(err, -errno, "filter the ICMPv6 socket: %s", strerror(errno));
	return 0;
}

static void set_timer(struct agent *agent, uint64_t in_us)
{
	(void)sd_event_source_set_time_relative(agent->probe.timer, in_us);
	(void)sd_event_source_set_enabled(agent->probe.timer, SD_EVENT_ONESHOT);
}

static int send_echo(struct agent *agent)
{
	struct probe_packet {
		struct icmp6_hdr header;
		uint8_t payload[8];
	} packet = {.header = {.icmp6_type = ICMP6_ECHO_REQUEST}};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};
	const struct addr *hub = &agent->desired->fw.hub6;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control = {0};
	struct iovec iov = {&packet, sizeof(packet)};
	struct msghdr message = {.msg_name = &to,
				 .msg_namelen = sizeof(to),
				 .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct in6_pktinfo info = {
		.ipi6_ifindex = kernel_interface_index(agent->kernel, agent->options.interface)};

	packet.header.icmp6_id = htons(echo_id);
	packet.header.icmp6_seq = htons(++agent->probe.sequence);
	memcpy(&to.sin6_addr, hub->bytes, sizeof(to.sin6_addr));
	memcpy(&info.ipi6_addr, agent->ipv6.bytes, sizeof(info.ipi6_addr));
	control.header.cmsg_level = IPPROTO_IPV6;
	control.header.cmsg_type = IPV6_PKTINFO;
	control.header.cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	return sendmsg(agent->probe.fd, &message, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* A packet that cannot be sent is one that is not answered. */
static void ask(struct agent *agent)
{
	agent->probe.sent_at = clock_mono();
	(void)send_echo(agent);
	agent->probe.waiting = true;
	set_timer(agent, DUE_US);
}

static void restart_hub(struct agent *agent)
{
	const struct root_statement *root = trust_root(agent->trust);
	const struct wg_peer *hub = wg_find_peer(&agent->desired->wg, &root->hub_key);
	struct err err = {0};

	if (agent->probe.answers)
		log_warning("the hub does not answer: starting its session anew");
	agent->probe.answers = false;
	agent->probe.misses = 0;
	if (hub && kernel_restart_peer(agent->kernel, hub, &err) < 0)
		log_error("%s", err.text);
	if (++agent->probe.restarts % RESTARTS_TURN == 0)
		hubs_rotate(agent);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	if (!agent->desired || !agent->trust)
		return 0;
	if (doctor_detours(agent))
		agent->probe.waiting = false;
	if (agent->probe.waiting && ++agent->probe.misses >= MISSES_MAX)
		restart_hub(agent);
	ask(agent);
	return 0;
}

static bool is_answer(const struct agent *agent, const uint8_t *bytes, ssize_t length,
		      const struct sockaddr_in6 *from)
{
	struct icmp6_hdr header;

	if (length < (ssize_t)sizeof(header) || !agent->desired)
		return false;
	memcpy(&header, bytes, sizeof(header));
	return header.icmp6_type == ICMP6_ECHO_REPLY && ntohs(header.icmp6_id) == echo_id &&
	       ntohs(header.icmp6_seq) == agent->probe.sequence &&
	       memcmp(&from->sin6_addr, agent->desired->fw.hub6.bytes, 16) == 0;
}

static void answered(struct agent *agent)
{
	struct agent_probe *probe = &agent->probe;
	int64_t took_us = clock_mono().us - probe->sent_at.us;
	bool came_back = !probe->answers;

	probe->waiting = false;
	probe->misses = probe->restarts = 0;
	probe->answers = true;
	probe->round_trip_us = took_us > 0 && took_us < UINT32_MAX ? (uint32_t)took_us : 0;
	set_timer(agent, probe->hurry ? HURRY_US : PERIOD_US + randombytes_uniform(JITTER_US));
	probe->hurry -= probe->hurry > 0;
	if (came_back) {
		log_info("the hub answers (%u us)", probe->round_trip_us);
		/* A poll that was under way may wait for an answer that never comes. */
		sync_start(agent);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct agent *agent = data;
	struct sockaddr_in6 from = {0};
	socklen_t from_length = sizeof(from);
	uint8_t bytes[128];
	ssize_t n = recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
			     &from_length);

	if (agent->probe.waiting && is_answer(agent, bytes, n, &from))
		answered(agent);
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
	probe->misses = probe->restarts = 0;
}

void probe_done(struct agent *agent)
{
	probe_stop(agent);
	if (agent->probe.fd >= 0)
		close(agent->probe.fd);
	agent->probe.fd = -1;
}
