/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signed objects: DSSE v1 envelopes (github.com/secure-systems-lab/dsse) with Ed25519, domain-separated by their
 * payload type. Bytes are verified before they are parsed and never re-serialised: the text that was signed is kept.
 *
 * An envelope is JSON: {"payloadType":TYPE,"payload":B64,"signatures":[{"keyid":HEX PUBLIC KEY,"sig":B64}]}.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "common/key.h"

#define ENVELOPE_TEXT_MAX	(256 * 1024)
#define ENVELOPE_SIGNATURES_MAX 8

/* Ed25519. The seed is secret: wipe with signing_key_wipe(). */
struct signing_key {
	struct key seed;
	struct key public_key;
};
void signing_key_generate(struct signing_key *ret);
void signing_key_from_seed(const struct key *seed, struct signing_key *ret);
void signing_key_wipe(struct signing_key *key);
/* File content: "sortie-ed25519-seed1 HEX\n", mode 0600. -EINVAL, -EPERM (readable by others), -errno. */
int signing_key_load(const char *path, struct signing_key *ret, struct err *err);
int signing_key_save(const char *path, const struct signing_key *key);

struct envelope_signature {
	struct key public_key;
	uint8_t signature[64];
};

struct envelope {
	char type[64]; /* payload type, e.g. "application/vnd.sortie.lease.v1+json" */
	char *payload; /* owned, NUL behind it; UNTRUSTED until a key was checked */
	size_t payload_length;
	struct envelope_signature signatures[ENVELOPE_SIGNATURES_MAX];
	size_t n_signatures;
};

/* malloc()ed text, at most ENVELOPE_TEXT_MAX bytes: -EFBIG. -EINVAL (no key, too many), -ENOMEM. */
int envelope_sign(const char *type, const char *payload, size_t length,
		  const struct signing_key *const *keys, size_t n_keys, char **ret_text);
/* Adds one signature to a text (thresholds). -EEXIST if that key has signed already. */
int envelope_add_signature(const char *text, size_t length, const struct signing_key *key,
			   char **ret_text, struct err *err);
/*
 * Shape only, nothing is verified. Strict: duplicate or unknown members, bad base64, a key that signs twice, a text
 * that is not the one envelope_sign() writes, and another type are -EINVAL. White space around the text is ignored.
 * type NULL takes any type: for tools that show or countersign.
 */
int envelope_parse(const char *text, size_t length, const char *type, struct envelope **ret,
		   struct err *err);
void envelope_free(struct envelope *envelope);
DEFINE_CLEANUP(envelope_free, struct envelope *);
/* Strict Ed25519 (libsodium: canonical S, no small-order keys). */
bool envelope_signed_by(const struct envelope *envelope, const struct key *public_key);
/* How many distinct keys of the list have signed; the same key twice counts once. */
size_t envelope_count_signers(const struct envelope *envelope, const struct key *keys, size_t n);
