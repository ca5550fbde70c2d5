/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was measured on the way to the hub (doctor_path.c), and what the control plane said, as sentences. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "daemon/doctor_report.h"
#include "daemon/mode.h"

#define SESSION_S      180 /* WireGuard's REJECT_AFTER_TIME */
#define OVERHEAD_IPV4  (20 + 8 + 32)
#define OVERHEAD_IPV6  (40 + 8 + 32)
#define POLICY_ALARM_S (3 * 86400)

/* ---- names ---- */

void doctor_check_names(struct doctor *doctor)
{
	const struct doctor_path *path = &doctor->path;
	size_t failed = 0, named = 0;

	for (size_t i = 0; i < path->n_names; i++) {
		failed += path->names[i].error < 0;
		named += path->names[i].n_found > 0;
	}
	for (size_t i = 0; i < path->n_names; i++) {
		const struct doctor_name *name = &path->names[i];

		if (name->error < 0)
			doctor_say(doctor, failed == path->n_names ? DOCTOR_FAIL : DOCTOR_WARN,
				   "repair DNS here (/etc/resolv.conf) or the name's records",
				   "%s does not resolve: %s", name->text,
				   name->error == -ENOENT ? "no such name"
							  : strerror(-name->error));
		else if (name->n_found)
			doctor_say(doctor, DOCTOR_OK, NULL, "%s resolves to %zu address%s",
				   name->text, name->n_found, name->n_found == 1 ? "" : "es");
	}
	if (path->n_names && !failed && !named)
		doctor_say(doctor, DOCTOR_OK, NULL, "the hub's endpoints are addresses, not names");
}

/* ---- UDP to each endpoint ---- */

static const char *why_silent(const struct doctor_leg *leg, char text[160])
{
	char endpoint[ENDPOINT_TEXT_MAX];

	(void)endpoint_format(&leg->to, endpoint);
	if (leg->refused == ECONNREFUSED)
		(void)snprintf(text, 160, "%s: nothing listens there", endpoint);
	else if (leg->refused)
		(void)snprintf(text, 160, "%s: a router answers \"%s\"", endpoint,
			       strerror(leg->refused));
	else
		(void)snprintf(text, 160, "%s: no answer by UDP", endpoint);
	return text;
}

/* The hub has no peer of our key any more, and says nothing to others: what the control plane said last tells. */
static bool is_shut_out(const struct agent *agent)
{
	return agent_revoked(agent) || strstr(agent->sync.problem, "(suspended)");
}

static const char *what_to_do(const struct agent *agent, const struct doctor_leg *leg)
{
	if (is_shut_out(agent))
		return "the hub answers nobody who is suspended or revoked, as this host is: see below";
	if (leg->refused == ECONNREFUSED)
		return "start the hub, or its --endpoint is wrong";
	return "is the hub up, and was this identity not revoked? Allow outbound UDP to that port, "
	       "and its replies, in the firewalls between";
}

/*
 * A NAT that gives each destination another port lets no answer in that comes from where the session began, and the hub's
 * other port is open to WireGuard alone: to anything else its host says that nobody listens. So UDP does arrive.
 */
static bool arrives_all_the_same(const struct doctor_path *path, const struct doctor_leg *leg)
{
	if (!leg->asked || leg->in_use || leg->refused != ECONNREFUSED || !leg->refused_by_hub)
		return false;
	for (size_t i = 0; i < path->n_legs; i++)
		if (path->legs[i].answered && addr_equal(&path->legs[i].to.addr, &leg->to.addr))
			return true;
	return false;
}

static void say_leg(struct doctor *doctor, const struct doctor_leg *leg, bool any_answers)
{
	char text[160], endpoint[ENDPOINT_TEXT_MAX];

	(void)endpoint_format(&leg->to, endpoint);
	if (leg->answered)
		doctor_say(doctor, DOCTOR_OK, NULL, "%s answers by UDP in %.2f ms%s%s", endpoint,
			   leg->round_trip_us / 1000.0, leg->in_use ? ", in use" : "",
			   leg->by_another ? ", from where the session began" : "");
	else if (leg->route_error && any_answers)
		doctor_say(doctor, DOCTOR_OK, NULL, "%s is not used: this host has no %s route",
			   endpoint, leg->to.addr.family == AF_INET ? "IPv4" : "IPv6");
	else if (leg->route_error)
		doctor_say(doctor, DOCTOR_FAIL, "repair this host's routes", "%s: %s", endpoint,
			   strerror(leg->route_error));
	else if (arrives_all_the_same(&doctor->path, leg))
		doctor_say(
			doctor, DOCTOR_OK, NULL,
			"%s: UDP arrives at its host; the hub's own answer does not come through "
			"this host's NAT",
			endpoint);
	else if (leg->asked)
		doctor_say(doctor, leg->in_use || !any_answers ? DOCTOR_FAIL : DOCTOR_WARN,
			   what_to_do(doctor->agent, leg), "%s%s", why_silent(leg, text),
			   leg->in_use ? ", and it is the one in use" : "");
	else if (leg->refused)
		doctor_say(doctor, DOCTOR_FAIL, what_to_do(doctor->agent, leg), "%s",
			   why_silent(leg, text));
}

