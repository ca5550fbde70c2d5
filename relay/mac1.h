/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of WireGuard's mac1 that depends on the responder's key alone.
 *
 * mac1 = keyed BLAKE2s-128 of the message's first 116 bytes, with the key BLAKE2s-256("mac1----" || public key). The
 * key is a block of its own in front of the message, so the chaining value behind that block can be stored, and the
 * eBPF program has two compressions left (relay/mac1.bpf.h). Nothing here is secret.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/key.h"
#include "relay/maps.h"

void mac1_state(const struct key *public_key, struct relay_mac1 *ret);
