/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose chain is it, and which line makes an exception there. One row a program and path.
 *
 * Lines are pasted into root shells: names of tables, chains and interfaces appear in one only where they are plain words.
 */
#include <ctype.h>
#include <netinet/in.h> /* first: linux/in.h gives way to it */
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>
#include "firewall/foreign.h"

#define WORD_MAX 256

static const char *const software_names[N_FOREIGN_SOFTWARE] = {
	[FOREIGN_NFT] = "nftables",  [FOREIGN_IPTABLES] = "iptables",
	[FOREIGN_UFW] = "ufw",	     [FOREIGN_FIREWALLD] = "firewalld",
	[FOREIGN_DOCKER] = "Docker", [FOREIGN_LEGACY] = "iptables-legacy",
};

const char *foreign_software_name(enum foreign_software software)
{
	return software_names[software];
}

#define TRUSTED "firewall-cmd --zone=trusted --add-interface="

/* {ip}: "ip" or "ip6"; {6}: "" or "6"; {-t}: "" or " -t TABLE". NULL: there is no such line. */
static const char *const lines[N_FOREIGN_SOFTWARE][N_FOREIGN_PATHS] = {
	[FOREIGN_UFW] =
		{
			[FOREIGN_HUB_OUT] = "ufw allow out proto udp to {addr} port {port}",
			[FOREIGN_HUB_IN] = "ufw allow in proto udp from {addr} port {port}",
			[FOREIGN_LISTEN] = "ufw allow {port}/udp",
			[FOREIGN_OVERLAY_IN] = "ufw allow in on {if}",
			[FOREIGN_OVERLAY_OUT] = "ufw allow out on {if}",
			[FOREIGN_CONTAINER_OUT] = "ufw route allow out on {if}",
			[FOREIGN_CONTAINER_IN] = "ufw route allow in on {if}",
		},
	[FOREIGN_FIREWALLD] =
		{
			[FOREIGN_LISTEN] = "firewall-cmd --add-port={port}/udp",
			[FOREIGN_OVERLAY_IN] = TRUSTED "{if}",
			[FOREIGN_CONTAINER_IN] = TRUSTED "{if}",
			[FOREIGN_CONTAINER_OUT] = TRUSTED "{bridge}",
		},
	[FOREIGN_DOCKER] =
		{
			[FOREIGN_CONTAINER_OUT] = "ip{6}tables -I DOCKER-USER -o {if} -j ACCEPT",
			[FOREIGN_CONTAINER_IN] = "ip{6}tables -I DOCKER-USER -i {if} -j ACCEPT",
		},
	[FOREIGN_IPTABLES] =
		{
			[FOREIGN_HUB_OUT] =
				"ip{6}tables{-t} -I {chain} -d {addr} -p udp --dport {port} -j ACCEPT",
			[FOREIGN_HUB_IN] =
				"ip{6}tables{-t} -I {chain} -s {addr} -p udp --sport {port} -j ACCEPT",
			[FOREIGN_LISTEN] =
				"ip{6}tables{-t} -I {chain} -p udp --dport {port} -j ACCEPT",
			[FOREIGN_OVERLAY_IN] = "ip{6}tables{-t} -I {chain} -i {if} -j ACCEPT",
			[FOREIGN_OVERLAY_OUT] = "ip{6}tables{-t} -I {chain} -o {if} -j ACCEPT",
			[FOREIGN_CONTAINER_OUT] = "ip{6}tables{-t} -I {chain} -o {if} -j ACCEPT",
			[FOREIGN_CONTAINER_IN] = "ip{6}tables{-t} -I {chain} -i {if} -j ACCEPT",
		},
	[FOREIGN_NFT] =
		{
			[FOREIGN_HUB_OUT] =
				"nft insert rule {family} {table} {chain} {ip} daddr {addr} udp dport {port} accept",
			[FOREIGN_HUB_IN] =
				"nft insert rule {family} {table} {chain} {ip} saddr {addr} udp sport {port} accept",
			[FOREIGN_LISTEN] =
				"nft insert rule {family} {table} {chain} udp dport {port} accept",
			[FOREIGN_OVERLAY_IN] =
				"nft insert rule {family} {table} {chain} iifname {if} accept",
			[FOREIGN_OVERLAY_OUT] =
				"nft insert rule {family} {table} {chain} oifname {if} accept",
			[FOREIGN_CONTAINER_OUT] =
				"nft insert rule {family} {table} {chain} oifname {if} accept",
			[FOREIGN_CONTAINER_IN] =
				"nft insert rule {family} {table} {chain} iifname {if} accept",
		},
};

/* ---- whose ---- */

