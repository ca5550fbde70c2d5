/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long it takes to load a policy. In a namespace of its own, each time.
 *
 *   fw_load apply N                 loads N tuples, half of each family, and ends: what is timed from outside
 *   fw_load delta N SAMPLES         loads N, then exchanges 10 of them: prints "FULL_NS DELTA_NS" for each sample
 *   fw_load pairs N FILE SAMPLES    `fw_load apply N` and `nft -f FILE`, fork to exit, in turn: prints "OURS_NS NFT_NS",
 *                                   and the processor's time for each, which a busy machine changes less
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "firewall/firewall.h"

#define TUPLES_PER_PEER 100 /* both families */
#define DELTA		10
#define LEASE_S		3600
#define SETTLE_NS	50000000L
#define NS_PER_S	1000000000L

struct world {
	struct fw_peer *peers;
	struct fw_tuple *tuples;
	struct fw_desired desired;
};

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "fw_load: %s: %s\n", what, why);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- a policy of n tuples ---- */

/* Addresses are hashes: their order says nothing about the order of peers. */
static uint64_t scramble(uint64_t value)
{
	value = (value + 1) * 0x9e3779b97f4a7c15ULL;
	return value ^ value >> 29;
}

static struct addr address(int family, size_t i, size_t n)
{
	/* 7919 and n have no common divisor: every peer gets an address of its own */
	size_t place = n % 7919 ? i * 7919 % n : i;
	uint64_t random = scramble(i);
	struct addr addr;
	char text[64];

	if (family == AF_INET)
		(void)snprintf(text, sizeof(text), "10.77.%zu.%zu", place / 250 + 1,
			       place % 250 + 1);
	else
		(void)snprintf(text, sizeof(text), "fd12:3456:789a:%x:%x:%x:%x:%zx",
			       (unsigned int)(random & 0xfff) + 16,
			       (unsigned int)(random >> 12 & 0xffff),
			       (unsigned int)(random >> 28 & 0xffff),
			       (unsigned int)(random >> 44 & 0xffff), i + 1);
	if (addr_parse(text, &addr) < 0)
		die("address", text);
	return addr;
}

/* In the order in which policy_resolve() returns them: by direction, peer, port. */
static void fill_tuples(struct fw_tuple *tuples, size_t n, size_t n_peers)
{
	size_t per_peer = n / n_peers / 2;

	for (size_t i = 0; i < n; i++) {
		size_t half = i % (n / 2);
		uint16_t port = (uint16_t)(1000 + half % per_peer);

		tuples[i] = (struct fw_tuple){.peer = (uint32_t)(half / per_peer),
					      .inbound = i < n / 2,
					      .protocol = IPPROTO_TCP,
					      .port_low = port,
					      .port_high = port};
	}
}

/* n is a multiple of TUPLES_PER_PEER */
static void make_world(size_t n, struct world *ret)
{
	size_t n_peers = n / TUPLES_PER_PEER, n_tuples = n / 2;
	struct fw_desired *desired = &ret->desired;

	ret->peers = calloc(n_peers + 1, sizeof(*ret->peers));
	ret->tuples = calloc(n_tuples + 1, sizeof(*ret->tuples));
	if (!ret->peers || !ret->tuples || !n_peers || n % TUPLES_PER_PEER)
		die("world", "a multiple of 100 is wanted");
	for (size_t i = 0; i < n_peers; i++)
		ret->peers[i] = (struct fw_peer){.ipv6 = address(AF_INET6, i, n_peers),
						 .ipv4 = address(AF_INET, i, n_peers),
						 .number = (uint32_t)i + 1,
						 .lease_s = LEASE_S};
	fill_tuples(ret->tuples, n_tuples, n_peers);
	*desired = (struct fw_desired){.ifname = "sortie0",
				       .mode = FW_MODE_OVERLAY,
				       .api_port = 4280,
				       .enroll_port = 4281,
				       .listen_port = 40404,
				       .peers = ret->peers,
				       .n_peers = n_peers,
				       .tuples = ret->tuples,
				       .n_tuples = n_tuples};
	if (prefix_parse("fd12:3456:789a::/48", &desired->overlay6) < 0 ||
	    prefix_parse("10.77.0.0/16", &desired->overlay4) < 0 ||
	    addr_parse("fd12:3456:789a::1", &desired->hub6) < 0 ||
	    addr_parse("10.77.0.1", &desired->hub4) < 0 ||
	    addr_parse("fd12:3456:789a::2", &desired->own6) < 0 ||
	    addr_parse("10.77.0.2", &desired->own4) < 0)
		die("world", "addresses");
}

static void world_done(struct world *world)
{
	free(world->peers);
	free(world->tuples);
}

