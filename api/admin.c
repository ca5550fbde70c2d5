/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The messages of the control plane's Unix socket, as tables for shape.c. */
#include "api/admin.h"
#include "api/message.h"
#include "api/routes.h"
#include "policy/policy.h"
#include "trust/envelope.h"

static const struct shape_field admin_status_fields[] = {
	FIELD_CHARS(struct admin_status, network),
	FIELD_CHARS(struct admin_status, name),
	FIELD_CHARS(struct admin_status, version),
	FIELD_CHARS(struct admin_status, boot_id),
	FIELD_I64(struct admin_status, started_at),
	FIELD_BOOL(struct admin_status, root_online),
	FIELD_CHARS(struct admin_status, interface),
	FIELD_CHARS(struct admin_status, backend),
	FIELD_CHARS(struct admin_status, relay),
	FIELD_U64(struct admin_status, revision),
	FIELD_U64(struct admin_status, policy_version),
	FIELD_I64(struct admin_status, policy_not_after),
	FIELD_U32(struct admin_status, identities),
	FIELD_U32(struct admin_status, connected),
	FIELD_U32(struct admin_status, suspended),
	FIELD_U32(struct admin_status, revoked),
	FIELD_U32(struct admin_status, tokens_open),
	FIELD_TEXTS(struct admin_status, warnings, ADMIN_WARNINGS_MAX, 512),
};
SHAPE(admin_status, "sortie.control-status/1");
SHAPE_FUNCTIONS(admin_status);

static const struct shape_field admin_root_fields[] = {
	FIELD_TEXT(struct admin_root, root, ENVELOPE_TEXT_MAX),
	FIELD_TEXT_OPTIONAL(struct admin_root, state, 4096),
};
SHAPE(admin_root, "sortie.root/1");
SHAPE_FUNCTIONS(admin_root);

/* ---- tokens ---- */

static const struct shape_field admin_token_create_fields[] = {
	FIELD_TEXTS(struct admin_token_create, statements, ADMIN_CREATE_MAX, ENVELOPE_TEXT_MAX),
};
SHAPE(admin_token_create, NULL);
SHAPE_FUNCTIONS(admin_token_create);

static const struct shape_field admin_token_fields[] = {
	FIELD_CHARS(struct admin_token, id),
	FIELD_NAME(struct admin_token, name),
	FIELD_LABELS(struct admin_token, labels),
	FIELD_CHARS(struct admin_token, state),
	FIELD_I64(struct admin_token, created_at),
	FIELD_I64(struct admin_token, not_after),
	FIELD_I64(struct admin_token, used_at),
	FIELD_CHARS_OPTIONAL(struct admin_token, used_by),
};
static SHAPE(admin_token, NULL);

static const struct shape_field admin_token_list_fields[] = {
	FIELD_LIST(struct admin_token_list, tokens, ADMIN_TOKENS_MAX, &admin_token_shape),
};
SHAPE(admin_token_list, "sortie.tokens/1");
SHAPE_FUNCTIONS(admin_token_list);

static const struct shape_field admin_token_revoke_fields[] = {
	FIELD_CHARS(struct admin_token_revoke, token),
};
SHAPE(admin_token_revoke, NULL);
SHAPE_FUNCTIONS(admin_token_revoke);

/* ---- identities ---- */

static const struct shape_field admin_identity_fields[] = {
	FIELD_ID(struct admin_identity, id),
	FIELD_NAME(struct admin_identity, name),
	FIELD_LABELS(struct admin_identity, labels),
	FIELD_ADDR(struct admin_identity, ipv6),
	FIELD_ADDR(struct admin_identity, ipv4),
	FIELD_CHARS(struct admin_identity, state),
	FIELD_I64(struct admin_identity, enrolled_at),
	FIELD_I64(struct admin_identity, lease_not_after),
	FIELD_I64(struct admin_identity, seen_at),
	FIELD_BOOL(struct admin_identity, connected),
	FIELD_U64(struct admin_identity, applied),
	FIELD_U64(struct admin_identity, generation),
	FIELD_CHARS_OPTIONAL(struct admin_identity, underlay),
};
static SHAPE(admin_identity, NULL);

