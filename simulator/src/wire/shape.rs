//! Which fields an object may have and of what type: the part of strictness that all providers share.
//!
//! A provider lists its fields in a table and words the complaint itself.

use serde_json::{Map, Value};

/// The type of a field. `null` counts as absent everywhere, as it does at the providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Integer,
    Bool,
    List,
    Object,
    /// A text or a list.
    TextOrList,
    /// A text or an object.
    TextOrObject,
    Any,
}

/// A field that breaks its table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misfit<'a> {
    Unknown { name: &'a str },
    Type { name: &'a str, kind: Kind, value: &'a Value },
}

impl Kind {
    /// The type in words, article included.
    pub(super) fn words(self) -> &'static str {
        match self {
            Kind::Text => "a string",
            Kind::Number => "a decimal",
            Kind::Integer => "an integer",
            Kind::Bool => "a boolean",
            Kind::List => "an array",
            Kind::Object => "an object",
            Kind::TextOrList => "one of a string or array",
            Kind::TextOrObject => "one of a string or object",
            Kind::Any => "a value",
        }
    }

    pub(super) fn fits(self, value: &Value) -> bool {
        match self {
            Kind::Text => value.is_string(),
            Kind::Number => value.is_number(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Bool => value.is_boolean(),
            Kind::List => value.is_array(),
            Kind::Object => value.is_object(),
            Kind::TextOrList => value.is_string() || value.is_array(),
            Kind::TextOrObject => value.is_string() || value.is_object(),
            Kind::Any => true,
        }
    }
}

/// What a JSON value is, article included.
pub(super) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Checks every field of `object`; names are looked up as `spelling` makes them.
pub(super) fn check<'a>(
    object: &'a Map<String, Value>,
    fields: &[(&str, Kind)],
    spelling: impl Fn(&str) -> String,
) -> Result<(), Misfit<'a>> {
    for (name, value) in object {
        let wanted = spelling(name);
        let Some((_, kind)) = fields.iter().find(|(field, _)| *field == wanted) else {
            return Err(Misfit::Unknown { name });
        };
        if !value.is_null() && !kind.fits(value) {
            return Err(Misfit::Type { name, kind: *kind, value });
        }
    }
    Ok(())
}
