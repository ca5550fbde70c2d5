/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links and addresses over libnl-route-3.
 *
 * libnl answers with NLE_* codes that fold many errnos into one: an error callback keeps the kernel's own errno, and
 * errors[] maps what libnl itself finds. IFNAMSIZ is checked here because libnl cuts long names silently.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include "netlink/grow.h"
#include "netlink/link_handle.h"

#define DUMP_TRIES     10
#define LINK_TIMEOUT_S 5

DEFINE_CLEANUP(rtnl_link_put, struct rtnl_link *);
DEFINE_CLEANUP(rtnl_addr_put, struct rtnl_addr *);
DEFINE_CLEANUP(nl_cache_free, struct nl_cache *);

static const int errors[NLE_MAX + 1] = {
	[NLE_FAILURE] = EIO,
	[NLE_INTR] = EINTR,
	[NLE_BAD_SOCK] = EBADF,
	[NLE_AGAIN] = ETIMEDOUT,
	[NLE_NOMEM] = ENOMEM,
	[NLE_EXIST] = EEXIST,
	[NLE_INVAL] = EINVAL,
	[NLE_RANGE] = ERANGE,
	[NLE_MSGSIZE] = EMSGSIZE,
	[NLE_OPNOTSUPP] = EOPNOTSUPP,
	[NLE_AF_NOSUPPORT] = EAFNOSUPPORT,
	[NLE_OBJ_NOTFOUND] = ENOENT,
	[NLE_NOATTR] = ENOENT,
	[NLE_MISSING_ATTR] = EINVAL,
	[NLE_AF_MISMATCH] = EINVAL,
	[NLE_SEQ_MISMATCH] = EPROTO,
	[NLE_MSG_OVERFLOW] = EMSGSIZE,
	[NLE_MSG_TRUNC] = EMSGSIZE,
	[NLE_NOADDR] = EADDRNOTAVAIL,
	[NLE_SRCRT_NOSUPPORT] = EOPNOTSUPP,
	[NLE_MSG_TOOSHORT] = EBADMSG,
	[NLE_MSGTYPE_NOSUPPORT] = EOPNOTSUPP,
	[NLE_OBJ_MISMATCH] = EINVAL,
	[NLE_NOCACHE] = ENOENT,
	[NLE_BUSY] = EBUSY,
	[NLE_PROTO_MISMATCH] = EPROTONOSUPPORT,
	[NLE_NOACCESS] = EACCES,
	[NLE_PERM] = EPERM,
	[NLE_PKTLOC_FILE] = EIO,
	[NLE_PARSE_ERR] = EBADMSG,
	[NLE_NODEV] = ENODEV,
	[NLE_IMMUTABLE] = EPERM,
	[NLE_DUMP_INTR] = EINTR,
	[NLE_ATTRSIZE] = EBADMSG,
};

void link_begin(struct link_handle *handle)
{
	handle->kernel_error = 0;
}

int link_end(const struct link_handle *handle, int nle)
{
	int code = nle < 0 ? -nle : nle;

	if (nle >= 0)
		return 0;
	if (handle->kernel_error < 0)
		return handle->kernel_error;
	return code <= NLE_MAX && errors[code] ? -errors[code] : -EIO;
}

static int on_kernel_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *data)
{
	struct link_handle *handle = data;

	handle->kernel_error = error->error;
	return NL_STOP;
}

static int connect_socket(struct link_handle *handle)
{
	const struct timeval timeout = {.tv_sec = LINK_TIMEOUT_S};
	int r = nl_connect(handle->socket, NETLINK_ROUTE);

	if (r < 0)
		return link_end(handle, r);
	r = nl_socket_modify_err_cb(handle->socket, NL_CB_CUSTOM, on_kernel_error, handle);
	if (r < 0)
		return link_end(handle, r);
	if (setsockopt(nl_socket_get_fd(handle->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)) < 0)
		return -errno;
	return 0;
}

int link_open(struct link_handle **ret)
{
	_cleanup_(link_closep) struct link_handle *handle = calloc(1, sizeof(*handle));
	int r;

	if (!handle)
		return -ENOMEM;
	handle->socket = nl_socket_alloc();
	if (!handle->socket)
		return -ENOMEM;
	r = connect_socket(handle);
	if (r < 0)
		return r;
	*ret = take_pointer(handle);
	return 0;
}

void link_close(struct link_handle *handle)
{
	if (!handle)
		return;
	nl_socket_free(handle->socket);
	free(handle);
}

