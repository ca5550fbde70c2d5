/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packets that have to pass, sent through everybody's chains.
 *
 * Of what policy allows a few different ports in each direction are tried, with a peer's address: who opens ports one by one
 * in ufw has to hear which is missing. Only the first finding of a chain and path is kept, a certain one before others.
 */
#include "firewall/foreign.h"
#include <errno.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include "firewall/walk.h"

#define SAMPLES_MAX 16
#define SOMEBODY    250 /* last byte of an address of the overlay, like any other */

struct search {
	const struct ruleset *ruleset;
	const struct foreign_question *question;
	struct foreign_finding *findings;
	size_t n;
};

/* What is asked of every chain on the packet's hook. */
struct probe {
	enum foreign_path path;
	struct walk_packet packet;
	struct foreign_subject subject;
	bool published; /* to a port that a container publishes */
	char what[FOREIGN_WHAT_MAX];
};

/* ---- findings ---- */

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV6 ? "ip6" : "ip";
}

/* Foreign names are shown, so they are made printable. */
static void write_where(const struct rs_chain *chain, char ret[FOREIGN_WHERE_MAX])
{
	(void)snprintf(ret, FOREIGN_WHERE_MAX, "%s %s %s", family_name(chain->family), chain->table,
		       chain->name);
	for (char *c = ret; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static struct foreign_finding *find_same(const struct search *search,
					 const struct foreign_finding *finding)
{
	for (size_t i = 0; i < search->n; i++) {
		struct foreign_finding *other = &search->findings[i];

		if (other->path == finding->path &&
		    (strcmp(other->where, finding->where) == 0 ||
		     (finding->allow[0] && strcmp(other->allow, finding->allow) == 0)))
			return other;
	}
	return NULL;
}

static void add(struct search *search, const struct foreign_finding *finding)
{
	struct foreign_finding *same = find_same(search, finding);

	if (same && finding->certain && !same->certain)
		*same = *finding;
	if (!same && search->n < FOREIGN_FINDINGS_MAX)
		search->findings[search->n++] = *finding;
}

static bool hears(const struct rs_chain *chain, const struct walk_packet *packet)
{
	return chain->base && chain->hook == packet->hook &&
	       (chain->family == NFPROTO_INET ||
		chain->family == (packet->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4));
}

/* Docker opens what it publishes by itself, one rule a container: nothing to say where nothing is published. */
static bool looks_after_itself(const struct search *search, const struct rs_chain *chain)
{
	for (uint32_t i = 0; i < search->ruleset->n_chains; i++)
		if (strcmp(search->ruleset->chains[i].name, "DOCKER-USER") == 0 &&
		    strcmp(search->ruleset->chains[i].table, chain->table) == 0)
			return true;
	return false;
}

static void ask(struct search *search, const struct probe *probe)
{
	for (uint32_t i = 0; i < search->ruleset->n_chains; i++) {
		const struct rs_chain *chain = &search->ruleset->chains[i];
		struct foreign_finding finding = {.path = probe->path};
		unsigned int out;

		if (!hears(chain, &probe->packet))
			continue;
		out = walk_chain(search->ruleset, chain, &probe->packet);
		if (!(out & WALK_DROP) || (probe->published && looks_after_itself(search, chain)))
			continue;
		finding.certain = !(out & WALK_ACCEPT) && !search->ruleset->cut;
		finding.software = foreign_software_of(search->ruleset, chain);
		write_where(chain, finding.where);
		memcpy(finding.what, probe->what, sizeof(finding.what));
		foreign_allow(finding.software, probe->path, chain, &probe->subject, finding.allow);
		add(search, &finding);
	}
}

/* ---- packets ---- */

static struct walk_if interface_named(const char *name, unsigned int index)
{
	struct walk_if ret = {.kind = WALK_IF_NAMED, .index = index};

	(void)snprintf(ret.name, sizeof(ret.name), "%s", name);
	return ret;
}

static struct walk_if overlay_if(const struct search *search)
{
	return interface_named(search->question->desired->ifname, search->question->ifindex);
}

/* The underlay's: any that is neither loopback nor ours. */
static struct walk_if underlay_if(const struct search *search)
{
	struct walk_if ret = overlay_if(search);

	ret.kind = WALK_IF_SOME;
	return ret;
}

static void ask_incoming(struct search *search, struct probe *probe, struct walk_if in)
{
	probe->packet.in = in;
	probe->packet.destination_type = RTN_LOCAL;
	probe->packet.source_type = RTN_UNICAST;
	probe->packet.hook = NF_INET_PRE_ROUTING;
	ask(search, probe);
	probe->packet.hook = NF_INET_LOCAL_IN;
	ask(search, probe);
}

static void ask_outgoing(struct search *search, struct probe *probe, struct walk_if out)
{
	probe->packet.out = out;
	probe->packet.source_type = RTN_LOCAL;
	probe->packet.destination_type = RTN_UNICAST;
	probe->packet.hook = NF_INET_LOCAL_OUT;
	ask(search, probe);
	probe->packet.hook = NF_INET_POST_ROUTING;
	ask(search, probe);
}

/* ---- the way to the hub ---- */

static void ask_hub(struct search *search)
{
	const struct fw_desired *desired = search->question->desired;
	const struct endpoint *hub = desired->hubs;
	struct probe probe = {.path = FOREIGN_HUB_OUT};
	char text[ENDPOINT_TEXT_MAX];

	if (desired->n_hubs == 0) /* its name does not resolve yet */
		return;
	(void)endpoint_format(hub, text);
	probe.subject =
		(struct foreign_subject){.ifname = desired->ifname, .hub = hub, .port = hub->port};
	probe.packet = (struct walk_packet){.destination = hub->addr,
					    .v6 = hub->addr.family == AF_INET6,
					    .protocol = IPPROTO_UDP,
					    .source_port = desired->listen_port,
					    .destination_port = hub->port};
	(void)snprintf(probe.what, sizeof(probe.what), "WireGuard's packets to the hub at %s",
		       text);
	ask_outgoing(search, &probe, underlay_if(search));

	probe.path = FOREIGN_HUB_IN;
	probe.packet = (struct walk_packet){.source = hub->addr,
					    .v6 = hub->addr.family == AF_INET6,
					    .protocol = IPPROTO_UDP,
					    .source_port = hub->port,
					    .destination_port = desired->listen_port,
					    .state = WALK_ESTABLISHED,
					    .reply = true};
	(void)snprintf(probe.what, sizeof(probe.what), "the answers of the hub at %s", text);
	ask_incoming(search, &probe, underlay_if(search));
}

static bool serves_family(const struct fw_desired *desired, int family)
{
	for (size_t i = 0; i < desired->n_hubs; i++)
		if (desired->hubs[i].addr.family == family)
			return true;
	return desired->n_hubs == 0;
}

/* On the hub: datagrams of everybody, and the API in the tunnel. */
static void ask_listen(struct search *search, bool v6)
{
	const struct fw_desired *desired = search->question->desired;
	struct probe probe = {.path = FOREIGN_LISTEN};

	if (!serves_family(desired, v6 ? AF_INET6 : AF_INET))
		return;
	probe.subject =
		(struct foreign_subject){.ifname = desired->ifname, .port = desired->listen_port};
	probe.packet = (struct walk_packet){
		.v6 = v6, .protocol = IPPROTO_UDP, .destination_port = desired->listen_port};
	(void)snprintf(probe.what, sizeof(probe.what), "what sites send to UDP port %u",
		       desired->listen_port);
	ask_incoming(search, &probe, underlay_if(search));
	probe.packet = (struct walk_packet){.v6 = v6,
					    .protocol = IPPROTO_UDP,
					    .source_port = desired->listen_port,
					    .state = WALK_ESTABLISHED,
					    .reply = true};
	(void)snprintf(probe.what, sizeof(probe.what), "what goes to sites from UDP port %u",
		       desired->listen_port);
	ask_outgoing(search, &probe, underlay_if(search));
}

static void ask_api(struct search *search, bool v6)
{
	const struct fw_desired *desired = search->question->desired;
	const struct addr *own = v6 ? &desired->hub6 : &desired->hub4;
	struct addr somebody = v6 ? desired->overlay6.addr : desired->overlay4.addr;
	struct probe probe = {.path = FOREIGN_OVERLAY_IN};

	if (!addr_is_set(own) || !desired->api_port)
		return;
	probe.subject = (struct foreign_subject){.ifname = desired->ifname};
	if (addr_is_set(&somebody))
		somebody.bytes[addr_length(&somebody) - 1] = SOMEBODY;
	probe.packet = (struct walk_packet){.source = somebody,
					    .destination = *own,
					    .v6 = v6,
					    .protocol = IPPROTO_TCP,
					    .destination_port = desired->api_port};
	(void)snprintf(probe.what, sizeof(probe.what), "agents' calls to TCP port %u on %s",
		       desired->api_port, desired->ifname);
	ask_incoming(search, &probe, overlay_if(search));
}

/* ---- what policy allows ---- */

struct samples {
	const struct fw_tuple *tuples[SAMPLES_MAX];
	size_t n;
};

static bool is_sampled(const struct samples *samples, const struct fw_tuple *tuple)
{
	for (size_t i = 0; i < samples->n; i++)
		if (samples->tuples[i]->protocol == tuple->protocol &&
		    samples->tuples[i]->port_low == tuple->port_low)
			return true;
	return false;
}

static struct samples take_samples(const struct fw_desired *desired, bool inbound)
{
	struct samples samples = {.n = 0};

	for (size_t i = 0; i < desired->n_tuples && samples.n < SAMPLES_MAX; i++)
		if (desired->tuples[i].inbound == inbound &&
		    desired->tuples[i].peer < desired->n_peers &&
		    !is_sampled(&samples, &desired->tuples[i]))
			samples.tuples[samples.n++] = &desired->tuples[i];
	return samples;
}

static const char *write_port(const struct fw_tuple *tuple, char text[24])
{
	if (tuple->protocol == IPPROTO_ICMP)
		(void)snprintf(text, 24, "echo");
	else
		(void)snprintf(text, 24, "%s/%u", tuple->protocol == IPPROTO_TCP ? "tcp" : "udp",
			       tuple->port_low);
	return text;
}

static void set_protocol(const struct fw_tuple *tuple, bool answer, struct walk_packet *packet)
{
	packet->protocol = tuple->protocol;
	if (answer) {
		packet->state = WALK_ESTABLISHED;
		packet->reply = true;
	}
	if (tuple->protocol != IPPROTO_ICMP) {
		*(answer ? &packet->source_port : &packet->destination_port) = tuple->port_low;
	} else if (packet->v6) {
		packet->protocol = IPPROTO_ICMPV6;
		packet->icmp_type = answer ? ICMPV6_ECHO_REPLY : ICMPV6_ECHO_REQUEST;
	} else {
		packet->icmp_type = answer ? ICMP_ECHOREPLY : ICMP_ECHO;
	}
}

/* A packet of the flow that goes this way: its opening one, or an answer. */
static void ask_tuple(struct search *search, const struct fw_tuple *tuple, bool incoming, bool v6)
{
	const struct foreign_question *question = search->question;
	const struct fw_peer *peer = &question->desired->peers[tuple->peer];
	const struct addr *own = v6 ? &question->ipv6 : &question->ipv4;
	const struct addr *other = v6 ? &peer->ipv6 : &peer->ipv4;
	bool answer = tuple->inbound != incoming;
	struct probe probe = {.path = incoming ? FOREIGN_OVERLAY_IN : FOREIGN_OVERLAY_OUT};
	char port[24];

	if (!addr_is_set(own) || !addr_is_set(other))
		return;
	probe.subject = (struct foreign_subject){.ifname = question->desired->ifname};
	probe.packet = (struct walk_packet){.source = incoming ? *other : *own,
					    .destination = incoming ? *own : *other,
					    .v6 = v6};
	set_protocol(tuple, answer, &probe.packet);
	(void)snprintf(probe.what, sizeof(probe.what), "%s%s %s the overlay, which policy allows",
		       answer ? "answers of " : "", write_port(tuple, port),
		       incoming ? "from" : "to");
	if (incoming)
		ask_incoming(search, &probe, overlay_if(search));
	else
		ask_outgoing(search, &probe, overlay_if(search));
}

static void ask_policy(struct search *search, bool v6)
{
	for (int outbound = 0; outbound <= 1; outbound++) {
		struct samples samples = take_samples(search->question->desired, !outbound);

		for (size_t i = 0; i < samples.n; i++) {
			ask_tuple(search, samples.tuples[i], true, v6);
			ask_tuple(search, samples.tuples[i], false, v6);
		}
	}
}

/* ---- containers ---- */

static void ask_container(struct search *search, const char *bridge, bool v6)
{
	const struct foreign_question *question = search->question;
	struct probe probe = {.path = FOREIGN_CONTAINER_OUT,
			      .subject = {.ifname = question->desired->ifname, .bridge = bridge}};

	probe.packet = (struct walk_packet){.hook = NF_INET_FORWARD,
					    .in = interface_named(bridge, 0),
					    .out = overlay_if(search),
					    .v6 = v6,
					    .protocol = IPPROTO_TCP,
					    .source_type = RTN_UNICAST,
					    .destination_type = RTN_UNICAST};
	(void)snprintf(probe.what, sizeof(probe.what), "what containers of %s send to the overlay",
		       bridge);
	ask(search, &probe);
	probe.path = FOREIGN_CONTAINER_IN;
	probe.packet.in = overlay_if(search);
	probe.packet.out = interface_named(bridge, 0);
	probe.packet.state = WALK_ESTABLISHED;
	probe.packet.reply = true;
	(void)snprintf(probe.what, sizeof(probe.what), "answers of the overlay to containers of %s",
		       bridge);
	ask(search, &probe);
	probe.packet.state = WALK_NEW;
	probe.packet.reply = false;
	probe.packet.dnat = true;
	probe.published = true;
	(void)snprintf(probe.what, sizeof(probe.what), "what the overlay sends to containers of %s",
		       bridge);
	ask(search, &probe);
}

/* ---- all of it ---- */

static void tell_of_legacy(struct search *search)
{
	bool both = search->ruleset->legacy_ip && search->ruleset->legacy_ip6;
	struct foreign_finding finding = {.path = FOREIGN_UNREAD, .software = FOREIGN_LEGACY};

	if (!search->ruleset->legacy_ip && !search->ruleset->legacy_ip6)
		return;
	(void)snprintf(finding.where, sizeof(finding.where), "%s",
		       both			    ? "iptables-legacy, ip6tables-legacy"
		       : search->ruleset->legacy_ip ? "iptables-legacy"
						    : "ip6tables-legacy");
	(void)snprintf(finding.what, sizeof(finding.what),
		       "loaded, cannot be read here; iptables-legacy-save shows what it drops");
	add(search, &finding);
}

static void ask_family(struct search *search, bool v6)
{
	const struct foreign_question *question = search->question;

	if (question->desired->role == FW_ROLE_HUB) {
		ask_listen(search, v6);
		ask_api(search, v6);
		return;
	}
	ask_policy(search, v6);
	for (size_t i = 0; question->desired->containers && i < question->n_containers; i++)
		ask_container(search, question->containers[i], v6);
}

static int certain_first(const void *a, const void *b)
{
	const struct foreign_finding *left = a, *right = b;

	if (left->certain != right->certain)
		return left->certain ? -1 : 1;
	return (int)left->path - (int)right->path;
}

int foreign_check(const struct ruleset *ruleset, const struct foreign_question *question,
		  struct foreign_finding **ret, size_t *ret_n)
{
	struct search search = {.ruleset = ruleset, .question = question};

	search.findings = calloc(FOREIGN_FINDINGS_MAX, sizeof(*search.findings));
	if (!search.findings)
		return -ENOMEM;
	if (question->desired->role == FW_ROLE_WORKLOAD)
		ask_hub(&search);
	ask_family(&search, false);
	ask_family(&search, true);
	tell_of_legacy(&search);
	qsort(search.findings, search.n, sizeof(*search.findings), certain_first);
	*ret = search.findings;
	*ret_n = search.n;
	return 0;
}

int foreign_look(const struct foreign_question *question, struct foreign_finding **ret,
		 size_t *ret_n)
{
	_cleanup_(ruleset_freep) struct ruleset *ruleset = NULL;
	_cleanup_(nl_closep) struct nl *nl = NULL;
	int r = nl_open(NETLINK_NETFILTER, &nl);

	if (r == 0)
		r = ruleset_read(nl, &ruleset);
	return r < 0 ? r : foreign_check(ruleset, question, ret, ret_n);
}
