/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host gives an agent: disk, clock, kernel, names and ranges that are free. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include "daemon/beside.h"
#include "daemon/doctor_report.h"
#include "daemon/lease.h"

#define DISK_LEAST                                                                                 \
	(UINT64_C(4) << 20) /* an answer of 16 MiB is rare, one of some KiB must always fit */
#define DISK_LITTLE  (UINT64_C(64) << 20)
#define CONNTRACK    "/proc/sys/net/netfilter/nf_conntrack_"
#define FULL_PERCENT 90
#define CLOCK_AHEAD_S                                                                              \
	(365 *                                                                                     \
	 86400) /* since anything was signed: more than that is a wrong clock, or a dead network */

/* ---- the state folder ---- */

static const char *phase_text(const struct agent *agent)
{
	switch (agent->phase) {
	case AGENT_ENROLLED:
		return "enrolled";
	case AGENT_ENROLLING:
		return "enrolling";
	case AGENT_UNENROLLED:
		break;
	}
	return "not enrolled";
}

void doctor_check_state(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;

	if (doctor->host_only)
		return; /* has been said */
	if (agent->phase == AGENT_UNENROLLED)
		doctor_say(
			doctor, DOCTOR_FAIL,
			"make a token on the control plane and `sortie enroll --token file:PATH`",
			"%s: this host is not enrolled", agent->options.state);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s: %s%s%s", agent->options.state,
			   phase_text(agent), agent->name[0] ? " as " : "", agent->name);
}

void doctor_check_disk(struct doctor *doctor)
{
	const char *folder = doctor->agent->options.state;
	struct statvfs fs;
	uint64_t left;

	if (statvfs(folder, &fs) < 0) {
		doctor_say(doctor, DOCTOR_FAIL, "make the folder, or name another with --state",
			   "%s cannot be looked at: %s", folder, strerror(errno));
		return;
	}
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (fs.f_flag & ST_RDONLY)
		doctor_say(doctor, DOCTOR_FAIL, "mount it writable, or name another with --state",
			   "%s is on a read-only file system", folder);
	else if (left < DISK_LEAST || (fs.f_files && fs.f_favail == 0))
		doctor_say(doctor, DOCTOR_FAIL,
			   "make room: new policies and revocations are refused meanwhile",
			   "the disk of %s is full", folder);
	else
		doctor_say(doctor, left < DISK_LITTLE ? DOCTOR_WARN : DOCTOR_OK,
			   left < DISK_LITTLE ? "make room before it is full" : NULL,
			   "%llu MiB are free at %s", (unsigned long long)(left >> 20), folder);
}

/* ---- the clock ---- */

void doctor_check_clock(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;
	int64_t now = clock_wall(), signed_at = agent->floor.signed_at;
	char text[TIME_TEXT_MAX], newest[TIME_TEXT_MAX];

	(void)time_format(now, text);
	if (!agent_clock_sane(agent) && signed_at > now)
		doctor_say(doctor, DOCTOR_FAIL,
			   "set the clock (NTP): until then every admission counts as expired",
			   "it is %s here, but the network signed something at %s", text,
			   time_format(signed_at, newest));
	else if (!agent_clock_sane(agent))
		doctor_say(doctor, DOCTOR_FAIL,
			   "set the clock (NTP): until then every admission counts as expired",
			   "it is %s here, which cannot be", text);
	else if (strstr(agent->sync.problem, "clock-off"))
		doctor_say(doctor, DOCTOR_FAIL, "set the clock (NTP), here or there",
			   "it is %s here, and the control plane's clock says something else",
			   text);
	else if (signed_at && now - signed_at > CLOCK_AHEAD_S)
		doctor_say(doctor, DOCTOR_WARN, "compare the clock with another one",
			   "it is %s here, a year and more after the network last signed anything",
			   text);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s%s%s", text,
			   signed_at ? ", not before what the network signed last, "
				     : "; nothing signed is known yet",
			   signed_at ? time_format(signed_at, newest) : "");
}

