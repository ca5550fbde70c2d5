/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handle: what was last applied, what is wanted, one transaction between them.
 *
 * A handle that knows nothing yet (a restart), or whose transaction the kernel refused (somebody else had his hands in our
 * table), reads what stands. It never assumes.
 */
#include "firewall/firewall.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "firewall/batch.h"
#include "firewall/part.h"
#include "firewall/readback.h"
#include "firewall/sets.h"
#include "firewall/state.h"

#define ERROR_MAX 512
/* Elements asked for by key after a change: each costs as much as half its writing. Of more, a sample. */
#define READ_BACK_MAX	 256
#define READ_BACK_SAMPLE 64
#define SHORT_LIVED_MS	 5000
#define TCP_LOOSE	 "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"

struct firewall {
	struct nl *nl;
	bool known; /* actual is what stands, as far as we know */
	bool own;   /* the table shall belong to us */
	bool plain; /* this kernel knows no owners that leave their tables behind */
	struct state actual;
	struct memory memory; /* valid: what actual is made of; leases may be others */
	char error[ERROR_MAX];
};

/* From what stands to what should: a part of it where that is enough, else the whole. */
struct change {
	bool partly;
	struct part part;
	struct state state; /* the whole */
	struct delta delta;
};

static int fail(struct firewall *firewall, int r, const char *what, const char *words)
{
	(void)snprintf(firewall->error, sizeof(firewall->error), "%s: %s%s%s", what, strerror(-r),
		       *words ? ": " : "", words);
	return r;
}

static int64_t now_ms(void)
{
	return clock_mono().us / 1000;
}

int firewall_open(struct firewall **ret)
{
	struct firewall *firewall = calloc(1, sizeof(*firewall));
	int r;

	if (!firewall)
		return -ENOMEM;
	r = nl_open(NETLINK_NETFILTER, &firewall->nl);
	if (r < 0) {
		free(firewall);
		return r;
	}
	*ret = firewall;
	return 0;
}

const char *firewall_open_error(int r)
{
	if (r == -EPROTONOSUPPORT)
		return "this kernel has no nf_tables: use one of 6.1 or newer that has";
	return r == -EPERM ? "root or CAP_NET_ADMIN is needed" : strerror(-r);
}

void firewall_own(struct firewall *firewall)
{
	firewall->own = true;
}

void firewall_close(struct firewall *firewall)
{
	if (!firewall)
		return;
	nl_close(firewall->nl);
	memory_done(&firewall->memory);
	state_done(&firewall->actual);
	free(firewall);
}

const char *firewall_error(const struct firewall *firewall)
{
	return firewall->error;
}

/* ---- what stands, what is wanted ---- */

static void forget(struct firewall *firewall)
{
	state_done(&firewall->actual);
	firewall->known = firewall->memory.valid = false;
}

static int learn(struct firewall *firewall)
{
	int r;

	if (firewall->known)
		return 0;
	r = readback_state(firewall->nl, now_ms(), &firewall->actual);
	if (r == -EEXIST)
		return fail(firewall, r, "reading table inet " FIREWALL_TABLE,
			    "it is not of this layout (\"" FIREWALL_LAYOUT
			    "\"): remove it, or stop what made it");
	if (r < 0)
		return fail(firewall, r, "reading table inet " FIREWALL_TABLE,
			    nl_error(firewall->nl));
	firewall->known = true;
	if (firewall->own && firewall->actual.flags == TABLE_ORPHAN)
		firewall->actual.complete = false;
	return 0;
}

/* Those that the kernel takes for what stands, or for a new table. */
static uint32_t table_flags(const struct firewall *firewall)
{
	if (firewall->actual.exists)
		return firewall->own && firewall->actual.flags ? TABLE_OWNED
							       : firewall->actual.flags;
	return firewall->own && !firewall->plain ? TABLE_OWNED : 0;
}

static const char *reason(int r)
{
	switch (r) {
	case -E2BIG:
		return "more port ranges wider than 64 ports, underlay and egress prefixes than 1000, more than 32 uplinks, or more than a million elements";
	case -EINVAL:
		return "a tuple of an unknown peer, an empty port range or an address that is not set";
	default:
		return "";
	}
}

static void change_done(struct change *change)
{
	part_done(&change->part);
	delta_done(&change->delta);
	state_done(&change->state);
}

static int work_out_whole(struct firewall *firewall, const struct fw_desired *desired,
			  struct change *change)
{
	int r = state_of(desired, now_ms(), &change->state);

	if (r == 0)
		r = delta_of(&firewall->actual, &change->state, now_ms(), &change->delta);
	if (r == 0)
		state_keep_ends(&firewall->actual, &change->state);
	return r;
}

