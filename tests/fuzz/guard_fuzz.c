/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sortie-guard's file. What is read must be written back as something that reads the same. */
#include <stdlib.h>
#include <string.h>
#include "firewall/guard.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *text = strndup((const char *)data, size);
	_cleanup_(freep) char *first = NULL, *second = NULL;
	struct guard guard, again;
	struct err err = {0};

	if (!text || guard_parse(text, &guard, &err) < 0)
		return 0;
	if (guard_format(&guard.desired, guard.desired.underlay_locked, &first) < 0 ||
	    guard_parse(first, &again, &err) < 0 ||
	    guard_format(&again.desired, again.desired.underlay_locked, &second) < 0 ||
	    strcmp(first, second) != 0)
		abort();
	guard_done(&guard);
	guard_done(&again);
	return 0;
}
