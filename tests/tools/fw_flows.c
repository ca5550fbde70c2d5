/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows between two namespaces, watched from one process with one clock while a command changes what is allowed.
 *
 *   fw_flows PID_A PID_B [--watch IFNAME] [--burst N] [--after MS] FLOW... -- COMMAND...
 *
 *   FLOW     NAME,tcp|udp|ping,a|b (who opens),ADDRESS_A,ADDRESS_B,PORT,up|down[,denied]
 *
 * Every millisecond each flow sends a numbered message (burst: so many), `up` from who opened it, `down` from the other
 * side. When all have started (denied ones need not), COMMAND runs while they go on; then they go on for MS more. One line
 * a flow: "NAME before N during N after N wire N lost N": messages that arrived in each of the three times, packets of it
 * that IFNAME in B saw from A after the command had ended (also those without a message), and UDP and echo messages that
 * were sent before the last one that arrived but did not arrive. Exit: the command's code; 3 where a flow did not start.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/addr.h"

#define FLOWS_MAX	 64
#define START_MESSAGES	 20
#define START_MS	 15000
#define MESSAGE_BYTES	 100
#define NANO_PER_MS	 1000000L
#define DEFAULT_AFTER	 400
#define SETTLE_MS	 5000
#define FIRST_PING_IDENT 0x5100

enum phase { PHASE_BEFORE, PHASE_DURING, PHASE_AFTER, N_PHASES };

struct flow {
	char name[64];
	int protocol; /* IPPROTO_TCP, _UDP, _ICMP (echo, both families) */
	bool from_a, up, denied;
	struct addr a, b;
	uint16_t port, from_port;
	int opener, other; /* sockets; -1 once the flow has ended */
	uint32_t sent, arrived[N_PHASES], highest, wire;
};

static struct flow flows[FLOWS_MAX];
static size_t n_flows;
static int namespaces[2], watch = -1;
static unsigned int burst = 1, after_ms = DEFAULT_AFTER;

static void die(const char *what)
{
	(void)fprintf(stderr, "fw_flows: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / NANO_PER_MS;
}

/* ---- sockets ---- */

static void enter(int which)
{
	if (setns(namespaces[which], CLONE_NEWNET) < 0)
		die("setns");
}

static socklen_t socket_address(const struct addr *addr, uint16_t port,
				struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)addr->family};
	if (addr->family == AF_INET) {
		memcpy(&v4->sin_addr, addr->bytes, 4);
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	memcpy(&v6->sin6_addr, addr->bytes, 16);
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int open_socket(const struct flow *flow, const struct addr *addr, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t length = socket_address(addr, port, &address);
	int one = 1, fd;

	if (flow->protocol == IPPROTO_ICMP)
		fd = socket(addr->family, SOCK_RAW | SOCK_CLOEXEC,
			    addr->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	else
		fd = socket(addr->family,
			    (flow->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) |
				    SOCK_CLOEXEC,
			    0);
	if (fd < 0)
		die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, length) < 0)
		die(flow->name);
	return fd;
}

static void connect_to(const struct flow *flow, int fd, const struct addr *addr, uint16_t port)
{
	struct timeval limit = {.tv_sec = START_MS / 1000};
	struct sockaddr_storage address;
	socklen_t length = socket_address(addr, port, &address);

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, length) < 0)
		die(flow->name);
}

static uint16_t local_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		die("getsockname");
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static void start(struct flow *flow, size_t i)
{
	const struct addr *mine = flow->from_a ? &flow->a : &flow->b;
	const struct addr *theirs = flow->from_a ? &flow->b : &flow->a;
	int listener = -1;

	flow->other = -1;
	if (flow->protocol != IPPROTO_ICMP) {
		enter(flow->from_a);
		listener = open_socket(flow, theirs, flow->port);
		if (flow->protocol == IPPROTO_TCP && listen(listener, 1) < 0)
			die(flow->name);
	}
	enter(!flow->from_a);
	flow->opener = open_socket(flow, mine, 0);
	connect_to(flow, flow->opener, theirs, flow->protocol == IPPROTO_ICMP ? 0 : flow->port);
	flow->from_port = flow->protocol == IPPROTO_ICMP ? (uint16_t)(FIRST_PING_IDENT + i)
							 : local_port(flow->opener);
	if (flow->protocol == IPPROTO_TCP) {
		flow->other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		close(listener);
	} else if (flow->protocol == IPPROTO_UDP) {
		flow->other = listener;
		connect_to(flow, flow->other, mine, flow->from_port);
		/* the other side may only answer */
		if (!flow->up)
			(void)!send(flow->opener, "", 1, 0);
	}
}

