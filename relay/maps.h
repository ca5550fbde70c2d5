/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of the pinned maps: what the eBPF program and user space agree on.
 *
 * Whatever changes here changes RELAY_LAYOUT, so that a loader never adopts pins it would misread. The loader writes
 * layout; the control plane config, endpoints, sites, candidates and pairs; the programs paths, handshakes, sessions
 * and answers (user space only creates and deletes their entries, and the loader forgets paths by interfaces that it is
 * not given any more), so that no write of one undoes one of the other.
 *
 * Numbers are in host order, addresses and ports in network order, times are CLOCK_BOOTTIME in ns. The host is
 * little endian, as the words of a WireGuard message are.
 */
#pragma once
#include <linux/types.h>

#define RELAY_LAYOUT	 3
#define RELAY_SITE_SLOTS 4097 /* RELAY_SITES_MAX and the unused 0 */
#define RELAY_LIST_MAX	 1000 /* RELAY_CANDIDATES_MAX */
#define RELAY_INTERFACES 4

/*
 * Room for 1,000 sites that all have pairs with each other. Without BPF_F_NO_PREALLOC these would take hundreds of
 * megabytes; so they cost 16 MB of buckets each.
 */
#define RELAY_PAIRS_MAX	   (1024 * 1024) /* directed */
#define RELAY_SESSIONS_MAX (1024 * 1024)

/* Slots of a directed pair. A new handshake pushes out an old one of the same pair, never another pair's. */
#define RELAY_PENDING  4
#define RELAY_SESSIONS 4 /* WireGuard itself keeps three */
#define RELAY_RECENT   8 /* candidates tested before the list */

#define RELAY_ANSWERS_MAX 16384 /* sessions of the hub itself; the least used one goes */

#define RELAY_SESSION_LIFE_NS (200 * 1000000000ULL) /* WireGuard's die after 180 s */
#define RELAY_PENDING_LIFE_NS (30 * 1000000000ULL)
#define RELAY_HOP_LIFE_NS     (3 * 1000000000ULL) /* every site is answered each 2 s: its echo */

/* Budgets: a number a second, and how many at once. */
#define RELAY_TESTS_RATE      20000  /* mac1 tests for one sender, */
#define RELAY_TESTS_BURST     4000   /* at least two keys for each of RELAY_LIST_MAX */
#define RELAY_ALL_TESTS_RATE  500000 /* for all: about a sixth of one core */
#define RELAY_ALL_TESTS_BURST 50000
#define RELAY_TARGET_RATE                                                                          \
	8 /* valid initiations to one site: rate and burst stay below 15 in any second */
#define RELAY_TARGET_BURST 6
#define RELAY_PAIR_RATE	   1 /* of them from one sender; WireGuard sends one in 5 s */
#define RELAY_PAIR_BURST   3

enum { RELAY_NO_FAMILY = 0, RELAY_IPV4 = 4, RELAY_IPV6 = 6 };
enum relay_hook { RELAY_BY_TC = 0, RELAY_BY_XDP = 1, RELAY_BY_XDP_GENERIC = 2 };

/* Where the program is attached. At tc always; hook is what comes in front of it. */
struct relay_interface {
	__u32 index; /* 0 where unused */
	__u16 hook;
	__u8 address[6];
};

/* Map "layout", one entry. The version stays the first word for ever. */
struct relay_layout {
	__u32 version;
	__be16 alt_port; /* 0: none */
	__u16 unused;
	struct relay_interface interfaces[RELAY_INTERFACES];
};

/* The chaining value of keyed BLAKE2s after the key block: depends on the responder's public key only. */
struct relay_mac1 {
	__u32 words[8];
};

/* Map "config", one entry. */
struct relay_config {
	struct relay_mac1 hub;
	__be16 port; /* 0: everything passes */
	__u16 hub_is_set;
};

/* An IPv4 address fills the first word, the rest is zero. */
struct relay_endpoint {
	__u32 address[4];
	__be16 port;
	__u16 family;
};

