/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state folder: one table of small files, each replaced as a whole (fsync, rename, fsync), so that a crash leaves
 * the old or the new content. One agent a folder: state_open() holds its lock for the life of the process.
 *
 * All functions return 0 or a negative errno with a sentence in err that names the file.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "common/key.h"
#include "daemon/login.h"
#include "trust/token.h"

enum state_file {
	STATE_K3,	  /* identity.key */
	STATE_K4,	  /* wireguard.key */
	STATE_TOKEN,	  /* join.token: while enrolment is under way, and only then */
	STATE_PINS,	  /* network.pins: the token without its seed */
	STATE_REQUEST,	  /* enroll-request.json: what is sent, byte for byte the same each time */
	STATE_ANSWER,	  /* enroll-answer.json: enrolled once this is there */
	STATE_IPV4,	  /* ipv4.json: our signed address statement */
	STATE_SYNC,	  /* sync.json: last good answer */
	STATE_TOMBSTONES, /* tombstones.jsonl: all that were ever verified */
	STATE_SEEN,	  /* seen.txt */
	STATE_FLOOR,	  /* floor.txt */
	STATE_LOCAL,	  /* local.txt */
	STATE_LOOSE,	  /* tcp-loose: what nf_conntrack_tcp_loose was before the lock */
	STATE_GUARD,	  /* guard.txt: what sortie-guard loads */
	STATE_HUB,	  /* hub-endpoint: where the hub answered last; a hint */
	STATE_INTERFACE,  /* interface: the name that we created; there before the interface is */
	STATE_DOWN,	  /* down: lowered by `sortie down`; empty, its presence says it */
	STATE_FILES
};

struct state;

/* -EWOULDBLOCK: another agent has the folder. */
int state_open(const char *path, struct state **ret, struct err *err);
void state_close(struct state *state);
DEFINE_CLEANUP(state_close, struct state *);

bool state_has(const struct state *state, enum state_file file);
/* *ret is malloc()ed, NUL behind it; secret files are refused where others can read them. -ENOENT. */
int state_load(const struct state *state, enum state_file file, char **ret, size_t *ret_length,
	       struct err *err);
/* On disk when it returns. */
int state_save(const struct state *state, enum state_file file, const void *data, size_t length,
	       struct err *err);
/* Gone already is success. */
int state_remove(const struct state *state, enum state_file file, struct err *err);
/* Everything but the lock: `leave`, or an enrolment given up. */
int state_clear(const struct state *state, struct err *err);

int state_load_k3(const struct state *state, struct signing_key *ret, struct err *err);
int state_save_k3(const struct state *state, const struct signing_key *k3, struct err *err);
int state_load_k4(const struct state *state, struct key *ret, struct err *err);
int state_save_k4(const struct state *state, const struct key *k4, struct err *err);

/* The greatest versions ever applied and the newest signed time ever verified. They only grow. */
struct state_floor {
	uint64_t root_version, policy_version;
	int64_t signed_at;
};
/* All zero where there is no file. -EINVAL where it is damaged. */
int state_load_floor(const struct state *state, struct state_floor *ret, struct err *err);
/* -ESTALE where a version would go down. */
int state_check_floor(const struct state_floor *floor, const struct state_floor *now,
		      struct err *err);
/* The same, and writes where something grew. floor is what stands, updated. */
int state_raise_floor(const struct state *state, struct state_floor *floor,
		      const struct state_floor *now, struct err *err);

/* What people set on this host, and what the agent must remember over a restart. */
/* A lock that is undone unless it is confirmed. On CLOCK_BOOTTIME of the boot that is named. */
struct state_confirm {
	int64_t deadline_us; /* 0: nothing waits */
	int64_t at_us;	     /* when it was asked for */
	uint32_t session;    /* newest login session then */
	char boot[LOGIN_BOOT_MAX];
	char mode_before[16];
};

struct state_local {
	bool underlay_locked; /* the underlay lock took effect once */
	char mode[16];	      /* "", "enforce" or "overlay" by `sortie mode` */
	bool held; /* a lock was undone because nobody confirmed it: it is not taken unasked */
	struct state_confirm confirm;
};
int state_load_local(const struct state *state, struct state_local *ret, struct err *err);
int state_save_local(const struct state *state, const struct state_local *local, struct err *err);
