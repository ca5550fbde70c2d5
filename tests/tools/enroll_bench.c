/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequential enrolments a second at the handler: decode, verify, redeem, commit, encode; SQLite with synchronous=FULL on
 * the disk of FOLDER. Prints seconds and counts for bench/enroll.sh. usage: enroll_bench FOLDER N
 */
#include <inttypes.h>
#include "control-plane/store_audit.h"
#include "control-plane/store_identity.h"
#include "tests/unit/control_bed.h"

static int count_row(const struct identity_row *row, void *data)
{
	++*(size_t *)data;
	return 0;
}

int main(int argc, char **argv)
{
	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, answered = 0, stored = 0;
	struct bed *bed;
	struct bed_token *tokens;
	char **requests;
	struct mono start;
	int64_t seq;

	if (n == 0) {
		fputs("usage: enroll_bench FOLDER N\n", stderr);
		return 2;
	}
	bed = bed_new(argv[1]);
	tokens = calloc(n, sizeof(*tokens));
	requests = calloc(n, sizeof(*requests));
	if (!tokens || !requests)
		return 1;
	for (size_t i = 0; i < n;
	     i++) { /* the operator's and the hosts' work is not the handler's */
		struct bed_host host;
		char name[40];

		snprintf(name, sizeof(name), "bench/host-%zu", i);
		bed_add_token(bed, name, bed->now + 86400, &tokens[i]);
		bed_new_host(bed, &host);
		requests[i] = bed_request(bed, &tokens[i], &host);
	}
	start = clock_mono();
	for (size_t i = 0; i < n; i++)
		answered += bed_redeem(bed, &tokens[i], requests[i], NULL) == 200;
	int64_t ms = mono_diff_ms(clock_mono(), start);
	MUST(store_identity_list(bed->store, true, count_row, &stored));
	MUST(store_audit_verify(bed->store, &seq));
	printf("%" PRId64 " %zu %zu\n", ms, answered, stored);
	for (size_t i = 0; i < n; i++)
		free(requests[i]);
	free(requests);
	free(tokens);
	bed_free(bed);
	return answered == n && stored == n ? 0 : 1;
}
