//! The messages of an Anthropic request: which blocks they may have, and how calls and results follow each other.
//!
//! Every call must be answered in the very next message, before anything else that message says.

use serde_json::{Map, Value};

use super::Refusal;
use super::anthropic::invalid;
use super::anthropic_rules::check;
use super::content::{self, Linked};
use super::shape::Kind;
use crate::answer::{count_words, image_of_data};

const MESSAGE_FIELDS: &[(&str, Kind)] = &[("role", Kind::Text), ("content", Kind::TextOrList)];
/// The fields of each type of block; types that are not here are those of the provider's own tools.
const BLOCKS: &[(&str, &[(&str, Kind)])] = &[
    ("text", &[("text", Kind::Text), ("citations", Kind::List)]),
    ("image", &[("source", Kind::Object)]),
    (
        "document",
        &[
            ("source", Kind::Object),
            ("title", Kind::Text),
            ("context", Kind::Text),
            ("citations", Kind::Object),
        ],
    ),
    (
        "tool_use",
        &[("id", Kind::Text), ("name", Kind::Text), ("input", Kind::Object), ("caller", Kind::Object)],
    ),
    ("tool_result", &[("tool_use_id", Kind::Text), ("content", Kind::TextOrList), ("is_error", Kind::Bool)]),
    ("thinking", &[("thinking", Kind::Text), ("signature", Kind::Text)]),
    ("redacted_thinking", &[("data", Kind::Text)]),
];
/// Fields a block cannot do without.
const REQUIRED: &[(&str, &[&str])] = &[
    ("text", &["text"]),
    ("image", &["source"]),
    ("document", &["source"]),
    ("tool_use", &["id", "name", "input"]),
    ("tool_result", &["tool_use_id"]),
    ("thinking", &["thinking", "signature"]),
    ("redacted_thinking", &["data"]),
];
/// Blocks of the provider's own tools.
const SERVER_BLOCKS: &[&str] = &["server_tool_use", "search_result", "mcp_tool_use", "mcp_tool_result"];
const ASSISTANT_ONLY: &[&str] = &["tool_use", "thinking", "redacted_thinking"];
const USER_ONLY: &[&str] = &["tool_result", "image", "document"];
const RESULT_BLOCKS: &[&str] = &["text", "image", "document", "search_result"];
const IMAGE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// What the messages say.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Messages before the last one of the user.
    pub(super) history: usize,
    /// Text of the last message of the user.
    pub(super) text: String,
    pub(super) words: usize,
    /// Images of the last message of the user.
    pub(super) images: Vec<String>,
    /// Name and text of the results the request ends with.
    pub(super) results: Vec<(String, String)>,
    pub(super) ends_with_assistant: bool,
    /// Place and type of the block the last message of the assistant starts with, if that message calls tools.
    opening: Option<(usize, String)>,
}

impl Conversation {
    /// What must hold when thinking is on.
    pub(super) fn check_thinking(&self) -> Result<(), Refusal> {
        if self.ends_with_assistant {
            return Err(invalid("When thinking is enabled, the conversation must end with a user message."));
        }
        match &self.opening {
            Some((index, kind)) if !["thinking", "redacted_thinking"].contains(&kind.as_str()) => {
                Err(invalid(&format!(
                    "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. \
                     When `thinking` is enabled, a final `assistant` message must start with a thinking block."
                )))
            }
            _ => Ok(()),
        }
    }
}

/// One message.
#[derive(Debug, Default)]
struct Message {
    is_assistant: bool,
    text: String,
    words: usize,
    images: Vec<String>,
    calls: Vec<Linked>,
    results: Vec<Linked>,
    /// How many results come before everything else.
    leading: usize,
    opening: Option<String>,
}

/// Checks the messages; `strict` is how the newer version of the interface has it.
pub(super) fn read(messages: &[Value], strict: bool) -> Result<Conversation, Refusal> {
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    let mut read = Vec::with_capacity(messages.len());
    for (index, value) in messages.iter().enumerate() {
        let message = message(value, &format!("messages.{index}"), strict)?;
        let is_last = index + 1 == messages.len();
        if message.is_assistant && is_last && message.text.ends_with(char::is_whitespace) {
            return Err(invalid("messages: final assistant content cannot end with trailing whitespace"));
        }
        check_link(read.last(), &message, index)?;
        read.push(message);
    }
    if read.first().is_some_and(|first| first.is_assistant) {
        return Err(invalid("messages: first message must use the \"user\" role"));
    }
    if let Some(last) = read.last() {
        check_link(Some(last), &Message::default(), read.len())?;
    }
    let ends_with_assistant = read.last().is_some_and(|last| last.is_assistant);
    let last_assistant = read.iter().enumerate().rev().find(|(_, message)| message.is_assistant);
    let opening = last_assistant.filter(|(_, message)| !message.calls.is_empty());
    let opening = opening.and_then(|(index, message)| Some((index, message.opening.clone()?)));
    let words = read.iter().map(|message| message.words).sum();
    let history = read.iter().rposition(|message| !message.is_assistant).unwrap_or_default();
    let results = match (read.last(), read.len().checked_sub(2).and_then(|before| read.get(before))) {
        (Some(last), Some(before)) if last.text.is_empty() => {
            content::in_call_order(&before.calls, &last.results)
        }
        _ => Vec::new(),
    };
    let user = read.into_iter().nth(history).unwrap_or_default();
    Ok(Conversation {
        history,
        text: user.text,
        words,
        images: user.images,
        results,
        ends_with_assistant,
        opening,
    })
}

