//! What is wrong with a request that can't be read, in plain words: the field, what it must be, what to do.
//!
//! Everything that decodes what clients send passes its errors through here. What comes out is made of this file's words
//! and of names that stand in the documentation, so no name of a Rust type and no value of the client's gets into a fault.

use std::fmt::Display;

use parlance_schema::limits::ID_MAX;
use serde_json::Value;
use serde_path_to_error::Segment;

/// Unicode scalar values of a client's own word, such as an unknown field's name, that are repeated.
const WORD_CHARS_MAX: usize = 40;

/// What is wrong with one field, or with the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A field that must be there is not.
    Missing(String),
    /// A field that nothing has, and those that there are.
    Unknown(String, Vec<String>),
    /// A field that is there twice.
    Twice(String),
    /// A word that must be one of these.
    Word(Vec<String>),
    /// A field of what is here that must be one of these words.
    WordInside(Vec<String>),
    /// A value that must be something else.
    Value(String),
    /// A field of what is here that must be something else.
    ValueInside(String),
}

impl Mistake {
    /// Reads what serde says of a mistake.
    #[must_use]
    pub fn read(error: &str) -> Self {
        let error = error.rfind(" at line ").map_or(error, |at| &error[..at]);
        let field = |prefix: &str| {
            let rest = error.strip_prefix(prefix)?;
            Some(rest.strip_suffix('`').unwrap_or(rest))
        };
        if let Some(name) = field("missing field `") {
            return Mistake::Missing(word(name));
        }
        if let Some(name) = field("duplicate field `") {
            return Mistake::Twice(word(name));
        }
        if let Some(rest) = error.strip_prefix("unknown field `") {
            // The client's word may hold what looks like the rest of the sentence: the last one is serde's.
            let end = rest.rfind("`, expected ").or_else(|| rest.rfind("`, there are no fields")).unwrap_or(rest.len());
            return Mistake::Unknown(word(&rest[..end]), quoted(&rest[end..]));
        }
        if error.starts_with("unknown variant `")
            && let Some(at) = error.rfind("`, expected ")
        {
            return Mistake::Word(quoted(&error[at + 1..]));
        }
        let told = error.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
        Mistake::Value(in_json(told))
    }

    /// Tells it of a place in the request, such as `content.text`; of the whole, called `whole`, where the place is empty.
    #[must_use]
    pub fn tell(&self, place: &str, whole: &str) -> String {
        let inside = |name: &str| if place.is_empty() { format!("`{name}`") } else { format!("`{place}.{name}`") };
        let here = if place.is_empty() { whole.to_owned() } else { format!("`{place}`") };
        match self {
            Mistake::Missing(name) => format!("{} is missing: add this field", inside(name)),
            Mistake::Twice(name) => format!("{} is given twice: give each field once", inside(name)),
            Mistake::Unknown(name, known) if known.is_empty() => {
                format!("{} is unknown: leave it out; no fields are allowed here", inside(name))
            }
            Mistake::Unknown(name, known) => {
                format!("{} is unknown: leave it out; the allowed fields are: {}", inside(name), list(known))
            }
            Mistake::Word(known) => format!("{here} must be one of: {}", list(known)),
            Mistake::WordInside(known) => {
                format!("a field inside {here} must be one of: {}", list(known))
            }
            Mistake::Value(expected) => format!("{here} must be {expected}"),
            Mistake::ValueInside(expected) => {
                format!("a field inside {here} has the wrong type: the field must be {expected}")
            }
        }
    }

    /// The field that is missing, where one is.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        match self {
            Mistake::Missing(name) => Some(name),
            _ => None,
        }
    }

    /// The same, of a field of what is at the place.
    fn inside(self) -> Self {
        match self {
            Mistake::Word(known) => Mistake::WordInside(known),
            Mistake::Value(expected) => Mistake::ValueInside(expected),
            other => other,
        }
    }
}

/// A mistake and where in the request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The way to it, from the outside in.
    pub path: Vec<String>,
    /// What is wrong there.
    pub mistake: Mistake,
}

impl Located {
    /// Locates what serde found wrong with a `value`, if that is at hand, which is itself at `prefix`; at the top where
    /// that is empty.
    #[must_use]
    pub fn new<E: Display>(prefix: &str, error: &serde_path_to_error::Error<E>, value: Option<&Value>) -> Self {
        let mut path: Vec<String> = Vec::from_iter((!prefix.is_empty()).then(|| prefix.to_owned()));
        let mut here = value;
        for segment in error.path().iter() {
            path.push(word(&segment.to_string()));
            here = match segment {
                Segment::Map { key } => here.and_then(|value| value.get(key)),
                Segment::Seq { index } => here.and_then(|value| value.get(*index)),
                Segment::Enum { .. } | Segment::Unknown => None,
            };
        }
        let mistake = Mistake::read(&error.inner().to_string());
        if let Mistake::Unknown(name, _) | Mistake::Twice(name) = &mistake
            && path.last() == Some(name)
        {
            path.pop();
        }
        // A key that can't be read is a mistake of the object that has it.
        if matches!(&mistake, Mistake::Value(expected) if expected.starts_with("an object whose keys"))
            && path.len() > 1
        {
            path.pop();
            return Self { path, mistake };
        }
        let is_inside = here.is_some_and(|value| is_inside(&error.inner().to_string(), value));
        let mistake = if is_inside { mistake.inside() } else { mistake };
        Self { path, mistake }
    }