static bool has_chain(const struct ruleset *ruleset, const struct rs_chain *beside,
		      const char *prefix)
{
	for (uint32_t i = 0; i < ruleset->n_chains; i++) {
		const struct rs_chain *chain = &ruleset->chains[i];

		if (chain->family == beside->family && strcmp(chain->table, beside->table) == 0 &&
		    strncmp(chain->name, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

static bool is_one_of(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(text, *list) == 0)
			return true;
	return false;
}

/* iptables-nft makes tables and chains of the old names, and marks them in no way. */
static bool is_iptables(const struct rs_chain *chain)
{
	static const char *const tables[] = {"filter", "nat", "mangle", "raw", "security", NULL};
	static const char *const chains[] = {"PREROUTING", "INPUT",	  "FORWARD",
					     "OUTPUT",	   "POSTROUTING", NULL};

	return chain->family != NFPROTO_INET && is_one_of(chain->table, tables) &&
	       is_one_of(chain->name, chains);
}

enum foreign_software foreign_software_of(const struct ruleset *ruleset,
					  const struct rs_chain *chain)
{
	if (strcmp(chain->table, "firewalld") == 0)
		return FOREIGN_FIREWALLD;
	if (!is_iptables(chain))
		return FOREIGN_NFT;
	if (strcmp(chain->table, "filter") == 0) {
		/* ufw's rules outlive a boot, so they are the better place where both are there */
		if (has_chain(ruleset, chain, "ufw-user-") ||
		    has_chain(ruleset, chain, "ufw6-user-"))
			return FOREIGN_UFW;
		if (chain->hook == NF_INET_FORWARD && has_chain(ruleset, chain, "DOCKER-USER"))
			return FOREIGN_DOCKER;
	}
	return FOREIGN_IPTABLES;
}

/* ---- the line ---- */

static bool is_word(const char *text)
{
	if (!isalpha((unsigned char)*text) && *text != '_')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("_-.", *text))
			return false;
	return true;
}

/* What stands for {name}; false: nothing that may stand in a line. */
static bool expand(const char *name, const struct rs_chain *chain,
		   const struct foreign_subject *subject, char ret[WORD_MAX])
{
	bool v6 = subject->hub ? subject->hub->addr.family == AF_INET6
			       : chain->family == NFPROTO_IPV6;
	const char *word = NULL;

	*ret = '\0';
	if (strcmp(name, "if") == 0)
		word = subject->ifname;
	else if (strcmp(name, "bridge") == 0)
		word = subject->bridge;
	else if (strcmp(name, "table") == 0)
		word = chain->table;
	else if (strcmp(name, "chain") == 0)
		word = chain->name;
	else if (strcmp(name, "family") == 0)
		word = chain->family == NFPROTO_INET ? "inet" : v6 ? "ip6" : "ip";
	else if (strcmp(name, "ip") == 0)
		word = v6 ? "ip6" : "ip";
	else if (strcmp(name, "6") == 0)
		return snprintf(ret, WORD_MAX, "%s", v6 ? "6" : "") < WORD_MAX;
	else if (strcmp(name, "port") == 0)
		return snprintf(ret, WORD_MAX, "%u", subject->port) < WORD_MAX;
	else if (strcmp(name, "addr") == 0 && subject->hub)
		return addr_format(&subject->hub->addr, ret) != NULL;
	else if (strcmp(name, "-t") == 0)
		return strcmp(chain->table, "filter") == 0 ||
		       (is_word(chain->table) &&
			snprintf(ret, WORD_MAX, " -t %s", chain->table) < WORD_MAX);
	if (!word || !is_word(word))
		return false;
	return snprintf(ret, WORD_MAX, "%s", word) < WORD_MAX;
}

void foreign_allow(enum foreign_software software, enum foreign_path path,
		   const struct rs_chain *chain, const struct foreign_subject *subject,
		   char ret[FOREIGN_LINE_MAX])
{
	const char *at = lines[software][path];
	char name[WORD_MAX], word[WORD_MAX];
	size_t n = 0;

	*ret = '\0';
	while (at && *at && n + 1 < FOREIGN_LINE_MAX) {
		const char *end = *at == '{' ? strchr(at, '}') : NULL;

		if (!end) {
			ret[n++] = *at++;
			continue;
		}
		(void)snprintf(name, sizeof(name), "%.*s", (int)(end - at - 1), at + 1);
		if (!expand(name, chain, subject, word) || n + strlen(word) >= FOREIGN_LINE_MAX)
			break;
		n += (size_t)sprintf(ret + n, "%s", word);
		at = end + 1;
	}
	/* half a line is none */
	ret[at && !*at ? n : 0] = '\0';
}

/* ---- for people ---- */

const char *foreign_sentence(const struct foreign_finding *finding, char text[FOREIGN_SENTENCE_MAX])
{
	const char *does = finding->certain ? "drops" : "may drop";

	if (finding->path == FOREIGN_UNREAD)
		(void)snprintf(text, FOREIGN_SENTENCE_MAX, "%s: %s", finding->where, finding->what);
	else if (finding->allow[0])
		(void)snprintf(text, FOREIGN_SENTENCE_MAX, "%s (%s) %s %s; to allow it: %s",
			       foreign_software_name(finding->software), finding->where, does,
			       finding->what, finding->allow);
	else
		(void)snprintf(text, FOREIGN_SENTENCE_MAX, "%s (%s) %s %s; allow it there",
			       foreign_software_name(finding->software), finding->where, does,
			       finding->what);
	return text;
}
