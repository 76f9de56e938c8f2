//! The messages of a chat completion request: what each may hold, and in which order they come.

use serde_json::{Map, Value};

use super::complaint::{Complaint, Problem, join};
use super::dialect::{Fields, Rules};
use super::rules::check_object;
use crate::answer::image_of_url;
use crate::wire::shape::Kind;

const PART_FIELDS: Fields = &[
    ("type", Kind::Text),
    ("text", Kind::Text),
    ("image_url", Kind::TextOrObject),
    ("input_audio", Kind::Object),
    ("file", Kind::Object),
    ("refusal", Kind::Text),
    ("thinking", Kind::List),
];
const IMAGE_FIELDS: Fields = &[("url", Kind::Text), ("detail", Kind::Text)];
const CALL_FIELDS: Fields =
    &[("id", Kind::Text), ("type", Kind::Text), ("function", Kind::Object), ("index", Kind::Integer)];
const FUNCTION_FIELDS: Fields = &[("name", Kind::Text), ("arguments", Kind::Any)];

/// Checks one message.
pub(super) fn check(rules: &Rules, message: &Value, path: &str) -> Result<(), Complaint> {
    let Value::Object(message) = message else {
        return Err(Complaint::kind(path, "an object", message));
    };
    check_object(rules, message, rules.message_fields, path)?;
    let role = message.get("role").and_then(Value::as_str);
    let role = role.ok_or_else(|| Complaint::missing(join(path, "role")))?;
    if !rules.roles.contains(&role) {
        let problem = Problem::Variant { found: role.to_owned(), known: rules.roles };
        return Err(Complaint::new(join(path, "role"), problem));
    }
    let given = |name: &str| message.get(name).filter(|value| !value.is_null());
    if role == "tool" && given("tool_call_id").is_none() {
        return Err(Complaint::missing(join(path, "tool_call_id")));
    }
    let mut calls_tools = role == "assistant" && given("function_call").is_some();
    if let Some(calls) = given("tool_calls").and_then(Value::as_array) {
        let path = join(path, "tool_calls");
        if role != "assistant" {
            return Err(Complaint::value(path, format!("'tool_calls' is not allowed with role '{role}'.")));
        }
        if calls.is_empty() {
            return Err(Complaint::new(path, Problem::Empty));
        }
        for (index, call) in calls.iter().enumerate() {
            check_call(rules, call, &format!("{path}[{index}]"))?;
        }
        calls_tools = true;
    }
    check_content(rules, message, role, calls_tools, path)
}

fn check_content(
    rules: &Rules,
    message: &Map<String, Value>,
    role: &str,
    calls_tools: bool,
    path: &str,
) -> Result<(), Complaint> {
    let path = join(path, "content");
    match message.get("content") {
        None | Some(Value::Null)
            if calls_tools || (role == "assistant" && message.contains_key("refusal")) =>
        {
            Ok(())
        }
        None => Err(Complaint::missing(path)),
        Some(Value::Null) => {
            let reason = format!("Invalid value for 'content': expected a string, got null: '{path}'.");
            Err(Complaint::value(path, reason))
        }
        Some(Value::Array(parts)) if parts.is_empty() => Err(Complaint::new(path, Problem::Empty)),
        Some(Value::Array(parts)) => parts
            .iter()
            .enumerate()
            .try_for_each(|(index, part)| check_part(rules, part, role, &format!("{path}[{index}]"))),
        Some(_) => Ok(()),
    }
}

fn check_part(rules: &Rules, part: &Value, role: &str, path: &str) -> Result<(), Complaint> {
    let Value::Object(fields) = part else {
        return Err(Complaint::kind(path, "an object", part));
    };
    let known: &'static [&'static str] = match role {
        "user" => rules.parts,
        "assistant" if rules.parts.contains(&"thinking") => &["text", "thinking"],
        "assistant" => &["text", "refusal"],
        _ => &["text"],
    };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    if !known.contains(&kind) {
        let problem = Problem::Variant { found: kind.to_owned(), known };
        return Err(Complaint::new(join(path, "type"), problem));
    }
    check_object(rules, fields, PART_FIELDS, path)?;
    let Some(value) = fields.get(kind).filter(|value| !value.is_null()) else {
        return Err(Complaint::missing(join(path, kind)));
    };
    if kind == "image_url" { check_image(rules, value, &join(path, kind)) } else { Ok(()) }
}