/// The calls of `before` and the results of `message`, which is the one at `index`, must be the same.
fn check_link(before: Option<&Message>, message: &Message, index: usize) -> Result<(), Refusal> {
    let calls = before.map(|before| before.calls.as_slice()).unwrap_or_default();
    let has = |list: &[Linked], id: &str| list.iter().any(|linked| linked.id == id);
    if let Some((place, result)) =
        message.results.iter().enumerate().find(|(_, result)| !has(calls, &result.id))
    {
        return Err(invalid(&format!(
            "messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {}. Each \
             `tool_result` block must have a corresponding `tool_use` block in the previous message.",
            result.id
        )));
    }
    // Results after something else do not count as following the calls.
    let leading = message.results.get(..message.leading).unwrap_or_default();
    let missing: Vec<&str> =
        calls.iter().filter(|call| !has(leading, &call.id)).map(|call| call.id.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(invalid(&format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message.",
        index.saturating_sub(1),
        missing.join(", ")
    )))
}

fn message(value: &Value, path: &str, strict: bool) -> Result<Message, Refusal> {
    let Value::Object(fields) = value else {
        return Err(invalid(&format!("{path}: Input should be an object")));
    };
    check(fields, MESSAGE_FIELDS, path)?;
    let is_assistant = match fields.get("role").and_then(Value::as_str) {
        Some("user") => false,
        Some("assistant") => true,
        Some("system") => {
            return Err(invalid(
                "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \
                 \"system\" as an input message role.",
            ));
        }
        Some(_) => return Err(invalid(&format!("{path}.role: Input should be 'user' or 'assistant'"))),
        None => return Err(invalid(&format!("{path}.role: Field required"))),
    };
    let mut message = Message { is_assistant, ..Message::default() };
    match fields.get("content") {
        Some(Value::String(text)) if text.is_empty() => {
            return Err(invalid(&format!("{path}: user messages must have non-empty content")));
        }
        Some(Value::String(text)) => {
            check_text(text)?;
            message.text.clone_from(text);
        }
        Some(Value::Array(blocks)) if blocks.is_empty() && !is_assistant => {
            return Err(invalid(&format!("{path}: user messages must have non-empty content")));
        }
        Some(Value::Array(blocks)) => {
            for (index, value) in blocks.iter().enumerate() {
                block(&mut message, index, value, &format!("{path}.content.{index}"), strict)?;
            }
        }
        _ => return Err(invalid(&format!("{path}.content: Field required"))),
    }
    message.words += count_words(&message.text);
    Ok(message)
}

/// Checks one block and adds what it says to the message.
fn block(
    message: &mut Message,
    index: usize,
    value: &Value,
    path: &str,
    strict: bool,
) -> Result<(), Refusal> {
    let (kind, fields) = typed(value, path)?;
    message.opening.get_or_insert_with(|| kind.to_owned());
    let (only, role) = if message.is_assistant { (USER_ONLY, "user") } else { (ASSISTANT_ONLY, "assistant") };
    if only.contains(&kind) {
        return Err(invalid(&format!("{path}: `{kind}` blocks can only be in `{role}` messages")));
    }
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "text" => {
            let cited =
                fields.get("citations").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
            if strict && cited && !message.is_assistant {
                return Err(invalid(&format!("{path}.text.citations: Extra inputs are not permitted")));
            }
            message.text.push_str(&text(value, path, "messages")?);
        }
        "image" => message.images.push(image(fields, path)?),
        "tool_use" => {
            check_identifier(field("id"), &format!("{path}.tool_use.id"))?;
            if message.calls.iter().any(|call| call.id == field("id")) {
                return Err(invalid(&format!("{path}: `tool_use` ids must be unique")));
            }
            message.calls.push(Linked { id: field("id").to_owned(), text: field("name").to_owned() });
        }
        "tool_result" => {
            check_identifier(field("tool_use_id"), &format!("{path}.tool_result.tool_use_id"))?;
            let result = Linked { id: field("tool_use_id").to_owned(), text: result_text(fields, path)? };
            message.words += count_words(&result.text);
            message.leading += usize::from(message.leading == index);
            message.results.push(result);
        }
        "thinking" if field("signature") != content::signature(field("thinking")) => {
            return Err(invalid(&format!("{path}: Invalid `signature` in `thinking` block")));
        }
        _ => {}
    }
    Ok(())
}

