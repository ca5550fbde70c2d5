/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The messages of the agent's local socket, as tables for shape.c. */
#include "api/local.h"
#include "api/routes.h"
#include "trust/token.h"

static const struct shape_field local_flow_fields[] = {
	FIELD_U64(struct local_flow, sequence),
	FIELD_I64(struct local_flow, at),
	FIELD_CHARS(struct local_flow, verdict),
	FIELD_CHARS(struct local_flow, direction),
	FIELD_CHARS(struct local_flow, layer),
	FIELD_NAME_OPTIONAL(struct local_flow, peer),
	FIELD_CHARS(struct local_flow, from),
	FIELD_CHARS(struct local_flow, to),
	FIELD_CHARS_OPTIONAL(struct local_flow, port),
	FIELD_CHARS_OPTIONAL(struct local_flow, interface),
};
static SHAPE(local_flow, NULL);

static const struct shape_field local_peer_fields[] = {
	FIELD_ID(struct local_peer, id),
	FIELD_NAME(struct local_peer, name),
	FIELD_ADDR(struct local_peer, ipv6),
	FIELD_ADDR(struct local_peer, ipv4),
	FIELD_I64(struct local_peer, handshake_at),
	FIELD_U64(struct local_peer, rx_bytes),
	FIELD_U64(struct local_peer, tx_bytes),
	FIELD_I64(struct local_peer, lease_not_after),
};
static SHAPE(local_peer, NULL);

static const struct shape_field local_counters_fields[] = {
	FIELD_U64(struct local_counters, denied_in),
	FIELD_U64(struct local_counters, denied_out),
	FIELD_U64(struct local_counters, denied_underlay),
	FIELD_U64(struct local_counters, denied_spoofed),
	FIELD_U64(struct local_counters, would_deny),
	FIELD_U64(struct local_counters, repaired),
};
static SHAPE(local_counters, NULL);

static const struct shape_field local_foreign_fields[] = {
	FIELD_CHARS(struct local_foreign, software),
	FIELD_CHARS(struct local_foreign, where),
	FIELD_CHARS(struct local_foreign, what),
	FIELD_BOOL(struct local_foreign, certain),
	FIELD_CHARS_OPTIONAL(struct local_foreign, allow),
};
static SHAPE(local_foreign, NULL);

static const struct shape_field local_status_fields[] = {
	FIELD_CHARS(struct local_status, version),
	FIELD_BOOL(struct local_status, enrolled),
	FIELD_BOOL(struct local_status, enrolling),
	FIELD_BOOL(struct local_status, ready),
	FIELD_BOOL(struct local_status, revoked),
	FIELD_BOOL(struct local_status, down),
	FIELD_CHARS_OPTIONAL(struct local_status, id),
	FIELD_NAME_OPTIONAL(struct local_status, name),
	FIELD_CHARS_OPTIONAL(struct local_status, network),
	FIELD_ADDR(struct local_status, ipv6),
	FIELD_ADDR(struct local_status, ipv4),
	FIELD_CHARS_OPTIONAL(struct local_status, interface),
	FIELD_CHARS(struct local_status, mode),
	FIELD_BOOL(struct local_status, enforce_pending),
	FIELD_TEXTS(struct local_status, pending, LOCAL_PENDING_MAX, 256),
	FIELD_CHARS(struct local_status, backend),
	FIELD_CHARS_OPTIONAL(struct local_status, hub),
	FIELD_BOOL(struct local_status, hub_answers),
	FIELD_U32(struct local_status, hub_round_trip_us),
	FIELD_BOOL(struct local_status, control_answers),
	FIELD_I64(struct local_status, control_at),
	FIELD_U64(struct local_status, revision),
	FIELD_U64(struct local_status, policy_version),
	FIELD_I64(struct local_status, policy_not_after),
	FIELD_I64(struct local_status, lease_not_after),
	FIELD_I64(struct local_status, last_deny_at),
	FIELD_CHARS_OPTIONAL(struct local_status, last_deny),
	FIELD_STRUCT(struct local_status, counters, &local_counters_shape),
	FIELD_LIST(struct local_status, peers, LOCAL_PEERS_MAX, &local_peer_shape),
	FIELD_LIST(struct local_status, foreign, LOCAL_FOREIGN_MAX, &local_foreign_shape),
	FIELD_TEXTS(struct local_status, warnings, LOCAL_WARNINGS_MAX, 512),
};
SHAPE(local_status, "sortie.status/1");
SHAPE_FUNCTIONS(local_status);