static int work_out(struct firewall *firewall, const struct fw_desired *desired,
		    struct change *change)
{
	int r = learn(firewall);

	if (r < 0)
		return r;
	change->partly = part_of(&firewall->memory, &firewall->actual.elements, desired, now_ms(),
				 &change->part, &change->delta);
	if (!change->partly)
		r = work_out_whole(firewall, desired, change);
	return r < 0 ? fail(firewall, r, "working out what should stand", reason(r)) : 0;
}

int firewall_plan(struct firewall *firewall, const struct fw_desired *desired, struct fw_plan *ret)
{
	_cleanup_(change_done) struct change change = {0};
	int r = work_out(firewall, desired, &change);

	if (r == 0) {
		*ret = delta_plan(&change.delta);
		ret->first = !firewall->actual.exists;
	}
	return r;
}

/* ---- one transaction ---- */

static void put_flush(struct batch *batch, unsigned int chain)
{
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_DELRULE, 0);

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, FIREWALL_TABLE);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain_names[chain]);
	batch_end(batch, message);
}

/* Packets meet the older table or the new one, never none. */
static void put_frame(struct firewall *firewall, struct batch *batch, uint32_t flags)
{
	if (firewall->actual.older)
		sets_put_removal(batch);
	sets_put_frame(batch, flags);
}

static int commit(struct firewall *firewall, const struct change *change)
{
	const struct delta *delta = &change->delta;
	struct batch batch;
	int r;

	batch_init(&batch, firewall->nl);
	if (delta->create)
		put_frame(firewall, &batch, table_flags(firewall));
	sets_put_removed(&batch, delta->removed.items, delta->removed.n);
	sets_put_fresh(&batch, delta->refreshed.items, delta->refreshed.n);
	if (firewall->actual.exists)
		sets_put_fresh(&batch, delta->added.items, delta->added.n);
	else
		sets_put_first(&batch, delta->added.items, delta->added.n);
	for (unsigned int i = 0; firewall->actual.exists && i < N_CHAINS; i++)
		if (delta->rewrite[i])
			put_flush(&batch, i);
	rules_put(&change->state.rules, delta->rewrite, &batch);
	r = batch_commit(&batch);
	if (r < 0)
		fail(firewall, r, "writing table inet " FIREWALL_TABLE, batch.text);
	batch_done(&batch);
	return r;
}

/* A table that is made twice, and may not be, ends the transaction: with the last message and not before. */
static void put_end(struct batch *batch)
{
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_TABLE_NAME, FIREWALL_TABLE);
	batch_end(batch, message);
}

int firewall_try(struct firewall *firewall, const struct fw_desired *desired)
{
	_cleanup_(rules_done) struct rules rules = {0};
	bool all[N_CHAINS];
	struct batch batch;
	int r;

	firewall->error[0] = '\0';
	memset(all, true, sizeof(all));
	batch_init(&batch, firewall->nl);
	r = rules_of(desired, &rules);
	/* A table of ours that stands has to be named as it is; of anybody else's, the answer is the kernel's. */
	put_frame(firewall, &batch, learn(firewall) == 0 ? firewall->actual.flags : 0);
	rules_put(&rules, all, &batch);
	put_end(&batch);
	if (r == 0)
		r = batch_commit(&batch);
	if (r == -EEXIST && batch.failed == batch.messages)
		r = 0;
	else
		r = fail(firewall, r < 0 ? r : -EPROTO, "trying table inet " FIREWALL_TABLE,
			 batch.text);
	batch_done(&batch);
	return r;
}

/* Asks for all of the elements or a sample, evenly spread; not for those that may be gone before the answer. */
static int confirm_present(struct firewall *firewall, const struct elements *written)
{
	size_t step = written->n > READ_BACK_MAX ? written->n / READ_BACK_SAMPLE : 1;
	struct elements sample = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < written->n; i += step)
		if (!written->items[i].timeout_ms || written->items[i].timeout_ms > SHORT_LIVED_MS)
			r = elements_add(&sample, &written->items[i]);
	if (r == 0)
		r = readback_elements(firewall->nl, sample.items, sample.n);
	elements_done(&sample);
	return r;
}

static int confirm_absent(struct firewall *firewall, const struct elements *removed)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < removed->n && i < READ_BACK_MAX; i++) {
		if (set_rows[removed->items[i].set / 2].map)
			continue; /* may have been written anew with other data */
		r = readback_stands(firewall->nl, &removed->items[i]);
		r = r > 0 ? -EEXIST : r;
	}
	return r;
}

