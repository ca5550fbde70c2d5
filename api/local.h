/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of the agent's local socket (/run/sortie/sortied.sock) between sortied and sortie.
 *
 * Reads are for every local user that the socket's mode admits; whoever changes something must be root (SO_PEERCRED).
 * Rules for encoders and decoders as in api/message.h. Times are seconds since 1970, 0 = never.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "api/code.h"
#include "api/shape.h"
#include "common/addr.h"
#include "common/err.h"
#include "common/identity.h"

#define LOCAL_BODY_MAX	     (16 * 1024)
#define LOCAL_ANSWER_MAX     (8 * 1024 * 1024)
#define LOCAL_PEERS_MAX	     4096
#define LOCAL_PENDING_MAX    64
#define LOCAL_WARNINGS_MAX   64
#define LOCAL_FOREIGN_MAX    32
#define LOCAL_FLOWS_MAX	     1000 /* records of one answer */
#define LOCAL_POLL_SECONDS   25	  /* longest wait for the next record */
#define LOCAL_ENROLL_SECONDS 60	  /* how long enrolment may take */
#define LOCAL_DOCTOR_SECONDS 60	  /* how long all checks may take */
#define LOCAL_CHECKS_MAX     64

/* One decision of the kernel, reported by nflog. */
struct local_flow {
	uint64_t sequence; /* grows by one; a gap means records were lost */
	int64_t at;
	char verdict[16];  /* "denied", "would-deny" (recorded, not dropped) */
	char direction[8]; /* "in" or "out", seen from this host */
	char layer[16];	   /* "overlay", "underlay" or "spoofed" */
	char peer
		[NAME_MAX_TEXT]; /* the identity's name; "" where no identity stands behind the address */
	char from[64], to[64]; /* addresses; with ports where the protocol has them */
	char port[20]; /* "tcp/5432", "icmp": the destination as policy writes it; "" if neither */
	char interface[16];
};

struct local_peer {
	struct id id;
	char name[NAME_MAX_TEXT];
	struct addr ipv6, ipv4;
	int64_t handshake_at;
	uint64_t rx_bytes, tx_bytes;
	int64_t lease_not_after; /* 0: not admitted now */
};

struct local_counters {
	uint64_t denied_in, denied_out, denied_underlay, denied_spoofed; /* packets */
	uint64_t would_deny;						 /* recorded, not dropped */
	uint64_t repaired; /* times the kernel differed from what should hold, and was put right */
};

/* A chain of other software that drops what Sortie needs or policy allows. */
struct local_foreign {
	char software
		[24]; /* "ufw", "firewalld", "Docker", "iptables", "nftables", "iptables-legacy" */
	char where[128]; /* "ip filter INPUT" */
	char what[96];	 /* "tcp/5432 from the overlay, which policy allows" */
	bool certain;	 /* else it may drop: that depends on what cannot be known here */
	char allow[256]; /* the line that would allow it; "" where none is known */
};

/* GET /v1/local/status */
struct local_status {
	char version[32]; /* of the program */
	bool enrolled;
	bool enrolling; /* not enrolled yet, and the hub is asked */
	bool ready; /* enrolled, up, what was last heard is applied, mode in force, hub answers, lease holds */
	bool revoked;	     /* this identity, for ever */
	bool down;	     /* lowered by `sortie down` */
	char id[ID_HEX_MAX]; /* "" until enrolled, as the next ones */
	char name[NAME_MAX_TEXT];
	char network[NAME_PART_MAX + 1];
	struct addr ipv6, ipv4;
	char interface[16];
	char mode
		[16]; /* "enforce", "overlay", "observe": what holds, the tighter of policy and host */
	bool enforce_pending; /* the underlay only records, because these connections would be cut: */
	char **pending;	      /* "tcp 192.0.2.9:50122 -> 192.0.2.1:22" */
	size_t n_pending;
	char backend[16]; /* "kernel" or "userspace" */
	char hub[64];	  /* underlay endpoint; "" */
	bool hub_answers;
	uint32_t hub_round_trip_us; /* of the last echo inside the tunnel */
	bool control_answers;	    /* the last API call succeeded */
	int64_t control_at;	    /* when one last did */
	uint64_t revision;	    /* what the kernel holds */
	uint64_t policy_version;    /* 0: none, everything is denied */
	int64_t policy_not_after;
	int64_t lease_not_after;
	int64_t last_deny_at;
	char last_deny[256]; /* "in site-a/web tcp/22"; "" */
	struct local_counters counters;
	struct local_peer *peers;
	size_t n_peers;
	struct local_foreign *foreign;
	size_t n_foreign;
	char **warnings; /* sentences: userspace backend, clock, repairs, ... */
	size_t n_warnings;
};
MESSAGE_FUNCTIONS(local_status);