/* ---- the kernel ---- */

void doctor_check_wireguard(struct doctor *doctor)
{
	enum wg_backend wanted = doctor->agent->options.backend;
	bool kernel = wg_available(WG_BACKEND_KERNEL) == 0;
	bool userspace = wg_available(WG_BACKEND_USERSPACE) == 0;

	if (wanted == WG_BACKEND_KERNEL && !kernel)
		doctor_say(doctor, DOCTOR_FAIL,
			   "load the module wireguard, or start sortied with --backend auto",
			   "--backend kernel, but this kernel has no WireGuard");
	else if (wanted == WG_BACKEND_USERSPACE && !userspace)
		doctor_say(doctor, DOCTOR_FAIL, "install wireguard-go, or load the module tun",
			   "--backend userspace, but wireguard-go or /dev/net/tun is missing");
	else if (!kernel && !userspace)
		doctor_say(doctor, DOCTOR_FAIL,
			   "load the module wireguard, or install wireguard-go",
			   "this host has neither kernel WireGuard nor wireguard-go with "
			   "/dev/net/tun");
	else if (!kernel || wanted == WG_BACKEND_USERSPACE)
		doctor_say(doctor, DOCTOR_WARN,
			   "a kernel with WireGuard (5.6 and newer) is faster and survives more",
			   "WireGuard runs in user space (wireguard-go)");
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the kernel has WireGuard");
}

/* Whatever this host's table will be, this one has a row of each kind in it. */
static struct fw_desired sample(const struct agent *agent)
{
	struct fw_desired fw = {.role = FW_ROLE_WORKLOAD,
				.mode = FW_MODE_ENFORCE,
				.underlay_locked = true,
				.listen_port = 51820,
				.api_port = 7140,
				.enroll_port = 7141};

	(void)snprintf(fw.ifname, sizeof(fw.ifname), "%s", agent->options.interface);
	(void)snprintf(fw.join_ifname, sizeof(fw.join_ifname), "%s", agent->options.join_interface);
	(void)prefix_parse("fd00::/48", &fw.overlay6);
	(void)prefix_parse("10.0.0.0/16", &fw.overlay4);
	(void)addr_parse("fd00::1", &fw.hub6);
	(void)addr_parse("10.0.0.1", &fw.hub4);
	(void)addr_parse("fd00::2", &fw.own6);
	(void)addr_parse("10.0.0.2", &fw.own4);
	return fw;
}

void doctor_check_nftables(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;
	struct fw_desired fw = sample(agent);
	struct err err = {0};
	int r;

	if (!agent->kernel)
		return; /* has been said */
	r = kernel_try_firewall(agent->kernel, &fw, &err);
	if (r == -EPERM && doctor->alone)
		doctor_say(doctor, DOCTOR_OK, NULL, "a running agent owns the table");
	else if (r < 0)
		doctor_say(doctor, DOCTOR_FAIL,
			   "a kernel of 6.1 or newer with nf_tables, its sets, nft_ct, nft_log, "
			   "nft_reject, nft_fib and nft_limit is needed",
			   "the kernel does not take the rules: %s", err.text);
	else
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "the kernel takes all kinds of sets and rules that are needed");
}

static bool read_number(const char *path, unsigned long long *ret)
{
	FILE *file = fopen(path, "re");
	bool found = file && fscanf(file, "%llu", ret) == 1;

	if (file)
		(void)fclose(file);
	return found;
}

void doctor_check_conntrack(struct doctor *doctor)
{
	unsigned long long count, most;

	if (!read_number(CONNTRACK "count", &count) || !read_number(CONNTRACK "max", &most))
		doctor_say(doctor, DOCTOR_FAIL, "load the module nf_conntrack",
			   "the kernel has no connection tracking: replies cannot be told from "
			   "requests");
	else if (most && count * 100 > most * FULL_PERCENT)
		doctor_say(doctor, DOCTOR_FAIL, "raise net.netfilter.nf_conntrack_max",
			   "the kernel tracks %llu of at most %llu flows: new ones are dropped",
			   count, most);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%llu of %llu flows are tracked", count, most);
}

