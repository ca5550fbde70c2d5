/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sortie-net could send to sortied: a stream of frames, as channel.c reads it. Whatever is decoded is read to its
 * last byte, and encoding it again must give the same frame.
 */
#include "tests/fuzz/fuzz.h"
#include "daemon/ipc.h"
#include <stdlib.h>
#include <string.h>

/* So that reading is not optimised away. */
static volatile size_t keep;

static size_t read_text(const char *text)
{
	return text ? strlen(text) : 0;
}

static size_t read_all(const struct ipc_message *m)
{
	size_t sum = 0;

	switch (m->type) {
	case IPC_RESOLVED:
		for (size_t i = 0; i < m->resolved.n_endpoints; i++)
			sum += m->resolved.endpoints[i].port;
		return sum;
	case IPC_CALL_DONE:
		for (size_t i = 0; i < m->call_done.body_length; i++)
			sum += (unsigned char)m->call_done.body[i];
		return sum;
	case IPC_LOCAL_REQUEST:
		for (size_t i = 0; i < m->local_request.body_length; i++)
			sum += (unsigned char)m->local_request.body[i];
		return sum + read_text(m->local_request.method) + read_text(m->local_request.path) +
		       read_text(m->local_request.query);
	case IPC_READY:
	case IPC_LOCAL_GONE:
		return 0;
	case IPC_RESOLVE:
	case IPC_CALL:
	case IPC_CALL_CANCEL:
	case IPC_LOCAL_ANSWER:
	case IPC_TYPES:
		break;
	}
	abort(); /* the agent's own messages never arrive at the agent */
}

static void check_again(const struct ipc_message *m, const uint8_t *frame, size_t length)
{
	uint8_t *again = NULL;
	size_t again_length = 0;

	if (ipc_encode(m, &again, &again_length) < 0 || again_length != length ||
	    memcmp(again, frame, length) != 0)
		abort();
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size > 0) {
		struct ipc_message message;
		size_t length = 0;

		if (ipc_frame_length(data, size, IPC_FROM_NET, &length) < 0 || length == 0 ||
		    length > size)
			return 0;
		if (ipc_decode(data, length, &message) < 0)
			return 0;
		keep = read_all(&message);
		check_again(&message, data, length);
		data += length;
		size -= length;
	}
	return 0;
}