/* POST /v1/local/enroll; answered when it is done or refused. The token is a secret: wipe it. */
struct local_enroll {
	char *token; /* "sortie1_..." */
};
MESSAGE_FUNCTIONS(local_enroll);

struct local_enrolled {
	char id[ID_HEX_MAX];
	char name[NAME_MAX_TEXT];
	char network[NAME_PART_MAX + 1];
	struct addr ipv6, ipv4;
};
MESSAGE_FUNCTIONS(local_enrolled);

/* POST /v1/local/down: lowers the interface (the table stands) or raises it again. Answer: the same, and who. */
struct local_down {
	bool down;
	char name[NAME_MAX_TEXT]; /* in the answer */
};
MESSAGE_FUNCTIONS(local_down);

/* POST /v1/local/leave: table, interface, keys and state are removed. */
struct local_leave {
	bool force; /* also what stands without a trace of it in the state folder */
};
MESSAGE_FUNCTIONS(local_leave);

struct local_left {
	char name[NAME_MAX_TEXT]; /* who this host was; "" if nobody */
};
MESSAGE_FUNCTIONS(local_left);

/* POST /v1/local/can. An agent knows itself and its peers; others are 404 not-found: ask the control plane. */
struct local_can {
	char from[NAME_MAX_TEXT]; /* "": this host */
	char to[NAME_MAX_TEXT];
	char port[20]; /* "tcp/5432" */
};
MESSAGE_FUNCTIONS(local_can);

/* allowed is the answer to "does it work now": reason says what stands against it, a lease included. */
struct local_can_answer {
	char from[NAME_MAX_TEXT], to[NAME_MAX_TEXT];
	char port[20];
	bool allowed;
	char rule[256];		   /* the rule that allows, or the nearest; "" */
	char reason[256];	   /* one sentence */
	struct local_flow *denies; /* the last real ones of the pair */
	size_t n_denies;
};
MESSAGE_FUNCTIONS(local_can_answer);

/*
 * GET /v1/local/flows?after=SEQUENCE&denied=1&wait=1: records with a greater sequence, oldest first. wait=1 is a long
 * poll: it answers with the first record or, empty, after LOCAL_POLL_SECONDS. next is the `after` of the next call.
 */
struct local_flows {
	uint64_t next;
	uint64_t lost; /* records between `after` and the first one here that are no longer there */
	struct local_flow *flows;
	size_t n_flows;
};
MESSAGE_FUNCTIONS(local_flows);

/* POST /v1/local/mode: may only tighten what policy says (403 mode-loosens). */
struct local_mode {
	char mode[16];
	uint32_t
		confirm_s; /* lock at once, and undo it after so many seconds unless it is confirmed; 0: no */
};
MESSAGE_FUNCTIONS(local_mode);

/* One line of `doctor`: what was found, and where it is not as it should be, what to do. */
struct local_check {
	char name[16];	 /* "clock" */
	char level[8];	 /* "ok", "warn" (works, but not as it could) or "fail" */
	char found[400]; /* one sentence */
	char todo[256];	 /* "" for ok */
};

/* GET /v1/local/doctor; answered when all was looked at, within LOCAL_DOCTOR_SECONDS. */
struct local_doctor {
	struct local_check *checks;
	size_t n_checks;
};
MESSAGE_FUNCTIONS(local_doctor);
/* One line a check, the same from `sortie doctor` and `sortied --doctor`. */
void local_doctor_print(const struct local_doctor *doctor, FILE *to);
/* EXIT_FINDING where a check failed; warnings do not count. */
enum exit_code local_doctor_code(const struct local_doctor *doctor);

struct local_mode_set {
	char mode[16];
	bool pending;	    /* as in local_status */
	uint32_t confirm_s; /* left; 0: nothing has to be confirmed */
};
MESSAGE_FUNCTIONS(local_mode_set);

/*
 * POST /v1/local/confirm, without a body. 409 conflict where nothing waits, 403 forbidden where the caller's login is not
 * newer than the lock.
 */
struct local_confirmed {
	char mode[16];
};
MESSAGE_FUNCTIONS(local_confirmed);
