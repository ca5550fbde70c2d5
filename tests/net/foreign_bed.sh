# SPDX-License-Identifier: GPL-2.0-or-later
# Other software in a test's hosts, on top of lib.sh: Debian's packages, unpacked (packaging/unpack-foreign), seen in the whole
# test at the paths where they would be installed; nothing of the machine is changed, all mounts are the test's own.
#
#   foreign_need PROGRAM...   ends the test as skipped where one is missing
#   foreign_private HOST FOLDER...   the host has its own copy of these folders
#
# packaging/unpack-foreign runs before lib.sh takes the network away.
FOREIGN=$ROOT/build/foreign/root

foreign_mount() { # FOLDER: the packages' files under the machine's own, writable in memory
	mkdir -p "/run/foreign$1/upper" "/run/foreign$1/work"
	mount -t overlay overlay -o "lowerdir=$FOREIGN$1:$1,upperdir=/run/foreign$1/upper,workdir=/run/foreign$1/work" "$1"
}

foreign_need() {
	local program
	if [[ ! -e $FOREIGN/../complete ]] || ! foreign_mount /usr 2>/dev/null || ! foreign_mount /etc 2>/dev/null; then
		skip "$(basename "$0" .sh)" "Debian's packages of it could not be fetched, or no overlayfs"
		FINISHED=1
		exit 77
	fi
	ldconfig
	for program in "$@"; do
		command -v "$program" >/dev/null && continue
		skip "$(basename "$0" .sh)" "no $program"
		FINISHED=1
		exit 77
	done
}

foreign_private() {
	local name=$1 folder
	shift
	for folder; do
		mkdir -p "$T/private/$name$folder"
		cp -a "$folder/." "$T/private/$name$folder"
		on "$name" mount --bind "$T/private/$name$folder" "$folder"
	done
}
