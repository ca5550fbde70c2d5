/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What nftables answers: acks of a batch, element dumps, rule dumps. The first byte chooses. */
#include <stdlib.h>
#include <string.h>
#include "firewall/batch.h"
#include "firewall/readback.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGES_MAX 64

static void answers(const void *bytes, size_t size)
{
	char text[BATCH_ERROR_MAX] = "";
	uint32_t failed = 0;
	bool acked = false;

	(void)batch_answer(bytes, size, 1, &acked, &failed, text);
	if (strnlen(text, sizeof(text)) == sizeof(text))
		abort();
}

static void dump(const void *bytes, size_t size, bool rules)
{
	const struct nlmsghdr *message = bytes;
	struct state state = {.exists = true, .complete = true};
	int left = (int)size;

	state.chains[CHAIN_PRE] = strdup("");
	for (int i = 0; i < MESSAGES_MAX && batch_message_ok(message, left); i++) {
		if (rules)
			(void)readback_on_rule(message, &state);
		else
			(void)readback_on_elements(message, 0, &state.elements);
		message = mnl_nlmsg_next(message, &left);
	}
	elements_sort(&state.elements);
	for (size_t i = 1; i < state.elements.n; i++)
		if (element_compare(&state.elements.items[i - 1], &state.elements.items[i]) >= 0)
			abort();
	state_done(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* libmnl reads words: as aligned as a receive buffer */
	void *copy = size > 1 ? malloc(size - 1) : NULL;

	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	if (data[0] % 3 == 0)
		answers(copy, size - 1);
	else
		dump(copy, size - 1, data[0] % 3 == 2);
	free(copy);
	return 0;
}
