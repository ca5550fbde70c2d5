/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of calls. Paths are contracts: they are added, never changed. */
#include "api/routes.h"
#include <errno.h>
#include <string.h>

/* clang-format off */
const struct route_row routes[ROUTES] = {
	[ROUTE_ENROLL_ENROLL] = {"enroll", "POST", "/v1/enroll", ROUTE_ENROLL, &enroll_request_shape, &enroll_answer_shape},

	[ROUTE_API_SYNC] = {"sync", "POST", "/v1/sync", ROUTE_API, &sync_request_shape, &sync_answer_shape},
	[ROUTE_API_VERSION] = {"version", "GET", "/v1/version", ROUTE_API, NULL, &version_answer_shape},

	[ROUTE_ADMIN_STATUS] = {"adminStatus", "GET", "/v1/admin/status", ROUTE_ADMIN, NULL, &admin_status_shape},
	[ROUTE_ADMIN_ROOT] = {"adminRoot", "GET", "/v1/admin/root", ROUTE_ADMIN, NULL, &admin_root_shape},
	[ROUTE_ADMIN_TOKEN_CREATE] = {"adminTokenCreate", "POST", "/v1/admin/token/create", ROUTE_ADMIN, &admin_token_create_shape, &admin_token_list_shape},
	[ROUTE_ADMIN_TOKEN_LIST] = {"adminTokenList", "GET", "/v1/admin/tokens", ROUTE_ADMIN, NULL, &admin_token_list_shape},
	[ROUTE_ADMIN_TOKEN_REVOKE] = {"adminTokenRevoke", "POST", "/v1/admin/token/revoke", ROUTE_ADMIN, &admin_token_revoke_shape, &admin_token_list_shape},
	[ROUTE_ADMIN_IDENTITY_LIST] = {"adminIdentityList", "GET", "/v1/admin/identities", ROUTE_ADMIN, NULL, &admin_identity_list_shape},
	[ROUTE_ADMIN_IDENTITY_SHOW] = {"adminIdentityShow", "GET", "/v1/admin/identity", ROUTE_ADMIN, NULL, &admin_identity_show_shape},
	[ROUTE_ADMIN_IDENTITY_REVOKE] = {"adminIdentityRevoke", "POST", "/v1/admin/identity/revoke", ROUTE_ADMIN, &admin_revoke_shape, &admin_revoked_shape},
	[ROUTE_ADMIN_IDENTITY_SUSPEND] = {"adminIdentitySuspend", "POST", "/v1/admin/identity/suspend", ROUTE_ADMIN, &admin_who_shape, &admin_identity_show_shape},
	[ROUTE_ADMIN_IDENTITY_RESUME] = {"adminIdentityResume", "POST", "/v1/admin/identity/resume", ROUTE_ADMIN, &admin_who_shape, &admin_identity_show_shape},
	[ROUTE_ADMIN_POLICY] = {"adminPolicy", "GET", "/v1/admin/policy", ROUTE_ADMIN, NULL, &admin_policy_shape},
	[ROUTE_ADMIN_POLICY_APPLY] = {"adminPolicyApply", "POST", "/v1/admin/policy", ROUTE_ADMIN, &admin_policy_apply_shape, &admin_policy_applied_shape},
	[ROUTE_ADMIN_POLICY_SHOW] = {"adminPolicyShow", "GET", "/v1/admin/policy/show", ROUTE_ADMIN, NULL, &admin_policy_show_shape},
	[ROUTE_ADMIN_POLICY_HISTORY] = {"adminPolicyHistory", "GET", "/v1/admin/policy/history", ROUTE_ADMIN, NULL, &admin_policy_history_shape},
	[ROUTE_ADMIN_AUDIT] = {"adminAudit", "GET", "/v1/admin/audit", ROUTE_ADMIN, NULL, &admin_audit_shape},

	[ROUTE_LOCAL_STATUS] = {"localStatus", "GET", "/v1/local/status", ROUTE_LOCAL, NULL, &local_status_shape},
	[ROUTE_LOCAL_ENROLL] = {"localEnroll", "POST", "/v1/local/enroll", ROUTE_LOCAL, &local_enroll_shape, &local_enrolled_shape},
	[ROUTE_LOCAL_LEAVE] = {"localLeave", "POST", "/v1/local/leave", ROUTE_LOCAL, &local_leave_shape, &local_left_shape},
	[ROUTE_LOCAL_DOWN] = {"localDown", "POST", "/v1/local/down", ROUTE_LOCAL, &local_down_shape, &local_down_shape},
	[ROUTE_LOCAL_CAN] = {"localCan", "POST", "/v1/local/can", ROUTE_LOCAL, &local_can_shape, &local_can_answer_shape},
	[ROUTE_LOCAL_FLOWS] = {"localFlows", "GET", "/v1/local/flows", ROUTE_LOCAL, NULL, &local_flows_shape},
	[ROUTE_LOCAL_MODE] = {"localMode", "POST", "/v1/local/mode", ROUTE_LOCAL, &local_mode_shape, &local_mode_set_shape},
	[ROUTE_LOCAL_CONFIRM] = {"localConfirm", "POST", "/v1/local/confirm", ROUTE_LOCAL, NULL, &local_confirmed_shape},
	[ROUTE_LOCAL_DOCTOR] = {"localDoctor", "GET", "/v1/local/doctor", ROUTE_LOCAL, NULL, &local_doctor_shape},
};
/* clang-format on */

int route_find(enum route_socket socket, const char *method, const char *path, enum route *ret)
{
	int r = -ENOENT;
	for (enum route i = 0; i < ROUTES; i++) {
		if (routes[i].socket != socket || strcmp(routes[i].path, path) != 0)
			continue;
		if (strcmp(routes[i].method, method) == 0) {
			*ret = i;
			return 0;
		}
		r = -EPERM;
	}
	return r;
}
