//! Reads a request of Messages.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::reply::MessageReply;
use super::tools::{read_tool_choice, read_tools};
use crate::api::extra_content::ExtraContent;
use crate::api::fields::{Content, Fields, Unread, inside, invalid, invalid_field, read_as};
use crate::api::{Asked, Format, Request, Session};
use crate::chat::{
    Chat, Effort, Foreign, Image, ImageSource, Message, Options, Output, Part, Reasoning, Role, Schema,
    ToolCall, ToolResult, Words,
};
use crate::dialect::Wire;
use crate::error::GatewayError;
use crate::json::Json;
use crate::native::Native;
use crate::task::{Conversation, Task};

/// Where the blocks of a message are.
const CONTENT: &str = "messages.content";

/// Reads a request body.
///
/// # Errors
/// `OPTION_ERROR` that names the field.
pub(in crate::api) fn read(body: Vec<u8>) -> Result<Request, GatewayError> {
    let body = String::from_utf8(body).map_err(|_| invalid("the request body is not UTF-8"))?;
    let mut fields = Fields::parse(&body)?;
    let places = fields.places(&body);
    let asked = Asked { model: fields.take("model")?, models: fields.take("models")?, route: None };
    asked.check()?;
    let stream = fields.take("stream")?.unwrap_or(false);
    let (mut messages, mut unread) = (Vec::new(), Unread::default());
    if let Some(system) = fields.take::<&RawValue>("system")? {
        messages.extend(read_system(system, &mut unread)?);
    }
    let said = fields.require::<Vec<&RawValue>>("messages")?;
    if said.is_empty() {
        return Err(invalid_field("messages", "messages is empty"));
    }
    for (index, message) in said.into_iter().enumerate() {
        read_message(message, &format!("messages[{index}]"), &mut messages, &mut unread)?;
    }
    let options = read_options(fields, &mut unread)?;
    let is_edited = holds_foreign_state(&messages);
    let native = Some(Native::new(Wire::Anthropic, body, places));
    Ok(Request {
        format: Format::Messages,
        task: Task::Chat(Box::new(Conversation {
            chat: Chat {
                messages,
                options,
                native,
                unread: unread.into_names(),
                is_edited,
                words: Words::Messages,
                ..Chat::default()
            },
            stream,
            reply: Box::new(MessageReply::default()),
        })),
        asked,
        session: Session::None,
        resume: None,
    })
}

fn read_options(mut fields: Fields<'_>, unread: &mut Unread) -> Result<Options, GatewayError> {
    let max_tokens: u32 = fields.require("max_tokens")?;
    if max_tokens == 0 {
        return Err(invalid_field("max_tokens", "max_tokens must be at least 1"));
    }
    let (tools, foreign_tools) = read_tools(&mut fields, unread)?;
    let mut options = Options {
        temperature: fields.take("temperature")?,
        top_p: fields.take("top_p")?,
        top_k: fields.take("top_k")?,
        max_tokens: Some(max_tokens),
        stop: fields.take("stop_sequences")?.unwrap_or_default(),
        tools,
        foreign_tools,
        ..Options::default()
    };
    if let Some(choice) = fields.take("tool_choice")? {
        (options.tool_choice, options.parallel_tool_calls) = read_tool_choice(choice, unread)?;
    }
    if let Some(mut metadata) = fields.take::<Fields<'_>>("metadata")? {
        options.user = within("metadata", metadata.take("user_id"))?;
        unread.note("metadata", metadata);
    }
    if let Some(config) = fields.take("output_config")? {
        within("output_config", read_output_config(config, &mut options, unread))?;
    }
    if let Some(thinking) = fields.take("thinking")? {
        within("thinking", read_thinking(thinking, &mut options, unread))?;
    }
    options.unknown = fields.rest();
    Ok(options)
}

/// Errors of what stands inside the field `name`.
pub(super) fn within<T>(name: &str, result: Result<T, GatewayError>) -> Result<T, GatewayError> {
    result.map_err(|error| inside(name, name, &error))
}

