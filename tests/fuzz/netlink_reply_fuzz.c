/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagrams from a netlink socket, through the answer reader into the WireGuard decoder. What decodes is encoded again
 * as changes: the encoder has to come to an end whatever the peers look like.
 */
#include <stdlib.h>
#include <string.h>
#include "netlink/answer.h"
#include "netlink/wg_device.h"
#include "netlink/wg_kernel.h"
#include "tests/fuzz/fuzz.h"

static int on_message(const struct nlmsghdr *message, void *data)
{
	return wg_kernel_decode(message, data);
}

static void encode(const struct wg_device *device)
{
	_Alignas(8) static uint8_t buffer[WG_MESSAGE_MAX];
	_cleanup_(freep) struct wg_change *changes = NULL;
	const struct wg_device empty = {0};
	struct wg_cursor cursor = {0};
	size_t n;

	if (wg_diff(device, &empty, true, &changes, &n) < 0)
		return;
	while (cursor.change < n)
		if (wg_kernel_encode(&cursor, 1, device->name, changes, n, buffer, WG_MESSAGE_MIN))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(wg_device_freep) struct wg_device *device = calloc(1, sizeof(*device));
	_cleanup_(freep) uint8_t *copy =
		malloc(size + 1); /* aligned, and of its exact size for ASan */
	struct answer answer = {.sequence = 1, .on_message = on_message, .data = device};

	if (!device || !copy)
		return 0;
	if (size)
		memcpy(copy, data, size);
	answer_feed(&answer, copy, size);
	if (answer_result(&answer) == 0 && wg_device_finish(device) == 0)
		encode(device);
	return 0;
}
