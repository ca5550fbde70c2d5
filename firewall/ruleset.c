/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the rules of others: tables, chains, sets, elements, rules, in this order, then names become indices.
 *
 * Somebody may change things between the dumps: what points to something that is not there stays open for the walk, so no
 * generation is asked for.
 */
#include "firewall/ruleset.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "firewall/firewall.h"
#include "netlink/answer.h"

#define DUMP_TRIES  5
#define DORMANT_MAX 256

static uint32_t get_u32(const struct nlattr *attribute)
{
	uint32_t wire;

	return attribute_copy(attribute, &wire, sizeof(wire)) ? ntohl(wire) : 0;
}

static bool is_text(const struct nlattr *attribute, const char *text)
{
	size_t length = strlen(text) + 1;

	return attribute && mnl_attr_get_payload_len(attribute) == length &&
	       memcmp(mnl_attr_get_payload(attribute), text, length) == 0;
}

/* Room for one more behind n, doubled at powers of two. */
static int grow(void *list, uint32_t n, size_t size)
{
	void **items = list;
	void *bigger;

	if (n & (n - 1))
		return 0;
	bigger = reallocarray(*items, n ? 2 * (size_t)n : 1, size);
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	return 0;
}

static uint8_t family_of(const struct nlmsghdr *message)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);

	return header->nfgen_family;
}

static bool skipped(const struct ruleset *ruleset, const struct nlattr *table, uint8_t family)
{
	if (family != NFPROTO_INET && family != NFPROTO_IPV4 && family != NFPROTO_IPV6)
		return true;
	if (family == NFPROTO_INET && is_text(table, FIREWALL_TABLE))
		return true;
	for (uint32_t i = 0; i < ruleset->n_dormant; i++)
		if (is_text(table, ruleset->dormant[i] + 1) &&
		    (uint8_t)ruleset->dormant[i][0] == family)
			return true;
	return false;
}

/* ---- tables and chains ---- */

/* Family and name, since a name may stand in several families. */
static int on_table(struct ruleset *ruleset, const struct nlmsghdr *message)
{
	const struct nlattr *a[NFTA_TABLE_MAX + 1];
	_cleanup_(freep) char *name = NULL;
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), a, NFTA_TABLE_MAX);

	if (r < 0 || !(get_u32(a[NFTA_TABLE_FLAGS]) & NFT_TABLE_F_DORMANT) ||
	    ruleset->n_dormant >= DORMANT_MAX)
		return r;
	name = ruleset_name(a[NFTA_TABLE_NAME]);
	if (!name)
		return -ENOMEM;
	r = grow(&ruleset->dormant, ruleset->n_dormant, sizeof(*ruleset->dormant));
	if (r < 0)
		return r;
	if (asprintf(&ruleset->dormant[ruleset->n_dormant], "%c%s", family_of(message), name) < 0)
		return -ENOMEM;
	ruleset->n_dormant++;
	return 0;
}

static int read_hook(const struct nlattr *const *a, struct rs_chain *chain)
{
	const struct nlattr *hook[NFTA_HOOK_MAX + 1];
	int r = attributes_of_nest(a[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX);

	chain->base = true;
	chain->hook = r == 0 ? get_u32(hook[NFTA_HOOK_HOOKNUM]) : 0;
	chain->priority = r == 0 ? (int32_t)get_u32(hook[NFTA_HOOK_PRIORITY]) : 0;
	chain->drops = a[NFTA_CHAIN_POLICY] && get_u32(a[NFTA_CHAIN_POLICY]) == NF_DROP;
	return r;
}

static int on_chain(struct ruleset *ruleset, const struct nlmsghdr *message)
{
	const struct nlattr *a[NFTA_CHAIN_MAX + 1];
	struct rs_chain chain = {
		.family = family_of(message), .first = UINT32_MAX, .last = UINT32_MAX};
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), a, NFTA_CHAIN_MAX);

	if (r < 0 || skipped(ruleset, a[NFTA_CHAIN_TABLE], family_of(message)))
		return r;
	if (ruleset->n_chains >= RULESET_CHAINS_MAX) {
		ruleset->cut = true;
		return 0;
	}
	r = grow(&ruleset->chains, ruleset->n_chains, sizeof(*ruleset->chains));
	if (r < 0)
		return r;
	if (a[NFTA_CHAIN_HOOK])
		r = read_hook(a, &chain);
	if (r < 0 || !a[NFTA_CHAIN_TABLE] || !a[NFTA_CHAIN_NAME])
		return -EBADMSG;
	chain.table = ruleset_name(a[NFTA_CHAIN_TABLE]);
	chain.name = ruleset_name(a[NFTA_CHAIN_NAME]);
	if (!chain.table || !chain.name) {
		free(chain.table);
		free(chain.name);
		return -ENOMEM;
	}
	ruleset->chains[ruleset->n_chains++] = chain;
	return 0;
}

