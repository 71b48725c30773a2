"""Tests of the runner against a server that answers wrongly: a wrong field, a missing frame, a call that nobody made."""

import pathlib
import tempfile
import unittest

import clients
import dialects
import documented
import fake
import play
import run
import transcript

HERE = pathlib.Path(__file__).resolve().parent
SHAPES = {"error": '{"detail": <text>}', "invalid": '{"detail": [<some>, {"loc": <list>, "msg": <text>, "type": <text>}]}'}
THING = '{"id": 7, "name": "x"}'
PONG = '{"type": "pong", "chat_id": 7}'
LISTED = "call GET /thing/{id} | a thing\ncall GET /other | another\nframe < news | news\nrule | a rule\n"
HEAD = "title: t\ncovers: rule\n"


def written(folder, name, text):
    path = pathlib.Path(folder, name)
    path.write_text(text, encoding="utf-8")
    return path


class Bed(unittest.TestCase):
    """Plays steps against a fake."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.listed = documented.Documented(written(self.folder, "documented.txt", LISTED))
        patience, play.PATIENCE_S = play.PATIENCE_S, 0.3
        self.addCleanup(setattr, play, "PATIENCE_S", patience)

    def play(self, steps, answers=None, talk=None, **options):
        scenario = transcript.read(written(self.folder, "one.transcript", HEAD + steps), SHAPES)
        with fake.Fake(answers, talk, **options) as server:
            player = play.Player(scenario, clients.Raw(), server, dialects.CHAT_SERVICE, SHAPES, self.listed)
            player.scope = {"anna.token": "a.b.c"}
            self.asked = server.asked
            return player.play()

    def fails(self, why, steps, answers=None, talk=None, **options):
        with self.assertRaisesRegex(play.Failed, why):
            self.play(steps, answers, talk, **options)


class Calls(Bed):
    STEPS = 'anna > GET /thing/7\n< 200\n  {"id": <id thing>, "name": "x"}\n'

    def answer(self, status=200, text=THING, headers=None):
        return {"GET /thing/7": [(status, fake.JSON if headers is None else headers, text)]}

    def test_what_is_right_passes_and_is_seen(self):
        self.assertEqual(self.play(self.STEPS, self.answer()), {"call GET /thing/{id}"})

    def test_what_is_wrong_fails(self):
        self.fails("not documented", self.STEPS, self.answer(text='{"id": 7, "name": "x", "mail": "m"}'))
        self.fails("is missing", self.STEPS, self.answer(text='{"id": 7}'))
        self.fails("expected <id", self.STEPS, self.answer(text='{"id": "7", "name": "x"}'))
        self.fails("expected 200, got 201", self.STEPS, self.answer(status=201))
        self.fails("not JSON", self.STEPS, self.answer(text="{"))
        self.fails("twice", self.STEPS, self.answer(text='{"id": 7, "id": 7, "name": "x"}'))
        self.fails("content-type", self.STEPS, self.answer(headers={"Content-Type": "text/plain"}))

    def test_errors_have_their_shape_without_being_written_down(self):
        for status, text in ((404, '{"detail": "no"}'), (422, '{"detail": [{"loc": ["body"], "msg": "m", "type": "t"}]}')):
            self.play(f"- > GET /thing/7\n< {status}\n", self.answer(status, text))
        self.fails("is missing", "- > GET /thing/7\n< 404\n", self.answer(404, '{"error": "no"}'))
        self.fails("expected a list", "- > GET /thing/7\n< 422\n", self.answer(422, '{"detail": "no"}'))
        self.fails("Retry-After", "- > GET /thing/7\n< 429\n", self.answer(429, '{"detail": "slower"}'))
        self.fails("with a body", "- > GET /thing/7\n< 204\n", self.answer(204, "x"))

    def test_headers_are_compared(self):
        steps = "- > GET /thing/7\n< 200\n  x-kind: a*\n  <any>\n"
        self.play(steps, self.answer(headers=fake.JSON | {"X-Kind": "abc"}))
        self.fails("x-kind", steps, self.answer(headers=fake.JSON | {"X-Kind": "cba"}))
        self.fails("x-kind", steps, self.answer())

    def test_what_comes_in_the_end_is_waited_for(self):
        answers = {"GET /thing/7": [(404, fake.JSON, '{"detail": "no"}')] * 2 + [(200, fake.JSON, THING)]}
        self.play(self.STEPS.replace("< 200", "< 200 in the end"), answers)
        self.fails("got 404", self.STEPS, answers)
        self.fails("got 404", self.STEPS.replace("< 200", "< 200 in the end"), self.answer(404, '{"detail": "no"}'))

    def test_bound_values_are_sent(self):
        answers = self.answer() | {"POST /things": [(201, fake.JSON, THING)]}
        self.play(self.STEPS + '2 times: anna > POST /things\n  {"n": $i, "of": $thing}\n< 201\n  <any>\n', answers)
        self.assertEqual([body for method, _, body in self.asked if method == "POST"], [b'{"n": 1, "of": 7}', b'{"n": 2, "of": 7}'])


class Sockets(Bed):
    OPEN = "anna ~ open /api/v1/ws/7\n"
    NEWS = '{"type": "news", "n": 1}'
    SAY = 'anna ~> {"type": "say"}\n'

    def test_what_is_right_passes_and_is_seen(self):
        seen = self.play(self.OPEN + self.SAY + 'anna ~< {"type": "news", "n": <int>}\n', talk={"ping": [PONG], "say": [self.NEWS]})
        self.assertEqual(seen, {"frame < news"})

    def test_what_is_wrong_fails(self):
        expect = 'anna ~< {"type": "news", "n": <int>}\n'
        self.fails("nothing came", self.OPEN + self.SAY + expect, talk={"ping": [PONG]})
        self.fails("not documented", self.OPEN + self.SAY + expect, talk={"ping": [PONG], "say": ['{"type": "news", "n": 1, "m": 1}']})
        self.fails("is missing", self.OPEN + self.SAY + expect, talk={"ping": [PONG], "say": ['{"type": "news"}']})
        self.fails("expected 1, got 2", self.OPEN + self.SAY + 'anna ~< {"type": "news", "n": 1}\n',
                   talk={"ping": [PONG], "say": ['{"type": "news", "n": 2}', self.NEWS]})
        self.fails("not JSON", self.OPEN + self.SAY + expect, talk={"ping": [PONG], "say": ["{"]})
        self.fails("close", self.OPEN + self.SAY + expect, talk={"ping": [PONG], "say": [4403]})

    def test_more_than_was_expected_fails_at_the_end(self):
        self.fails("not expected", self.OPEN + self.SAY + 'anna ~< {"type": "news", "n": 1}\n',
                   talk={"ping": [PONG], "say": [self.NEWS, self.NEWS]})
        self.fails("not expected", self.OPEN, talk={"open": [self.NEWS], "ping": [PONG]})

    def test_what_may_come_may(self):
        steps = self.OPEN + 'anna ~?< {"type": "news", "n": 1}\n' + self.SAY + "anna ~ quiet\n"
        self.play(steps, talk={"ping": [PONG]})
        self.play(steps, talk={"ping": [PONG], "say": [self.NEWS]})
        self.fails("not expected", steps, talk={"ping": [PONG], "say": [self.NEWS, self.NEWS]})
        self.play(steps.replace("~?<", "~*<"), talk={"ping": [PONG], "say": [self.NEWS] * 9})

    def test_close_codes_are_compared(self):
        steps = self.OPEN + "anna ~x 4401\n"
        self.play(steps, talk={"open": [4401]})
        self.fails("4401", steps, talk={"open": [4403]})
        self.fails("4401", steps, talk={"open": [self.NEWS, 4401]})
        self.fails("nothing came", steps, talk={"ping": [PONG]})

    def test_the_subprotocol_must_be_echoed(self):
        steps = "anna ~ open /api/v1/ws/7 by subprotocol\n"
        self.play(steps, talk={"ping": [PONG]})
        self.fails("to be echoed", steps, talk={"ping": [PONG]}, echo=False)


class Files(Bed):
    def test_bad_transcripts_are_refused(self):
        for text in (
            "title: t\n", HEAD, HEAD + "nonsense\n", HEAD + "- > GET /x\n", HEAD + "- > GET /x\n< 200\n", HEAD + "< 200\n  <any>\n",
            HEAD + '- > GET /x\n< 200\n  {"a": <nokind>}\n', HEAD + "not by: telnet: why\npeople a\n", HEAD + "not by: curl\npeople a\n",
            HEAD + "anna ~< {\n", HEAD + "anna ~ dance\n", HEAD + "anna ~x soon\n", "  indented\n",
        ):
            with self.assertRaises((transcript.Wrong), msg=text):
                transcript.read(written(self.folder, "bad.transcript", text), SHAPES)

    def test_clients_are_chosen(self):
        text = HEAD + "not by: curl, browser: they can't\npeople a\n"
        self.assertEqual(transcript.read(written(self.folder, "a", text), SHAPES).clients, ("raw", "python"))
        text = HEAD + "only by: raw: the others can't\npeople a\n"
        self.assertEqual(transcript.read(written(self.folder, "a", text), SHAPES).clients, ("raw",))


class Coverage(Bed):
    def scenario(self, covers):
        return transcript.Scenario(pathlib.Path("x"), covers=covers)

    def test_what_nobody_covers_is_told(self):
        named = self.scenario(["call GET /thing/{id}", "rule"])
        self.assertEqual(self.listed.uncovered([named]), ["call GET /other", "frame < news"])
        self.assertEqual(self.listed.unknown(self.scenario(["rule", "ruel"])), ["ruel"])

    def test_naming_a_call_or_frame_is_not_enough(self):
        named = self.scenario(["call GET /other", "frame < news", "rule"])
        self.assertEqual(self.listed.only_said(named, {"frame < news"}), ["call GET /other"])

    def test_a_refused_call_covers_nothing(self):
        self.assertEqual(self.play("- > GET /other\n< 404\n"), set())

    def test_the_transcripts_cover_their_dialects(self):
        for dialect in dialects.ALL.values():
            _, listed, scenarios = run.load(HERE / dialect.folder, [])
            alone = [s for s in scenarios if s.path.stem != "accounts"]
            self.assertIn("entity user", listed.uncovered(alone))


if __name__ == "__main__":
    unittest.main()
