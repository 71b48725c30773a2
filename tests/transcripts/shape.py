"""What a JSON value must look like: templates, and comparing with them.

A template is JSON with a few things more, all outside of strings but the first:

    $anna  $anna.token       a value that was bound before; also within strings
    $text(10000)  $wide(9)   that many characters, of two or of four bytes each
    $in(600)                 the time in that many seconds, in Unix seconds
    $u1..u9                  the values of $u1 to $u9, as members of a list
    <id>  <id room>          a value of that kind (see KINDS); the second binds it to $room when everything fits
    <time|null>              one of two kinds
    "reply_to"?: …           a field that may be absent
    {...user, "id": 7}       the fields of a shape that has a name, some of them replaced
    {"name": "x", ...}       further fields are allowed
    [<each>, X]  [<some>, X] a list in which all are X, with one at least for <some>
    [<any order>, X, Y]      exactly these, in any order
    [<among>, X, Y]          these and perhaps others, in any order

Everything else must be the same: each field, each type, the order of lists.
"""

import datetime
import json
import re
import time

ID_MAX = 2**53 - 1
CLOCK_S = 600
LISTS = ("each", "some", "any order", "among")
# Private characters that carry what JSON has no word for through its parser.
MATCHER, SPREAD, OPTIONAL = "\ue000", "\ue001", "\ue002"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
PART = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")(?P<optional>\s*\?(?=\s*:))?"""
    r"""|<(?P<matcher>[^<>]*)>"""
    r"""|\.\.\.(?P<spread>[a-z_]*)"""
    r"""|\$(?P<function>text|wide|in)\((?P<argument>\d+)\)"""
    r"""|\$(?P<prefix>[a-z]+)(?P<first>\d+)\.\.(?P=prefix)(?P<last>\d+)"""
    r"""|\$(?P<name>[A-Za-z_][\w.]*)""",
    re.DOTALL,
)
WITHIN = re.compile(r"\$(?:(text|wide|in)\((\d+)\)|([A-Za-z_]\w*(?:\.\w+)*))")


class Wrong(Exception):
    """A template that can't be read, or names what isn't there."""


def is_time(value):
    if not isinstance(value, str) or not TIME.fullmatch(value):
        return False
    try:
        when = datetime.datetime.fromisoformat(value[:19] + "+00:00")
    except ValueError:
        return False
    return abs(when.timestamp() - time.time()) < CLOCK_S


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


KINDS = {
    "any": lambda value: True,
    "null": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": is_int,
    "count": lambda value: is_int(value) and value >= 0,
    "id": lambda value: is_int(value) and 1 <= value <= ID_MAX,
    "text": lambda value: isinstance(value, str) and value != "",
    "string": lambda value: isinstance(value, str),
    "word": lambda value: isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_]*", value) is not None,
    "jwt": lambda value: isinstance(value, str) and re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", value) is not None,
    # A time within ten minutes of this machine's.
    "time": is_time,
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
}


class Matcher:
    """A value of one of some kinds, which may be bound to a name."""

    def __init__(self, text):
        words = text.split()
        if not 1 <= len(words) <= 2:
            raise Wrong(f"<{text}> is no kind and a name")
        self.text, self.name = text, words[1] if len(words) == 2 else None
        self.soon = re.fullmatch(r"in\((\d+)\)", words[0])
        self.kinds = [] if self.soon else words[0].split("|")
        for kind in self.kinds:
            if kind not in KINDS:
                raise Wrong(f"there is no kind <{kind}>")

    def fits(self, value):
        if self.soon:
            wanted = time.time() + int(self.soon[1])
            return is_int(value) and wanted - 15 <= value <= wanted + 1
        return any(KINDS[kind](value) for kind in self.kinds)


class Shape(dict):
    """An object's fields, of which some may be absent, and others may be there."""

    def __init__(self):
        super().__init__()
        self.optional, self.open = set(), False


class Items(list):
    """A list, and how it is compared."""

    how = "exactly"


def plain(name, scope):
    try:
        return scope[name]
    except KeyError:
        raise Wrong(f"${name} is not bound") from None


def generated(function, argument):
    number = int(argument)
    if function == "in":
        return int(time.time()) + number
    return ("é" if function == "text" else "🙂") * number


def fill(text, scope):
    """Puts bound values into a text, such as a path."""

    def value(found):
        if found[1]:
            return str(generated(found[1], found[2]))
        return str(plain(found[3], scope))

    return WITHIN.sub(value, text)


