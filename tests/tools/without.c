/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a program as on a kernel that was built without something: its system calls are answered as that kernel would.
 *
 * usage: without bpf|nftables|genetlink... -- COMMAND ARGUMENT...
 *
 *	bpf        bpf() is ENOSYS (CONFIG_BPF_SYSCALL)
 *	nftables   no netlink sockets of netfilter (CONFIG_NETFILTER_NETLINK)
 *	genetlink  none of generic netlink, by which the kernel's WireGuard is configured
 */
#include <errno.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int add(scmp_filter_ctx filter, const char *what)
{
	if (strcmp(what, "bpf") == 0)
		return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(bpf), 0);
	if (strcmp(what, "nftables") == 0)
		return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket),
					2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
					SCMP_A2(SCMP_CMP_EQ, NETLINK_NETFILTER));
	if (strcmp(what, "genetlink") == 0)
		return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket),
					2, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK),
					SCMP_A2(SCMP_CMP_EQ, NETLINK_GENERIC));
	return -EINVAL;
}

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int i = 1, r = filter ? 0 : -ENOMEM;

	for (; i < argc && strcmp(argv[i], "--") != 0 && r == 0; i++)
		r = add(filter, argv[i]);
	if (r == 0 && i + 1 >= argc)
		r = -EINVAL;
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	if (r < 0) {
		fprintf(stderr, "without: %s\n", strerror(-r));
		return 126;
	}
	execvp(argv[i + 1], argv + i + 1);
	fprintf(stderr, "without: %s: %s\n", argv[i + 1], strerror(errno));
	return 127;
}
