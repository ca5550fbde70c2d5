/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 32-byte keys: Curve25519 and Ed25519 public keys, Curve25519 private keys, Ed25519 seeds.
 *
 * A secret key is wiped by its owner with key_wipe(), or by `_cleanup_(key_wipe) struct key k;`.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define KEY_SIZE    32
#define KEY_B64_MAX 45 /* 44 characters, as wg(8) shows keys */
#define KEY_HEX_MAX 65

struct key {
	uint8_t bytes[KEY_SIZE];
};

/* Standard base64 with padding, exactly 44 characters, one canonical text for a key. -EINVAL. */
int key_parse_b64(const char *text, struct key *ret);
const char *key_format_b64(const struct key *key, char text[KEY_B64_MAX]);
/* Lower-case hex, exactly 64 characters. -EINVAL. */
int key_parse_hex(const char *text, struct key *ret);
const char *key_format_hex(const struct key *key, char text[KEY_HEX_MAX]);
bool key_equal(const struct key *a, const struct key *b);  /* in constant time */
int key_compare(const struct key *a, const struct key *b); /* an order for sorting public keys */
bool key_is_zero(const struct key *key);
void key_wipe(struct key *key);

/* Curve25519 as WireGuard uses it: new private key (clamped), and its public key. */
void key_generate_curve25519(struct key *ret_private);
/* -EINVAL where the private key yields an all-zero public key. */
int key_public_curve25519(const struct key *private_key, struct key *ret);
