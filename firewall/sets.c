/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame by libnftnl; elements packed by hand, because there may be a hundred thousand of them.
 *
 * Hash sets have no size: with one the kernel makes all buckets at once, 8 MB for half a million, also on a host with three
 * peers. A nest is counted in 16 bits: elements go in messages below 60 KB.
 */
#include "firewall/sets.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>

#define ELEMENTS_BYTES_MAX 60000U
#define PROBE_TIMEOUT_MS   1000

/* nft's numbers for types, so that it can list our sets; six bits each in a concatenation */
enum nft_type {
	TYPE_IPADDR = 7,
	TYPE_IP6ADDR = 8,
	TYPE_PROTOCOL = 12,
	TYPE_SERVICE = 13,
	TYPE_MARK = 19,
	TYPE_IFNAME = 41,
};
#define BYTEORDER_HOST 1

size_t sets_table_comment(const char *comment, uint8_t userdata[TABLE_COMMENT_MAX])
{
	size_t length = strnlen(comment, TABLE_COMMENT_MAX - 3) + 1;

	userdata[0] = NFTNL_UDATA_TABLE_COMMENT;
	userdata[1] = (uint8_t)length;
	memcpy(&userdata[2], comment, length - 1);
	userdata[1 + length] = '\0';
	return length + 2;
}

/* ---- the frame ---- */

static void put_table(struct batch *batch, uint32_t flags)
{
	uint8_t userdata[TABLE_COMMENT_MAX];
	size_t length = sets_table_comment(FIREWALL_LAYOUT, userdata);
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, FIREWALL_TABLE);
	mnl_attr_put_u32(message, NFTA_TABLE_FLAGS, htonl(flags));
	mnl_attr_put(message, NFTA_TABLE_USERDATA, length, userdata);
	batch_end(batch, message);
}

static void put_counter(struct batch *batch, const char *name)
{
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_NEWOBJ, NLM_F_CREATE);
	struct nlattr *nest;

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_OBJ_TABLE, FIREWALL_TABLE);
	mnl_attr_put_strz(message, NFTA_OBJ_NAME, name);
	mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	nest = mnl_attr_nest_start(message, NFTA_OBJ_DATA);
	mnl_attr_nest_end(message, nest);
	batch_end(batch, message);
}

static uint32_t type_of(unsigned int set)
{
	uint32_t address = set % 2 ? TYPE_IP6ADDR : TYPE_IPADDR;

	switch (set_rows[set / 2].shape) {
	case SHAPE_ADDR:
		return address;
	case SHAPE_TUPLE:
		return (address << 6 | TYPE_PROTOCOL) << 6 | TYPE_SERVICE;
	case SHAPE_ENDPOINT:
		return address << 6 | TYPE_SERVICE;
	case SHAPE_IFNAME:
		return TYPE_IFNAME;
	}
	return 0;
}

static void describe_concatenation(struct nftnl_set *set, unsigned int number)
{
	uint8_t fields[] = {number % 2 ? 16 : 4, 1, 2};

	if (set_rows[number / 2].shape == SHAPE_ENDPOINT) {
		fields[1] = 2;
		(void)nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, fields, 2);
	} else {
		(void)nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, fields, 3);
	}
}

/* Without it nft shows marks with their bytes reversed. */
static void describe_map(struct nftnl_set *set)
{
	struct nftnl_udata_buf *userdata = nftnl_udata_buf_alloc(64);

	nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, TYPE_MARK);
	nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, sizeof(uint32_t));
	if (!userdata)
		return;
	(void)nftnl_udata_put_u32(userdata, NFTNL_UDATA_SET_DATABYTEORDER, BYTEORDER_HOST);
	(void)nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(userdata),
				 nftnl_udata_buf_len(userdata));
	nftnl_udata_buf_free(userdata);
}

static struct nftnl_set *make_set(unsigned int number)
{
	const struct set_row *row = &set_rows[number / 2];
	bool concatenated = row->shape == SHAPE_TUPLE || row->shape == SHAPE_ENDPOINT;
	struct nftnl_set *set = nftnl_set_alloc();
	struct nftnl_expr *counter;
	char name[32];

	if (!set)
		return NULL;
	(void)nftnl_set_set_str(set, NFTNL_SET_TABLE, FIREWALL_TABLE);
	(void)nftnl_set_set_str(set, NFTNL_SET_NAME, set_name(number, name));
	nftnl_set_set_u32(set, NFTNL_SET_ID, number + 1);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, type_of(number));
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, set_key_length(number));
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS,
			  (row->timeout ? NFT_SET_TIMEOUT : 0) | (row->map ? NFT_SET_MAP : 0) |
				  (row->interval ? NFT_SET_INTERVAL : 0) |
				  (concatenated ? NFT_SET_CONCAT : 0));
	if (concatenated)
		describe_concatenation(set, number);
	if (row->map)
		describe_map(set);
	counter = row->counter ? nftnl_expr_alloc("counter") : NULL;
	if (counter)
		nftnl_set_add_expr(set, counter);
	return set;
}

