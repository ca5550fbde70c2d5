/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Identities at the control plane: list, show, shut out, admit again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "cli/call.h"
#include "cli/output.h"
#include "common/clock.h"

#define WAIT_DEFAULT_S 30
#define WAIT_MAX_S     120

static void print_identities(const struct admin_identity_list *list)
{
	int64_t now = clock_wall();
	printf("%-24s  %-9s  %-9s  %-10s  %-10s  %-38s  %s\n", "NAME", "STATE", "CONNECTED", "SEEN",
	       "LEASE", "ADDRESS", "LABELS");
	for (size_t i = 0; i < list->n_identities; i++) {
		const struct admin_identity *identity = &list->identities[i];
		char seen[DISTANCE_TEXT_MAX], lease[DISTANCE_TEXT_MAX], address[ADDR_TEXT_MAX];
		printf("%-24s  %-9s  %-9s  %-10s  %-10s  %-38s  ", identity->name, identity->state,
		       identity->connected ? "yes" : "no",
		       distance_format(identity->seen_at, now, seen),
		       distance_format(identity->lease_not_after, now, lease),
		       addr_format(&identity->ipv6, address));
		print_labels(stdout, &identity->labels, 0);
		putchar('\n');
	}
}

int command_identity_list(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	int code = call(in, ROUTE_ADMIN_IDENTITY_LIST, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_identities(answer.message);
	return EXIT_OK;
}

static void print_addresses(const struct admin_identity *identity)
{
	char text[ADDR_TEXT_MAX];
	printf("address     %s", addr_format(&identity->ipv6, text));
	if (addr_is_set(&identity->ipv4))
		printf(", %s", addr_format(&identity->ipv4, text));
	putchar('\n');
}

static void print_peers(const struct admin_identity_show *show)
{
	printf("peers      ");
	for (size_t i = 0; i < show->n_peers; i++) {
		putchar(' ');
		print_text(stdout, show->peers[i]);
	}
	puts(show->n_peers ? "" : " none: no rule pairs it with anybody");
}

static void print_traffic(const struct admin_identity_show *show)
{
	for (size_t i = 0; i < show->n_traffic; i++) {
		const struct admin_traffic *with = &show->traffic[i];
		printf("traffic     ");
		print_text(stdout, with->name);
		printf(": sent %" PRIu64 " packets, %" PRIu64 " bytes; received %" PRIu64
		       " packets, %" PRIu64 " bytes\n",
		       with->sent_packets, with->sent_bytes, with->received_packets,
		       with->received_bytes);
	}
}

static void print_identity(const struct admin_identity_show *show)
{
	const struct admin_identity *identity = &show->identity;
	int64_t now = clock_wall();
	char text[DISTANCE_TEXT_MAX], id[ID_HEX_MAX];
	printf("name        %s\nid          %s\nlabels      ", identity->name,
	       id_format(&identity->id, id));
	print_labels(stdout, &identity->labels, 0);
	printf("\nstate       %s\n", identity->state);
	print_addresses(identity);
	printf("enrolled    %s\n", distance_format(identity->enrolled_at, now, text));
	printf("lease ends  %s\n", distance_format(identity->lease_not_after, now, text));
	printf("seen        %s%s%s%s\n", distance_format(identity->seen_at, now, text),
	       identity->connected ? ", connected" : "", identity->underlay[0] ? " from " : "",
	       identity->underlay);
	printf("holds       revision %" PRIu64 ", key generation %" PRIu64 "\n", identity->applied,
	       identity->generation);
	print_peers(show);
	print_traffic(show);
}

int command_identity_show(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	_cleanup_(freep) char *query = query_format("who", in->args[0]);
	if (!query)
		return cli_fail(in, EXIT_FAILED, "out of memory");
	int code = call(in, ROUTE_ADMIN_IDENTITY_SHOW, query, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_identity(answer.message);
	return EXIT_OK;
}

/* Copies an argument into a message's field. */
static int copy(const struct invocation *in, const char *what, const char *from, char *to,
		size_t size)
{
	if (from && strlen(from) >= size)
		return cli_fail(in, EXIT_USAGE, "%s is too long", what);
	if (from)
		memcpy(to, from, strlen(from) + 1);
	return EXIT_OK;
}

/* ---- revoke ---- */

static void print_outstanding(const struct admin_revoked *revoked)
{
	for (size_t i = 0; i < revoked->n_outstanding; i++)
		printf("outstanding: %s (%s)\n", revoked->outstanding[i].name,
		       revoked->outstanding[i].connected
			       ? "connected, has not acknowledged"
			       : "not connected: its lease of the revoked ends by itself");
}

static void print_revoked(const struct admin_revoked *revoked)
{
	char id[ID_HEX_MAX];
	uint32_t last = 0;
	printf("%s is revoked for ever: %s\n", revoked->name, id_format(&revoked->id, id));
	printf("cut off at the hub after %" PRIu32 " ms\n", revoked->hub_ms);
	if (!revoked->waited)
		return;
	for (size_t i = 0; i < revoked->n_acknowledged; i++) {
		const struct admin_acknowledgement *from = &revoked->acknowledged[i];
		printf("acknowledged: %s after %" PRIu32 " ms\n", from->name, from->ms);
		last = from->ms > last ? from->ms : last;
	}
	printf("%zu of %zu agents have cut it off, the last after %" PRIu32 " ms\n",
	       revoked->n_acknowledged, revoked->n_acknowledged + revoked->n_outstanding, last);
	print_outstanding(revoked);
}

/* Whoever waits wants to know that it is done: with a connected agent outstanding it is not. */
static int revoked_code(const struct invocation *in, const struct admin_revoked *revoked)
{
	for (size_t i = 0; revoked->waited && i < revoked->n_outstanding; i++)
		if (revoked->outstanding[i].connected)
			return cli_fail(
				in, EXIT_FAILED,
				"revoked, but not every connected agent has acknowledged in time: "
				"see sortie identity list, and run it again to wait longer");
	return EXIT_OK;
}

static int read_revoke(const struct invocation *in, struct admin_revoke *ret)
{
	int64_t seconds = WAIT_DEFAULT_S;
	const char *timeout = in->options[OPT_TIMEOUT];
	if (timeout && (duration_parse(timeout, &seconds) < 0 || seconds > WAIT_MAX_S))
		return cli_fail(in, EXIT_USAGE, "--timeout \"%s\" is not a duration of at most 2m",
				timeout);
	if (timeout && !option(in, OPT_WAIT))
		return cli_fail(in, EXIT_USAGE, "--timeout is for --wait");
	ret->wait = option(in, OPT_WAIT);
	ret->timeout_ms = ret->wait ? (uint32_t)seconds * 1000 : 0;
	int code = copy(in, "the name", in->args[0], ret->who, sizeof(ret->who));
	if (code != EXIT_OK)
		return code;
	return copy(in, "--reason", in->options[OPT_REASON], ret->reason, sizeof(ret->reason));
}

int command_identity_revoke(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct admin_revoke request = {0};
	int code = read_revoke(in, &request);
	if (code == EXIT_OK)
		code = call(in, ROUTE_ADMIN_IDENTITY_REVOKE, NULL, &request,
			    request.timeout_ms + CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (!option(in, OPT_JSON))
		print_revoked(answer.message);
	else if (print_json(answer.body) != EXIT_OK)
		return EXIT_FAILED;
	return revoked_code(in, answer.message);
}

static int change(const struct invocation *in, enum route route)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct admin_who request = {0};
	int code = copy(in, "the name", in->args[0], request.who, sizeof(request.who));
	if (code == EXIT_OK)
		code = copy(in, "--reason", in->options[OPT_REASON], request.reason,
			    sizeof(request.reason));
	if (code == EXIT_OK)
		code = call(in, route, NULL, &request, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	const struct admin_identity_show *show = answer.message;
	printf("%s is %s\n", show->identity.name, show->identity.state);
	return EXIT_OK;
}

int command_identity_suspend(const struct invocation *in)
{
	return change(in, ROUTE_ADMIN_IDENTITY_SUSPEND);
}

int command_identity_resume(const struct invocation *in)
{
	return change(in, ROUTE_ADMIN_IDENTITY_RESUME);
}
