/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control plane's state made by init in a folder of its own, with the operator's side (tokens) and the hosts' side
 * (K3, K4, enrolment requests) in one process. No network, no loop. Used by unit tests and by the enrolment bench:
 * errors end the program.
 */
#pragma once
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "api/message.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "control-plane/enroll.h"
#include "control-plane/init.h"
#include "control-plane/signer.h"
#include "control-plane/store_token.h"
#include "control-plane/trust_load.h"

#define MUST(call)                                                                                 \
	do {                                                                                       \
		int must_ = (call);                                                                \
		if (must_ < 0) {                                                                   \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,              \
				strerror(-must_));                                                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct bed {
	char parent[64]; /* removed by bed_done() */
	char dir[80];	 /* the state folder */
	char db[112];
	struct signing_key k1;
	struct store *store;
	struct trust *trust;
	char *root;
	int64_t now;
};

/* What a host derives from its token's text. */
struct bed_token {
	struct signing_key join;
	struct key onetime; /* public */
	struct addr address;
	char name[NAME_MAX_TEXT];
};

struct bed_host {
	struct signing_key k3;
	struct key k4; /* public */
	struct id id;
};

static inline int bed_remove_entry(const char *path, const struct stat *st, int type,
				   struct FTW *walk)
{
	return remove(path);
}

static inline struct enroll bed_enroll(const struct bed *bed)
{
	return (struct enroll){.store = bed->store, .trust = bed->trust, .root = bed->root};
}

/* Another connection to the same database, as another process would have it. */
static inline void bed_open(struct bed *bed)
{
	const struct policy_row none = {0};
	struct err err = {0};
	int r = store_open(bed->db, &bed->store, &err);

	if (r == 0)
		r = store_meta_get(bed->store, "root", &bed->root);
	if (r == 0)
		r = trust_load(bed->store, bed->root, &none, bed->now, &bed->trust, &err);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", bed->dir, err.text);
		abort();
	}
}

static inline void bed_close(struct bed *bed)
{
	trust_free(bed->trust);
	store_close(bed->store);
	free(bed->root);
	bed->trust = NULL;
	bed->store = NULL;
	bed->root = NULL;
}

/* where: a folder for it, e.g. "/dev/shm" (no disk) or "/tmp". */
static inline struct bed *bed_new(const char *where)
{
	struct init_options options = {
		.network = "testnet",
		.endpoints = {"192.0.2.1:51820"},
		.n_endpoints = 1,
		.mtu = INIT_MTU,
	};
	struct bed *bed = calloc(1, sizeof(*bed));
	struct err err = {0};
	char path[128];

	if (!bed || sodium_init() < 0)
		abort();
	bed->now = clock_wall();
	snprintf(bed->parent, sizeof(bed->parent), "%s/sortie-bed-XXXXXX", where);
	if (!mkdtemp(bed->parent))
		abort();
	snprintf(bed->dir, sizeof(bed->dir), "%s/state", bed->parent);
	snprintf(bed->db, sizeof(bed->db), "%s/%s", bed->dir, STORE_FILE);
	options.state_dir = bed->dir;
	if (init_network(&options, &err) < 0) {
		fprintf(stderr, "init: %s\n", err.text);
		abort();
	}
	snprintf(path, sizeof(path), "%s/%s", bed->dir, INIT_POLICY_KEY_FILE);
	MUST(signing_key_load(path, &bed->k1, &err));
	bed_open(bed);
	return bed;
}

