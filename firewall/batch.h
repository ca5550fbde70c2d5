/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One nftables transaction: messages are collected, sent by one sendmsg(), and all of it holds or none.
 *
 * An ack of one message does not mean that the batch was committed, and an error may be lost where the receive buffer is
 * too small; so success is the ack of the last message, no error, nothing lost, nothing cut.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>
#include "netlink/nl.h"

#define BATCH_ERROR_MAX 256

struct batch {
	struct nl *nl;	/* borrowed */
	uint8_t *bytes; /* owned */
	size_t n, size;
	uint32_t first_sequence, messages;
	size_t last;		    /* offset of the last message */
	uint32_t failed;	    /* which message the kernel refused first, from 1; 0: none */
	int error;		    /* -ENOMEM while it was being built */
	char text[BATCH_ERROR_MAX]; /* the kernel's words, after batch_commit() */
};

void batch_init(struct batch *batch, struct nl *nl);
void batch_done(struct batch *batch);

/*
 * Opens a message (NFT_MSG_*) with room for 64 KiB; the caller adds attributes and calls batch_end(). NULL where out of
 * memory: the batch remembers it, so that only batch_commit() has to be checked.
 */
struct nlmsghdr *batch_begin(struct batch *batch, uint16_t type, uint16_t flags);
void batch_end(struct batch *batch, const struct nlmsghdr *message);
/* A copy of a whole message. */
void batch_put(struct batch *batch, const struct nlmsghdr *message);

/* An empty batch is success. */
int batch_commit(struct batch *batch);

/* mnl_nlmsg_ok() takes a length of 2 GiB and more for a negative one, and lets it pass. */
static inline bool batch_message_ok(const struct nlmsghdr *message, int left)
{
	return left >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
	       message->nlmsg_len <= (unsigned int)left;
}

/*
 * The reading half, bytes only: feeds one datagram of answers. *ret_acked is set when the message `last` was acked.
 * Returns 0 or the first error in it; text (BATCH_ERROR_MAX bytes) gets the kernel's words.
 */
int batch_answer(const void *bytes, size_t length, uint32_t last, bool *ret_acked,
		 uint32_t *ret_failed, char *text);
