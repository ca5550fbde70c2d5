/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * K2 lives in a process of its own: the control plane asks it for leases and tombstones and never holds the key.
 *
 * The messages have one fixed size and two types; what is signed is made in the signer from an identity id, its own
 * clock and the fixed lease length, so that a control plane that was taken over can neither sign other objects nor
 * lengthen a lease. Calls wait for the answer (less than a millisecond; bounded by SIGNER_TIMEOUT_MS).
 * All functions return 0 or a negative errno; -EPIPE: the signer is gone, the program must end.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "common/identity.h"

#define SIGNER_TIMEOUT_MS   5000
#define SIGNER_REASON_MAX   128
#define SIGNER_ANSWER_MAX   4096
#define SIGNER_USER	    "sortie-sign"
#define SIGNER_KEY_FILE	    "keys/control"
#define SIGNER_NETWORK_FILE "network" /* the network id in hex */

struct signer;

/* Forks. Must come before the program opens anything that the signer should not inherit. */
int signer_start(const char *state_dir, struct signer **ret, struct err *err);
void signer_stop(struct signer *signer); /* closes its socket, at which it ends, and waits for it */
DEFINE_CLEANUP(signer_stop, struct signer *);

/* *ret_envelope is malloc()ed. */
int signer_lease(struct signer *signer, const struct id *identity, char **ret_envelope);
int signer_tombstone(struct signer *signer, const struct id *identity, const char *reason,
		     char **ret_envelope);
