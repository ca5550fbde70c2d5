// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xdp_pass IF...: attaches an XDP program that passes everything to each interface, in the driver. A veth end takes
 * frames that XDP sends to it only where it has an XDP program itself.
 */
#include <stdio.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>

int main(int argc, char **argv)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", code, 2, NULL);
	for (int i = 1; i < argc; i++) {
		int r = fd < 0 ? fd
			       : bpf_xdp_attach((int)if_nametoindex(argv[i]), fd,
						XDP_FLAGS_DRV_MODE, NULL);
		if (r < 0) {
			fprintf(stderr, "xdp_pass %s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	return argc < 2 ? 2 : 0;
}
