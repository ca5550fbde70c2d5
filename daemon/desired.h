/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel of this host should hold, as plain data: pure, from verified state and nothing else.
 *
 * A struct desired owns all it points to, its private key included; desired_free() wipes it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/cleanup.h"
#include "common/err.h"
#include "daemon/choice.h"
#include "daemon/view.h"
#include "firewall/firewall.h"
#include "netlink/link.h"
#include "netlink/wireguard.h"
#include "policy/policy.h"
#include "trust/verify.h"

#define DESIRED_TUPLES_MAX	500000
#define DESIRED_HUB_KEEPALIVE_S 25 /* holds NAT bindings for the one flow that carries everything */
#define DESIRED_HUBS_MAX	CHOICE_MAX
#define DESIRED_WORST_METRIC	UINT32_MAX

/* Who a number in the firewall's log records is. */
struct desired_name {
	uint32_t number;
	struct id id;
	char name[NAME_MAX_TEXT];
};

struct desired {
	char ifname[IFNAMSIZ];
	struct wg_device wg; /* private key and peers; listen_port 0 until one was read back */
	uint16_t mtu;
	bool up;
	struct addr addrs[2]; /* /128 and /32 */
	size_t n_addrs;
	struct link_route routes[4]; /* oif 0 and not unreachable: our interface */
	size_t n_routes;
	struct fw_desired fw;
	struct desired_name *names; /* sorted by number */
	size_t n_names;
	char *hosts; /* content of the hosts file */
};

struct desired_input {
	const char *ifname;
	const struct root_statement *root;
	const struct view *view;     /* NULL: enrolled, nothing known yet: hub only */
	const struct policy *policy; /* NULL: none yet */
	int64_t policy_not_after;
	const struct key *k4;	/* private */
	struct addr ipv6, ipv4; /* our own */
	int64_t now;
	bool clock_sane;
	enum policy_mode
		least_mode; /* the strictest that somebody on this host asked for; OBSERVE: nobody */
	bool underlay_locked;
	bool down;	      /* the interface is lowered; the table stands all the same */
	uint16_t listen_port; /* as read back, 0 at first */
	const struct endpoint
		*hubs; /* the first is the one in use; none while names do not resolve */
	size_t n_hubs;
	const struct endpoint *hub_at; /* where the hub itself is looked for; NULL: the first */
	uint32_t api_uid;
	const char (*container_ifnames)[IFNAMSIZ], (*uplink_ifnames)[IFNAMSIZ];
	size_t n_container_ifnames, n_uplink_ifnames;
};

/* -ENOTUNIQ: two peers share an address or a key (err says which); -ENOMEM, -EFBIG. */
int desired_build(const struct desired_input *input, struct desired **ret, struct err *err);

/* The temporary interface of an enrolment: the hub, and nothing else. */
struct desired_join_input {
	const char *ifname;	 /* sortie0: the firewall's rules stand for it already */
	const char *join_ifname; /* sortie-join */
	const struct join_token *token;
	uint16_t enroll_port, api_port;
	uint16_t listen_port;
	const struct endpoint *hubs;
	size_t n_hubs;
	const struct endpoint *hub_at;
	uint32_t api_uid;
};
int desired_build_join(const struct desired_join_input *input, struct desired **ret,
		       struct err *err);

void desired_free(struct desired *desired);
DEFINE_CLEANUP(desired_free, struct desired *);

/* The peer is to be looked for there, and nothing else changes. */
void desired_point_peer(struct desired *desired, const struct key *public_key,
			const struct endpoint *to);
/* NULL where nobody has the number. */
const struct desired_name *desired_find_name(const struct desired *desired, uint32_t number);
/* The mode that holds: what policy says, or stricter. */
enum policy_mode desired_mode(const struct desired_input *input);
