/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One interface, two backends: which one it is, creating and removing it. The work is in wg_kernel.c and wg_uapi.c.
 *
 * A userspace interface is a "tun" link with something that answers on its socket; a link of any other kind is
 * somebody else's and is never removed.
 */
#include "netlink/wireguard.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>
#include <stdio.h>
#include <string.h>
#include "netlink/link.h"
#include "netlink/wg_kernel.h"
#include "netlink/wg_uapi.h"

#define KIND_KERNEL    "wireguard"
#define KIND_USERSPACE "tun"

struct wg {
	char name[IFNAMSIZ];
	enum wg_backend backend; /* never AUTO */
	struct nl *nl;		 /* kernel only */
	uint16_t family;
	char error[64]; /* userspace only */
};

static int open_kernel(struct wg *wg)
{
	int r = nl_open(NETLINK_GENERIC, &wg->nl);

	if (r < 0)
		return r;
	r = nl_family(wg->nl, WG_GENL_NAME, &wg->family);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

static int open_backend(const char *ifname, enum wg_backend backend, struct wg **ret)
{
	_cleanup_(wg_closep) struct wg *wg = calloc(1, sizeof(*wg));
	int r = 0;

	if (!wg)
		return -ENOMEM;
	(void)snprintf(wg->name, sizeof(wg->name), "%s", ifname);
	wg->backend = backend;
	if (backend == WG_BACKEND_KERNEL)
		r = open_kernel(wg);
	if (r == 0)
		*ret = take_pointer(wg);
	return r;
}

void wg_close(struct wg *wg)
{
	if (!wg)
		return;
	nl_close(wg->nl);
	free(wg);
}

/* -ENODEV where the link is not there or is no WireGuard. */
static int find_backend(struct link_handle *handle, const char *ifname, enum wg_backend *ret)
{
	struct link_info info;
	int r = link_get(handle, ifname, &info);

	if (r < 0)
		return r;
	if (strcmp(info.kind, KIND_KERNEL) == 0)
		*ret = WG_BACKEND_KERNEL;
	else if (strcmp(info.kind, KIND_USERSPACE) == 0 && wg_uapi_answers(ifname))
		*ret = WG_BACKEND_USERSPACE;
	else
		return -ENODEV;
	return 0;
}

/* A socket that answers without a link here belongs to an interface of that name in another namespace. */
static int check_free(struct link_handle *handle, const char *ifname)
{
	struct link_info info;
	int r = link_get(handle, ifname, &info);

	if (r == 0)
		return -EEXIST;
	if (r != -ENODEV)
		return r;
	return wg_uapi_answers(ifname) ? -EEXIST : 0;
}

static int create_link(struct link_handle *handle, const char *ifname, enum wg_backend wanted,
		       enum wg_backend *ret)
{
	struct link_info info;
	int r = -EOPNOTSUPP;

	if (wanted != WG_BACKEND_USERSPACE) {
		*ret = WG_BACKEND_KERNEL;
		r = link_create(handle, ifname, KIND_KERNEL);
	}
	if (wanted == WG_BACKEND_KERNEL || r != -EOPNOTSUPP)
		return r;
	*ret = WG_BACKEND_USERSPACE;
	r = wg_userspace_start(ifname);
	if (r == -EIO && link_get(handle, ifname, &info) == 0)
		return -EEXIST; /* somebody was faster */
	if (r == -ETIMEDOUT)
		(void)link_delete(handle, ifname);
	return r;
}

int wg_create(const char *ifname, enum wg_backend backend, struct wg **ret,
	      enum wg_backend *ret_backend)
{
	_cleanup_(link_closep) struct link_handle *handle = NULL;
	enum wg_backend became = backend;
	int r;

	if (!link_name_valid(ifname))
		return -EINVAL;
	r = link_open(&handle);
	if (r == 0)
		r = check_free(handle, ifname);
	if (r == 0)
		r = create_link(handle, ifname, backend, &became);
	if (r < 0)
		return r;
	r = open_backend(ifname, became, ret);
	if (r < 0)
		(void)link_delete(handle, ifname);
	else if (ret_backend)
		*ret_backend = became;
	return r;
}

int wg_open(const char *ifname, struct wg **ret, enum wg_backend *ret_backend)
{
	_cleanup_(link_closep) struct link_handle *handle = NULL;
	enum wg_backend backend;
	int r = link_open(&handle);

	if (r == 0)
		r = find_backend(handle, ifname, &backend);
	if (r == 0)
		r = open_backend(ifname, backend, ret);
	if (r == 0 && ret_backend)
		*ret_backend = backend;
	return r;
}

int wg_available(enum wg_backend backend)
{
	struct wg wg = {.backend = backend};
	int r = backend == WG_BACKEND_KERNEL ? open_kernel(&wg) : wg_userspace_find();

	nl_close(wg.nl);
	return r;
}

int wg_destroy(const char *ifname)
{
	_cleanup_(link_closep) struct link_handle *handle = NULL;
	enum wg_backend backend;
	struct link_info info;
	int r = link_open(&handle);

	if (r == 0)
		r = link_get(handle, ifname, &info);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	r = find_backend(handle, ifname, &backend);
	if (r == 0)
		r = link_delete(handle, ifname);
	if (r == 0 && backend == WG_BACKEND_USERSPACE)
		r = wg_userspace_wait_end(ifname);
	return r;
}

int wg_get(struct wg *wg, struct wg_device **ret)
{
	int r;

	if (wg->backend == WG_BACKEND_KERNEL)
		return wg_kernel_get(wg->nl, wg->family, wg->name, ret);
	r = wg_uapi_get(wg->name, ret);
	(void)snprintf(wg->error, sizeof(wg->error), "%s",
		       r < 0 ? "userspace WireGuard: reading failed" : "");
	return r;
}

int wg_make_room(struct wg *wg)
{
	return wg->backend == WG_BACKEND_KERNEL ? 0 : wg_userspace_make_room(wg->name);
}

int wg_set(struct wg *wg, const struct wg_change *changes, size_t n)
{
	int r;

	if (wg->backend == WG_BACKEND_KERNEL)
		return wg_kernel_set(wg->nl, wg->family, wg->name, changes, n);
	r = wg_uapi_set(wg->name, changes, n);
	(void)snprintf(wg->error, sizeof(wg->error), "%s",
		       r < 0 ? "userspace WireGuard refused the change" : "");
	return r;
}

const char *wg_error(const struct wg *wg)
{
	return wg->backend == WG_BACKEND_KERNEL ? nl_error(wg->nl) : wg->error;
}
