/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting wireguard-go and seeing it end.
 *
 * It stays in the foreground, as our child, so that its sockets can be reached (below), and belongs to init once we are gone.
 * It gets a session of its own, /dev/null, no other descriptor of ours, and an environment of PATH alone: secrets go over
 * its control socket only. Which cgroup it lives in is the service manager's affair.
 *
 * Two of its queues are too short for a burst: 500 packets in front of its TUN device, and the UDP socket's default of about
 * 90 full packets, where every fourth packet of a fast stream was lost. The program has no option for either. The socket's
 * buffer is set from here through a copy of its descriptor: the kernel allows that (pidfd_getfd, 5.6) to a parent
 * with the same user and at least the same capabilities.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "netlink/wg_uapi.h"

#define PROGRAM	     "wireguard-go"
#define PROGRAM_DIR  "/usr/bin/"
#define POLL_MS	     10
#define QUEUE	     4000 /* packets in front of the TUN device */
#define BUFFER	     (4 << 20)
#define FDS_MAX	     64 /* wireguard-go has about twenty */
#define CHILDREN_MAX 8

/* Bounded waiting for a condition that no descriptor announces. */
static bool wait_until(bool (*condition)(void *data), void *data)
{
	struct mono start = clock_mono();

	while (!condition(data)) {
		if (mono_diff_ms(clock_mono(), start) > WG_UAPI_TIMEOUT_MS)
			return false;
		(void)poll(NULL, 0, POLL_MS);
	}
	return true;
}

static int set_actions(posix_spawn_file_actions_t *actions)
{
	int r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 2);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, 3);
	if (r == 0)
		r = posix_spawn_file_actions_addchdir_np(actions, "/");
	return -r;
}

/* Handlers are not inherited, but what we ignore or block would be. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
							 POSIX_SPAWN_SETSIGDEF);
	if (r == 0)
		r = posix_spawnattr_setsigmask(attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	return -r;
}

static int spawn(const char *ifname, pid_t *ret)
{
	char name[IFNAMSIZ], program[] = PROGRAM, path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char foreground[] = "-f", *argv[] = {program, foreground, name, NULL};
	char *environment[] = {path, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	(void)snprintf(name, sizeof(name), "%s", ifname);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attributes);
	r = set_actions(&actions);
	if (r == 0)
		r = set_attributes(&attributes);
	if (r == 0)
		r = -posix_spawnp(ret, PROGRAM, &actions, &attributes, argv, environment);
	if (r == -ENOENT)
		r = -posix_spawn(ret, PROGRAM_DIR PROGRAM, &actions, &attributes, argv,
				 environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

/* Those that this process has started. */
static struct child {
	char ifname[IFNAMSIZ];
	pid_t pid; /* 0: free */
} children[CHILDREN_MAX];

/* Where the caller ignores SIGCHLD only the end is to be had. */
static bool has_exited(void *data)
{
	struct child *child = data;
	pid_t pid = waitpid(child->pid, NULL, WNOHANG);

	if (pid != child->pid && (pid == 0 || errno != ECHILD))
		return false;
	child->pid = 0;
	return true;
}

/* NULL where all places are taken by processes that live. */
static struct child *free_child(void)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (children[i].pid == 0 || has_exited(&children[i]))
			return &children[i];
	return NULL;
}

/* The one that lives; those that have ended are taken off the list, and leave no zombie. */
static const struct child *find_child(const char *ifname)
{
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (children[i].pid && strcmp(children[i].ifname, ifname) == 0 &&
		    !has_exited(&children[i]))
			return &children[i];
	return NULL;
}

static bool answers(void *data)
{
	return wg_uapi_answers(data);
}

static bool is_silent(void *data)
{
	return !wg_uapi_answers(data);
}

/* The program says only "no": find out which no it was. */
static int reason_of_failure(void)
{
	_cleanup_(closep) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return -EIO;
	return errno == EPERM || errno == EACCES ? -EPERM : -EOPNOTSUPP;
}

/* A failure leaves the queue as it is: slower, but no reason not to go on. */
static void lengthen_queue(const char *ifname)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_qlen = QUEUE};

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	if (fd >= 0)
		(void)ioctl(fd, SIOCSIFTXQLEN, &request);
}

static bool answers_or_ended(void *data)
{
	struct child *child = data;

	return answers(child->ifname) || has_exited(child);
}

int wg_userspace_start(const char *ifname)
{
	struct child *child = free_child();
	int r;

	if (!child)
		return -EAGAIN;
	(void)snprintf(child->ifname, sizeof(child->ifname), "%s", ifname);
	r = spawn(child->ifname, &child->pid);
	if (r < 0) {
		child->pid = 0;
		return r;
	}
	if (!wait_until(answers_or_ended, child)) {
		(void)kill(child->pid, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);
		child->pid = 0;
		return -ETIMEDOUT;
	}
	if (child->pid == 0)
		return reason_of_failure();
	lengthen_queue(ifname);
	return 0;
}

static bool is_udp(int fd)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
	       protocol == IPPROTO_UDP;
}

/* How many sockets have it now, or why not one can be reached. */
static int widen(int pidfd)
{
	int n = 0;

	for (int number = 0; number < FDS_MAX; number++) {
		_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
		const int size = BUFFER;

		if (fd < 0 && errno != EBADF)
			return -errno;
		if (fd >= 0 && is_udp(fd) &&
		    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0)
			n++;
	}
	return n;
}

struct widening {
	int pidfd, result;
};

static bool has_widened(void *data)
{
	struct widening *widening = data;

	widening->result = widen(widening->pidfd);
	return widening->result != 0;
}

int wg_userspace_make_room(const char *ifname)
{
	struct widening widening = {.pidfd = -1};
	_cleanup_(closep) int pidfd = -1;
	const struct child *child = find_child(ifname);

	if (!child)
		return -ESRCH;
	pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (pidfd < 0)
		return -errno;
	widening.pidfd = pidfd;
	/* The sockets are made a moment after the interface came up. */
	if (!wait_until(has_widened, &widening))
		return -ETIMEDOUT;
	return widening.result < 0 ? widening.result : 0;
}

int wg_userspace_find(void)
{
	static const char *const folders[] = {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"};
	char path[sizeof("/usr/sbin/" PROGRAM)];
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && !found; i++) {
		(void)snprintf(path, sizeof(path), "%s" PROGRAM, folders[i]);
		found = access(path, X_OK) == 0;
	}
	return found && access("/dev/net/tun", F_OK) == 0 ? 0 : -EOPNOTSUPP;
}

int wg_userspace_wait_end(const char *ifname)
{
	char name[IFNAMSIZ], path[sizeof(WG_UAPI_FOLDER) + IFNAMSIZ + 8];

	(void)snprintf(name, sizeof(name), "%s", ifname);
	if (!wait_until(is_silent, name))
		return -ETIMEDOUT;
	(void)find_child(name);
	(void)snprintf(path, sizeof(path), WG_UAPI_FOLDER "/%s.sock", name);
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