void doctor_check_records(struct doctor *doctor)
{
	if (doctor->alone)
		return;
	if (doctor->agent->nflog)
		doctor_say(doctor, DOCTOR_OK, NULL, "what is denied is recorded (nflog group %d)",
			   FIREWALL_NFLOG_GROUP);
	else
		doctor_say(doctor, DOCTOR_WARN,
			   "load the module nfnetlink_log, or stop what listens on that group, "
			   "and restart sortied",
			   "denied packets are not recorded: nflog group %d is not to be had",
			   FIREWALL_NFLOG_GROUP);
}

/* ---- what others have taken ---- */

void doctor_check_ranges(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;
	const struct root_statement *root = agent->trust ? trust_root(agent->trust) : NULL;
	struct err err = {0};
	char v6[PREFIX_TEXT_MAX], v4[PREFIX_TEXT_MAX] = "";

	if (!root || !agent->kernel)
		return;
	if (addr_is_set(&root->overlay4.addr))
		(void)prefix_format(&root->overlay4, v4);
	if (kernel_check_range(agent->kernel, &root->overlay6, agent->options.interface, &err) <
		    0 ||
	    kernel_check_range(agent->kernel, &root->overlay4, agent->options.interface, &err) < 0)
		doctor_say(doctor, DOCTOR_FAIL, "change or remove that address or route", "%s",
			   err.text);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "nobody else here uses %s%s%s",
			   prefix_format(&root->overlay6, v6), v4[0] ? " or " : "", v4);
}

static void say_interface(struct doctor *doctor, const struct link_info *link)
{
	const struct agent *agent = doctor->agent;

	if (agent->down)
		doctor_say(doctor, DOCTOR_FAIL, "`sortie up`",
			   "%s was lowered by `sortie down`: nobody is reachable", link->name);
	else if (!link->up)
		doctor_say(doctor, DOCTOR_FAIL, "sortied raises it: see its log if it stays down",
			   "%s is down: nobody is reachable", link->name);
	else if (agent->desired && link->mtu != agent->desired->mtu)
		doctor_say(doctor, DOCTOR_FAIL, "sortied sets it: stop what changes it",
			   "%s has an MTU of %u, the network's is %u", link->name, link->mtu,
			   agent->desired->mtu);
	else if (agent->listen_port == 0)
		doctor_say(doctor, DOCTOR_FAIL,
			   "free UDP ports on this host (net.ipv4.ip_local_port_range)",
			   "WireGuard on %s has no UDP port", link->name);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is up (%s), UDP port %u", link->name,
			   link->kind, agent->listen_port);
}

void doctor_check_interface(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;
	const char *name = agent->options.interface;
	struct link_info link;
	int r;

	if (doctor->host_only || !agent->kernel)
		return; /* whose it is cannot be told */
	r = kernel_link(agent->kernel, name, &link);
	if (agent->phase != AGENT_ENROLLED && r == 0)
		doctor_say(doctor, DOCTOR_FAIL,
			   "start sortied with another --interface (a hub on this host needs the "
			   "one that is there), or remove what nobody uses",
			   "%s exists already: enrolment would be refused", name);
	else if (agent->phase != AGENT_ENROLLED)
		doctor_say(doctor, DOCTOR_OK, NULL, "the name %s is free", name);
	else if (r < 0)
		doctor_say(doctor, DOCTOR_FAIL,
			   doctor->alone ? "start sortied: it makes it" : "see sortied's log",
			   "%s does not exist", name);
	else
		say_interface(doctor, &link);
}

/* ---- what sortied wants and what stands ---- */

