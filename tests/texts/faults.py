#!/usr/bin/env python3
"""Lists every text that a fault or a close frame can tell a client, as the appendix of docs/protocol.md.

    tests/texts/faults.py          fails where the appendix is not what the sources say, or a text breaks a rule
    tests/texts/faults.py --write  writes the appendix

The texts are found in the sources: wherever a fault is made, its text must stand there as a literal, or in a `let` before
it. What is made of an explained mistake (`src/api/explain.rs`) is listed by the sentences of that file.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/protocol.md"
BEGIN = "<!-- Made by tests/texts/faults.py --write: begin -->\n"
END = "<!-- end -->\n"

SOURCES = ["schema/src", "domain/src", "actors/src", "src"]
EXPLAINER = "src/api/explain.rs"
# Words that belong to the program, not to those who talk to it.
FOREIGN = re.compile(
    r"\b(struct|enum|tuple|variant|serde|[ui](8|16|32|64|128)|usize|isize|Option|None|Some|Vec|actor|mailbox|ractor|"
    r"tokio|borrowed|deserialize|expected one of)\b|::"
)
CLOSE_REASON_BYTES_MAX = 123
# What answers tests alone.
FOR_TESTS = ["src/gateway/dev.rs", "src/gateway/echo.rs"]

# Which texts come when: by a part of the path, the first that fits.
WHEN = [
    ("A request that can't be read", ["src/api/explain", "src/gateway/native", "src/api/body", "src/api/call", "src/api/query", "src/api/idempotency_key", "src/api/frame", "gateway/rest/table"]),
    ("A WebSocket that is refused or closed", ["gateway/connect", "gateway/handshake", "gateway/websocket_frames", "gateway/websocket", "api/socket"]),
    ("A request that is refused before it is routed", ["gateway/checks", "gateway/rate_limits"]),
    ("Another chat service's API, where it says something of its own", ["src/dialect"]),
    ("REST: paths, methods and parameters", ["src/gateway", "src/api"]),
    ("Accounts and logins", ["src/auth"]),
    ("Content that users write", ["domain/src/content_rules"]),
    ("A command to a room", ["domain/src/room", "ops/open", "domain/src"]),
    ("Reading", ["ops/read", "views"]),
    ("A connection and its requests", ["link", "session", "node/", "drain", "outbox", "request", "liveness"]),
    ("The server, its store and the other servers", [""]),
]


class Source:
    """A Rust source whose comments are blanked and whose literals are kept apart, so that brackets can be counted."""

    def __init__(self, text):
        self.literals = []
        self.code = self._without_tests(self._mask(text))

    def _mask(self, text):
        pattern = re.compile(
            r"""//[^\n]*|/\*.*?\*/|b?r(?P<hash>\#*)".*?"(?P=hash)|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^']+|[^'\\\n])'""", re.S
        )

        def keep(match):
            found = match.group(0)
            if found.startswith("/"):
                return "\n" * found.count("\n")
            if found.endswith("'"):
                return "' '"
            if "r" in found.split('"', 1)[0]:
                value = found[found.index('"') + 1 : found.rindex('"')]
            else:
                value = found[found.index('"') + 1 : -1]
                value = re.sub(r"\\\n\s*", "", value)
                value = re.sub(r"\\u\{(\w+)\}", lambda m: chr(int(m.group(1), 16)), value)
                value = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "0": "\0"}.get(m.group(1), m.group(1)), value)
            self.literals.append(value)
            return f'"{len(self.literals) - 1}"' + "\n" * found.count("\n")

        return pattern.sub(keep, text)

    def _without_tests(self, code):
        while match := re.search(r"#\[cfg\(test\)\]\s*(#\[[^\]]*\]\s*)*mod \w+\s*\{", code):
            end = closing(code, match.end() - 1)
            code = code[: match.start()] + code[end + 1 :]
        return code

    def texts(self, code):
        """The literals in a piece of code."""
        return [self.literals[int(at)] for at in re.findall(r'"(\d+)"', code)]


