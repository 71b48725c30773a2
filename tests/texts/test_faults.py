"""Tests of faults.py: which texts it finds, and what it refuses."""

import unittest

from faults import Scan

FAULT = """
codes! {
    Invalid = "invalid", 422, 4422, Never;
    Busy = "busy", 503, 1013, Later;
    Internal = "internal", 500, 1011, Later;
}
shorthands! { invalid => Invalid, busy => Busy, }
"""


def scan(source, path="actors/src/session.rs"):
    return Scan([("schema/src/fault.rs", FAULT), ("schema/src/limits.rs", "pub const MANY: usize = 4 * 25;"), (path, source)])


def texts(source, **kept):
    done = scan(source, **kept)
    assert not done.wrong, done.wrong
    return sorted(row for rows in done.rows.values() for row in rows)


class Finds(unittest.TestCase):
    def test_literals_and_templates(self):
        source = """
            fn a() { Err(Fault::invalid("it is wrong: mend it")) }
            fn b() { Fault::new(Code::Busy, format!("{n} of at most {MANY} wait: {} more", x)).after(5) }
            fn c() { Fault::new(parlance_schema::Code::Busy, "later (\\"soon\\")") }
        """
        self.assertEqual(
            texts(source),
            [("busy", 'later ("soon")'), ("busy", "… of at most 100 wait: … more"), ("invalid", "it is wrong: mend it")],
        )

    def test_a_text_in_a_let_or_in_arms(self):
        source = """
            fn a() { let detail = if x { "one thing" } else { "another" }; Err(Fault::busy(detail)) }
            fn b() { Fault::invalid(match x { 1 => "first: (", _ => "second" }) }
        """
        self.assertEqual(
            texts(source), [("busy", "another"), ("busy", "one thing"), ("invalid", "first: ("), ("invalid", "second")]
        )

    def test_no_comments_and_no_tests(self):
        source = """
            // Fault::busy("in a comment")
            /// Fault::busy("in a document")
            fn a() -> char { let c = '"'; Fault::busy("told") }
            #[cfg(test)]
            mod tests { fn b() { Fault::busy("in a test") } }
        """
        self.assertEqual(texts(source), [("busy", "told")])

    def test_close_reasons(self):
        source = 'fn a() { link.close(Code::Busy.close(), "come back later"); }'
        self.assertEqual(texts(source), [("busy", "come back later")])


class Refuses(unittest.TestCase):
    def refused(self, source, why):
        self.assertTrue(any(why in line for line in scan(source).wrong), scan(source).wrong)

    def test_texts_that_are_nowhere(self):
        self.refused("fn a(why: &str) { Fault::busy(why) }", "must be a literal")
        self.refused("fn a() { Fault::busy(error.to_string()) }", "must be a literal")
        self.refused("fn a() { x.map_err(Fault::busy) }", "passed on as a function")
        self.refused('fn a() { Fault::new(code, "text") }', "must be named")
        self.refused('fn a() { Fault::odd("text") }', "is not known")
        self.refused('fn a() { Fault { code: Code::Busy, detail: "x".into() } }', "by hand")

    def test_words_of_the_program_s_own(self):
        self.refused('fn a() { Fault::busy("expected struct Content") }', "no word for a client")
        self.refused('fn a() { Fault::busy("must be a u64") }', "no word for a client")
        self.refused('fn a() { Fault::busy("It is so.") }', "without a full stop")

    def test_close_reasons_that_are_cut(self):
        self.refused('fn a() { link.close(Code::Busy.close(), "%s"); }' % ("x" * 124), "more than 123 bytes")


if __name__ == "__main__":
    unittest.main()
