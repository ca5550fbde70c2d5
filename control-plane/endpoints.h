/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sites' confirmed endpoints on disk, so that a hub that rebooted knows where its sites were: the relay can forward
 * at once, and a site whose agent is dead can be called. A hint, nothing more: what is missing or damaged costs time.
 *
 * Text, "IDENTITY ENDPOINT" a line, in the state folder.
 */
#pragma once
#include "control-plane/inventory.h"

#define ENDPOINTS_FILE "endpoints"

/* malloc()ed; NULL: out of memory. Members without a confirmed endpoint are left out. */
char *endpoints_format(const struct inventory *inventory);
/* Gives members that have none theirs; lines that say nothing useful are skipped. Returns how many were taken. */
size_t endpoints_parse(const char *text, struct inventory *inventory);

/* The file. No file is 0. */
int endpoints_load(const char *state_dir, struct inventory *inventory);
int endpoints_save(const char *state_dir, const struct inventory *inventory);
