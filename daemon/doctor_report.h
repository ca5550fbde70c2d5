/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One examination, shared by the files doctor*.c and nobody else. */
#pragma once
#include <systemd/sd-event.h>
#include "daemon/agent.h"
#include "daemon/doctor.h"

#define DOCTOR_WAITERS_MAX 8
#define DOCTOR_NAME_MAX	   264 /* "HOST:PORT" */

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

/* One endpoint text of the hub and what became of it. */
struct doctor_name {
	char text[DOCTOR_NAME_MAX];
	int error;
	size_t n_found; /* 0 with error 0: a numeric one */
};

/* One endpoint of the hub. */
struct doctor_leg {
	struct endpoint to;
	int fd;		 /* UDP, connected, never fragments; -1: not open */
	int route_error; /* errno where there is no route to it; 0 */
	bool in_use;	 /* the hub's peer speaks to it */
	bool asked, answered;
	bool by_another; /* the answer came from another of the hub's endpoints */
	uint32_t round_trip_us;
	uint32_t mtu; /* what a router, or this host, said that fits; 0: nobody said anything */
	struct addr mtu_from; /* unset: this host itself */
	int refused;	      /* errno of another ICMP error; 0: none */
	bool refused_by_hub;  /* its own host said so: UDP arrives there */
};

struct doctor_path {
	struct doctor_name names[DESIRED_HUBS_MAX];
	size_t n_names;
	struct doctor_leg legs[DESIRED_HUBS_MAX];
	size_t n_legs;
	bool tunnel;			/* the interface is up, echoes were sent */
	bool full_asked, full_answered; /* the largest packet, at the end in use */
	uint32_t full_size;
	int64_t handshake_at; /* of the hub's peer; 0: none */
};

struct doctor {
	struct agent *agent;
	uint64_t waiters[DOCTOR_WAITERS_MAX]; /* local requests */
	size_t n_waiters;
	bool alone;	/* sortied --doctor */
	bool host_only; /* ... and the state folder cannot be read: what this host is, is not known */
	const char *name; /* of the check that speaks */
	struct local_doctor report;

	struct doctor_path path;
	/* how far the measurement is, doctor_path.c */
	size_t at;		  /* name, then leg */
	unsigned int sends;	  /* echoes of this step */
	uint16_t first, sequence; /* of this step's echoes; the newest */
	uint64_t question;
	sd_event_source *timer, *io;
	struct mono began_at;
	void (*step)(struct doctor *doctor); /* what the timer does */
};

struct doctor *doctor_new(struct agent *agent); /* NULL: out of memory */
void doctor_free(struct doctor *doctor);

/* A line under the name of the check that runs. todo NULL: nothing is to be done. Overlong texts are cut. */
void doctor_say(struct doctor *doctor, enum doctor_level level, const char *todo,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Measures, then calls doctor_conclude(). */
void doctor_path_begin(struct doctor *doctor);
void doctor_path_stop(
	struct doctor *doctor); /* closes and gives the hub's peer its endpoint back */
/* All checks, then answers. doctor is freed, or, alone, the loop ends. */
void doctor_conclude(struct doctor *doctor);

/* ---- the checks: doctor_host.c ---- */
void doctor_check_state(struct doctor *doctor);
void doctor_check_disk(struct doctor *doctor);
void doctor_check_clock(struct doctor *doctor);
void doctor_check_wireguard(struct doctor *doctor);
void doctor_check_nftables(struct doctor *doctor);
void doctor_check_conntrack(struct doctor *doctor);
void doctor_check_records(struct doctor *doctor);
void doctor_check_ranges(struct doctor *doctor);
void doctor_check_interface(struct doctor *doctor);
void doctor_check_kernel(struct doctor *doctor);
void doctor_check_others(struct doctor *doctor);

/* ---- doctor_network.c ---- */
void doctor_check_names(struct doctor *doctor);
void doctor_check_hub(struct doctor *doctor);
void doctor_check_handshake(struct doctor *doctor);
void doctor_check_mtu(struct doctor *doctor);
void doctor_check_control(struct doctor *doctor);
void doctor_check_admission(struct doctor *doctor);
void doctor_check_underlay(struct doctor *doctor);
