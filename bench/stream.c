/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One measurement between two hosts: the sender in one namespace on one core, the receiver in another on another core.
 *
 *	stream tcp A-PID B-PID A-CORE B-CORE ADDRESS MILLISECONDS	bytes a second that B reads, after a warm-up
 *	stream udp A-PID B-PID A-CORE B-CORE ADDRESS PACKETS SIZE	ns a packet from the first sent to the last one handed
 *									over, and how many arrived
 *
 * A connection of its own each time, so that what was switched on or off before concerns all of it. For udp with one core
 * for both ends sending, both stacks and receiving share the core: the time is the processor's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#define PORT	    9000
#define WARM_UP_NS  40000000
#define BATCH	    64
#define WINDOW	    512 /* datagrams under way: fewer than the queues between hold */
#define BUFFER	    65536
#define NS_PER_S    INT64_C(1000000000)
#define PATIENCE_NS 200000000

struct shared {
	volatile bool listening, stop;
	volatile uint64_t bytes, packets, wanted;
	sem_t arrived; /* posted where `packets` reaches `wanted` */
};

static void die(const char *what)
{
	fprintf(stderr, "stream: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void enter(const char *pid, const char *core)
{
	cpu_set_t set;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
	CPU_ZERO(&set);
	CPU_SET(atoi(core), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("pin to a core");
}

static socklen_t address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(PORT);
		return sizeof(*v6);
	}
	if (inet_pton(AF_INET, text, &v4->sin_addr) != 1)
		die(text);
	v4->sin_family = AF_INET;
	v4->sin_port = htons(PORT);
	return sizeof(*v4);
}

static void receive_stream(struct shared *shared, int s)
{
	static char buffer[BUFFER];

	while (!shared->stop) {
		ssize_t n = recv(s, buffer, sizeof(buffer), 0);

		if (n == 0)
			break;
		if (n > 0)
			shared->bytes += (uint64_t)n;
	}
}

/* All go into one place. Many at once: where a system call is slow, it would hide what a packet costs. */
static void receive_datagrams(struct shared *shared, int s)
{
	static char buffer[BUFFER];
	const struct sched_param none = {0};
	struct iovec iov = {buffer, sizeof(buffer)};
	struct mmsghdr messages[BATCH];

	for (int i = 0; i < BATCH; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	/* Only when nobody else has anything to do: else each packet would stop the sender, on one core. */
	if (sched_setscheduler(0, SCHED_IDLE, &none) < 0)
		die("schedule");
	while (!shared->stop) {
		int n = recvmmsg(s, messages, BATCH, MSG_WAITFORONE, NULL);

		if (n < 0)
			continue;
		shared->packets += (uint64_t)n;
		if (shared->wanted && shared->packets >= shared->wanted) {
			shared->wanted = 0;
			sem_post(&shared->arrived);
		}
	}
}

static void receive(struct shared *shared, const char *text, bool tcp)
{
	const struct timeval wait = {.tv_usec = 100000};
	struct sockaddr_storage to;
	socklen_t length = address(text, &to);
	int one = 1, big = 8 << 20, s = socket(to.ss_family, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (bind(s, (struct sockaddr *)&to, length) < 0 || (tcp && listen(s, 1) < 0))
		die("listen");
	shared->listening = true;
	if (tcp)
		s = accept(s, NULL, NULL);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (tcp)
		receive_stream(shared, s);
	else
		receive_datagrams(shared, s);
	_exit(0);
}

static int connected(const char *text, bool tcp)
{
	struct sockaddr_storage to;
	socklen_t length = address(text, &to);
	int s = socket(to.ss_family, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

	if (connect(s, (struct sockaddr *)&to, length) < 0)
		die("connect");
	return s;
}

static void tcp(struct shared *shared, const char *text, int64_t measure_ns)
{
	static char buffer[BUFFER];
	int s = connected(text, true);
	int64_t began = now_ns(), from = 0, now;
	uint64_t bytes = 0;

	for (;;) {
		if (send(s, buffer, sizeof(buffer), MSG_NOSIGNAL) < 0)
			die("send");
		now = now_ns();
		if (!from && now - began >= WARM_UP_NS) {
			from = now;
			bytes = shared->bytes;
		} else if (from && now - from >= measure_ns) {
			break;
		}
	}
	printf("%.0f\n", (double)(shared->bytes - bytes) * 1e9 / (double)(now - from));
}

/* Sleeps until the receiver has `packets`, or until none comes any more. Returns how many it has not: they are lost. */
static unsigned int wait_for(struct shared *shared, unsigned int packets)
{
	struct timespec until;
	uint64_t before = shared->packets;

	/* A post may be an earlier one's, that nobody waited for: what counts is the number. */
	for (shared->wanted = packets; shared->packets < packets;) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += (until.tv_nsec + PATIENCE_NS) / NS_PER_S;
		until.tv_nsec = (until.tv_nsec + PATIENCE_NS) % NS_PER_S;
		if (sem_timedwait(&shared->arrived, &until) == 0)
			continue;
		if (shared->packets == before)
			break;
		before = shared->packets;
	}
	return shared->packets < packets ? packets - (unsigned int)shared->packets : 0;
}

static void udp(struct shared *shared, const char *text, unsigned int packets, size_t size)
{
	static char buffer[BUFFER];
	struct iovec iov = {buffer, size};
	struct mmsghdr messages[BATCH];
	int s = connected(text, false);
	unsigned int lost = 0;
	int64_t began;

	for (int i = 0; i < BATCH; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	sendmmsg(s, messages, BATCH, 0); /* neighbours, caches, the flow */
	usleep(20000);
	shared->packets = 0;
	began = now_ns();
	for (unsigned int sent = 0; sent < packets; sent += BATCH) {
		if (sendmmsg(s, messages, BATCH, 0) < 0)
			die("send");
		if ((sent + BATCH) % WINDOW == 0)
			lost += wait_for(shared, sent + BATCH - lost);
	}
	(void)wait_for(shared, packets - lost);
	printf("%.1f %llu\n", (double)(now_ns() - began) / packets,
	       (unsigned long long)shared->packets);
}

int main(int argc, char **argv)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool is_tcp = argc == 8 && strcmp(argv[1], "tcp") == 0;
	pid_t child;

	if (shared == MAP_FAILED || (!is_tcp && argc != 9)) {
		fprintf(stderr, "usage: see bench/stream.c\n");
		return 2;
	}
	sem_init(&shared->arrived, 1, 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter(argv[3], argv[5]);
		receive(shared, argv[6], is_tcp);
	}
	enter(argv[2], argv[4]);
	while (!shared->listening)
		usleep(500);
	if (is_tcp)
		tcp(shared, argv[6], atoll(argv[7]) * 1000000);
	else
		udp(shared, argv[6], (unsigned int)atoi(argv[7]), (size_t)atoi(argv[8]));
	shared->stop = true;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
