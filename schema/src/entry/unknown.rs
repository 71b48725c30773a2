//! Facts that this version doesn't know: written by a newer node, kept whole, and written back as they were.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The field that says which fact it is.
const TAG: &str = "fact";
/// What clients are told instead of the name of a fact that this node doesn't know.
const SHOWN_AS: &str = "unknown";

/// A fact that this version doesn't know, with all its fields in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFact {
    name: String,
    fields: Vec<(String, Value)>,
}

impl UnknownFact {
    /// What the fact is called by those who know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fact as clients are shown it: its name alone. A node that doesn't know a fact can't tell who may read its fields.
    #[must_use]
    pub fn shown(&self) -> Self {
        let text = |text: &str| Value::Text(text.to_owned());
        let fields = vec![(TAG.to_owned(), text(SHOWN_AS)), ("name".to_owned(), text(&self.name))];
        Self { name: SHOWN_AS.to_owned(), fields }
    }
}

impl Serialize for UnknownFact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for UnknownFact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = UnknownFact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields of a fact")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UnknownFact, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, Value>()? {
                    fields.push(field);
                }
                let name = fields.iter().find_map(|(field, value)| match value {
                    Value::Text(name) if field == TAG => Some(name.clone()),
                    _ => None,
                });
                let name = name.ok_or_else(|| A::Error::missing_field(TAG))?;
                // One that is known, and could not be read, is damaged.
                if super::FACTS.contains(&name.as_str()) {
                    return Err(A::Error::custom(format_args!("the fields of a `{name}` can't be read")));
                }
                Ok(UnknownFact { name, fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl PartialSchema for UnknownFact {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new().schema_type(Type::String).description(Some("What newer nodes call the fact."));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("A fact that this node doesn't know, written by a newer one."))
            .property("name", name)
            .required("name")
            .into()
    }
}

impl ToSchema for UnknownFact {}

/// A value of any kind that entries are written with. (Floating point numbers by their bits, so that equal is equal.)
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Single(u32),
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Single(bits) => serializer.serialize_f32(f32::from_bits(*bits)),
            Self::Double(bits) => serializer.serialize_f64(f64::from_bits(*bits)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(values) => values.serialize(serializer),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Signed(value))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(Value::Single(value.to_bits()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Value::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use crate::entry::{Entry, Fact};

    /// What a newer node writes: an entry with a fact of every kind of field.
    #[derive(Serialize)]
    struct Future {
        seq: u64,
        at: u64,
        by: u64,
        client_id: &'static str,
        posts: u64,
        append: u64,
        fact: &'static str,
        target: u64,
        note: Option<&'static str>,
        below: i64,
        single: f32,
        double: f64,
        on: bool,
        all: Vec<BTreeMap<&'static str, u8>>,
    }

    fn future(fact: &'static str) -> Future {
        let all = vec![[("ünïcode", 1), ("b", 255)].into(), BTreeMap::new()];
        let (single, double) = (0.1, -1e300);
        let (seq, at, by, client_id, posts, append, target) = (9, 1_790_000_000_000, 3, "c", 4, 1 << 52, 5);
        let (note, below, on) = (None, i64::MIN, true);
        Future { seq, at, by, client_id, posts, append, fact, target, note, below, single, double, on, all }
    }

    #[test]
    fn a_fact_from_the_future_is_kept_to_the_byte() {
        let bytes = rmp_serde::to_vec_named(&future("pinned")).unwrap();
        let entry: Entry = rmp_serde::from_slice(&bytes).unwrap();
        let Fact::Unknown(fact) = &entry.fact else { panic!("{:?}", entry.fact) };
        assert_eq!((entry.seq, entry.posts, fact.name(), entry.message()), (9, 4, "pinned", None));
        assert_eq!(rmp_serde::to_vec_named(&entry).unwrap(), bytes);
        let mut erased = entry.clone();
        erased.erase();
        assert_eq!(erased, entry, "what a fact means must be known to erase from it");
    }

    #[test]
    fn in_json_too() {
        let text = serde_json::to_string(&future("pinned")).unwrap();
        let entry: Entry = serde_json::from_str(&text).unwrap();
        let again: serde_json::Value = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn clients_are_told_its_name_alone() {
        let bytes = rmp_serde::to_vec_named(&future("pinned")).unwrap();
        let entry: Entry = rmp_serde::from_slice(&bytes).unwrap();
        let shown = serde_json::to_value(&*entry.shown()).unwrap();
        let (at, append) = (1_790_000_000_000_u64, 1_u64 << 52);
        assert_eq!(
            shown,
            serde_json::json!({
                "seq": 9, "at": at, "by": 3, "client_id": "c", "posts": 4, "append": append, "fact": "unknown", "name": "pinned"
            })
        );
    }

    #[test]
    fn a_known_fact_that_is_damaged_is_not_taken_for_an_unknown_one() {
        let entry = |fact, id| serde_json::json!({"seq": 1, "at": 1, "by": 1, "client_id": "c", "posts": 1, "append": 1, "fact": fact, "id": id});
        assert!(serde_json::from_value::<Entry>(entry("posted", 1.into())).is_ok());
        for (fact, id) in [("posted", "no number".into()), ("edited", 1.into()), ("kicked", serde_json::Value::Null)] {
            assert!(serde_json::from_value::<Entry>(entry(fact, id)).is_err(), "{fact}");
        }
        assert!(serde_json::from_value::<Fact>(serde_json::json!({"fact": 7})).is_err());
        assert!(serde_json::from_value::<Fact>(serde_json::json!({"name": "pinned"})).is_err());
    }
}
