//! What to tell a client whose request can't be read. No detail holds a value of the request, as it may be logged.

use std::collections::BTreeMap;
use std::fmt;

use parlance_schema::content::{Content, Meta};
use parlance_schema::id::Position;
use parlance_schema::limits::ID_MAX;
use parlance_schema::op::Op;
use parlance_schema::{Code, Fault, RoomId, UserId};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::api::explain::{Located, Mistake, word};

/// Fields that are looked at; no operation has as many.
const FIELDS_MAX: usize = 24;
/// What a request is called where it is wrong as a whole.
const WHOLE: &str = "a request";

/// Explains a JSON request that could not be read.
pub fn json(payload: &[u8], error: &serde_json::Error) -> (Option<u64>, Fault) {
    let mut head = Head::default();
    // How far this gets doesn't matter: what it found is kept.
    let whole = head.read(&mut serde_json::Deserializer::from_slice(payload)).is_ok();
    let fault = if whole && error.is_data() {
        head.explain(&error.to_string())
    } else if error.is_data() {
        Fault::malformed("a request must be an object with `n` and `op`")
    } else {
        let (line, column) = (error.line(), error.column());
        Fault::malformed(format!("the message is not JSON: it can't be read at line {line}, column {column}"))
    };
    (head.n, fault)
}

/// Explains a MessagePack request that could not be read.
pub fn msgpack(payload: &[u8], error: &rmp_serde::decode::Error) -> (Option<u64>, Fault) {
    use rmp_serde::decode::Error as E;
    let mut head = Head::default();
    let whole = head.read(&mut super::msgpack::reader(payload)).is_ok();
    let fault = match error {
        E::DepthLimitExceeded => super::too_deep(),
        error if whole => head.explain(&error.to_string()),
        E::Syntax(_) if !head.is_map => Fault::malformed("a request must be a map with `n` and `op`"),
        E::Syntax(_) | E::Uncategorized(_) => Fault::malformed(
            "a value has a type that requests can't contain, such as a MessagePack extension: leave it out",
        ),
        _ => Fault::malformed("the message is not valid MessagePack, or it is incomplete"),
    };
    (head.n, fault)
}

/// The top level of a request, as far as it can be read.
#[derive(Default)]
struct Head {
    is_map: bool,
    n: Option<u64>,
    fields: Map<String, Value>,
}

impl Head {
    fn read<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(HeadVisitor(self))
    }

    /// Finds what is wrong by reading the operation alone, then with one field at a time.
    fn explain(&self, error: &str) -> Fault {
        if self.n.is_none() {
            return match self.fields.get("n") {
                Some(_) => bad_number(),
                None => Fault::malformed("`n` is missing: give each request a number; the reply repeats it"),
            };
        }
        let Some(op) = self.fields.get("op") else {
            return Fault::malformed("`op` is missing: name the operation");
        };
        let Value::String(name) = op else {
            return Fault::malformed("`op` must be a string, the operation's name");
        };
        if try_op(name, None).is_some_and(|error| error.starts_with("unknown variant")) {
            return Fault::new(Code::Unknown, format!("there is no operation `{}`", word(name)));
        }
        let others = self.fields.iter().filter(|(key, _)| !matches!(key.as_str(), "n" | "op"));
        let wrong = others.take(FIELDS_MAX).find_map(|(key, value)| wrong_field(name, key, value));
        Fault::malformed(wrong.unwrap_or_else(|| Mistake::read(error).tell("", WHOLE)))
    }
}

fn bad_number() -> Fault {
    Fault::malformed(format!("`n`, the request's number, must be an integer from 0 to {ID_MAX}"))
}

/// What is wrong with one field of an operation.
fn wrong_field(op: &str, key: &str, value: &Value) -> Option<String> {
    let error = try_op(op, Some((key, value)))?;
    if error.starts_with("unknown field") && !is_known(op, key) {
        return Some(Mistake::read(&error).tell("", WHOLE));
    }
    let located = match key {
        "content" => mistake_in::<Content>(key, value),
        "positions" => mistake_in::<Positions>(key, value),
        "members" | "mentions" | "users" | "ids" => mistake_in::<Vec<UserId>>(key, value),
        "meta" => mistake_in::<Meta>(key, value),
        _ => None,
    };
    // That others are missing is no mistake of this one.
    let own = || (!error.starts_with("missing field")).then(|| Mistake::read(&error).tell(key, WHOLE));
    located.map(|located| located.tell(WHOLE)).or_else(own)
}

/// Reads an operation with at most one field; what is wrong with it.
fn try_op(name: &str, field: Option<(&str, &Value)>) -> Option<String> {
    let mut map = Map::new();
    map.insert("op".to_owned(), Value::String(name.to_owned()));
    if let Some((key, value)) = field {
        map.insert(key.to_owned(), value.clone());
    }
    Op::deserialize(Value::Object(map)).err().map(|error| error.to_string())
}

/// Whether the operation has a field of that name: null is then a wrong value or none, not unknown.
fn is_known(name: &str, key: &str) -> bool {
    !try_op(name, Some((key, &Value::Null))).is_some_and(|error| error.starts_with("unknown field"))
}

/// Positions by room, as `resume` has them.
struct Positions;

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _: BTreeMap<RoomId, Position> = parlance_schema::id::room_keys(deserializer)?;
        Ok(Self)
    }
}

/// The mistake in a field's value, with the way to it.
fn mistake_in<T: DeserializeOwned>(key: &str, value: &Value) -> Option<Located> {
    let error = serde_path_to_error::deserialize::<_, T>(value).err()?;
    Some(Located::new(key, &error, Some(value)))
}

struct HeadVisitor<'a>(&'a mut Head);

impl<'de> Visitor<'de> for HeadVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.is_map = true;
        while let Some(Key(key)) = map.next_key()? {
            let Tree(value) = map.next_value()?;
            if key == "n" {
                self.0.n = value.as_u64().filter(|n| *n <= ID_MAX);
            }
            self.0.fields.insert(key, value);
        }
        Ok(())
    }
}

/// A key of a map; MessagePack's may be integers.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Tree::deserialize(deserializer)?.0 {
            Value::String(text) => Ok(Key(text)),
            other => Ok(Key(other.to_string())),
        }
    }
}

/// Any value that either format can hold, in JSON's terms.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(value.iter().copied().collect())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Tree(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(Key(key)) = map.next_key()? {
            let Tree(value) = map.next_value()?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Value, D::Error> {
        Err(D::Error::custom("an extension type"))
    }
}
