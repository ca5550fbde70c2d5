# SPDX-License-Identifier: GPL-2.0-or-later
# Where the VM tests get Debian's packages from: the mirrors that this machine's own apt uses, without changing what apt
# knows here. `source tests/vm/lib.sh` in a bash script.
#
#   vm_codename             the release this machine runs, e.g. bookworm
#   vm_sources SUITE...     lines of a sources.list; a suite that this machine does not use comes from the mirror of its
#                           release (backports), of this machine's release (another release), or is left out (the others)
#   vm_apt SUITE... -- TOOL ARGS...   runs apt-get or apt-cache as if only these suites were configured; lists are kept in
#                           build/vm/apt and fetched again after a day
#   vm_lock                 until this process ends nobody else makes things in build/vm
#   $VM_DIR                 build/vm, absolute: what is fetched and made for virtual machines
VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/vm

vm_codename() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

vm_lock() {
	mkdir -p "$VM_DIR"
	exec {VM_LOCK}>"$VM_DIR/lock"
	flock "$VM_LOCK"
}

vm_mirror() { # SUITE
	# shellcheck disable=SC2016 # apt's own fields
	apt-get indextargets --format '$(CREATED_BY) $(RELEASE) $(COMPONENT) $(REPO_URI)' |
		awk -v suite="$1" '$1 == "Packages" && $2 == suite && $3 == "main" {print $4; exit}'
}

vm_sources() {
	local suite mirror
	for suite in "$@"; do
		mirror=$(vm_mirror "$suite")
		[[ -n $mirror || $suite != *-backports ]] || mirror=$(vm_mirror "${suite%-backports}")
		[[ -n $mirror || $suite == *-* ]] || mirror=$(vm_mirror "$(vm_codename)")
		[[ -z $mirror ]] || echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
	done
}

vm_apt() {
	local suites=() dir
	while [[ $1 != -- ]]; do
		suites+=("$1")
		shift
	done
	shift
	dir=$(IFS=+ && echo "$VM_DIR/apt/${suites[*]}")
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	vm_sources "${suites[@]}" >"$dir/sources.list"
	[[ -s $dir/sources.list ]] || return 1
	local options=(-q -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=-
		-o Dir::Etc::PreferencesParts=- -o Dir::Etc::Preferences=- -o "Dir::State::Lists=$dir/lists"
		-o "Dir::Cache::Archives=$dir/archives" -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache=
		-o APT::Sandbox::User=root -o Acquire::Languages=none)
	if [[ -z $(find "$dir/updated" -mtime -1 2>/dev/null) ]]; then
		apt-get "${options[@]}" update >/dev/null 2>&1 || return 1
		: >"$dir/updated"
	fi
	"$1" "${options[@]}" "${@:2}"
}