static inline void bed_free(struct bed *bed)
{
	if (!bed)
		return;
	bed_close(bed);
	nftw(bed->parent, bed_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	signing_key_wipe(&bed->k1);
	free(bed);
}
DEFINE_CLEANUP(bed_free, struct bed *);

static inline char *bed_sign(const char *type, char *payload, const struct signing_key *a,
			     const struct signing_key *b)
{
	const struct signing_key *keys[] = {a, b};
	char *text = NULL;

	if (!payload)
		abort();
	MUST(envelope_sign(type, payload, strlen(payload), keys, b ? 2 : 1, &text));
	free(payload);
	return text;
}

/* The statement is the caller's. */
static inline char *bed_make_token(const struct bed *bed, const char *name, int64_t not_after,
				   struct bed_token *ret)
{
	const struct root_statement *root = trust_root(bed->trust);
	struct token_statement statement = {.network = root->network, .not_after = not_after};
	struct join_token token = {.overlay6 = root->overlay6};
	struct key private_key;

	randombytes_buf(token.seed.bytes, KEY_SIZE);
	token_join_key(&token, &ret->join);
	token_wireguard_key(&token, &private_key);
	MUST(key_public_curve25519(&private_key, &ret->onetime));
	ret->address = token_address(&root->overlay6, &ret->onetime);
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	statement.join_key = ret->join.public_key;
	statement.onetime_key = ret->onetime;
	snprintf(statement.name, sizeof(statement.name), "%s", name);
	MUST(labels_add(&statement.labels, "role", "web", NULL));
	return bed_sign(TYPE_TOKEN, token_statement_encode(&statement), &bed->k1, NULL);
}

static inline struct token_row bed_token_row(const struct bed *bed, const struct bed_token *token,
					     int64_t not_after, char *statement)
{
	struct token_row row = {
		.join_key = token->join.public_key,
		.onetime_key = token->onetime,
		.address = token->address,
		.not_after = not_after,
		.created_at = bed->now,
		.changed_at = bed->now,
		.statement = statement,
	};

	snprintf(row.name, sizeof(row.name), "%s", token->name);
	MUST(labels_add(&row.labels, "role", "web", NULL));
	return row;
}

static inline void bed_add_token(struct bed *bed, const char *name, int64_t not_after,
				 struct bed_token *ret)
{
	_cleanup_(freep) char *statement = bed_make_token(bed, name, not_after, ret);
	struct token_row row = bed_token_row(bed, ret, not_after, statement);

	MUST(store_token_add(bed->store, &row, 1, "test"));
}

static inline void bed_new_host(const struct bed *bed, struct bed_host *ret)
{
	const struct root_statement *root = trust_root(bed->trust);
	struct key private_key;
	struct addr address;

	do {
		signing_key_generate(&ret->k3);
	} while (identity_address(&root->network, &root->overlay6, &ret->k3.public_key, &address) <
		 0);
	key_generate_curve25519(&private_key);
	MUST(key_public_curve25519(&private_key, &ret->k4));
	ret->id = id_of_public_key(ret->k3.public_key.bytes);
}

/* The body of POST /v1/enroll, the caller's. */
static inline char *bed_request(const struct bed *bed, const struct bed_token *token,
				const struct bed_host *host)
{
	const struct root_statement *root = trust_root(bed->trust);
	struct identity_statement identity = {
		.network = root->network,
		.k3 = host->k3.public_key,
		.k4 = host->k4,
		.join_key = token->join.public_key,
		.created_at = bed->now,
	};
	struct key_statement key = {
		.network = root->network,
		.identity = host->id,
		.generation = 1,
		.k4 = host->k4,
		.not_before = bed->now,
	};
	struct enroll_request request;
	char *text;

	MUST(identity_address(&root->network, &root->overlay6, &host->k3.public_key,
			      &identity.ipv6));
	request.identity =
		bed_sign(TYPE_IDENTITY, identity_encode(&identity), &host->k3, &token->join);
	request.key = bed_sign(TYPE_KEY, key_encode(&key), &host->k3, NULL);
	text = enroll_request_encode(&request);
	enroll_request_done(&request);
	if (!text)
		abort();
	return text;
}

/* The handler's status; *ret_body (may be NULL) is the caller's. */
static inline unsigned int bed_redeem(struct bed *bed, const struct bed_token *token,
				      const char *request, char **ret_body)
{
	const struct enroll enroll = bed_enroll(bed);
	struct reply reply = {0};
	unsigned int status;
	struct id id;

	(void)enroll_handle(&enroll, &token->address, request, strlen(request), bed->now, &reply,
			    &id);
	status = reply.status;
	if (ret_body)
		*ret_body = take_pointer(reply.body);
	reply_done(&reply);
	return status;
}