/* ---- sets ---- */

static int on_set(struct ruleset *ruleset, const struct nlmsghdr *message)
{
	const struct nlattr *a[NFTA_SET_MAX + 1];
	struct rs_set set = {.family = family_of(message)};
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), a, NFTA_SET_MAX);

	if (r < 0 || skipped(ruleset, a[NFTA_SET_TABLE], family_of(message)) ||
	    !(get_u32(a[NFTA_SET_FLAGS]) & NFT_SET_ANONYMOUS) ||
	    ruleset->n_sets >= RULESET_SETS_MAX)
		return r;
	r = grow(&ruleset->sets, ruleset->n_sets, sizeof(*ruleset->sets));
	if (r < 0)
		return r;
	if (!a[NFTA_SET_TABLE] || !a[NFTA_SET_NAME])
		return -EBADMSG;
	set.table = ruleset_name(a[NFTA_SET_TABLE]);
	set.name = ruleset_name(a[NFTA_SET_NAME]);
	if (!set.table || !set.name) {
		free(set.table);
		free(set.name);
		return -ENOMEM;
	}
	set.flags = get_u32(a[NFTA_SET_FLAGS]);
	set.key_length = get_u32(a[NFTA_SET_KEY_LEN]);
	set.known = set.key_length > 0 && set.key_length <= RULESET_DATA_MAX &&
		    !(set.flags & (NFT_SET_TIMEOUT | NFT_SET_EVAL));
	ruleset->sets[ruleset->n_sets++] = set;
	return 0;
}

static bool read_key(const struct nlattr *nest, uint32_t length, uint8_t ret[RULESET_DATA_MAX])
{
	const struct nlattr *a[NFTA_DATA_MAX + 1];

	return nest && attributes_of_nest(nest, a, NFTA_DATA_MAX) == 0 &&
	       attribute_copy(a[NFTA_DATA_VALUE], ret, length);
}

static int read_element(const struct nlattr *nest, struct rs_set *set)
{
	const struct nlattr *a[NFTA_SET_ELEM_MAX + 1];
	struct rs_element *element;
	int r = attributes_of_nest(nest, a, NFTA_SET_ELEM_MAX);
	uint32_t flags;

	if (r < 0)
		return r;
	r = grow(&set->elements, set->n, sizeof(*set->elements));
	if (r < 0)
		return r;
	flags = get_u32(a[NFTA_SET_ELEM_FLAGS]);
	element = &set->elements[set->n++];
	*element = (struct rs_element){.target = UINT32_MAX,
				       .verdict = NFT_CONTINUE,
				       .has_end = a[NFTA_SET_ELEM_KEY_END] != NULL,
				       .interval_end = flags & NFT_SET_ELEM_INTERVAL_END,
				       .catch_all = flags & NFT_SET_ELEM_CATCHALL};
	if ((!element->catch_all &&
	     !read_key(a[NFTA_SET_ELEM_KEY], set->key_length, element->key)) ||
	    (element->has_end &&
	     !read_key(a[NFTA_SET_ELEM_KEY_END], set->key_length, element->end)))
		return -EBADMSG;
	if (set->flags & NFT_SET_MAP && a[NFTA_SET_ELEM_DATA])
		r = ruleset_verdict(a[NFTA_SET_ELEM_DATA], &element->verdict, &element->chain);
	if (r == -EBADMSG) /* a map of data, which no walk follows */
		set->known = false;
	return r == -ENOMEM ? r : 0;
}

static struct rs_set *find_set(const struct ruleset *ruleset, const struct nlattr *table,
			       const struct nlattr *name, uint8_t family)
{
	for (uint32_t i = 0; i < ruleset->n_sets; i++) {
		struct rs_set *set = &ruleset->sets[i];

		if (set->family == family && is_text(name, set->name) && is_text(table, set->table))
			return set;
	}
	return NULL;
}

