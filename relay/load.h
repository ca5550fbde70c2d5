/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads, attaches and pins the eBPF programs: what sortie-relay-load does, as functions for it and for tests.
 *
 * Where they are attached: relay/hook.h. Pins of the same layout are adopted, so sessions go on; pins of another layout
 * are refused. Needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/err.h"
#include "relay/hook.h"
#include "relay/maps.h"

struct relay_load {
	const char *bpffs_dir; /* made if missing; its parent is on a bpf filesystem */
	const char *interfaces[RELAY_INTERFACES];
	size_t interface_count; /* what was attached elsewhere before is detached */
	enum hook_wish hook;
	uint16_t port;
	uint16_t alt_port; /* 0: none */
	uid_t owner;	   /* who may open the maps */
};

struct relay_loaded {
	bool adopted;
	struct hook_result interfaces[RELAY_INTERFACES]; /* as they are in struct relay_load */
};

/* 0 or a negative errno with err filled. After an error of a first load nothing stays; else what stood still stands. */
int relay_load(const struct relay_load *load, struct relay_loaded *ret, struct err *err);

/* Detaches and removes the pins, whatever layout they are of. The (empty) clsact qdisc stays: others may use it. */
int relay_unload(const char *bpffs_dir, struct err *err);