static const struct shape_field local_enroll_fields[] = {
	FIELD_TEXT(struct local_enroll, token, TOKEN_TEXT_MAX),
};
SHAPE(local_enroll, NULL);
SHAPE_FUNCTIONS(local_enroll);

static const struct shape_field local_enrolled_fields[] = {
	FIELD_CHARS(struct local_enrolled, id),	     FIELD_NAME(struct local_enrolled, name),
	FIELD_CHARS(struct local_enrolled, network), FIELD_ADDR(struct local_enrolled, ipv6),
	FIELD_ADDR(struct local_enrolled, ipv4),
};
SHAPE(local_enrolled, "sortie.enrolled/1");
SHAPE_FUNCTIONS(local_enrolled);

static const struct shape_field local_down_fields[] = {
	FIELD_BOOL(struct local_down, down),
	FIELD_NAME_OPTIONAL(struct local_down, name),
};
SHAPE(local_down, "sortie.down/1");
SHAPE_FUNCTIONS(local_down);

static const struct shape_field local_leave_fields[] = {
	FIELD_BOOL(struct local_leave, force),
};
SHAPE(local_leave, NULL);
SHAPE_FUNCTIONS(local_leave);

static const struct shape_field local_left_fields[] = {
	FIELD_NAME_OPTIONAL(struct local_left, name),
};
SHAPE(local_left, "sortie.left/1");
SHAPE_FUNCTIONS(local_left);

static const struct shape_field local_can_fields[] = {
	FIELD_NAME_OPTIONAL(struct local_can, from),
	FIELD_NAME(struct local_can, to),
	FIELD_CHARS(struct local_can, port),
};
SHAPE(local_can, NULL);
SHAPE_FUNCTIONS(local_can);

static const struct shape_field local_can_answer_fields[] = {
	FIELD_NAME(struct local_can_answer, from),
	FIELD_NAME(struct local_can_answer, to),
	FIELD_CHARS(struct local_can_answer, port),
	FIELD_BOOL(struct local_can_answer, allowed),
	FIELD_CHARS_OPTIONAL(struct local_can_answer, rule),
	FIELD_CHARS(struct local_can_answer, reason),
	FIELD_LIST(struct local_can_answer, denies, LOCAL_FLOWS_MAX, &local_flow_shape),
};
SHAPE(local_can_answer, "sortie.can/1");
SHAPE_FUNCTIONS(local_can_answer);

static const struct shape_field local_flows_fields[] = {
	FIELD_U64(struct local_flows, next),
	FIELD_U64(struct local_flows, lost),
	FIELD_LIST(struct local_flows, flows, LOCAL_FLOWS_MAX, &local_flow_shape),
};
SHAPE(local_flows, "sortie.flows/1");
SHAPE_FUNCTIONS(local_flows);

static const struct shape_field local_mode_fields[] = {
	FIELD_CHARS(struct local_mode, mode),
	FIELD_U32(struct local_mode, confirm_s),
};
SHAPE(local_mode, NULL);
SHAPE_FUNCTIONS(local_mode);

static const struct shape_field local_check_fields[] = {
	FIELD_CHARS(struct local_check, name),
	FIELD_CHARS(struct local_check, level),
	FIELD_CHARS(struct local_check, found),
	FIELD_CHARS_OPTIONAL(struct local_check, todo),
};
static SHAPE(local_check, NULL);

static const struct shape_field local_doctor_fields[] = {
	FIELD_LIST(struct local_doctor, checks, LOCAL_CHECKS_MAX, &local_check_shape),
};
SHAPE(local_doctor, "sortie.doctor/1");
SHAPE_FUNCTIONS(local_doctor);

static const struct shape_field local_mode_set_fields[] = {
	FIELD_CHARS(struct local_mode_set, mode),
	FIELD_BOOL(struct local_mode_set, pending),
	FIELD_U32(struct local_mode_set, confirm_s),
};
SHAPE(local_mode_set, "sortie.mode/1");
SHAPE_FUNCTIONS(local_mode_set);

static const struct shape_field local_confirmed_fields[] = {
	FIELD_CHARS(struct local_confirmed, mode),
};
SHAPE(local_confirmed, "sortie.confirmed/1");
SHAPE_FUNCTIONS(local_confirmed);