static void put_set(struct batch *batch, unsigned int number)
{
	struct nftnl_set *set = make_set(number);
	struct nlmsghdr *message = set ? batch_begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE) : NULL;

	if (!set)
		batch->error = -ENOMEM;
	if (message) {
		nftnl_set_nlmsg_build_payload(message, set);
		batch_end(batch, message);
	}
	nftnl_set_free(set);
}

static void put_chain(struct batch *batch, unsigned int number)
{
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *nest;

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, FIREWALL_TABLE);
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, chain_names[number]);
	if (number < N_BASE_CHAINS) {
		const struct base_chain *base = &base_chains[number];

		nest = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
		mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(base->hook));
		mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)base->priority));
		mnl_attr_nest_end(message, nest);
		mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
		mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, base->type);
	}
	batch_end(batch, message);
}

void sets_put_frame(struct batch *batch, uint32_t flags)
{
	put_table(batch, flags);
	for (unsigned int i = 0; i < N_COUNTERS; i++)
		put_counter(batch, counter_names[i]);
	for (unsigned int i = 0; i < N_SETS; i++)
		put_set(batch, i);
	for (unsigned int i = 0; i < N_CHAINS; i++)
		put_chain(batch, i);
}

void sets_put_removal(struct batch *batch)
{
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_DELTABLE, 0);

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, FIREWALL_TABLE);
	batch_end(batch, message);
}

/* ---- elements ---- */

static void put_value(struct nlmsghdr *message, uint16_t type, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(message, type);

	mnl_attr_put(message, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(message, nest);
}

void sets_put_key(struct nlmsghdr *message, const struct element *element)
{
	unsigned int length = set_key_length(element->set);

	put_value(message, NFTA_SET_ELEM_KEY, element->key, length);
	if (set_rows[element->set / 2].interval)
		put_value(message, NFTA_SET_ELEM_KEY_END, element->end, length);
}

static void put_element(struct nlmsghdr *message, uint16_t type, const struct element *element,
			bool probing)
{
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	uint64_t timeout_ms = probing ? PROBE_TIMEOUT_MS : element->timeout_ms;

	sets_put_key(message, element);
	if (type == NFT_MSG_NEWSETELEM && set_rows[element->set / 2].map)
		put_value(message, NFTA_SET_ELEM_DATA, &element->data, sizeof(element->data));
	if (type == NFT_MSG_NEWSETELEM && timeout_ms)
		mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT, htobe64(timeout_ms));
	mnl_attr_nest_end(message, nest);
}

/* One message: as many elements of the same set as fit. Returns how many. */
static size_t put_message(struct batch *batch, uint16_t type, const struct element *items, size_t n,
			  bool probing)
{
	struct nlmsghdr *message =
		batch_begin(batch, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
	struct nlattr *nest;
	char name[32];
	size_t i = 0;

	if (!message)
		return n;
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, FIREWALL_TABLE);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set_name(items[0].set, name));
	nest = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (i < n && items[i].set == items[0].set && message->nlmsg_len < ELEMENTS_BYTES_MAX)
		put_element(message, type, &items[i++], probing);
	mnl_attr_nest_end(message, nest);
	batch_end(batch, message);
	return i;
}

void sets_put_elements(struct batch *batch, uint16_t type, const struct element *items, size_t n,
		       bool probing)
{
	for (size_t i = 0; i < n;)
		i += put_message(batch, type, &items[i], n - i, probing);
}

/* Runs of elements that have a timeout, or have none. */
static size_t run_of(const struct element *items, size_t n)
{
	size_t i = 1;

	while (i < n && !items[i].timeout_ms == !items[0].timeout_ms)
		i++;
	return i;
}

void sets_put_fresh(struct batch *batch, const struct element *items, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		run = run_of(&items[i], n - i);
		if (set_rows[items[i].set / 2].timeout && items[i].timeout_ms) {
			sets_put_elements(batch, NFT_MSG_NEWSETELEM, &items[i], run, true);
			sets_put_elements(batch, NFT_MSG_DELSETELEM, &items[i], run, false);
		}
		sets_put_elements(batch, NFT_MSG_NEWSETELEM, &items[i], run, false);
	}
}

void sets_put_first(struct batch *batch, const struct element *items, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		run = run_of(&items[i], n - i);
		sets_put_elements(batch, NFT_MSG_NEWSETELEM, &items[i], run, false);
	}
}

void sets_put_removed(struct batch *batch, const struct element *items, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		run = run_of(&items[i], n - i);
		if (items[i].timeout_ms)
			sets_put_elements(batch, NFT_MSG_NEWSETELEM, &items[i], run, true);
		sets_put_elements(batch, NFT_MSG_DELSETELEM, &items[i], run, false);
	}
}
