#!/usr/bin/env python3
"""Which folder of a Rust crate imports which, and whether that goes round in a circle.

    imports.py ROOT...            fails where folders of a source root import each other in a circle
    imports.py --private NAME ROOT...   fails where a file outside a folder names that folder's NAME, such as an actor's Msg
    imports.py --show ROOT...     prints every arrow between folders, with what it takes

A folder is a top-level module: `room.rs` with all of `room/`, and likewise a file alone, such as `link.rs`. `lib.rs` and
`main.rs` put the folders together and are none. Tests inside a file (`#[cfg(test)] mod …`) may import what they like.
"""

import pathlib
import re
import sys

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:[^"\\]|\\.)*"|b?\'(?:[^\'\\\n]|\\[^\n]{1,10}?)\'', re.DOTALL
)
PATH = re.compile(r"\b(?:[A-Za-z_]\w*\s*::\s*)+(?:[A-Za-z_]\w*|\{|\*)")


def blank(code):
    """Replaces comments and literals by spaces, so that what remains is code; offsets and lines stay."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), code)


def without_tests(code):
    """Takes out `#[cfg(test)]` items that have a block."""
    out = code
    for start in [m.start() for m in re.finditer(r"#\[cfg\(test\)\]", code)]:
        opening, end = out.find("{", start), out.find(";", start)
        if opening < 0 or (0 <= end < opening):
            continue
        depth, at = 0, opening
        while at < len(out):
            depth += {"{": 1, "}": -1}.get(out[at], 0)
            at += 1
            if depth == 0:
                break
        out = out[:start] + re.sub(r"[^\n]", " ", out[start:at]) + out[at:]
    return out


def module_path(root, file):
    """`room/actor.rs` is `['room', 'actor']`; `lib.rs` is `[]`."""
    parts = list(file.relative_to(root).with_suffix("").parts)
    return [] if parts in (["lib"], ["main"]) else parts


def use_paths(tree):
    """The paths of a use tree: `a::{b, c::{self, d as e}}` is a::b, a::c, a::c::d. Each with the name that it gets here."""
    tree = tree.strip()
    match = re.match(r"((?:\w+\s*::\s*)*)\{(.*)\}$", tree, re.DOTALL)
    if not match:
        path, _, alias = tree.partition(" as ")
        names = [name.strip() for name in path.split("::") if name.strip()]
        return [(names, alias.strip() or (names[-1] if names else ""))]
    prefix = [name.strip() for name in match.group(1).split("::") if name.strip()]
    found = []
    for part in split_top(match.group(2)):
        for names, alias in use_paths(part):
            if names == ["self"]:
                found.append((prefix, alias if alias != "self" else prefix[-1]))
            else:
                found.append((prefix + names, alias))
    return found


def split_top(text):
    """Splits at commas that are in no braces."""
    parts, depth, last = [], 0, 0
    for at, char in enumerate(text):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            parts.append(text[last:at])
            last = at + 1
    parts.append(text[last:])
    return [part for part in parts if part.strip()]


def absolute(names, module, folders):
    """A path from the crate's root; `None` where it leads out of the crate."""
    if names[0] == "crate":
        return names[1:]
    if names[0] in ("self", "super"):
        here = list(module)
        for at, name in enumerate(names):
            if name == "super":
                here = here[:-1]
            elif name != "self":
                return here + names[at:]
        return here
    # The root of a crate names its modules without more.
    return names if not module and names[0] in folders else None


class File:
    """A source file: where it is in the crate, and the paths that it names, each from the crate's root."""

    def __init__(self, root, path, folders):
        self.path, self.module = path, module_path(root, path)
        code = without_tests(blank(path.read_text(encoding="utf-8")))
        self.named, aliases = [], {}
        for match in re.finditer(r"(\bpub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);", code):
            line = code.count("\n", 0, match.start()) + 1
            for names, alias in use_paths(match.group(2)):
                found = absolute(names, self.module, folders)
                if found is None and names[0] in self.children(root):
                    found = self.module + names
                if found:
                    self.named.append((line, found, bool(match.group(1))))
                    aliases[alias] = found
        body = re.sub(r"\buse\s+[^;]+;", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code)
        for match in PATH.finditer(body):
            names = [name.strip() for name in match.group(0).split("::") if name.strip() not in ("{", "*", "")]
            line = body.count("\n", 0, match.start()) + 1
            found = absolute(names, self.module, folders)
            if found is None and names[0] in aliases:
                found = aliases[names[0]] + names[1:]
            if found:
                self.named.append((line, found, False))

    def children(self, root):
        folder = root.joinpath(*self.module)
        return {child.stem for child in folder.glob("*")} if self.module else set()

    def folder(self):
        return self.module[0] if self.module else ""


def files(root):
    root = pathlib.Path(root)
    if not root.is_dir():
        raise SystemExit(f"there is no folder {root}")
    paths = sorted(root.rglob("*.rs"))
    folders = {module_path(root, path)[0] for path in paths if module_path(root, path)}
    return [File(root, path, folders) for path in paths], folders


def arrows(root):
    """From each folder to those that it imports: the places where it does."""
    found = {}
    all_files, folders = files(root)
    for file in all_files:
        for line, names, _ in file.named:
            if file.folder() and names and names[0] in folders and names[0] != file.folder():
                places = found.setdefault(file.folder(), {}).setdefault(names[0], [])
                places.append(f"{file.path}:{line}: {'::'.join(names)}")
    return found


def circles(graph):
    """Groups of folders each of which reaches all others of the group."""

    def reach(start):
        seen, todo = set(), [start]
        while todo:
            for to in graph.get(todo.pop(), ()):
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen

    reached = {node: reach(node) for node in graph}
    groups = set()
    for node in graph:
        group = frozenset(other for other in reached[node] if node in reached.get(other, ()))
        if group:
            groups.add(group)
    return sorted(sorted(group) for group in groups)


def check_circles(root):
    graph, complaints = arrows(root), []
    for group in circles(graph):
        complaints.append(f"{root}: these import each other in a circle: {', '.join(group)}")
        for here in group:
            for there in group:
                for place in graph.get(here, {}).get(there, [])[:3]:
                    complaints.append(f"  {here} -> {there}: {place}")
    return complaints


def check_private(root, name):
    complaints, (all_files, folders) = [], files(root)
    for file in all_files:
        for line, names, public in file.named:
            if name not in names[1:] or names[0] not in folders:
                continue
            if names[0] != file.folder():
                complaints.append(f"{file.path}:{line}: {'::'.join(names)} is private to {names[0]}")
            elif public and len(file.module) == 1:
                complaints.append(f"{file.path}:{line}: {name} is let out of {names[0]}")
    return complaints


def main(arguments):
    private, show = None, False
    if arguments[:1] == ["--private"]:
        private, arguments = arguments[1], arguments[2:]
    elif arguments[:1] == ["--show"]:
        show, arguments = True, arguments[1:]
    if not arguments:
        raise SystemExit(__doc__)
    complaints = []
    for root in arguments:
        if show:
            for here, there in sorted(arrows(root).items()):
                print(f"{here}: {', '.join(sorted(there))}")
        elif private:
            complaints += check_private(root, private)
        else:
            complaints += check_circles(root)
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
