#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# relay_nat_test.sh with the relay at XDP.
# kernel: yes
export HOOK=xdp
source "$(dirname "${BASH_SOURCE[0]}")/relay_nat_test.sh"
