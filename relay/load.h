/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads, attaches and pins the eBPF program: what sortie-relay-load does, as functions for it and for tests.
 *
 * One filter an interface, with a handle and a priority of its own, replaced and never doubled. Pins of the same
 * layout are adopted, so sessions go on; pins of another layout are refused. Needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/err.h"
#include "relay/maps.h"

struct relay_load {
	const char *bpffs_dir; /* made if missing; its parent is on a bpf filesystem */
	const char *interfaces[RELAY_INTERFACES];
	size_t interface_count; /* what was attached elsewhere before is detached */
	uint16_t port;
	uid_t owner; /* who may open the maps */
};

/* 0 or a negative errno with err filled. After an error of a first load nothing stays; else what stood still stands. */
int relay_load(const struct relay_load *load, bool *ret_adopted, struct err *err);

/* Detaches and removes the pins, whatever layout they are of. The (empty) clsact qdisc stays: others may use it. */
int relay_unload(const char *bpffs_dir, struct err *err);
