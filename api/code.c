/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of problem codes. Codes are contracts: they are added, never renamed. */
#include "api/code.h"
#include <string.h>
#include "common/cleanup.h"

const struct api_code api_codes[] = {
	/* the request */
	{"bad-request", 400, EXIT_FAILED, "The request is not valid"},
	{"unauthorized", 401, EXIT_NOT_ENROLLED, "The caller is not a known identity"},
	{"forbidden", 403, EXIT_FAILED, "The caller may not do this"},
	{"not-found", 404, EXIT_FAILED, "There is no such thing"},
	{"method-not-allowed", 405, EXIT_FAILED, "The path has another method"},
	{"conflict", 409, EXIT_FAILED, "It contradicts what stands"},
	{"too-large", 413, EXIT_FAILED, "The request is too large"},
	{"too-many", 429, EXIT_UNREACHABLE, "Too many requests"},
	/* tokens and enrolment */
	{"token-invalid", 400, EXIT_NOT_ENROLLED, "The token is not valid"},
	{"token-unknown", 404, EXIT_NOT_ENROLLED, "The token is not known"},
	{"token-used", 409, EXIT_NOT_ENROLLED, "The token was used"},
	{"token-expired", 403, EXIT_NOT_ENROLLED, "The token has expired"},
	{"token-revoked", 403, EXIT_NOT_ENROLLED, "The token was revoked"},
	{"already-enrolled", 409, EXIT_FAILED, "This host is enrolled"},
	{"range-taken", 409, EXIT_FAILED, "An address range overlaps a local one"},
	{"interface-taken", 409, EXIT_FAILED, "The interface name is taken"},
	{"endpoint-unresolved", 502, EXIT_UNREACHABLE, "The hub's name does not resolve"},
	/* identities */
	{"not-enrolled", 409, EXIT_NOT_ENROLLED, "This host is not enrolled"},
	{"expired", 403, EXIT_NOT_ENROLLED, "The admission has expired"},
	{"revoked", 403, EXIT_NOT_ENROLLED, "The identity was revoked"},
	{"suspended", 403, EXIT_NOT_ENROLLED, "The identity is suspended"},
	/* signatures, versions, time */
	{"bad-signature", 403, EXIT_FAILED, "A signature or binding is wrong"},
	{"replayed", 403, EXIT_FAILED, "The call was made before"},
	{"clock-off", 403, EXIT_FAILED, "The clocks differ too much"},
	{"stale-version", 409, EXIT_FAILED, "The version is not the next one"},
	/* policy */
	{"denied", 403, EXIT_DENIED, "Policy denies it"},
	{"mode-loosens", 403, EXIT_DENIED, "A host may only tighten what policy says"},
	{"policy-invalid", 422, EXIT_FAILED, "The policy is not valid"},
	{"tests-failed", 422, EXIT_TESTS_FAILED, "The policy's tests failed"},
	/* the host */
	{"no-privilege", 500, EXIT_FAILED, "The program lacks a privilege"},
	{"internal", 500, EXIT_FAILED, "It failed"},
	{"unavailable", 503, EXIT_UNREACHABLE, "Not able to answer now"},
	{"unreachable", 504, EXIT_UNREACHABLE, "The control plane does not answer"},
	{"storage-full", 507, EXIT_FAILED, "The disk is full"},
};
const size_t n_api_codes = ARRAY_SIZE(api_codes);

const struct api_code *api_code_find(const char *code)
{
	for (size_t i = 0; i < n_api_codes; i++)
		if (strcmp(api_codes[i].code, code) == 0)
			return &api_codes[i];
	return NULL;
}
