//! The request of Converse. Blocks have no `type`: their only key tells what they are.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::is_claude;
use crate::chat::{Image, ImageSource, Options, Output, Part, Reasoning, Tool, ToolChoice, ToolResult};
use crate::dialect::claude::{self, Thinking, Thoughts};
use crate::dialect::turns::{self, Turn};
use crate::dialect::{Call, Wire, ids, objects};
use crate::json;

/// Longest id of a call.
const MAX_ID: usize = 64;

/// Writes the body.
pub(super) fn write(call: &Call<'_>) -> Vec<u8> {
    let is_claude = is_claude(call.model);
    let thoughts = if is_claude { claude::thoughts(call) } else { Thoughts::default() };
    let extra = Extra { thinking: thoughts.thinking, top_k: call.options.top_k };
    let system = turns::system(call);
    let mut messages = messages(call, is_claude);
    let is_all = messages.is_empty();
    if let (Some(text), true) = (&system, is_all) {
        // There must be a turn: with nothing said, the instructions are it.
        messages.push(WireMessage { role: turns::USER, content: vec![Block::Text(text)] });
    }
    let request = Request {
        messages,
        system: system.as_deref().filter(|_| !is_all).map(|text| [SystemBlock { text }]),
        inference_config: InferenceConfig::of(call, &thoughts),
        tool_config: tool_config(call),
        output_config: output_config(call.options, &thoughts),
        additional_model_request_fields: (extra != Extra::default()).then_some(extra),
    };
    let mut out = Vec::with_capacity(256 + call.chat.text_len());
    json::write(&mut out, &request);
    out
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<[SystemBlock<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_config: Option<InferenceConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_request_fields: Option<Extra>,
}

#[derive(Serialize)]
struct SystemBlock<'a> {
    text: &'a str,
}

/// What Converse passes on to the model unread.
#[derive(Serialize, Default, PartialEq)]
struct Extra {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
}

#[derive(Serialize, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
}

