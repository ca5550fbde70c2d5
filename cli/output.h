/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How results look: columns for people, JSON for programs, times as distances. */
#pragma once
#include <stdint.h>
#include <stdio.h>

struct labels;

/* JSON as it came, indented and in ASCII. Returns an exit code. */
int print_json(const char *body);

/* Replaces control characters, so that nothing but text reaches a terminal or a log. Returns text. */
char *clean(char *text);
/* Prints text with everything but printable characters, new lines and tabs replaced. */
void print_text(FILE *to, const char *text);

#define DISTANCE_TEXT_MAX 24
/* "in 14m", "3h ago", "never" for 0. */
const char *distance_format(int64_t at, int64_t now, char text[DISTANCE_TEXT_MAX]);
#define BYTES_TEXT_MAX 16
const char *bytes_format(uint64_t bytes, char text[BYTES_TEXT_MAX]); /* "1.5 MiB" */

/* "role=web,env=prod", sorted by key; "-" for none. */
void print_labels(FILE *to, const struct labels *labels, int width);
