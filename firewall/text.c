/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * [name 1=00000001 2=(1=...)] for each expression, attributes by number: the kernel's order is not ours, and only our side
 * marks nested attributes as such, so the few that are nested are known here.
 */
#include "firewall/text.h"
#include <ctype.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libnftnl/common.h>
#include "common/cleanup.h"
#include "netlink/answer.h"

#define ATTRIBUTES_MAX 63

/* Bits of attribute numbers that hold attributes, in an expression's own attributes and in those below. */
static const struct {
	const char *name;
	uint32_t nested;
} expressions[] = {
	{"bitwise", 1 << NFTA_BITWISE_MASK | 1 << NFTA_BITWISE_XOR},
	{"cmp", 1 << NFTA_CMP_DATA},
	{"immediate", 1 << NFTA_IMMEDIATE_DATA},
};
#define NESTED_IN_DATA (1 << NFTA_DATA_VERDICT)

static uint32_t nested_in(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++)
		if (strcmp(name, expressions[i].name) == 0)
			return expressions[i].nested;
	return 0;
}

/* A line that grows: stdio would be half of what a small table costs us. */
struct line {
	char *bytes;
	size_t n, size;
	bool full; /* out of memory; what was written is of no use */
};

static void write_bytes(struct line *out, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	if (!out->bytes || out->size - out->n < n) {
		size_t size = 2 * (out->size + n) + 128;
		char *grown = out->full ? NULL : realloc(out->bytes, size);

		if (!grown) {
			out->full = true;
			return;
		}
		out->bytes = grown;
		out->size = size;
	}
	memcpy(out->bytes + out->n, bytes, n);
	out->n += n;
}

static void write_text(struct line *out, const char *text)
{
	write_bytes(out, text, strlen(text));
}

static void write_hex(struct line *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

		write_bytes(out, pair, sizeof(pair));
	}
}

/* " 7=": two digits at most */
static void write_number(struct line *out, unsigned int number)
{
	char text[4] = {' ', (char)('0' + number / 10), (char)('0' + number % 10), '='};

	if (number >= 10) {
		write_bytes(out, text, 4);
	} else {
		write_bytes(out, text, 1);
		write_bytes(out, text + 2, 2);
	}
}

/* A name as it is, with or without its NUL (libnftnl leaves it out here and there); anything else in hex. */
static void write_value(const struct nlattr *attribute, struct line *out)
{
	const uint8_t *bytes = mnl_attr_get_payload(attribute);
	size_t length = mnl_attr_get_payload_len(attribute);
	size_t letters = bytes[length - 1] == '\0' ? length - 1 : length;
	bool name = letters > 1;

	for (size_t i = 0; name && i < letters; i++)
		name = isalnum(bytes[i]) || bytes[i] == '_' || bytes[i] == ' ';
	if (name) {
		write_text(out, "'");
		write_bytes(out, bytes, letters);
		write_text(out, "'");
	} else {
		write_hex(out, bytes, length);
	}
}

static int write_attributes(const struct nlattr *nest, uint32_t nested, uint32_t nested_below,
			    struct line *out)
{
	const struct nlattr *table[ATTRIBUTES_MAX + 1];
	int r = attributes_of_nest(nest, table, ATTRIBUTES_MAX);

	for (unsigned int i = 1; r == 0 && i <= ATTRIBUTES_MAX; i++) {
		if (!table[i] || mnl_attr_get_payload_len(table[i]) == 0)
			continue; /* padding has no payload */
		write_number(out, i);
		if (i < 32 && nested & 1U << i) {
			write_text(out, "(");
			r = write_attributes(table[i], nested_below, 0, out);
			write_text(out, ")");
		} else {
			write_value(table[i], out);
		}
	}
	return r;
}

static int write_expression(const struct nlattr *item, struct line *out)
{
	const struct nlattr *table[NFTA_EXPR_DATA + 1];
	char name[64];
	int r = attributes_of_nest(item, table, NFTA_EXPR_DATA);

	if (r < 0)
		return r;
	if (!table[NFTA_EXPR_NAME])
		return -EBADMSG;
	attribute_text(table[NFTA_EXPR_NAME], name, sizeof(name));
	write_text(out, "[");
	write_text(out, name);
	if (table[NFTA_EXPR_DATA])
		r = write_attributes(table[NFTA_EXPR_DATA], nested_in(name), NESTED_IN_DATA, out);
	write_text(out, "]");
	return r;
}

int text_of_expressions(const struct nlattr *list, char **ret)
{
	struct line out = {0};
	const struct nlattr *item;
	int r = 0;

	if (list)
		mnl_attr_for_each_nested (item, list)
			if (r == 0)
				r = write_expression(item, &out);
	write_bytes(&out, "\n", 2); /* and its NUL */
	if (r == 0 && out.full)
		r = -ENOMEM;
	if (r == 0)
		*ret = out.bytes;
	else
		free(out.bytes);
	return r;
}

int text_of_rule(const struct nlmsghdr *message, char **ret)
{
	const struct nlattr *table[NFTA_RULE_EXPRESSIONS + 1];
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), table,
				      NFTA_RULE_EXPRESSIONS);

	return r < 0 ? r : text_of_expressions(table[NFTA_RULE_EXPRESSIONS], ret);
}

int text_add_rule(char **chain, const char *text)
{
	char *joined;

	if (asprintf(&joined, "%s%s", *chain, text) < 0)
		return -ENOMEM;
	free(*chain);
	*chain = joined;
	return 0;
}
