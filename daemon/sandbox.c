/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Privileges go down only. sortied keeps uid 0's files and CAP_NET_ADMIN; sortie-net keeps nothing but sockets and
 * what name resolution reads. The list below is what libcurl, libmicrohttpd, sd-event and glibc's resolver use; other
 * calls answer ENOSYS, to which glibc knows a second way for everything that it tries first.
 */
#include "daemon/sandbox.h"
#include "common/cleanup.h"
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* The leak check at exit stops the other threads by ptrace, which a process that cannot be dumped refuses. */
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

int sandbox_no_dumps(struct err *err)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0 || (!sanitized && prctl(PR_SET_DUMPABLE, 0) < 0))
		return err_code(err, -errno, "switch core dumps off: %s", strerror(errno));
	return 0;
}

void sandbox_lock_memory(void *secret, size_t length)
{
	(void)mlock(secret, length);
	(void)madvise(secret, length, MADV_DONTDUMP);
}

int sandbox_check_privileges(struct err *err)
{
	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return err_code(
			err, -EPERM,
			"CAP_NET_ADMIN is missing: sortied changes interfaces and the firewall, "
			"start it as root or by its systemd unit");
	return 0;
}

int sandbox_keep_net_admin(struct err *err)
{
	bool may_bound;

	capng_get_caps_process();
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
			 CAP_NET_ADMIN) < 0 ||
	    capng_apply(may_bound ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_code(err, -EPERM, "give up all privileges but CAP_NET_ADMIN: failed");
	return 0;
}

struct sandbox_user sandbox_net_user(void)
{
	struct sandbox_user self = {getuid(), getgid()};
	const struct passwd *user = getpwnam("sortie-net");

	capng_get_caps_process();
	if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID))
		return self;
	if (!user)
		user = getpwnam("nobody");
	return user ? (struct sandbox_user){user->pw_uid, user->pw_gid} : self;
}

int sandbox_become(const struct sandbox_user *user)
{
	if (user->uid == getuid())
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

static const int net_calls[] = {
	/* files: libraries' configuration, resolv.conf, hosts, nsswitch */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(openat),
	SCMP_SYS(open),
	SCMP_SYS(fstat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(lseek),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(pread64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64),
	SCMP_SYS(ioctl),
	SCMP_SYS(uname),
	SCMP_SYS(getcwd),
	SCMP_SYS(pipe2),
	SCMP_SYS(sendfile),
	/* sockets */
	SCMP_SYS(socket),
	SCMP_SYS(socketpair),
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	/* waiting */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(signalfd4),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	/* memory, threads of libraries, the helper that resolves names */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(clone),
	SCMP_SYS(wait4),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(kill),
	SCMP_SYS(tgkill),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(membarrier),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getrandom),
	/* who am I, signals */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getppid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(prlimit64),
	SCMP_SYS(getrlimit),
	SCMP_SYS(sysinfo),
	SCMP_SYS(prctl),
};

/* What the sanitizers' runtime needs besides. */
static const int sanitizer_calls[] = {
	SCMP_SYS(ptrace),	    SCMP_SYS(arch_prctl), SCMP_SYS(getdents),
	SCMP_SYS(process_vm_readv), SCMP_SYS(unlink),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static void on_trap(int signal_number, siginfo_t *info, void *context)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "sortie-net: system call %d is not on the list\n",
			      info->si_syscall);

	if (write(STDERR_FILENO, text, (size_t)length) < 0)
		_exit(1);
	_exit(1);
}

int sandbox_net_calls(bool trap, struct err *err)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	scmp_filter_ctx filter = seccomp_init(trap ? SCMP_ACT_TRAP : SCMP_ACT_ERRNO(ENOSYS));
	int r = filter ? 0 : -ENOMEM;

	if (r == 0 && trap && sigaction(SIGSYS, &action, NULL) < 0)
		r = -errno;
	if (r == 0)
		r = allow(filter, net_calls, ARRAY_SIZE(net_calls));
	if (r == 0 && sanitized)
		r = allow(filter, sanitizer_calls, ARRAY_SIZE(sanitizer_calls));
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	if (r < 0)
		return err_code(err, r, "close the system call filter: %s", strerror(-r));
	return 0;
}
