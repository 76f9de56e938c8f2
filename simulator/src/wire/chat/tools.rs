//! Tools, the choice among them, and the format of the answer.

use serde_json::Value;

use super::Chat;
use super::complaint::{Complaint, Problem, join};
use super::dialect::Fields;
use super::rules::{check_object, check_strict};
use crate::answer::{JsonOutput, ToolChoice};
use crate::wire::shape::Kind;

const TOOL_FIELDS: Fields = &[("type", Kind::Text), ("function", Kind::Object), ("custom", Kind::Object)];
const FUNCTION_FIELDS: Fields = &[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("parameters", Kind::Object),
    ("strict", Kind::Bool),
];
const SCHEMA_FIELDS: Fields =
    &[("name", Kind::Text), ("description", Kind::Text), ("schema", Kind::Object), ("strict", Kind::Bool)];
const NAME_CHARS_MAX: usize = 64;

/// Checks the tools and the choice among them.
pub(super) fn check(chat: &Chat<'_>) -> Result<(), Complaint> {
    let tools = chat.given("tools").and_then(Value::as_array);
    if let Some(tools) = tools {
        if tools.is_empty() && !chat.rules.ignores_unknown {
            return Err(Complaint::new("tools", Problem::Empty));
        }
        if tools.len() > chat.rules.tools_max {
            return Err(Complaint::new("tools", Problem::TooMany(chat.rules.tools_max)));
        }
        for (index, tool) in tools.iter().enumerate() {
            check_tool(chat, tool, &format!("tools[{index}]"))?;
        }
    }
    match chat.given("tool_choice") {
        Some(Value::String(word)) if !chat.rules.tool_choices.contains(&word.as_str()) => {
            let problem = Problem::Variant { found: word.clone(), known: chat.rules.tool_choices };
            Err(Complaint::new("tool_choice", problem))
        }
        Some(Value::Object(choice)) if choice.get("type").and_then(Value::as_str) == Some("function") => {
            let name = choice.get("function").and_then(|function| function.get("name")?.as_str());
            let name = name.ok_or_else(|| Complaint::missing("tool_choice.function.name"))?;
            if names(chat).iter().any(|tool| tool == name) {
                return Ok(());
            }
            let reason = format!("Tool choice '{name}' not found in 'tools' parameter.");
            Err(Complaint::value("tool_choice", reason))
        }
        Some(Value::Object(choice)) if !choice.contains_key("allowed_tools") => {
            let found = choice.get("type").map(Value::to_string).unwrap_or_default();
            Err(Complaint::new("tool_choice.type", Problem::Variant { found, known: &["function"] }))
        }
        _ => Ok(()),
    }
}

