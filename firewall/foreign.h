/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside other software: which of its chains drop what Sortie needs or policy allows, and the line that would allow it.
 *
 * Our accept is never enough: a drop in anybody's chain on the same hook holds. We do not touch foreign tables, we say what
 * stands there. For each thing that has to pass a packet is followed through every base chain of others (firewall/walk.h).
 *
 * Not seen: iptables-legacy's rules (their presence is told), bridge and netdev tables, named sets' content, eBPF.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "firewall/firewall.h"
#include "firewall/ruleset.h"

#define FOREIGN_FINDINGS_MAX   32
#define FOREIGN_WHERE_MAX      128
#define FOREIGN_WHAT_MAX       96
#define FOREIGN_LINE_MAX       256
#define FOREIGN_SENTENCE_MAX   512
#define FOREIGN_CONTAINERS_MAX 8

enum foreign_path {
	FOREIGN_HUB_OUT,    /* WireGuard's packets to the hub */
	FOREIGN_HUB_IN,	    /* the hub's answers */
	FOREIGN_LISTEN,	    /* on the hub: its UDP port */
	FOREIGN_OVERLAY_IN, /* what policy lets peers reach here, and answers to what we may reach */
	FOREIGN_OVERLAY_OUT,   /* the other way */
	FOREIGN_CONTAINER_OUT, /* containers to the overlay */
	FOREIGN_CONTAINER_IN,
	FOREIGN_UNREAD, /* rules that cannot be read */
	N_FOREIGN_PATHS,
};

enum foreign_software {
	FOREIGN_NFT, /* nobody in particular */
	FOREIGN_IPTABLES,
	FOREIGN_UFW,
	FOREIGN_FIREWALLD,
	FOREIGN_DOCKER,
	FOREIGN_LEGACY,
	N_FOREIGN_SOFTWARE,
};

struct foreign_finding {
	enum foreign_path path;
	enum foreign_software software;
	bool certain; /* every such packet is dropped; else it depends on what is not known here */
	char where[FOREIGN_WHERE_MAX]; /* "ip filter INPUT" */
	char what[FOREIGN_WHAT_MAX];   /* "tcp/5432 from the overlay" */
	char allow[FOREIGN_LINE_MAX];  /* the line for a root shell; "" where none is known */
};

struct foreign_question {
	const struct fw_desired *desired;
	struct addr ipv6, ipv4; /* our own in the overlay */
	unsigned int ifindex;	/* of desired->ifname; 0: not there */
	/* bridges that containers are behind; looked at where desired->containers */
	char containers[FOREIGN_CONTAINERS_MAX][IFNAMSIZ];
	size_t n_containers;
};

/* Pure. At most FOREIGN_FINDINGS_MAX, the certain ones first; malloc()ed. */
int foreign_check(const struct ruleset *ruleset, const struct foreign_question *question,
		  struct foreign_finding **ret, size_t *ret_n);

/* Reads the kernel of the caller's network namespace, then the same. */
int foreign_look(const struct foreign_question *question, struct foreign_finding **ret,
		 size_t *ret_n);

/* "ufw (ip filter INPUT) drops ...; to allow it: ..." */
const char *foreign_sentence(const struct foreign_finding *finding,
			     char text[FOREIGN_SENTENCE_MAX]);
const char *foreign_software_name(enum foreign_software software);

/* foreign_advice.c: whose chain it is, and its line. subject: what the line names. */
struct foreign_subject {
	const char *ifname;
	const char *bridge;	    /* NULL: none */
	const struct endpoint *hub; /* NULL where the path has none */
	uint16_t port;
};
enum foreign_software foreign_software_of(const struct ruleset *ruleset,
					  const struct rs_chain *chain);
void foreign_allow(enum foreign_software software, enum foreign_path path,
		   const struct rs_chain *chain, const struct foreign_subject *subject,
		   char ret[FOREIGN_LINE_MAX]);
