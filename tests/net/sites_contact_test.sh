#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: yes
# A pair that policy just joined can talk soon, though its two ends learn of it at different moments: somebody asks all the
# time while the policy comes and goes, and the other side's agent is held up for a moment each time, so that the first
# handshake finds nobody. WireGuard alone would repeat it only after 5 s.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/sites.sh"
internet_up
direct_site web 192.0.2.21/24 2001:db8::21/64
direct_site db 192.0.2.22/24 2001:db8::22/64
control_init >/dev/null
control_run
for name in site-a/web site-b/db; do
	agent_run "${name#*/}"
	check "$name enrolled" enroll "$name" "role=${name#*/}"
done
cat >"$T/joined.yaml" <<'YAML'
version: 1
rules: [{name: web reads the database, from: role=web, to: role=db, allow: [tcp/5432]}]
YAML
echo "version: 1" >"$T/apart.yaml"
on db "$ROOT/tests/tools/probe.py" serve db tcp/5432 >/dev/null &
DB6=$(overlay db 6)
cat >"$T/rounds.py" <<'PY'
"""Applies and withdraws the policy; prints the milliseconds from the other agent's waking up to the first connection."""
import os, signal, socket, subprocess, sys, time
sortie, t, pid, db, agent = sys.argv[1:]
host = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
outside = os.open("/proc/self/ns/net", os.O_RDONLY)

def apply(name):
    subprocess.run([sortie, "--control", f"{t}/control.sock", "policy", "apply", f"{t}/{name}.yaml"], check=True, stdout=subprocess.DEVNULL)

def connects():
    with socket.socket(socket.AF_INET6) as s:
        s.settimeout(0.25)
        try:
            s.connect((db, 5432))
            return True
        except OSError:
            return False

import ctypes
setns = ctypes.CDLL(None, use_errno=True).setns
for _ in range(6):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # asks before, while and after the policy is applied
        if setns(host, 0):
            os._exit(1)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if connects():
                os.write(writer, str(time.monotonic()).encode())
                os._exit(0)
            time.sleep(0.02)
        os._exit(1)
    os.close(writer)
    time.sleep(0.3)
    os.kill(int(agent), signal.SIGSTOP)
    apply("joined")
    time.sleep(0.4)
    os.kill(int(agent), signal.SIGCONT)
    returned = time.monotonic()
    answer = os.read(reader, 64)
    os.close(reader)
    os.waitpid(child, 0)
    print(max(0, round((float(answer) - returned) * 1000)) if answer else 20000, flush=True)
    apply("apart")
PY
python3 "$T/rounds.py" "$B/sortie" "$T" "${PIDS[web]}" "$DB6" "${AGENTS[db]}" >"$T/rounds"
echo "# first connection after both ends may know: $(tr '\n' ' ' <"$T/rounds")ms"
check "six rounds" test "$(wc -l <"$T/rounds")" -eq 6
check "none waits for WireGuard's 5 s" awk -v max=$((3000 * TEST_SCALE)) '$1 > max {exit 1}' "$T/rounds"
sites_end
finish
