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
#include "firewall/expr.h"
#include "firewall/readback.h"
#include "firewall/sets.h"
#include "firewall/state.h"

#define ERROR_MAX     512
#define READ_BACK_MAX 1024 /* elements asked for by key after a change */
#define TCP_LOOSE     "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"

struct firewall {
	struct nl *nl;
	bool known; /* actual is what stands, as far as we know */
	struct state actual;
	char error[ERROR_MAX];
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

void firewall_close(struct firewall *firewall)
{
	if (!firewall)
		return;
	nl_close(firewall->nl);
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
	firewall->known = false;
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
	return 0;
}

static const char *reason(int r)
{
	switch (r) {
	case -E2BIG:
		return "more port ranges wider than 64 ports and underlay prefixes than 1000, or more than a million elements";
	case -EINVAL:
		return "a tuple of an unknown peer, an empty port range or an address that is not set";
	default:
		return "";
	}
}

static int difference(struct firewall *firewall, const struct fw_desired *desired,
		      struct state *ret_state, struct delta *ret_delta)
{
	struct state state = {0};
	int r = learn(firewall);

	if (r < 0)
		return r;
	r = state_of(desired, now_ms(), &state);
	if (r == 0)
		r = delta_of(&firewall->actual, &state, now_ms(), ret_delta);
	if (r < 0) {
		state_done(&state);
		return fail(firewall, r, "working out what should stand", reason(r));
	}
	*ret_state = state;
	return 0;
}

int firewall_plan(struct firewall *firewall, const struct fw_desired *desired, struct fw_plan *ret)
{
	struct state state = {0};
	struct delta delta = {0};
	int r = difference(firewall, desired, &state, &delta);

	if (r < 0)
		return r;
	*ret = delta_plan(&delta);
	delta_done(&delta);
	state_done(&state);
	return 0;
}

/* ---- one transaction ---- */

static int put_rule(struct nftnl_rule *rule, void *data)
{
	struct batch *batch = data;
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

	if (message) {
		nftnl_rule_nlmsg_build_payload(message, rule);
		batch_end(batch, message);
	}
	return batch->error;
}

static void put_flush(struct batch *batch, unsigned int chain)
{
	struct nlmsghdr *message = batch_begin(batch, NFT_MSG_DELRULE, 0);

	if (!message)
		return;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, FIREWALL_TABLE);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain_names[chain]);
	batch_end(batch, message);
}

static int put_rows(struct batch *batch, const struct fw_desired *desired, const bool *rewrite,
		    const struct rule_row *rows, size_t n)
{
	uint16_t when = layout_when(desired);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (rewrite[rows[i].chain] && (rows[i].when & when) == rows[i].when)
			r = expr_rules(&rows[i], desired, put_rule, batch);
	return r;
}

static int put_chains(struct batch *batch, const struct fw_desired *desired, const bool *rewrite)
{
	const struct rule_row *rows;
	size_t n;
	int r;

	for (unsigned int i = 0; i < N_CHAINS; i++)
		if (rewrite[i])
			put_flush(batch, i);
	rows = desired->role == FW_ROLE_HUB ? layout_hub(&n) : layout_workload(&n);
	r = put_rows(batch, desired, rewrite, rows, n);
	if (r < 0)
		return r;
	rows = layout_common(&n);
	return put_rows(batch, desired, rewrite, rows, n);
}

static int commit(struct firewall *firewall, const struct fw_desired *desired,
		  const struct delta *delta)
{
	struct batch batch;
	int r;

	batch_init(&batch, firewall->nl);
	if (delta->create)
		sets_put_frame(&batch);
	sets_put_removed(&batch, delta->removed.items, delta->removed.n);
	sets_put_fresh(&batch, delta->refreshed.items, delta->refreshed.n);
	sets_put_fresh(&batch, delta->added.items, delta->added.n);
	r = put_chains(&batch, desired, delta->rewrite);
	if (r == 0)
		r = batch_commit(&batch);
	if (r < 0)
		fail(firewall, r, "writing table inet " FIREWALL_TABLE, batch.text);
	batch_done(&batch);
	return r;
}

