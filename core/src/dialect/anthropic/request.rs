//! The request of Anthropic Messages, for conversations of any format.
//!
//! What a client of the same format sent is passed on as it was written: see [`native`].

mod native;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::chat::{Image, ImageSource, Options, Output, Part, Reasoning, Tool, ToolChoice, ToolResult};
use crate::dialect::claude::{self, Thoughts};
use crate::dialect::turns::{self, Turn};
use crate::dialect::{Call, Wire, ids, objects};
use crate::json::{self, ObjectWriter};

/// Longest id of a call.
const MAX_ID: usize = 64;

/// Writes the body.
pub(super) fn write(call: &Call<'_>) -> Vec<u8> {
    let options = call.options;
    let native = native::of(call);
    let thoughts = claude::thoughts(call);
    let mut out = Vec::with_capacity(256 + call.chat.text_len());
    let mut body = ObjectWriter::new(&mut out);
    body.field("model", &call.model);
    body.field("max_tokens", &claude::max_tokens(call, &thoughts));
    match native.as_ref().and_then(native::NativeCall::messages) {
        Some((system, messages)) => {
            if let Some(system) = system {
                body.raw("system", system);
            }
            body.raw("messages", messages);
        }
        None => write_conversation(call, &mut body),
    }
    body.some("temperature", options.temperature.map(|temperature| temperature.min(1.0)).as_ref());
    body.some("top_p", options.top_p.as_ref());
    body.some("top_k", options.top_k.as_ref());
    let stops: Vec<&String> = options.stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    if !stops.is_empty() {
        body.field("stop_sequences", &stops);
    }
    match &native {
        Some(native) => native.write(&thoughts, &mut body),
        None => {
            write_tools(call, &mut body);
            write_tool_choice(options, &mut body);
            body.some("thinking", thoughts.thinking.as_ref());
            write_output(options, &thoughts, &mut body);
            body.some("metadata", options.user.as_ref().map(|user_id| Metadata { user_id }).as_ref());
        }
    }
    body.field("stream", &call.stream);
    body.end();
    out
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// What it calls the media type of an image; `None` for one that it does not take.
pub(super) fn image_type(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/jpeg" | "image/jpg" => Some("image/jpeg"),
        "image/png" => Some("image/png"),
        "image/gif" => Some("image/gif"),
        "image/webp" => Some("image/webp"),
        _ => None,
    }
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Block<'a> {
    Known(Known<'a>),
    Foreign(&'a json::Json),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Known<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

/// Writes the conversation anew.
fn write_conversation(call: &Call<'_>, body: &mut ObjectWriter<'_>) {
    let turns = turns::turns(call.chat.spoken(), |part| match part {
        Part::Reasoning(thought) => claude::takes_thought(call.model, thought),
        part => !part.is_foreign_to(Wire::Anthropic),
    });
    let system = turns::system(call);
    if let (Some(text), []) = (&system, turns.as_slice()) {
        // There must be a turn: with nothing said, the instructions are it.
        return body.field("messages", &[WireMessage { role: turns::USER, content: Content::Text(text) }]);
    }
    let mut messages: Vec<WireMessage<'_>> = turns.iter().map(message).collect();
    if turns.last().is_some_and(Turn::is_prefill)
        && let Some(WireMessage { content, .. }) = messages.last_mut()
    {
        trim_end(content);
    }
    body.some("system", system.as_ref());
    body.field("messages", &messages);
}

/// An answer to be gone on with must not end in white space.
fn trim_end(content: &mut Content<'_>) {
    let text = match content {
        Content::Text(text) => Some(text),
        Content::Blocks(blocks) => match blocks.last_mut() {
            Some(Block::Known(Known::Text { text })) => Some(text),
            _ => None,
        },
    };
    if let Some(text) = text {
        *text = text.trim_end();
    }
}

fn message<'a>(turn: &Turn<'a>) -> WireMessage<'a> {
    let content = match turn.parts.as_slice() {
        [Part::Text(text)] => Content::Text(text),
        parts => Content::Blocks(parts.iter().filter_map(|part| block(part)).collect()),
    };
    WireMessage { role: turn.role, content }
}

fn block(part: &Part) -> Option<Block<'_>> {
    let known = match part {
        Part::Text(text) | Part::Refusal(text) => Known::Text { text },
        Part::Image(Image { source, .. }) => Known::Image {
            source: match source {
                ImageSource::Url(url) => Source::Url { url },
                ImageSource::Data { media_type, base64 } => {
                    Source::Base64 { media_type: image_type(media_type).unwrap_or(media_type), data: base64 }
                }
            },
        },
        Part::Reasoning(Reasoning { redacted: Some(data), .. }) => Known::RedactedThinking { data },
        Part::Reasoning(Reasoning { text, signature, .. }) => {
            Known::Thinking { thinking: text, signature: signature.as_deref()? }
        }
        Part::ToolCall(call) => Known::ToolUse {
            id: ids::plain(&call.id, MAX_ID),
            name: &call.name,
            input: objects::arguments(&call.arguments),
        },
        Part::ToolResult(ToolResult { call_id, parts, is_error }) => Known::ToolResult {
            tool_use_id: ids::plain(call_id, MAX_ID),
            content: parts.iter().filter(|part| is_result(part)).filter_map(block).collect(),
            is_error: *is_error,
        },
        Part::Foreign(foreign) => return Some(Block::Foreign(&foreign.json)),
    };
    Some(Block::Known(known))
}

/// Whether a result can hold it.
fn is_result(part: &Part) -> bool {
    match part {
        Part::Text(text) => !text.trim().is_empty(),
        part => !part.is_foreign_to(Wire::Anthropic),
    }
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Box<RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

fn write_tools(call: &Call<'_>, body: &mut ObjectWriter<'_>) {
    let tool = |tool| WireTool::of(tool, call.model);
    let mut tools: Vec<WireTool<'_>> = call.options.tools.iter().map(tool).collect();
    if tools.is_empty() {
        tools.extend(turns::called(call.chat.spoken()).into_iter().map(WireTool::of_name));
    }
    if !tools.is_empty() {
        body.field("tools", &tools);
    }
}

impl<'a> WireTool<'a> {
    fn of(tool: &'a Tool, model: &str) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref().filter(|text| !text.is_empty()),
            input_schema: objects::schema(tool.parameters.as_ref()),
            strict: tool.strict == Some(true) && claude::is_strict(model),
        }
    }

    /// A tool that was called and is there no more.
    fn of_name(name: &'a str) -> Self {
        Self { name, description: None, input_schema: objects::schema(None), strict: false }
    }
}

#[derive(Serialize)]
struct Choice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

fn write_tool_choice(options: &Options, body: &mut ObjectWriter<'_>) {
    if options.tools.is_empty() && options.foreign_tools.is_empty() {
        return;
    }
    let one_by_one = options.parallel_tool_calls == Some(false);
    let (kind, name) = match &options.tool_choice {
        None if !one_by_one => return,
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name.as_str())),
    };
    let disable_parallel_tool_use = one_by_one && kind != "none";
    body.field("tool_choice", &Choice { r#type: kind, name, disable_parallel_tool_use });
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    schema: &'a json::Json,
}

fn write_output(options: &Options, thoughts: &Thoughts, body: &mut ObjectWriter<'_>) {
    let format = match &options.output {
        Output::Schema(schema) => Some(Format { r#type: "json_schema", schema: &schema.schema }),
        Output::Text | Output::Json => None,
    };
    if thoughts.effort.is_some() || format.is_some() {
        body.field("output_config", &OutputConfig { effort: thoughts.effort, format });
    }
}
