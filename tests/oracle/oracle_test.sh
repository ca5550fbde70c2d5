#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The policy oracle, by default 50 policies x 20,000 packets; ORACLE_POLICIES, ORACLE_PACKETS, ORACLE_SEED change that.
source "$(dirname "$0")/../net/lib.sh"
python3 "$ROOT/tests/oracle/oracle.py" --policies "${ORACLE_POLICIES:-50}" --packets "${ORACLE_PACKETS:-20000}" \
	${ORACLE_SEED:+--seed "$ORACLE_SEED"} || FAILED=1
finish
