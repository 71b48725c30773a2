"""Reading transcripts: who calls what, and what must come back.

A file opens with what it is about, then come the steps; `#` begins a comment line, indented lines belong to the one above.

    title: A group and its members
    covers: call GET /api/v1/chats/; entity chat     keys of documented.txt
    server: SECRET_KEY=old-secret                    variables of the server's environment (may be left out)
    not by: browser: it sets no headers on a socket  clients that can't do it, and why (`only by:` the other way round)

    people anna bela                  they sign up and log in: $anna is her id, $anna.token her token
    users u 9                         the same for $u1 to $u9
    group kitchen anna bela           anna opens a group with bela: $kitchen
    sign NAME with KEY {…}            makes a token (HS256) of these claims: $NAME
    read NAME with KEY {…}            checks a token's signature and claims

    anna > POST /api/v1/chats/        a call by anna, with her token; by `-` without one
      Accept: text/html               headers
      {"name": "Kitchen"}             a body; or `form: a=b&c=d`, or `raw: text`
    < 200 or 201                      what must come back; `< 200 in the end`: within a deadline, asked again until then
      content-type: text/html*        a header of the answer
      {"id": <id chat>, ...}          its body, as shape.py says; errors have theirs, checked without being written down

    anna.phone ~ open /api/v1/ws/$c   a socket of anna's, her token in the query (or: `by header`, `by subprotocol`,
                                      `by nothing`); `unanswered`: the client doesn't answer pings
    anna ~> {…}                       she sends a frame (`raw: …`: as it stands)
    anna ~< {…}                       the next frame that she receives; `<ping>` is a control ping
    anna ~?< {…}                      a frame that may come, once, from now on, where the page leaves it open
    anna ~*< {…}                      the same, any number of times
    anna ~x 4403 or 1000              her socket is closed with that code (`any`)
    anna ~ quiet                      nothing came that isn't expected: a ping of hers is answered by the next frame
    anna ~ close                      she closes it

`u1..u9 > …` and `u1..u9 ~ …` are steps of each of them, where $who is the id; `50 times: …` is a step that is done so often, with $i
from 1. When a scenario ends, every open socket must be quiet.
"""

import dataclasses
import pathlib
import re

import shape

HEAD = ("title", "covers", "server", "not by", "only by")
CLIENTS = ("raw", "python", "curl", "browser")
CALL = re.compile(r"(?P<who>\S+) > (?P<method>[A-Z]+) (?P<path>/\S*)")
REPLY = re.compile(r"< (?P<statuses>\d{3}(?: or \d{3})*)(?P<end> in the end)?")
SOCKET = re.compile(r"(?P<who>\S+) ~(?P<verb>>|<|\?<|\*<|x|) ?(?P<rest>.*)", re.DOTALL)
OPEN = re.compile(r"open (?P<path>/\S*)(?: by (?P<by>query|header|subprotocol|nothing))?(?P<unanswered> unanswered)?")
HEADER = re.compile(r"([A-Za-z-]+): (.*)")


class Wrong(Exception):
    """A file that is no transcript."""


class Anything(dict):
    """A scope in which every name is bound, to read templates before anything ran."""

    def __missing__(self, name):
        return 1


@dataclasses.dataclass
class Step:
    """One step: what it is called, where it stands, and what it needs to know."""

    kind: str
    line: int
    text: str
    who: str = "-"
    times: int = 1
    words: list = dataclasses.field(default_factory=list)
    method: str = ""
    path: str = ""
    headers: list = dataclasses.field(default_factory=list)
    body: str | None = None
    statuses: tuple = ()
    in_the_end: bool = False
    reply_headers: list = dataclasses.field(default_factory=list)
    reply: str | None = None
    codes: tuple = ()
    by: str = "query"
    unanswered: bool = False


@dataclasses.dataclass
class Scenario:
    path: pathlib.Path
    title: str = ""
    covers: list = dataclasses.field(default_factory=list)
    server: dict = dataclasses.field(default_factory=dict)
    clients: tuple = CLIENTS
    steps: list = dataclasses.field(default_factory=list)


def blocks(text):
    """Gives (line number, first line, indented lines below it)."""
    block = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            if block is None:
                raise Wrong(f"line {number}: an indented line without one above it")
            block[2].append(line.strip())
        else:
            if block:
                yield block
            block = (number, line.rstrip(), [])
    if block:
        yield block


def read_shapes(path):
    """Reads `name = template` blocks."""
    shapes = {}
    for number, line, more in blocks(path.read_text(encoding="utf-8")):
        name, equals, text = line.partition(" = ")
        if not equals:
            raise Wrong(f"{path}:{number}: not `name = …`")
        shapes[name] = "\n".join([text, *more])
    for name, text in shapes.items():
        shape.template(text, Anything(), shapes)
    return shapes


