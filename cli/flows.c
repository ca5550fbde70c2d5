/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flows: what the kernel decided, as the agent recorded it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cli/call.h"
#include "cli/flow.h"
#include "cli/output.h"
#include "common/clock.h"

void print_flow(const struct local_flow *flow)
{
	char at[TIME_TEXT_MAX];
	printf("%s  %-10s  %-3s  %-8s  %-24s  %s -> %s%s%s%s%s\n", time_format(flow->at, at),
	       flow->verdict, flow->direction, flow->layer, flow->peer[0] ? flow->peer : "-",
	       flow->from, flow->to, flow->port[0] ? "  " : "", flow->port,
	       flow->interface[0] ? "  " : "", flow->interface);
}

static int show(const struct invocation *in, const struct answer *answer)
{
	const struct local_flows *flows = answer->message;
	if (option(in, OPT_JSON))
		return flows->n_flows || !option(in, OPT_FOLLOW) ? print_json(answer->body)
								 : EXIT_OK;
	if (flows->lost)
		printf("(%" PRIu64 " records lost)\n", flows->lost);
	for (size_t i = 0; i < flows->n_flows; i++)
		print_flow(&flows->flows[i]);
	return EXIT_OK;
}

/* One answer printed; *after moves on. */
static int step(const struct invocation *in, uint64_t *after, bool wait, size_t *ret_n)
{
	_cleanup_(answer_done) struct answer answer = {0};
	char query[96];
	snprintf(query, sizeof(query), "?after=%" PRIu64 "%s%s", *after,
		 option(in, OPT_DENIED) ? "&denied=1" : "", wait ? "&wait=1" : "");
	int code =
		call(in, ROUTE_LOCAL_FLOWS, query, NULL, (LOCAL_POLL_SECONDS + 10) * 1000, &answer);
	if (code != EXIT_OK)
		return code;
	const struct local_flows *flows = answer.message;
	*after = flows->next;
	*ret_n = flows->n_flows;
	return show(in, &answer);
}

int command_flows(const struct invocation *in)
{
	uint64_t after = 0;
	size_t n = 0;
	bool follow = option(in, OPT_FOLLOW);
	int code = step(in, &after, false, &n);
	while (code == EXIT_OK && n == LOCAL_FLOWS_MAX)
		code = step(in, &after, false, &n);
	while (code == EXIT_OK && follow && fflush(stdout) == 0)
		code = step(in, &after, true, &n);
	return code;
}
