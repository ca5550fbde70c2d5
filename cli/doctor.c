/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: the agent examines this host, here it is printed. */
#include <stdio.h>
#include "api/local.h"
#include "cli/call.h"
#include "cli/output.h"

int command_doctor(const struct invocation *in)
{
	_cleanup_(answer_done) struct answer answer = {0};
	struct failure failure;
	if (call_try(in, ROUTE_LOCAL_DOCTOR, NULL, NULL, LOCAL_DOCTOR_SECONDS * 1000, &answer,
		     &failure) < 0)
		return call_fail_or(in, ROUTE_LOCAL_DOCTOR, &failure,
				    "`sortied --doctor` examines this host without one");
	int code = local_doctor_code(answer.message);
	if (!option(in, OPT_JSON)) {
		local_doctor_print(answer.message, stdout);
		return code;
	}
	return print_json(answer.body) == EXIT_OK ? code : EXIT_FAILED;
}
