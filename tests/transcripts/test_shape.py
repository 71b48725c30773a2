"""Tests of templates and of comparing with them."""

import datetime
import unittest

import shape

SHAPES = {"user": '{"id": <id>, "name": <text>, "mail"?: null}', "named": '{...user, "name": "anna"}'}


def wrong(template, got, **scope):
    return shape.compare(shape.template(template, scope, SHAPES), got)[0]


class Compare(unittest.TestCase):
    def fits(self, template, got, **scope):
        self.assertEqual(wrong(template, got, **scope), [])

    def differs(self, template, got, **scope):
        self.assertNotEqual(wrong(template, got, **scope), [])

    def test_fields_are_exactly_those(self):
        self.fits('{"a": 1}', {"a": 1})
        self.differs('{"a": 1}', {"a": 1, "b": 2})
        self.differs('{"a": 1}', {})
        self.differs('{"a": {"b": 1}}', {"a": {"b": 1, "c": 1}})
        self.fits('{"a": 1, ...}', {"a": 1, "b": 2})
        self.differs('{"a": 1, ...}', {"b": 2})
        self.differs('{"a": 1}', [])

    def test_a_field_may_be_optional_but_not_of_another_type(self):
        self.fits('{"a"?: <id>}', {})
        self.fits('{"a"?: <id>}', {"a": 1})
        self.differs('{"a"?: <id>}', {"a": "1"})

    def test_types_are_not_mixed(self):
        for template, got in (("1", True), ("1", 1.0), ("true", 1), ("null", False), ('"1"', 1), ("[]", {}), ("{}", [])):
            self.differs(template, got)
        self.differs("<id>", True)
        self.differs("<id>", 1.0)
        self.differs("<id>", 2**53)
        self.differs("<id>", 0)
        self.differs("<bool>", 1)
        self.differs("<text>", "")
        self.fits("<string>", "")
        self.differs("<word>", "Not a word")
        self.fits("<time|null>", None)
        self.differs("<time>", None)

    def test_times_are_utc_and_of_now(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        self.fits("<time>", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.fits("<time>", now.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"))
        for end in ("", "+00:00", "z", ".Z"):
            self.differs("<time>", now.strftime("%Y-%m-%dT%H:%M:%S") + end)
        for text in ("%Y-%m-%d %H:%M:%SZ", "%Y-%m-%dT99:%M:%SZ", "1999-%m-%dT%H:%M:%SZ"):
            self.differs("<time>", now.strftime(text))
        self.differs("<time>", now.timestamp())

    def test_lists_keep_their_order(self):
        self.fits("[1, 2]", [1, 2])
        self.differs("[1, 2]", [2, 1])
        self.differs("[1, 2]", [1, 2, 3])
        self.differs("[1, 2]", [1])
        self.fits("[<any order>, 1, 2]", [2, 1])
        self.differs("[<any order>, 1, 2]", [2, 2])
        self.differs("[<any order>, 1, 2]", [1, 2, 3])
        self.fits("[<among>, 2]", [1, 2])
        self.differs("[<among>, 3]", [1, 2])
        self.fits("[<each>, <id>]", [])
        self.differs("[<each>, <id>]", [1, "2"])
        self.differs("[<some>, <id>]", [])

    def test_shapes_have_names(self):
        self.fits("{...named}", {"id": 7, "name": "anna"})
        self.fits('{...user, "id": 7}', {"id": 7, "name": "b", "mail": None})
        self.differs("{...user}", {"id": 7, "name": "b", "mail": "b@example.org"})
        self.fits('{...user, "mail": "m"}', {"id": 7, "name": "b", "mail": "m"})
        self.differs('{...user, "mail": "m"}', {"id": 7, "name": "b"})
        self.differs('{"items": [{...named}]}', {"items": [{"id": 7, "name": "bela"}]})

    def test_values_are_bound_when_all_fits(self):
        template = shape.template('{"id": <id room>, "at": [<any order>, {"x": <int x>}]}', {}, {})
        self.assertEqual(shape.compare(template, {"id": 7, "at": [{"x": 3}]}), ([], {"room": 7, "x": 3}))

    def test_bound_values_are_put_in(self):
        self.fits('{"$room": $room, "a": "<$room>"}', {"7": 7, "a": "<7>"}, room=7)
        self.fits("[$u1..u3]", [1, 2, 3], u1=1, u2=2, u3=3)
        sent = shape.substitute('{"a": $name, "b":"$name" , "c": $text(3)}', {"name": 'x"'})
        self.assertEqual(sent, '{"a": "x\\"", "b":"x\\"" , "c": "ééé"}')
        self.assertEqual(shape.fill("/rooms/$room?x=$a.b.", {"room": 7, "a.b": "c"}), "/rooms/7?x=c.")
        with self.assertRaises(shape.Wrong):
            shape.fill("$nobody", {})

    def test_bad_templates_are_refused(self):
        for text in ("{", "<no kind>", "<nokind>", "{...nobody}", "$nobody", "[<each>, 1, 2]", '{"a": 1,}'):
            with self.assertRaises(shape.Wrong, msg=text):
                shape.template(text, {}, SHAPES)

    def test_a_servers_json_is_strict(self):
        self.assertEqual(shape.read_json('{"a": 1}'), {"a": 1})
        for text in ('{"a": 1, "a": 1}', '{"a": NaN}', "{", ""):
            with self.assertRaises(ValueError, msg=text):
                shape.read_json(text)


if __name__ == "__main__":
    unittest.main()
