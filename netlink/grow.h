/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists that double at powers of two, so that no capacity has to be kept. Inside netlink/ only. */
#pragma once
#include <errno.h>
#include <stdlib.h>

/* Makes room for one entry behind n. -ENOMEM leaves the list as it was. */
static inline int grow(void **list, size_t n, size_t size)
{
	void *bigger;

	if (n & (n - 1))
		return 0;
	bigger = reallocarray(*list, n ? 2 * n : 1, size);
	if (!bigger)
		return -ENOMEM;
	*list = bigger;
	return 0;
}
