/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line a decision of the kernel: `flows` and the denies under `can`. */
#pragma once
#include "api/local.h"

void print_flow(const struct local_flow *flow);
