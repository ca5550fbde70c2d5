/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dumps. A dump of elements is not marked when the ruleset changes under it, so the generation is asked before and after.
 * Somebody else's changes count too: that only costs another round.
 */
#include "firewall/readback.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <libnftnl/common.h>
#include "common/cleanup.h"
#include "firewall/sets.h"
#include "firewall/text.h"
#include "netlink/answer.h"
#include "netlink/ruleset.h"

#define ROUNDS_MAX     5
#define PROBE_ELEMENTS 128

struct reading {
	int64_t now_ms;
	struct state *state;
};

union request {
	struct nlmsghdr header;
	char bytes[32768];
};

static struct nlmsghdr *request_begin(union request *request, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(request->bytes, type, NFPROTO_INET, flags, 0);
}

static int attributes(const struct nlmsghdr *message, const struct nlattr **table, uint16_t max)
{
	return attributes_of_message(message, sizeof(struct nfgenmsg), table, max);
}

static bool is_text(const struct nlattr *attribute, const char *text)
{
	size_t length = strlen(text) + 1;

	return attribute && mnl_attr_get_payload_len(attribute) == length &&
	       memcmp(mnl_attr_get_payload(attribute), text, length) == 0;
}

static bool is_u32(const struct nlattr *attribute, uint32_t value)
{
	uint32_t wire;

	return attribute_copy(attribute, &wire, sizeof(wire)) && ntohl(wire) == value;
}

/* ---- the table ---- */

static bool has_comment(const struct nlattr *userdata, const char *comment)
{
	uint8_t expected[TABLE_COMMENT_MAX];
	size_t length = sets_table_comment(comment, expected);

	return userdata && mnl_attr_get_payload_len(userdata) == length &&
	       memcmp(mnl_attr_get_payload(userdata), expected, length) == 0;
}

static bool is_older(const struct nlattr *userdata)
{
	static const char *const before[] = FIREWALL_LAYOUTS_BEFORE;

	for (size_t i = 0; i < ARRAY_SIZE(before); i++)
		if (has_comment(userdata, before[i]))
			return true;
	return false;
}

static int on_table(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[NFTA_TABLE_USERDATA + 1];
	struct state *state = data;
	uint32_t flags;
	int r = attributes(message, table, NFTA_TABLE_USERDATA);

	if (r < 0)
		return r;
	state->older = is_older(table[NFTA_TABLE_USERDATA]);
	if (state->older)
		return 0;
	if (!has_comment(table[NFTA_TABLE_USERDATA], FIREWALL_LAYOUT))
		return -EEXIST;
	state->exists = true;
	if (attribute_copy(table[NFTA_TABLE_FLAGS], &flags, sizeof(flags)))
		state->flags = ntohl(flags) & TABLE_OWNED;
	state->complete = is_u32(table[NFTA_TABLE_FLAGS], state->flags); /* 1: dormant */
	return 0;
}

static int read_table(struct nl *nl, struct state *state)
{
	union request request;
	struct nlmsghdr *message = request_begin(&request, NFT_MSG_GETTABLE, NLM_F_ACK);
	int r;

	mnl_attr_put_strz(message, NFTA_TABLE_NAME, FIREWALL_TABLE);
	r = nl_request(nl, message, on_table, state);
	return r == -ENOENT ? 0 : r;
}

int readback_table(struct nl *nl)
{
	struct state state = {0};
	int r = read_table(nl, &state);

	return r == -EEXIST ? 1 : r < 0 ? r : state.exists || state.older;
}

/* ---- chains ---- */