fn check_tool(chat: &Chat<'_>, tool: &Value, path: &str) -> Result<(), Complaint> {
    let Value::Object(fields) = tool else { return Err(Complaint::kind(path, "an object", tool)) };
    check_object(chat.rules, fields, TOOL_FIELDS, path)?;
    match fields.get("type").and_then(Value::as_str) {
        Some("function") => {}
        Some("custom") if fields.contains_key("custom") => return Ok(()),
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
    check_object(chat.rules, function, FUNCTION_FIELDS, &path)?;
    let Some(name) = function.get("name").and_then(Value::as_str) else {
        return Err(Complaint::missing(join(&path, "name")));
    };
    check_name(name, &join(&path, "name"))?;
    let parameters = function.get("parameters");
    let kind = parameters.and_then(|parameters| parameters.get("type"));
    if let Some(kind) = kind.filter(|kind| *kind != "object") {
        let reason = format!("Invalid schema for function '{name}': type must be \"object\", got {kind}.");
        return Err(Complaint::value(join(&path, "parameters"), reason));
    }
    match parameters.filter(|_| function.get("strict") == Some(&Value::Bool(true))) {
        Some(schema) if chat.rules.checks_strict => check_strict(schema, &join(&path, "parameters")),
        _ => Ok(()),
    }
}

fn check_name(name: &str, path: &str) -> Result<(), Complaint> {
    let fits = name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'));
    if fits && (1..=NAME_CHARS_MAX).contains(&name.len()) {
        return Ok(());
    }
    let reason = format!(
        "Invalid '{path}': string does not match pattern. Expected a string that matches '^[a-zA-Z0-9_-]{{1,64}}$'."
    );
    Err(Complaint::value(path, reason))
}

/// Checks `response_format`.
pub(super) fn check_format(chat: &Chat<'_>) -> Result<(), Complaint> {
    const PATH: &str = "response_format";
    let Some(format) = chat.given(PATH).and_then(Value::as_object) else { return Ok(()) };
    check_object(chat.rules, format, chat.rules.format_fields, PATH)?;
    let kind = format.get("type").and_then(Value::as_str).unwrap_or_default();
    if !chat.rules.formats.contains(&kind) {
        let problem = Problem::Variant { found: kind.to_owned(), known: chat.rules.formats };
        return Err(Complaint::new("response_format.type", problem));
    }
    match (kind, format.get("json_schema").and_then(Value::as_object)) {
        ("json_object", _) if chat.rules.wants_json_said && !says_json(chat) => {
            let reason = "'messages' must contain the word 'json' in some form, to use 'response_format' of \
                          type 'json_object'.";
            Err(Complaint::new("messages", Problem::Combination(reason.to_owned())))
        }
        ("json_schema", Some(named)) => {
            let path = "response_format.json_schema";
            check_object(chat.rules, named, SCHEMA_FIELDS, path)?;
            let name = named.get("name").and_then(Value::as_str);
            match name {
                Some(name) => check_name(name, &join(path, "name"))?,
                None if chat.rules.ignores_unknown => {}
                None => return Err(Complaint::missing(join(path, "name"))),
            }
            let is_strict = named.get("strict") == Some(&Value::Bool(true)) && chat.rules.checks_strict;
            match named.get("schema").filter(|_| is_strict) {
                Some(schema) => check_strict(schema, &join(path, "schema")),
                None => Ok(()),
            }
        }
        ("json_schema", None) if !format.contains_key("schema") => {
            Err(Complaint::missing("response_format.json_schema"))
        }
        _ => Ok(()),
    }
}

fn says_json(chat: &Chat<'_>) -> bool {
    chat.messages
        .iter()
        .any(|message| super::prompt::content_text(message).to_ascii_lowercase().contains("json"))
}

/// The names of the declared tools.
pub(super) fn names(chat: &Chat<'_>) -> Vec<String> {
    let tools = chat.given("tools").and_then(Value::as_array);
    let name = |tool: &Value| {
        let function = tool.get("function").or_else(|| tool.get("custom"))?;
        function.get("name")?.as_str().map(str::to_owned)
    };
    tools.into_iter().flatten().filter_map(name).collect()
}

/// The choice among them.
pub(super) fn choice(chat: &Chat<'_>) -> ToolChoice {
    let choice = chat.given("tool_choice");
    let allowed = choice.and_then(|choice| choice.get("allowed_tools")?.get("mode")?.as_str());
    match allowed.or_else(|| choice.and_then(Value::as_str)) {
        Some("none") => return ToolChoice::None,
        Some("required" | "any") => return ToolChoice::Any,
        _ => {}
    }
    let named = choice.and_then(|choice| choice.get("function")?.get("name")?.as_str());
    named.map_or(ToolChoice::Auto, |name| ToolChoice::Named(name.to_owned()))
}

/// The JSON that the answer is to be.
pub(super) fn json(chat: &Chat<'_>) -> Option<JsonOutput> {
    let format = chat.given("response_format")?;
    let named = format.get("json_schema").and_then(|named| named.get("schema"));
    let schema = named.or_else(|| format.get("schema")).cloned();
    match format.get("type").and_then(Value::as_str) {
        Some("json_schema" | "json_object") => Some(schema.map_or(JsonOutput::Object, JsonOutput::Schema)),
        _ => None,
    }
}
