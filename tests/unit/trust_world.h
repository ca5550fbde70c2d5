/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small network for the tests of trust/: a root key, three policy keys of which two must sign, a control key, an
 * enroller, and the identities a (enrolled by policy keys) and b (enrolled by the enroller), with all their statements.
 * Everything is derived from fixed seeds and stands at the time NOW.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "common/cleanup.h"
#include "policy/policy.h"
#include "trust/merkle.h"
#include "trust/object.h"
#include "trust/verify.h"

#define NOW    INT64_C(1800000000)
#define METHOD "POST"
#define PATH   "/v1/sync"

/* In the order of trust_objects[]. */
enum kind { ROOT, TOKEN, IDENTITY, KEY, IPV4, LEASE, TOMBSTONE, POLICY, CALL, KINDS };

struct person {
	struct signing_key join, k3;
	struct key k4;
	struct id id;
	struct token_statement token;
	struct identity_statement identity;
	struct key_statement key;
	struct ipv4_statement ipv4;
	struct lease_statement lease;
	struct tombstone_statement tombstone;
	struct call_statement call;
	char *text[KINDS]; /* owned: the envelopes of what is above */
};

struct world {
	struct network_id network;
	struct key fingerprint;
	struct signing_key k0, k1[3], k2, enroller, stranger;
	struct root_statement root;
	struct policy_statement policy;
	struct policy_encoded encoded;
	struct id dead[2];
	char *dead_text[2], *root_text, *policy_text;
	struct person a, b;
	struct trust *trust; /* root, tombstones and policy accepted */
};

static inline struct signing_key make_key(uint8_t seed)
{
	struct signing_key key;
	struct key bytes;

	memset(bytes.bytes, seed, KEY_SIZE);
	signing_key_from_seed(&bytes, &key);
	return key;
}

static inline struct key make_wireguard_key(uint8_t seed)
{
	struct key private, public;

	memset(private.bytes, seed, KEY_SIZE);
	assert_int_equal(key_public_curve25519(&private, &public), 0);
	return public;
}

static inline const void *world_statement(const struct world *w, enum kind kind,
					  const struct person *p)
{
	const void *const statements[KINDS] = {
		[ROOT] = &w->root, [TOKEN] = &p->token,	  [IDENTITY] = &p->identity,
		[KEY] = &p->key,   [IPV4] = &p->ipv4,	  [LEASE] = &p->lease,
		[CALL] = &p->call, [POLICY] = &w->policy, [TOMBSTONE] = &p->tombstone,
	};
	return statements[kind];
}

/* Who must sign; returns their number. */
static inline size_t world_signers(const struct world *w, enum kind kind, const struct person *p,
				   const struct signing_key *ret[2])
{
	bool enrolled = p == &w->b;

	ret[0] = kind == ROOT					  ? &w->k0
		 : kind == POLICY || (kind == TOKEN && !enrolled) ? &w->k1[0]
		 : kind == TOKEN				  ? &w->enroller
		 : kind == LEASE || kind == TOMBSTONE		  ? &w->k2
								  : &p->k3;
	ret[1] = kind == IDENTITY ? &p->join : &w->k1[2];
	return kind == IDENTITY || kind == POLICY || (kind == TOKEN && !enrolled) ? 2 : 1;
}

/*
 * Signs any payload as those would who sign that kind. The caller frees. Not inlined: gcc 12 takes the returned
 * pointer for one to the local variable that held it (-Wdangling-pointer).
 */
static __attribute__((noinline, unused)) char *world_sign(const struct world *w, enum kind kind,
							  const struct person *p,
							  const char *payload)
{
	const struct signing_key *keys[2];
	size_t n = world_signers(w, kind, p, keys);
	char *text = NULL;

	assert_non_null(payload);
	assert_int_equal(
		envelope_sign(trust_objects[kind]->type, payload, strlen(payload), keys, n, &text),
		0);
	return text;
}

static inline char *world_encode(const struct world *w, enum kind kind, const struct person *p)
{
	char *payload = object_encode(trust_objects[kind], world_statement(w, kind, p));

	assert_non_null(payload);
	return payload;
}

static inline char *world_text(const struct world *w, enum kind kind, const struct person *p)
{
	_cleanup_(freep) char *payload = world_encode(w, kind, p);
	return world_sign(w, kind, p, payload);
}

static inline void make_root(struct world *w)
{
	w->root = (struct root_statement){
		.network = w->network,
		.name = "testnet",
		.version = 3,
		.mtu = 1280,
		.policy_keys = {w->k1[0].public_key, w->k1[1].public_key, w->k1[2].public_key},
		.n_policy_keys = 3,
		.threshold = 2,
		.control_key = w->k2.public_key,
		.hub_key = make_wireguard_key(40),
		.endpoints = {"hub.example.org:51820", "[2001:db8::1]:51820"},
		.n_endpoints = 2,
		.api_port = 7443,
		.enroll_port = 7444,
	};
	assert_int_equal(prefix_parse("fd12:3456:789a::/48", &w->root.overlay6), 0);
	assert_int_equal(prefix_parse("10.77.0.0/16", &w->root.overlay4), 0);
}

static char call_payload[] = "{}";

