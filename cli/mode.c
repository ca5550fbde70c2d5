/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mode and confirm: what the host's own people decide about its underlay. */
#include <stdio.h>
#include <string.h>
#include "api/local.h"
#include "cli/call.h"
#include "cli/output.h"
#include "common/clock.h"

#define CONFIRM_MIN_S	5
#define CONFIRM_MAX_S	3600
#define MODE_TIMEOUT_MS 30000

static int read_confirm(const struct invocation *in, uint32_t *ret)
{
	const char *text = in->options[OPT_CONFIRM];
	int64_t seconds = 0;
	if (text && (duration_parse(text, &seconds) < 0 || seconds < CONFIRM_MIN_S ||
		     seconds > CONFIRM_MAX_S))
		return cli_fail(in, EXIT_USAGE, "--confirm %s: write 5s to 1h, as in 60s", text);
	*ret = (uint32_t)seconds;
	return EXIT_OK;
}

/* Said before the call: what comes after it may not reach whoever is cut off by it. */
static void announce(const struct local_mode *request)
{
	printf("locking: should this connection be cut, log in anew within %u s and run "
	       "`sortie confirm`, or it is undone\n",
	       request->confirm_s);
	fflush(stdout);
}

static void print_mode(const struct local_mode_set *set)
{
	printf("mode %s", set->mode);
	if (set->pending)
		puts(": pending, because it would cut running connections (see `sortie status`)");
	else if (set->confirm_s)
		printf(": undone in %u s unless it is confirmed\n", set->confirm_s);
	else
		putchar('\n');
}

int command_mode(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct local_mode request = {0};
	if (strcmp(in->args[0], "enforce") != 0 && strcmp(in->args[0], "overlay") != 0)
		return cli_fail(in, EXIT_USAGE,
				"\"%s\" is neither enforce nor overlay; observe is said by policy",
				in->args[0]);
	if (option(in, OPT_CONFIRM) && strcmp(in->args[0], "enforce") != 0)
		return cli_fail(in, EXIT_USAGE, "overlay locks nothing that there is to confirm");
	snprintf(request.mode, sizeof(request.mode), "%s", in->args[0]);
	int code = read_confirm(in, &request.confirm_s);
	if (code != EXIT_OK)
		return code;
	if (request.confirm_s && !option(in, OPT_JSON))
		announce(&request);
	code = call(in, ROUTE_LOCAL_MODE, NULL, &request, MODE_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	print_mode(answer.message);
	return EXIT_OK;
}

int command_confirm(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	int code = call(in, ROUTE_LOCAL_CONFIRM, NULL, NULL, CALL_TIMEOUT_MS, &answer);
	if (code != EXIT_OK)
		return code;
	if (option(in, OPT_JSON))
		return print_json(answer.body);
	puts("the underlay's lock stays");
	return EXIT_OK;
}