static int confirm(struct firewall *firewall, const struct delta *delta)
{
	int r = confirm_present(firewall, &delta->added);

	if (r == 0)
		r = confirm_present(firewall, &delta->refreshed);
	if (r == 0)
		r = confirm_absent(firewall, &delta->removed);
	return r < 0 ? fail(firewall, r, "reading back what was written", nl_error(firewall->nl))
		     : 0;
}

/* A flow that was open before would come back as one that we opened: the server's next packet looks like a first one. */
static int forbid_pickup(struct firewall *firewall)
{
	int fd = open(TCP_LOOSE, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 || write(fd, "0\n", 2) != 2 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r < 0 ? fail(firewall, r, "writing 0 to " TCP_LOOSE, "") : 0;
}

/* What was written is what stands. */
static void settle(struct firewall *firewall, const struct fw_desired *desired,
		   struct change *change)
{
	uint32_t flags = change->delta.create ? table_flags(firewall) : firewall->actual.flags;

	if (change->partly) {
		part_settle(&change->part, &firewall->actual.elements);
	} else {
		state_done(&firewall->actual);
		firewall->actual = change->state;
		change->state = (struct state){0};
		state_drop_texts(&firewall->actual);
	}
	firewall->actual.flags = flags;
	memory_keep(&firewall->memory, desired, &firewall->actual.elements);
}

static int apply_once(struct firewall *firewall, const struct fw_desired *desired,
		      struct fw_plan *ret_plan)
{
	_cleanup_(change_done) struct change change = {0};
	int r = work_out(firewall, desired, &change);

	if (r < 0)
		return r;
	if (change.partly && part_reserve(&change.part, &firewall->actual.elements) < 0)
		return fail(firewall, -ENOMEM, "working out what should stand", "");
	*ret_plan = delta_plan(&change.delta);
	r = commit(firewall, &change);
	if (r == -EOPNOTSUPP && !firewall->plain && !firewall->actual.exists && firewall->own) {
		firewall->plain = true;
		r = commit(firewall, &change);
	}
	if (r == 0)
		r = confirm(firewall, &change.delta);
	if (r == 0)
		settle(firewall, desired, &change);
	else
		forget(firewall);
	return r;
}

int firewall_apply(struct firewall *firewall, const struct fw_desired *desired,
		   struct fw_plan *ret_plan)
{
	bool locks = desired->role == FW_ROLE_WORKLOAD && desired->mode == FW_MODE_ENFORCE &&
		     desired->underlay_locked;
	bool from_memory = firewall->known;
	struct fw_plan plan = {0};
	bool mistaken;
	int r;

	/* Before conntrack looks at the first packet, and below once more: it may not be loaded yet. */
	if (locks)
		(void)forbid_pickup(firewall);
	firewall->error[0] = '\0';
	r = apply_once(firewall, desired, &plan);
	/* What we remembered was not what stands: look, once. */
	mistaken = from_memory && (r == -ENOENT || r == -EEXIST || r == -ENOTEMPTY);
	if (mistaken)
		r = apply_once(firewall, desired, &plan);
	plan.mistaken = mistaken;
	if (r == 0 && locks)
		r = forbid_pickup(firewall);
	if (r < 0)
		return r;
	if (ret_plan)
		*ret_plan = plan;
	return 0;
}

/* ---- leases ---- */

/* Sorted elements of one kind, in place of those that are there. What a peer lacks now is removed. */
static int replace_leases(const struct elements *actual, const struct elements *leases,
			  struct elements *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < actual->n; i++)
		if (actual->items[i].set / 2 != SET_LIVE)
			r = elements_add(ret, &actual->items[i]);
	for (size_t i = 0; r == 0 && i < leases->n; i++)
		r = elements_add(ret, &leases->items[i]);
	if (r == 0)
		elements_sort(ret);
	return r;
}

/* Those of actual's leases that are in no list any more. */
static int lapsed(const struct elements *actual, const struct elements *leases,
		  struct elements *ret)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < actual->n; i++) {
		const struct element *item = &actual->items[i];

		if (item->set / 2 == SET_LIVE &&
		    (!leases->n ||
		     !bsearch(item, leases->items, leases->n, sizeof(*item), element_search)))
			r = elements_add(ret, item);
	}
	return r;
}

static int write_leases(struct firewall *firewall, const struct elements *leases,
			const struct elements *removed)
{
	struct batch batch;
	int r;

	batch_init(&batch, firewall->nl);
	sets_put_removed(&batch, removed->items, removed->n);
	sets_put_fresh(&batch, leases->items, leases->n);
	r = batch_commit(&batch);
	if (r < 0)
		fail(firewall, r, "writing leases", batch.text);
	batch_done(&batch);
	if (r == 0)
		r = confirm_present(firewall, leases);
	return r;
}

