// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. What each errno of an XDP attachment means to an operator is said here, in one line each. */
#include "relay/hook.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include "common/cleanup.h"

#define FILTER_HANDLE	0x536f
#define FILTER_PRIORITY 0x536f

static const struct {
	const char *text;
	enum hook_wish wish;
} wishes[] = {
	{"auto", HOOK_AUTO},
	{"xdp", HOOK_XDP},
	{"generic", HOOK_XDP_GENERIC},
	{"tc", HOOK_TC},
};

int hook_wish_parse(const char *text, enum hook_wish *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++)
		if (strcmp(text, wishes[i].text) == 0) {
			*ret = wishes[i].wish;
			return 0;
		}
	return -EINVAL;
}

const char *hook_name(enum relay_hook hook)
{
	switch (hook) {
	case RELAY_BY_TC:
		return "tc";
	case RELAY_BY_XDP:
		return "xdp";
	case RELAY_BY_XDP_GENERIC:
		return "xdp-generic";
	}
	return "unknown";
}

/* ---- tc ---- */

static int filter_attach(const char *name, uint32_t index, enum bpf_tc_attach_point point,
			 int program, struct err *err)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
		    .prog_fd = program, .flags = BPF_TC_F_REPLACE);
	int r = bpf_tc_hook_create(&hook);
	if (r < 0 && r != -EEXIST)
		return err_code(err, r, "adding clsact to %s: %s", name, strerror(-r));
	r = bpf_tc_attach(&hook, &filter);
	return r < 0 ? err_code(err, r, "attaching to tc %s of %s: %s",
				point == BPF_TC_INGRESS ? "ingress" : "egress", name, strerror(-r))
		     : 0;
}

static void filter_detach(uint32_t index, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	bpf_tc_detach(&hook, &filter); /* the interface may be gone, and the filter with it */
}

/* ---- XDP ---- */

static int link_path(const char *dir, uint32_t index, char path[4096])
{
	return snprintf(path, 4096, "%s/link-%u", dir, index) < 4096 ? 0 : -ENAMETOOLONG;
}

/* The kernel frees a link some time after its last pin went; what is attached next must not find it there. */
static void link_end(const char *path)
{
	_cleanup_(closep) int link = bpf_obj_get(path);
	if (link >= 0)
		bpf_link_detach(link);
	unlink(path);
}

static void link_remove(const char *dir, uint32_t index)
{
	char path[4096];
	if (link_path(dir, index, path) == 0)
		link_end(path);
}

/* 1: the pinned link has the new program now. 0: there is none of this interface in this mode. */
static int link_update(const char *dir, const struct relay_interface *before, uint32_t index,
		       enum relay_hook mode, int program)
{
	struct bpf_link_info info = {0};
	uint32_t length = sizeof(info);
	char path[4096];
	if (before->index != index || before->hook != mode || link_path(dir, index, path) < 0)
		return 0;
	_cleanup_(closep) int link = bpf_obj_get(path);
	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &length) < 0 ||
	    info.type != BPF_LINK_TYPE_XDP || info.xdp.ifindex != index)
		return 0;
	return bpf_link_update(link, program, NULL) < 0 ? -errno : 1;
}

static int link_make(const char *dir, uint32_t index, enum relay_hook mode, int program)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = mode == RELAY_BY_XDP ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	char path[4096];
	int r = link_path(dir, index, path);
	if (r < 0)
		return r;
	link_end(path);
	_cleanup_(closep) int link = bpf_link_create(program, (int)index, BPF_XDP, &options);
	if (link < 0)
		return -errno;
	return bpf_obj_pin(link, path) < 0 ? -errno : 0;
}

static bool driver_is(const char *name, const char *driver)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&info};
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	memcpy(request.ifr_name, name, strnlen(name, sizeof(request.ifr_name) - 1));
	return fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && strcmp(info.driver, driver) == 0;
}

static void xdp_explain(int error, const char *name, char why[160])
{
	if (error == -EBUSY)
		snprintf(why, 160,
			 "another XDP program is attached to %s: detach it (ip link show %s)", name,
			 name);
	else if (error == -EOPNOTSUPP || error == -EINVAL || error == -ERANGE || error == -E2BIG)
		snprintf(
			why, 160,
			"the driver of %s takes no XDP program, or not with its MTU and offloads: %s",
			name, strerror(-error));
	else
		snprintf(why, 160, "XDP on %s: %s", name, strerror(-error));
}