static void check_plan(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;
	const struct doctor_path *path = &doctor->path;
	size_t steps = 0;
	char first[160];
	struct err err = {0};

	if (agent->phase != AGENT_ENROLLED || !agent->kernel)
		return;
	for (size_t i = 0; i < path->n_legs; i++)
		agent->hubs.choice.list[i] = path->legs[i].to;
	agent->hubs.choice.n = path->n_legs;
	if (agent_look(agent, &steps, first, &err) < 0)
		doctor_say(doctor, DOCTOR_FAIL, "sortied would not start until that is put right",
			   "%s", err.text);
	else if (steps)
		doctor_say(doctor, DOCTOR_WARN, "start sortied: it takes them",
			   "the kernel differs from what should hold by %zu step%s, the first: %s",
			   steps, steps == 1 ? "" : "s", first);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the kernel holds what it should");
}

void doctor_check_kernel(struct doctor *doctor)
{
	struct agent *agent = doctor->agent;
	struct err err = {0};
	int r;

	if (doctor->alone) {
		check_plan(doctor);
		return;
	}
	if (agent->phase != AGENT_ENROLLED)
		return;
	r = agent->trouble[0] ? 0 : kernel_verify_firewall(agent->kernel, &err);
	if (agent->trouble[0])
		doctor_say(doctor, DOCTOR_FAIL, "put that right: sortied tries again every 10 s",
			   "%s", agent->trouble);
	else if (r != 0)
		doctor_say(doctor, DOCTOR_FAIL,
			   "sortied puts it back: find the program that changes it", "%s",
			   err.text[0] ? err.text : strerror(-r));
	else if (agent->repaired)
		doctor_say(doctor, DOCTOR_WARN,
			   "find the program that does (nft flush, ip link): sortied's log has "
			   "the times",
			   "the kernel holds what it should, but something else changed it %llu "
			   "times since sortied started",
			   (unsigned long long)agent->repaired);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the kernel holds what it should");
}

/* ---- other software's rules ---- */

static void say_finding(struct doctor *doctor, const struct foreign_finding *finding)
{
	char todo[FOREIGN_LINE_MAX + 16] = "allow it there";

	if (finding->allow[0])
		(void)snprintf(todo, sizeof(todo), "`%s`", finding->allow);
	if (finding->path == FOREIGN_UNREAD)
		doctor_say(doctor, DOCTOR_WARN, "look at them with iptables-legacy-save",
			   "the rules of %s are loaded and cannot be read", finding->where);
	else
		doctor_say(doctor, finding->certain ? DOCTOR_FAIL : DOCTOR_WARN, todo,
			   "%s (%s) %s %s", foreign_software_name(finding->software),
			   finding->where, finding->certain ? "drops" : "may drop", finding->what);
}

/* Where nothing is desired yet, the way to the hub is what is known. */
static struct fw_desired known_desired(const struct doctor *doctor,
				       struct endpoint hubs[DESIRED_HUBS_MAX])
{
	struct fw_desired fw = {.role = FW_ROLE_WORKLOAD};

	if (doctor->agent->desired)
		return doctor->agent->desired->fw;
	(void)snprintf(fw.ifname, sizeof(fw.ifname), "%s", doctor->agent->options.interface);
	for (size_t i = 0; i < doctor->path.n_legs; i++)
		hubs[fw.n_hubs++] = doctor->path.legs[i].to;
	fw.hubs = hubs;
	return fw;
}

void doctor_check_others(struct doctor *doctor)
{
	_cleanup_(freep) struct foreign_finding *findings = NULL;
	struct endpoint hubs[DESIRED_HUBS_MAX];
	struct fw_desired fw = known_desired(doctor, hubs);
	size_t n = 0;
	int r;

	if (!doctor->agent->kernel)
		return; /* has been said */
	r = beside_look(doctor->agent, &fw, &findings, &n);
	if (r < 0)
		doctor_say(doctor, DOCTOR_WARN, "start it as root",
			   "the rules of other software cannot be read: %s", strerror(-r));
	else if (n == 0)
		doctor_say(doctor, DOCTOR_OK, NULL,
			   "no rules of other software drop what is needed here");
	for (size_t i = 0; i < n; i++)
		say_finding(doctor, &findings[i]);
}
