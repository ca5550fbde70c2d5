/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of a mac1: two compressions of BLAKE2s (RFC 7693) over the 116 bytes in front of it, from the chaining
 * value that user space computed for the responder's key (relay/mac1.h). Unrolled: every index is a constant.
 */
#pragma once
#include "relay/state.bpf.h"

#define ROTATE_RIGHT(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

#define MIX(a, b, c, d, x, y)                                                                      \
	do {                                                                                       \
		a += b + (x);                                                                      \
		d = ROTATE_RIGHT(d ^ a, 16);                                                       \
		c += d;                                                                            \
		b = ROTATE_RIGHT(b ^ c, 12);                                                       \
		a += b + (y);                                                                      \
		d = ROTATE_RIGHT(d ^ a, 8);                                                        \
		c += d;                                                                            \
		b = ROTATE_RIGHT(b ^ c, 7);                                                        \
	} while (0)

#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, sa, sb, sc, sd, se, sf)                      \
	do {                                                                                       \
		MIX(v0, v4, v8, vc, m[s0], m[s1]);                                                 \
		MIX(v1, v5, v9, vd, m[s2], m[s3]);                                                 \
		MIX(v2, v6, va, ve, m[s4], m[s5]);                                                 \
		MIX(v3, v7, vb, vf, m[s6], m[s7]);                                                 \
		MIX(v0, v5, va, vf, m[s8], m[s9]);                                                 \
		MIX(v1, v6, vb, vc, m[sa], m[sb]);                                                 \
		MIX(v2, v7, v8, vd, m[sc], m[sd]);                                                 \
		MIX(v3, v4, v9, ve, m[se], m[sf]);                                                 \
	} while (0)

static __noinline int mac1_compress(__u32 *h, const volatile __u32 *m, __u32 counter, __u32 final)
{
	__u32 v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6];
	__u32 v7 = h[7], v8 = 0x6a09e667, v9 = 0xbb67ae85, va = 0x3c6ef372, vb = 0xa54ff53a;
	__u32 vc = 0x510e527f ^ counter, vd = 0x9b05688c, ve = 0x1f83d9ab ^ final, vf = 0x5be0cd19;

	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
	ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
	ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
	ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
	ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
	ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
	ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
	ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);

	h[0] ^= v0 ^ v8;
	h[1] ^= v1 ^ v9;
	h[2] ^= v2 ^ va;
	h[3] ^= v3 ^ vb;
	h[4] ^= v4 ^ vc;
	h[5] ^= v5 ^ vd;
	h[6] ^= v6 ^ ve;
	h[7] ^= v7 ^ vf;
	return 0;
}

/* Whether the message in the scratch is for the key whose chaining value is there. A global function: verified once. */
__noinline int mac1_matches(void)
{
	struct relay_scratch *s = scratch_get();
	if (!s)
		return 0;
	mac1_compress(s->h, s->m, 64 + 64, 0);
	mac1_compress(s->h, s->m + 16, 64 + MAC1_COVERED, 0xffffffff);
	return s->h[0] == s->mac1[0] && s->h[1] == s->mac1[1] && s->h[2] == s->mac1[2] &&
	       s->h[3] == s->mac1[3];
}

static __always_inline int mac1_test(struct relay_scratch *s, const struct relay_mac1 *state)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		s->h[i] = state->words[i];
	count_add(RELAY_MAC1_TESTS, 1);
	return mac1_matches();
}
