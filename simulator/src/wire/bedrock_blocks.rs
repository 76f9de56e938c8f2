//! The messages of a Converse request: which blocks they may have, and how calls and results follow each other.
//!
//! A block is told by the name of its one field. Roles alternate and start with the user, and the results of all
//! calls of a turn are in the next message.

use serde_json::{Map, Value};

use super::Refusal;
use super::bedrock::{self, invalid};
use super::bedrock_rules::{check, check_identifier, constraint, member};
use super::content::{self, Linked};
use super::shape::Kind;
use crate::answer::{count_words, image_of_data};

const MESSAGE_FIELDS: &[(&str, Kind)] = &[("role", Kind::Text), ("content", Kind::List)];
const BLOCKS: &[(&str, Kind)] = &[
    ("text", Kind::Text),
    ("image", Kind::Object),
    ("document", Kind::Object),
    ("video", Kind::Object),
    ("audio", Kind::Object),
    ("toolUse", Kind::Object),
    ("toolResult", Kind::Object),
    ("reasoningContent", Kind::Object),
    ("guardContent", Kind::Object),
    ("cachePoint", Kind::Object),
    ("citationsContent", Kind::Object),
    ("searchResult", Kind::Object),
];
const RESULT_BLOCKS: &[(&str, Kind)] = &[
    ("text", Kind::Text),
    ("json", Kind::Object),
    ("image", Kind::Object),
    ("document", Kind::Object),
    ("video", Kind::Object),
    ("searchResult", Kind::Object),
];
const IMAGE_FIELDS: &[(&str, Kind)] = &[("format", Kind::Text), ("source", Kind::Object)];
const SOURCE_KINDS: &[(&str, Kind)] = &[("bytes", Kind::Text), ("s3Location", Kind::Object)];
const CALL_FIELDS: &[(&str, Kind)] =
    &[("toolUseId", Kind::Text), ("name", Kind::Text), ("input", Kind::Object), ("type", Kind::Text)];
const RESULT_FIELDS: &[(&str, Kind)] =
    &[("toolUseId", Kind::Text), ("content", Kind::List), ("status", Kind::Text), ("type", Kind::Text)];
const IMAGE_FORMATS: &[&str] = &["png", "jpeg", "gif", "webp"];
const ASSISTANT_ONLY: &[&str] = &["toolUse", "reasoningContent"];
const USER_ONLY: &[&str] = &["toolResult", "image", "document", "video"];

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
    /// Whether there are calls or results anywhere.
    pub(super) has_tools: bool,
    pub(super) ends_with_assistant: bool,
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
}

/// Checks the messages.
pub(super) fn read(messages: &[Value]) -> Result<Conversation, Refusal> {
    let mut read: Vec<Message> = Vec::with_capacity(messages.len());
    for (index, value) in messages.iter().enumerate() {
        let message = message(value, index)?;
        if read.last().is_some_and(|last| last.is_assistant == message.is_assistant) {
            return Err(invalid(
                "A conversation must alternate between user and assistant roles. Make sure the conversation \
                 alternates between user and assistant roles and try again.",
            ));
        }
        check_link(read.last(), &message, index)?;
        read.push(message);
    }
    if read.first().is_none_or(|first| first.is_assistant) {
        return Err(invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user \
             message.",
        ));
    }
    check_link(read.last(), &Message::default(), read.len())?;
    let ends_with_assistant = read.last().is_some_and(|last| last.is_assistant);
    let has_tools = read.iter().any(|message| !message.calls.is_empty() || !message.results.is_empty());
    let words = read.iter().map(|message| message.words).sum();
    let history = read.iter().rposition(|message| !message.is_assistant).unwrap_or_default();
    let results = match (read.last(), read.len().checked_sub(2).and_then(|before| read.get(before))) {
        (Some(last), Some(before)) if last.text.is_empty() => {
            content::in_call_order(&before.calls, &last.results)
        }
        _ => Vec::new(),
    };
    let user = read.into_iter().nth(history).unwrap_or_default();
    let (text, images) = (user.text, user.images);
    Ok(Conversation { history, text, words, images, results, has_tools, ends_with_assistant })
}

/// The calls of `before` and the results of `message`, which is the one at `index`, must be the same.
fn check_link(before: Option<&Message>, message: &Message, index: usize) -> Result<(), Refusal> {
    let calls = before.map(|before| before.calls.as_slice()).unwrap_or_default();
    let has = |list: &[Linked], id: &str| list.iter().any(|linked| linked.id == id);
    let missing: Vec<&str> =
        calls.iter().filter(|call| !has(&message.results, &call.id)).map(|call| call.id.as_str()).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(invalid(&format!(
            "Expected toolResult blocks at messages.{index}.content for the following Ids: {missing}"
        )));
    }
    if message.results.len() > calls.len() {
        return Err(invalid(&format!(
            "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of \
             previous turn."
        )));
    }
    match message.results.iter().find(|result| !has(calls, &result.id)) {
        Some(result) => Err(invalid(&format!(
            "The toolUseId {} of a toolResult block at messages.{index}.content matches no toolUse block of the \
             previous turn.",
            result.id
        ))),
        None => Ok(()),
    }
}