static void apply(struct firewall *firewall, const struct world *world)
{
	if (firewall_apply(firewall, &world->desired, NULL) < 0)
		die("apply", firewall_error(firewall));
}

static int run_apply(size_t n)
{
	_cleanup_(firewall_closep) struct firewall *firewall = NULL;
	_cleanup_(world_done) struct world world = {0};

	make_world(n, &world);
	if (firewall_open(&firewall) < 0)
		die("open", strerror(errno));
	apply(firewall, &world);
	return 0;
}

/* ---- a change of ten ---- */

/* Five grants, ten elements: the last port of five peers becomes another one, and back. */
static void exchange(struct world *world, bool back)
{
	size_t per_peer = TUPLES_PER_PEER / 4, n_peers = world->desired.n_peers;

	for (size_t i = 0; i < DELTA / 2; i++) {
		struct fw_tuple *tuple = &world->tuples[(i * 97 % n_peers + 1) * per_peer - 1];

		tuple->port_low = tuple->port_high =
			(uint16_t)(back ? tuple->port_low - 30000 : tuple->port_low + 30000);
	}
}

static int run_delta(size_t n, unsigned long samples)
{
	_cleanup_(world_done) struct world world = {0};

	make_world(n, &world);
	for (unsigned long k = 0; k < samples; k++) {
		_cleanup_(firewall_closep) struct firewall *firewall = NULL;
		int64_t start, full, delta;

		if (unshare(CLONE_NEWNET) < 0 || firewall_open(&firewall) < 0)
			die("namespace", strerror(errno));
		start = now_ns();
		apply(firewall, &world);
		full = now_ns() - start;
		/* The first change after a load pays for the table's growth still going on. */
		for (unsigned int warm = 0; warm < 2; warm++) {
			exchange(&world, warm % 2);
			apply(firewall, &world);
		}
		exchange(&world, false);
		start = now_ns();
		apply(firewall, &world);
		delta = now_ns() - start;
		exchange(&world, true);
		printf("%lld %lld\n", (long long)full, (long long)delta);
	}
	return 0;
}

/* ---- pairs ---- */

struct times {
	int64_t wall, processor;
};

static struct times time_of(char *const *command)
{
	int64_t start = now_ns();
	struct times times = {0};
	struct timespec used;
	siginfo_t info;
	clockid_t clock;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (child < 0 || waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0)
		die(command[0], "could not be started");
	times.wall = now_ns() - start;
	if (clock_getcpuclockid(child, &clock) == 0 && clock_gettime(clock, &used) == 0)
		times.processor = used.tv_sec * NS_PER_S + used.tv_nsec;
	if (waitpid(child, &status, 0) != child || status != 0)
		die(command[0], "did not succeed");
	return times;
}

/* In a process and a namespace of its own; what it leaves behind has time to go. */
static struct times time_apart(char *const *command)
{
	const struct timespec settle = {.tv_nsec = SETTLE_NS};
	struct times times;
	int ends[2], status = 0;
	pid_t room;
	bool timed;

	if (pipe(ends) < 0)
		die("pipe", strerror(errno));
	room = fork();
	if (room == 0) {
		if (unshare(CLONE_NEWNET) < 0)
			die("namespace", strerror(errno));
		times = time_of(command);
		_exit(write(ends[1], &times, sizeof(times)) != sizeof(times));
	}
	close(ends[1]);
	timed = read(ends[0], &times, sizeof(times)) == sizeof(times);
	close(ends[0]);
	if (waitpid(room, &status, 0) != room || status != 0 || !timed)
		die(command[0], "was not timed");
	nanosleep(&settle, NULL);
	return times;
}

static int run_pairs(char *n, char *file, unsigned long samples)
{
	char *ours[] = {(char[]){"/proc/self/exe"}, (char[]){"apply"}, n, NULL};
	char *nft[] = {(char[]){"nft"}, (char[]){"-f"}, file, NULL};

	for (unsigned long k = 0; k < samples; k++) {
		struct times first = time_apart(k % 2 ? nft : ours);
		struct times second = time_apart(k % 2 ? ours : nft);
		struct times a = k % 2 ? second : first, b = k % 2 ? first : second;

		printf("%lld %lld %lld %lld\n", (long long)a.wall, (long long)b.wall,
		       (long long)a.processor, (long long)b.processor);
		(void)fflush(stdout);
	}
	return 0;
}

static size_t number(const char *text)
{
	return strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "apply") == 0)
		return run_apply(number(argv[2]));
	if (argc == 4 && strcmp(argv[1], "delta") == 0)
		return run_delta(number(argv[2]), number(argv[3]));
	if (argc == 5 && strcmp(argv[1], "pairs") == 0)
		return run_pairs(argv[2], argv[3], number(argv[4]));
	die("usage", "apply N | delta N SAMPLES | pairs N FILE SAMPLES");
	return 2;
}
