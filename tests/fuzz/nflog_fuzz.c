/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Logged packets: the first byte says whether the rest is a packet or a whole nfnetlink_log message. */
#include <stdlib.h>
#include <string.h>
#include "common/cleanup.h"
#include "netlink/answer.h"
#include "netlink/nflog_message.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct nflog_packet *packet)
{
	if (!addr_is_set(&packet->from) || packet->from.family != packet->to.family ||
	    !memchr(packet->prefix, '\0', sizeof(packet->prefix)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nflog_packet packet;
	struct nflog_message message;
	const struct nlmsghdr *next;
	_cleanup_(freep) uint8_t *copy = malloc(size + 1);
	const uint8_t *at = copy;
	size_t length = size - 1;
	int error = 0;

	if (!copy || size < 1)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] == 'p') {
		if (nflog_decode_packet(copy, size - 1, &packet) == 0)
			check(&packet);
		return 0;
	}
	while ((next = message_next(&at, &length, &error)))
		if (nflog_decode_message(next, &message) == 0)
			check(&message.packet);
	return 0;
}
