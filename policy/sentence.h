/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sentences of a fixed size, built in pieces; what does not fit ends in "...", never inside a character. */
#pragma once
#include <stddef.h>

#define SENTENCE_MAX 512

struct sentence {
	char *text;
	size_t size, used;
};

/* Empties text. */
struct sentence sentence_begin(char *text, size_t size);
void sentence_add(struct sentence *sentence, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
