/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locals that release themselves: `_cleanup_(freep) char *text = NULL;`
 *
 * DEFINE_CLEANUP(x_free, struct x *) makes x_freep() for a destructor that takes NULL.
 */
#pragma once
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

#define DEFINE_CLEANUP(function, type)                                                             \
	static inline void function##p(type *object)                                               \
	{                                                                                          \
		if (*object)                                                                       \
			function(*object);                                                         \
	}                                                                                          \
	struct cleanup_needs_semicolon

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Hands over what a _cleanup_ variable holds. */
#define take_pointer(variable)                                                                     \
	({                                                                                         \
		__typeof__(variable) taken_ = (variable);                                          \
		(variable) = NULL;                                                                 \
		taken_;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