def closing(code, at):
    """Where the bracket at `at` is closed."""
    depth = 0
    for place in range(at, len(code)):
        depth += (code[place] in "([{") - (code[place] in ")]}")
        if depth == 0:
            return place
    raise ValueError("a bracket is not closed")


def arguments(code, at):
    """The arguments of the call whose bracket is at `at`."""
    end, depth, begin, found = closing(code, at), 0, at + 1, []
    for place in range(at + 1, end):
        depth += (code[place] in "([{") - (code[place] in ")]}")
        if code[place] == "," and depth == 0:
            found.append(code[begin:place].strip())
            begin = place + 1
    last = code[begin:end].strip()
    return found + [last] if last else found


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Scan:
    """All texts of all sources, and what is wrong with them."""

    def __init__(self, files):
        """`files` are pairs of a path and a source's text."""
        self.wrong = []
        # What can stand where a sentence of the explainer says "must be …".
        self.expected = []
        self.rows = {when: set() for when, _ in WHEN}
        sources = {path: Source(text) for path, text in files}
        self.limits = self._limits(files)
        self.words, self.shorthands = self._codes(dict(files))
        for path, source in sources.items():
            self._faults(path, source)
            self._closes(path, source)
        if EXPLAINER in sources:
            self._explained(sources[EXPLAINER])

    @staticmethod
    def _limits(files):
        found = {}
        for _, text in files:
            for name, value in re.findall(r"const ([A-Z_0-9]+): (?:u64|u32|usize|u8|u16) = ([^;]+);", text):
                value = re.sub(r"\b([A-Z_0-9]*[A-Z_][A-Z_0-9]*)\b", lambda m: str(found.get(m.group(1), m.group(1))), value)
                if re.fullmatch(r"[\d_ ()*+<-]+", value):
                    found[name] = eval(value.replace("_", ""), {"__builtins__": {}})  # noqa: S307: digits and operators alone
        return found

    @staticmethod
    def _codes(files):
        text = files["schema/src/fault.rs"]
        words = dict(re.findall(r'(\w+) = "(\w+)", \d+, \d+, \w+;', text))
        shorthands = dict(re.findall(r"\b(\w+) => (\w+)\b", text[text.index("shorthands! {") :]))
        return words, shorthands

    def _faults(self, path, source):
        code = source.code
        if path != "schema/src/fault.rs" and re.search(r"(?<!-> )\bFault \{\s*code", code):
            self.wrong.append(f"{path}: a fault is put together by hand: use Fault::new")
        for match in re.finditer(r"\bFault::(\w+)\(|\bFault::(\w+)(?=\s*[),])|\bSelf::new\(\s*(?=Code::)", code):
            made = match.group(1) or match.group(2)
            if match.group(0).startswith("Self"):
                if path != "schema/src/fault.rs":
                    continue
                made = "new"
            if match.group(2) and made in self.shorthands:
                self.wrong.append(f"{path}: Fault::{made} is passed on as a function: its text can't be found")
                continue
            if made in ("no_answer",):
                continue
            parts = arguments(code, code.index("(", match.start()))
            if made == "new":
                named = re.fullmatch(r"(?:\w+::)*Code::(\w+)", parts[0])
                word, text = (self.words.get(named.group(1)) if named else None), parts[1]
            elif made == "rate_limited":
                word, text = "rate_limited", parts[1]
            elif made in self.shorthands:
                word, text = self.words[self.shorthands[made]], parts[0]
            else:
                self.wrong.append(f"{path}: Fault::{made} is not known to tests/texts/faults.py")
                continue
            if path == "schema/src/fault.rs" and not source.texts(text):
                continue
            if word is None:
                self.wrong.append(f"{path}: the code of a fault must be named where it is made: {parts[0]}")
                continue
            self._texts(path, source, word, text, match.start())

    def _texts(self, path, source, word, expression, at):
        if re.search(r"\.tell\(", expression) or path == EXPLAINER:
            return
        if re.fullmatch(r"\w+", expression):
            begun = list(re.finditer(rf"\blet (?:mut )?{expression}(?:: [^=]+)?\s*=\s+", source.code[:at]))
            if not begun:
                self.wrong.append(f"{path}: the text of a fault must be a literal: {expression}")
                return
            start = begun[-1].end()
            expression = source.code[start : source.code.index(";", start)]
        found = source.texts(expression)
        if not found:
            self.wrong.append(f"{path}: the text of a fault must be a literal: {' '.join(expression.split())}")
        for text in found:
            self._row(path, word, text)

    def _closes(self, path, source):
        code = source.code
        reasons = []
        for match in re.finditer(r"\.close\(|\bself\.finish\(", code):
            parts = arguments(code, match.end() - 1)
            if len(parts) >= 2 and (named := re.search(r"Code::(\w+)\.close\(\)", " ".join(parts))):
                reasons += [(self.words[named.group(1)], text) for text in source.texts(parts[-1])]
        if path.endswith("gateway/websocket_frames.rs"):
            for match in re.finditer(r"\bprotocol\(", code):
                reasons += [("1002", text) for text in source.texts(code[match.end() : closing(code, match.end() - 1)])]
            for number, literal in re.findall(r'code: (\d+), reason: ("\d+")', code):
                reasons += [(number, text) for text in source.texts(literal)]
        for word, text in reasons:
            if len(text.encode()) > CLOSE_REASON_BYTES_MAX:
                self.wrong.append(f"{path}: a close reason has more than {CLOSE_REASON_BYTES_MAX} bytes: {text}")
            self._row(path, word, text)

    def _explained(self, source):
        def body(name):
            begin = source.code.index("{", source.code.index(f"pub fn {name}(" if name == "tell" else f"fn {name}("))
            return source.code[begin : closing(source.code, begin)]

        shared = body("tell")
        sentences = [text for text in source.texts(shared[shared.index("match self") :]) if " " in text]
        for text in sentences:
            self._row(EXPLAINER, "malformed", text)
        kinds = re.findall(r'=> (?:\{\s*)?(?:format!\()?"(\d+)"', body("in_json"))
        self.expected = [self._shown(source.literals[int(at)]) for at in kinds]

    def _shown(self, text):
        """A text with limits as numbers, and … for what is filled in."""
        return re.sub(r"\{(\w*)(?::[^{}]*)?\}", lambda m: str(self.limits.get(m.group(1), "…")), text)

    def _row(self, path, word, text):
        shown = self._shown(text)
        if match := FOREIGN.search(shown):
            self.wrong.append(f"{path}: {match.group(0)!r} is no word for a client: {text}")
        if not shown or shown != shown.strip() or shown.endswith(".") or "\n" in shown:
            self.wrong.append(f"{path}: a fault's text is one line, without a full stop: {text!r}")
        when = next(when for when, parts in WHEN if any(part in path for part in parts))
        self.rows[when].add((word, shown))

    def appendix(self):
        """The appendix's tables."""
        order = {word: place for place, word in enumerate(self.words.values())}
        out = []
        for when, rows in self.rows.items():
            if rows:
                out += [f"### {when}", "", "| code | text |", "|---|---|"]
                for word, text in sorted(rows, key=lambda row: (order.get(row[0], len(order)), row)):
                    out.append(f"| `{word}` | {text.replace('|', chr(92) + '|').replace('<', '&lt;')} |")
                out.append("")
        if self.expected:
            out += ["After \"must be\" in the first table: " + "; ".join(dict.fromkeys(self.expected)) + ".", ""]
        return "\n".join(out) + "\n" if out else ""


def files():
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.rs")):
            if path.name != "tests.rs" and path.relative_to(ROOT).as_posix() not in FOR_TESTS:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def main(arguments):
    scan = Scan(list(files()))
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    made = before + BEGIN + "\n" + scan.appendix() + END + after
    if "--write" in arguments:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        scan.wrong.append("docs/protocol.md: the appendix is not what the sources say: run tests/texts/faults.py --write")
    for line in scan.wrong:
        print(line)
    return 1 if scan.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
