/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this agent has seen of every identity and never takes back: the first K3 under a join key, the IPv4 address,
 * the greatest key generation. Pure; kept in the state folder as text, one identity a line.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "trust/verify.h"

#define SEEN_MAX 65536

struct seen;

int seen_new(struct seen **ret);
void seen_free(struct seen *seen);
DEFINE_CLEANUP(seen_free, struct seen *);
size_t seen_count(const struct seen *seen);

/*
 * Pins what is new and checks what is not: -EKEYREJECTED (another identity under this join key, or another IPv4
 * address), -ESTALE (generation went down), -ENOSPC. *ret_new says whether the table changed.
 */
int seen_check(struct seen *seen, const struct verified_identity *identity, bool *ret_new,
	       struct err *err);

/* malloc()ed text, and back. A text that is not exactly what seen_format() writes is -EINVAL. */
char *seen_format(const struct seen *seen);
int seen_parse(const char *text, struct seen **ret, struct err *err);
