/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's half of policy: table `inet sortie`, written by libnftnl in one transaction.
 *
 * struct fw_desired is what should hold, as plain data that the caller owns. firewall_apply() makes it so: the first
 * time one batch creates table, sets, chains and rules; later ones are set deltas and `flush chain`.
 * Table, base chains and sets stand for ever; nothing of anybody else is touched. Kernel 6.1+.
 *
 * All functions return 0 or a negative errno; nothing is half applied. firewall_error() has the kernel's words.
 */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/cleanup.h"

#define FIREWALL_TABLE	     "sortie"
#define FIREWALL_NFLOG_GROUP 83
#define FIREWALL_IFNAMES_MAX                                                                       \
	32 /* uplinks: each is a comparison of one rule, which has room for so many */

enum fw_role {
	FW_ROLE_WORKLOAD, /* one identity's host */
	FW_ROLE_HUB, /* forwards nothing; serves API port, enrolment port, echo on the overlay */
};

enum fw_mode {
	FW_MODE_ENFORCE, /* overlay by policy, underlay closed to what nobody asked for */
	FW_MODE_OVERLAY, /* overlay by policy, underlay left alone but for the WireGuard port */
	FW_MODE_OBSERVE, /* paired identities and the underlay: record what would be dropped, drop nothing */
};

/* Somebody who may be spoken with at all. */
struct fw_peer {
	struct addr ipv6, ipv4; /* ipv4 may be unset */
	uint32_t number; /* names the identity in log records (packet mark of the log rule only) */
	uint32_t
		lease_s; /* seconds left; the kernel forgets the peer by itself. 0: not admitted now */
};

/* One allowed (peer, protocol, port range) in one direction. */
struct fw_tuple {
	uint32_t peer;	  /* index into peers */
	bool inbound;	  /* peer may reach us; else we may reach the peer */
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _ICMP (echo, both families: ports ignored) */
	uint16_t port_low, port_high;
	uint32_t
		left_s; /* 0: as long as the lease; else the kernel forgets it after so many seconds */
	bool on_loss_keep; /* holds while the peer's lease has lapsed */
};

/* An accept outside the overlay: from a range (`underlay:` of the policy) or to it (`egress:`). */
struct fw_underlay {
	struct prefix range;
	uint8_t protocol;
	uint16_t port_low, port_high;
};

struct fw_desired {
	enum fw_role role;
	enum fw_mode mode;
	bool underlay_locked; /* mode enforce: false while "enforce pending": the underlay only records */
	bool egress_locked; /* out only to the hub and what egress lists; closes with the underlay */
	bool containers;    /* policy lets containers use the overlay with this host's identity */
	char ifname[IFNAMSIZ];	    /* sortie0 */
	char join_ifname[IFNAMSIZ]; /* sortie-join while enrolling, else "" */
	struct prefix overlay6;	    /* the network's /48 */
	struct prefix overlay4;	    /* family AF_UNSPEC: the network has no IPv4 */
	struct addr hub6, hub4;
	struct addr own6,
		own4; /* workload: this host's; where one is unset nobody gets in by that family */
	uint16_t api_port, enroll_port; /* at the hub, TCP */
	uint16_t listen_port;		/* WireGuard's UDP port as read back */
	const struct endpoint
		*hubs; /* underlay endpoints of the hub: the path that no policy can remove */
	size_t n_hubs;
	const struct fw_peer *peers;
	size_t n_peers;
	const struct fw_tuple *tuples;
	size_t n_tuples;
	const struct fw_underlay *underlay;
	size_t n_underlay;
	const struct fw_underlay *egress;
	size_t n_egress;
	uint32_t
		api_uid; /* workload: only this uid (and 0) may reach the hub's ports over the overlay */
	/* Interfaces that containers are behind. None named: every interface of kind "bridge" but those of uplink_ifnames. */
	const char (*container_ifnames)[IFNAMSIZ];
	size_t n_container_ifnames;
	const char (*uplink_ifnames)[IFNAMSIZ]; /* at most FIREWALL_IFNAMES_MAX, else -E2BIG */
	size_t n_uplink_ifnames;
};

/* What apply would do, printable: one word and a count a line. */
struct fw_plan {
	bool first; /* no table of ours stood: conntrack may not have looked at anything before */
	bool create;
	size_t elements_added, elements_removed, leases_refreshed, chains_rewritten;
	bool mistaken; /* firewall_apply(): what was remembered did not stand, somebody else had changed it */
};

struct firewall;

int firewall_open(struct firewall **ret);
/* What its failure means and what to do, for people. */
const char *firewall_open_error(int r);
void firewall_close(struct firewall *firewall); /* leaves the table standing */
DEFINE_CLEANUP(firewall_close, struct firewall *);

/*
 * The table is to belong to this handle where the kernel knows that (6.9): then nobody else can change or flush it while the
 * handle is open, and it outlives the handle. Also takes over one whose owner has gone; a table that never had an owner
 * cannot get one.
 */
void firewall_own(struct firewall *firewall);

/* Compares with what this handle last applied (or, after a restart, with what stands in the kernel). */
int firewall_plan(struct firewall *firewall, const struct fw_desired *desired, struct fw_plan *ret);
/* One transaction, success only with every ack, then the changed keys are read back. */
int firewall_apply(struct firewall *firewall, const struct fw_desired *desired,
		   struct fw_plan *ret_plan);
/*
 * Would this kernel take the whole of it? One transaction of everything whose last message cannot succeed, so that nothing
 * holds and nothing that stands is touched. 0, or what firewall_apply() would say.
 */
int firewall_try(struct firewall *firewall, const struct fw_desired *desired);
/* Leases of all peers again (the add-delete-add triple of 6.1), nothing else. */
int firewall_refresh_leases(struct firewall *firewall, const struct fw_peer *peers, size_t n);
/* Full dump compared with what was last applied: 0 equal, 1 differs (firewall_error() says where). */
int firewall_verify(struct firewall *firewall);
/* Is there a table of our name, whoever made it? 1, 0. */
int firewall_stands(struct firewall *firewall);
/* Is it a workload's, which an agent or its guard has made? 1; 0 where it is a hub's, empty, of another layout or not there. */
int firewall_is_workloads(struct firewall *firewall);
/* Removes the table. Gone already is success. */
int firewall_remove(struct firewall *firewall);
const char *firewall_error(const struct firewall *firewall);

/* Counters for `status` and `flows`. */
struct fw_counters {
	uint64_t denied_in, denied_out, denied_underlay, denied_spoofed; /* packets */
	uint64_t would_deny;						 /* recorded, not dropped */
};
int firewall_counters(struct firewall *firewall, struct fw_counters *ret);
