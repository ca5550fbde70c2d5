// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The relay at tc or XDP against the kernel's own IP forwarding: packets a second on one core.
 *
 *	r0 hub (relay)    ──┐
 *	f0 hub (forwards) ──┴─ out hub ── out sink: XDP_DROP, counted
 *
 * Frames come from BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES as if a driver had received them on r0 or f0: a
 * program writes the header anew (pages come back with what was made of it) and hands over to the relay's XDP program,
 * or lets the frame pass up to tc and the stack. Receiving, forwarding and dropping all run on the core that this
 * program is pinned to. The two kinds take turns, and each row is the median of the ratios of neighbours.
 * bench/relay.sh makes the hosts and the pair of sites.
 *
 * usage: relay tc|xdp HUB-PID SINK-PID BPFFS
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "relay/maps.h"

#define ROUNDS	   15
#define WARM_UP	   20000
#define PACKETS	   400000
#define BATCH	   64
#define HEADER	   44 /* Ethernet, IPv4, UDP: what forwarding may change */
#define MESSAGE_AT 42
#define INDEX	   0x12345678 /* the session of sites 1 and 2 */
#define PORT	   51820

static void die(const char *what)
{
	fprintf(stderr, "relay bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void enter(const char *pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static int index_of(const char *name)
{
	int index = (int)if_nametoindex(name);
	if (index == 0)
		die(name);
	return index;
}

static void mac_of(const char *name, uint8_t mac[6])
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		die(name);
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	close(fd);
}

static int program_load(const struct bpf_insn *code, size_t count)
{
	/* as libbpf loads the relay's: a tail call wants programs of one kind */
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_XDP);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "bench", "GPL", code, count, &options);
	if (fd < 0)
		die("loading a program");
	return fd;
}

#define CODE(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOVE(d, s)     CODE(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, i)      CODE(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define LOAD(d, s, o)  CODE(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define STORE(d, o, i) CODE(BPF_ST | BPF_MEM | BPF_W, d, 0, o, i)
#define EXIT	       CODE(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* A veth takes part in XDP only with a program of its own, and sends only to a peer that has one. */
static void attach_pass(const char *interface)
{
	const struct bpf_insn code[] = {SET(0, XDP_PASS), EXIT};
	int fd = program_load(code, 2);
	if (bpf_xdp_attach(index_of(interface), fd, XDP_FLAGS_DRV_MODE, NULL) < 0)
		die("attaching XDP_PASS");
}

