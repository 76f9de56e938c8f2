//! JSON objects that providers insist on, where a client or a model may have written something else.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json::Json;

/// A call's arguments as an object: byte for byte as they were written, or as one that holds their text.
pub(super) fn arguments(text: &str) -> Box<RawValue> {
    if text.trim().is_empty() {
        return raw("{}");
    }
    match object(text) {
        Some(object) => object.to_owned(),
        None => raw(serde_json::json!({ "arguments": text }).to_string()),
    }
}

/// Whether `text` is an object.
pub(super) fn is_object(text: &str) -> bool {
    object(text).is_some()
}

fn object(text: &str) -> Option<&RawValue> {
    serde_json::from_str::<&RawValue>(text).ok().filter(|json| json.get().starts_with('{'))
}

/// The schema of a tool's arguments, which must say that they are an object.
pub(super) fn schema(parameters: Option<&Json>) -> Box<RawValue> {
    #[derive(Deserialize)]
    struct Typed {
        r#type: Option<IgnoredAny>,
    }
    let written = parameters.and_then(|schema| {
        let rest = schema.get().trim_start().strip_prefix('{')?.trim_start();
        let typed: Typed = serde_json::from_str(schema.get()).ok()?;
        if typed.r#type.is_some() {
            return Some(raw(schema.get()));
        }
        (!rest.starts_with('}')).then(|| raw(format!(r#"{{"type":"object",{rest}"#)))
    });
    written.unwrap_or_else(|| raw(r#"{"type":"object","properties":{}}"#))
}

/// A text that is known to be JSON.
fn raw(json: impl Into<String>) -> Box<RawValue> {
    RawValue::from_string(json.into()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object() {
        for (text, expected) in [
            (r#"{"b": 1.0e2, "a":[] }"#, r#"{"b": 1.0e2, "a":[] }"#),
            ("", "{}"),
            (" ", "{}"),
            ("[1]", r#"{"arguments":"[1]"}"#),
            (r#"{"cut": "#, r#"{"arguments":"{\"cut\": "}"#),
        ] {
            assert_eq!(arguments(text).get(), expected, "{text}");
        }
    }

    #[test]
    fn schemas_say_object() {
        for (written, expected) in [
            (None, r#"{"type":"object","properties":{}}"#),
            (Some("{}"), r#"{"type":"object","properties":{}}"#),
            (Some("null"), r#"{"type":"object","properties":{}}"#),
            (Some(r#"{ "properties":{"b":{},"a":{}}}"#), r#"{"type":"object","properties":{"b":{},"a":{}}}"#),
            (Some(r#"{"required":[], "type":"object"}"#), r#"{"required":[], "type":"object"}"#),
        ] {
            let json = written.map(|text| Json::parse(text).unwrap());
            assert_eq!(schema(json.as_ref()).get(), expected, "{written:?}");
        }
    }
}
