"""Checks that the OpenAPI document is true: starts the server, puts something into it, and has schemathesis ask all there is.

    run.py --binary target/debug/parlance                   a short run, the same each time
    run.py --binary target/debug/parlance --seconds 1800    another one each time, for so long

Any path of the document is asked, so that new ones need nothing here. What fails says how to see it again.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
# Settings that would refuse what a test must be able to do.
UNLIMITED = {"PARLANCE_LIMITS__COMMANDS_PER_S": "0", "PARLANCE_LOG__FILTER": "warn"}
SEED = 20_260_101
EXAMPLES = 25
# A run that hangs is a failure too: seconds beyond those that were asked for.
PATIENCE_S = 900


def check(url, headers, options, seconds=0):
    """Runs schemathesis over the document at a URL, for about so long; true where nothing failed."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run", url]
    command += ["--continue-on-failure", "--generation-database", "none", "--no-color", "--output-sanitize", "true"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*map(str, command), *options], cwd=folder, env=environment, timeout=PATIENCE_S + seconds)
    return done.returncode == 0


class Server:
    """The real binary on a data folder and a port of its own."""

    def __init__(self, binary, folder):
        self.binary, self.data = binary, pathlib.Path(folder) / "data"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PARLANCE_")}
        self.environment = {**inherited, **UNLIMITED}

    def run(self, *words):
        command = [self.binary, *words, "--data", self.data]
        done = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True, cwd="/")
        return done.stdout.strip()

    def __enter__(self):
        self.run("user", "add", "root", "--role", "super_admin", "--no-password")
        self.token = self.run("user", "token", "root")
        self.others = [json.loads(line) for line in self.run("user", "seed", "--count", "5").splitlines()]
        command = [self.binary, "--listen", "127.0.0.1:0", "--data", self.data]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True, cwd="/")
        self.url = self.process.stdout.readline().strip().removeprefix("listening on ")
        if not self.url.startswith("http://"):
            raise RuntimeError("the server has not started")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def ask(self, token, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def furnish(self):
        """Puts rooms, messages of all kinds, and people into it: an answer without anything in it shows little."""
        ids = [other["id"] for other in self.others]
        part = {"type": "code", "language": "rust", "text": "fn main() {}"}
        for room in range(3):
            made = self.ask(self.token, "POST", "/v1/rooms", {"kind": "group", "name": f"Room {room}", "members": ids[:4]})
            path = f"/v1/rooms/{made['id']}"
            for text in ("one", "two", "three", "four"):
                content = {"text": text, "parts": [part]}
                body = {"content": content, "mentions": ids[:1], "meta": {"a": "b"}}
                sent = self.ask(self.token, "POST", f"{path}/messages", body)
            self.ask(self.others[0]["token"], "PUT", f"{path}/messages/{sent['seq']}/reactions/ok")
            self.ask(self.token, "PUT", f"{path}/messages/{sent['seq']}", {"content": {"text": "edited"}})
            self.ask(self.token, "DELETE", f"{path}/messages/{sent['seq'] - 1}")
            self.ask(self.token, "PUT", f"{path}/members/{ids[1]}/mute", {})
            self.ask(self.token, "PUT", f"{path}/bans/{ids[2]}", {})
            self.ask(self.token, "POST", f"{path}/invites", {})
        self.ask(self.others[0]["token"], "POST", "/v1/rooms/direct", {"user": ids[1]})


def main():
    words = argparse.ArgumentParser(description="Checks that the OpenAPI document is true.")
    words.add_argument("--binary", required=True, type=lambda path: pathlib.Path(path).resolve())
    words.add_argument("--seconds", type=int, help="how long to go on, with a random seed")
    words.add_argument("--seed", type=int, help="the seed of an earlier run")
    arguments, options = words.parse_known_args()
    seed = arguments.seed or (random.randrange(2**32) if arguments.seconds else SEED)
    options += ["--seed", str(seed)]
    options += ["--max-time", str(arguments.seconds)] if arguments.seconds else ["-n", str(EXAMPLES)]
    with tempfile.TemporaryDirectory() as folder, Server(arguments.binary, folder) as server:
        server.furnish()
        good = check(f"{server.url}/openapi.json", {"Authorization": f"Bearer {server.token}"}, options, arguments.seconds or 0)
        if server.process.poll() is not None:
            print(f"the server has ended with {server.process.returncode}")
            good = False
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
