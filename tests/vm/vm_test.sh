#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The namespace tests that carry the line "# kernel: yes", on real Debian kernels (KERNELS, default 6.1): one VM a
# kernel, booted once, kernels one after the other. Their TAP lines appear with the kernel's version in front.
set -u
here=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$here/../.." && pwd)
export B=${B:-build}
failed=0
for version in ${KERNELS:-6.1}; do
	reason=$("$here/kernel" "$version" 2>&1)
	case $? in
	0) ;;
	77) echo "ok kernel $version # SKIP $reason"; continue ;;
	*) echo "not ok kernel $version: $reason"; failed=1; continue ;;
	esac
	tests=$(grep -l '^# kernel: yes' "$ROOT"/tests/net/*_test.sh)
	script=$(mktemp "$ROOT/build/vm/inside.XXXXXX")
	{
		echo "cd '$ROOT'; export B='$B' TEST_SCALE=8 SORTIE_VM=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin"
		echo 'echo "# $(uname -r)"'
		for t in $tests; do
			echo "echo '# begin $(basename "$t" .sh)'; timeout ${VM_TEST_TIMEOUT:-240} bash '$t'; echo '# end $(basename "$t" .sh)' \$?"
		done
		echo 'echo "# tainted $(cat /proc/sys/kernel/tainted)"; dmesg | grep -E "WARNING|BUG:|Oops" | sed "s/^/# /"; echo "# all ran"'
	} >"$script"
	out=$(timeout "${VM_TIMEOUT:-900}" "$here/run" "$version" "$script" 2>&1 | tr -d '\r')
	rm -f "$script"
	printf '%s\n' "$out" | sed -E "s/^(not ok|ok) /\1 kernel $version: /"
	release=$(printf '%s\n' "$out" | sed -n 's/^# \([0-9][^ ]*\)$/\1/p' | head -n 1)
	if printf '%s\n' "$out" | grep -q '^# all ran'; then echo "ok kernel $version ran to the end ($release)"; else
		echo "not ok kernel $version did not run to the end"
		failed=1
	fi
	if printf '%s\n' "$out" | grep -qE '^# (.*(WARNING|BUG:|Oops))'; then echo "not ok kernel $version complained"; failed=1; fi
	! printf '%s\n' "$out" | grep -qE '^not ok ' || failed=1
	# A test that died said nothing wrong but did not end well.
	bad=$(printf '%s\n' "$out" | sed -n 's/^# end \([^ ]*\) \([1-9][0-9]*\)$/\1 \2/p' | grep -v ' 77$' || true)
	[[ -z $bad ]] || { echo "not ok kernel $version: ended badly: $bad"; failed=1; }
done
exit $failed
