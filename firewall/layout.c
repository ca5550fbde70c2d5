/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names, sets and base chains; the rows that both roles share: logs and what becomes of a denied packet.
 *
 * Every base chain accepts by default: what is dropped is dropped by our rules, for our interfaces and addresses;
 * everything else on the host is not ours to judge.
 */
#include "firewall/layout.h"
#include <linux/netfilter.h>
#include <stdio.h>
#include "common/cleanup.h"
#include "firewall/terms.h"

const struct set_row set_rows[N_SET_KINDS] = {
	[SET_LIVE] = {"live", SHAPE_ADDR, .timeout = true},
	[SET_KNOWN] = {"known", SHAPE_ADDR},
	[SET_ID] = {"id", SHAPE_ADDR, .map = true},
	[SET_IN] = {"in", SHAPE_TUPLE, .counter = true},
	[SET_IN_TIMED] = {"in_timed", SHAPE_TUPLE, .timeout = true, .counter = true},
	[SET_IN_KEEP] = {"in_keep", SHAPE_TUPLE, .timeout = true, .counter = true},
	[SET_IN_RANGE] = {"in_range", SHAPE_TUPLE, .timeout = true, .interval = true},
	[SET_IN_RANGE_KEEP] = {"in_range_keep", SHAPE_TUPLE, .timeout = true, .interval = true},
	[SET_IN_ECHO] = {"in_echo", SHAPE_ADDR, .timeout = true},
	[SET_IN_ECHO_KEEP] = {"in_echo_keep", SHAPE_ADDR, .timeout = true},
	[SET_OUT] = {"out", SHAPE_TUPLE, .counter = true},
	[SET_OUT_TIMED] = {"out_timed", SHAPE_TUPLE, .timeout = true, .counter = true},
	[SET_OUT_KEEP] = {"out_keep", SHAPE_TUPLE, .timeout = true, .counter = true},
	[SET_OUT_RANGE] = {"out_range", SHAPE_TUPLE, .timeout = true, .interval = true},
	[SET_OUT_RANGE_KEEP] = {"out_range_keep", SHAPE_TUPLE, .timeout = true, .interval = true},
	[SET_OUT_ECHO] = {"out_echo", SHAPE_ADDR, .timeout = true},
	[SET_OUT_ECHO_KEEP] = {"out_echo_keep", SHAPE_ADDR, .timeout = true},
	[SET_HUB] = {"hub", SHAPE_ENDPOINT},
	[SET_UNDERLAY] = {"underlay", SHAPE_TUPLE, .interval = true},
	[SET_EGRESS] = {"egress", SHAPE_TUPLE, .interval = true},
	[SET_CONTAINER] = {"container", SHAPE_IFNAME},
};
const char *const counter_names[N_COUNTERS] = {
	[COUNTER_IN] = "denied_in",
	[COUNTER_OUT] = "denied_out",
	[COUNTER_UNDERLAY] = "denied_underlay",
	[COUNTER_SPOOF] = "denied_spoofed",
	[COUNTER_WOULD] = "would_deny",
};

const char *const log_prefixes[N_PREFIXES] = {
	[PREFIX_IN] = "in deny",
	[PREFIX_OUT] = "out deny",
	[PREFIX_UNDERLAY] = "underlay deny",
	[PREFIX_SPOOF] = "spoof deny",
	[PREFIX_WOULD_IN] = "would in deny",
	[PREFIX_WOULD_OUT] = "would out deny",
	[PREFIX_WOULD_UNDERLAY] = "would underlay deny",
};

