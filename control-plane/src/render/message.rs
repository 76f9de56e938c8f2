//! Envoy's messages as the JSON that its configuration files are made of, with the field names of its documentation.

use std::sync::LazyLock;

use envoy_types::pb::google::protobuf::Any;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
};
use serde_json::{Map, Value};

use super::RenderError;

/// What the messages are made of; see `build.rs`.
static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.binpb"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap_or_default());

/// The message of a plugin's configuration, in which JSON stands as text.
const TEXT: &str = "type.googleapis.com/google.protobuf.StringValue";

/// `message` as JSON; in an `Any` that holds it, it begins with this `@type`.
pub(super) fn json(message: &Any) -> Result<Value, RenderError> {
    let name = message.type_url.rsplit('/').next().unwrap_or_default();
    let descriptor =
        POOL.get_message_by_name(name).ok_or_else(|| RenderError::UnknownMessage(name.to_owned()))?;
    let failed = |error: &dyn std::fmt::Display| RenderError::Message {
        name: name.to_owned(),
        problem: error.to_string(),
    };
    let dynamic = DynamicMessage::decode(descriptor.clone(), message.value.as_slice())
        .map_err(|error| failed(&error))?;
    let options = SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(true);
    let json = dynamic
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| failed(&error))?;
    Ok(tidy_message(json, &descriptor))
}

/// The fields of a message, each as people would have written it.
fn tidy_message(json: Value, descriptor: &MessageDescriptor) -> Value {
    if descriptor.full_name() == "google.protobuf.Any" {
        return tidy_any(json);
    }
    // Durations, wrappers and the like have JSON of their own, and nothing inside.
    let (Value::Object(fields), false) = (&json, descriptor.full_name().starts_with("google.protobuf."))
    else {
        return json;
    };
    let mut tidied = Map::new();
    for (name, value) in fields {
        let value = value.clone();
        match descriptor.get_field_by_name(name) {
            Some(field) if name == "inline_bytes" => {
                let (name, value) = readable(&field, value);
                tidied.insert(name, value);
            }
            Some(field) => _ = tidied.insert(name.clone(), tidy_field(value, &field)),
            None => _ = tidied.insert(name.clone(), value),
        }
    }
    Value::Object(tidied)
}

fn tidy_any(json: Value) -> Value {
    let Value::Object(mut fields) = json else { return json };
    let Some(url) = fields.get("@type").and_then(Value::as_str).map(str::to_owned) else {
        return Value::Object(fields);
    };
    if url == TEXT {
        if let Some(value) = fields.get_mut("value") {
            *value = spread(value.take());
        }
        return Value::Object(fields);
    }
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some(descriptor) = POOL.get_message_by_name(name) else { return Value::Object(fields) };
    let mut whole = Map::from_iter([("@type".to_owned(), Value::String(url))]);
    fields.shift_remove("@type");
    match tidy_message(Value::Object(fields), &descriptor) {
        Value::Object(tidied) => whole.extend(tidied),
        other => _ = whole.insert("value".to_owned(), other),
    }
    Value::Object(whole)
}

fn tidy_field(value: Value, field: &FieldDescriptor) -> Value {
    let Kind::Message(message) = field.kind() else { return value };
    match value {
        // A map is encoded in no particular order.
        Value::Object(map) if field.is_map() => {
            let kind = message.map_entry_value_field().kind();
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let tidied = entries.into_iter().map(|(key, value)| match &kind {
                Kind::Message(message) => (key, tidy_message(value, message)),
                _ => (key, value),
            });
            Value::Object(tidied.collect())
        }
        Value::Array(list) => {
            Value::Array(list.into_iter().map(|value| tidy_message(value, &message)).collect())
        }
        value => tidy_message(value, &message),
    }
}

/// Text for bytes that are text: in YAML, bytes are base64.
fn readable(field: &FieldDescriptor, value: Value) -> (String, Value) {
    use base64::Engine as _;

    let text = value.as_str().and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let has_text = field.parent_message().get_field_by_name("inline_string").is_some();
    match text.and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) if has_text => ("inline_string".to_owned(), Value::String(text)),
        _ => (field.name().to_owned(), value),
    }
}

/// JSON in a text, over several lines.
fn spread(value: Value) -> Value {
    let json = value.as_str().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    match json.and_then(|json| serde_json::to_string_pretty(&json).ok()) {
        Some(pretty) => Value::String(pretty),
        None => value,
    }
}
