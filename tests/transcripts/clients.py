"""The clients that make the calls: one of the standard library alone, which is strict, and three foreign ones.

A client has `call(method, url, headers, body)`, which gives a Reply (a GET follows redirects), and `open(url, headers,
subprotocols)`, which gives a socket with `send(text)`, `receive(seconds, pings)` and `close()`. What a socket receives is
("text", text), ("ping", "") or ("close", code); None when nothing came in time.
"""

import dataclasses
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import urllib.parse

import websocket

CALL_S = 30


class Broken(Exception):
    """A client could not do what it was asked, or the server broke the protocol below the calls."""


@dataclasses.dataclass
class Reply:
    """An answer to a call; names of headers are in lower case."""

    status: int
    headers: list
    body: bytes

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


class Raw:
    """The standard library's HTTP and a socket that lets nothing pass."""

    name = "raw"

    def visit(self, url):
        pass

    def end(self):
        pass

    def call(self, method, url, headers, body):
        reply = self._call(method, url, headers, body)
        while method == "GET" and reply.status in (301, 302, 303, 307, 308):
            url = urllib.parse.urljoin(url, reply.header("location"))
            reply = self._call(method, url, headers, body)
        return reply

    def _call(self, method, url, headers, body):
        where = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=CALL_S)
        path = where.path + (f"?{where.query}" if where.query else "")
        try:
            try:
                connection.request(method, path, body=body, headers=dict(headers))
            except (BrokenPipeError, ConnectionResetError):
                # A server may answer before it has read a body that is too long.
                pass
            reply = connection.getresponse()
            return Reply(reply.status, [(k.lower(), v) for k, v in reply.getheaders()], reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise Broken(f"{method} {url}: {error!r}") from error
        finally:
            connection.close()

    def open(self, url, headers, subprotocols, unanswered=False):
        try:
            return websocket.Socket(url, headers, subprotocols, unanswered)
        except (OSError, websocket.Broken) as error:
            raise Broken(f"{url}: {error}") from error


class Python(Raw):
    """`requests` and `websockets`, as a Python program uses them."""

    name = "python"

    def __init__(self):
        import requests
        import websockets.exceptions
        import websockets.sync.client

        self.session = requests.Session()
        self.session.trust_env = False
        self.errors = (requests.RequestException, websockets.exceptions.WebSocketException, OSError)
        self.connect = websockets.sync.client.connect
        self.closed = websockets.exceptions.ConnectionClosed

    def end(self):
        self.session.close()

    def call(self, method, url, headers, body):
        try:
            reply = self.session.request(method, url, headers=dict(headers), data=body, timeout=CALL_S)
        except self.errors as error:
            raise Broken(f"{method} {url}: {error!r}") from error
        return Reply(reply.status_code, [(k.lower(), v) for k, v in reply.headers.items()], reply.content)

    def open(self, url, headers, subprotocols, unanswered=False):
        try:
            return PythonSocket(self, self.connect(
                url, additional_headers=headers, subprotocols=subprotocols or None, proxy=None, open_timeout=CALL_S,
                close_timeout=CALL_S, max_size=None, max_queue=None,
            ))
        except self.errors as error:
            raise Broken(f"{url}: {error!r}") from error


class PythonSocket:
    """A socket of `websockets`."""

    def __init__(self, client, connection):
        self.client, self.connection = client, connection
        self.subprotocol = connection.subprotocol

    def send(self, text):
        try:
            self.connection.send(text)
        except self.client.closed:
            # What the socket was closed with is seen by receiving.
            pass

    def receive(self, seconds, pings=False):
        try:
            message = self.connection.recv(timeout=seconds)
        except TimeoutError:
            return None
        except self.client.closed as closed:
            return ("close", closed.rcvd.code if closed.rcvd else 1006)
        if not isinstance(message, str):
            raise Broken("a binary frame")
        return ("text", message)

    def close(self):
        self.connection.close()


class Curl(Raw):
    """`curl` for calls; for sockets, which it doesn't know well, the strict ones."""

    name = "curl"

    def call(self, method, url, headers, body):
        with tempfile.TemporaryDirectory(prefix="parlance-curl-") as folder:
            head = pathlib.Path(folder, "head")
            command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(CALL_S), "--globoff"]
            command += ["--dump-header", str(head), *(["--location"] if method == "GET" else ["--request", method]), url]
            for name, value in headers:
                command += ["--header", f"{name}: {value}"]
            if body is not None:
                command += ["--data-binary", "@-"]
            done = subprocess.run(command, input=body or b"", capture_output=True, check=False, timeout=CALL_S + 5)
            # 55 and 56: the server answered, and closed before it had all that curl sent.
            if done.returncode not in (0, 55, 56) or not head.exists():
                raise Broken(f"{method} {url}: curl ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
            return Reply(*_head(head.read_text(encoding="latin-1")), done.stdout)


def _head(text):
    """The last of the heads that curl wrote: one may have said `100 Continue`."""
    heads = [head for head in text.replace("\r\n", "\n").split("\n\n") if head.startswith("HTTP/")]
    if not heads:
        raise Broken("curl got no answer")
    first, *lines = heads[-1].split("\n")
    fields = [line.partition(":") for line in lines if ":" in line]
    return int(first.split()[1]), [(name.lower(), value.strip()) for name, _, value in fields]


class Browser:
    """`fetch` and `WebSocket` in Chromium, called by a script of the server's own page; a process of node is the bridge."""

    name = "browser"

    def __init__(self, bridge):
        self.process = subprocess.Popen(
            ["node", bridge], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=os.environ,
        )

    def ask(self, what, **fields):
        try:
            self.process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError as error:
            raise Broken(f"the browser is gone: {error}") from error
        if not line:
            raise Broken("the browser is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise Broken(f"{what}: {answer['error']}")
        return answer["ok"]

    def visit(self, url):
        self.ask("visit", url=url)

    def end(self):
        self.process.stdin.close()
        self.process.wait(CALL_S)
        self.process.stdout.close()

    def call(self, method, url, headers, body):
        text = None if body is None else body.decode("utf-8")
        got = self.ask("call", method=method, url=url, headers=headers, body=text)
        return Reply(got["status"], got["headers"], got["body"].encode("utf-8"))

    def open(self, url, headers, subprotocols, unanswered=False):
        if headers:
            raise Broken("a browser sets no headers on a socket")
        got = self.ask("open", url=url, subprotocols=subprotocols)
        return BrowserSocket(self, got["socket"], got["subprotocol"])


class BrowserSocket:
    """A `WebSocket` of the page."""

    def __init__(self, browser, number, subprotocol):
        self.browser, self.number = browser, number
        self.subprotocol = subprotocol or None

    def send(self, text):
        self.browser.ask("send", socket=self.number, text=text)

    def receive(self, seconds, pings=False):
        got = self.browser.ask("receive", socket=self.number, ms=int(seconds * 1000))
        return tuple(got) if got else None

    def close(self):
        self.browser.ask("close", socket=self.number)
