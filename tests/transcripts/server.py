"""The real server in a process of its own, with a data folder and a port of its own; or one that stands for the nodes of a cluster."""

import os
import re
import socket
import subprocess
import tempfile
import threading

START_S = 60
# What would change a server that a test starts, when it stands in the environment of the tests.
OWN = re.compile(r"PARLANCE_.*|SECRET_KEY|ALGORITHM|ACCESS_TOKEN_EXPIRE_MINUTES|HOST|PORT|[a-z]+_proxy", re.IGNORECASE)
# Cheap password hashes, as they are no part of what is tested.
SETTINGS = {"PARLANCE_AUTH__ARGON2__MEMORY_KIB": "1024", "PARLANCE_AUTH__ARGON2__ITERATIONS": "1", "PARLANCE_LOG__FILTER": "warn"}


class NoStart(Exception):
    """The server ended, or said nothing, before it listened."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A running server; used in a `with`. `PORT=free` takes a free port, and leaves it to the environment alone."""

    def __init__(self, binary, environment):
        self.binary, self.environment = binary, dict(environment)
        self.said, self.nodes = [], {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="parlance-transcripts-")
        arguments = [self.binary, "--data", self.folder.name]
        wanted = None
        if self.environment.get("PORT") == "free":
            self.environment["PORT"] = str(free_port())
            wanted = f"{self.environment.get('HOST', '127.0.0.1')}:{self.environment['PORT']}"
        else:
            arguments += ["--listen", "127.0.0.1:0"]
        clean = {name: value for name, value in os.environ.items() if not OWN.fullmatch(name)}
        self.process = subprocess.Popen(
            arguments, env=clean | SETTINGS | self.environment, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )
        self.listening = threading.Event()
        self.addresses = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            if not self.listening.wait(START_S) or not self.addresses:
                raise NoStart(f"the server did not start: {''.join(self.said[-20:])}")
            if wanted and self.addresses != [wanted]:
                raise NoStart(f"the server was told to listen on {wanted}, and does on {', '.join(self.addresses)}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def near(self, person):
        """The address of a person's node: people take the nodes in turn, and stay with one, where they see what they did."""
        return self.addresses[self.nodes.setdefault(person, len(self.nodes)) % len(self.addresses)]

    def _read(self):
        for line in self.process.stdout:
            self.said.append(line)
            if "listening on http://" in line and not self.addresses:
                self.addresses = re.findall(r"http://(\S+)", line)
                self.listening.set()
        self.listening.set()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.folder.cleanup()