static int refresh(struct firewall *firewall, struct elements *leases)
{
	struct elements removed = {0}, all = {0};
	int r = lapsed(&firewall->actual.elements, leases, &removed);

	if (r == 0)
		r = replace_leases(&firewall->actual.elements, leases, &all);
	if (r == 0)
		r = write_leases(firewall, leases, &removed);
	if (r == 0) {
		elements_done(&firewall->actual.elements);
		firewall->actual.elements = all;
		all = (struct elements){0};
	} else {
		forget(firewall);
	}
	elements_done(&all);
	elements_done(&removed);
	return r;
}

int firewall_refresh_leases(struct firewall *firewall, const struct fw_peer *peers, size_t n)
{
	struct elements leases = {0};
	int r;

	firewall->error[0] = '\0';
	r = learn(firewall);
	if (r == 0 && !firewall->actual.exists)
		r = fail(firewall, -ENOENT, "writing leases", "there is no table yet");
	if (r == 0)
		r = elements_of_leases(peers, n, &leases);
	if (r == 0) {
		elements_sort(&leases);
		elements_stamp(&leases, now_ms());
		r = refresh(firewall, &leases);
	}
	elements_done(&leases);
	return r;
}

/* ---- the whole ---- */

static void describe(struct firewall *firewall, const struct delta *delta)
{
	const struct fw_plan plan = delta_plan(delta);
	const char *chain = "", *set = "";
	char name[32];

	for (unsigned int i = 0; i < N_CHAINS; i++)
		if (delta->rewrite[i])
			chain = chain_names[i];
	if (delta->added.n)
		set = set_name(delta->added.items[0].set, name);
	else if (delta->removed.n)
		set = set_name(delta->removed.items[0].set, name);
	(void)snprintf(firewall->error, sizeof(firewall->error),
		       "table inet " FIREWALL_TABLE
		       "%s: %zu elements missing, %zu foreign%s%s, %zu chains changed%s%s",
		       delta->create ? " is not whole" : "", plan.elements_added,
		       plan.elements_removed, *set ? ", first in set " : "", set,
		       plan.chains_rewritten, *chain ? ", among them " : "", chain);
}

static int compare_once(struct firewall *firewall)
{
	struct state state = {0};
	struct delta delta = {0};
	int r = readback_state(firewall->nl, now_ms(), &state);

	if (r == -EEXIST)
		return 1;
	if (r == 0)
		r = delta_of(&state, &firewall->actual, now_ms(), &delta);
	state_drop_texts(&firewall->actual);
	state_done(&state);
	if (r < 0)
		return fail(firewall, r, "reading table inet " FIREWALL_TABLE,
			    nl_error(firewall->nl));
	r = delta.create || delta_differs(&delta);
	if (r)
		describe(firewall, &delta);
	delta_done(&delta);
	return r;
}

int firewall_verify(struct firewall *firewall)
{
	int r;

	firewall->error[0] = '\0';
	if (!firewall->known || !firewall->actual.exists)
		return fail(firewall, -ENODATA, "verifying", "nothing was applied yet");
	/* A hash that is being resized shows some elements twice and others not at all: only what is seen twice counts. */
	r = compare_once(firewall);
	return r > 0 ? compare_once(firewall) : r;
}

int firewall_stands(struct firewall *firewall)
{
	int r = readback_table(firewall->nl);

	return r < 0 ? fail(firewall, r, "looking for table inet " FIREWALL_TABLE,
			    nl_error(firewall->nl))
		     : r;
}

int firewall_is_workloads(struct firewall *firewall)
{
	struct state state = {0};
	int r = readback_frame(firewall->nl, &state);

	/* Only a workload lets anything through from the overlay to another interface. */
	if (r == 0)
		r = state.exists && state.chains[CHAIN_FORWARD_IN] &&
		    *state.chains[CHAIN_FORWARD_IN];
	state_done(&state);
	return r == -EEXIST ? 0 : r;
}

int firewall_remove(struct firewall *firewall)
{
	struct batch batch;
	int r;

	firewall->error[0] = '\0';
	forget(firewall);
	batch_init(&batch, firewall->nl);
	sets_put_removal(&batch);
	r = batch_commit(&batch);
	if (r == -ENOENT)
		r = 0;
	if (r < 0)
		fail(firewall, r, "removing table inet " FIREWALL_TABLE, batch.text);
	batch_done(&batch);
	return r;
}

int firewall_counters(struct firewall *firewall, struct fw_counters *ret)
{
	int r = readback_counters(firewall->nl, ret);

	return r < 0 ? fail(firewall, r, "reading counters of table inet " FIREWALL_TABLE,
			    nl_error(firewall->nl))
		     : 0;
}
