/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last decisions that the kernel reported: a ring of records with the identities' names. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "api/local.h"
#include "common/cleanup.h"
#include "netlink/nflog.h"

#define FLOWLOG_MAX 1024

struct flowlog;

int flowlog_new(struct flowlog **ret);
void flowlog_free(struct flowlog *log);
void flowlog_clear(struct flowlog *log); /* numbers go on */
DEFINE_CLEANUP(flowlog_free, struct flowlog *);

/* peer: the identity's name, "" where none stands behind the address. false: the packet is no record of ours. */
bool flowlog_add(struct flowlog *log, const struct nflog_packet *packet, const char *peer,
		 int64_t now);
/* Borrowed; NULL where there is none. */
const struct local_flow *flowlog_last_denied(const struct flowlog *log);
uint64_t flowlog_next(const struct flowlog *log); /* the sequence number of the next record */

/*
 * Records with a sequence greater than after, oldest first, at most max; denied_only leaves "would-deny" out. *ret_lost
 * is how many of them are no longer there. Returns their number.
 */
size_t flowlog_read(const struct flowlog *log, uint64_t after, bool denied_only,
		    struct local_flow *ret, size_t max, uint64_t *ret_lost);