/* ---- messages ---- */

static uint16_t ones_sum(const uint8_t *bytes, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void send_one(struct flow *flow)
{
	int fd = flow->up || flow->protocol == IPPROTO_ICMP ? flow->opener : flow->other;
	uint8_t bytes[MESSAGE_BYTES] = {0};
	uint32_t number = htonl(flow->sent + 1);

	if (fd < 0)
		return;
	memcpy(&bytes[8], &number, sizeof(number));
	if (flow->protocol == IPPROTO_ICMP) {
		uint16_t sum;

		bytes[0] = flow->a.family == AF_INET ? 8 : 128;
		bytes[4] = (uint8_t)(flow->from_port >> 8);
		bytes[5] = (uint8_t)flow->from_port;
		sum = ones_sum(bytes, sizeof(bytes));
		if (flow->a.family == AF_INET) {
			bytes[2] = (uint8_t)(sum >> 8);
			bytes[3] = (uint8_t)sum;
		}
	}
	/* What the host itself refuses was sent too, as far as losses go. */
	if (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0 || errno != EAGAIN)
		flow->sent++;
}

static bool is_reply(const struct flow *flow, const uint8_t *bytes, ssize_t n, uint32_t *number)
{
	ssize_t at = flow->a.family == AF_INET ? (bytes[0] & 15) * 4 : 0;

	if (n < at + 12 || bytes[at] != (flow->a.family == AF_INET ? 0 : 129) ||
	    (bytes[at + 4] << 8 | bytes[at + 5]) != flow->from_port)
		return false;
	memcpy(number, &bytes[at + 8], sizeof(*number));
	return true;
}

static void receive(struct flow *flow, enum phase phase)
{
	int fd = flow->up && flow->protocol != IPPROTO_ICMP ? flow->other : flow->opener;
	uint8_t bytes[4096];
	ssize_t n;

	while (fd >= 0 && (n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		uint32_t number = 0;

		if (flow->protocol == IPPROTO_ICMP && !is_reply(flow, bytes, n, &number))
			continue;
		if (flow->protocol == IPPROTO_UDP && n == MESSAGE_BYTES)
			memcpy(&number, &bytes[8], sizeof(number));
		if (ntohl(number) > flow->highest)
			flow->highest = ntohl(number);
		flow->arrived[phase]++;
	}
}

/* ---- the wire ---- */

static void open_watch(const char *ifname)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int size = 32 << 20;

	enter(1);
	address.sll_ifindex = (int)if_nametoindex(ifname);
	watch = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (watch < 0 || !address.sll_ifindex ||
	    bind(watch, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(ifname);
	(void)setsockopt(watch, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static bool is_of(const struct flow *flow, const uint8_t *bytes, size_t n)
{
	bool v4 = flow->a.family == AF_INET;
	size_t addresses = v4 ? 12 : 8, length = v4 ? 4 : 16, head = v4 ? 20 : 40;
	int protocol = flow->protocol == IPPROTO_ICMP && !v4 ? IPPROTO_ICMPV6 : flow->protocol;
	const uint8_t *at = bytes + head;
	uint16_t port;

	if (n < head + 8 || bytes[0] >> 4 != (v4 ? 4 : 6) || bytes[v4 ? 9 : 6] != protocol ||
	    memcmp(bytes + addresses, flow->a.bytes, length) != 0 ||
	    memcmp(bytes + addresses + length, flow->b.bytes, length) != 0)
		return false;
	if (flow->protocol == IPPROTO_ICMP)
		port = (uint16_t)(at[4] << 8 | at[5]);
	else
		port = flow->from_a ? (uint16_t)(at[0] << 8 | at[1])
				    : (uint16_t)(at[2] << 8 | at[3]);
	return port == flow->from_port;
}

static void read_watch(enum phase phase)
{
	struct sockaddr_ll from;
	socklen_t length = sizeof(from);
	uint8_t bytes[2048];
	ssize_t n;

	while (watch >= 0 && (n = recvfrom(watch, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC,
					   (struct sockaddr *)&from, &length)) > 0) {
		size_t kept = (size_t)n < sizeof(bytes) ? (size_t)n : sizeof(bytes);

		length = sizeof(from);
		if (phase != PHASE_AFTER || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		for (size_t i = 0; i < n_flows; i++)
			flows[i].wire += is_of(&flows[i], bytes, kept);
	}
}

/* ---- a run ---- */

static void tick(enum phase phase, bool sending)
{
	struct timespec pause = {.tv_nsec = NANO_PER_MS};

	for (unsigned int k = 0; sending && k < burst; k++)
		for (size_t i = 0; i < n_flows; i++)
			send_one(&flows[i]);
	for (size_t i = 0; i < n_flows; i++)
		receive(&flows[i], phase);
	read_watch(phase);
	nanosleep(&pause, NULL);
}

static bool all_started(void)
{
	for (size_t i = 0; i < n_flows; i++)
		if (!flows[i].denied && flows[i].arrived[PHASE_BEFORE] < START_MESSAGES)
			return false;
	return true;
}

static int run(char **command)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (child == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		tick(PHASE_DURING, true);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

/* What is on its way when sending stops, arrives or never does. */
static void settle(void)
{
	int64_t until = now_ms() + (after_ms < SETTLE_MS ? after_ms : SETTLE_MS) / 4 + 20;

	while (now_ms() < until)
		tick(PHASE_AFTER, false);
}

static void report(const struct flow *flow)
{
	uint32_t all = flow->arrived[PHASE_BEFORE] + flow->arrived[PHASE_DURING] +
		       flow->arrived[PHASE_AFTER];
	uint32_t lost = 0;

	if (flow->protocol != IPPROTO_TCP && flow->highest > all)
		lost = flow->highest - all;
	printf("%s before %u during %u after %u wire %u lost %u\n", flow->name,
	       flow->arrived[PHASE_BEFORE], flow->arrived[PHASE_DURING], flow->arrived[PHASE_AFTER],
	       flow->wire, lost);
}

/* ---- arguments ---- */

static int protocol_of(const char *text)
{
	return strcmp(text, "tcp") == 0	  ? IPPROTO_TCP
	       : strcmp(text, "udp") == 0 ? IPPROTO_UDP
					  : IPPROTO_ICMP;
}

static void read_flow(char *text)
{
	struct flow *flow = &flows[n_flows];
	char *words[8] = {0}, *save = NULL;
	unsigned int n = 0;

	for (char *w = strtok_r(text, ",", &save); w && n < 8; w = strtok_r(NULL, ",", &save))
		words[n++] = w;
	errno = EINVAL;
	if (n_flows == FLOWS_MAX || n < 7 || addr_parse(words[3], &flow->a) < 0 ||
	    addr_parse(words[4], &flow->b) < 0)
		die(text);
	(void)snprintf(flow->name, sizeof(flow->name), "%s", words[0]);
	flow->protocol = protocol_of(words[1]);
	flow->from_a = words[2][0] == 'a';
	flow->port = (uint16_t)strtoul(words[5], NULL, 10);
	flow->up = strcmp(words[6], "up") == 0;
	flow->denied = n == 8;
	n_flows++;
}

static int open_namespace(const char *pid)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

/* Returns the command. */
static char **read_arguments(char **argument)
{
	const char *ifname = NULL;

	for (; *argument && strcmp(*argument, "--") != 0; argument++) {
		if (strcmp(*argument, "--watch") == 0)
			ifname = *++argument;
		else if (strcmp(*argument, "--burst") == 0)
			burst = (unsigned int)strtoul(*++argument, NULL, 10);
		else if (strcmp(*argument, "--after") == 0)
			after_ms = (unsigned int)strtoul(*++argument, NULL, 10);
		else
			read_flow(*argument);
	}
	if (ifname)
		open_watch(ifname);
	errno = EINVAL;
	if (!*argument || !argument[1])
		die("no command");
	return argument + 1;
}

int main(int argc, char **argv)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r;
	int64_t until;
	char **command;

	errno = EINVAL;
	if (argc < 5)
		die("arguments");
	namespaces[0] = open_namespace(argv[1]);
	namespaces[1] = open_namespace(argv[2]);
	command = read_arguments(argv + 3);
	for (size_t i = 0; i < n_flows; i++)
		start(&flows[i], i);
	if (setns(own, CLONE_NEWNET) < 0)
		die("setns");
	until = now_ms() + START_MS;
	while (!all_started() && now_ms() < until)
		tick(PHASE_BEFORE, true);
	r = all_started() ? run(command) : 3;
	until = now_ms() + after_ms;
	while (now_ms() < until)
		tick(PHASE_AFTER, true);
	settle();
	for (size_t i = 0; i < n_flows; i++)
		report(&flows[i]);
	return r;
}
