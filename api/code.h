/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Problem codes of the API and what they mean: HTTP status and the CLI's exit code. One table for server, agent,
 * CLI, tests and docs/openapi.yaml.
 */
#pragma once
#include <stddef.h>

/* DESIGN's exit codes of `sortie`. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_DENIED = 3,
	EXIT_NOT_ENROLLED = 4, /* or expired */
	EXIT_UNREACHABLE = 5,
	EXIT_FINDING = 6,
	EXIT_TESTS_FAILED = 7,
};

struct api_code {
	const char *code;
	unsigned int status;
	enum exit_code exit_code;
	const char *title; /* RFC 9457: the same for every occurrence */
};

extern const struct api_code api_codes[];
extern const size_t n_api_codes;

/* NULL where nobody knows it; borrowed for ever. */
const struct api_code *api_code_find(const char *code);
