/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What selectors offer inside policy/, besides policy.h. */
#pragma once
#include "policy/policy.h"

#define SELECTOR_TEXT_MAX 4096 /* bytes, as written */
#define SELECTOR_ANY	  "any"

bool term_matches(const struct policy_term *term, const struct policy_member *member);
/* "role=db", "env in (a,b)": as much as fits. Returns what the whole text needs, like snprintf(). */
size_t term_format(const struct policy_term *term, char *text, size_t size);
/* The one text of a selector, which policy_selector_parse() (but for "any") reads back. malloc()ed, NULL: no memory. */
char *selector_format(const struct policy_selector *selector);
/* A deep copy with a text of its own. -ENOMEM. */
int selector_copy(const struct policy_selector *selector, const char *text,
		  struct policy_selector *ret);
