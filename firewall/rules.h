/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules that should stand, each built once: as the messages that will be sent. Their text, which is what they are
 * compared by with rules that were read, is made only where something was read.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "firewall/batch.h"
#include "firewall/layout.h"

struct rules {
	uint8_t *bytes; /* owned; netlink messages, the rules of a chain in their order */
	size_t n, size;
};

void rules_done(struct rules *rules);
/* -ENOMEM. */
int rules_of(const struct fw_desired *desired, struct rules *ret);
/* Built of the same options: then all chains are the same. */
bool rules_equal(const struct rules *a, const struct rules *b);
/* Adds each rule's text to its chain's, where that is NULL makes it. What is there at an error stays. -ENOMEM. */
int rules_texts(const struct rules *rules, char *texts[N_CHAINS]);
/* Into the transaction, those of the chosen chains. */
void rules_put(const struct rules *rules, const bool chosen[N_CHAINS], struct batch *batch);
