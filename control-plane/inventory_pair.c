/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is paired with whom.
 *
 * A policy change asks this of every couple of members at once: 1,000 members and 1,000 rules would be half a million
 * walks through the rules. So each rule selects its members once, and couples are bits: what a rule joins is one row of
 * words or-ed into those of its members.
 */
#include <errno.h>
#include <string.h>
#include "control-plane/inventory.h"
#include "policy/evaluate.h"

bool member_paired(const struct member *a, const struct member *b)
{
	for (size_t i = 0; i < a->n_peers; i++)
		if (a->peers[i] == b)
			return true;
	return false;
}

static void unlink_peer(struct member *member, const struct member *peer)
{
	for (size_t i = 0; i < member->n_peers; i++) {
		if (member->peers[i] != peer)
			continue;
		member->peers[i] = member->peers[--member->n_peers];
		return;
	}
}

void inventory_unlink(struct member *member)
{
	for (size_t i = 0; i < member->n_peers; i++)
		unlink_peer(member->peers[i], member);
	member->n_peers = 0;
}

static int append(struct member *member, struct member *peer)
{
	/* grows in powers of two: the count says when */
	if ((member->n_peers & (member->n_peers - 1)) == 0) {
		size_t room = member->n_peers ? member->n_peers * 2 : 1;
		struct member **peers = reallocarray(member->peers, room, sizeof(*peers));

		if (!peers)
			return -ENOMEM;
		member->peers = peers;
	}
	member->peers[member->n_peers++] = peer;
	return 0;
}

static int join(struct member *a, struct member *b)
{
	int r = append(a, b);

	return r < 0 ? r : append(b, a);
}

/* ---- all ---- */

struct couples {
	struct policy_member *members; /* in the inventory's order */
	struct policy_inventory inventory;
	struct index index;
	size_t n, words;	     /* of a row */
	uint64_t *rows;		     /* n of them; bit j of row i: a rule joins i to j or j to i */
	uint64_t *from_row, *to_row; /* of the rule at hand */
	uint32_t *from, *to;
};

static void couples_done(struct couples *couples)
{
	index_done(&couples->index);
	free(couples->members);
	free(couples->rows);
	free(couples->from_row);
	free(couples->to_row);
	free(couples->from);
	free(couples->to);
}

static int couples_init(struct couples *couples, const struct inventory *inventory)
{
	size_t n = inventory->n;

	couples->n = n;
	couples->words = n / 64 + 1;
	couples->members = calloc(n + 1, sizeof(*couples->members));
	couples->rows = calloc((n + 1) * couples->words, sizeof(*couples->rows));
	couples->from_row = calloc(couples->words, sizeof(*couples->from_row));
	couples->to_row = calloc(couples->words, sizeof(*couples->to_row));
	couples->from = calloc(n + 1, sizeof(*couples->from));
	couples->to = calloc(n + 1, sizeof(*couples->to));
	if (!couples->members || !couples->rows || !couples->from_row || !couples->to_row ||
	    !couples->from || !couples->to)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		couples->members[i] = inventory->members[i]->policy;
	couples->inventory = (struct policy_inventory){couples->members, n};
	return index_init(&couples->index, &couples->inventory);
}

static void set_row(uint64_t *row, size_t words, const uint32_t *members, size_t n)
{
	memset(row, 0, words * sizeof(*row));
	for (size_t i = 0; i < n; i++)
		row[members[i] / 64] |= UINT64_C(1) << (members[i] % 64);
}

static void add_row(struct couples *couples, const uint32_t *members, size_t n, const uint64_t *row)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t *into = &couples->rows[members[i] * couples->words];

		for (size_t j = 0; j < couples->words; j++)
			into[j] |= row[j];
	}
}

static void add_rule(struct couples *couples, const struct policy_rule *rule)
{
	size_t n_from = index_select(&couples->index, &rule->from, couples->from);
	size_t n_to = n_from ? index_select(&couples->index, &rule->to, couples->to) : 0;

	if (n_to == 0)
		return;
	set_row(couples->from_row, couples->words, couples->from, n_from);
	set_row(couples->to_row, couples->words, couples->to, n_to);
	add_row(couples, couples->from, n_from, couples->to_row);
	add_row(couples, couples->to, n_to, couples->from_row);
}

/* The rows are symmetric, so each member takes its peers from its own; nobody is his own peer. */
static int take_row(const struct inventory *inventory, const struct couples *couples, size_t i)
{
	int r = 0;

	for (size_t word = 0; word < couples->words; word++) {
		uint64_t bits = couples->rows[i * couples->words + word];

		for (; bits && r == 0; bits &= bits - 1) {
			size_t j = word * 64 + (size_t)__builtin_ctzll(bits);

			if (j != i)
				r = append(inventory->members[i], inventory->members[j]);
		}
	}
	return r;
}

/* A suspended identity stays paired: its peers keep its statements, but without a lease nothing is admitted. */
int inventory_pair_all(struct inventory *inventory, const struct policy *policy, int64_t now)
{
	_cleanup_(couples_done) struct couples couples = {0};
	int r;

	for (size_t i = 0; i < inventory->n; i++)
		inventory->members[i]->n_peers = 0;
	if (!policy)
		return 0;
	r = couples_init(&couples, inventory);
	for (size_t i = 0; r == 0 && i < policy->n_rules; i++)
		if (!rule_expired(&policy->rules[i], now))
			add_rule(&couples, &policy->rules[i]);
	for (size_t i = 0; r == 0 && i < inventory->n; i++)
		r = take_row(inventory, &couples, i);
	return r;
}

/* ---- one ---- */

/* Marks whom the rule joins with the member, which it selects at one end or both. */
static void mark(const struct inventory *inventory, const struct policy_rule *rule,
		 const struct member *member, bool *marked)
{
	bool from = policy_selects(&rule->from, &member->policy);
	bool to = policy_selects(&rule->to, &member->policy);

	for (size_t i = 0; (from || to) && i < inventory->n; i++) {
		const struct policy_member *other = &inventory->members[i]->policy;

		marked[i] = marked[i] || (from && policy_selects(&rule->to, other)) ||
			    (to && policy_selects(&rule->from, other));
	}
}

int inventory_pair_one(struct inventory *inventory, struct member *member,
		       const struct policy *policy, int64_t now)
{
	_cleanup_(freep) bool *marked = calloc(inventory->n + 1, sizeof(*marked));
	int r = marked ? 0 : -ENOMEM;

	inventory_unlink(member);
	for (size_t i = 0; r == 0 && policy && i < policy->n_rules; i++)
		if (!rule_expired(&policy->rules[i], now))
			mark(inventory, &policy->rules[i], member, marked);
	for (size_t i = 0; r == 0 && i < inventory->n; i++)
		if (marked[i] && inventory->members[i] != member)
			r = join(member, inventory->members[i]);
	return r;
}
