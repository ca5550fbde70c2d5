/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status: of the agent on this host; where there is none but a control plane, of that.
 *
 * The first line says the most: identity, mode, backend, hub round trip, policy version, lease end, last deny.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "api/local.h"
#include "cli/call.h"
#include "cli/output.h"
#include "common/clock.h"

#define CHECK_TIMEOUT_MS 3000 /* who checks every few seconds wants to know now */

static void print_lines(const char *title, char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		printf("%s ", title);
		print_text(stdout, lines[i]);
		putchar('\n');
	}
}

static void print_mode(const struct local_status *status)
{
	printf(", %s%s", status->mode, status->enforce_pending ? " (pending)" : "");
}

static void print_hub(const struct local_status *status)
{
	double ms = status->hub_round_trip_us / 1000.0;
	if (status->down)
		printf(", hub not asked");
	else if (status->hub_answers)
		printf(ms < 10 ? ", hub %.2f ms" : ", hub %.1f ms", ms);
	else
		printf(", hub does not answer");
}

static void print_first_line(const struct local_status *status, int64_t now)
{
	char text[DISTANCE_TEXT_MAX];
	if (status->enrolling) {
		puts("enrolling: the hub is asked until it answers; `sortie leave` ends that");
		return;
	}
	if (!status->enrolled) {
		puts("not enrolled: `sortie enroll --token file:PATH`");
		return;
	}
	if (status->down)
		printf("down, ");
	printf("%s", status->name);
	if (status->revoked)
		printf(", revoked");
	print_mode(status);
	printf(", %s", status->backend);
	print_hub(status);
	if (status->policy_version)
		printf(", policy %" PRIu64, status->policy_version);
	else
		printf(", no policy: everything is denied");
	if (status->lease_not_after == 0)
		printf(", no lease yet");
	else
		printf(", lease %s%s", status->lease_not_after > now ? "ends " : "ended ",
		       distance_format(status->lease_not_after, now, text));
	if (status->last_deny[0])
		printf(", last deny %s: %s", distance_format(status->last_deny_at, now, text),
		       status->last_deny);
	putchar('\n');
}

static void print_self(const struct local_status *status, int64_t now)
{
	char address[ADDR_TEXT_MAX], text[DISTANCE_TEXT_MAX];
	if (!status->enrolled)
		return;
	printf("network     %s, interface %s\nid          %s\naddress     %s", status->network,
	       status->interface, status->id, addr_format(&status->ipv6, address));
	if (addr_is_set(&status->ipv4))
		printf(", %s", addr_format(&status->ipv4, address));
	printf("\nhub         %s\n", status->hub);
	printf("control     %s", status->control_answers ? "answers"
				 : status->down		 ? "not asked"
				 : status->control_at	 ? "does not answer"
							 : "has not answered yet");
	if (status->control_at)
		printf(", last %s", distance_format(status->control_at, now, text));
	printf("; revision %" PRIu64 "\n", status->revision);
	if (status->policy_version)
		printf("policy ends %s\n", distance_format(status->policy_not_after, now, text));
}

static void print_counters(const struct local_counters *counters)
{
	printf("denied      in %" PRIu64 ", out %" PRIu64 ", underlay %" PRIu64
	       ", spoofed %" PRIu64,
	       counters->denied_in, counters->denied_out, counters->denied_underlay,
	       counters->denied_spoofed);
	printf("; would deny %" PRIu64 "; repaired %" PRIu64 "\n", counters->would_deny,
	       counters->repaired);
}

/* What only may be dropped is doctor's; here it would be said to everybody with a rate limit. */
static void print_foreign(const struct local_status *status)
{
	for (size_t i = 0; i < status->n_foreign; i++) {
		const struct local_foreign *foreign = &status->foreign[i];
		if (!foreign->certain)
			continue;
		printf("blocked     ");
		print_text(stdout, foreign->what);
		printf(", by %s (", foreign->software);
		print_text(stdout, foreign->where);
		printf(")");
		if (foreign->allow[0]) {
			printf("; to allow it: ");
			print_text(stdout, foreign->allow);
		}
		putchar('\n');
	}
}

static void print_peers(const struct local_status *status, int64_t now)
{
	if (status->n_peers)
		printf("%-24s  %-10s  %-10s  %-10s  %-10s  %s\n", "PEER", "HANDSHAKE", "RECEIVED",
		       "SENT", "LEASE", "ADDRESS");
	for (size_t i = 0; i < status->n_peers; i++) {
		const struct local_peer *peer = &status->peers[i];
		char handshake[DISTANCE_TEXT_MAX], lease[DISTANCE_TEXT_MAX];
		char rx[BYTES_TEXT_MAX], tx[BYTES_TEXT_MAX], address[ADDR_TEXT_MAX];
		printf("%-24s  %-10s  %-10s  %-10s  %-10s  %s\n", peer->name,
		       distance_format(peer->handshake_at, now, handshake),
		       bytes_format(peer->rx_bytes, rx), bytes_format(peer->tx_bytes, tx),
		       distance_format(peer->lease_not_after, now, lease),
		       addr_format(&peer->ipv6, address));
	}
}