def read(path, shapes):
    """Reads a transcript."""
    scenario = Scenario(path)
    try:
        for number, line, more in blocks(path.read_text(encoding="utf-8")):
            key, colon, rest = line.partition(": ")
            if colon and key in HEAD:
                _head(scenario, key, rest, more)
            else:
                _step(scenario, number, line, more, shapes)
    except (Wrong, shape.Wrong) as error:
        raise Wrong(f"{path.name}: {error}") from error
    if not scenario.title or not scenario.covers or not scenario.steps:
        raise Wrong(f"{path.name}: it needs a title, what it covers, and steps")
    calls = [step for step in scenario.steps if step.kind == "call"]
    for step in calls:
        if not step.statuses:
            raise Wrong(f"{path.name}:{step.line}: what must come back isn't said")
    return scenario


def steps(text, shapes):
    """Reads steps alone."""
    scenario = Scenario(pathlib.Path("-"))
    for number, line, more in blocks(text):
        _step(scenario, number, line, more, shapes)
    return scenario.steps


def _head(scenario, key, rest, more):
    rest = " ".join([rest, *more])
    if key == "title":
        scenario.title = rest
    elif key == "covers":
        scenario.covers += [part.strip() for part in rest.split(";") if part.strip()]
    elif key == "server":
        scenario.server |= dict(pair.split("=", 1) for pair in rest.split())
    else:
        names, colon, why = rest.partition(": ")
        named = names.replace(",", " ").split()
        if not colon or not why or set(named) - set(CLIENTS):
            raise Wrong(f"{key}: clients (of {', '.join(CLIENTS)}), a colon, and why")
        scenario.clients = tuple(c for c in CLIENTS if (c in named) == (key == "only by"))


def _step(scenario, number, line, more, shapes):
    times = re.match(r"(\d+) times: ", line)
    if times:
        line = line[times.end() :]
    step = _parsed(number, line, more)
    if step is None:
        last = scenario.steps[-1] if scenario.steps else None
        found = REPLY.fullmatch(line)
        if not found or last is None or last.kind != "call" or last.statuses:
            raise Wrong(f"line {number}: no step: {line!r}")
        last.statuses = tuple(int(status) for status in found["statuses"].split(" or "))
        last.in_the_end = bool(found["end"])
        last.reply_headers, last.reply = _parts(more, number)
        if last.reply is not None:
            shape.template(last.reply, Anything(), shapes)
        elif any(status < 300 and status != 204 for status in last.statuses):
            raise Wrong(f"line {number}: what the body must be isn't said (`<any>` where that is open)")
        return
    step.times = int(times[1]) if times else 1
    if step.kind in ("expect", "may", "may often") and step.body != "<ping>":
        shape.template(step.body, Anything(), shapes)
    scenario.steps.append(step)


def _parts(lines, number):
    """Splits indented lines into headers and a body."""
    headers, at = [], 0
    while at < len(lines) and (found := HEADER.fullmatch(lines[at])) and found[1] not in ("form", "raw"):
        headers.append((found[1], found[2]))
        at += 1
    body = "\n".join(lines[at:]) or None
    if body and HEADER.match(body) and not body.startswith(("form: ", "raw: ")):
        raise Wrong(f"line {number}: headers stand before the body")
    return headers, body


def _parsed(number, line, more):
    words = line.split()
    if found := CALL.fullmatch(line):
        headers, body = _parts(more, number)
        return Step("call", number, line, found["who"], method=found["method"], path=found["path"], headers=headers, body=body)
    if words[0] in ("people", "users", "group"):
        if more or len(words) < 2 or (words[0] == "users" and len(words) != 3):
            raise Wrong(f"line {number}: {line!r}")
        return Step(words[0], number, line, words=words[1:])
    if words[0] in ("sign", "read"):
        found = re.fullmatch(r"(?:sign|read) (\S+) with (\S+) (\{.*)", "\n".join([line, *more]), re.DOTALL)
        if not found:
            raise Wrong(f"line {number}: {line!r}")
        return Step(words[0], number, line, words=[found[1], found[2]], body=found[3])
    if found := SOCKET.fullmatch("\n".join([line, *([] if " ~ " in line else more)])):
        return _socket(number, line, found, more)
    return None


def _socket(number, line, found, more):
    verb, rest, who = found["verb"], found["rest"].strip(), found["who"]
    kinds = {">": "send", "<": "expect", "?<": "may", "*<": "may often"}
    if verb in kinds and rest:
        return Step(kinds[verb], number, line, who, body=rest)
    if verb == "x" and re.fullmatch(r"any|\d{4}( or \d{4})*", rest):
        return Step("closed", number, line, who, codes=() if rest == "any" else tuple(int(c) for c in rest.split(" or ")))
    if verb == "" and rest in ("quiet", "close") and not more:
        return Step(rest, number, line, who)
    if verb == "" and (opened := OPEN.fullmatch(rest)):
        headers, body = _parts(more, number)
        if body is not None:
            raise Wrong(f"line {number}: a handshake has no body")
        return Step(
            "open", number, line, who, path=opened["path"], headers=headers, by=opened["by"] or "query",
            unanswered=bool(opened["unanswered"]),
        )
    raise Wrong(f"line {number}: {line!r}")
