/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounded text that is cut where a person can still read it. */
#include "policy/sentence.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sentence sentence_begin(char *text, size_t size)
{
	*text = '\0';
	return (struct sentence){text, size, 0};
}

void sentence_add(struct sentence *sentence, const char *format, ...)
{
	size_t room = sentence->size - sentence->used;
	va_list args;
	int length;

	if (room == 0)
		return;
	va_start(args, format);
	length = vsnprintf(sentence->text + sentence->used, room, format, args);
	va_end(args);
	if (length >= 0 && (size_t)length < room) {
		sentence->used += (size_t)length;
		return;
	}
	sentence->used = sentence->size - 4;
	while (sentence->used && ((unsigned char)sentence->text[sentence->used] & 0xc0) == 0x80)
		sentence->used--;
	(void)snprintf(sentence->text + sentence->used, sentence->size - sentence->used, "...");
	sentence->used = sentence->size; /* full */
}
