//! What stands in a file or a variable, brought into the form that its setting has, without changing what it says.
//!
//! A variable is text, whatever it stands for, and a number in a file may be written as text. A number that doesn't fit is
//! refused, never rounded or cut: 0.4 connections would be 0, which mostly means "no limit".

use config::ValueKind;
use serde_json::{Map, Number, Value};

use super::dialects::Spec;
use super::{Config, Error, check, dialects};

/// The settings as they were written, each in the form of its default.
///
/// # Errors
/// The first number that is none, or that would have to be rounded.
pub(super) fn typed(written: &config::Value, specs: &[Spec]) -> Result<Value, Error> {
    // The defaults know which settings there are, and of what kind.
    let mut defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    defaults["dialects"] = dialects::defaults(specs);
    value("", &written.kind, &defaults)
}

/// One setting, or a table of them, in the form of its default.
///
/// # Errors
/// As for [`typed`].
pub(super) fn value(name: &str, written: &ValueKind, default: &Value) -> Result<Value, Error> {
    match (written, default) {
        (ValueKind::Table(fields), _) => {
            let mut object = Map::new();
            for (field, written) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                let default = default.get(field).unwrap_or(&Value::Null);
                object.insert(field.clone(), value(&name, &written.kind, default)?);
            }
            Ok(Value::Object(object))
        }
        (ValueKind::Array(items), _) => {
            let items = items.iter().map(|item| value(name, &item.kind, &Value::String(String::new())));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        (ValueKind::String(text), Value::Array(_)) => {
            Ok(Value::Array(text.split(',').map(|item| Value::String(item.to_owned())).collect()))
        }
        (written, Value::Number(default)) => number(name, written, default.is_f64()),
        (written, Value::Bool(_)) => Ok(truth(written).map_or_else(|| text(written), Value::Bool)),
        (written, Value::String(_)) => Ok(text(written)),
        // A setting that isn't there: whoever reads it as the settings says so.
        (written, _) => Ok(text(written)),
    }
}

/// A number, whole where the setting is; what is no number stays what it is, and is refused for that.
fn number(name: &str, written: &ValueKind, fractions: bool) -> Result<Value, Error> {
    let float = match written {
        ValueKind::I64(number) => return whole(name, *number),
        ValueKind::U64(number) => return Ok(Value::from(*number)),
        ValueKind::Float(number) => *number,
        ValueKind::String(text) => {
            let text = text.trim();
            if let Ok(number) = text.parse::<i64>() {
                return whole(name, number);
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(Value::from(number));
            }
            let Ok(number) = text.parse::<f64>() else {
                return Err(check::bounds(name, text, "it must be a number"));
            };
            number
        }
        other => return Err(check::bounds(name, &other.to_string(), "it must be a number")),
    };
    if fractions {
        let finite = Number::from_f64(float).map(Value::Number);
        return finite.ok_or_else(|| check::bounds(name, &float.to_string(), "it must be a finite number"));
    }
    // Beyond 2^53 a float no longer says which whole number it is.
    if float.fract() == 0.0 && float.abs() <= parlance_schema::limits::ID_MAX as f64 {
        return whole(name, float as i64);
    }
    Err(check::bounds(name, &float.to_string(), "it must be a whole number, without a fraction"))
}

/// A whole number; no setting is less than 0.
fn whole(name: &str, number: i64) -> Result<Value, Error> {
    if number < 0 {
        return Err(check::bounds(name, &number.to_string(), "it must be 0 or more"));
    }
    Ok(Value::from(number))
}

fn truth(written: &ValueKind) -> Option<bool> {
    let text = written.to_string().trim().to_ascii_lowercase();
    match text.as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn text(written: &ValueKind) -> Value {
    Value::String(match written {
        ValueKind::String(text) => text.clone(),
        other => other.to_string(),
    })
}