void doctor_check_hub(struct doctor *doctor)
{
	const struct doctor_path *path = &doctor->path;
	bool any = false;

	for (size_t i = 0; i < path->n_legs; i++)
		any |= path->legs[i].answered;
	for (size_t i = 0; i < path->n_legs; i++)
		say_leg(doctor, &path->legs[i], any);
	if (doctor->agent->phase == AGENT_ENROLLED && !path->tunnel)
		doctor_say(doctor, DOCTOR_FAIL, "see the lines above",
			   "the hub was not asked: there is no tunnel to ask it through");
	else if (doctor->agent->phase == AGENT_ENROLLED && path->n_legs == 0)
		doctor_say(doctor, DOCTOR_FAIL, "see the lines above",
			   "the hub was not asked: no address of it is known");
}

void doctor_check_handshake(struct doctor *doctor)
{
	const struct doctor_path *path = &doctor->path;
	int64_t age = clock_wall() - path->handshake_at;

	if (!path->tunnel)
		return;
	if (path->handshake_at == 0)
		doctor_say(doctor, DOCTOR_FAIL,
			   "where UDP arrives: was this identity revoked, or the hub made anew?",
			   "there was no handshake with the hub yet");
	else if (age > SESSION_S)
		doctor_say(doctor, DOCTOR_FAIL,
			   "where UDP arrives: was this identity revoked, or the hub made anew?",
			   "the last handshake with the hub was %lld s ago, sessions end at %d s",
			   (long long)age, SESSION_S);
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the last one with the hub was %lld s ago",
			   (long long)(age > 0 ? age : 0));
}

/* ---- sizes ---- */

static bool leg_fits(struct doctor *doctor, const struct doctor_leg *leg, uint32_t overlay)
{
	bool ipv4 = leg->to.addr.family == AF_INET;
	uint32_t overhead = ipv4 ? OVERHEAD_IPV4 : OVERHEAD_IPV6;
	char endpoint[ENDPOINT_TEXT_MAX], from[ADDR_TEXT_MAX], todo[160];

	if (!leg->mtu || leg->mtu >= overlay + overhead)
		return true;
	if (leg->mtu > overhead + 1280)
		(void)snprintf(todo, sizeof(todo),
			       "raise that MTU, or make the network with --mtu %u or less",
			       leg->mtu - overhead);
	else
		(void)snprintf(todo, sizeof(todo), "raise that MTU to %u", overlay + overhead);
	doctor_say(doctor, DOCTOR_FAIL, todo,
		   "on the way to %s only %u bytes fit (%s says so), the network's MTU of %u needs "
		   "%u: large packets between sites are lost",
		   endpoint_format(&leg->to, endpoint), leg->mtu,
		   addr_is_set(&leg->mtu_from) ? addr_format(&leg->mtu_from, from) : "this host",
		   overlay, overlay + overhead);
	return false;
}

static void say_fits(struct doctor *doctor, uint32_t overlay)
{
	const struct doctor_path *path = &doctor->path;
	bool ipv4 = false, ipv6 = false;

	for (size_t i = 0; i < path->n_legs; i++) {
		ipv4 |= path->legs[i].answered && path->legs[i].to.addr.family == AF_INET;
		ipv6 |= path->legs[i].answered && path->legs[i].to.addr.family == AF_INET6;
	}
	doctor_say(doctor, DOCTOR_OK, NULL, "packets of %u bytes arrive%s%s%s", overlay,
		   ipv4 || ipv6 ? " by " : "",
		   ipv4 && ipv6 ? "IPv4 and "
		   : ipv4	? "IPv4"
				: "",
		   ipv6 ? "IPv6" : "");
}

void doctor_check_mtu(struct doctor *doctor)
{
	const struct doctor_path *path = &doctor->path;
	uint32_t overlay = doctor->agent->desired ? doctor->agent->desired->mtu : 0;
	bool fits = true;

	for (size_t i = 0; overlay && i < path->n_legs; i++)
		fits &= leg_fits(doctor, &path->legs[i], overlay);
	if (path->full_asked && !path->full_answered)
		doctor_say(doctor, DOCTOR_FAIL,
			   "let ICMP \"too big\" through, or raise the smallest MTU on the way",
			   "small packets reach the hub, packets of %u bytes do not", overlay);
	else if (path->full_asked && fits)
		say_fits(doctor, overlay);
}

