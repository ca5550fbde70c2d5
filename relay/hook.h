/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching the programs to one interface: filters at tc ingress and egress always, and XDP in front of them where it
 * is wanted and the driver takes it.
 *
 * The filters have a handle and a priority of their own and are replaced, never doubled. XDP is a link, pinned beside
 * the maps as "link-INDEX": it outlives the process, nothing else replaces it, and a later load updates its program.
 * It is detached before its pin goes, because the kernel lets go of it some time later.
 */
#pragma once
#include <stdint.h>
#include "common/err.h"
#include "relay/maps.h"

enum hook_wish {
	HOOK_AUTO, /* XDP in the driver where that is known to work, else tc alone */
	HOOK_XDP,
	HOOK_XDP_GENERIC,
	HOOK_TC,
};

struct hook_programs {
	int ingress, egress, xdp; /* descriptors */
};

struct hook_result {
	enum relay_hook hook;
	char why[160]; /* HOOK_AUTO without XDP: what is in its way; else empty */
};

/* "auto", "xdp", "generic", "tc". */
int hook_wish_parse(const char *text, enum hook_wish *ret);
const char *hook_name(enum relay_hook hook);

/*
 * before is how the interface stands in the layout, 0-initialised where it does not. What was asked for by name and
 * cannot be had is an error; then the filters are attached all the same, and XDP is as it was.
 */
int hook_attach(const char *dir, const char *name, const struct relay_interface *before,
		const struct relay_interface *interface, const struct hook_programs *programs,
		enum hook_wish wish, struct hook_result *ret, struct err *err);
/*
 * Does it still stand as it says? -ENODEV (the interface is gone) or -ENOENT (it was taken off), and *interface is what is left:
 * tc where XDP is missing, all zero where a filter is.
 */
int hook_check(struct relay_interface *interface, struct err *err);
/* Also where the interface is gone, and what was attached with it. */
void hook_detach(const char *dir, uint32_t index);
/* Removes every link that is pinned in dir. */
void hook_links_remove(const char *dir);