const char *const chain_names[N_CHAINS] = {
	[CHAIN_RAW] = "base_raw",
	[CHAIN_PRE] = "base_prerouting",
	[CHAIN_INPUT] = "base_input",
	[CHAIN_FORWARD] = "base_forward",
	[CHAIN_OUTPUT] = "base_output",
	[CHAIN_POST] = "base_postrouting",
	[CHAIN_POST_OVERLAY] = "post_overlay",
	[CHAIN_POST_NAT] = "post_nat",
	[CHAIN_FROM_OVERLAY] = "from_overlay",
	[CHAIN_FROM_HUB] = "from_hub",
	[CHAIN_FROM_ENROLLING] = "from_enrolling",
	[CHAIN_FROM_PEER] = "from_peer",
	[CHAIN_FROM_PEER_REPLY] = "from_peer_reply",
	[CHAIN_TO_OVERLAY] = "to_overlay",
	[CHAIN_TO_HUB] = "to_hub",
	[CHAIN_TO_PEER] = "to_peer",
	[CHAIN_TO_PEER_REPLY] = "to_peer_reply",
	[CHAIN_TO_PEER_NOW] = "to_peer_now",
	[CHAIN_TO_NOBODY] = "to_nobody",
	[CHAIN_FORWARD_IN] = "forward_in",
	[CHAIN_FORWARD_OUT] = "forward_out",
	[CHAIN_UNDERLAY_IN] = "underlay_in",
	[CHAIN_UNDERLAY_OUT] = "underlay_out",
	[CHAIN_UNDERLAY_FORWARD] = "underlay_forward",
	[CHAIN_EGRESS] = "egress",
	[CHAIN_EGRESS_FORWARD] = "egress_forward",
	[CHAIN_DENY_IN] = "deny_in",
	[CHAIN_DENY_OUT] = "deny_out",
	[CHAIN_DROP_OUT] = "drop_out",
	[CHAIN_DENY_UNDERLAY] = "deny_underlay",
	[CHAIN_DENY_EGRESS] = "deny_egress",
	[CHAIN_DENY_SPOOF] = "deny_spoof",
	[CHAIN_DENY_PORT] = "deny_port",
	[CHAIN_WOULD_IN] = "would_in",
	[CHAIN_WOULD_OUT] = "would_out",
	[CHAIN_LOG_IN] = "log_in",
	[CHAIN_LOG_OUT] = "log_out",
	[CHAIN_LOG_UNDERLAY] = "log_underlay",
	[CHAIN_LOG_SPOOF] = "log_spoof",
	[CHAIN_LOG_WOULD_IN] = "log_would_in",
	[CHAIN_LOG_WOULD_OUT] = "log_would_out",
	[CHAIN_LOG_WOULD_UNDERLAY] = "log_would_underlay",
};

/*
 * -310: before conntrack, so that junk on WireGuard's port costs nothing. -150: behind conntrack (-200), before DNAT (-100)
 * and before local DNAT, so that ports are those that policy speaks of. Postrouting sees what NAT made of a packet.
 */
const struct base_chain base_chains[N_BASE_CHAINS] = {
	[CHAIN_RAW] = {"filter", NF_INET_PRE_ROUTING, -310},
	[CHAIN_PRE] = {"filter", NF_INET_PRE_ROUTING, -150},
	[CHAIN_INPUT] = {"filter", NF_INET_LOCAL_IN, -5},
	[CHAIN_FORWARD] = {"filter", NF_INET_FORWARD, -5},
	[CHAIN_OUTPUT] = {"filter", NF_INET_LOCAL_OUT, -150},
	[CHAIN_POST] = {"filter", NF_INET_POST_ROUTING, -150},
};

