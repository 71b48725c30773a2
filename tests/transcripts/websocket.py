"""A client's WebSocket (RFC 6455) that takes nothing but what the protocol allows, and can leave pings unanswered."""

import base64
import hashlib
import os
import socket
import time
import urllib.parse

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONNECT_S = 30
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Broken(Exception):
    """The server broke the protocol, or refused the upgrade."""


class Socket:
    """An open socket."""

    def __init__(self, url, headers, subprotocols, unanswered=False):
        where = urllib.parse.urlsplit(url)
        self.unanswered = unanswered
        self.connection = socket.create_connection((where.hostname, where.port), CONNECT_S)
        self.buffer, self.parts, self.ended = b"", [], None
        try:
            self._handshake(where, headers, subprotocols)
        except BaseException:
            self.connection.close()
            raise

    def _handshake(self, where, headers, subprotocols):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {where.path}{'?' + where.query if where.query else ''} HTTP/1.1", f"Host: {where.netloc}",
            "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        ]
        if subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self._more(time.monotonic() + CONNECT_S)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode("latin-1").split("\r\n")
        if first.split()[1] != "101":
            raise Broken(f"no upgrade: {first}")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if fields.get("sec-websocket-accept") != accept:
            raise Broken("the handshake's key isn't answered")
        if "sec-websocket-extensions" in fields:
            raise Broken("an extension that was not asked for")
        self.subprotocol = fields.get("sec-websocket-protocol")
        if self.subprotocol is not None and self.subprotocol not in subprotocols:
            raise Broken(f"a subprotocol that was not asked for: {self.subprotocol}")

    def _more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        data = self.connection.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def _take(self, count, at, deadline):
        while len(self.buffer) < at + count:
            self._more(deadline)
        return self.buffer[at : at + count]

    def _frame(self, deadline):
        """The next frame; what has come of it stays in the buffer when the time is over."""
        first, second = self._take(2, 0, deadline)
        if first & 0x70 or second & 0x80:
            raise Broken("a frame with reserved bits, or masked")
        length, at = second & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(self._take(size, at, deadline), "big")
            at += size
        payload = self._take(length, at, deadline)
        self.buffer = self.buffer[at + length :]
        return first & 0x80, first & 0x0F, payload

    def _write(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | opcode, 0x80 | size])
        elif size < 65536:
            head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
        stream = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big") if size else b""
        self.connection.settimeout(CONNECT_S)
        try:
            self.connection.sendall(head + mask + masked)
        except (BrokenPipeError, ConnectionResetError):
            # What it was closed with is seen by receiving.
            pass

    def send(self, text):
        self._write(TEXT, text.encode("utf-8", "surrogatepass"))

    def receive(self, seconds, pings=False):
        """The next message, ping (where they are asked for) or close; None when the time is over."""
        deadline = time.monotonic() + seconds
        while self.ended is None:
            try:
                final, opcode, payload = self._frame(deadline)
            except TimeoutError:
                return None
            except (EOFError, ConnectionResetError):
                self.ended = ("close", 1006)
                break
            message = self._message(final, opcode, payload, pings)
            if message:
                return message
        return self.ended

    def _message(self, final, opcode, payload, pings):
        if opcode in (CLOSE, PING, PONG) and (not final or len(payload) > 125):
            raise Broken("a control frame in pieces, or too long")
        if opcode == CLOSE:
            if len(payload) == 1:
                raise Broken("a close frame of one byte")
            self.ended = ("close", int.from_bytes(payload[:2], "big") if payload else 1005)
            payload[2:].decode("utf-8")
            self._write(CLOSE, payload[:2])
            return None
        if opcode == PING:
            if not self.unanswered:
                self._write(PONG, payload)
            return ("ping", "") if pings else None
        if opcode == PONG:
            return None
        if opcode not in (0, TEXT) or (opcode == 0) != bool(self.parts):
            raise Broken(f"a frame with opcode {opcode}, where it can't be")
        self.parts.append(payload)
        if not final:
            return None
        text, self.parts = b"".join(self.parts).decode("utf-8"), []
        return ("text", text)

    def close(self):
        if self.ended is None:
            self._write(CLOSE, (1000).to_bytes(2, "big"))
            while self.receive(CONNECT_S) not in (None, self.ended):
                pass
        self.connection.close()
