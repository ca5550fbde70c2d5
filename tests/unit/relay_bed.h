/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The relay without a network: loaded and pinned in namespaces of the test's own, attached to a veth end "hub0" that
 * carries nothing, and fed packets by BPF_PROG_TEST_RUN. Where that is not permitted bed_start() returns false and the
 * tests skip. With bed_hook HOOK_XDP a packet goes as in the kernel: to XDP, and what passes there to tc.
 *
 * Site N has the key of bytes N, the endpoint 198.51.100.N or [2001:db8::N], port 10000 + N; the hub 192.0.2.1 or
 * [2001:db8::ff], port 51820.
 */
#pragma once
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <sys/mount.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "relay/load.h"
#include "relay/relay.h"

#define BED_PORT     51820
#define BED_ALT_PORT 443
#define BED_HUB	     99
#define BED_BPFFS    "/tmp"
#define BED_DIR	     BED_BPFFS "/relay"
#define BED_ALWAYS   ((struct mono){.us = INT64_MAX})
#define HEADERS(v6)  (14 + ((v6) ? 40u : 20u) + 8)

#define BED_IF "hub0"

enum outcome { PASS = -1, DROP = TC_ACT_SHOT, FORWARD = TC_ACT_REDIRECT };

static const uint8_t bed_link[12] = {2, 0, 0, 0, 0, 1,
				     2, 0, 0, 0, 0, 2}; /* the hub's, the router's */
static struct relay *relay;
static enum hook_wish bed_hook = HOOK_TC;
static uint32_t bed_interface;
static int program = -1, program_egress = -1, program_xdp = -1;
static unsigned int forwarded_by_xdp;

static inline struct key bed_key(uint32_t site)
{
	struct key key;
	memset(key.bytes, (int)site, sizeof(key.bytes));
	return key;
}

static inline struct endpoint bed_endpoint(bool v6, uint32_t site)
{
	struct endpoint endpoint;
	char text[ENDPOINT_TEXT_MAX];
	if (site == BED_HUB)
		snprintf(text, sizeof(text), v6 ? "[2001:db8::ff]:51820" : "192.0.2.1:51820");
	else
		snprintf(text, sizeof(text), v6 ? "[2001:db8::%x]:%u" : "198.51.100.%u:%u", site,
			 10000 + site);
	if (endpoint_parse(text, &endpoint) < 0)
		abort();
	return endpoint;
}

/* A private bpf filesystem over /tmp, in mount and network namespaces that end with the process. */
static inline bool bed_namespaces(void)
{
	return unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("bpf", BED_BPFFS, "bpf", 0, NULL) == 0 &&
	       system("ip link add " BED_IF
		      " address 02:00:00:00:00:01 type veth peer name hub0p && "
		      "ip link set " BED_IF " up && ip link set hub0p up") == 0;
}

static inline int bed_load(uid_t owner, bool *ret_adopted, struct err *err)
{
	struct relay_load load = {.bpffs_dir = BED_DIR,
				  .interfaces = {BED_IF},
				  .interface_count = 1,
				  .hook = bed_hook,
				  .port = BED_PORT,
				  .alt_port = BED_ALT_PORT,
				  .owner = owner};
	struct relay_loaded loaded = {0};
	int r = relay_load(&load, &loaded, err);
	*ret_adopted = loaded.adopted;
	return r;
}

/* false where the kernel does not let us. */
static inline bool bed_start_again(void)
{
	struct err err = {0};
	bool adopted;
	int r = bed_load(0, &adopted, &err);
	if (r < 0)
		fprintf(stderr, "# %s\n", err.text);
	if (r == -EPERM)
		return false;
	program = r < 0 ? -1 : bpf_obj_get(BED_DIR "/ingress");
	program_egress = bpf_obj_get(BED_DIR "/egress");
	program_xdp = bpf_obj_get(BED_DIR "/xdp");
	bed_interface = if_nametoindex(BED_IF);
	if (program < 0 || program_egress < 0 || program_xdp < 0 || relay_open(BED_DIR, &relay) < 0)
		abort();
	struct key hub = bed_key(BED_HUB);
	if (relay_set_hub(relay, &hub, BED_PORT) < 0)
		abort();
	return true;
}

static inline bool bed_start(void)
{
	return bed_namespaces() && bed_start_again();
}

static inline void bed_stop(void)
{
	struct err err;
	relay_close(relay);
	relay = NULL;
	close(program);
	close(program_egress);
	close(program_xdp);
	relay_unload(BED_DIR, &err);
}

struct frame {
	uint8_t bytes[2048];
	uint32_t length;
};