struct nl_addr *link_nl_addr(const struct addr *addr, uint8_t length)
{
	struct nl_addr *nl_addr = nl_addr_build(addr->family, addr->bytes, addr_length(addr));

	if (nl_addr)
		nl_addr_set_prefixlen(nl_addr, length);
	return nl_addr;
}

int link_prefix(const struct nl_addr *nl_addr, struct prefix *ret)
{
	int family = nl_addr ? nl_addr_get_family(nl_addr) : AF_UNSPEC;
	unsigned int whole = family == AF_INET ? 4 : 16;
	uint8_t bytes[16] = {0};

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	/* a default route has an address without bytes */
	if (nl_addr_get_len(nl_addr) > whole || nl_addr_get_prefixlen(nl_addr) > whole * 8)
		return -EBADMSG;
	memcpy(bytes, nl_addr_get_binary_addr(nl_addr), nl_addr_get_len(nl_addr));
	ret->addr = addr_from_bytes(family, bytes);
	ret->length = (uint8_t)nl_addr_get_prefixlen(nl_addr);
	return 0;
}

bool link_name_valid(const char *name)
{
	if (!*name || strlen(name) >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	return true;
}

static int get(struct link_handle *handle, const char *name, struct rtnl_link **ret)
{
	if (!link_name_valid(name))
		return -EINVAL;
	link_begin(handle);
	return link_end(handle, rtnl_link_get_kernel(handle->socket, 0, name, ret));
}

static struct link_info info_of(struct rtnl_link *link)
{
	struct link_info info = {0};
	const char *kind = rtnl_link_get_type(link), *name = rtnl_link_get_name(link);

	(void)snprintf(info.name, sizeof(info.name), "%s", name ? name : "");
	(void)snprintf(info.kind, sizeof(info.kind), "%s", kind ? kind : "");
	info.index = (unsigned int)rtnl_link_get_ifindex(link);
	info.master = (unsigned int)rtnl_link_get_master(link);
	info.mtu = rtnl_link_get_mtu(link);
	info.up = rtnl_link_get_flags(link) & IFF_UP;
	return info;
}

int link_get(struct link_handle *handle, const char *name, struct link_info *ret)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *link = NULL;
	int r = get(handle, name, &link);

	if (r < 0)
		return r;
	*ret = info_of(link);
	return 0;
}

static int read_links(struct nl_cache *cache, struct link_info **ret, size_t *ret_n)
{
	_cleanup_(freep) void *list = NULL;
	size_t n = 0;

	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		if (grow(&list, n, sizeof(**ret)) < 0)
			return -ENOMEM;
		((struct link_info *)list)[n++] = info_of((struct rtnl_link *)o);
	}
	*ret = take_pointer(list);
	*ret_n = n;
	return 0;
}

int link_list(struct link_handle *handle, struct link_info **ret, size_t *ret_n)
{
	_cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		link_begin(handle);
		r = link_end(handle, rtnl_link_alloc_cache(handle->socket, AF_UNSPEC, &cache));
	}
	return r < 0 ? r : read_links(cache, ret, ret_n);
}

int link_create(struct link_handle *handle, const char *name, const char *kind)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *link = rtnl_link_alloc();

	if (!link_name_valid(name))
		return -EINVAL;
	if (!link || rtnl_link_set_type(link, kind) < 0)
		return -ENOMEM;
	rtnl_link_set_name(link, name);
	link_begin(handle);
	return link_end(handle, rtnl_link_add(handle->socket, link, NLM_F_CREATE | NLM_F_EXCL));
}

/* Sends only what the change names: libnl compares it with the link it has just read. */
static int change(struct link_handle *handle, const char *name, struct rtnl_link *wanted)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *link = NULL;
	int r;

	if (!wanted)
		return -ENOMEM;
	r = get(handle, name, &link);
	if (r < 0)
		return r;
	link_begin(handle);
	return link_end(handle, rtnl_link_change(handle->socket, link, wanted, 0));
}

int link_set_up(struct link_handle *handle, const char *name, bool up)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *wanted = rtnl_link_alloc();

	if (wanted && up)
		rtnl_link_set_flags(wanted, IFF_UP);
	else if (wanted)
		rtnl_link_unset_flags(wanted, IFF_UP);
	return change(handle, name, wanted);
}