fn check_image(rules: &Rules, image: &Value, path: &str) -> Result<(), Complaint> {
    let (url, path) = match image {
        Value::String(url) if rules.image_is_text => (Some(url.as_str()), path.to_owned()),
        Value::Object(fields) => {
            check_object(rules, fields, IMAGE_FIELDS, path)?;
            (fields.get("url").and_then(Value::as_str), join(path, "url"))
        }
        other => return Err(Complaint::kind(path, "an object", other)),
    };
    let Some(url) = url else { return Err(Complaint::missing(path)) };
    let has_scheme = ["https://", "http://", "data:image/"].iter().any(|scheme| url.starts_with(scheme));
    if has_scheme && image_of_url(url).is_some() {
        return Ok(());
    }
    let reason = "Invalid image: expected an http(s) URL, or a base64-encoded data URL with an image type.";
    Err(Complaint::value(path, reason))
}

fn check_call(rules: &Rules, call: &Value, path: &str) -> Result<(), Complaint> {
    let Value::Object(fields) = call else {
        return Err(Complaint::kind(path, "an object", call));
    };
    check_object(rules, fields, CALL_FIELDS, path)?;
    if fields.get("id").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Complaint::missing(join(path, "id")));
    }
    match fields.get("type").and_then(Value::as_str) {
        Some("function" | "custom") => {}
        None if rules.ignores_unknown || !rules.types_calls => {}
        None => return Err(Complaint::missing(join(path, "type"))),
        Some(other) => {
            let problem = Problem::Variant { found: other.to_owned(), known: &["function"] };
            return Err(Complaint::new(join(path, "type"), problem));
        }
    }
    let path = join(path, "function");
    let Some(function) = fields.get("function").and_then(Value::as_object) else {
        return Err(Complaint::missing(path));
    };
    check_object(rules, function, FUNCTION_FIELDS, &path)?;
    if function.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Complaint::missing(join(&path, "name")));
    }
    match function.get("arguments") {
        Some(Value::String(text)) => {
            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
            if rules.parses_arguments && !is_json {
                let reason = "The arguments of a tool call must be JSON.";
                return Err(Complaint::value(join(&path, "arguments"), reason));
            }
            Ok(())
        }
        Some(arguments) => Err(Complaint::kind(join(&path, "arguments"), "a string", arguments)),
        None => Err(Complaint::missing(join(&path, "arguments"))),
    }
}

/// The ids of the tool calls of a message.
pub(super) fn call_ids(message: &Value) -> impl Iterator<Item = &str> {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    calls.into_iter().flatten().filter_map(|call| call.get("id").and_then(Value::as_str))
}

/// Checks that every call is followed by its result, and that every result follows its call.
pub(super) fn check_order(messages: &[Value]) -> Result<(), Complaint> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages.[{index}].role");
        let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
        match message.get("role").and_then(Value::as_str) {
            Some("tool") => match open.iter().position(|known| *known == id) {
                Some(at) => {
                    open.remove(at);
                }
                None => {
                    let reason = "Invalid parameter: messages with role 'tool' must be a response to a \
                                  preceding message with 'tool_calls'.";
                    return Err(Complaint::new(path, Problem::Order(reason.to_owned())));
                }
            },
            _ if !open.is_empty() => return Err(unanswered(path, &open)),
            _ => open = call_ids(message).collect(),
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err(unanswered(format!("messages.[{}].role", messages.len()), &open))
    }
}

fn unanswered(path: String, open: &[&str]) -> Complaint {
    let reason = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Complaint::new(path, Problem::Order(reason))
}