static int xdp_attach(const char *dir, const struct relay_interface *before, uint32_t index,
		      enum relay_hook mode, int program)
{
	int r = link_update(dir, before, index, mode, program);
	if (r != 0)
		return r < 0 ? r : 0;
	r = link_make(dir, index, mode, program);
	if (r < 0 && before->index == index && before->hook != RELAY_BY_TC)
		link_make(dir, index, before->hook, program); /* as it stood before */
	return r;
}

/* Auto: XDP only where frames that it sends are known to arrive. */
static bool xdp_fits(const char *name, enum hook_wish wish, char why[160])
{
	if (wish == HOOK_AUTO && driver_is(name, "veth")) {
		snprintf(why, 160,
			 "%s is a veth: what XDP sends is lost unless the other end runs XDP too; "
			 "if it does: --hook xdp",
			 name);
		return false;
	}
	return true;
}

static int xdp_try(const char *dir, const char *name, const struct relay_interface *before,
		   uint32_t index, int program, enum hook_wish wish, struct hook_result *ret,
		   struct err *err)
{
	enum relay_hook mode = wish == HOOK_XDP_GENERIC ? RELAY_BY_XDP_GENERIC : RELAY_BY_XDP;
	int r = xdp_fits(name, wish, ret->why) ? xdp_attach(dir, before, index, mode, program)
					       : -EOPNOTSUPP;
	if (r == 0) {
		ret->hook = mode;
		return 0;
	}
	if (!ret->why[0])
		xdp_explain(r, name, ret->why);
	if (wish != HOOK_AUTO)
		return err_code(err, r, "%s; or use --hook tc", ret->why);
	link_remove(dir, index);
	return 0;
}

static bool xdp_stands(uint32_t index, enum relay_hook hook)
{
	uint32_t id = 0;
	int flags = hook == RELAY_BY_XDP ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	return bpf_xdp_query_id((int)index, flags, &id) == 0 && id != 0;
}

static bool filter_stands(uint32_t index, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)index, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	return bpf_tc_query(&hook, &filter) == 0;
}

static int filters_check(const char *name, uint32_t index, struct err *err)
{
	static const struct {
		enum bpf_tc_attach_point point;
		const char *name;
	} points[] = {{BPF_TC_INGRESS, "ingress"}, {BPF_TC_EGRESS, "egress"}};
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		if (!filter_stands(index, points[i].point))
			return err_code(err, -ENOENT,
					"something took the relay's filter off %s (tc %s)", name,
					points[i].name);
	return 0;
}

/* ---- both ---- */

int hook_check(struct relay_interface *interface, struct err *err)
{
	uint32_t index = interface->index;
	char name[IF_NAMESIZE];
	int r = if_indextoname(index, name)
			? filters_check(name, index, err)
			: err_code(err, -ENODEV, "interface %u, where the relay was, is gone",
				   index);
	if (r < 0) {
		*interface = (struct relay_interface){0};
		return r;
	}
	if (interface->hook == RELAY_BY_TC || xdp_stands(index, (enum relay_hook)interface->hook))
		return 0;
	interface->hook = RELAY_BY_TC;
	return err_code(err, -ENOENT, "something took the relay's XDP program off %s", name);
}

int hook_attach(const char *dir, const char *name, const struct relay_interface *before,
		const struct relay_interface *interface, const struct hook_programs *programs,
		enum hook_wish wish, struct hook_result *ret, struct err *err)
{
	uint32_t index = interface->index;
	*ret = (struct hook_result){.hook = RELAY_BY_TC};
	int r = filter_attach(name, index, BPF_TC_INGRESS, programs->ingress, err);
	if (r == 0)
		r = filter_attach(name, index, BPF_TC_EGRESS, programs->egress, err);
	if (r == 0 && wish != HOOK_TC)
		return xdp_try(dir, name, before, index, programs->xdp, wish, ret, err);
	if (r == 0)
		link_remove(dir, index);
	return r;
}

void hook_detach(const char *dir, uint32_t index)
{
	filter_detach(index, BPF_TC_INGRESS);
	filter_detach(index, BPF_TC_EGRESS);
	link_remove(dir, index);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

void hook_links_remove(const char *dir)
{
	_cleanup_(closedirp) DIR *folder = opendir(dir);
	const struct dirent *entry;
	char path[4096];
	while (folder && (entry = readdir(folder)))
		if (strncmp(entry->d_name, "link-", 5) == 0 &&
		    snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) < (int)sizeof(path))
			link_end(path);
}
