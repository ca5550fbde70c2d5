/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a doctor's report is shown, and what it is worth: one place for the agent and the CLI. */
#include <string.h>
#include "api/local.h"

void local_doctor_print(const struct local_doctor *doctor, FILE *to)
{
	for (size_t i = 0; i < doctor->n_checks; i++) {
		const struct local_check *check = &doctor->checks[i];
		(void)fprintf(to, "%-4s  %-10s  %s%s%s\n", check->level, check->name, check->found,
			      check->todo[0] ? ": " : "", check->todo);
	}
}

enum exit_code local_doctor_code(const struct local_doctor *doctor)
{
	for (size_t i = 0; i < doctor->n_checks; i++)
		if (strcmp(doctor->checks[i].level, "fail") == 0)
			return EXIT_FINDING;
	return EXIT_OK;
}