/* The record's mark is the number of the identity on that side, or 0; the packet keeps its own mark. */
#define ROWS_LOG(chain, side, prefix)                                                              \
	ROW(chain, BOTH, 0, T(LOG_##side, PREFIX_##prefix), RETURN),                               \
		ROW(chain, ANY, 0, T(LOG, PREFIX_##prefix))

static const struct rule_row common_rows[] = {
	/* Never to an address that is not this host's, also where it is only watched. */
	ROW(DENY_IN, BOTH, WHEN_OBSERVE, SOURCE_IN(KNOWN), DESTINATION(OVERLAY),
	    T(DESTINATION_TYPE, RTN_LOCAL), GOTO(WOULD_IN)),
	ROW(DENY_IN, ANY, 0, LIMIT, JUMP(LOG_IN)),
	ROW(DENY_IN, ANY, 0, COUNT(IN), DROP),

	ROW(WOULD_IN, ANY, 0, LIMIT, JUMP(LOG_WOULD_IN)),
	ROW(WOULD_IN, ANY, 0, COUNT(WOULD), ACCEPT),

	/* Refused at once: an ICMP error that meets a connect() counts only at its first retransmission, a reset at once. */
	ROW(DENY_OUT, BOTH, WHEN_OBSERVE, DESTINATION_IN(KNOWN), TO_OVERLAY, GOTO(WOULD_OUT)),
	ROW(DENY_OUT, ANY, 0, LIMIT, JUMP(LOG_OUT)),
	ROW(DENY_OUT, ANY, 0, COUNT(OUT)),
	ROW(DENY_OUT, ANY, 0, PROTO(TCP), T(RESET, 0)),
	ROW(DENY_OUT, ANY, 0, T(PROHIBIT, 0)),
	ROW(DENY_OUT, ANY, 0, DROP),

	ROW(WOULD_OUT, ANY, 0, LIMIT, JUMP(LOG_WOULD_OUT)),
	ROW(WOULD_OUT, ANY, 0, COUNT(WOULD), ACCEPT),

	/* Where the kernel knows no reject, and for what others send through this host. */
	ROW(DROP_OUT, ANY, 0, LIMIT, JUMP(LOG_OUT)),
	ROW(DROP_OUT, ANY, 0, COUNT(OUT), DROP),

	ROW(DENY_SPOOF, ANY, 0, LIMIT, JUMP(LOG_SPOOF)),
	ROW(DENY_SPOOF, ANY, 0, COUNT(SPOOF), DROP),

	ROW(DENY_UNDERLAY, ANY, WHEN_RECORDED, LIMIT, JUMP(LOG_WOULD_UNDERLAY)),
	ROW(DENY_UNDERLAY, ANY, WHEN_RECORDED, COUNT(WOULD), ACCEPT),
	ROW(DENY_UNDERLAY, ANY, 0, LIMIT, JUMP(LOG_UNDERLAY)),
	ROW(DENY_UNDERLAY, ANY, 0, COUNT(UNDERLAY), DROP),

	/* As DENY_OUT: whoever asked is told at once. */
	ROW(DENY_EGRESS, ANY, WHEN_RECORDED, GOTO(DENY_UNDERLAY)),
	ROW(DENY_EGRESS, ANY, 0, LIMIT, JUMP(LOG_UNDERLAY)),
	ROW(DENY_EGRESS, ANY, 0, COUNT(UNDERLAY)),
	ROW(DENY_EGRESS, ANY, 0, PROTO(TCP), T(RESET, 0)),
	ROW(DENY_EGRESS, ANY, 0, T(PROHIBIT, 0)),
	ROW(DENY_EGRESS, ANY, 0, DROP),

	ROWS_LOG(LOG_IN, SOURCE, IN),
	ROWS_LOG(LOG_OUT, DESTINATION, OUT),
	ROWS_LOG(LOG_SPOOF, SOURCE, SPOOF),
	ROWS_LOG(LOG_WOULD_IN, SOURCE, WOULD_IN),
	ROWS_LOG(LOG_WOULD_OUT, DESTINATION, WOULD_OUT),
	ROW(LOG_UNDERLAY, ANY, 0, T(LOG, PREFIX_UNDERLAY)),
	ROW(LOG_WOULD_UNDERLAY, ANY, 0, T(LOG, PREFIX_WOULD_UNDERLAY)),
};

const struct rule_row *layout_common(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(common_rows);
	return common_rows;
}

uint16_t layout_when(const struct fw_desired *desired)
{
	bool underlay = desired->mode != FW_MODE_OVERLAY;
	bool locked = desired->mode == FW_MODE_ENFORCE && desired->underlay_locked;
	unsigned int when = 0;

	when |= desired->join_ifname[0] ? WHEN_JOIN : 0;
	when |= desired->containers ? WHEN_CONTAINERS : WHEN_NO_CONTAINERS;
	when |= desired->mode == FW_MODE_OBSERVE ? WHEN_OBSERVE : 0;
	when |= underlay ? WHEN_UNDERLAY : 0;
	when |= locked ? WHEN_LOCKED : 0;
	when |= underlay && !locked ? WHEN_RECORDED : 0;
	when |= desired->listen_port ? WHEN_PORT : 0;
	when |= underlay && desired->egress_locked ? WHEN_EGRESS : WHEN_NO_EGRESS;
	return (uint16_t)when;
}

const char *set_name(unsigned int set, char text[32])
{
	(void)snprintf(text, 32, "%s%c", set_rows[set / 2].name, set % 2 ? '6' : '4');
	return text;
}

unsigned int set_key_length(unsigned int set)
{
	unsigned int address = set % 2 ? 16 : 4;

	switch (set_rows[set / 2].shape) {
	case SHAPE_ADDR:
		return address;
	case SHAPE_TUPLE:
		return address + 8;
	case SHAPE_ENDPOINT:
		return address + 4;
	case SHAPE_IFNAME:
		return IFNAMSIZ;
	}
	return 0;
}
