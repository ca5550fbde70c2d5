#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make install` and `make uninstall` in a folder, and what is installed: units hardened and well formed, users, folders.
set -u
cd "$(dirname "$0")/../.." || exit 2
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
failed=0
check() { # NAME COMMAND...: a TAP line
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then echo "ok $name"; else
		echo "not ok $name"
		printf '%s\n' "$out" | tail -n 15 | sed 's/^/# /'
		failed=1
	fi
}
build() { env -u MAKEFLAGS -u MAKELEVEL -u SAN make -s "$@"; }
files() { (cd "$1" && find . -type f -printf '%P %m\n' | sort); }

check "installs" build install "DESTDIR=$T/root" PREFIX=/usr
files "$T/root" >"$T/list"
for program in sbin/sortied sbin/sortie-net sbin/sortie-control sbin/sortie-relay-load bin/sortie; do
	check "$program, 0755" grep -qx "usr/$program 755" "$T/list"
	check "$program finds its libraries" eval '! ldd "$T/root/usr/$program" | grep "not found"'
done
for page in man/*.scd; do
	[[ -e $page ]] || continue
	page=$(basename "$page" .scd)
	check "man page $page" grep -qx "usr/share/man/man${page##*.}/$page 644" "$T/list"
done
for file in share/bash-completion/completions/sortie share/zsh/site-functions/_sortie share/fish/vendor_completions.d/sortie.fish; do
	check "completion ${file##*/}" grep -qx "usr/$file 644" "$T/list"
done
check "no other modes" eval '! grep -vE " (755|644)$" "$T/list"'

# --- units
exposed() { # UNIT: at most 2.5 of 10
	systemd-analyze security --no-pager --offline=true --threshold=25 "$1" | tail -n 1
	return "${PIPESTATUS[0]}"
}
for unit in "$T"/root/usr/lib/systemd/system/*; do
	file=$(basename "$unit")
	if command -v systemd-analyze >/dev/null; then
		check "$file: $(exposed "$unit" | sed 's/.*: \([0-9.]*\).*/exposure \1/'), at most 2.5" exposed "$unit"
		# verify(1) asks whether the programs are there: they are, under the folder.
		sed "s,=/usr/,=$T/root/usr/," "$unit" >"$T/$file"
		check "$file: well formed" eval 'out=$(systemd-analyze verify --man=no --recursive-errors=no "$T/$file" 2>&1) && [[ -z $out ]] || { echo "$out"; false; }'
	else
		echo "ok $file # SKIP no systemd-analyze"
	fi
	check "$file: its programs are installed" eval 'for p in $(sed -n "s,^Exec[A-Za-z]*=[-+!@]*\(/[^ ]*\).*,\1,p" "$unit"); do [[ -x $T/root$p || $p == /usr/bin/mkdir ]] || { echo "$p"; exit 1; }; done'
done
build install "DESTDIR=$T/local" PREFIX=/usr/local >/dev/null
check "with another PREFIX units start what is installed there" grep -q '^ExecStart=/usr/local/sbin/sortied ' "$T/local/usr/local/lib/systemd/system/sortied.service"

# --- users and folders, made in a root of their own
if command -v systemd-sysusers >/dev/null; then
	check "users are made" systemd-sysusers --root="$T/root" sortie.conf
	for user in sortie-net sortie-sign; do check "user $user" grep -q "^$user:" "$T/root/etc/passwd"; done
	check "group sortie" grep -q '^sortie:' "$T/root/etc/group"
	check "folders are made" systemd-tmpfiles --root="$T/root" --create sortie.conf
	check "/run/sortie, 0755" test "$(stat -c %a "$T/root/run/sortie" 2>/dev/null)" = 755
	rm -f "$T"/root/etc/{passwd,group,shadow,gshadow}* "$T"/root/etc/.pwd.lock
	rmdir "$T/root/run/sortie"
else
	echo "ok users and folders # SKIP no systemd-sysusers"
fi

# --- again, and away
echo "SORTIED_OPTIONS=--mode enforce" >"$T/root/etc/sortie/sortied.env"
check "installs over itself" build install "DESTDIR=$T/root" PREFIX=/usr
check "changed configuration stays" grep -qx "SORTIED_OPTIONS=--mode enforce" "$T/root/etc/sortie/sortied.env"
check "the same files are there" eval 'diff <(cut -d" " -f1 "$T/list") <(files "$T/root" | cut -d" " -f1)'
check "uninstalls" build uninstall "DESTDIR=$T/root" PREFIX=/usr
check "and leaves the changed configuration only" eval '[[ $(files "$T/root") == "etc/sortie/sortied.env 644" ]] || { files "$T/root"; false; }'
check "uninstalls from another PREFIX" build uninstall "DESTDIR=$T/local" PREFIX=/usr/local
check "and leaves nothing" eval '[[ -z $(files "$T/local") ]] || { files "$T/local"; false; }'
exit $failed
