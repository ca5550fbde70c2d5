/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages inside the tunnel, as tables for shape.c, and problem details.
 *
 * Nothing here verifies: envelopes are carried as the strings that were signed, and only trust/ believes them.
 */
#include "api/message.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "api/code.h"
#include "api/routes.h"
#include "api/shape.h"
#include "common/cleanup.h"
#include "policy/policy.h"
#include "trust/envelope.h"

static const struct shape_field enroll_request_fields[] = {
	FIELD_TEXT(struct enroll_request, identity, API_ENROLL_BODY_MAX),
	FIELD_TEXT(struct enroll_request, key, API_ENROLL_BODY_MAX),
};
SHAPE(enroll_request, NULL);
SHAPE_FUNCTIONS(enroll_request);

static const struct shape_field enroll_answer_fields[] = {
	FIELD_TEXT(struct enroll_answer, root, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct enroll_answer, token, ENVELOPE_TEXT_MAX),
	FIELD_ADDR(struct enroll_answer, ipv4),
};
SHAPE(enroll_answer, NULL);
SHAPE_FUNCTIONS(enroll_answer);

static const struct shape_field sync_request_fields[] = {
	FIELD_U64(struct sync_request, revision),
	FIELD_U64(struct sync_request, applied),
	FIELD_TEXT_OPTIONAL(struct sync_request, ipv4, API_CALL_BODY_MAX),
	FIELD_TEXT_OPTIONAL(struct sync_request, key, API_CALL_BODY_MAX),
	FIELD_CHARS(struct sync_request, boot_id),
	FIELD_TEXTS_OPTIONAL(struct sync_request, unanswered, API_RENEW_MAX, ID_HEX_MAX),
};
SHAPE(sync_request, NULL);
SHAPE_FUNCTIONS(sync_request);

static const struct shape_field sync_identity_fields[] = {
	FIELD_TEXT(struct sync_identity, token, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct sync_identity, identity, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct sync_identity, key, ENVELOPE_TEXT_MAX),
	FIELD_TEXT_OPTIONAL(struct sync_identity, ipv4, ENVELOPE_TEXT_MAX),
	FIELD_TEXT_OPTIONAL(struct sync_identity, lease, ENVELOPE_TEXT_MAX),
};
static SHAPE(sync_identity, NULL);

static const struct shape_field sync_answer_fields[] = {
	FIELD_CHARS(struct sync_answer, boot_id),
	FIELD_U64(struct sync_answer, revision),
	FIELD_TEXT(struct sync_answer, root, ENVELOPE_TEXT_MAX),
	FIELD_TEXT_OPTIONAL(struct sync_answer, policy, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS(struct sync_answer, leaves, POLICY_RULES_MAX, ENVELOPE_TEXT_MAX),
	FIELD_STRUCT(struct sync_answer, self, &sync_identity_shape),
	FIELD_LIST(struct sync_answer, identities, API_IDENTITIES_MAX, &sync_identity_shape),
	FIELD_TEXTS(struct sync_answer, tombstones, API_TOMBSTONES_MAX, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS_OPTIONAL(struct sync_answer, renew, API_RENEW_MAX, ID_HEX_MAX),
};
SHAPE(sync_answer, NULL);
SHAPE_FUNCTIONS(sync_answer);

static const struct shape_field version_answer_fields[] = {
	FIELD_CHARS(struct version_answer, version),
	FIELD_CHARS(struct version_answer, boot_id),
};
SHAPE(version_answer, "sortie.version/1");
SHAPE_FUNCTIONS(version_answer);

/* ---- problem details ---- */

#define PROBLEM_PREFIX "urn:sortie:problem:"

struct problem_wire {
	char type[sizeof(PROBLEM_PREFIX) + sizeof(((struct problem *)0)->code)];
	char title[64];
	uint32_t status;
	char detail[sizeof(((struct problem *)0)->detail)];
};

static const struct shape_field problem_wire_fields[] = {
	FIELD_CHARS(struct problem_wire, type),
	FIELD_CHARS(struct problem_wire, title),
	FIELD_U32(struct problem_wire, status),
	FIELD_CHARS(struct problem_wire, detail),
};
static SHAPE(problem_wire, NULL);

/* A detail may quote what a caller sent, cut anywhere: only printable ASCII goes out. */
static void clean_line(char *text)
{
	for (char *c = text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

char *problem_encode(const struct problem *m)
{
	struct problem_wire wire = {.status = m->status};
	const struct api_code *code = api_code_find(m->code);
	snprintf(wire.type, sizeof(wire.type), "%s%s", PROBLEM_PREFIX, m->code);
	snprintf(wire.title, sizeof(wire.title), "%s", code ? code->title : "It failed");
	snprintf(wire.detail, sizeof(wire.detail), "%s", m->detail);
	clean_line(wire.detail);
	return shape_encode(&problem_wire_shape, &wire);
}

int problem_decode(const char *text, size_t length, struct problem *ret, struct err *err)
{
	struct problem_wire wire;
	int r = shape_decode(&problem_wire_shape, text, length, &wire, err);
	if (r < 0)
		return r;
	const size_t prefix = strlen(PROBLEM_PREFIX);
	const char *code = wire.type + prefix;
	if (strncmp(wire.type, PROBLEM_PREFIX, prefix) != 0 || *code == '\0' ||
	    strlen(code) >= sizeof(ret->code))
		return err_set(err, "\"type\" is not " PROBLEM_PREFIX "CODE");
	if (wire.status < 400 || wire.status > 599)
		return err_set(err, "\"status\" is not an error's");
	struct problem problem = {.status = wire.status};
	memcpy(problem.code, code, strlen(code) + 1);
	memcpy(problem.detail, wire.detail, sizeof(problem.detail));
	*ret = problem;
	return 0;
}

void problem_make(struct problem *ret, const char *code, const char *format, ...)
{
	const struct api_code *known = api_code_find(code);
	memset(ret, 0, sizeof(*ret));
	ret->status = known ? known->status : 500;
	snprintf(ret->code, sizeof(ret->code), "%s", known ? code : "internal");
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(ret->detail, sizeof(ret->detail), format, arguments);
	va_end(arguments);
}
