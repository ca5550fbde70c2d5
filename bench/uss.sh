#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Row agent-uss: private memory (USS) of the agent's processes, sortied and sortie-net, with 100 peers that policy pairs it
# with, against Nebula's (the Debian package) with 100 peers on the same bed: tunnels to all of them stand, certificates and
# firewall rules by group. wireguard-go is a remark: it stands in where the kernel has no WireGuard. Both programs are files
# that nothing else maps, so their own pages count; what the agent costs where nothing else uses the system's libraries is a
# remark too. See bench/uss.py.
if [[ -z ${SORTIE_TEST_INSIDE:-} ]] && ! command -v nebula-cert >/dev/null; then # inside there is no network
	apt-get install -y --no-install-recommends nebula >/dev/null
fi
source "$(dirname "$0")/../tests/net/lib.sh"
source "$ROOT/tests/net/sites.sh"
source "$ROOT/bench/flat.bash"
set -e
[[ -x $B/tests/tools/control_agent ]] || make -s -C "$ROOT" "B=$B" "$B/tests/tools/control_agent"
flat_up measured alone crowd1 crowd2 nebula nebcrowd
flat_control
"$ROOT/bench/uss.py" "$(flat_json)" || { tail -n 5 "$T"/*.log >&2; exit 1; }
finish
