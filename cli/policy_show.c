/* SPDX-License-Identifier: GPL-2.0-or-later */
/* policy show and history: what is and was in force. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "api/admin.h"
#include "cli/call.h"
#include "cli/output.h"
#include "common/clock.h"

int command_policy_show(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	_cleanup_(freep) char *query = NULL;
	const char *version = in->options[OPT_VERSION];
	if (version && (*version == '\0' || version[strspn(version, "0123456789")] != '\0'))
		return cli_fail(in, EXIT_USAGE, "--version \"%s\" is not a number", version);
	if (version && !(query = query_format("version", version)))
		return cli_fail(in, EXIT_FAILED, "out of memory");
	int code = call(in, ROUTE_ADMIN_POLICY_SHOW, query, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	const struct admin_policy_show *show = answer.message;
	print_text(stdout, show->text);
	return EXIT_OK;
}

static void print_history(const struct admin_policy_history *history)
{
	int64_t now = clock_wall();
	printf("%7s  %-20s  %-10s  %5s  %-16s  %s\n", "VERSION", "APPLIED", "ENDS", "RULES",
	       "SIGNER", "SHA-256");
	for (size_t i = 0; i < history->n_versions; i++) {
		const struct admin_policy_version *version = &history->versions[i];
		char at[TIME_TEXT_MAX], end[DISTANCE_TEXT_MAX];
		printf("%7" PRIu64 "  %-20s  %-10s  %5" PRIu32 "  %-16.16s  %.16s\n",
		       version->version, time_format(version->applied_at, at),
		       distance_format(version->not_after, now, end), version->rules,
		       version->signer, version->sha256);
	}
}

int command_policy_history(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	int code = call(in, ROUTE_ADMIN_POLICY_HISTORY, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_history(answer.message);
	return EXIT_OK;
}