/* Counts what arrives, and drops it. */
static int attach_sink(const char *interface)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sink", 4, 8, 1, NULL);
	if (map < 0)
		die("making a counter");
	const struct bpf_insn code[] = {
		STORE(10, -4, 0),
		MOVE(2, 10),
		CODE(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		CODE(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
		CODE(0, 0, 0, 0, 0),
		CODE(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		CODE(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3, 0),
		CODE(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0), /* one core: plain */
		CODE(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1),
		CODE(BPF_STX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
		SET(0, XDP_DROP),
		EXIT,
	};
	int fd = program_load(code, sizeof(code) / sizeof(code[0]));
	if (bpf_xdp_attach(index_of(interface), fd, XDP_FLAGS_DRV_MODE, NULL) < 0)
		die("attaching the sink");
	return map;
}

/* next: a map with the program that the frame goes to, or -1: up the stack. */
static int receiver_load(const uint8_t *frame, int next)
{
	struct bpf_insn code[HEADER / 4 + 16];
	size_t n = 0;
	code[n++] = MOVE(6, 1);
	code[n++] = LOAD(2, 1, offsetof(struct xdp_md, data));
	code[n++] = LOAD(3, 1, offsetof(struct xdp_md, data_end));
	code[n++] = MOVE(4, 2);
	code[n++] = CODE(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, HEADER);
	code[n++] = CODE(BPF_JMP | BPF_JGT | BPF_X, 4, 3, HEADER / 4, 0);
	for (int16_t at = 0; at < HEADER; at += 4) {
		int32_t word;
		memcpy(&word, frame + at, sizeof(word));
		code[n++] = STORE(2, at, word);
	}
	if (next >= 0) {
		code[n++] = MOVE(1, 6);
		code[n++] = CODE(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, next);
		code[n++] = CODE(0, 0, 0, 0, 0);
		code[n++] = SET(3, 0);
		code[n++] = CODE(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
	}
	code[n++] = SET(0, next >= 0 ? XDP_ABORTED : XDP_PASS);
	code[n++] = EXIT;
	return program_load(code, n);
}

/* A map for the tail call into the relay's program. */
static int relay_program(const char *dir)
{
	char path[4096];
	uint32_t zero = 0;
	snprintf(path, sizeof(path), "%s/xdp", dir);
	int program = bpf_obj_get(path);
	int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "next", 4, 4, 1, NULL);
	if (program < 0 || map < 0 || bpf_map_update_elem(map, &zero, &program, BPF_ANY) < 0)
		die(path);
	return map;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum_of(uint32_t sum, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static uint32_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* A data message of site 1; only its addresses tell whether it is for the relay or to be forwarded. */
static void frame_fill(uint8_t *frame, const uint8_t *mac, const char *to, uint16_t port,
		       uint32_t length)
{
	uint8_t *ip = frame + 14, *udp = ip + 20, *message = frame + MESSAGE_AT;
	memset(frame, 0, MESSAGE_AT + length);
	memcpy(frame, mac, 6);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 28 + length);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	inet_pton(AF_INET, "198.18.0.2", ip + 12);
	inet_pton(AF_INET, to, ip + 16);
	put16(ip + 10, folded(sum_of(0, ip, 20)));
	put16(udp, 10001);
	put16(udp + 2, port);
	put16(udp + 4, 8 + length);
	message[0] = 4;
	memcpy(message + 4, &(uint32_t){INDEX}, 4);
	put16(udp + 6,
	      folded(sum_of(sum_of(IPPROTO_UDP + 8 + length, ip + 12, 8), udp, 8 + length)));
}

static void pinned_put(const char *dir, const char *name, const void *key, const void *value)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = bpf_obj_get(path);
	if (fd < 0 || bpf_map_update_elem(fd, key, value, BPF_ANY) < 0)
		die(path);
	close(fd);
}

/* What a handshake of site 1 with site 2 leaves behind; site 2 dials the hub where "out" is. In the hub's namespace. */
static void session_make(const char *dir)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	uint64_t born_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	struct relay_session_key key = {.from = 1, .index = INDEX};
	struct relay_session session = {
		.born_ns = born_ns, .to = 2, .state = RELAY_SESSION_CONFIRMED};
	struct relay_path path = {.local = {.port = htons(PORT), .family = RELAY_IPV4},
				  .interface = (uint32_t)index_of("out"),
				  .confirmed_ns = born_ns};
	uint32_t site = 2;
	inet_pton(AF_INET, "198.18.2.1", path.local.address);
	pinned_put(dir, "sessions", &key, &session);
	pinned_put(dir, "paths", &site, &path);
}

struct kind {
	const char *interface, *to;
	uint16_t port;
	int next;
	uint8_t mac[6];
	int program;
	uint8_t frame[2048];
};

static uint64_t sink_count(int sink)
{
	uint32_t zero = 0;
	uint64_t count = 0;
	bpf_map_lookup_elem(sink, &zero, &count);
	return count;
}

/* Nanoseconds a packet; every one of them must have arrived. */
static double send_frames(const struct kind *kind, uint32_t length, uint32_t packets, int sink)
{
	struct xdp_md context = {.data_end = MESSAGE_AT + length,
				 .ingress_ifindex = (uint32_t)index_of(kind->interface)};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = kind->frame,
		    .data_size_in = MESSAGE_AT + length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = (int)packets,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	struct timespec start, end;
	uint64_t before = sink_count(sink);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (bpf_prog_test_run_opts(kind->program, &options) < 0)
		die("sending");
	clock_gettime(CLOCK_MONOTONIC, &end);
	uint64_t arrived = sink_count(sink) - before;
	if (arrived < packets - packets / 1000) {
		fprintf(stderr, "relay bench: %s: %llu of %u packets arrived\n", kind->interface,
			(unsigned long long)arrived, packets);
		exit(1);
	}
	return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
	       packets;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

static void measure(const char *hook, struct kind *relay, struct kind *forward, uint32_t length,
		    int sink)
{
	double relay_ns[ROUNDS], forward_ns[ROUNDS], ratios[ROUNDS];
	for (struct kind *kind = relay; kind; kind = kind == relay ? forward : NULL) {
		frame_fill(kind->frame, kind->mac, kind->to, kind->port, length);
		kind->program = receiver_load(kind->frame, kind->next);
		send_frames(kind, length, WARM_UP, sink);
	}
	for (int i = 0; i < ROUNDS; i++) {
		bool first = i % 2;
		if (first)
			forward_ns[i] = send_frames(forward, length, PACKETS, sink);
		relay_ns[i] = send_frames(relay, length, PACKETS, sink);
		if (!first)
			forward_ns[i] = send_frames(forward, length, PACKETS, sink);
		ratios[i] = forward_ns[i] / relay_ns[i];
	}
	double ratio = median(ratios), low = ratios[ROUNDS / 10],
	       high = ratios[ROUNDS - 1 - ROUNDS / 10];
	double relay_median = median(relay_ns), forward_median = median(forward_ns);
	printf("%s, %u B: relay %.0f ns a packet (best %.0f), IP forwarding %.0f (best %.0f), receiving and sink included; "
	       "ratios %.2f to %.2f\n",
	       hook, length, relay_median, relay_ns[0], forward_median, forward_ns[0], low, high);
	printf("{\"name\": \"relay-%s-%u\", \"value\": %.3f, \"unit\": \"x\", \"reference\": "
	       "\"kernel IP forwarding, same packets, one core: %.0f kpps\", \"goal\": \">= %s\", \"samples\": %d}\n",
	       hook, length, ratio, 1e6 / forward_median, strcmp(hook, "xdp") == 0 ? "2.0" : "0.9",
	       ROUNDS);
	close(relay->program);
	close(forward->program);
}

/* All on one core, and on it alone, for the seconds this takes. */
static void pin(void)
{
	cpu_set_t set;
	struct sched_param priority = {.sched_priority = 1};
	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die("pinning");
	if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0)
		printf("without real-time priority: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
	struct kind relay = {.interface = "r0", .to = "198.18.0.1", .port = PORT, .next = -1};
	struct kind forward = {.interface = "f0", .to = "198.18.2.2", .port = 9, .next = -1};
	if (argc != 5) {
		fputs("usage: relay tc|xdp HUB-PID SINK-PID BPFFS\n", stderr);
		return 2;
	}
	bool xdp = strcmp(argv[1], "xdp") == 0;
	enter(argv[3]);
	int sink = attach_sink("out");
	enter(argv[2]);
	attach_pass("f0");
	if (!xdp) { /* else the relay is there */
		attach_pass("r0");
		attach_pass("out");
	}
	if (xdp)
		relay.next = relay_program(argv[4]);
	session_make(argv[4]);
	mac_of("r0", relay.mac);
	mac_of("f0", forward.mac);
	pin();
	setvbuf(stdout, NULL, _IOLBF, 0);
	measure(argv[1], &relay, &forward, 64, sink);
	measure(argv[1], &relay, &forward, 1400, sink);
	return 0;
}
