/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the envelopes say: one struct, one encoder and one strict decoder per object. docs/objects.md has the table
 * of signers, versions and expiry. Times are seconds since 1970; every object names its network.
 *
 * Encoders return malloc()ed JSON payloads (NULL: out of memory). Decoders take payload bytes that the caller has
 * VERIFIED, refuse unknown, missing and duplicate members and every text but the one that the encoder writes, and
 * return 0, -EINVAL or -ENOMEM. Encoders do not judge: what they are given wrong, decoders refuse.
 * The header of a policy and the payload of a call are JSON texts inside a JSON string: their bytes come back as given.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/addr.h"
#include "common/err.h"
#include "common/identity.h"
#include "common/key.h"
#include "trust/token.h"

#define TYPE_ROOT      "application/vnd.sortie.root.v1+json"
#define TYPE_TOKEN     "application/vnd.sortie.token.v1+json"
#define TYPE_IDENTITY  "application/vnd.sortie.identity.v1+json"
#define TYPE_KEY       "application/vnd.sortie.key.v1+json"
#define TYPE_IPV4      "application/vnd.sortie.ipv4.v1+json"
#define TYPE_LEASE     "application/vnd.sortie.lease.v1+json"
#define TYPE_TOMBSTONE "application/vnd.sortie.tombstone.v1+json"
#define TYPE_POLICY    "application/vnd.sortie.policy.v1+json"
#define TYPE_CALL      "application/vnd.sortie.call.v1+json"

#define ROOT_POLICY_KEYS_MAX 8
#define LEASE_SECONDS	     86400 /* fixed length of a K2 lease; renewed at half-life */

/* K0: who may sign policy, which hub, and the numbers everybody must agree on. Versions never go down. */
struct root_statement {
	struct network_id network;
	char name[NAME_PART_MAX + 1];
	uint64_t version;
	struct prefix overlay6, overlay4;
	uint16_t mtu;
	struct key policy_keys[ROOT_POLICY_KEYS_MAX]; /* K1 */
	size_t n_policy_keys;
	uint32_t threshold;	/* m of n, distinct keys */
	struct key control_key; /* K2 */
	struct key hub_key;	/* the hub's WireGuard key */
	char endpoints[TOKEN_ENDPOINTS_MAX][TOKEN_HOST_MAX];
	size_t n_endpoints;
	uint16_t api_port, enroll_port;
};

/* K1 or an enroller: a join key may enrol as this. */
struct token_statement {
	struct network_id network;
	struct key join_key;
	struct key onetime_key; /* WireGuard public key of the one-time peer */
	char name[NAME_MAX_TEXT];
	struct labels labels;
	int64_t not_after;
};

/* K3 and the join key, once: this K3 is the identity, its first K4 and its address. */
struct identity_statement {
	struct network_id network;
	struct key k3;
	struct key k4;
	struct key join_key;
	struct addr ipv6;
	int64_t created_at;
};

/* K3: the current WireGuard key. The greatest generation counts. */
struct key_statement {
	struct network_id network;
	struct id identity;
	uint64_t generation; /* 1.. */
	struct key k4;
	int64_t not_before, not_after; /* not_after 0: no end */
};

/* K3: the IPv4 address that the control plane proposed. Pinned by agents. */
struct ipv4_statement {
	struct network_id network;
	struct id identity;
	struct addr ipv4;
};

/* K2: the admission holds until not_after. It admits nobody: without the other statements it says nothing. */
struct lease_statement {
	struct network_id network;
	struct id identity;
	int64_t issued_at, not_after;
};

/* K2 or K1: for ever. */
struct tombstone_statement {
	struct network_id network;
	struct id identity;
	int64_t at;
	char reason[128];
};

/* K1, m of n: everything that restricts, and the RFC 6962 root over the rules' leaf bytes. */
struct policy_statement {
	struct network_id network;
	uint64_t version;
	int64_t issued_at, not_after;
	uint8_t rules_root[32];
	uint32_t n_rules;
	uint32_t n_tombstones; /* the floor: revocations known at signing, and their hash */
	uint8_t tombstones_hash[32];
	char *header; /* policy_encode()'s JSON object, owned; free with policy_statement_done() */
};
void policy_statement_done(struct policy_statement *statement);

/* K3: one API call. */
struct call_statement {
	struct network_id network;
	struct key hub; /* its WireGuard key: a call for one hub is no call for another */
	char method[8];
	char path[128];
	int64_t at;
	uint8_t nonce[16];
	char *payload; /* JSON text, owned */
};
void call_statement_done(struct call_statement *statement);

char *root_encode(const struct root_statement *s);
int root_decode(const char *payload, size_t length, struct root_statement *ret, struct err *err);
char *token_statement_encode(const struct token_statement *s);
int token_statement_decode(const char *payload, size_t length, struct token_statement *ret,
			   struct err *err);
char *identity_encode(const struct identity_statement *s);
int identity_decode(const char *payload, size_t length, struct identity_statement *ret,
		    struct err *err);
char *key_encode(const struct key_statement *s);
int key_decode(const char *payload, size_t length, struct key_statement *ret, struct err *err);
char *ipv4_encode(const struct ipv4_statement *s);
int ipv4_decode(const char *payload, size_t length, struct ipv4_statement *ret, struct err *err);
char *lease_encode(const struct lease_statement *s);
int lease_decode(const char *payload, size_t length, struct lease_statement *ret, struct err *err);
char *tombstone_encode(const struct tombstone_statement *s);
int tombstone_decode(const char *payload, size_t length, struct tombstone_statement *ret,
		     struct err *err);
char *policy_statement_encode(const struct policy_statement *s);
int policy_statement_decode(const char *payload, size_t length, struct policy_statement *ret,
			    struct err *err);
char *call_encode(const struct call_statement *s);
int call_decode(const char *payload, size_t length, struct call_statement *ret, struct err *err);
