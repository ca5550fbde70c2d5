# SPDX-License-Identifier: GPL-2.0-or-later
# Programs of Debian 13 on an older Debian. From 2023 on wireguard-go takes and sends packets in batches (GSO, GRO), Debian 12's
# takes them one by one, and that decides what anything costs beside it.
#
#   newer PACKAGE...     puts their programs in front of PATH: unpacked in build/vm, not installed. OWN=1, or a machine that
#                        is no Debian 12 or cannot fetch them: leaves PATH as it is. Before lib.sh, inside there is no network.
VM_LIB=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh")
source "$VM_LIB"

newer_fetch() { # PACKAGE: not for ever, where there is no network
	# shellcheck disable=SC2016 # expanded inside
	timeout 120 bash -ec 'source "$0"; mkdir -p "$VM_DIR/trixie"; cd "$VM_DIR/trixie"
		vm_apt trixie -- apt-get download "$1"; dpkg-deb -x "$1"_*.deb .; : >"$1"' "$VM_LIB" "$1" >/dev/null 2>&1
}

newer() {
	local package programs=$VM_DIR/trixie
	[[ -z ${SORTIE_TEST_INSIDE:-}${OWN:-} && $(vm_codename) == bookworm ]] || return 0
	for package in "$@"; do
		[[ ! -e $programs/$package ]] || continue
		! newer_fetch "$package" || continue
		echo "# $package of Debian 13 is not to be had here: this machine's own is taken"
		return 0
	done
	export PATH=$programs/usr/bin:$PATH
}
