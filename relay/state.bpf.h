/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The maps of the eBPF program and the words it thinks in; the layouts are in relay/maps.h. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "relay/maps.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "mac1 is computed on the message's own little-endian words"
#endif

#define RELAY_HASH(name, key_type, value_type, size)                                               \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__uint(max_entries, size);                                                         \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

#define RELAY_ARRAY(kind, name, value_type, size)                                                  \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, size);                                                         \
		__type(key, __u32);                                                                \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

RELAY_ARRAY(BPF_MAP_TYPE_ARRAY, config, struct relay_config, 1);
RELAY_HASH(endpoints, struct relay_endpoint, struct relay_owner, RELAY_SITE_SLOTS);
RELAY_ARRAY(BPF_MAP_TYPE_ARRAY, sites, struct relay_site, RELAY_SITE_SLOTS);
RELAY_ARRAY(BPF_MAP_TYPE_ARRAY, candidates, struct relay_candidates, RELAY_SITE_SLOTS);
RELAY_ARRAY(BPF_MAP_TYPE_ARRAY, paths, struct relay_path, RELAY_SITE_SLOTS);
RELAY_HASH(pairs, struct relay_pair_key, struct relay_pair, RELAY_PAIRS_MAX);
RELAY_HASH(handshakes, struct relay_pair_key, struct relay_handshakes, RELAY_PAIRS_MAX);
RELAY_HASH(sessions, struct relay_session_key, struct relay_session, RELAY_SESSIONS_MAX);
RELAY_ARRAY(BPF_MAP_TYPE_ARRAY, totals, __u64, 1); /* the budget of mac1 tests over all senders */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, RELAY_ANSWERS_MAX);
	__type(key, struct relay_answer_key);
	__type(value, __u32);
} answers SEC(".maps");
RELAY_ARRAY(BPF_MAP_TYPE_PERCPU_ARRAY, counters, struct relay_counts, 1);
RELAY_ARRAY(BPF_MAP_TYPE_ARRAY, layout, struct relay_layout, 1);

enum { MESSAGE_INITIATION = 1, MESSAGE_RESPONSE, MESSAGE_COOKIE, MESSAGE_DATA };
enum { LENGTH_INITIATION = 148, LENGTH_RESPONSE = 92, LENGTH_COOKIE = 64, LENGTH_DATA_MIN = 32 };

#define MAC1_COVERED	   116 /* bytes of an initiation before its mac1 */
#define INITIATION_TO_MAC1 (MAC1_COVERED + 16)

/* A WireGuard message as found by a hook, tc or XDP. */
struct relay_packet {
	struct relay_endpoint source;
	struct relay_endpoint local; /* the hub's address and port, as addressed */
	__u32 type;
	__u32 word1, word2; /* behind the type: indexes, by type */
	__u32 length;	    /* of the UDP payload */
	__u32 interface;
	__u16 checksum; /* of UDP, as it came */
	__u8 by_alt;	/* came to the second port */
	__u8 tos;
};

struct relay_route {
	struct relay_endpoint from;
	struct relay_endpoint to;
	__u32 interface;
	__u32 hop_known; /* else the kernel is asked for route and neighbour */
	__u32 ethernet[3];
};

/* Too much for a stack of 512 bytes. One packet at a time is decided on a CPU. */
struct relay_scratch {
	struct relay_packet packet;
	struct relay_route route;
	__u64 jiffy, jiffy_ns;
	__u32 relayed_ports; /* of the packet that relay_tc has just sent: source and destination */
	__u32 h[8];
	__u32 m[32]; /* MAC1_COVERED bytes, zeros behind them */
	__u32 mac1[4];
};
RELAY_ARRAY(BPF_MAP_TYPE_PERCPU_ARRAY, scratch, struct relay_scratch, 1);

static __always_inline struct relay_scratch *scratch_get(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&scratch, &zero);
}

static __always_inline void count_add(__u32 counter, __u64 amount)
{
	__u32 zero = 0;
	struct relay_counts *counts = bpf_map_lookup_elem(&counters, &zero);
	if (counts)
		counts->of[counter] += amount;
}

/* CLOCK_BOOTTIME to a jiffy, for the data path: reading the clock costs as much as a lookup. */
static __always_inline __u64 now_coarse(struct relay_scratch *s)
{
	__u64 jiffy = bpf_jiffies64();
	if (jiffy != s->jiffy || !s->jiffy_ns) {
		s->jiffy = jiffy;
		s->jiffy_ns = bpf_ktime_get_boot_ns();
	}
	return s->jiffy_ns;
}

/*
 * A token bucket in one word: the time at which the bucket would be full again. Two CPUs at the same instant may
 * both be let through; the budgets leave room for that.
 */
static __always_inline __u64 budget_left(const __u64 *full_ns, __u64 now, __u64 rate, __u64 burst)
{
	__u64 step = 1000000000ULL / rate, owed = *full_ns > now ? *full_ns - now : 0;
	return owed >= burst * step ? 0 : (burst * step - owed) / step;
}

static __always_inline void budget_charge(__u64 *full_ns, __u64 now, __u64 rate, __u64 used)
{
	*full_ns = (*full_ns > now ? *full_ns : now) + used * (1000000000ULL / rate);
}

static __always_inline int budget_take(__u64 *full_ns, __u64 now, __u64 rate, __u64 burst)
{
	if (!budget_left(full_ns, now, rate, burst))
		return 0;
	budget_charge(full_ns, now, rate, 1);
	return 1;
}
