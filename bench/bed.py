# SPDX-License-Identifier: GPL-2.0-or-later
"""The bed of bench/flat.bash, seen from Python: the control plane's Unix socket, the CLI, an agent on a host."""
import http.client
import json
import os
import socket
import subprocess
import time


class Failed(Exception):
    """A step of the benchmark did not work: there is no figure."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Bed:
    def __init__(self, text):
        known = json.loads(text)
        self.hosts, self.build, self.run, self.state = (known[k] for k in ("hosts", "build", "run", "state"))
        self.control_socket = f"{self.run}/control.sock"

    def enter(self, host):
        return ["nsenter", "-t", str(self.hosts[host]), "-n", "-m", "--"]

    def admin(self, method, path, body=None):
        """The answer, and the monotonic time in ns when its last byte was read."""
        connection = UnixConnection(self.control_socket)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None,
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read()
            at = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        finally:
            connection.close()
        if response.status != 200:
            raise Failed(f"{method} {path}: {response.status} {data[:300]!r}")
        return json.loads(data), at

    def sortie(self, *args, socket_path=None):
        command = [f"{self.build}/sortie", "--control", self.control_socket]
        if socket_path:
            command += ["--socket", socket_path]
        done = subprocess.run(command + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Failed(f"sortie {' '.join(args)}: exit {done.returncode}: {done.stdout.strip()}")
        return done.stdout

    def token(self, name, labels):
        path = f"{self.run}/{name.replace('/', '-')}.token"
        self.sortie("token", "create", "--name", name, "--labels", labels, "--out", path)
        return path

    def policy(self, text):
        path = f"{self.run}/policy.yaml"
        with open(path, "w") as f:
            f.write(text)
        return self.sortie("policy", "apply", path)


class Agent:
    """sortied on a host, for one identity after the other."""

    def __init__(self, bed, host, folder=None):
        """folder: programs, and in lib/ libraries, that are taken instead of the build's."""
        self.bed, self.host = bed, host
        self.socket = f"{bed.run}/{host}.sock"
        self.log = f"{bed.run}/{host}.log"
        with open(self.log, "a") as log:  # nsenter becomes the program: the process is the agent itself
            self.process = subprocess.Popen(
                bed.enter(host) + [f"{folder or bed.build}/sortied", "--state", f"{bed.state}/{host}", "--socket", self.socket,
                                   "--hosts", f"{bed.run}/{host}.hosts"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, LD_LIBRARY_PATH=f"{folder}/lib") if folder else None)
        wait_for(15, lambda: os.path.exists(self.socket), f"{host}: the agent's socket")

    def enroll(self, name, labels):
        token = self.bed.token(name, labels)
        self.bed.sortie("enroll", "--token", f"file:{token}", socket_path=self.socket)
        os.unlink(token)

    def leave(self):
        self.bed.sortie("leave", socket_path=self.socket)

    def status(self):
        return json.loads(self.bed.sortie("status", "--json", socket_path=self.socket))


def wait_for(seconds, condition, what, pause=0.05):
    until = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(pause)


def percentile(values, share):
    """The smallest value that at least this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def row(name, value, unit, reference, goal, samples):
    print(json.dumps({"name": name, "value": value, "unit": unit, "reference": reference, "goal": goal,
                      "samples": samples}), flush=True)
