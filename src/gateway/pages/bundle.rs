//! The web app's modules as one script, so that a first visit asks for one file instead of one for each module.
//!
//! Each module becomes a function that is called where the first module that imports it stands; what it exports are the fields of
//! what that function returns. This understands the forms of `import` and `export` that `web/js` uses, each on a line of its
//! own, and refuses all others, modules that import each other in a circle, and exports that change later (`let`). Comments that
//! have lines of their own, a quarter of the text, are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Why modules can't become one script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An import leads nowhere.
    #[error("{from} imports {path}, which isn't there")]
    Missing {
        /// The module that imports.
        from: String,
        /// What it imports.
        path: String,
    },
    /// Modules import each other.
    #[error("{path} is imported in a circle")]
    Circle {
        /// A module of the circle.
        path: String,
    },
    /// A form of `import` or `export` that isn't known here.
    #[error("{path}:{line}: this form of import or export can't be bundled: {text}")]
    Form {
        /// The module.
        path: String,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A name is imported that isn't exported.
    #[error("{from} imports {name}, which {path} doesn't export")]
    Name {
        /// The module that imports.
        from: String,
        /// What it imports.
        name: String,
        /// From where.
        path: String,
    },
}

/// Makes one script of a module and all that it imports. `read` gives a module's text by its path.
///
/// # Errors
/// When a module is missing, or written in a way that this doesn't understand.
pub fn bundle(entry: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
    let mut bundler = Bundler { read, done: BTreeMap::new(), open: Vec::new(), out: String::new() };
    bundler.module("the page", entry)?;
    Ok(bundler.out)
}

struct Bundler<R> {
    read: R,
    /// Modules that were written, with their number and what they export.
    done: BTreeMap<String, (usize, Vec<String>)>,
    /// Modules whose imports are being written.
    open: Vec<String>,
    out: String,
}

/// What a line means to the one who joins modules.
enum Line<'a> {
    /// `import { a, b as c } from './x.js';`
    Named(&'a str, &'a str),
    /// `import * as x from './x.js';`
    Whole(&'a str, &'a str),
    /// `export const a`, `export function a`, `export class A`: the name, and the line without `export`.
    Export(&'a str, &'a str),
    /// `export {};`
    Nothing,
    /// Anything else.
    Plain,
}

impl<R: Fn(&str) -> Option<String>> Bundler<R> {
    /// Writes a module, after those that it imports, unless it was written already; gives its number.
    fn module(&mut self, from: &str, path: &str) -> Result<usize, Error> {
        if let Some((number, _)) = self.done.get(path) {
            return Ok(*number);
        }
        if self.open.iter().any(|open| open == path) {
            return Err(Error::Circle { path: path.to_owned() });
        }
        let missing = || Error::Missing { from: from.to_owned(), path: path.to_owned() };
        let text = (self.read)(path).ok_or_else(missing)?;
        self.open.push(path.to_owned());
        let (body, exports) = self.body(path, &text)?;
        self.open.pop();
        let number = self.done.len();
        let exported = exports.join(", ");
        // Writing to a string can't fail.
        let _ = write!(self.out, "// {path}\nconst m{number} = (() => {{\n{body}return {{ {exported} }};\n}})();\n");
        self.done.insert(path.to_owned(), (number, exports));
        Ok(number)
    }

    fn body(&mut self, path: &str, text: &str) -> Result<(String, Vec<String>), Error> {
        let mut body = String::with_capacity(text.len());
        let mut exports = Vec::new();
        let mut comment = Comment::default();
        for (index, line) in text.lines().enumerate() {
            let unknown = || Error::Form { path: path.to_owned(), line: index + 1, text: line.to_owned() };
            if comment.takes(line).ok_or_else(unknown)? {
                continue;
            }
            match read_line(line).ok_or_else(unknown)? {
                Line::Named(names, target) => {
                    let number = self.imported(path, target)?;
                    let fields = self.fields(path, names, &beside(path, target))?;
                    let _ = write!(body, "const {{ {fields} }} = m{number};");
                }
                Line::Whole(name, target) => {
                    let number = self.imported(path, target)?;
                    let _ = write!(body, "const {name} = m{number};");
                }
                Line::Export(name, rest) => {
                    exports.push(name.to_owned());
                    body.push_str(rest);
                }
                Line::Nothing => {}
                Line::Plain => body.push_str(line),
            }
            body.push('\n');
        }
        Ok((body, exports))
    }

    fn imported(&mut self, path: &str, target: &str) -> Result<usize, Error> {
        self.module(path, &beside(path, target))
    }

    /// `a, b as c` as the pattern that takes these fields.
    fn fields(&self, from: &str, names: &str, path: &str) -> Result<String, Error> {
        let exports = self.done.get(path).map_or(&[][..], |(_, exports)| exports);
        let mut fields = Vec::new();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let (there, here) = name.split_once(" as ").unwrap_or((name, name));
            if !exports.iter().any(|export| export == there) {
                return Err(Error::Name { from: from.to_owned(), name: there.to_owned(), path: path.to_owned() });
            }
            fields.push(if there == here { there.to_owned() } else { format!("{there}: {here}") });
        }
        Ok(fields.join(", "))
    }
}

