#!/usr/bin/env python3
"""Plays the transcripts of a dialect against a real server, with one or more clients.

Usage: run.py [--client raw|python|curl|browser]... [--dialect chat-service] [--on] [NAME...]

The server is the binary that PARLANCE_BIN names, one for each scenario. Names choose scenarios by their file's name. Without
names, the transcripts must cover all that the dialect's documented.txt lists. With --on a scenario goes on after a step that went
wrong, to see them all. Ends with 0 when all passed.
"""

import argparse
import os
import pathlib
import sys
import time

import clients
import dialects
import documented
import play
import server
import shape
import transcript

HERE = pathlib.Path(__file__).resolve().parent
BRIDGE = HERE.parent / "browser" / "bridge.mjs"


def client_of(name):
    made = {"raw": clients.Raw, "python": clients.Python, "curl": clients.Curl}
    return made[name]() if name in made else clients.Browser(str(BRIDGE))


def load(folder, names):
    """Reads a dialect's files; returns its shapes, what is documented, and the scenarios."""
    shapes = transcript.read_shapes(folder / "shapes.txt")
    listed = documented.Documented(folder / "documented.txt")
    paths = sorted(folder.glob("*.transcript"))
    if names:
        paths = [path for path in paths if path.stem in names]
        missing = set(names) - {path.stem for path in paths}
        if missing:
            raise transcript.Wrong(f"there is no transcript {', '.join(sorted(missing))}")
    scenarios = [transcript.read(path, shapes) for path in paths]
    for scenario in scenarios:
        unknown = listed.unknown(scenario)
        if unknown:
            raise transcript.Wrong(f"{scenario.path.name} covers what is not documented: {'; '.join(unknown)}")
    if not names and (uncovered := listed.uncovered(scenarios)):
        raise transcript.Wrong("no transcript covers:\n  " + "\n  ".join(uncovered))
    return shapes, listed, scenarios


def play_one(scenario, client, binary, dialect, shapes, listed, on):
    """Plays a scenario on a server of its own; returns what went wrong, or nothing."""
    try:
        with server.Server(binary, scenario.server) as running:
            player = play.Player(scenario, client, running, dialect, shapes, listed, on)
            try:
                seen = player.play()
                if player.went_wrong:
                    return "\n".join(player.went_wrong)
            except (play.Failed, clients.Broken, shape.Wrong, OSError, ValueError) as error:
                step = player.step
                where = f"{scenario.path.name}:{step.line}: {step.text}" if step else scenario.path.name
                said = "".join(running.said[-10:])
                return f"{where}\n{type(error).__name__}: {error}\nthe server said:\n{said}"
    except server.NoStart as error:
        return f"{scenario.path.name}: {error}"
    only_said = listed.only_said(scenario, seen)
    if only_said:
        return f"{scenario.path.name} covers these in name only: {'; '.join(only_said)}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--client", action="append", choices=transcript.CLIENTS)
    parser.add_argument("--dialect", default="chat-service", choices=sorted(dialects.ALL))
    parser.add_argument("--on", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    binary = os.environ.get("PARLANCE_BIN")
    if not binary:
        sys.exit("PARLANCE_BIN names no server")
    dialect = dialects.ALL[options.dialect]
    try:
        shapes, listed, scenarios = load(HERE / dialect.folder, options.names)
    except (transcript.Wrong, shape.Wrong) as error:
        sys.exit(f"error: {error}")
    played = failed = 0
    began = time.monotonic()
    for name in options.client or ["raw"]:
        client = client_of(name)
        for scenario in (s for s in scenarios if name in s.clients):
            played += 1
            started = time.monotonic()
            wrong = play_one(scenario, client, binary, dialect, shapes, listed, options.on)
            failed += wrong is not None
            print(f"{'FAILED' if wrong else 'ok':8} {name}: {scenario.path.stem}: {scenario.title} ({time.monotonic() - started:.1f} s)")
            if wrong:
                print("         " + wrong.replace("\n", "\n         "), flush=True)
        client.end()
    print(f"\nRan {played} tests in {time.monotonic() - began:.0f} s, {failed} failed")
    sys.exit(1 if failed or not played else 0)


if __name__ == "__main__":
    main()