def _part(found, scope):
    if found["string"] is not None:
        text = fill(json.loads(found["string"], strict=False), scope)
        return json.dumps((OPTIONAL if found["optional"] else "") + text, ensure_ascii=False)
    if found["matcher"] is not None:
        return json.dumps(MATCHER + found["matcher"].strip())
    if found["spread"] is not None:
        return json.dumps(SPREAD + found["spread"]) + ":null"
    if found["function"]:
        value = generated(found["function"], found["argument"])
    elif found["prefix"]:
        names = [f"{found['prefix']}{n}" for n in range(int(found["first"]), int(found["last"]) + 1)]
        return ", ".join(json.dumps(plain(name, scope)) for name in names)
    else:
        value = plain(found["name"], scope)
    return json.dumps(value, ensure_ascii=False)


def substitute(text, scope):
    """Puts bound values into JSON that is to be sent, and leaves all else as it is."""
    return PART.sub(lambda found: found[0] if found["matcher"] is not None else _part(found, scope), text)


def template(text, scope, shapes):
    """Reads what is expected."""

    def fields(pairs):
        shape = Shape()
        for key, value in pairs:
            if key.startswith(SPREAD):
                _spread(shape, key[1:], scope, shapes)
                continue
            name = key.removeprefix(OPTIONAL)
            shape[name] = _build(value)
            (shape.optional.add if key.startswith(OPTIONAL) else shape.optional.discard)(name)
        return shape

    try:
        value = json.loads(PART.sub(lambda found: _part(found, scope), text), object_pairs_hook=fields)
    except ValueError as error:
        raise Wrong(f"{error} in {text!r}") from error
    return _build(value)


def _build(value):
    if isinstance(value, str) and value.startswith(MATCHER):
        return Matcher(value[1:])
    if isinstance(value, list) and not isinstance(value, Items):
        head = value[0][1:] if value and isinstance(value[0], str) and value[0].startswith(MATCHER) else None
        how = head if head in LISTS else "exactly"
        items = Items(_build(item) for item in (value[1:] if head in LISTS else value))
        items.how = how
        if how in ("each", "some") and len(items) != 1:
            raise Wrong(f"[<{how}>, …] takes one item")
        return items
    return value


def _spread(shape, name, scope, shapes):
    if not name:
        shape.open = True
        return
    if name not in shapes:
        raise Wrong(f"there is no shape ...{name}")
    other = template(shapes[name], scope, shapes)
    shape.update(other)
    shape.optional |= other.optional
    shape.open = shape.open or other.open


def read_json(text):
    """Parses JSON that a server wrote, in which no field may stand twice and no number may be NaN."""

    def fields(pairs):
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("a field stands there twice")
        return value

    def constant(name):
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, object_pairs_hook=fields, parse_constant=constant)


def compare(expected, got):
    """Returns what is wrong, as a list of texts, and what was bound, as a dict."""
    bound = {}
    return list(_differences(expected, got, "$", bound)), bound


def _differences(expected, got, at, bound):
    if isinstance(expected, Matcher):
        if not expected.fits(got):
            yield f"{at}: expected <{expected.text}>, got {short(got)}"
        elif expected.name:
            bound[expected.name] = got
    elif isinstance(expected, Shape):
        yield from _fields(expected, got, at, bound)
    elif isinstance(expected, Items):
        yield from _items(expected, got, at, bound)
    elif type(expected) is not type(got) or expected != got:
        yield f"{at}: expected {short(expected)}, got {short(got)}"


def _fields(expected, got, at, bound):
    if not isinstance(got, dict):
        yield f"{at}: expected an object, got {short(got)}"
        return
    for key, value in expected.items():
        if key in got:
            yield from _differences(value, got[key], f"{at}.{key}", bound)
        elif key not in expected.optional:
            yield f"{at}.{key}: is missing"
    if not expected.open:
        for key in got.keys() - expected.keys():
            yield f"{at}.{key}: is not documented, got {short(got[key])}"


def _items(expected, got, at, bound):
    if not isinstance(got, list):
        yield f"{at}: expected a list, got {short(got)}"
        return
    if expected.how in ("each", "some"):
        if expected.how == "some" and not got:
            yield f"{at}: is empty"
        for n, item in enumerate(got):
            yield from _differences(expected[0], item, f"{at}[{n}]", bound)
        return
    if expected.how != "among" and len(expected) != len(got):
        yield f"{at}: expected {len(expected)} of them, got {len(got)}: {short(got)}"
        return
    if expected.how == "exactly":
        for n, (want, item) in enumerate(zip(expected, got)):
            yield from _differences(want, item, f"{at}[{n}]", bound)
        return
    rest = list(got)
    for n, want in enumerate(expected):
        for item in rest:
            seen = {}
            if not list(_differences(want, item, at, seen)):
                bound.update(seen)
                rest.remove(item)
                break
        else:
            yield f"{at}: nothing there fits the template's item {n + 1}: {short(got)}"


def short(value):
    text = value if isinstance(value, str) and value.startswith("<") else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
