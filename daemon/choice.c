/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header: the order of tries is all there is. */
#include "daemon/choice.h"
#include <string.h>

#define HOLD                                                                                       \
	2 /* tries where it answered before, until another endpoint is tried: some packets are lost everywhere */

static size_t find(const struct endpoint *list, size_t n, const struct endpoint *wanted)
{
	for (size_t i = 0; i < n; i++)
		if (endpoint_equal(&list[i], wanted))
			return i;
	return n;
}

/* To the front; the others keep their order. */
static void promote(struct choice *choice, size_t index)
{
	struct endpoint first = choice->list[index];

	memmove(&choice->list[1], &choice->list[0], index * sizeof(first));
	choice->list[0] = first;
	choice->at = choice->last = 0;
}

static bool same_set(const struct choice *choice, const struct endpoint *found, size_t n)
{
	if (choice->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (find(choice->list, n, &found[i]) == n)
			return false;
	return true;
}

void choice_set(struct choice *choice, const struct endpoint *found, size_t n)
{
	struct endpoint before = choice->n ? choice->list[0] : (struct endpoint){0};
	size_t index;

	if (n > CHOICE_MAX)
		n = CHOICE_MAX;
	if (n == 0 || same_set(choice, found, n))
		return;
	memcpy(choice->list, found, n * sizeof(*found));
	choice->n = n;
	choice->at = choice->last = 0;
	index = find(choice->list, n, &choice->good);
	if (index == n)
		index = find(choice->list, n, &before);
	if (index < n)
		promote(choice, index);
}

void choice_next(struct choice *choice, bool (*has_way)(const struct endpoint *endpoint))
{
	bool home = choice->n && endpoint_equal(&choice->list[0], &choice->good) &&
		    has_way(&choice->list[0]);
	size_t from = home ? choice->last : choice->at;

	choice->tries++;
	if (home && (choice->tries <= HOLD || choice->at != 0)) {
		choice->at = 0;
		return;
	}
	for (size_t i = 1; i <= choice->n; i++) {
		size_t index = (from + i) % choice->n;

		if ((home && index == 0) || !has_way(&choice->list[index]))
			continue;
		choice->at = choice->last = index;
		return;
	}
	choice->at = 0;
}

bool choice_answered(struct choice *choice)
{
	choice->tries = 0;
	if (choice->n == 0)
		return false;
	if (choice->at != 0)
		promote(choice, choice->at);
	if (endpoint_equal(&choice->list[0], &choice->good))
		return false;
	choice->good = choice->list[0];
	return true;
}

const struct endpoint *choice_now(const struct choice *choice)
{
	return choice->n ? &choice->list[choice->at] : NULL;
}