/* Map "endpoints": struct relay_endpoint -> whose it is. The expiry is the site's, to save a lookup. */
struct relay_owner {
	__u64 expires_ns;
	__u32 site;
	__u32 unused;
};

/* Map "sites": array by id. The second state is that of the previous key during a rotation. */
struct relay_site {
	__u64 expires_ns;
	struct relay_endpoint endpoint;
	__u32 states; /* 0: there is no such site */
	struct relay_mac1 mac1[2];
};

/* Map "candidates": array by site id. Only an order of search: what is allowed stands in "pairs". */
struct relay_candidates {
	__u32 count;
	__u16 sites[RELAY_LIST_MAX];
};

/* How the kernel itself last sent to an endpoint: seen where packets leave, so routes and neighbours are its own. */
struct relay_hop {
	__u64 learnt_ns; /* 0: not known */
	struct relay_endpoint to;
	__u32 interface;
	__u8 ethernet[12]; /* destination, source */
	__u32 unused;
};

/*
 * Map "paths": array by site id. The address and port at the hub that this site dials, and the interface where it
 * arrives: its NAT lets packets in from there only. Budgets are theoretical arrival times (GCRA), one word each.
 */
struct relay_path {
	struct relay_endpoint local;
	struct relay_endpoint peer; /* where the site was then */
	__u32 interface;
	__u64 confirmed_ns;
	struct relay_hop hop;
	__u64 tests_ns;
	__u64 target_ns;
	__u16 recent[RELAY_RECENT];
};

struct relay_pair_key {
	__u32 from;
	__u32 to;
};

/* Map "pairs": looked up for every packet that is forwarded, so deleting it cuts at once. */
struct relay_pair {
	__u64 expires_ns;
	__u64 packets;
	__u64 bytes;
};

/* Map "handshakes": struct relay_pair_key {initiator, responder} -> what they left in "sessions". */
struct relay_handshakes {
	__u64 budget_ns;
	__u32 next_pending;
	__u32 next_session;
	__u32 pending[RELAY_PENDING]; /* the initiator's indexes */
	struct {
		__u32 initiator_index;
		__u32 responder_index;
	} sessions[RELAY_SESSIONS];
};

struct relay_session_key {
	__u32 from;  /* the site that sends the packet */
	__u32 index; /* the receiver index in it, drawn by the site that receives */
};

enum { RELAY_SESSION_PENDING = 1, RELAY_SESSION_CONFIRMED = 2 };

/* Map "sessions". */
struct relay_session {
	__u64 born_ns;
	__u32 to;
	__u32 state;
};

/*
 * Map "answers": by which port a peer keeps a session of the hub's own, 1: the second one. Answers leave from there. The
 * index is the peer's, as it stands in all that the hub sends in this session.
 */
struct relay_answer_key {
	struct relay_endpoint peer;
	__u32 index;
};

/* Map "counters": per-CPU array, one struct relay_counts; what each is: relay/relay.h. */
enum relay_counter {
	RELAY_FORWARDED_PACKETS,
	RELAY_FORWARDED_BYTES,
	RELAY_INITIATIONS,
	RELAY_RESPONSES,
	RELAY_UNKNOWN_ENDPOINT,
	RELAY_UNKNOWN_INDEX,
	RELAY_PAIR_REFUSED,
	RELAY_BUDGET_REFUSED,
	RELAY_MALFORMED,
	RELAY_EXPIRED,
	RELAY_RESPONSE_REFUSED,
	RELAY_INDEX_TAKEN,
	RELAY_FAMILY_REFUSED,
	RELAY_UNREACHABLE,
	RELAY_MAC1_TESTS,
	RELAY_XDP_PACKETS,
	RELAY_COUNTERS,
};

struct relay_counts {
	__u64 of[RELAY_COUNTERS];
};

/* The names of the pins, in the order of the maps in the program. */
#define RELAY_MAP_NAMES                                                                            \
	"config", "endpoints", "sites", "candidates", "paths", "pairs", "handshakes", "sessions",  \
		"totals", "answers", "counters", "layout"
#define RELAY_PROGRAM_NAMES "ingress", "egress", "xdp"