/// Where a text's comments are.
#[derive(Default)]
struct Comment {
    /// Whether the next line is within a block.
    open: bool,
}

impl Comment {
    /// Whether a line is nothing but a comment, or a part of one; nothing where something else follows one.
    fn takes(&mut self, line: &str) -> Option<bool> {
        let line = line.trim();
        if !self.open && !line.starts_with("/*") {
            return Some(line.starts_with("//"));
        }
        let end = line.find("*/").map(|at| at + 2);
        self.open = end.is_none();
        end.is_none_or(|end| end == line.len()).then_some(true)
    }
}

/// Reads a line; nothing where it is an import or export of another form.
fn read_line(line: &str) -> Option<Line<'_>> {
    if let Some(rest) = line.strip_prefix("import ") {
        let (what, target) = rest.trim_end().strip_suffix("';")?.split_once(" from '")?;
        if let Some(name) = what.strip_prefix("* as ") {
            return is_name(name).then_some(Line::Whole(name, target));
        }
        let names = what.strip_prefix('{')?.strip_suffix('}')?;
        return Some(Line::Named(names, target));
    }
    let Some(rest) = line.strip_prefix("export ") else { return Some(Line::Plain) };
    if rest.trim_end() == "{};" {
        return Some(Line::Nothing);
    }
    let kinds = ["const ", "function ", "async function ", "class "];
    let after = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$')).unwrap_or(after.len());
    is_name(&after[..end]).then_some(Line::Export(&after[..end], rest))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

/// The path of `./x.js` as seen from a module in the same folder.
fn beside(from: &str, target: &str) -> String {
    let name = target.strip_prefix("./").unwrap_or(target);
    match from.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Result<String, Error> {
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        bundle("js/main.js", |path| files.get(path).map(|text| (*text).to_owned()))
    }

    #[test]
    fn modules_come_before_those_that_import_them_and_each_once() {
        let script = check(&[
            ("js/main.js", "import { a, b as c } from './one.js';\nimport * as two from './two.js';\nc(a, two.a);\n"),
            ("js/one.js", "import { a } from './two.js';\nexport const b = a;\n"),
        ]);
        assert_eq!(script, Err(Error::Missing { from: "js/one.js".into(), path: "js/two.js".into() }));
        let script = check(&[
            ("js/main.js", "import { b as c } from './one.js';\nimport * as two from './two.js';\nc(two.a);\n"),
            ("js/one.js", "import { a } from './two.js';\nexport async function b(x) { return a + x; }\n"),
            ("js/two.js", "export const a = 1;\nexport {};\n"),
        ]);
        let expected = "// js/two.js\nconst m0 = (() => {\nconst a = 1;\n\nreturn { a };\n})();\n\
            // js/one.js\nconst m1 = (() => {\nconst { a } = m0;\nasync function b(x) { return a + x; }\nreturn { b };\n})();\n\
            // js/main.js\nconst m2 = (() => {\nconst { b: c } = m1;\nconst two = m0;\nc(two.a);\nreturn {  };\n})();\n";
        assert_eq!(script.unwrap(), expected);
    }

    #[test]
    fn comments_with_lines_of_their_own_are_left_out() {
        let text = "// What it does.\n\n/** One. */\nexport const a = 1; // here\n  /**\n   * Two.\n   */\nconst b = '// no';\n\
            /* c */\nb.at(a);\n";
        let expected = "// js/main.js\nconst m0 = (() => {\n\nconst a = 1; // here\nconst b = '// no';\nb.at(a);\n\
            return { a };\n})();\n";
        assert_eq!(check(&[("js/main.js", text)]).unwrap(), expected);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "export let a = 1;",
            "export default a;",
            "export { a };",
            "export * from './one.js';",
            "import a from './one.js';",
            "import './one.js';",
            "import { a,",
            "/* one */ a();",
        ] {
            let got = check(&[("js/main.js", line), ("js/one.js", "export const a = 1;\n")]);
            assert_eq!(got, Err(Error::Form { path: "js/main.js".into(), line: 1, text: line.to_owned() }));
        }
        let circle = check(&[
            ("js/main.js", "import { a } from './one.js';\nexport const b = 1;\n"),
            ("js/one.js", "import { b } from './main.js';\nexport const a = 1;\n"),
        ]);
        assert_eq!(circle, Err(Error::Circle { path: "js/main.js".into() }));
        let unknown =
            check(&[("js/main.js", "import { b } from './one.js';\n"), ("js/one.js", "export const a = 1;\n")]);
        let expected = Error::Name { from: "js/main.js".into(), name: "b".into(), path: "js/one.js".into() };
        assert_eq!(unknown, Err(expected));
    }
}
