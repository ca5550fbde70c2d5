/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of NFT_MSG_NEWRULE messages. The header's nlmsg_pid, of which the kernel makes nothing in a request, holds the number
 * of the chain until the message is sent.
 */
#include "firewall/rules.h"
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>
#include <libnftnl/common.h>
#include "common/cleanup.h"
#include "firewall/expr.h"
#include "firewall/text.h"

#define RULE_BYTES_MAX 16384
#define FIRST_SIZE     (128U * 1024)

void rules_done(struct rules *rules)
{
	free(rules->bytes);
	*rules = (struct rules){0};
}

bool rules_equal(const struct rules *a, const struct rules *b)
{
	return a->n && a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

/* Zeroed, because libmnl leaves what pads an attribute as it was, and bytes are compared. */
static int reserve(struct rules *rules)
{
	size_t size = rules->size ? 2 * rules->size : FIRST_SIZE;
	uint8_t *bytes;

	if (rules->size - rules->n >= RULE_BYTES_MAX)
		return 0;
	bytes = realloc(rules->bytes, size);
	if (!bytes)
		return -ENOMEM;
	memset(bytes + rules->size, 0, size - rules->size);
	rules->bytes = bytes;
	rules->size = size;
	return 0;
}

struct building {
	struct rules *rules;
	unsigned int chain;
};

static int on_rule(struct nftnl_rule *rule, void *data)
{
	const struct building *building = data;
	struct rules *rules = building->rules;
	struct nlmsghdr *message;
	int r = reserve(rules);

	if (r < 0)
		return r;
	message =
		nftnl_nlmsg_build_hdr((char *)rules->bytes + rules->n, NFT_MSG_NEWRULE,
				      NFPROTO_INET, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_APPEND, 0);
	message->nlmsg_pid = building->chain;
	nftnl_rule_nlmsg_build_payload(message, rule);
	rules->n += MNL_ALIGN(message->nlmsg_len);
	return 0;
}

static int add_rows(const struct fw_desired *desired, const struct rule_row *rows, size_t n,
		    struct rules *rules)
{
	uint16_t when = layout_when(desired);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct building building = {rules, rows[i].chain};

		if ((rows[i].when & when) == rows[i].when)
			r = expr_rules(&rows[i], desired, on_rule, &building);
	}
	return r;
}

int rules_of(const struct fw_desired *desired, struct rules *ret)
{
	struct rules rules = {0};
	const struct rule_row *rows;
	size_t n;
	int r;

	rows = desired->role == FW_ROLE_HUB ? layout_hub(&n) : layout_workload(&n);
	r = add_rows(desired, rows, n, &rules);
	if (r == 0) {
		rows = layout_common(&n);
		r = add_rows(desired, rows, n, &rules);
	}
	if (r < 0)
		rules_done(&rules);
	else
		*ret = rules;
	return r;
}

static const struct nlmsghdr *next(const struct nlmsghdr *message)
{
	return (const struct nlmsghdr *)((const uint8_t *)message + MNL_ALIGN(message->nlmsg_len));
}

#define FOR_EACH_RULE(message, rules)                                                              \
	for (const struct nlmsghdr *message = (const struct nlmsghdr *)(rules)->bytes;             \
	     (const uint8_t *)message < (rules)->bytes + (rules)->n; message = next(message))

int rules_texts(const struct rules *rules, char *texts[N_CHAINS])
{
	int r = 0;

	for (size_t i = 0; i < N_CHAINS; i++)
		if (!texts[i] && !(texts[i] = strdup("")))
			return -ENOMEM;
	FOR_EACH_RULE(message, rules)
	{
		_cleanup_(freep) char *text = NULL;

		r = text_of_rule(message, &text);
		if (r == 0)
			r = text_add_rule(&texts[message->nlmsg_pid], text);
		if (r < 0)
			break;
	}
	return r;
}

void rules_put(const struct rules *rules, const bool chosen[N_CHAINS], struct batch *batch)
{
	FOR_EACH_RULE(message, rules)
	if (chosen[message->nlmsg_pid])
		batch_put(batch, message);
}