    /// Tells it; the whole request is called `whole`.
    #[must_use]
    pub fn tell(&self, whole: &str) -> String {
        let mut place = String::new();
        for part in &self.path {
            if !place.is_empty() && !part.starts_with('[') {
                place.push('.');
            }
            place.push_str(part);
        }
        self.mistake.tell(&place, whole)
    }
}

/// Whether what serde says of a value must be about a field of it: the way into what serde buffers, such as an object whose
/// `type` says what else it has, isn't told. Of an object it can't be where serde found something else, and is taken not to
/// be where serde found an object and no field is one.
fn is_inside(error: &str, value: &Value) -> bool {
    let Value::Object(fields) = value else { return false };
    !error.starts_with("invalid type: map") || fields.values().any(Value::is_object)
}

/// A client's word, cut, and without what could break a log line.
#[must_use]
pub fn word(text: &str) -> String {
    let mut chars = text.chars().filter(|c| !c.is_control());
    let mut kept: String = chars.by_ref().take(WORD_CHARS_MAX).collect();
    if chars.next().is_some() {
        kept.push('…');
    }
    kept
}

/// The words in backquotes of a list that serde made.
fn quoted(text: &str) -> Vec<String> {
    let text = text.strip_prefix('`').unwrap_or(text);
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn list(words: &[String]) -> String {
    words.join(", ")
}

/// What serde expected, in the words of JSON.
fn in_json(expected: &str) -> String {
    // Written by this project's own types, in plain words already.
    let own = ["an integer from ", "a string of ", "an object whose "];
    if own.iter().any(|prefix| expected.starts_with(prefix)) {
        return expected.to_owned();
    }
    let kind = |prefixes: &[&str]| prefixes.iter().any(|prefix| expected.starts_with(prefix));
    match expected {
        "u8" => "an integer from 0 to 255".to_owned(),
        "u16" => "an integer from 0 to 65535".to_owned(),
        "u32" => "an integer from 0 to 4294967295".to_owned(),
        "u64" | "usize" => format!("an integer from 0 to {ID_MAX}"),
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "bool" | "a boolean" => "true or false".to_owned(),
        "null" | "unit" => "null".to_owned(),
        "str" => "a string".to_owned(),
        _ if kind(&["a string", "string", "a borrowed string", "a character", "enum ", "variant"]) => {
            "a string".to_owned()
        }
        _ if kind(&["a map", "map", "struct ", "internally tagged", "an object"]) => "an object".to_owned(),
        _ if kind(&["a sequence", "sequence", "a tuple", "tuple", "an array", "fewer elements"]) => {
            "an array".to_owned()
        }
        _ => "of the type that the API documentation at /docs gives".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &str, place: &str, expected: &str) {
        assert_eq!(Mistake::read(error).tell(place, "the body"), expected, "{error}");
    }

    #[test]
    fn what_serde_says_is_put_into_plain_words() {
        check("missing field `content` at line 1 column 9", "", "`content` is missing: add this field");
        check("missing field `text`", "content", "`content.text` is missing: add this field");
        check("duplicate field `room`", "", "`room` is given twice: give each field once");
        check(
            "invalid type: string \"x, expected y\", expected u32",
            "revision",
            "`revision` must be an integer from 0 to 4294967295",
        );
        check(
            "invalid type: string \"x\", expected struct Content at line 1 column 3",
            "content",
            "`content` must be an object",
        );
        check("invalid type: null, expected struct NewRoom", "", "the body must be an object");
        check(
            "invalid value: integer `0`, expected an integer from 1 to 9",
            "room",
            "`room` must be an integer from 1 to 9",
        );
        check("unknown variant `x`, expected one of `a`, `b`, `c`", "kind", "`kind` must be one of: a, b, c");
        check("unknown variant `x`, expected `a`", "kind", "`kind` must be one of: a");
        check(
            "unknown field `a`, expected `b`, expected `text` or `parts`",
            "content",
            "`content.a`, expected `b` is unknown: leave it out; the allowed fields are: text, parts",
        );
        check("unknown field `a`, there are no fields", "", "`a` is unknown: leave it out; no fields are allowed here");
        check(
            "data did not match any variant of untagged enum Body",
            "",
            "the body must be of the type that the API documentation at /docs gives",
        );
    }

    #[test]
    fn the_way_to_a_mistake_is_told() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Outer {
            #[serde(rename = "list")]
            _list: Vec<parlance_schema::content::Part>,
        }
        let told = |value: &Value| {
            let error = serde_path_to_error::deserialize::<_, Outer>(value).unwrap_err();
            Located::new("", &error, Some(value)).tell("the body")
        };
        assert_eq!(told(&serde_json::json!({"list": [1]})), "`list[0]` must be an object");
        assert_eq!(
            told(&serde_json::json!({"list": [{"type": "song"}]})),
            "`list[0].type` must be one of: code, image, file, data"
        );
        assert_eq!(
            told(&serde_json::json!({"list": [{"type": "code", "text": 1}]})),
            "a field inside `list[0]` has the wrong type: the field must be a string"
        );
        assert_eq!(told(&serde_json::json!({"list": {}})), "`list` must be an array");
        assert_eq!(
            told(&serde_json::json!({"list": [{"type": "code", "text": {}}]})),
            "a field inside `list[0]` has the wrong type: the field must be a string"
        );
        assert_eq!(
            told(&serde_json::json!({"list": [], "more": 1})),
            "`more` is unknown: leave it out; the allowed fields are: list"
        );
    }

    #[test]
    fn a_client_s_word_is_cut() {
        assert_eq!(word(&"k".repeat(41)), format!("{}…", "k".repeat(40)));
        assert_eq!(word("a\nb\u{7}"), "ab");
    }
}
