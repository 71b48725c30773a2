#!/usr/bin/env python3
"""Decides from what clients sent and received whether a server lost, repeated or reordered anything.

It reads journals (JSON lines, one file per client) and knows nothing of the server. A journal's lines, in the order in
which things happened at that client, all with `t` (microseconds of one clock), `c` (the client's name), `u` (its user):

    connect     conn                                    a connection is open
    disconnect  conn                                    it is gone
    resume      room, outcome, from, last               the server says where the client stands in a room
    added       room, from                              the server says that the user became a member
    gone        room                                    nothing more comes from the room
    send        room, client_id, conn, attempt          a message is sent, for the attempt-th time
    ack         room, client_id, seq, again             the server says that it is stored
    refused     room, client_id, code                   the server says that it will not be stored
    push        room, seq, by, client_id, append, digest, fact    the server delivers an entry
    log         room, seq, by, client_id, append, digest, fact    the log has this entry, read page by page at the end
    unanswered  n                                       a request had no reply while its connection lived
    end                                                 the client has all that it will get

Usage: check.py [--allow-resets] [--expect-loss] FILE|FOLDER...; prints one JSON line. Ends with 0 when every rule holds
(with --expect-loss: when acknowledged messages were lost), with 1 when one is broken, with 2 when journals can't be read.
"""

import json
import pathlib
import sys
from collections import defaultdict

RULES = ("lost", "gaps", "doubles", "differs", "order", "acks_wrong", "incomplete", "resets", "unanswered")
EXAMPLES_MAX = 10


class Unreadable(Exception):
    """A journal is not what the documentation above says."""


def entry_of(event):
    """What an entry is, as far as all must agree on it."""
    return (event["by"], event["client_id"], event["append"], event["digest"], event["fact"])