static int on_elements(struct ruleset *ruleset, const struct nlmsghdr *message)
{
	const struct nlattr *a[NFTA_SET_ELEM_LIST_MAX + 1];
	const struct nlattr *nest;
	struct rs_set *set;
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), a, NFTA_SET_ELEM_LIST_MAX);

	if (r < 0)
		return r;
	set = find_set(ruleset, a[NFTA_SET_ELEM_LIST_TABLE], a[NFTA_SET_ELEM_LIST_SET],
		       family_of(message));
	if (!set || !set->known || !a[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	mnl_attr_for_each_nested (nest, a[NFTA_SET_ELEM_LIST_ELEMENTS]) {
		if (set->n >= RULESET_SET_ELEMENTS) {
			set->known = false;
			return 0;
		}
		r = read_element(nest, set);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- rules ---- */

static int compare_chain(const struct rs_chain *chain, uint8_t family, const char *table,
			 const char *name)
{
	int r = chain->family - family;

	if (r == 0)
		r = strcmp(chain->table, table);
	return r ? r : strcmp(chain->name, name);
}

static int by_name(const void *a, const void *b)
{
	const struct rs_chain *right = b;

	return compare_chain(a, right->family, right->table, right->name);
}

/* Chains are sorted before the first rule is read. UINT32_MAX: there is none of that name. */
static uint32_t find_chain(const struct ruleset *ruleset, uint8_t family, const char *table,
			   const char *name)
{
	uint32_t low = 0, high = ruleset->n_chains;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int r = compare_chain(&ruleset->chains[middle], family, table, name);

		if (r == 0)
			return middle;
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return UINT32_MAX;
}

static int add_rule(struct ruleset *ruleset, struct rs_chain *chain)
{
	uint32_t index = ruleset->n_rules;
	int r = grow(&ruleset->rules, index, sizeof(*ruleset->rules));

	if (r < 0)
		return r;
	ruleset->rules[index] = (struct rs_rule){.first = ruleset->n_exprs, .next = UINT32_MAX};
	ruleset->n_rules++;
	if (chain->last == UINT32_MAX)
		chain->first = index;
	else
		ruleset->rules[chain->last].next = index;
	chain->last = index;
	return 0;
}

static int add_expr(struct ruleset *ruleset, const struct nlattr *nest, uint8_t family)
{
	struct rs_expr expr;
	bool used;
	int r = ruleset_expr(nest, family, &expr, &used);

	if (r < 0 || !used)
		return r;
	r = grow(&ruleset->exprs, ruleset->n_exprs, sizeof(*ruleset->exprs));
	if (r < 0) {
		free(expr.name);
		return r;
	}
	ruleset->exprs[ruleset->n_exprs++] = expr;
	ruleset->rules[ruleset->n_rules - 1].n++;
	return 0;
}

static int add_exprs(struct ruleset *ruleset, const struct nlattr *list, uint8_t family)
{
	const struct nlattr *nest;
	int r = 0;

	mnl_attr_for_each_nested (nest, list) {
		if (ruleset->n_exprs >= RULESET_EXPRS_MAX) {
			ruleset->cut = true;
			return 0;
		}
		r = add_expr(ruleset, nest, family);
		if (r < 0)
			return r;
	}
	return r;
}

static void sort_chains(struct ruleset *ruleset)
{
	if (ruleset->n_rules == 0 && ruleset->n_chains > 1)
		qsort(ruleset->chains, ruleset->n_chains, sizeof(*ruleset->chains), by_name);
}

static int on_rule(struct ruleset *ruleset, const struct nlmsghdr *message)
{
	const struct nlattr *a[NFTA_RULE_MAX + 1];
	_cleanup_(freep) char *table = NULL;
	_cleanup_(freep) char *name = NULL;
	uint32_t chain;
	int r = attributes_of_message(message, sizeof(struct nfgenmsg), a, NFTA_RULE_MAX);

	if (r < 0 || skipped(ruleset, a[NFTA_RULE_TABLE], family_of(message)))
		return r;
	table = ruleset_name(a[NFTA_RULE_TABLE]);
	name = ruleset_name(a[NFTA_RULE_CHAIN]);
	if (!table || !name)
		return -ENOMEM;
	sort_chains(ruleset);
	chain = find_chain(ruleset, family_of(message), table, name);
	if (chain == UINT32_MAX)
		return 0;
	if (ruleset->n_rules >= RULESET_RULES_MAX || ruleset->n_exprs >= RULESET_EXPRS_MAX) {
		ruleset->cut = true;
		return 0;
	}
	r = add_rule(ruleset, &ruleset->chains[chain]);
	if (r < 0 || !a[NFTA_RULE_EXPRESSIONS])
		return r;
	return add_exprs(ruleset, a[NFTA_RULE_EXPRESSIONS], family_of(message));
}

/* ---- all of it ---- */

int ruleset_feed(struct ruleset *ruleset, const struct nlmsghdr *message)
{
	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return 0;
	switch (message->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
		return on_table(ruleset, message);
	case NFT_MSG_NEWCHAIN:
		/* rules hold indices */
		return ruleset->n_rules ? 0 : on_chain(ruleset, message);
	case NFT_MSG_NEWSET:
		return on_set(ruleset, message);
	case NFT_MSG_NEWSETELEM:
		return on_elements(ruleset, message);
	case NFT_MSG_NEWRULE:
		return on_rule(ruleset, message);
	default:
		return 0;
	}
}

static void link_expr(const struct ruleset *ruleset, const struct rs_chain *chain,
		      struct rs_expr *expr)
{
	if (!expr->name)
		return;
	if (expr->kind != RS_LOOKUP) {
		expr->target = find_chain(ruleset, chain->family, chain->table, expr->name);
		return;
	}
	for (uint32_t i = 0; i < ruleset->n_sets; i++)
		if (ruleset->sets[i].family == chain->family &&
		    strcmp(ruleset->sets[i].name, expr->name) == 0 &&
		    strcmp(ruleset->sets[i].table, chain->table) == 0)
			expr->target = i;
}

static void link_chain(const struct ruleset *ruleset, const struct rs_chain *chain)
{
	for (uint32_t i = chain->first; i != UINT32_MAX; i = ruleset->rules[i].next)
		for (uint32_t k = 0; k < ruleset->rules[i].n; k++)
			link_expr(ruleset, chain, &ruleset->exprs[ruleset->rules[i].first + k]);
}

int ruleset_link(struct ruleset *ruleset)
{
	sort_chains(ruleset);
	for (uint32_t i = 0; i < ruleset->n_chains; i++)
		link_chain(ruleset, &ruleset->chains[i]);
	for (uint32_t i = 0; i < ruleset->n_sets; i++) {
		struct rs_set *set = &ruleset->sets[i];

		for (uint32_t k = 0; k < set->n; k++)
			if (set->elements[k].chain)
				set->elements[k].target = find_chain(
					ruleset, set->family, set->table, set->elements[k].chain);
	}
	return 0;
}

static int on_message(const struct nlmsghdr *message, void *data)
{
	return ruleset_feed(data, message);
}

static int dump(struct nl *nl, uint16_t type, const struct rs_set *set, struct ruleset *ruleset)
{
	_Alignas(struct nlmsghdr) char buffer[1024];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *header;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->nfgen_family = set ? set->family : NFPROTO_UNSPEC;
	header->version = NFNETLINK_V0;
	header->res_id = 0;
	if (set) {
		mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, set->table);
		mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set->name);
	}
	return nl_request(nl, message, on_message, ruleset);
}

static int read_elements(struct nl *nl, struct ruleset *ruleset)
{
	for (uint32_t i = 0; i < ruleset->n_sets; i++) {
		int r = dump(nl, NFT_MSG_GETSETELEM, &ruleset->sets[i], ruleset);

		if (r == -ENOENT)
			ruleset->sets[i].known = false;
		else if (r < 0)
			return r;
	}
	return 0;
}

static int read_once(struct nl *nl, struct ruleset *ruleset)
{
	int r = dump(nl, NFT_MSG_GETTABLE, NULL, ruleset);

	if (r == 0)
		r = dump(nl, NFT_MSG_GETCHAIN, NULL, ruleset);
	/* A host without anybody's chains, as most are, costs two questions. */
	if (r < 0 || ruleset->n_chains == 0)
		return r;
	r = dump(nl, NFT_MSG_GETSET, NULL, ruleset);
	if (r == 0)
		r = read_elements(nl, ruleset);
	if (r == 0)
		r = dump(nl, NFT_MSG_GETRULE, NULL, ruleset);
	return r;
}

/* Its names are those of tables that a program of the old kind has touched; nobody reads them over netlink. */
static bool has_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	bool any = file && fgetc(file) != EOF;

	if (file)
		(void)fclose(file);
	return any;
}