/* Up to READ_BACK_MAX of what was added, evenly spread, and that what was removed is gone. */
static int confirm(struct firewall *firewall, const struct delta *delta)
{
	const struct elements *added = &delta->added, *removed = &delta->removed;
	size_t step = added->n / READ_BACK_MAX + 1;
	struct elements sample = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < added->n; i += step)
		r = elements_add(&sample, &added->items[i]);
	if (r == 0)
		r = readback_elements(firewall->nl, sample.items, sample.n);
	elements_done(&sample);
	if (r == 0)
		r = readback_elements(firewall->nl, delta->refreshed.items,
				      delta->refreshed.n < READ_BACK_MAX ? delta->refreshed.n
									 : READ_BACK_MAX);
	for (size_t i = 0; r == 0 && i < removed->n && i < READ_BACK_MAX; i++) {
		if (set_rows[removed->items[i].set / 2].map)
			continue; /* may have been written anew with other data */
		r = readback_elements(firewall->nl, &removed->items[i], 1);
		r = r == -ENOENT ? 0 : r == 0 ? -EEXIST : r;
	}
	return r;
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

static int write_delta(struct firewall *firewall, const struct fw_desired *desired,
		       struct state *state, const struct delta *delta)
{
	int r = commit(firewall, desired, delta);

	forget(firewall);
	if (r < 0)
		return r;
	r = confirm(firewall, delta);
	if (r < 0)
		return fail(firewall, r, "reading back what was written", nl_error(firewall->nl));
	firewall->actual = *state;
	*state = (struct state){0};
	firewall->known = true;
	return 0;
}

/* Unchanged leases keep the end they have in the kernel. */
static void keep_ends(const struct state *actual, const struct delta *delta, struct state *state)
{
	size_t a = 0;

	(void)delta;
	for (size_t i = 0; i < state->elements.n; i++) {
		struct element *item = &state->elements.items[i];
		int order = -1;

		while (a < actual->elements.n &&
		       (order = element_compare(&actual->elements.items[a], item)) < 0)
			a++;
		if (a < actual->elements.n && order == 0 && item->expires_ms) {
			int64_t old = actual->elements.items[a].expires_ms;
			int64_t away = old < item->expires_ms ? item->expires_ms - old
							      : old - item->expires_ms;

			if (old && away <= LEASE_SLACK_MS)
				item->expires_ms = old;
		}
	}
}

static int apply_once(struct firewall *firewall, const struct fw_desired *desired,
		      struct fw_plan *ret_plan)
{
	struct state state = {0};
	struct delta delta = {0};
	int r = difference(firewall, desired, &state, &delta);

	if (r < 0)
		return r;
	keep_ends(&firewall->actual, &delta, &state);
	*ret_plan = delta_plan(&delta);
	r = write_delta(firewall, desired, &state, &delta);
	delta_done(&delta);
	state_done(&state);
	return r;
}

int firewall_apply(struct firewall *firewall, const struct fw_desired *desired,
		   struct fw_plan *ret_plan)
{
	bool from_memory = firewall->known;
	struct fw_plan plan = {0};
	int r;

	firewall->error[0] = '\0';
	r = apply_once(firewall, desired, &plan);
	/* What we remembered was not what stands: look, once. */
	if (from_memory && (r == -ENOENT || r == -EEXIST || r == -ENOTEMPTY))
		r = apply_once(firewall, desired, &plan);
	if (r == 0 && desired->role == FW_ROLE_WORKLOAD && desired->mode == FW_MODE_ENFORCE &&
	    desired->underlay_locked)
		r = forbid_pickup(firewall);
	if (r < 0)
		return r;
	if (ret_plan)
		*ret_plan = plan;
	return 0;
}

int firewall_verify(struct firewall *firewall)
{
	return -ENOSYS;
}

int firewall_refresh_leases(struct firewall *firewall, const struct fw_peer *peers, size_t n)
{
	return -ENOSYS;
}

int firewall_remove(struct firewall *firewall)
{
	return -ENOSYS;
}

int firewall_counters(struct firewall *firewall, struct fw_counters *ret)
{
	int r = readback_counters(firewall->nl, ret);

	return r < 0 ? fail(firewall, r, "reading counters of table inet " FIREWALL_TABLE,
			    nl_error(firewall->nl))
		     : 0;
}