fn message(value: &Value, index: usize) -> Result<Message, Refusal> {
    let Value::Object(fields) = value else {
        return Err(bedrock::refusal(400, "SerializationException", "Start of structure or map expected"));
    };
    check(fields, MESSAGE_FIELDS, &format!("#/messages/{index}"))?;
    let role = fields.get("role").and_then(Value::as_str).unwrap_or_default();
    if !["user", "assistant"].contains(&role) {
        let path = format!("messages.{}.member.role", index + 1);
        return Err(constraint(role, &path, "satisfy enum value set: [user, assistant]"));
    }
    let mut message = Message { is_assistant: role == "assistant", ..Message::default() };
    let blocks = fields.get("content").and_then(Value::as_array).filter(|blocks| !blocks.is_empty());
    let Some(blocks) = blocks else {
        return Err(invalid(&format!(
            "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the \
             content field and try again."
        )));
    };
    for (position, value) in blocks.iter().enumerate() {
        block(&mut message, value, &format!("messages.{index}.content.{position}"))?;
    }
    message.words += count_words(&message.text);
    Ok(message)
}

/// Checks one block and adds what it says to the message.
fn block(message: &mut Message, value: &Value, path: &str) -> Result<(), Refusal> {
    let pointer = format!("#/{}", path.replace('.', "/"));
    let (kind, value) = member(value, BLOCKS, &pointer)?;
    let (only, role) = if message.is_assistant { (USER_ONLY, "user") } else { (ASSISTANT_ONLY, "assistant") };
    if only.contains(&kind) {
        return Err(invalid(&format!("The {kind} block at {path} is only allowed in {role} messages.")));
    }
    let no_fields = Map::new();
    let fields = value.as_object().unwrap_or(&no_fields);
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    match kind {
        "text" => message.text.push_str(text(value, path)?),
        "image" => message.images.push(image(fields, path)?),
        "toolUse" => {
            check(fields, CALL_FIELDS, &format!("{pointer}/toolUse"))?;
            check_identifier(field("toolUseId"), &format!("{path}.toolUse.toolUseId"))?;
            check_identifier(field("name"), &format!("{path}.toolUse.name"))?;
            if !fields.contains_key("input") {
                return Err(invalid(&format!("The input field of the toolUse block at {path} is missing.")));
            }
            message.calls.push(Linked { id: field("toolUseId").to_owned(), text: field("name").to_owned() });
        }
        "toolResult" => {
            check(fields, RESULT_FIELDS, &format!("{pointer}/toolResult"))?;
            check_identifier(field("toolUseId"), &format!("{path}.toolResult.toolUseId"))?;
            let result = Linked { id: field("toolUseId").to_owned(), text: result_text(fields, path)? };
            message.words += count_words(&result.text);
            message.results.push(result);
        }
        "reasoningContent" => check_reasoning(fields, path)?,
        _ => {}
    }
    Ok(())
}

fn text<'a>(value: &'a Value, path: &str) -> Result<&'a str, Refusal> {
    value.as_str().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
        invalid(&format!(
            "The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
        ))
    })
}

/// A reasoning text must come back with the signature it was given.
fn check_reasoning(fields: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    let Some(reasoning) = fields.get("reasoningText") else { return Ok(()) };
    let field = |name: &str| reasoning.get(name).and_then(Value::as_str).unwrap_or_default();
    if field("signature") == content::signature(field("text")) {
        return Ok(());
    }
    Err(invalid(&format!(
        "The model returned the following errors: {path}: Invalid `signature` in `thinking` block"
    )))
}

/// What a tool answered.
fn result_text(fields: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    let status = fields.get("status").and_then(Value::as_str).unwrap_or("success");
    if !["success", "error"].contains(&status) {
        let path = format!("{path}.toolResult.status");
        return Err(constraint(status, &path, "satisfy enum value set: [success, error]"));
    }
    let Some(blocks) = fields.get("content").and_then(Value::as_array) else {
        return Err(invalid(&format!("The content field of the toolResult block at {path} is missing.")));
    };
    if blocks.is_empty() && status == "error" {
        return Err(invalid(&format!(
            "The content field at {path}.toolResult cannot be empty when status value is error."
        )));
    }
    let mut texts = String::new();
    for (index, value) in blocks.iter().enumerate() {
        let path = format!("{path}.toolResult.content.{index}");
        match member(value, RESULT_BLOCKS, &format!("#/{}", path.replace('.', "/")))? {
            ("text", value) => texts.push_str(text(value, &path)?),
            ("json", value) => texts.push_str(&value.to_string()),
            ("image", Value::Object(fields)) => drop(image(fields, &path)?),
            _ => {}
        }
    }
    Ok(texts)
}

/// An image as the echo names it.
fn image(fields: &Map<String, Value>, path: &str) -> Result<String, Refusal> {
    let pointer = format!("#/{}/image", path.replace('.', "/"));
    check(fields, IMAGE_FIELDS, &pointer)?;
    let format = fields.get("format").and_then(Value::as_str).unwrap_or_default();
    if !IMAGE_FORMATS.contains(&format) {
        let rule = format!("satisfy enum value set: [{}]", IMAGE_FORMATS.join(", "));
        return Err(constraint(format, &format!("{path}.image.format"), &rule));
    }
    let source = fields.get("source").unwrap_or(&Value::Null);
    match member(source, SOURCE_KINDS, &format!("{pointer}/source"))? {
        ("bytes", bytes) => image_of_data(&format!("image/{format}"), bytes.as_str().unwrap_or_default())
            .ok_or_else(|| bedrock::refusal(400, "SerializationException", "Invalid base64 data")),
        (_, location) => {
            let uri = location.get("uri").and_then(Value::as_str).unwrap_or_default();
            Ok(format!("url:{uri}"))
        }
    }
}
