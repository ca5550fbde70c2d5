/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What holds while no agent runs: the rules without peers, from a file that the agent leaves behind.
 *
 * It is the agent's own table in its own layout, with nobody admitted, so that the agent adopts it and only adds. The file
 * is text, a word and its values a line, and has no secret in it.
 */
#pragma once
#include "common/err.h"
#include "firewall/firewall.h"
#include "netlink/nl.h"

#define GUARD_FILE	 "guard.txt" /* in the agent's state folder */
#define GUARD_FILE_MAX	 (256 * 1024)
#define GUARD_HUBS_MAX	 64
#define GUARD_RANGES_MAX 4096

struct guard {
	struct fw_desired desired; /* points to what follows */
	struct endpoint *hubs;
	struct fw_underlay *underlay, *egress;
	char (*container_ifnames)[IFNAMSIZ], (*uplink_ifnames)[IFNAMSIZ];
};

/*
 * locked: whether the underlay is to be closed before the agent is up, which a lock that nobody has confirmed yet is not.
 * *ret is malloc()ed.
 */
int guard_format(const struct fw_desired *desired, bool locked, char **ret);
/* -EINVAL with the line in err, -ENOMEM. */
int guard_parse(const char *text, struct guard *ret, struct err *err);
void guard_done(struct guard *guard);

/*
 * Does the table hold anything? 1: it stands, awake, and its base chains and those behind them have rules; 0: not.
 * Elements are not looked at, so this is cheap with a hundred thousand of them.
 */
int guard_table_stands(struct nl *nl);