impl<'a> InferenceConfig<'a> {
    fn of(call: &Call<'a>, thoughts: &Thoughts) -> Option<Self> {
        let options = call.options;
        let budgets = matches!(thoughts.thinking, Some(Thinking::Enabled { .. }));
        let config = Self {
            max_tokens: if budgets { Some(claude::max_tokens(call, thoughts)) } else { call.max_tokens },
            temperature: options.temperature.map(|temperature| temperature.min(1.0)),
            top_p: options.top_p,
            stop_sequences: options
                .stop
                .iter()
                .map(String::as_str)
                .filter(|stop| !stop.trim().is_empty())
                .collect(),
        };
        (config != Self::default()).then_some(config)
    }
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Block<'a> {
    Text(&'a str),
    Image(WireImage<'a>),
    ToolUse(ToolUse<'a>),
    ToolResult(WireResult<'a>),
    ReasoningContent(Thought<'a>),
}

#[derive(Serialize)]
struct WireImage<'a> {
    format: &'static str,
    source: Bytes<'a>,
}

#[derive(Serialize)]
struct Bytes<'a> {
    bytes: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    tool_use_id: Cow<'a, str>,
    name: &'a str,
    input: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireResult<'a> {
    tool_use_id: Cow<'a, str>,
    content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Thought<'a> {
    ReasoningText { text: &'a str, signature: &'a str },
    RedactedContent(&'a str),
}

/// What it calls the format of an image; `None` for one that it does not take.
pub(super) fn image_format(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/jpeg" | "image/jpg" => Some("jpeg"),
        "image/png" => Some("png"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

fn messages<'a>(call: &Call<'a>, is_claude: bool) -> Vec<WireMessage<'a>> {
    let turns = turns::turns(call.chat.spoken(), |part| match part {
        Part::Reasoning(thought) => is_claude && claude::takes_thought(call.model, thought),
        part => !part.is_foreign_to(Wire::Bedrock),
    });
    let message = |turn: &Turn<'a>| WireMessage {
        role: turn.role,
        content: turn.parts.iter().filter_map(|part| block(part)).collect(),
    };
    let mut messages: Vec<WireMessage<'_>> = turns.iter().map(message).collect();
    // An answer to be gone on with must not end in white space.
    if turns.last().is_some_and(Turn::is_prefill)
        && let Some(Block::Text(text)) = messages.last_mut().and_then(|last| last.content.last_mut())
    {
        *text = text.trim_end();
    }
    messages
}

fn block(part: &Part) -> Option<Block<'_>> {
    Some(match part {
        Part::Text(text) | Part::Refusal(text) => Block::Text(text),
        Part::Image(Image { source: ImageSource::Data { media_type, base64 }, .. }) => {
            Block::Image(WireImage { format: image_format(media_type)?, source: Bytes { bytes: base64 } })
        }
        Part::Reasoning(Reasoning { redacted: Some(data), .. }) => {
            Block::ReasoningContent(Thought::RedactedContent(data))
        }
        Part::Reasoning(Reasoning { text, signature, .. }) => {
            Block::ReasoningContent(Thought::ReasoningText { text, signature: signature.as_deref()? })
        }
        Part::ToolCall(call) => Block::ToolUse(ToolUse {
            tool_use_id: ids::plain(&call.id, MAX_ID),
            name: &call.name,
            input: objects::arguments(&call.arguments),
        }),
        Part::ToolResult(ToolResult { call_id, parts, is_error }) => Block::ToolResult(WireResult {
            tool_use_id: ids::plain(call_id, MAX_ID),
            content: parts.iter().filter(|part| !is_blank(part)).filter_map(block).collect(),
            status: is_error.then_some("error"),
        }),
        Part::Image(Image { source: ImageSource::Url(_), .. }) | Part::Foreign(_) => return None,
    })
}

fn is_blank(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.trim().is_empty())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTool<'a> {
    tool_spec: ToolSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: InputSchema,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
}

#[derive(Serialize)]
struct InputSchema {
    json: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Choice<'a> {
    Auto {},
    Any {},
    Tool { name: &'a str },
}

/// The tools. A conversation that has called some must declare them, and there is no word for calling none: without
/// calls they are left out then.
fn tool_config<'a>(call: &Call<'a>) -> Option<ToolConfig<'a>> {
    let options = call.options;
    let called = turns::called(call.chat.spoken());
    let calls_none = options.tool_choice == Some(ToolChoice::None);
    let tools: Vec<WireTool<'_>> = match options.tools.as_slice() {
        [] => called.into_iter().map(WireTool::of_name).collect(),
        _ if calls_none && called.is_empty() => Vec::new(),
        tools => tools.iter().map(|tool| WireTool::of(tool, call.model)).collect(),
    };
    let tool_choice = match &options.tool_choice {
        None | Some(ToolChoice::None) => None,
        Some(ToolChoice::Auto) => Some(Choice::Auto {}),
        Some(ToolChoice::Required) => Some(Choice::Any {}),
        Some(ToolChoice::Named(name)) => Some(Choice::Tool { name }),
    };
    (!tools.is_empty()).then_some(ToolConfig { tools, tool_choice })
}

impl<'a> WireTool<'a> {
    fn of(tool: &'a Tool, model: &str) -> Self {
        Self {
            tool_spec: ToolSpec {
                name: &tool.name,
                description: tool.description.as_deref().filter(|text| !text.is_empty()),
                input_schema: InputSchema { json: objects::schema(tool.parameters.as_ref()) },
                strict: tool.strict == Some(true) && is_claude(model) && claude::is_strict(model),
            },
        }
    }

    /// A tool that was called and is there no more.
    fn of_name(name: &'a str) -> Self {
        let input_schema = InputSchema { json: objects::schema(None) };
        Self { tool_spec: ToolSpec { name, description: None, input_schema, strict: false } }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text_format: Option<TextFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
}

#[derive(Serialize)]
struct TextFormat<'a> {
    r#type: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: JsonSchema<'a>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    /// The schema's text, as a string.
    schema: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

fn output_config<'a>(options: &'a Options, thoughts: &Thoughts) -> Option<OutputConfig<'a>> {
    let text_format = match &options.output {
        Output::Schema(schema) => Some(TextFormat {
            r#type: "json_schema",
            structure: Structure {
                json_schema: JsonSchema {
                    schema: schema.schema.get(),
                    name: &schema.name,
                    description: schema.description.as_deref(),
                },
            },
        }),
        Output::Text | Output::Json => None,
    };
    let effort = thoughts.effort;
    (text_format.is_some() || effort.is_some()).then_some(OutputConfig { text_format, effort })
}
