/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting wireguard-go and seeing it end.
 *
 * Its first process makes the TUN device and the socket, starts itself again in the background and exits: its exit
 * status says whether that worked, its successor belongs to init. It gets a session of its own, /dev/null, no other
 * descriptor of ours, and an environment of PATH alone: secrets go over the socket only. Which cgroup it lives in is
 * the service manager's affair.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "common/clock.h"
#include "netlink/wg_uapi.h"

#define PROGRAM	    "wireguard-go"
#define PROGRAM_DIR "/usr/bin/"
#define POLL_MS	    10

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
	char *argv[] = {program, name, NULL};
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

struct child {
	pid_t pid;
	int status;
};

/* Where the caller ignores SIGCHLD there is no status to be had, only the end. */
static bool has_exited(void *data)
{
	struct child *child = data;
	pid_t pid = waitpid(child->pid, &child->status, WNOHANG);

	return pid == child->pid || (pid < 0 && errno == ECHILD);
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

int wg_userspace_start(const char *ifname)
{
	struct child child = {0};
	char name[IFNAMSIZ];
	int r;

	(void)snprintf(name, sizeof(name), "%s", ifname);
	r = spawn(name, &child.pid);
	if (r < 0)
		return r;
	if (!wait_until(has_exited, &child)) {
		(void)kill(child.pid, SIGKILL);
		(void)waitpid(child.pid, &child.status, 0);
		return -ETIMEDOUT;
	}
	if (!WIFEXITED(child.status) || WEXITSTATUS(child.status) != 0)
		return reason_of_failure();
	return wait_until(answers, name) ? 0 : -ETIMEDOUT;
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
	(void)snprintf(path, sizeof(path), WG_UAPI_FOLDER "/%s.sock", name);
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
