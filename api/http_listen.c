/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listening sockets: close-on-exec, non-blocking, exactly where they were asked for. */
#include "api/http.h"
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 1024

/* Does anybody answer there? A refusal means that a dead process left its socket file behind. */
static bool somebody_answers(const struct sockaddr_un *address)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno != ECONNREFUSED;
}

/* Removes a left-over socket; whatever else has the name stays, and bind() says so. */
static int make_room(const struct sockaddr_un *address)
{
	struct stat status;
	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode) || somebody_answers(address))
		return -EADDRINUSE;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

int http_listen_unix(const char *path, mode_t mode, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	int r = make_room(&address);
	if (r < 0)
		return r;
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* bind() gives the file the socket's own mode (less the umask): there is no moment when it is wider. */
	if (fchmod(fd, mode) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		unlink(path);
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int http_listen_tcp(const struct endpoint *at, const char *interface, int *ret_fd)
{
	struct sockaddr_storage address;
	const int on = 1;
	socklen_t length = endpoint_to_sockaddr(at, &address);
	if (length == 0)
		return -EAFNOSUPPORT;
	_cleanup_(closep) int fd =
		socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (address.ss_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
				    (socklen_t)strnlen(interface, IFNAMSIZ - 1) + 1) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}
