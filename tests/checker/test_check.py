"""The checker refuses journals that break a rule, one for each rule, and accepts those that break none."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check  # noqa: E402

ROOM = 7


def run(*journals, flags=()):
    """Writes the journals (client name, user, events) as files, checks them, and returns the exit code and the summary."""
    with tempfile.TemporaryDirectory() as folder:
        for name, user, events in journals:
            lines = [json.dumps({"t": t, "c": name, "u": user, **event}) for t, event in enumerate(events)]
            pathlib.Path(folder, f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = check.main([*flags, folder])
        return code, json.loads(out.getvalue())


def resume(start=0, outcome="live"):
    return {"ev": "resume", "room": ROOM, "outcome": outcome, "from": start, "last": start}


def push(seq, by=1, client_id=None, append=5, digest="d"):
    client_id = client_id or f"m{seq}"
    return {"ev": "push", "room": ROOM, "seq": seq, "by": by, "client_id": client_id, "append": append,
            "digest": digest, "fact": "posted"}


def send(client_id, attempt=1, conn=1):
    return {"ev": "send", "room": ROOM, "client_id": client_id, "conn": conn, "attempt": attempt}


def ack(client_id, seq, again=False):
    return {"ev": "ack", "room": ROOM, "client_id": client_id, "seq": seq, "again": again}


END = {"ev": "end"}
CONNECT = {"ev": "connect", "conn": 1}


class Accepted(unittest.TestCase):
    def accept(self, *journals, flags=()):
        code, summary = run(*journals, flags=flags)
        self.assertEqual((code, summary["ok"]), (0, True), summary)
        return summary

    def test_a_quiet_room(self):
        summary = self.accept(
            ("a", 1, [CONNECT, resume(), send("m1"), send("m2"), push(1), ack("m1", 1), push(2), ack("m2", 2), END]),
            ("b", 2, [CONNECT, resume(), push(1), push(2), END]))
        self.assertEqual((summary["acks"], summary["entries"], summary["pushes"]), (2, 2, 4))

    def test_a_resume_where_the_client_was(self):
        self.accept(("a", 1, [resume(), push(1), {"ev": "disconnect", "conn": 1}, resume(1), push(2), END]))

    def test_a_retry_that_is_answered_as_the_first_was(self):
        self.accept(("a", 1, [resume(), send("m1"), ack("m1", 1), send("m1", 2, 2), ack("m1", 1, True), push(1), END]))

    def test_retries_may_overtake_what_was_not_acknowledged(self):
        self.accept(("a", 1, [resume(), send("m2"), send("m1"), send("m2", 2), push(1), push(2), ack("m1", 1),
                              ack("m2", 2), END]))

    def test_a_member_who_came_later(self):
        self.accept(("a", 1, [resume(), push(1), push(2), END]),
                    ("b", 2, [{"ev": "added", "room": ROOM, "from": 1}, push(2), END]))

    def test_a_member_who_left(self):
        self.accept(("a", 1, [resume(), push(1), push(2), END]),
                    ("b", 2, [resume(), push(1), {"ev": "gone", "room": ROOM}, END]))

    def test_a_reset_where_it_is_allowed(self):
        self.accept(("a", 1, [resume(), push(1), resume(0, "reset"), push(1), END]), flags=["--allow-resets"])

    def test_a_log_that_says_the_same(self):
        stored = [{**push(seq), "ev": "log"} for seq in (1, 2)]
        self.accept(("a", 1, [resume(), send("m1"), push(1), ack("m1", 1), push(2), END]), ("log", 0, [*stored, END]))

    def test_a_loss_where_it_is_expected(self):
        self.accept(("a", 1, [resume(), send("m1"), ack("m1", 1), END]), flags=["--expect-loss"])


class Refused(unittest.TestCase):
    def refuse(self, rule, *journals, flags=()):
        code, summary = run(*journals, flags=flags)
        self.assertEqual((code, summary["ok"]), (1, False), summary)
        self.assertGreater(summary[rule], 0, summary)
        others = {r for r in check.RULES if summary[r] and r != rule}
        self.assertEqual(others, set(), "only the one rule is broken")

    def test_an_acknowledged_message_is_missing(self):
        self.refuse("lost", ("a", 1, [resume(), send("m1"), ack("m1", 1), END]))

    def test_another_message_stands_at_the_acknowledged_number(self):
        self.refuse("lost", ("a", 1, [resume(), send("m1"), ack("m1", 1), push(1, client_id="other"), END]))

    def test_another_sender_stands_at_the_acknowledged_number(self):
        self.refuse("lost", ("a", 1, [resume(), send("m1"), ack("m1", 1), push(1, by=2), END]))

    def test_an_acknowledged_message_was_delivered_and_is_in_the_log_no_more(self):
        code, summary = run(("a", 1, [resume(), push(1), send("m2"), push(2), ack("m2", 2), END]),
                            ("log", 0, [{**push(1), "ev": "log"}, END]))
        self.assertEqual((code, summary["lost"]), (1, 1))

    def test_the_log_says_something_else(self):
        self.refuse("differs", ("a", 1, [resume(), push(1), END]),
                    ("log", 0, [{**push(1, client_id="y"), "ev": "log"}, END]))

    def test_the_log_has_a_hole(self):
        self.refuse("gaps", ("log", 0, [{**push(1), "ev": "log"}, {**push(3), "ev": "log"}, END]))

    def test_a_number_was_left_out(self):
        self.refuse("gaps", ("a", 1, [resume(), push(1), push(3), END]), ("b", 2, [resume(), push(1), push(2), push(3), END]))

    def test_nobody_has_a_number(self):
        self.refuse("gaps", ("a", 1, [resume(), push(1), resume(2, "too_far"), push(3), END]))

    def test_a_resume_went_too_far(self):
        self.refuse("gaps", ("a", 1, [resume(), push(1), resume(2), push(3), END]),
                    ("b", 2, [resume(), push(1), push(2), push(3), END]))

    def test_a_push_without_a_position(self):
        self.refuse("gaps", ("a", 1, [push(1), END]))

    def test_a_number_came_twice(self):
        self.refuse("doubles", ("a", 1, [resume(), push(1), push(1), END]))

    def test_a_resume_went_back(self):
        self.refuse("doubles", ("a", 1, [resume(), push(1), resume(0), push(1), END]))

    def test_a_message_stands_at_two_numbers(self):
        self.refuse("doubles", ("a", 1, [resume(), push(1, client_id="x"), push(2, client_id="x"), END]))

    def test_members_see_different_messages_at_a_number(self):
        for other in (push(1, client_id="y"), push(1, by=2), push(1, append=6), push(1, digest="e")):
            self.refuse("differs", ("a", 1, [resume(), push(1), END]), ("b", 2, [resume(), other, END]))

    def test_a_message_overtook_one_that_was_acknowledged(self):
        self.refuse("order", ("a", 1, [resume(), send("m2"), ack("m2", 2), send("m1", 1, 2), ack("m1", 1), push(1), push(2), END]))

    def test_a_message_overtook_another_on_its_connection(self):
        self.refuse("order", ("a", 1, [resume(), send("m2"), send("m1"), ack("m1", 1), ack("m2", 2), push(1), push(2), END]))

    def test_two_acknowledgements_name_two_numbers(self):
        code, summary = run(("a", 1, [resume(), send("m1"), ack("m1", 1), ack("m1", 2, True), push(1), push(2), END]))
        self.assertEqual(code, 1)
        self.assertEqual(summary["acks_wrong"], 1)

    def test_what_was_never_sent_was_acknowledged(self):
        self.refuse("acks_wrong", ("a", 1, [resume(), ack("m1", 1), push(1), END]))

    def test_a_member_lacks_the_end(self):
        self.refuse("incomplete", ("a", 1, [resume(), push(1), push(2), END]), ("b", 2, [resume(), push(1), END]))

    def test_a_journal_without_an_end(self):
        self.refuse("incomplete", ("a", 1, [resume(), push(1)]))

    def test_a_reset(self):
        self.refuse("resets", ("a", 1, [resume(), push(1), resume(1, "reset"), push(2), END]))

    def test_a_request_without_a_reply(self):
        self.refuse("unanswered", ("a", 1, [resume(), {"ev": "unanswered", "n": 3}, push(1), END]))

    def test_no_loss_where_one_is_expected(self):
        code, summary = run(("a", 1, [resume(), send("m1"), push(1), ack("m1", 1), END]), flags=["--expect-loss"])
        self.assertEqual((code, summary["ok"]), (1, False))


class Unreadable(unittest.TestCase):
    def test_journals_that_are_none(self):
        for events in ([{"ev": "fly"}], [{"ev": "push", "room": ROOM}], [{}]):
            self.assertEqual(run(("a", 1, events))[0], 2, events)

    def test_nothing_to_read(self):
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(check.main([]), 2)
            self.assertEqual(check.main(["--what", "x"]), 2)


if __name__ == "__main__":
    unittest.main()
