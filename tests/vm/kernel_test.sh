#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Namespace tests on real Debian kernels: one VM a kernel, booted once. Their TAP lines appear with the kernel's version
# in front. Emulation takes one processor a VM, so kernels run side by side where there is one for each.
#
#   KERNELS           default "6.1 6.12"
#   VM_TESTS          tagged (default): those with the line "# kernel: yes"; or all
#   VM_TIMEOUT        seconds a kernel, 720 x TEST_SCALE
#   VM_TEST_TIMEOUT   seconds a script, 240 x TEST_SCALE
#   VM_JOBS           how many VMs at a time, default one a processor
set -u
here=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$here/../.." && pwd)
export B=${B:-build}
KERNELS=${KERNELS:-6.1 6.12}
TEST_SCALE=${TEST_SCALE:-1}
LIMIT=25 # tagged scripts, so that they stay within their time
failed=0

mkdir -p "$ROOT/build/vm"
work=$(mktemp -d "$ROOT/build/vm/run.XXXXXX")
stop() { # a VM ends with the processes that show it
	local pids
	pids=$(jobs -p)
	# shellcheck disable=SC2086 # a list of words
	[[ -z $pids ]] || { kill $pids; wait; } 2>/dev/null
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

if [[ ${VM_TESTS:-tagged} == all ]]; then tests=$(ls "$ROOT"/tests/net/*_test.sh); else
	tests=$(grep -l '^# kernel: yes' "$ROOT"/tests/net/*_test.sh)
	count=$(wc -l <<<"$tests")
	if ((count <= LIMIT)); then echo "ok $count tagged scripts, at most $LIMIT"; else
		echo "not ok $count tagged scripts, at most $LIMIT: untag some, check-kernel-full runs all"
		failed=1
	fi
fi

# There is no network inside.
# shellcheck disable=SC2086 # a list of words
! grep -q packaging/unpack-foreign $tests || "$ROOT/packaging/unpack-foreign" "$ROOT/build/foreign" || true

script_for() { # what runs inside
	local t name
	echo "cd '$ROOT'; export B='$B' TEST_SCALE=$((8 * TEST_SCALE)) SORTIE_VM=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin"
	echo 'echo "# $(uname -r)"; modprobe tun' # for wireguard-go: nobody else makes /dev/net/tun there
	echo 'mount -t cgroup2 cgroup2 /sys/fs/cgroup' # for containers
	for t in $tests; do
		name=$(basename "$t" .sh)
		[[ -z ${VM_ONLY:-} || $name == *$VM_ONLY* ]] || continue
		echo "start=\$SECONDS; echo '# begin $name'; timeout --kill-after=10 ${VM_TEST_TIMEOUT:-$((240 * TEST_SCALE))} bash '$t'" \
			"; echo '# end $name' \$? \$((SECONDS - start)) s"
	done
	echo 'echo "# tainted $(cat /proc/sys/kernel/tainted)"; dmesg | grep -E "WARNING|BUG:|Oops" | sed "s/^/# /"; echo "# all ran"'
}

run_kernel() { # VERSION: writes $work/VERSION.out
	script_for >"$work/$1.sh"
	exec timeout --kill-after=5 "${VM_TIMEOUT:-$((720 * TEST_SCALE))}" "$here/run" "$1" "$work/$1.sh" >"$work/$1.out" 2>&1
}

judge() { # VERSION
	local version=$1 out release bad
	out=$(tr -d '\r' <"$work/$version.out")
	printf '%s\n' "$out" | sed -E "s/^(not ok|ok) /\1 kernel $version: /"
	release=$(printf '%s\n' "$out" | sed -n 's/^# \([0-9][^ ]*\)$/\1/p' | head -n 1)
	if printf '%s\n' "$out" | grep -q '^# all ran'; then echo "ok kernel $version ran to the end ($release)"; else
		echo "not ok kernel $version did not run to the end"
		failed=1
	fi
	if printf '%s\n' "$out" | grep -qE '^# (.*(WARNING|BUG:|Oops))'; then echo "not ok kernel $version complained"; failed=1; fi
	! printf '%s\n' "$out" | grep -qE '^not ok ' || failed=1
	# A test that died said nothing wrong but did not end well.
	bad=$(printf '%s\n' "$out" | sed -n 's/^# end \([^ ]*\) \([1-9][0-9]*\) .*$/\1 \2/p' | grep -v ' 77$' || true)
	[[ -z $bad ]] || { echo "not ok kernel $version: ended badly: $bad"; failed=1; }
}

started=()
for version in $KERNELS; do
	reason=$("$here/kernel" "$version" 2>&1)
	case $? in
	0) ;;
	77) echo "ok kernel $version # SKIP $reason"; continue ;;
	*) echo "not ok kernel $version: $reason"; failed=1; continue ;;
	esac
	[[ $(jobs -pr | wc -l) -lt ${VM_JOBS:-$(nproc)} ]] || wait -n
	run_kernel "$version" &
	started+=("$version")
done
wait
for version in "${started[@]}"; do judge "$version"; done
exit $failed
