//! Reads the input of a request of Responses: a text, or items of which several may be one message.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::items::Sealed;
use crate::api::extra_content::ExtraContent;
use crate::api::fields::{Content, Fields, Unread, inside, invalid, invalid_field, read_as};
use crate::chat::{Foreign, Image, ImageSource, Message, Part, Reasoning, Role, ToolCall, ToolResult};
use crate::dialect::Wire;
use crate::error::GatewayError;
use crate::json::{Json, ObjectWriter};

/// Reads the input and appends its messages.
pub(super) fn read_input(
    input: &RawValue,
    messages: &mut Vec<Message>,
    unread: &mut Unread,
) -> Result<(), GatewayError> {
    let items = match Content::read("input", input)? {
        Content::Text(text) => {
            messages.push(Message::of_text(Role::User, text));
            return Ok(());
        }
        Content::Parts(items) => items,
    };
    if items.is_empty() {
        return Err(invalid_field("input", "input is empty"));
    }
    for (index, item) in items.into_iter().enumerate() {
        let read = read_item(item, messages, unread);
        read.map_err(|error| inside("input", &format!("input[{index}]"), &error))?;
    }
    Ok(())
}

fn read_item(raw: &RawValue, messages: &mut Vec<Message>, unread: &mut Unread) -> Result<(), GatewayError> {
    let Some(mut item) = read_as::<Fields<'_>>("type", raw.get())? else {
        return Err(invalid("type is missing"));
    };
    let kind: Option<Cow<'_, str>> = item.take("type")?;
    // What an answer had, and is sent back with it.
    item.pass_over(&["id", "status"]);
    match kind.as_deref().unwrap_or("message") {
        "message" => read_message(&mut item, messages, unread)?,
        "reasoning" => add(messages, Role::Assistant, read_reasoning(&mut item)?.map(Part::Reasoning)),
        "function_call" => {
            let extra = item.take::<ExtraContent<'_>>("extra_content")?;
            let call = ToolCall {
                id: item.require("call_id")?,
                name: item.require("name")?,
                arguments: item.require("arguments")?,
                signature: extra.and_then(ExtraContent::into_signature),
            };
            add(messages, Role::Assistant, [Part::ToolCall(call)]);
        }
        "function_call_output" => {
            let call_id = item.require("call_id")?;
            let parts = read_content("output", item.require("output")?, unread)?;
            if parts.iter().any(|part| !matches!(part, Part::Text(_) | Part::Image(_))) {
                return Err(invalid("output may be text and images"));
            }
            let result = ToolResult { call_id, parts, is_error: false };
            add(messages, Role::Tool, [Part::ToolResult(result)]);
        }
        other => return Err(invalid(format!("type is \"{other}\", which is not supported"))),
    }
    unread.note("input", item);
    Ok(())
}

/// Appends parts to the message under way, if that is one of `role`.
fn add(messages: &mut Vec<Message>, role: Role, parts: impl IntoIterator<Item = Part>) {
    match messages.last_mut() {
        Some(last) if last.role == role => last.parts.extend(parts),
        _ => messages.push(Message { role, parts: parts.into_iter().collect(), name: None }),
    }
}

fn read_message(
    item: &mut Fields<'_>,
    messages: &mut Vec<Message>,
    unread: &mut Unread,
) -> Result<(), GatewayError> {
    let role: Cow<'_, str> = item.require("role")?;
    let role = match role.as_ref() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" | "developer" => Role::System,
        other => {
            let message = format!("role is \"{other}\"; it must be user, assistant, system or developer");
            return Err(invalid(message));
        }
    };
    let parts = read_content("content", item.require("content")?, unread)?;
    if role == Role::Assistant {
        add(messages, role, parts);
    } else {
        messages.push(Message { role, parts, name: None });
    }
    Ok(())
}

/// A thought; `None` where there is nothing in it, or nothing that anybody here can read.
fn read_reasoning(item: &mut Fields<'_>) -> Result<Option<Reasoning>, GatewayError> {
    let mut text = String::new();
    for name in ["summary", "content"] {
        for mut part in item.take::<Vec<Fields<'_>>>(name)?.unwrap_or_default() {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&part.require::<Cow<'_, str>>("text")?);
        }
    }
    let sealed: Option<Cow<'_, str>> = item.take("encrypted_content")?;
    let mut thought = Reasoning { text, ..Reasoning::default() };
    match sealed.as_deref().and_then(Sealed::parse) {
        Some(Sealed::Signature(signature)) => thought.signature = Some(signature.to_owned()),
        Some(Sealed::Redacted(data)) => thought.redacted = Some(data.to_owned()),
        None if thought.text.is_empty() => return Ok(None),
        None => {}
    }
    Ok(Some(thought))
}

/// A string, or a list of parts.
fn read_content(name: &str, content: &RawValue, unread: &mut Unread) -> Result<Vec<Part>, GatewayError> {
    Content::read_parts(name, content, |part| read_part(part, unread))
}

fn read_part(raw: &RawValue, unread: &mut Unread) -> Result<Part, GatewayError> {
    let Some(mut part) = read_as::<Fields<'_>>("type", raw.get())? else {
        return Err(invalid("type is missing"));
    };
    let kind: Cow<'_, str> = part.require("type")?;
    let read = match kind.as_ref() {
        "input_text" | "output_text" | "text" => Part::Text(part.require("text")?),
        "refusal" => Part::Refusal(part.require("refusal")?),
        "input_image" => {
            if part.take::<&RawValue>("file_id")?.is_some() {
                return Err(invalid("file_id is not supported"));
            }
            let url: Cow<'_, str> = part.require("image_url")?;
            Part::Image(Image { source: ImageSource::of_url(&url), detail: part.take("detail")? })
        }
        "input_audio" => return Ok(foreign("input_audio", Json::from(raw))),
        "input_file" => read_file(&mut part)?,
        other => return Err(invalid(format!("type is \"{other}\", which is not supported"))),
    };
    unread.note("input.content", part);
    Ok(read)
}

fn foreign(kind: &str, json: Json) -> Part {
    Part::Foreign(Foreign { wire: Wire::Openai, kind: kind.to_owned(), json })
}

/// A file, as chat completions have it.
fn read_file(part: &mut Fields<'_>) -> Result<Part, GatewayError> {
    if part.take::<&RawValue>("file_url")?.is_some() {
        return Err(invalid("file_url is not supported"));
    }
    let mut json = Vec::new();
    let mut object = ObjectWriter::new(&mut json);
    object.field("type", &"file");
    let mut file = ObjectWriter::new(object.key("file"));
    for name in ["file_data", "file_id", "filename"] {
        file.some(name, part.take::<&RawValue>(name)?.as_ref());
    }
    file.end();
    object.end();
    let json = String::from_utf8(json).ok().and_then(Json::parse);
    json.map(|json| foreign("file", json)).ok_or_else(|| invalid("the file is not valid"))
}
