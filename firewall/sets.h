/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of a transaction: the table's frame, its elements, its rules. All errors are kept by the batch. */
#pragma once
#include "firewall/batch.h"
#include "firewall/state.h"

#define TABLE_COMMENT_MAX 64

/* Table (flags: TABLE_*), counters, sets, chains. What stands already is left as it is, but for the table's owner. */
void sets_put_frame(struct batch *batch, uint32_t flags);
/* Deletes the table with all that is in it. */
void sets_put_removal(struct batch *batch);
/* NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM for elements of one set at a time, any order of sets. */
void sets_put_elements(struct batch *batch, uint16_t type, const struct element *items, size_t n,
		       bool probing);
/*
 * Writes elements whatever stands: absent, there, or expired and not yet collected. The short-lived element makes sure that
 * there is something to delete; 6.1 ignores a new timeout of an element that is there.
 */
void sets_put_fresh(struct batch *batch, const struct element *items, size_t n);
/* Elements of a table that is made in the same batch: without deletions the kernel has nothing to wait for afterwards. */
void sets_put_first(struct batch *batch, const struct element *items, size_t n);
/* Removes elements. Those with a timeout may have gone meanwhile, the same trick. */
void sets_put_removed(struct batch *batch, const struct element *items, size_t n);
/* One element's key as the kernel's messages have it, into an open nest. */
void sets_put_key(struct nlmsghdr *message, const struct element *element);

/* The userdata that holds the layout's name, as nft's comment. Returns its length. */
size_t sets_table_comment(const char *comment, uint8_t userdata[TABLE_COMMENT_MAX]);