static const struct shape_field admin_identity_list_fields[] = {
	FIELD_LIST(struct admin_identity_list, identities, ADMIN_IDENTITIES_MAX,
		   &admin_identity_shape),
};
SHAPE(admin_identity_list, "sortie.identities/1");
SHAPE_FUNCTIONS(admin_identity_list);

static const struct shape_field admin_traffic_fields[] = {
	FIELD_NAME(struct admin_traffic, name),
	FIELD_U64(struct admin_traffic, sent_packets),
	FIELD_U64(struct admin_traffic, sent_bytes),
	FIELD_U64(struct admin_traffic, received_packets),
	FIELD_U64(struct admin_traffic, received_bytes),
};
static SHAPE(admin_traffic, NULL);

static const struct shape_field admin_identity_show_fields[] = {
	FIELD_STRUCT(struct admin_identity_show, identity, &admin_identity_shape),
	FIELD_TEXT(struct admin_identity_show, token, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct admin_identity_show, statement, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct admin_identity_show, key, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS(struct admin_identity_show, peers, ADMIN_IDENTITIES_MAX, NAME_MAX_TEXT),
	FIELD_LIST(struct admin_identity_show, traffic, ADMIN_IDENTITIES_MAX, &admin_traffic_shape),
};
SHAPE(admin_identity_show, "sortie.identity/1");
SHAPE_FUNCTIONS(admin_identity_show);

static const struct shape_field admin_revoke_fields[] = {
	FIELD_CHARS(struct admin_revoke, who),
	FIELD_CHARS_OPTIONAL(struct admin_revoke, reason),
	FIELD_BOOL(struct admin_revoke, wait),
	FIELD_U32(struct admin_revoke, timeout_ms),
};
SHAPE(admin_revoke, NULL);
SHAPE_FUNCTIONS(admin_revoke);

static const struct shape_field admin_acknowledgement_fields[] = {
	FIELD_NAME(struct admin_acknowledgement, name),
	FIELD_U32(struct admin_acknowledgement, ms),
	FIELD_BOOL(struct admin_acknowledgement, connected),
};
static SHAPE(admin_acknowledgement, NULL);

static const struct shape_field admin_revoked_fields[] = {
	FIELD_ID(struct admin_revoked, id),
	FIELD_NAME(struct admin_revoked, name),
	FIELD_TEXT(struct admin_revoked, tombstone, ENVELOPE_TEXT_MAX),
	FIELD_U64(struct admin_revoked, revision),
	FIELD_BOOL(struct admin_revoked, waited),
	FIELD_U32(struct admin_revoked, hub_ms),
	FIELD_U32(struct admin_revoked, total_ms),
	FIELD_LIST(struct admin_revoked, acknowledged, ADMIN_IDENTITIES_MAX,
		   &admin_acknowledgement_shape),
	FIELD_LIST(struct admin_revoked, outstanding, ADMIN_IDENTITIES_MAX,
		   &admin_acknowledgement_shape),
};
SHAPE(admin_revoked, "sortie.revoked/1");
SHAPE_FUNCTIONS(admin_revoked);

static const struct shape_field admin_who_fields[] = {
	FIELD_CHARS(struct admin_who, who),
	FIELD_CHARS_OPTIONAL(struct admin_who, reason),
};
SHAPE(admin_who, NULL);
SHAPE_FUNCTIONS(admin_who);

/* ---- policy ---- */

static const struct shape_field admin_member_fields[] = {
	FIELD_ID(struct admin_member, id),
	FIELD_NAME(struct admin_member, name),
	FIELD_LABELS(struct admin_member, labels),
};
static SHAPE(admin_member, NULL);

static const struct shape_field admin_policy_fields[] = {
	FIELD_TEXT(struct admin_policy, root, ENVELOPE_TEXT_MAX),
	FIELD_U64(struct admin_policy, version),
	FIELD_TEXT_OPTIONAL(struct admin_policy, policy, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS(struct admin_policy, leaves, POLICY_RULES_MAX, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS(struct admin_policy, tombstones, API_TOMBSTONES_MAX, ENVELOPE_TEXT_MAX),
	FIELD_LIST(struct admin_policy, inventory, POLICY_MEMBERS_MAX, &admin_member_shape),
};
SHAPE(admin_policy, "sortie.policy/1");
SHAPE_FUNCTIONS(admin_policy);

static const struct shape_field admin_policy_apply_fields[] = {
	FIELD_TEXT(struct admin_policy_apply, policy, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS(struct admin_policy_apply, leaves, POLICY_RULES_MAX, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct admin_policy_apply, text, POLICY_TEXT_MAX + 1),
};
SHAPE(admin_policy_apply, NULL);
SHAPE_FUNCTIONS(admin_policy_apply);

static const struct shape_field admin_policy_applied_fields[] = {
	FIELD_U64(struct admin_policy_applied, version),
	FIELD_U64(struct admin_policy_applied, revision),
};
SHAPE(admin_policy_applied, "sortie.policy-applied/1");
SHAPE_FUNCTIONS(admin_policy_applied);

static const struct shape_field admin_policy_show_fields[] = {
	FIELD_U64(struct admin_policy_show, version),
	FIELD_I64(struct admin_policy_show, applied_at),
	FIELD_I64(struct admin_policy_show, not_after),
	FIELD_TEXT(struct admin_policy_show, policy, ENVELOPE_TEXT_MAX),
	FIELD_TEXTS(struct admin_policy_show, leaves, POLICY_RULES_MAX, ENVELOPE_TEXT_MAX),
	FIELD_TEXT(struct admin_policy_show, text, POLICY_TEXT_MAX + 1),
};
SHAPE(admin_policy_show, "sortie.policy-version/1");
SHAPE_FUNCTIONS(admin_policy_show);

static const struct shape_field admin_policy_version_fields[] = {
	FIELD_U64(struct admin_policy_version, version),
	FIELD_I64(struct admin_policy_version, applied_at),
	FIELD_I64(struct admin_policy_version, not_after),
	FIELD_U32(struct admin_policy_version, rules),
	FIELD_CHARS(struct admin_policy_version, signer),
	FIELD_CHARS(struct admin_policy_version, sha256),
};
static SHAPE(admin_policy_version, NULL);

static const struct shape_field admin_policy_history_fields[] = {
	FIELD_LIST(struct admin_policy_history, versions, ADMIN_HISTORY_MAX,
		   &admin_policy_version_shape),
};
SHAPE(admin_policy_history, "sortie.policy-history/1");
SHAPE_FUNCTIONS(admin_policy_history);

/* ---- audit ---- */

static const struct shape_field admin_audit_row_fields[] = {
	FIELD_U64(struct admin_audit_row, sequence),
	FIELD_I64(struct admin_audit_row, at),
	FIELD_CHARS(struct admin_audit_row, actor),
	FIELD_CHARS(struct admin_audit_row, action),
	FIELD_CHARS_OPTIONAL(struct admin_audit_row, subject),
	FIELD_CHARS_OPTIONAL(struct admin_audit_row, detail),
};
static SHAPE(admin_audit_row, NULL);

static const struct shape_field admin_audit_fields[] = {
	FIELD_LIST(struct admin_audit, rows, ADMIN_AUDIT_MAX, &admin_audit_row_shape),
};
SHAPE(admin_audit, "sortie.audit/1");
SHAPE_FUNCTIONS(admin_audit);
