"""The import check's own tests: small crates in a temporary folder, each with a fault that it must find."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import imports


class Crate:
    def __init__(self, **named):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for name, code in named.items():
            path = self.root / (name.replace("__", "/") + ".rs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")

    def __enter__(self):
        return str(self.root)

    def __exit__(self, *_):
        self.folder.cleanup()


def run(*arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = imports.main(list(arguments))
    return code, out.getvalue()


class Circles(unittest.TestCase):
    def check(self, expected, **named):
        with Crate(**named) as root:
            code, out = run(root)
        self.assertEqual(code, 1 if expected else 0, out)
        if expected:
            self.assertIn(", ".join(expected), out.splitlines()[0])

    def test_layers_are_no_circle(self):
        self.check(None, lib="mod a; mod b; mod c;", a="use crate::b::B;", b="use crate::c;", c="")

    def test_two_folders_that_import_each_other(self):
        self.check(["a", "b"], a="mod x;", a__x="use crate::b::B;", b="use crate::a::x::X;")

    def test_three_in_a_ring(self):
        self.check(["a", "b", "c"], a="use crate::b;", b="use crate::c;", c="use crate::a;")

    def test_a_path_in_the_code_counts_like_a_use(self):
        self.check(["a", "b"], a="fn f() { crate::b::g() }", b="use crate::a::f;")

    def test_a_path_by_super_that_leaves_the_folder(self):
        self.check(["a", "b"], a="mod x;", a__x="use super::super::b;", b="use crate::a;")

    def test_super_inside_a_folder_is_the_folder(self):
        self.check(None, a="mod x; mod y;", a__x="use super::y::Y;", a__y="use super::x::X;")

    def test_nested_braces_and_self(self):
        self.check(["a", "b"], a="use crate::{c::{self, D}, b::{e::F, g}};", b="use crate::a::h;", c="")

    def test_a_type_in_a_signature(self):
        self.check(["a", "b"], a="pub(crate) fn f(x: &crate::b::B) {}", b="impl crate::a::T for B {}")

    def test_comments_and_literals_are_not_code(self):
        self.check(
            None,
            a='/// [`crate::b`]\n// use crate::b;\n/* use crate::b; */ fn f() { g("crate::b::x", r#"crate::b"#, \'"\'); }',
            b="use crate::a::f;",
        )

    def test_a_lifetime_hides_no_code(self):
        self.check(["a", "b"], a="fn f<'a>(x: &'a str) -> &'a crate::b::B { x }", b="use crate::a::f;")

    def test_tests_may_import_what_they_like(self):
        self.check(None, a="#[cfg(test)]\nmod tests { use crate::b::B; fn f() { {} } }", b="use crate::a;")

    def test_what_follows_the_tests_counts(self):
        self.check(["a", "b"], a="#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::b::B;", b="use crate::a;")

    def test_the_root_is_no_folder(self):
        self.check(None, lib="mod a; pub use a::A;", a="use crate::Other;")

    def test_a_missing_folder_is_said(self):
        with self.assertRaises(SystemExit):
            run("/nowhere/at/all")


class Private(unittest.TestCase):
    def check(self, complaint, **named):
        with Crate(**named) as root:
            code, out = run("--private", "Msg", root)
        self.assertEqual(code, 1 if complaint else 0, out)
        if complaint:
            self.assertIn(complaint, out)

    def test_inside_the_folder_it_is_free(self):
        self.check(None, room="mod actor; mod batch;", room__actor="pub enum Msg {}", room__batch="use super::actor::Msg;")

    def test_imported_from_outside(self):
        self.check("room::actor::Msg is private to room", room="", relay="use crate::room::actor::Msg;")

    def test_by_way_of_the_module(self):
        self.check("room::Msg::Tick is private to room", room="", relay="use crate::room;\nfn f() { room::Msg::Tick; }")

    def test_under_another_name(self):
        self.check("is private to room", room="", relay="use crate::room::actor as other;\nfn f() { other::Msg::Tick; }")

    def test_in_braces(self):
        self.check("is private to room", room="", relay="use crate::{room::{self, Msg as RoomMsg}};")

    def test_let_out_of_its_folder(self):
        self.check("Msg is let out of room", room="mod actor; pub(crate) use actor::{Ask, Msg};", room__actor="")

    def test_an_own_msg_is_no_other_folders(self):
        self.check(None, room="", relay="enum Msg { Tick }\nfn f() { Msg::Tick; Self::Msg; }")


if __name__ == "__main__":
    unittest.main()
