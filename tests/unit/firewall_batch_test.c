/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel answers to a transaction: only the ack of the last message and no error is success. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <linux/netlink.h>
#include "common/cleanup.h"
#include "firewall/batch.h"

#define LAST 7

struct answer_row {
	uint32_t sequence;
	int error;
	const char *words;
};

static const struct {
	const char *name;
	struct answer_row rows[3];
	size_t n, cut; /* bytes missing at the end */
	int result;
	bool acked;
	uint32_t failed;
	const char *text;
} cases[] = {
	{"the last one's ack", {{LAST, 0, NULL}}, 1, 0, 0, true, 0, ""},
	{"another one's ack", {{LAST - 1, 0, NULL}}, 1, 0, 0, false, 0, ""},
	{"nothing", {{0}}, 0, 0, 0, false, 0, ""},
	{"an error", {{3, -ENOENT, NULL}}, 1, 0, -ENOENT, false, 3, ""},
	{"an error in spite of the ack",
	 {{LAST, 0, NULL}, {3, -EEXIST, NULL}},
	 2,
	 0,
	 -EEXIST,
	 true,
	 3,
	 ""},
	{"the first error counts",
	 {{3, -EEXIST, "one"}, {4, -ENOENT, "two"}},
	 2,
	 0,
	 -EEXIST,
	 false,
	 3,
	 "one"},
	{"words without control characters",
	 {{3, -EINVAL, "a\nb\x1b"}},
	 1,
	 0,
	 -EINVAL,
	 false,
	 3,
	 "a?b?"},
	{"cut", {{LAST, 0, NULL}, {3, -ENOENT, NULL}}, 2, 8, -EBADMSG, true, 0, ""},
	{"an errno of the wrong sign", {{LAST, 5, NULL}}, 1, 0, -EBADMSG, false, 0, ""},
};

static size_t put(char *at, const struct answer_row *row)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(at);
	struct nlmsgerr *error;

	message->nlmsg_type = NLMSG_ERROR;
	message->nlmsg_seq = row->sequence;
	message->nlmsg_flags = NLM_F_CAPPED;
	error = mnl_nlmsg_put_extra_header(message, sizeof(*error));
	error->error = row->error;
	if (row->words) {
		message->nlmsg_flags |= NLM_F_ACK_TLVS;
		mnl_attr_put_strz(message, NLMSGERR_ATTR_MSG, row->words);
	}
	return message->nlmsg_len;
}

static void test_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_Alignas(struct nlmsghdr) char bytes[1024];
		char text[BATCH_ERROR_MAX] = "";
		uint32_t failed = 0;
		bool acked = false;
		size_t length = 0;

		print_message("# %s\n", cases[i].name);
		for (size_t k = 0; k < cases[i].n; k++)
			length += put(bytes + length, &cases[i].rows[k]);
		length -= cases[i].cut;
		assert_int_equal(batch_answer(bytes, length, LAST, &acked, &failed, text),
				 cases[i].result);
		assert_int_equal(acked, cases[i].acked);
		assert_int_equal(failed, cases[i].failed);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
