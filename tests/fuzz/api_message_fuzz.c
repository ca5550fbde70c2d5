/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every message decoder on the same bytes. What decodes must encode, decode again, and encode to the same text.
 */
#include <stdlib.h>
#include <string.h>
#include "api/message.h"
#include "api/routes.h"
#include "tests/fuzz/fuzz.h"

static void again(const struct shape *shape, const char *text)
{
	void *object = malloc(shape->size);
	struct err err;
	if (!object || shape_decode(shape, text, strlen(text), object, &err) < 0)
		abort();
	char *second = shape_encode(shape, object);
	if (!second || strcmp(text, second) != 0)
		abort();
	free(second);
	shape_done(shape, object);
	free(object);
}

static void decode(const struct shape *shape, const char *data, size_t size)
{
	struct err err;
	void *object = malloc(shape->size);
	if (!object)
		abort();
	if (shape_decode(shape, data, size, object, &err) == 0) {
		char *text = shape_encode(shape, object);
		if (!text)
			abort();
		again(shape, text);
		free(text);
		shape_done(shape, object);
	}
	free(object);
}

static void decode_problem(const char *data, size_t size)
{
	struct problem problem, same;
	struct err err;
	if (problem_decode(data, size, &problem, &err) < 0)
		return;
	char *text = problem_encode(&problem);
	if (!text || problem_decode(text, strlen(text), &same, &err) < 0)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	for (enum route i = 0; i < ROUTES; i++) {
		if (routes[i].request)
			decode(routes[i].request, text, size);
		decode(routes[i].answer, text, size);
	}
	decode_problem(text, size);
	return 0;
}
