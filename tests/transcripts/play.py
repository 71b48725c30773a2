"""Playing a transcript against a server, with one of the clients."""

import base64
import hashlib
import hmac
import json
import re
import time
import urllib.parse

import clients
import shape
import transcript

# How long something that must come may take.
PATIENCE_S = 20
AGAIN_S = 0.05


class Failed(Exception):
    """What came back is not what the transcript says."""


class Open:
    """A socket of the scenario: what it received while it settled, and what it may receive."""

    def __init__(self, socket, room):
        self.socket, self.room = socket, room
        self.waiting, self.may, self.often = [], [], []
        self.done = False


class Player:
    """Plays one scenario."""

    def __init__(self, scenario, client, server, dialect, shapes, documented, on=False):
        self.scenario, self.client, self.server = scenario, client, server
        self.dialect, self.shapes, self.documented = dialect, shapes, documented
        self.scope, self.sockets, self.seen = {}, {}, set()
        self.step, self.on, self.went_wrong = None, on, []

    def play(self):
        """Plays all steps (with `on`, also after a wrong one); returns the documented calls and frames that were seen."""
        try:
            self.client.visit(f"http://{self.server.addresses[0]}/")
            for step in self.scenario.steps:
                self._several(step)
            for name, opened in self.sockets.items():
                if not opened.done and opened.room:
                    self._several(transcript.Step("quiet", self.step.line, f"the end: {name} must be quiet", name))
        finally:
            for opened in self.sockets.values():
                opened.socket.close()
        return self.seen

    def _several(self, step):
        try:
            self._times(step)
        except (Failed, clients.Broken, shape.Wrong, OSError, ValueError) as error:
            if not self.on:
                raise
            self.went_wrong.append(f"{step.line}: {step.text}\n{type(error).__name__}: {error}")

    def _times(self, step):
        self.step = step
        group = re.fullmatch(r"([a-z]+)(\d+)\.\.\1(\d+)(\.\w+)?", step.who)
        names = [step.who]
        if group:
            names = [f"{group[1]}{n}{group[4] or ''}" for n in range(int(group[2]), int(group[3]) + 1)]
        for n in range(1, step.times + 1):
            self.scope["i"] = n
            for name in names:
                self.scope["who"] = self.scope.get(name.split(".")[0], name)
                try:
                    self._one(step, name)
                except shape.Wrong as error:
                    raise Failed(str(error)) from error

    def _one(self, step, who):
        kind = step.kind
        if kind in ("people", "users"):
            names = step.words if kind == "people" else [f"{step.words[0]}{n}" for n in range(1, int(step.words[1]) + 1)]
            for name in names:
                self._also(self.dialect.person.format(name=name))
        elif kind == "group":
            name, opener, *members = step.words
            references = ", ".join(f"${member}" for member in members)
            self._also(self.dialect.group.format(name=name, opener=opener, members=references))
        elif kind == "call":
            self._call(step, who)
        elif kind == "sign":
            self.scope[step.words[0]] = self._signed(step)
        elif kind == "read":
            self._read_token(step)
        elif kind == "open":
            self._open(step, who)
        else:
            self._socket_step(step, who)

    def _also(self, text):
        """Plays a few steps that another one stands for."""
        outer = self.step
        for step in transcript.steps(text, self.shapes):
            step.line = outer.line
            self._several(step)
        self.step = outer

    # --- calls ---

    def _call(self, step, who):
        deadline = time.monotonic() + PATIENCE_S
        # What somebody else did on another node may take a moment to be seen.
        in_the_end = step.in_the_end or (step.method == "GET" and len(self.server.addresses) > 1)
        while True:
            problems, bound = self._called(step, who)
            if not problems:
                self.scope.update(bound)
                return
            if not in_the_end or time.monotonic() > deadline:
                raise Failed("\n".join(problems))
            time.sleep(AGAIN_S)

    def _called(self, step, who):
        path = shape.fill(step.path, self.scope)
        headers = [(name, shape.fill(value, self.scope)) for name, value in step.headers]
        named = {name.lower() for name, _ in headers}
        if who != "-" and "authorization" not in named:
            headers.append(("Authorization", f"Bearer {self._token(who)}"))
        body = None
        if step.body is not None:
            kind, body = self._body(step.body)
            if "content-type" not in named:
                headers.append(("Content-Type", kind))
        url = f"http://{self.server.near(who.split('.')[0])}{path}"
        reply = self.client.call(step.method, url, headers, body)
        problems, bound = self._answered(step, reply)
        if problems:
            problems.append(f"the answer: {reply.status} {shape.short(reply.body.decode('utf-8', 'replace'))}")
        elif reply.status < 400:
            self.seen |= self.documented.calls(step.method, path.partition("?")[0])
        return problems, bound

    def _body(self, text):
        if text.startswith("form: "):
            pairs = (pair.partition("=") for pair in text[6:].split("&"))
            pairs = [(name, shape.fill(value, self.scope)) for name, _, value in pairs]
            return "application/x-www-form-urlencoded", urllib.parse.urlencode(pairs).encode()
        if text.startswith("raw: "):
            return "application/json", shape.fill(text[5:], self.scope).encode()
        return "application/json", shape.substitute(text, self.scope).encode()

    def _answered(self, step, reply):
        status = reply.status
        if status not in step.statuses:
            return [f"expected {' or '.join(map(str, step.statuses))}, got {status}"], {}
        problems, bound = [], {}
        for name, wanted in step.reply_headers:
            value = reply.header(name.lower())
            pattern = re.escape(shape.fill(wanted, self.scope)).replace(r"\*", ".*")
            if value is None or not re.fullmatch(pattern, value):
                problems.append(f"header {name}: expected {wanted!r}, got {value!r}")
        if status == 429 and not re.fullmatch(r"\d+", reply.header("retry-after") or ""):
            problems.append("429 without Retry-After")
        if status == 204:
            if reply.body or reply.header("content-length") not in (None, "0"):
                problems.append("204 with a body")
            return problems, bound
        text = step.reply or ("{...invalid}" if status == 422 else "{...error}")
        if text == "<text>":
            return problems + ([] if reply.body else ["the body is empty"]), bound
        kind = (reply.header("content-type") or "").partition(";")[0]
        if kind != "application/json":
            problems.append(f"header content-type: expected application/json, got {kind!r}")
        try:
            got = shape.read_json(reply.body.decode("utf-8"))
        except ValueError as error:
            return [*problems, f"the body is not JSON: {error}"], bound
        wrong, bound = shape.compare(shape.template(text, self.scope, self.shapes), got)
        return problems + wrong, bound

    def _token(self, who):
        return shape.plain(f"{who.split('.')[0]}.token", self.scope)

    # --- tokens ---

    def _signed(self, step):
        claims = json.loads(shape.substitute(step.body, self.scope))
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        return ".".join([*parts, _base64(_hmac(step.words[1], ".".join(parts)))])

    def _read_token(self, step):
        head, claims, signature = str(shape.plain(step.words[0], self.scope)).split(".")
        if json.loads(_unbase64(head)).get("alg") != "HS256":
            raise Failed("the token is not of HS256")
        if not hmac.compare_digest(_hmac(step.words[1], f"{head}.{claims}"), _unbase64(signature)):
            raise Failed("the token is not signed with that key")
        wrong, bound = shape.compare(shape.template(step.body, self.scope, self.shapes), json.loads(_unbase64(claims)))
        if wrong:
            raise Failed("\n".join(wrong))
        self.scope.update(bound)

    # --- sockets ---

    def _open(self, step, who):
        if who in self.sockets and not self.sockets[who].done:
            raise Failed(f"{who} has a socket already")
        path, protocols = shape.fill(step.path, self.scope), []
        headers = [(name, shape.fill(value, self.scope)) for name, value in step.headers]
        token = None if step.by == "nothing" else self._token(who)
        if step.by == "query":
            path += f"{'&' if '?' in path else '?'}token={urllib.parse.quote(token)}"
        elif step.by == "header":
            headers.append(("Authorization", f"Bearer {token}"))
        elif step.by == "subprotocol":
            protocols = ["bearer", token]
        url = f"ws://{self.server.near(who.split('.')[0])}{path}"
        socket = self.client.open(url, headers, protocols, step.unanswered)
        found = self.dialect.socket.match(path)
        opened = self.sockets[who] = Open(socket, int(found[1]) if found else None)
        wanted = "bearer" if step.by == "subprotocol" else None
        if socket.subprotocol != wanted:
            raise Failed(f"the subprotocol was to be echoed as {wanted!r}, not as {socket.subprotocol!r}")
        if opened.room:
            self.seen |= self.documented.sockets()
            user = self.scope.get(who.split(".")[0])
            if user is not None:
                opened.may.append(self._template(self.dialect.on_open.format(user=user, room=opened.room)))
            # What comes before the answer to a ping shows that the socket takes part from now on.
            opened.waiting = self._until_pong(opened)

    def _until_pong(self, opened):
        opened.socket.send(self.dialect.ping.format(room=opened.room))
        pong, came = self._template(self.dialect.pong.format(room=opened.room)), []
        while True:
            event = self._receive(opened)
            if event[0] == "close":
                return [*came, event]
            if not self._frame(pong, event)[0]:
                return came
            came.append(event)

    def _template(self, text):
        return shape.template(text, self.scope, self.shapes)

    def _receive(self, opened, pings=False):
        event = opened.waiting.pop(0) if opened.waiting else opened.socket.receive(PATIENCE_S, pings)
        if event is None:
            raise Failed(f"nothing came within {PATIENCE_S} s")
        return event

    def _frame(self, expected, event):
        if event[0] != "text":
            return [f"expected a frame, got {event}"], {}, None
        try:
            got = shape.read_json(event[1])
        except ValueError as error:
            return [f"the frame is not JSON: {error}: {shape.short(event[1])}"], {}, None
        wrong, bound = shape.compare(expected, got)
        return ([*wrong, f"the frame: {shape.short(event[1])}"] if wrong else []), bound, got

    def _next(self, opened, pings=False):
        """The next event, without the frames that may come."""
        while True:
            event = self._receive(opened, pings)
            if event[0] != "text":
                return event
            once = next((may for may in opened.may if not self._frame(may, event)[0]), None)
            if once is not None:
                opened.may.remove(once)
            elif all(self._frame(often, event)[0] for often in opened.often):
                return event
            self.seen |= self.documented.frame("<", json.loads(event[1]))

    def _socket_step(self, step, who):
        if who not in self.sockets:
            raise Failed(f"{who} has no socket")
        opened = self.sockets[who]
        if step.kind == "send":
            text = step.body[5:] if step.body.startswith("raw: ") else shape.substitute(step.body, self.scope)
            opened.socket.send(text)
            try:
                self.seen |= self.documented.frame(">", json.loads(text))
            except ValueError:
                pass
        elif step.kind == "may":
            opened.may.append(self._template(step.body))
        elif step.kind == "may often":
            opened.often.append(self._template(step.body))
        elif step.kind == "quiet":
            self._quiet(step, who)
        elif step.kind == "close":
            opened.socket.close()
            opened.done = True
        elif step.kind == "closed":
            event = self._next(opened)
            if event[0] != "close" or (step.codes and event[1] not in step.codes):
                raise Failed(f"expected to be closed with {step.codes or 'any code'}, got {event}")
            opened.done = True
            self.seen |= self.documented.closed(event[1])
        else:
            self._expect(step, opened)

    def _expect(self, step, opened):
        if step.body == "<ping>":
            event = opened.socket.receive(PATIENCE_S, True)
            if event is None or event[0] != "ping":
                raise Failed(f"expected a control ping, got {event}")
            return
        expected = self._template(step.body)
        event = self._receive(opened)
        wrong, bound, got = self._frame(expected, event)
        if wrong:
            # Perhaps it is one of those that may come.
            opened.waiting.insert(0, event)
            wrong, bound, got = self._frame(expected, self._next(opened))
        if wrong:
            raise Failed("\n".join(wrong))
        self.scope.update(bound)
        self.seen |= self.documented.frame("<", got)

    def _quiet(self, step, who=None):
        opened = self.sockets[who or step.who]
        opened.socket.send(self.dialect.ping.format(room=opened.room))
        wrong = self._frame(self._template(self.dialect.pong.format(room=opened.room)), self._next(opened))[0]
        if wrong:
            raise Failed("\n".join(["something came that was not expected", *wrong]))


def _base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hmac(key, text):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