class Checker:
    """Collects journals, then judges them."""

    def __init__(self, allow_resets=False):
        self.allow_resets = allow_resets
        self.found = dict.fromkeys(RULES, 0)
        self.examples = []
        self.counts = defaultdict(int)
        # room -> seq -> (by, client_id, append, digest, fact)
        self.log = defaultdict(dict)
        # The same, as the log was read at the end; only for rooms that were.
        self.stored = defaultdict(dict)
        # (user, room, client_id) -> {"first", "attempts", "conn", "acked", "seqs"}
        self.sent = {}
        # client -> room -> the last number it was pushed
        self.ends = {}

    def broken(self, rule, **facts):
        self.found[rule] += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append({"rule": rule, **facts})

    # --- reading ---

    def read(self, path):
        positions, ended, client = {}, False, str(path)
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    event = json.loads(line)
                    client = event["c"]
                    ended = self.event(event, positions) or ended
                except (ValueError, KeyError, TypeError) as error:
                    raise Unreadable(f"{path}:{number}: {error!r}") from error
        self.counts["clients"] += 1
        if not ended:
            self.broken("incomplete", client=client, why="the journal has no end")
        self.ends[client] = positions

    def event(self, event, positions):
        kind, room = event["ev"], event.get("room")
        if kind == "resume":
            self.counts["resumes"] += 1
            self.resumed(event, positions)
        elif kind == "added":
            positions[room] = event["from"]
        elif kind == "gone":
            positions.pop(room, None)
        elif kind == "push":
            self.counts["pushes"] += 1
            self.pushed(event, positions)
        elif kind == "send":
            self.counts["sends"] += 1
            self.send(event)
        elif kind == "ack":
            self.counts["acks"] += 1
            self.ack(event)
        elif kind == "log":
            self.counts["log"] += 1
            self.stored[room][event["seq"]] = entry_of(event)
        elif kind == "unanswered":
            self.broken("unanswered", client=event["c"], n=event["n"])
        elif kind in ("connect", "disconnect", "refused"):
            self.counts[kind] += 1
        elif kind != "end":
            raise ValueError(f"no such event: {kind}")
        return kind == "end"

    def resumed(self, event, positions):
        room, outcome, start = event["room"], event["outcome"], event["from"]
        before = positions.get(room)
        if outcome == "gone":
            positions.pop(room, None)
            return
        if outcome == "reset" and not self.allow_resets:
            self.broken("resets", client=event["c"], room=room, before=before, now=start)
        if outcome == "live" and before is not None and before != start:
            rule = "gaps" if start > before else "doubles"
            self.broken(rule, client=event["c"], room=room, before=before, resumed_from=start)
        positions[room] = start

    def pushed(self, event, positions):
        room, seq, before = event["room"], event["seq"], positions.get(event["room"])
        if before is None:
            self.broken("gaps", client=event["c"], room=room, seq=seq, why="pushed without a position")
        elif seq <= before:
            self.broken("doubles", client=event["c"], room=room, seq=seq, position=before)
        elif seq > before + 1:
            self.broken("gaps", client=event["c"], room=room, seq=seq, position=before)
        positions[room] = max(seq, before or 0)
        entry = entry_of(event)
        first = self.log[room].setdefault(seq, entry)
        if first != entry:
            self.broken("differs", client=event["c"], room=room, seq=seq, this=entry, others=first)

    def send(self, event):
        key = (event["u"], event["room"], event["client_id"])
        fresh = {"first": event["t"], "attempts": 0, "conn": (event["c"], event["conn"]), "acked": None, "seqs": set()}
        self.sent.setdefault(key, fresh)["attempts"] += 1

    def ack(self, event):
        key = (event["u"], event["room"], event["client_id"])
        message = self.sent.get(key)
        if message is None:
            self.broken("acks_wrong", client=event["c"], client_id=event["client_id"], why="it was never sent")
            return
        message["seqs"].add(event["seq"])
        message["acked"] = min(event["t"], message["acked"] or event["t"])

    # --- judging ---

    def judge(self):
        self.judge_acks()
        self.judge_log()
        self.judge_order()
        self.judge_ends()
        self.counts["entries"] = sum(len(log) for log in self.log.values())
        self.counts["rooms"] = len(self.log)
        return not any(self.found.values())

    def judge_acks(self):
        for (user, room, client_id), message in self.sent.items():
            if len(message["seqs"]) > 1:
                self.broken("acks_wrong", room=room, client_id=client_id, seqs=sorted(message["seqs"]))
            known = self.stored.get(room, self.log.get(room, {}))
            for seq in message["seqs"]:
                entry = known.get(seq)
                if entry is None:
                    self.broken("lost", room=room, client_id=client_id, seq=seq, why="acknowledged, not there")
                elif entry[:2] != (user, client_id):
                    self.broken("lost", room=room, client_id=client_id, seq=seq, instead=entry[:2])

    def judge_log(self):
        for room, stored in self.stored.items():
            for seq, entry in self.log.get(room, {}).items():
                if stored.get(seq) != entry:
                    self.broken("differs", room=room, seq=seq, pushed=entry, stored=stored.get(seq))
        for room, log in [*self.log.items(), *self.stored.items()]:
            missing = set(range(min(log), max(log) + 1)) - set(log)
            if missing:
                self.broken("gaps", room=room, missing=sorted(missing)[:EXAMPLES_MAX])
            places = defaultdict(list)
            for seq, entry in log.items():
                places[entry[:2]].append(seq)
            for (by, client_id), seqs in places.items():
                if len(seqs) > 1:
                    self.broken("doubles", room=room, by=by, client_id=client_id, seqs=sorted(seqs))

    def judge_order(self):
        place = {(e[0], room, e[1]): seq for room, log in self.log.items() for seq, e in log.items()}
        senders = defaultdict(list)
        for (user, room, client_id), message in self.sent.items():
            seq = place.get((user, room, client_id))
            if seq is not None:
                senders[user, room].append((message["first"], seq, message, client_id))
        for (user, room), messages in senders.items():
            messages.sort(key=lambda m: m[0])
            self.judge_sender(user, room, messages)

    def judge_sender(self, user, room, messages):
        # What was acknowledged before another was sent stands before it.
        acked = sorted((m["acked"], seq) for _, seq, m, _ in messages if m["acked"] is not None)
        at, highest, lasts = 0, 0, {}
        for first, seq, message, client_id in messages:
            while at < len(acked) and acked[at][0] < first:
                highest = max(highest, acked[at][1])
                at += 1
            if highest > seq:
                self.broken("order", room=room, by=user, client_id=client_id, seq=seq, after=highest)
            # What was sent once each, on one connection, stands as it was sent.
            if message["attempts"] == 1:
                before = lasts.get(message["conn"], 0)
                if before > seq:
                    self.broken("order", room=room, by=user, client_id=client_id, seq=seq, after=before)
                lasts[message["conn"]] = max(before, seq)

    def judge_ends(self):
        for client, positions in self.ends.items():
            for room, position in positions.items():
                last = max([*self.log.get(room, ()), *self.stored.get(room, ())], default=0)
                if position < last:
                    self.broken("incomplete", client=client, room=room, position=position, last=last)


def journals(paths):
    for path in map(pathlib.Path, paths):
        yield from sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def main(words):
    flags = {word for word in words if word.startswith("--")}
    paths = list(journals(word for word in words if word not in flags))
    if not paths or flags - {"--allow-resets", "--expect-loss"}:
        print(__doc__, file=sys.stderr)
        return 2
    checker = Checker(allow_resets=bool(flags))
    try:
        for path in paths:
            checker.read(path)
    except (Unreadable, OSError) as error:
        print(json.dumps({"ok": False, "error": str(error)}))
        return 2
    held = checker.judge()
    ok = checker.found["lost"] > 0 if "--expect-loss" in flags else held
    print(json.dumps({"ok": ok, **checker.counts, **checker.found, "examples": checker.examples}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