/* ---- the control plane ---- */

void doctor_check_control(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;
	char text[TIME_TEXT_MAX];

	if (doctor->alone || agent->phase != AGENT_ENROLLED || agent->down)
		return;
	if (agent->sync.answers && !agent->sync.problem[0])
		doctor_say(doctor, DOCTOR_OK, NULL, "it answers, last at %s",
			   time_format(agent->sync.succeeded_at, text));
	else
		doctor_say(doctor, DOCTOR_FAIL,
			   "where the hub answers: see `sortie status` and the log there", "%s%s%s",
			   agent->sync.problem[0] ? agent->sync.problem
						  : "the control plane was not heard yet",
			   agent->sync.succeeded_at ? ", last at " : "",
			   agent->sync.succeeded_at ? time_format(agent->sync.succeeded_at, text)
						    : "");
}

static void check_policy(struct doctor *doctor, int64_t now)
{
	const struct policy_statement *policy = trust_policy_statement(doctor->agent->trust);
	char text[TIME_TEXT_MAX];

	if (!policy)
		doctor_say(doctor, DOCTOR_WARN, "`sortie policy apply FILE` on the control plane",
			   "there is no policy: everything is denied");
	else if (policy->not_after <= now)
		doctor_say(doctor, DOCTOR_FAIL, "`sortie policy apply FILE` on the control plane",
			   "policy %llu ended at %s: nobody is reachable",
			   (unsigned long long)policy->version,
			   time_format(policy->not_after, text));
	else if (policy->not_after - now < POLICY_ALARM_S)
		doctor_say(doctor, DOCTOR_WARN, "`sortie policy apply FILE` on the control plane",
			   "policy %llu ends at %s", (unsigned long long)policy->version,
			   time_format(policy->not_after, text));
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "policy %llu holds until %s",
			   (unsigned long long)policy->version,
			   time_format(policy->not_after, text));
}

void doctor_check_admission(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;
	const struct view *view = agent->view;
	int64_t now = clock_wall();
	char text[TIME_TEXT_MAX];

	if (agent->phase != AGENT_ENROLLED || !agent->trust)
		return;
	if (!view)
		doctor_say(doctor, DOCTOR_FAIL, "see the lines above",
			   "the control plane has not admitted this host yet");
	else if (view->self_revoked)
		doctor_say(doctor, DOCTOR_FAIL, "`sortie leave`, then enrol again with a new token",
			   "this identity was revoked, for ever");
	else if (view->self.lease_not_after <= now)
		doctor_say(doctor, DOCTOR_FAIL,
			   "where the control plane answers: was it suspended? `sortie identity "
			   "resume` there",
			   "the lease of this host ended at %s: nobody is reachable",
			   time_format(view->self.lease_not_after, text));
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "the lease holds until %s",
			   time_format(view->self.lease_not_after, text));
	check_policy(doctor, now);
	if (view && view->n_refused)
		doctor_say(doctor, DOCTOR_WARN,
			   "their keys or statements were changed on the way: tell the operator",
			   "%zu peers do not verify and are left out: %s", view->n_refused,
			   view->refusal.text);
}

void doctor_check_underlay(struct doctor *doctor)
{
	const struct agent *agent = doctor->agent;

	if (agent->phase != AGENT_ENROLLED || !agent->desired)
		return;
	if (mode_confirm_left(agent))
		doctor_say(doctor, DOCTOR_WARN,
			   "`sortie confirm`, from a login that began after it",
			   "the underlay is locked, which is undone in %u s unless it is confirmed",
			   mode_confirm_left(agent));
	else if (agent->local.held)
		doctor_say(doctor, DOCTOR_WARN, "`sortie mode enforce --confirm 60s`",
			   "a lock was undone, and nothing locks the underlay again unasked");
	else if (agent->enforce_pending)
		doctor_say(doctor, DOCTOR_WARN,
			   "`sortie status` lists them: end them, serve them in the policy's "
			   "`underlay`, or `sortie mode enforce --confirm 60s`",
			   "enforce is pending: %zu inbound connections would be cut, so the "
			   "underlay only records",
			   agent->n_pending);
	else if (agent->desired->fw.mode == FW_MODE_OBSERVE)
		doctor_say(doctor, DOCTOR_WARN, "set mode overlay or enforce in the policy",
			   "mode observe: nothing is dropped between paired identities and on the "
			   "underlay");
	else
		doctor_say(doctor, DOCTOR_OK, NULL, "%s",
			   agent->desired->fw.mode == FW_MODE_ENFORCE
				   ? "enforce: closed to what nobody asked for"
				   : "overlay: left alone, as policy or this host says");
}
