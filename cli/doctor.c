/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: the agent examines this host, here it is printed. */
#include <errno.h>
#include <stdio.h>
#include "api/local.h"
#include "cli/call.h"
#include "cli/output.h"

static int fail(const struct invocation *in, const struct failure *failure)
{
	if (failure->error == -ENOENT || failure->error == -ECONNREFUSED)
		return cli_fail(in, EXIT_FAILED,
				"no agent answers at %s: `sortied --doctor` examines this host "
				"without one",
				cli_agent_socket(in));
	return call_fail(in, ROUTE_LOCAL_DOCTOR, failure);
}

int command_doctor(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct failure failure;
	if (call_try(in, ROUTE_LOCAL_DOCTOR, NULL, NULL, LOCAL_DOCTOR_SECONDS * 1000, &answer,
		     &failure) < 0)
		return fail(in, &failure);
	int code = local_doctor_code(answer.message);
	if (!option(in, OPT_JSON)) {
		local_doctor_print(answer.message, stdout);
		return code;
	}
	return print_json(answer.body) == EXIT_OK ? code : EXIT_FAILED;
}
