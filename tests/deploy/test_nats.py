"""NATS' own server on deploy/nats/nats.conf: three of them become one cluster, and ask for the password."""

import contextlib
import json
import os
import pathlib
import socket
import tempfile
import unittest
import urllib.error
import urllib.request

from support import DEPLOY, Process, beside_python, free_port, run, wait_until

PASSWORD = "p4ssw0rd"
CONF = (DEPLOY / "nats/nats.conf").read_text()


class Nats(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.clients, self.monitors, self.routes = ([free_port() for _ in range(3)] for _ in range(3))
        self.stack = stack

    def environment(self, name):
        routes = ", ".join(f"nats-route://route:{PASSWORD}@127.0.0.1:{port}" for port in self.routes)
        return {"PATH": os.environ["PATH"], "NATS_NAME": name, "NATS_PASSWORD": PASSWORD, "NATS_ROUTES": f"[{routes}]"}

    def conf(self, index):
        """The file as it is, but for its addresses and its folder."""
        text = CONF
        for old, new in (("0.0.0.0:4222", f"127.0.0.1:{self.clients[index]}"),
                         ("127.0.0.1:8222", f"127.0.0.1:{self.monitors[index]}"),
                         ("0.0.0.0:6222", f"127.0.0.1:{self.routes[index]}"),
                         ("store_dir: /data", f"store_dir: {self.folder}/data-{index}")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / f"{index}.conf"
        path.write_text(text)
        return path

    def monitor(self, index, path):
        with contextlib.suppress(urllib.error.URLError, ConnectionError), \
                urllib.request.urlopen(f"http://127.0.0.1:{self.monitors[index]}/{path}", timeout=5) as answer:
            return json.load(answer)
        return {}

    def greeting(self, index, password):
        """What the server says to a client that connects with a password."""
        with socket.create_connection(("127.0.0.1", self.clients[index]), timeout=10) as client:
            lines = client.makefile("rw", newline="\r\n")
            self.assertTrue(json.loads(lines.readline().removeprefix("INFO "))["auth_required"])
            lines.write('CONNECT {"verbose":false,"user":"parlance","pass":"%s"}\r\nPING\r\n' % password)
            lines.flush()
            return lines.readline().strip()

    def test_the_file_is_valid(self):
        done = run(beside_python("nats-server"), "-t", "-c", DEPLOY / "nats/nats.conf", env=self.environment("nats-1"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_three_become_one(self):
        for index in range(3):
            command = [beside_python("nats-server"), "-c", self.conf(index)]
            self.stack.enter_context(Process(command, env=self.environment(f"nats-{index + 1}")))
        for index in range(3):
            wait_until(lambda: self.monitor(index, "healthz").get("status") == "ok", "a server is healthy")
            wait_until(lambda: self.monitor(index, "jsz").get("meta_cluster", {}).get("cluster_size") == 3, "all three are known")
            jetstream = self.monitor(index, "varz")["jetstream"]["config"]
            self.assertIs(jetstream["sync_always"], True)
            self.assertEqual(self.greeting(index, PASSWORD), "PONG")
            self.assertIn("Authorization Violation", self.greeting(index, "wrong"))


if __name__ == "__main__":
    unittest.main()