int ruleset_read(struct nl *nl, struct ruleset **ret)
{
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		_cleanup_(ruleset_freep) struct ruleset *ruleset = calloc(1, sizeof(*ruleset));

		if (!ruleset)
			return -ENOMEM;
		r = read_once(nl, ruleset);
		if (r < 0)
			continue;
		ruleset->legacy_ip = has_lines("/proc/self/net/ip_tables_names");
		ruleset->legacy_ip6 = has_lines("/proc/self/net/ip6_tables_names");
		r = ruleset_link(ruleset);
		*ret = take_pointer(ruleset);
	}
	return r;
}

static void set_done(struct rs_set *set)
{
	for (uint32_t i = 0; i < set->n; i++)
		free(set->elements[i].chain);
	free(set->elements);
	free(set->table);
	free(set->name);
}

void ruleset_free(struct ruleset *ruleset)
{
	if (!ruleset)
		return;
	for (uint32_t i = 0; i < ruleset->n_chains; i++) {
		free(ruleset->chains[i].table);
		free(ruleset->chains[i].name);
	}
	for (uint32_t i = 0; i < ruleset->n_exprs; i++)
		free(ruleset->exprs[i].name);
	for (uint32_t i = 0; i < ruleset->n_sets; i++)
		set_done(&ruleset->sets[i]);
	for (uint32_t i = 0; i < ruleset->n_dormant; i++)
		free(ruleset->dormant[i]);
	free(ruleset->chains);
	free(ruleset->rules);
	free(ruleset->exprs);
	free(ruleset->sets);
	free(ruleset->dormant);
	free(ruleset);
}
