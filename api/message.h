/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls between agent, control plane and CLI: one struct, one encoder, one strict decoder per message.
 * docs/openapi.yaml describes the same. Envelopes are carried as JSON strings: the exact bytes that were signed.
 *
 * Encoders return malloc()ed JSON (NULL: out of memory); decoders refuse unknown and duplicate members and anything
 * over the limits, and return 0, -EINVAL or -ENOMEM with err filled. *_done() frees what a decoder allocated.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/err.h"
#include "common/identity.h"

#define API_ENROLL_BODY_MAX (16 * 1024)
#define API_CALL_BODY_MAX   (64 * 1024)
#define API_ANSWER_MAX	    (16 * 1024 * 1024)
#define API_IDENTITIES_MAX  4096 /* in one answer: the peers of one agent */
#define API_TOMBSTONES_MAX  65536
/* The root statement names both ports; an agent that enrols needs the second one before it has seen it. */
#define API_PORT_DEFAULT    7140
#define ENROLL_PORT_DEFAULT 7141
#define API_POLL_SECONDS    25 /* longest long poll */
#define API_RENEW_MAX	    8  /* peers in one request or answer */

/* POST /v1/enroll on the enrolment port; not an envelope: the identity statement carries both signatures. */
struct enroll_request {
	char *identity; /* envelope */
	char *key;	/* envelope: K4, generation 1 */
};
struct enroll_answer {
	char *root;	  /* envelope */
	char *token;	  /* envelope: the statement about ourselves */
	struct addr ipv4; /* proposed; unset if the network has none */
};

/* POST /v1/sync, payload of a call. Long poll: answered when revision is older than the control plane's. */
struct sync_request {
	uint64_t revision; /* of the last answer, 0 for the first */
	uint64_t applied;  /* the last revision that the kernel holds, read back */
	char *ipv4;	   /* envelope, when the control plane has none yet; may be NULL */
	char *key;	   /* envelope: a new K4; may be NULL */
	char boot_id[33];  /* the hub's, as last seen; "" the first time */
	char **unanswered; /* identities in hex whose WireGuard has not answered ours for 30 s */
	size_t n_unanswered;
};

struct sync_identity {
	char *token, *identity, *key; /* envelopes */
	char *ipv4;		      /* may be NULL */
	char *lease;		      /* may be NULL */
};
struct sync_answer {
	char boot_id[33]; /* of the hub: changes when its WireGuard state was lost */
	uint64_t revision;
	char *root;   /* envelope */
	char *policy; /* envelope; NULL before the first policy */
	char **leaves;
	size_t n_leaves;
	struct sync_identity self; /* lease of the caller in it */
	struct sync_identity *identities;
	size_t n_identities;
	char **tombstones;
	size_t n_tombstones;
	char **renew; /* identities in hex that named us: begin a new session with them, from here */
	size_t n_renew;
};

char *enroll_request_encode(const struct enroll_request *m);
int enroll_request_decode(const char *text, size_t length, struct enroll_request *ret,
			  struct err *err);
void enroll_request_done(struct enroll_request *m);
char *enroll_answer_encode(const struct enroll_answer *m);
int enroll_answer_decode(const char *text, size_t length, struct enroll_answer *ret,
			 struct err *err);
void enroll_answer_done(struct enroll_answer *m);
char *sync_request_encode(const struct sync_request *m);
int sync_request_decode(const char *text, size_t length, struct sync_request *ret, struct err *err);
void sync_request_done(struct sync_request *m);
char *sync_answer_encode(const struct sync_answer *m);
int sync_answer_decode(const char *text, size_t length, struct sync_answer *ret, struct err *err);
void sync_answer_done(struct sync_answer *m);

/* Of a sync, instead of an answer: the caller was revoked, and the body is its own tombstone. */
#define API_REVOKED_STATUS 410

/* GET /v1/version: the only call that is no envelope, and the only one a stranger to the API may make. */
struct version_answer {
	char version[32]; /* of the program */
	char boot_id[33]; /* of the hub */
};
char *version_answer_encode(const struct version_answer *m);
int version_answer_decode(const char *text, size_t length, struct version_answer *ret,
			  struct err *err);
void version_answer_done(struct version_answer *m);

/* RFC 9457 problem details; type is "urn:sortie:problem:" + code. */
struct problem {
	unsigned int status; /* HTTP */
	char code[48]; /* "token-used", "token-expired", "revoked", "denied", "bad-request", ... */
	char detail[256]; /* one sentence: what was tried, what is wrong, what to do */
};
char *problem_encode(const struct problem *m);
int problem_decode(const char *text, size_t length, struct problem *ret, struct err *err);
/* Fills it from a code of api/code.h (unknown ones become "internal"), status included. */
void problem_make(struct problem *ret, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
