/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pinned map "layout" of whatever version: the one map that everybody may read before anything else is known. */
#pragma once
#include "relay/maps.h"

/* -ENOENT where no complete set of pins is there. Of another version only version and interfaces mean something. */
int layout_read(const char *dir, struct relay_layout *ret);