int link_set_name(struct link_handle *handle, const char *name, const char *becomes)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *wanted = rtnl_link_alloc();

	if (!link_name_valid(becomes))
		return -EINVAL;
	if (wanted)
		rtnl_link_set_name(wanted, becomes);
	return change(handle, name, wanted);
}

int link_set_mtu(struct link_handle *handle, const char *name, unsigned int mtu)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *wanted = rtnl_link_alloc();

	if (wanted)
		rtnl_link_set_mtu(wanted, mtu);
	return change(handle, name, wanted);
}

int link_delete(struct link_handle *handle, const char *name)
{
	_cleanup_(rtnl_link_putp) struct rtnl_link *link = NULL;
	int r = get(handle, name, &link);

	if (r < 0)
		return r == -ENODEV ? 0 : r;
	link_begin(handle);
	r = link_end(handle, rtnl_link_delete(handle->socket, link));
	return r == -ENODEV ? 0 : r;
}

static int read_addrs(struct nl_cache *cache, unsigned int index, struct link_addr **ret,
		      size_t *ret_n)
{
	_cleanup_(freep) void *list = NULL;
	size_t n = 0;

	for (struct nl_object *o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *entry = (struct rtnl_addr *)o;
		struct link_addr addr = {.index = (unsigned int)rtnl_addr_get_ifindex(entry)};

		if ((index && addr.index != index) ||
		    link_prefix(rtnl_addr_get_local(entry), &addr.prefix) < 0)
			continue;
		addr.local = addr.prefix.addr;
		for (unsigned int bit = addr.prefix.length; bit < addr_bits(&addr.local); bit++)
			addr.prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		if (grow(&list, n, sizeof(addr)) < 0)
			return -ENOMEM;
		((struct link_addr *)list)[n++] = addr;
	}
	*ret = take_pointer(list);
	*ret_n = n;
	return 0;
}

int link_addrs(struct link_handle *handle, unsigned int index, struct link_addr **ret,
	       size_t *ret_n)
{
	_cleanup_(nl_cache_freep) struct nl_cache *cache = NULL;
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		link_begin(handle);
		r = link_end(handle, rtnl_addr_alloc_cache(handle->socket, &cache));
	}
	return r < 0 ? r : read_addrs(cache, index, ret, ret_n);
}

static int make_addr(unsigned int index, const struct addr *addr, uint8_t length,
		     struct rtnl_addr **ret)
{
	_cleanup_(rtnl_addr_putp) struct rtnl_addr *entry = rtnl_addr_alloc();
	_cleanup_(nl_addr_putp) struct nl_addr *local = NULL;

	if (!addr_is_set(addr) || length > addr_bits(addr))
		return -EINVAL;
	local = link_nl_addr(addr, length);
	if (!entry || !local || rtnl_addr_set_local(entry, local) < 0)
		return -ENOMEM;
	rtnl_addr_set_ifindex(entry, (int)index);
	if (addr->family == AF_INET6)
		rtnl_addr_set_flags(entry, IFA_F_NODAD);
	*ret = take_pointer(entry);
	return 0;
}

/* -EEXIST also stands for "with another prefix length": success only where just this one is there. */
static int check_addr_stands(struct link_handle *handle, unsigned int index,
			     const struct addr *addr, uint8_t length)
{
	_cleanup_(freep) struct link_addr *addrs = NULL;
	size_t n;
	int r = link_addrs(handle, index, &addrs, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (addr_equal(&addrs[i].local, addr) && addrs[i].prefix.length == length)
			return 0;
	return r < 0 ? r : -EEXIST;
}

int link_addr_add(struct link_handle *handle, unsigned int index, const struct addr *addr,
		  uint8_t length)
{
	_cleanup_(rtnl_addr_putp) struct rtnl_addr *entry = NULL;
	int r = make_addr(index, addr, length, &entry);

	if (r < 0)
		return r;
	link_begin(handle);
	r = link_end(handle, rtnl_addr_add(handle->socket, entry, NLM_F_EXCL));
	return r == -EEXIST ? check_addr_stands(handle, index, addr, length) : r;
}

int link_addr_remove(struct link_handle *handle, unsigned int index, const struct addr *addr,
		     uint8_t length)
{
	_cleanup_(rtnl_addr_putp) struct rtnl_addr *entry = NULL;
	int r = make_addr(index, addr, length, &entry);

	if (r < 0)
		return r;
	link_begin(handle);
	r = link_end(handle, rtnl_addr_delete(handle->socket, entry, 0));
	return r == -EADDRNOTAVAIL || r == -ENODEV ? 0 : r;
}