fn read_output_config(
    mut config: Fields<'_>,
    options: &mut Options,
    unread: &mut Unread,
) -> Result<(), GatewayError> {
    options.effort = config.take("effort")?;
    let format = config.take::<Fields<'_>>("format")?;
    unread.note("output_config", config);
    let Some(mut format) = format else { return Ok(()) };
    let wrong = |error: GatewayError| inside("format", "format", &error);
    let kind: Cow<'_, str> = format.require("type").map_err(wrong)?;
    if kind != "json_schema" {
        return Err(invalid(format!("format.type is \"{kind}\"; it must be json_schema")));
    }
    let schema: &RawValue = format.require("schema").map_err(wrong)?;
    options.output = Output::Schema(Schema {
        name: "answer".to_owned(),
        description: None,
        schema: Json::from(schema),
        strict: Some(true),
    });
    unread.note("output_config.format", format);
    Ok(())
}

fn read_thinking(
    mut thinking: Fields<'_>,
    options: &mut Options,
    unread: &mut Unread,
) -> Result<(), GatewayError> {
    let kind: Cow<'_, str> = thinking.require("type")?;
    match kind.as_ref() {
        "enabled" => options.thinking_budget = Some(thinking.require("budget_tokens")?),
        // As much as the model likes: what every model does that is not told.
        "adaptive" => {}
        "disabled" => options.effort = Some(Effort::None),
        other => {
            let message = format!("type is \"{other}\"; it must be enabled, adaptive or disabled");
            return Err(invalid(message));
        }
    }
    unread.note("thinking", thinking);
    Ok(())
}

/// The system's text; blocks are joined by blank lines.
fn read_system(system: &RawValue, unread: &mut Unread) -> Result<Option<Message>, GatewayError> {
    let texts = match Content::read("system", system)? {
        Content::Text(text) => vec![text],
        Content::Parts(blocks) => {
            let read = blocks.into_iter().enumerate().map(|(index, block)| {
                read_text(block, unread)
                    .map_err(|error| inside("system", &format!("system[{index}]"), &error))
            });
            read.collect::<Result<_, _>>()?
        }
    };
    let text = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n");
    Ok((!text.is_empty()).then(|| Message::of_text(Role::System, text)))
}

fn read_text(raw: &RawValue, unread: &mut Unread) -> Result<String, GatewayError> {
    let (mut block, kind) = open_block(raw)?;
    if kind != "text" {
        return Err(invalid("type must be text"));
    }
    let text = block.require("text")?;
    unread.note("system", block);
    Ok(text)
}

/// Reads a message into those it is of: the results of tools are their own.
fn read_message(
    raw: &RawValue,
    path: &str,
    messages: &mut Vec<Message>,
    unread: &mut Unread,
) -> Result<(), GatewayError> {
    let wrong = |error: GatewayError| inside("messages", path, &error);
    let Some(mut message) = read_as::<Fields<'_>>("messages", raw.get())? else {
        return Err(invalid_field("messages", format!("{path} is null")));
    };
    let role: Cow<'_, str> = message.require("role").map_err(wrong)?;
    let content: &RawValue = message.require("content").map_err(wrong)?;
    unread.note("messages", message);
    let role = match role.as_ref() {
        "system" => {
            let system = read_system(content, unread).map_err(|_| wrong(invalid("content must be text")))?;
            messages.extend(system);
            return Ok(());
        }
        "user" => Role::User,
        "assistant" => Role::Assistant,
        other => {
            let message = format!("role is \"{other}\"; it must be user or assistant");
            return Err(wrong(invalid(message)));
        }
    };
    let parts = read_content(content, unread, read_block).map_err(wrong)?;
    let (results, rest): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| matches!(part, Part::ToolResult(_)));
    let is_said = results.is_empty() || !rest.is_empty();
    if !results.is_empty() {
        messages.push(Message { role: Role::Tool, parts: results, name: None });
    }
    if is_said {
        messages.push(Message { role, parts: rest, name: None });
    }
    Ok(())
}

/// A string, or a list of blocks that `read` reads.
fn read_content(
    content: &RawValue,
    unread: &mut Unread,
    read: fn(&RawValue, &mut Unread) -> Result<Part, GatewayError>,
) -> Result<Vec<Part>, GatewayError> {
    match Content::read("content", content)? {
        Content::Text(text) => Ok(vec![Part::Text(text)]),
        Content::Parts(blocks) => {
            let parts = blocks.into_iter().enumerate().map(|(index, block)| {
                read(block, unread).map_err(|error| inside("content", &format!("content[{index}]"), &error))
            });
            parts.collect()
        }
    }
}

fn read_block(raw: &RawValue, unread: &mut Unread) -> Result<Part, GatewayError> {
    let (block, kind) = open_block(raw)?;
    if kind != "tool_result" {
        return read_plain(raw, block, &kind, unread);
    }
    Ok(match read_result(block, unread)? {
        Ok(result) => Part::ToolResult(result),
        Err(inner) => foreign(raw, format!("tool_result ({inner})")),
    })
}