static inline uint32_t sum_add(uint32_t sum, const void *data, size_t length)
{
	const uint8_t *bytes = data;
	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static inline uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The sum over pseudo header and datagram: 0xffff where the checksum in it is right. */
static inline uint16_t udp_sum(const uint8_t *frame, bool v6)
{
	const uint8_t *udp = frame + HEADERS(v6) - 8;
	uint16_t length = (uint16_t)(udp[4] << 8 | udp[5]);
	uint32_t sum = IPPROTO_UDP + length;
	sum = sum_add(sum, frame + (v6 ? 22 : 26), v6 ? 32 : 8);
	return sum_fold(sum_add(sum, udp, length));
}

static inline void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline struct frame frame_make(const struct endpoint *from, const struct endpoint *to,
				      const void *message, uint32_t length)
{
	bool v6 = from->addr.family == AF_INET6;
	struct frame frame = {.length = HEADERS(v6) + length};
	uint8_t *ip = frame.bytes + 14, *udp = frame.bytes + HEADERS(v6) - 8;
	memcpy(frame.bytes, bed_link, sizeof(bed_link));
	put16(frame.bytes + 12, v6 ? 0x86dd : 0x0800);
	if (v6) {
		ip[0] = 0x60;
		put16(ip + 4, length + 8);
		ip[6] = IPPROTO_UDP;
		ip[7] = 9;
	} else {
		ip[0] = 0x45;
		put16(ip + 2, length + 28);
		ip[8] = 9;
		ip[9] = IPPROTO_UDP;
	}
	memcpy(ip + (v6 ? 8 : 12), from->addr.bytes, addr_length(&from->addr));
	memcpy(ip + (v6 ? 24 : 16), to->addr.bytes, addr_length(&to->addr));
	if (!v6)
		put16(ip + 10, ~sum_fold(sum_add(0, ip, 20)) & 0xffff);
	put16(udp, from->port);
	put16(udp + 2, to->port);
	put16(udp + 4, length + 8);
	memcpy(udp + 8, message, length);
	put16(udp + 6, ~udp_sum(frame.bytes, v6) & 0xffff);
	return frame;
}

static inline int run_at(int descriptor, struct frame *frame, void *context, uint32_t context_size)
{
	struct frame out = *frame;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes,
		    .data_size_in = frame->length, .data_out = out.bytes,
		    .data_size_out = sizeof(out.bytes), .ctx_in = context,
		    .ctx_size_in = context_size, .repeat = 1);
	if (bpf_prog_test_run_opts(descriptor, &options) < 0)
		return -errno - 1000;
	out.length = options.data_size_out;
	*frame = out;
	return (int)options.retval;
}

static inline int run_tc(int descriptor, struct frame *frame)
{
	struct __sk_buff context = {.ifindex = bed_interface};
	return run_at(descriptor, frame, &context, sizeof(context));
}

static inline int run_xdp(struct frame *frame)
{
	struct xdp_md context = {.data_end = frame->length, .ingress_ifindex = bed_interface};
	return run_at(program_xdp, frame, &context, sizeof(context));
}

/* Runs what is loaded; the frame becomes what the programs made of it. */
static inline int run(struct frame *frame)
{
	int verdict = bed_hook == HOOK_XDP ? run_xdp(frame) : XDP_PASS;
	if (verdict == XDP_PASS)
		return run_tc(program, frame);
	if (verdict != XDP_TX && verdict != XDP_DROP)
		return -1000;
	forwarded_by_xdp += verdict == XDP_TX;
	return verdict == XDP_TX ? FORWARD : DROP;
}

/* From a site to the hub. */
static inline int send_message(bool v6, uint32_t site, const void *message, uint32_t length)
{
	struct endpoint from = bed_endpoint(v6, site), to = bed_endpoint(v6, BED_HUB);
	struct frame frame = frame_make(&from, &to, message, length);
	return run(&frame);
}

/* What the hub's own WireGuard sends to an endpoint; so its way is known. */
static inline int hub_sends(const struct endpoint *from, const struct endpoint *to,
			    const void *message, uint32_t length, struct frame *ret)
{
	*ret = frame_make(from, to, message, length);
	memcpy(ret->bytes, bed_link + 6, 6);
	memcpy(ret->bytes + 6, bed_link, 6);
	/* twice: what relay_tc forwarded in a test run never left, and the next with its ports is taken for it */
	struct frame first = *ret;
	run_tc(program_egress, &first);
	return run_tc(program_egress, ret);
}

static inline void hop_show(bool v6, uint32_t site)
{
	struct endpoint from = bed_endpoint(v6, BED_HUB), to = bed_endpoint(v6, site);
	uint8_t keepalive[32] = {4};
	struct frame frame;
	if (hub_sends(&from, &to, keepalive, sizeof(keepalive), &frame) != TC_ACT_UNSPEC)
		abort();
}

static inline uint64_t counted(size_t offset)
{
	struct relay_counters counters;
	if (relay_counters(relay, &counters) < 0)
		abort();
	uint64_t value;
	memcpy(&value, (char *)&counters + offset, sizeof(value));
	return value;
}
#define COUNTER(name) offsetof(struct relay_counters, name)