static inline void make_person(const struct world *w, struct person *p, uint8_t seed,
			       const char *name)
{
	p->join = make_key(seed);
	p->k3 = make_key((uint8_t)(seed + 1));
	p->k4 = make_wireguard_key((uint8_t)(seed + 2));
	p->id = id_of_public_key(p->k3.public_key.bytes);
	p->token = (struct token_statement){.network = w->network,
					    .join_key = p->join.public_key,
					    .onetime_key = make_wireguard_key((uint8_t)(seed + 3)),
					    .not_after = NOW + 3600};
	(void)snprintf(p->token.name, sizeof(p->token.name), "%s", name);
	assert_int_equal(labels_parse("env=prod,role=db", &p->token.labels, NULL), 0);
	p->identity = (struct identity_statement){.network = w->network,
						  .k3 = p->k3.public_key,
						  .k4 = p->k4,
						  .join_key = p->join.public_key,
						  .created_at = NOW - 10};
	assert_int_equal(identity_address(&w->network, &w->root.overlay6, &p->identity.k3,
					  &p->identity.ipv6),
			 0);
	p->key = (struct key_statement){.network = w->network,
					.identity = p->id,
					.generation = 1,
					.k4 = p->k4,
					.not_before = NOW - 10,
					.not_after = NOW + 864000};
	p->ipv4 = (struct ipv4_statement){.network = w->network, .identity = p->id};
	p->ipv4.ipv4 = addr_from_bytes(AF_INET, (uint8_t[]){10, 77, 1, seed});
	p->lease = (struct lease_statement){w->network, p->id, NOW - 60, NOW - 60 + LEASE_SECONDS};
	p->tombstone = (struct tombstone_statement){w->network, p->id, NOW, "stolen"};
	p->call = (struct call_statement){.network = w->network,
					  .hub = w->root.hub_key,
					  .method = METHOD,
					  .path = PATH,
					  .at = NOW,
					  .nonce = {1, 2, 3},
					  .payload = call_payload};
}

static inline void sign_person(const struct world *w, struct person *p)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		if (kind != ROOT && kind != POLICY)
			p->text[kind] = world_text(w, kind, p);
}

static inline void make_policy(struct world *w)
{
	struct policy_enroller enroller = {
		.id = id_of_public_key(w->enroller.public_key.bytes),
	};
	struct policy policy = {.enrollers = &enroller, .n_enrollers = 1};
	struct merkle_leaf leaves[2] = {0};

	assert_int_equal(labels_parse("env=prod", &enroller.scope, NULL), 0);
	assert_int_equal(policy_encode(&policy, &w->encoded), 0);
	w->policy = (struct policy_statement){.network = w->network,
					      .version = 7,
					      .issued_at = NOW - 100,
					      .not_after = NOW + 2592000,
					      .n_rules = (uint32_t)w->encoded.n_leaves,
					      .n_tombstones = 2,
					      .header = w->encoded.header};
	merkle_root(leaves, w->encoded.n_leaves, w->policy.rules_root);
	trust_tombstones_hash(w->trust, w->policy.tombstones_hash);
}

static inline struct trust *world_new_trust(const struct world *w)
{
	struct trust *trust;

	assert_int_equal(trust_new(&w->network, &w->fingerprint, &trust), 0);
	return trust;
}

static inline void accept_root_and_dead(const struct world *w, struct trust *trust)
{
	assert_int_equal(trust_accept_root(trust, w->root_text, strlen(w->root_text), NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(trust_accept_tombstone(trust, w->dead_text[i],
							strlen(w->dead_text[i]), NULL),
				 0);
}

static inline int accept_policy(const struct world *w, struct trust *trust, const char *text,
				struct err *err)
{
	return trust_accept_policy(trust, text, strlen(text),
				   (const char *const *)w->encoded.leaves, w->encoded.n_leaves, NOW,
				   err);
}

static inline void make_dead(struct world *w)
{
	for (size_t i = 0; i < 2; i++) {
		struct person p = {.tombstone = {w->network, {{0}}, NOW - 1000, "lost"}};

		memset(w->dead[i].bytes, (int)(0xf0 - i), sizeof(w->dead[i].bytes));
		p.tombstone.identity = w->dead[i];
		w->dead_text[i] = world_text(w, TOMBSTONE, &p);
	}
}

static inline struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err err = {0};

	assert_non_null(w);
	memset(w->network.bytes, 9, sizeof(w->network.bytes));
	w->k0 = make_key(1);
	for (size_t i = 0; i < 3; i++)
		w->k1[i] = make_key((uint8_t)(2 + i));
	w->k2 = make_key(5);
	w->enroller = make_key(6);
	w->stranger = make_key(7);
	(void)crypto_hash_sha256(w->fingerprint.bytes, w->k0.public_key.bytes, KEY_SIZE);
	make_root(w);
	w->root_text = world_text(w, ROOT, &w->a);
	make_dead(w);
	w->trust = world_new_trust(w);
	accept_root_and_dead(w, w->trust);
	make_policy(w);
	w->policy_text = world_text(w, POLICY, &w->a);
	if (accept_policy(w, w->trust, w->policy_text, &err) < 0)
		fail_msg("%s", err.text);
	make_person(w, &w->a, 100, "site-a/db");
	make_person(w, &w->b, 110, "site-b/db");
	sign_person(w, &w->a);
	sign_person(w, &w->b);
	return w;
}

static inline void world_free(struct world *w)
{
	trust_free(w->trust);
	for (size_t i = 0; i < KINDS; i++) {
		free(w->a.text[i]);
		free(w->b.text[i]);
	}
	free(w->dead_text[0]);
	free(w->dead_text[1]);
	free(w->root_text);
	free(w->policy_text);
	policy_encoded_done(&w->encoded);
	free(w);
}
DEFINE_CLEANUP(world_free, struct world *);

static inline struct identity_bundle bundle_of(const struct person *p)
{
	return (struct identity_bundle){p->text[TOKEN], p->text[IDENTITY], p->text[KEY],
					p->text[IPV4], p->text[LEASE]};
}
