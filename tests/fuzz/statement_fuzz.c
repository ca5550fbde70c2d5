/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All statements: the first character says which ('0' + its place in trust_objects[]), the payload follows. */
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "trust/object.h"

static const struct object *pick(uint8_t choice)
{
	size_t n = 1;

	while (trust_objects[n])
		n++;
	return trust_objects[(size_t)(uint8_t)(choice - '0') % n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct object *object;
	_cleanup_(freep) void *statement = NULL;
	_cleanup_(freep) char *text = NULL;
	struct err err;

	if (size == 0)
		return 0;
	object = pick(data[0]);
	statement = calloc(1, object->size);
	if (!statement ||
	    object_decode(object, (const char *)data + 1, size - 1, statement, &err) < 0)
		return 0;
	text = object_encode(object, statement);
	if (!text || strlen(text) != size - 1 || memcmp(text, data + 1, size - 1) != 0)
		abort();
	object_done(object, statement);
	return 0;
}
