"""A tiny server that answers as it is told, so that the runner's tests can see it fail."""

import base64
import hashlib
import http.server
import json
import threading

import websocket


class Fake:
    """Answers calls from `answers` ({"GET /x": [(status, headers, text), …]}, the last one stays) and sockets by `talk`.

    `talk` maps what a client sends (its `type`) to a list of frames (texts), or of close codes; "open" is said at once.
    """

    def __init__(self, answers=None, talk=None, echo=True):
        self.answers = {key: list(value) for key, value in (answers or {}).items()}
        self.talk, self.echo, self.asked = talk or {}, echo, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                if self.headers.get("Upgrade"):
                    self.close_connection = True
                    outer.socket(self)
                    return
                length = int(self.headers.get("Content-Length") or 0)
                outer.asked.append((self.command, self.path, self.rfile.read(length)))
                answers = outer.answers.get(f"{self.command} {self.path}", [(404, JSON, '{"detail": "not there"}')])
                status, headers, text = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_DELETE = handle_one

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.addresses = [f"127.0.0.1:{self.http.server_address[1]}"]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def near(self, person):
        return self.addresses[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def socket(self, handler):
        key = handler.headers["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1((key + websocket.GUID).encode()).digest()).decode()
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        handler.send_header("Sec-WebSocket-Accept", accept)
        if self.echo and handler.headers.get("Sec-WebSocket-Protocol"):
            handler.send_header("Sec-WebSocket-Protocol", handler.headers["Sec-WebSocket-Protocol"].split(",")[0])
        handler.end_headers()
        self.say(handler, "open")
        while frame := _read(handler.rfile):
            opcode, payload = frame
            if opcode == websocket.CLOSE:
                _write(handler.wfile, websocket.CLOSE, payload)
                return
            self.say(handler, json.loads(payload)["type"])

    def say(self, handler, kind):
        for part in self.talk.get(kind, []):
            if isinstance(part, int):
                _write(handler.wfile, websocket.CLOSE, part.to_bytes(2, "big"))
            else:
                _write(handler.wfile, websocket.TEXT, part.encode())


JSON = {"Content-Type": "application/json"}


def _read(stream):
    head = stream.read(2)
    if len(head) < 2:
        return None
    length = head[1] & 0x7F
    if length >= 126:
        length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
    mask, data = stream.read(4), stream.read(length)
    return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def _write(stream, opcode, payload):
    size = len(payload)
    head = bytes([0x80 | opcode, size]) if size < 126 else bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
    stream.write(head + payload)
    stream.flush()
