/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths in the state folder. */
#pragma once
#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* "DIR/NAME". -ENAMETOOLONG. */
static inline int state_path(const char *dir, const char *name, char ret[PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}
