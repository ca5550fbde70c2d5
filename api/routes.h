/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every call there is: one row says name, method, path, on which socket, and the messages that go and come. Servers
 * switch on enum route, the CLI calls by it, tests and docs/openapi.yaml are held to it.
 */
#pragma once
#include <stddef.h>
#include "api/shape.h"

enum route_socket {
	ROUTE_ENROLL, /* TCP, hub's enrolment port, from one-time addresses */
	ROUTE_API, /* TCP, hub's API port, from identity addresses; bodies are calls signed by K3 */
	ROUTE_ADMIN, /* Unix, control plane's host */
	ROUTE_LOCAL, /* Unix, agent's host */
};

enum route {
	ROUTE_ENROLL_ENROLL,
	ROUTE_API_SYNC,
	ROUTE_API_VERSION,
	ROUTE_ADMIN_STATUS,
	ROUTE_ADMIN_ROOT,
	ROUTE_ADMIN_TOKEN_CREATE,
	ROUTE_ADMIN_TOKEN_LIST,
	ROUTE_ADMIN_TOKEN_REVOKE,
	ROUTE_ADMIN_IDENTITY_LIST,
	ROUTE_ADMIN_IDENTITY_SHOW,
	ROUTE_ADMIN_IDENTITY_REVOKE,
	ROUTE_ADMIN_IDENTITY_SUSPEND,
	ROUTE_ADMIN_IDENTITY_RESUME,
	ROUTE_ADMIN_POLICY,
	ROUTE_ADMIN_POLICY_APPLY,
	ROUTE_ADMIN_POLICY_SHOW,
	ROUTE_ADMIN_POLICY_HISTORY,
	ROUTE_ADMIN_AUDIT,
	ROUTE_LOCAL_STATUS,
	ROUTE_LOCAL_ENROLL,
	ROUTE_LOCAL_LEAVE,
	ROUTE_LOCAL_DOWN,
	ROUTE_LOCAL_CAN,
	ROUTE_LOCAL_FLOWS,
	ROUTE_LOCAL_MODE,
	ROUTE_LOCAL_DOCTOR,
	ROUTE_LOCAL_CONFIRM,
	ROUTES, /* their number */
};

struct route_row {
	const char *name; /* operationId in docs/openapi.yaml */
	const char *method;
	const char *path;
	enum route_socket socket;
	const struct shape *request; /* NULL: no body. ROUTE_API: the payload of the call */
	const struct shape *answer;
};

extern const struct route_row routes[ROUTES];

/*
 * Finds the route of a socket. -ENOENT where no route has the path, -EPERM where it has another method: answers
 * 404 not-found and 405 method-not-allowed.
 */
int route_find(enum route_socket socket, const char *method, const char *path, enum route *ret);

extern const struct shape enroll_request_shape, enroll_answer_shape;
extern const struct shape sync_request_shape, sync_answer_shape, version_answer_shape;
extern const struct shape admin_status_shape, admin_root_shape;
extern const struct shape admin_token_create_shape, admin_token_list_shape;
extern const struct shape admin_token_revoke_shape;
extern const struct shape admin_identity_list_shape, admin_identity_show_shape;
extern const struct shape admin_revoke_shape, admin_revoked_shape, admin_who_shape;
extern const struct shape admin_policy_shape, admin_policy_apply_shape;
extern const struct shape admin_policy_applied_shape, admin_policy_show_shape;
extern const struct shape admin_policy_history_shape, admin_audit_shape;
extern const struct shape local_status_shape, local_enroll_shape, local_enrolled_shape;
extern const struct shape local_down_shape, local_leave_shape, local_left_shape, local_can_shape,
	local_can_answer_shape;
extern const struct shape local_flows_shape, local_mode_shape, local_mode_set_shape,
	local_confirmed_shape, local_doctor_shape;
