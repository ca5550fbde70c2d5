#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make deb`: what is in the package. tests/vm/package_test.sh installs it.
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
command -v dpkg-shlibdeps >/dev/null || { echo "ok package # SKIP no dpkg-shlibdeps"; exit 77; }

check "builds" eval 'env -u MAKEFLAGS -u MAKELEVEL -u SAN make -s deb >"$T/name"'
deb=$(tail -n 1 "$T/name")
check "says its name" test -s "$deb"
first=$(sha256sum <"$deb")
check "again gives the same bytes" eval 'env -u MAKEFLAGS -u MAKELEVEL -u SAN make -s deb >/dev/null && [[ $(sha256sum <"$deb") == "$first" ]]'
field() { dpkg-deb -f "$deb" "$1"; }
check "depends on every library that its programs ask for" eval 'for l in libc6 libnftnl11 libnl-route-3-200 libmicrohttpd12 libsqlite3-0 libbpf1 libsystemd0; do field Depends | grep -qw "$l" || { echo "$l"; exit 1; }; done'
dpkg-deb -x "$deb" "$T/root" && dpkg-deb -e "$deb" "$T/control"
check "nothing in it is writable by others" eval '[[ -z $(find "$T/root" ! -type l -perm /022) ]]'
check "everything belongs to root" eval '! dpkg-deb -c "$deb" | grep -v " root/root "'
check "programs are stripped" eval '! file -b "$T"/root/usr/sbin/* | grep -q "not stripped"'
check "checksums fit" eval '(cd "$T/root" && md5sum -c --quiet "$T/control/md5sums")'
check "configuration is the operator's" eval '[[ $(sort "$T/control/conffiles") == "$(cd "$T/root" && find etc -type f | sed "s,^,/," | sort)" ]]'
for script in postinst prerm postrm; do
	check "$script: a shell script that stops at errors" eval 'sh -n "$T/control/$script" && grep -qx "set -e" "$T/control/$script"'
	check "$script knows every unit" eval '[[ $script == prerm ]] || for u in "$T"/root/lib/systemd/system/*.service; do grep -qw "$(basename "$u")" "$T/control/$script" || { echo "$u"; exit 1; }; done'
done
if command -v lintian >/dev/null; then
	# The changelog is made from the tree; there is no bug in Debian to close.
	check "lintian has no complaint" lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs,no-manual-page "$deb"
else
	echo "ok lintian # SKIP not installed"
fi
exit $failed
