/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text a userspace WireGuard answers. What parses is written as a request, which must be a whole one. */
#include <stdlib.h>
#include <string.h>
#include "common/file.h"
#include "netlink/wg_device.h"
#include "netlink/wg_uapi.h"
#include "tests/fuzz/fuzz.h"

static void format(const struct wg_device *device)
{
	_cleanup_(freep) struct wg_change *changes = NULL;
	const struct wg_device empty = {0};
	size_t n, at = 0, length;
	char *text;

	if (wg_diff(device, &empty, true, &changes, &n) < 0)
		return;
	while (at < n && wg_uapi_format(changes, n, &at, &text, &length) == 0) {
		if (length < 8 || memcmp(text, "set=1\n", 6) != 0 ||
		    memcmp(text + length - 2, "\n\n", 2) != 0)
			abort();
		secret_free(text, length);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	_cleanup_(freep) char *copy = malloc(size + 1);

	if (!device || !copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	if (wg_uapi_parse(copy, size, device) == 0)
		format(device);
	return 0;
}