/// The fields of a block, and its type.
fn open_block(raw: &RawValue) -> Result<(Fields<'_>, Cow<'_, str>), GatewayError> {
    let Some(mut block) = read_as::<Fields<'_>>("type", raw.get())? else {
        return Err(invalid("type is missing"));
    };
    let kind = block.require("type")?;
    Ok((block, kind))
}

fn foreign(raw: &RawValue, kind: String) -> Part {
    Part::Foreign(Foreign { wire: Wire::Anthropic, kind, json: Json::from(raw) })
}

/// A block that holds no others. A result within a result is none that anybody here knows: to read it as one would go as
/// deep as a client likes.
fn read_plain_block(raw: &RawValue, unread: &mut Unread) -> Result<Part, GatewayError> {
    let (block, kind) = open_block(raw)?;
    read_plain(raw, block, &kind, unread)
}

fn read_plain(
    raw: &RawValue,
    mut block: Fields<'_>,
    kind: &str,
    unread: &mut Unread,
) -> Result<Part, GatewayError> {
    let part = match kind {
        "text" => Part::Text(block.require("text")?),
        "image" => {
            let source = block.require("source")?;
            match read_image(source, unread).map_err(|error| inside("source", "source", &error))? {
                Some(source) => Part::Image(Image { source, detail: None }),
                None => return Ok(foreign(raw, "image (file)".to_owned())),
            }
        }
        "thinking" => Part::Reasoning(Reasoning {
            text: block.require("thinking")?,
            signature: block.take("signature")?.filter(|signature: &String| !signature.is_empty()),
            redacted: None,
        }),
        "redacted_thinking" => {
            Part::Reasoning(Reasoning { redacted: Some(block.require("data")?), ..Reasoning::default() })
        }
        "tool_use" => {
            let extra = block.take::<ExtraContent<'_>>("extra_content")?;
            let input: Option<&RawValue> = block.take("input")?;
            Part::ToolCall(ToolCall {
                id: block.require("id")?,
                name: block.require("name")?,
                arguments: input.map_or("{}", RawValue::get).to_owned(),
                signature: extra.and_then(ExtraContent::into_signature),
            })
        }
        _ => return Ok(foreign(raw, kind.to_owned())),
    };
    unread.note(CONTENT, block);
    Ok(part)
}

/// `None` for images that only the provider has.
fn read_image(mut source: Fields<'_>, unread: &mut Unread) -> Result<Option<ImageSource>, GatewayError> {
    let kind: Cow<'_, str> = source.require("type")?;
    let image = match kind.as_ref() {
        "base64" => Some(ImageSource::Data {
            media_type: source.require("media_type")?,
            base64: source.require("data")?,
        }),
        "url" => Some(ImageSource::Url(source.require("url")?)),
        _ => return Ok(None),
    };
    unread.note("messages.content.source", source);
    Ok(image)
}

/// The result of a tool; the kind of its content where no other format has a word for that.
fn read_result(
    mut block: Fields<'_>,
    unread: &mut Unread,
) -> Result<Result<ToolResult, String>, GatewayError> {
    let call_id = block.require("tool_use_id")?;
    let is_error = block.take("is_error")?.unwrap_or(false);
    let parts = match block.take("content")? {
        Some(content) => read_content(content, unread, read_plain_block)?,
        None => Vec::new(),
    };
    unread.note(CONTENT, block);
    let foreign = parts.iter().find_map(|part| match part {
        Part::Text(_) | Part::Image(_) => None,
        Part::Foreign(foreign) => Some(foreign.kind.clone()),
        _ => Some("other".to_owned()),
    });
    Ok(match foreign {
        Some(kind) => Err(kind),
        None => Ok(ToolResult { call_id, parts, is_error }),
    })
}

/// Whether an earlier answer came from a provider of another format and shows it, which Anthropic would not take.
fn holds_foreign_state(messages: &[Message]) -> bool {
    let is_plain = |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    messages.iter().flat_map(|message| &message.parts).any(|part| match part {
        Part::Reasoning(thought) => thought.signature.is_none() && thought.redacted.is_none(),
        Part::ToolCall(call) => call.signature.is_some() || !is_plain(&call.id),
        Part::ToolResult(result) => !is_plain(&result.call_id),
        _ => false,
    })
}
