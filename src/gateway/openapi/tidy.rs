//! What is mended in the document after it was made.

use parlance_schema::limits::ID_MAX;
use serde_json::Value;

/// Mends what the derived schemas don't see: behind an alias (`Seq`, `Millis`, `Meta`) they find the plain type and make a
/// component of its name, of an enum's variants they don't say that unknown fields are refused, and of integers how large
/// they can be.
pub(super) fn tidy(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    let aliased: Vec<_> =
        ["u64", "BTreeMap"].into_iter().filter_map(|name| Some((name, schemas.remove(name)?))).collect();
    if let Some(variants) = schemas.get_mut("Part").and_then(|part| part.get_mut("oneOf")).and_then(Value::as_array_mut)
    {
        for variant in variants {
            variant["additionalProperties"] = Value::Bool(false);
        }
    }
    for (name, plain) in aliased {
        inline(document, &format!("#/components/schemas/{name}"), &plain);
    }
    bound(document);
}

/// Writes the bound of integers where none is written: no number of ours is beyond what JavaScript holds, or its type.
fn bound(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let kind = fields.get("type");
            let is_integer = kind.is_some_and(|kind| {
                kind == "integer" || kind.as_array().is_some_and(|of| of.iter().any(|one| one == "integer"))
            });
            if is_integer && fields.get("minimum").is_some_and(Value::is_number) && !fields.contains_key("maximum") {
                // The format of that name is of numbers with a sign, which ours don't have.
                let short = fields.get("format").is_some_and(|format| format == "int32");
                let max = if short { u64::from(u32::MAX) } else { ID_MAX };
                if short {
                    fields.remove("format");
                }
                fields.insert("maximum".to_owned(), max.into());
            }
            fields.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// Puts a schema in the place of all references to it.
fn inline(value: &mut Value, reference: &str, plain: &Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("$ref").is_some_and(|to| to == reference) {
                fields.remove("$ref");
                for (name, what) in plain.as_object().into_iter().flatten() {
                    fields.entry(name.as_str()).or_insert_with(|| what.clone());
                }
            }
            fields.values_mut().for_each(|field| inline(field, reference, plain));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, reference, plain)),
        _ => {}
    }
}