static void print_agent(const struct local_status *status)
{
	int64_t now = clock_wall();
	print_first_line(status, now);
	print_self(status, now);
	if (status->enforce_pending)
		puts(status->n_pending
			     ? "enforce is pending: the underlay only records, because these connections would be cut:"
			     : "enforce is pending: the underlay only records");
	print_lines("  pending", status->pending, status->n_pending);
	print_counters(&status->counters);
	print_foreign(status);
	print_lines("warning:", status->warnings, status->n_warnings);
	print_peers(status, now);
}

static void print_control(const struct admin_status *status)
{
	int64_t now = clock_wall();
	char text[DISTANCE_TEXT_MAX];
	printf("control plane of %s, %" PRIu32 " identities, %" PRIu32 " connected, ", status->name,
	       status->identities, status->connected);
	if (status->policy_version)
		printf("policy %" PRIu64 ", ends %s", status->policy_version,
		       distance_format(status->policy_not_after, now, text));
	else
		printf("no policy: everything is denied");
	printf(", hub %s (%s), relay %s\n", status->interface, status->backend, status->relay);
	printf("network     %s\nstarted     %s, version %s\n", status->network,
	       distance_format(status->started_at, now, text), status->version);
	printf("identities  %" PRIu32 " suspended, %" PRIu32 " revoked; %" PRIu32 " open tokens\n",
	       status->suspended, status->revoked, status->tokens_open);
	printf("revision    %" PRIu64 "\n", status->revision);
	print_lines("warning:", status->warnings, status->n_warnings);
}

/* live: the agent answers. ready: it enforces what it should, and the hub answers. Silent where it is so. */
static int check(const struct invocation *in, const struct local_status *status)
{
	const struct {
		bool is;
		int code;
		const char *why;
	} reasons[] = {
		{status->enrolling, EXIT_NOT_ENROLLED,
		 "this host is not enrolled yet: the hub has not answered"},
		{!status->enrolled, EXIT_NOT_ENROLLED,
		 "this host is not enrolled: `sortie enroll --token file:PATH`"},
		{status->revoked, EXIT_NOT_ENROLLED,
		 "this identity was revoked, for ever: `sortie leave`, then enrol with a new token"},
		{status->lease_not_after <= clock_wall(), EXIT_NOT_ENROLLED,
		 "the lease of this host has ended: see `sortie doctor`"},
		{status->down, EXIT_FAILED, "down, `sortie up` ends it"},
		{!status->hub_answers, EXIT_UNREACHABLE,
		 "the hub does not answer: see `sortie doctor`"},
		{status->enforce_pending, EXIT_FAILED,
		 "enforce is pending: `sortie status` names what it waits for"},
		{true, EXIT_FAILED,
		 "the kernel does not hold what the control plane said last: see `sortie status`"},
	};
	size_t i = 0;

	if (strcmp(in->options[OPT_CHECK], "live") == 0 || status->ready)
		return EXIT_OK;
	while (!reasons[i].is)
		i++;
	return cli_fail(in, reasons[i].code, "not ready: %s", reasons[i].why);
}

static int show(const struct invocation *in, const struct answer *answer, bool agent)
{
	if (agent && option(in, OPT_CHECK))
		return check(in, answer->message);
	if (option(in, OPT_JSON))
		return print_json(answer->body);
	if (agent)
		print_agent(answer->message);
	else
		print_control(answer->message);
	return EXIT_OK;
}

int command_status(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct failure failure, other;
	const char *wanted = in->options[OPT_CHECK];
	if (wanted && strcmp(wanted, "live") != 0 && strcmp(wanted, "ready") != 0)
		return cli_fail(in, EXIT_USAGE, "--check is live or ready");
	bool only_control = option(in, OPT_CONTROL) && !option(in, OPT_SOCKET) && !wanted;
	if (only_control) {
		int code = call(in, ROUTE_ADMIN_STATUS, NULL, NULL, CALL_TIMEOUT_MS, &answer);
		return code == EXIT_OK ? show(in, &answer, false) : code;
	}
	if (call_try(in, ROUTE_LOCAL_STATUS, NULL, NULL,
		     wanted ? CHECK_TIMEOUT_MS : CALL_TIMEOUT_MS, &answer, &failure) == 0)
		return show(in, &answer, true);
	bool absent = failure.error == -ENOENT || failure.error == -ECONNREFUSED;
	if (absent && !wanted && !option(in, OPT_SOCKET) &&
	    call_try(in, ROUTE_ADMIN_STATUS, NULL, NULL, CALL_TIMEOUT_MS, &answer, &other) == 0)
		return show(in, &answer, false);
	return call_fail(in, ROUTE_LOCAL_STATUS, &failure);
}