/// Type and fields of a block whose fields are all known and complete.
fn typed<'a>(value: &'a Value, path: &str) -> Result<(&'a str, &'a Map<String, Value>), Refusal> {
    let Value::Object(fields) = value else {
        return Err(invalid(&format!("{path}: Input should be an object")));
    };
    let kind = fields.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| invalid(&format!("{path}.type: Field required")))?;
    let Some((_, own)) = BLOCKS.iter().find(|(name, _)| *name == kind) else {
        if SERVER_BLOCKS.contains(&kind) || kind.ends_with("_tool_result") {
            return Ok((kind, fields));
        }
        return Err(invalid(&format!(
            "{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
        )));
    };
    let path = format!("{path}.{kind}");
    let common = [("type", Kind::Text), ("cache_control", Kind::Object)];
    check(fields, &[own, common.as_slice()].concat(), &path)?;
    let required = REQUIRED.iter().filter(|(name, _)| *name == kind).flat_map(|(_, names)| *names);
    match required.into_iter().find(|name| fields.get(**name).is_none_or(Value::is_null)) {
        Some(name) => Err(invalid(&format!("{path}.{name}: Field required"))),
        None => Ok((kind, fields)),
    }
}

/// The text of a block that must be one.
pub(super) fn text(value: &Value, path: &str, place: &str) -> Result<String, Refusal> {
    let (kind, fields) = typed(value, path)?;
    if kind != "text" {
        return Err(invalid(&format!("{path}: Input should be a text block")));
    }
    let text = fields.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        return Err(invalid(&format!("{place}: text content blocks must be non-empty")));
    }
    check_text(text)?;
    Ok(text.to_owned())
}

fn check_text(text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(invalid("messages: text content blocks must contain non-whitespace text"));
    }
    Ok(())
}

/// What a tool answered.
fn result_text(fields: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    let blocks = match fields.get("content") {
        Some(Value::String(text)) => return Ok(text.clone()),
        Some(Value::Array(blocks)) => blocks,
        _ => return Ok(String::new()),
    };
    let mut texts = String::new();
    for (index, value) in blocks.iter().enumerate() {
        let path = format!("{path}.tool_result.content.{index}");
        let (kind, fields) = typed(value, &path)?;
        if !RESULT_BLOCKS.contains(&kind) {
            return Err(invalid(&format!(
                "{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )));
        }
        match kind {
            "text" => texts.push_str(&text(value, &path, "messages")?),
            "image" => drop(image(fields, &path)?),
            _ => {}
        }
    }
    Ok(texts)
}

/// An image as the echo names it.
fn image(fields: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    let path = format!("{path}.image.source");
    let no_source = Map::new();
    let source = fields.get("source").and_then(Value::as_object).unwrap_or(&no_source);
    let field = |name: &str| source.get(name).and_then(Value::as_str);
    let required = |kind: &str, name: &str| {
        field(name).ok_or_else(|| invalid(&format!("{path}.{kind}.{name}: Field required")))
    };
    match field("type") {
        Some("base64") => {
            let names = [("type", Kind::Text), ("media_type", Kind::Text), ("data", Kind::Text)];
            check(source, &names, &format!("{path}.base64"))?;
            let media_type = required("base64", "media_type")?;
            if !IMAGE_TYPES.contains(&media_type) {
                let expected = IMAGE_TYPES.join("', '");
                return Err(invalid(&format!("{path}.base64.media_type: Input should be '{expected}'")));
            }
            image_of_data(media_type, required("base64", "data")?)
                .ok_or_else(|| invalid(&format!("{path}.base64.data: Input should be a valid base64 string")))
        }
        Some("url") => {
            check(source, &[("type", Kind::Text), ("url", Kind::Text)], &format!("{path}.url"))?;
            let url = required("url", "url")?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(invalid("Only HTTPS URLs are supported."));
            }
            Ok(format!("url:{url}"))
        }
        Some("file") => Ok(format!("file:{}", required("file", "file_id")?)),
        _ => Err(invalid(&format!(
            "{path}: Input tag does not match any of the expected tags: 'base64', 'url'"
        ))),
    }
}

fn check_identifier(id: &str, path: &str) -> Result<(), Refusal> {
    if is_identifier(id, usize::MAX) {
        return Ok(());
    }
    Err(invalid(&format!("{path}: String should match pattern '^[a-zA-Z0-9_-]+$'")))
}

/// Letters, digits, underscores and dashes; not empty, and not longer than `max`.
pub(super) fn is_identifier(text: &str, max: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !text.is_empty() && text.len() <= max && text.bytes().all(fits)
}
