"""What the checks of deploy/ have in common: where things are, ports, waiting, processes, the real server."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# How long anything may take to come about, in seconds.
PATIENCE_S = 60
# Sections of settings that a node alone has no use for.
CLUSTER_SECTIONS = {"PARLANCE_CLUSTER", "PARLANCE_NATS", "PARLANCE_STORE__SCYLLA", "PARLANCE_STORE__SCYLLA__TLS"}
# Password hashes that cost little, as they are no part of what is tested.
CHEAP = {"PARLANCE_AUTH__ARGON2__MEMORY_KIB": "1024", "PARLANCE_AUTH__ARGON2__ITERATIONS": "1", "PARLANCE_LOG__FILTER": "warn"}


def beside_python(name):
    """A program that pip put beside the Python that runs this, else one of the system's."""
    found = pathlib.Path(sys.executable).parent / name
    return str(found) if found.exists() else shutil.which(name)


def run(*command, **options):
    """Runs a command to its end; what it wrote is in the result."""
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S, **options)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until(holds, what):
    """Waits until a condition holds, and fails when it takes too long."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(what)
        threading.Event().wait(0.02)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def settings():
    """The environment variables of all settings that cluster.toml names; see `unknown`."""
    names, section = set(), ""
    for line in (ROOT / "cluster.toml").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[] ")
        elif found := re.match(r"# ([a-z0-9_]+) = ", line):
            names.add(f"PARLANCE_{section}.{found[1]}".replace(".", "__").upper())
    return names


def unknown(names):
    """Those names that are no settings. A section that cluster.toml doesn't have must be one of a cluster's."""
    known = settings()
    later = CLUSTER_SECTIONS - {name.rpartition("__")[0] for name in known}
    return {name for name in names if name not in known and name.rpartition("__")[0] not in later}


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


class Process:
    """A process that is ended with the `with`; what it writes is kept."""

    def __init__(self, command, **options):
        self.command, self.options = [*map(str, command)], options

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(self.command, **streams, **self.options)
        return self

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def until(self, holds, what):
        """Waits for a condition, for as long as the process lives."""
        def check():
            if self.process.poll() is not None:
                raise ChildProcessError(f"{self.command[0]} ended: {self.said()[-2000:]}")
            return holds()
        wait_until(check, what)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Server(Process):
    """The real server, on a port and a data folder that outlive it."""

    def __init__(self, data, port, **changes):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLANCE_")}
        command = [os.environ["PARLANCE_BIN"], "--data", data, "--listen", f"127.0.0.1:{port}"]
        super().__init__(command, env=inherited | CHEAP | changes, cwd="/")
        self.port = port

    def __enter__(self):
        super().__enter__()
        self.until(lambda: answers(self.port), "the server listens")
        return self