static bool base_as_ours(const struct nlattr *const *table, const struct base_chain *base)
{
	const struct nlattr *hook[NFTA_HOOK_PRIORITY + 1];

	return table[NFTA_CHAIN_HOOK] &&
	       attributes_of_nest(table[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_PRIORITY) == 0 &&
	       is_u32(hook[NFTA_HOOK_HOOKNUM], base->hook) &&
	       is_u32(hook[NFTA_HOOK_PRIORITY], (uint32_t)base->priority) &&
	       is_text(table[NFTA_CHAIN_TYPE], base->type) &&
	       is_u32(table[NFTA_CHAIN_POLICY], NF_ACCEPT);
}

static int on_chain(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *table[NFTA_CHAIN_MAX + 1];
	struct state *state = data;
	int r = attributes(message, table, NFTA_CHAIN_MAX);

	if (r < 0 || !is_text(table[NFTA_CHAIN_TABLE], FIREWALL_TABLE))
		return r;
	for (unsigned int i = 0; i < N_CHAINS; i++) {
		if (!is_text(table[NFTA_CHAIN_NAME], chain_names[i]) || state->chains[i])
			continue;
		if (i < N_BASE_CHAINS && !base_as_ours(table, &base_chains[i]))
			return 0; /* counts as missing */
		state->chains[i] = strdup("");
		return state->chains[i] ? 0 : -ENOMEM;
	}
	return 0;
}

static int read_chains(struct nl *nl, struct state *state)
{
	union request request;
	int r = nl_request(nl, request_begin(&request, NFT_MSG_GETCHAIN, NLM_F_DUMP), on_chain,
			   state);

	for (unsigned int i = 0; i < N_CHAINS; i++)
		state->complete &= state->chains[i] != NULL;
	return r;
}

/* ---- rules ---- */

int readback_on_rule(const struct nlmsghdr *message, struct state *ret)
{
	const struct nlattr *table[NFTA_RULE_EXPRESSIONS + 1];
	_cleanup_(freep) char *text = NULL;
	int r = attributes(message, table, NFTA_RULE_EXPRESSIONS);

	if (r < 0 || !is_text(table[NFTA_RULE_TABLE], FIREWALL_TABLE))
		return r;
	for (unsigned int i = 0; i < N_CHAINS; i++) {
		/* a base chain that is not as ours stays missing */
		if (!is_text(table[NFTA_RULE_CHAIN], chain_names[i]) || !ret->chains[i])
			continue;
		r = text_of_expressions(table[NFTA_RULE_EXPRESSIONS], &text);
		return r < 0 ? r : text_add_rule(&ret->chains[i], text);
	}
	return 0;
}

static int on_rule(const struct nlmsghdr *message, void *data)
{
	return readback_on_rule(message, data);
}

static int read_rules(struct nl *nl, struct state *state)
{
	union request request;
	struct nlmsghdr *message = request_begin(&request, NFT_MSG_GETRULE, NLM_F_DUMP);

	mnl_attr_put_strz(message, NFTA_RULE_TABLE, FIREWALL_TABLE);
	return nl_request(nl, message, on_rule, state);
}

/* ---- elements ---- */

static int read_value(const struct nlattr *nest, void *ret, size_t size)
{
	const struct nlattr *table[NFTA_DATA_VALUE + 1];

	if (!nest || attributes_of_nest(nest, table, NFTA_DATA_VALUE) < 0 ||
	    !attribute_copy(table[NFTA_DATA_VALUE], ret, size))
		return -EBADMSG;
	return 0;
}

static int64_t read_ms(const struct nlattr *attribute)
{
	uint64_t wire;

	if (!attribute_copy(attribute, &wire, sizeof(wire)))
		return 0;
	wire = be64toh(wire);
	return wire < UINT32_MAX ? (int64_t)wire : UINT32_MAX;
}

static int read_element(const struct nlattr *nest, unsigned int set, int64_t now_ms,
			struct elements *ret)
{
	const struct nlattr *table[NFTA_SET_ELEM_KEY_END + 1];
	struct element element = {.set = (uint8_t)set};
	unsigned int length = set_key_length(set);
	int r = attributes_of_nest(nest, table, NFTA_SET_ELEM_KEY_END);

	if (r == 0)
		r = read_value(table[NFTA_SET_ELEM_KEY], element.key, length);
	memcpy(element.end, element.key, sizeof(element.end));
	if (r == 0 && table[NFTA_SET_ELEM_KEY_END])
		r = read_value(table[NFTA_SET_ELEM_KEY_END], element.end, length);
	if (r == 0 && set_rows[set / 2].map)
		r = read_value(table[NFTA_SET_ELEM_DATA], &element.data, sizeof(element.data));
	if (r < 0)
		return r;
	element.timeout_ms = (uint32_t)read_ms(table[NFTA_SET_ELEM_TIMEOUT]);
	if (element.timeout_ms)
		element.expires_ms = now_ms + read_ms(table[NFTA_SET_ELEM_EXPIRATION]);
	return elements_add(ret, &element);
}

static bool find_set(const struct nlattr *name, unsigned int *ret)
{
	char text[32];

	for (unsigned int i = 0; i < N_SETS; i++) {
		if (is_text(name, set_name(i, text))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

int readback_on_elements(const struct nlmsghdr *message, int64_t now_ms, struct elements *ret)
{
	const struct nlattr *table[NFTA_SET_ELEM_LIST_ELEMENTS + 1];
	const struct nlattr *nest;
	unsigned int set;
	int r = attributes(message, table, NFTA_SET_ELEM_LIST_ELEMENTS);

	if (r < 0)
		return r;
	if (!is_text(table[NFTA_SET_ELEM_LIST_TABLE], FIREWALL_TABLE) ||
	    !find_set(table[NFTA_SET_ELEM_LIST_SET], &set))
		return -EBADMSG;
	if (!table[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	mnl_attr_for_each_nested (nest, table[NFTA_SET_ELEM_LIST_ELEMENTS]) {
		r = read_element(nest, set, now_ms, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

static int on_elements(const struct nlmsghdr *message, void *data)
{
	const struct reading *reading = data;

	return readback_on_elements(message, reading->now_ms, &reading->state->elements);
}

static int read_set(struct nl *nl, unsigned int set, struct reading *reading)
{
	union request request;
	struct nlmsghdr *message = request_begin(&request, NFT_MSG_GETSETELEM, NLM_F_DUMP);
	char name[32];
	int r;

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, FIREWALL_TABLE);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set_name(set, name));
	r = nl_request(nl, message, on_elements, reading);
	if (r != -ENOENT)
		return r;
	reading->state->complete = false;
	return 0;
}

/* ---- all of it ---- */

static int read_once(struct nl *nl, int64_t now_ms, struct state *state)
{
	struct reading reading = {now_ms, state};
	int r = read_table(nl, state);

	if (r < 0 || !state->exists)
		return r;
	r = read_chains(nl, state);
	if (r == 0)
		r = read_rules(nl, state);
	for (unsigned int i = 0; r == 0 && i < N_SETS; i++)
		r = read_set(nl, i, &reading);
	elements_sort(&state->elements);
	return r;
}

int readback_state(struct nl *nl, int64_t now_ms, struct state *ret)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct state state = {0};
		uint32_t before = 0, after = 0;
		int r = ruleset_generation(nl, &before);

		if (r == 0)
			r = read_once(nl, now_ms, &state);
		if (r == 0)
			r = ruleset_generation(nl, &after);
		if (r == 0 && before == after) {
			*ret = state;
			return 0;
		}
		state_done(&state);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return -EAGAIN;
}

int readback_frame(struct nl *nl, struct state *ret)
{
	int r = read_table(nl, ret);

	if (r == 0 && ret->exists)
		r = read_chains(nl, ret);
	return r == 0 && ret->exists ? read_rules(nl, ret) : r;
}

/* ---- questions ---- */

static int ask_elements(struct nl *nl, const struct element *items, size_t n,
			int (*on_message)(const struct nlmsghdr *message, void *data), void *data)
{
	union request request;
	char name[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < n;) {
		struct nlmsghdr *message = request_begin(&request, NFT_MSG_GETSETELEM, NLM_F_ACK);
		size_t first = i;
		struct nlattr *nest, *item;

		mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, FIREWALL_TABLE);
		mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set_name(items[i].set, name));
		nest = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (; i < n && i - first < PROBE_ELEMENTS && items[i].set == items[first].set;
		     i++) {
			item = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
			sets_put_key(message, &items[i]);
			mnl_attr_nest_end(message, item);
		}
		mnl_attr_nest_end(message, nest);
		r = nl_request(nl, message, on_message, data);
	}
	return r;
}

int readback_elements(struct nl *nl, const struct element *items, size_t n)
{
	return ask_elements(nl, items, n, NULL, NULL);
}

int readback_stands(struct nl *nl, const struct element *item)
{
	struct state state = {0};
	struct reading reading = {0, &state};
	int r = ask_elements(nl, item, 1, on_elements, &reading);

	for (size_t i = 0; r == 0 && i < state.elements.n; i++)
		r = element_compare(&state.elements.items[i], item) == 0;
	state_done(&state);
	return r == -ENOENT ? 0 : r;
}

static int on_counter(const struct nlmsghdr *message, void *data)
{
	struct fw_counters *counters = data;
	uint64_t *values[N_COUNTERS] = {
		[COUNTER_IN] = &counters->denied_in,
		[COUNTER_OUT] = &counters->denied_out,
		[COUNTER_UNDERLAY] = &counters->denied_underlay,
		[COUNTER_SPOOF] = &counters->denied_spoofed,
		[COUNTER_WOULD] = &counters->would_deny,
	};
	const struct nlattr *table[NFTA_OBJ_DATA + 1], *value[NFTA_COUNTER_PACKETS + 1];
	uint64_t packets;
	int r = attributes(message, table, NFTA_OBJ_DATA);

	if (r < 0 || !is_text(table[NFTA_OBJ_TABLE], FIREWALL_TABLE) || !table[NFTA_OBJ_DATA])
		return r;
	r = attributes_of_nest(table[NFTA_OBJ_DATA], value, NFTA_COUNTER_PACKETS);
	if (r < 0 || !attribute_copy(value[NFTA_COUNTER_PACKETS], &packets, sizeof(packets)))
		return r;
	for (unsigned int i = 0; i < N_COUNTERS; i++)
		if (is_text(table[NFTA_OBJ_NAME], counter_names[i]))
			*values[i] = be64toh(packets);
	return 0;
}

int readback_counters(struct nl *nl, struct fw_counters *ret)
{
	union request request;
	struct nlmsghdr *message = request_begin(&request, NFT_MSG_GETOBJ, NLM_F_DUMP);
	struct fw_counters counters = {0};
	int r;

	mnl_attr_put_strz(message, NFTA_OBJ_TABLE, FIREWALL_TABLE);
	mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	r = nl_request(nl, message, on_counter, &counters);
	if (r < 0)
		return r;
	*ret = counters;
	return 0;
}
