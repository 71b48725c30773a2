"""The list of what a wire page documents, and whether the transcripts cover all of it.

A line of documented.txt is `key | what the page says`. A scenario names the keys that it covers. For `call` and `frame` keys
naming isn't enough: the call must have been made, and answered with a status below 400, the frame must have been sent or received.
"""

import re

import transcript


class Documented:
    """What is documented, by key."""

    def __init__(self, path):
        self.keys, self.patterns = {}, []
        for number, line, more in transcript.blocks(path.read_text(encoding="utf-8")):
            key, bar, text = " ".join([line, *more]).partition(" | ")
            if not bar or not text.strip() or key in self.keys:
                raise transcript.Wrong(f"{path.name}:{number}: not `key | text`, or a key that is there already")
            self.keys[key] = text.strip()
            if found := re.fullmatch(r"call ([A-Z]+) (/\S*)", key):
                pattern = re.sub(r"\\{\w+\\}", r"\\d+", re.escape(found[2]))
                self.patterns.append((found[1], re.compile(pattern), key))

    def calls(self, method, path):
        return {key for verb, pattern, key in self.patterns if verb == method and pattern.fullmatch(path)}

    def frame(self, way, frame):
        kind = frame.get("type") if isinstance(frame, dict) else None
        return {f"frame {way} {kind}"} & self.keys.keys()

    def sockets(self):
        return {key for key in self.keys if key.startswith("socket ")}

    def closed(self, code):
        return {f"close {code}"} & self.keys.keys()

    def unknown(self, scenario):
        """Keys that a scenario names, and that aren't there."""
        return [key for key in scenario.covers if key not in self.keys]

    def only_said(self, scenario, seen):
        """Keys of calls and frames that a scenario names, but that were not seen when it was played."""
        watched = ("call ", "frame ", "socket ", "close ")
        return [key for key in scenario.covers if key.startswith(watched) and key not in seen]

    def uncovered(self, scenarios):
        covered = {key for scenario in scenarios for key in scenario.covers}
        return [key for key in self.keys if key not in covered]
