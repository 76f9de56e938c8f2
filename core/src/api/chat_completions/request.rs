//! Reads a request of chat completions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::CompletionReply;
use crate::api::extra_content::ExtraContent;
use crate::api::fields::{Content, Fields, Unread, inside, invalid, invalid_field, read_as};
use crate::api::{Asked, Format, Request, Session};
use crate::chat::{
    Chat, Foreign, Image, ImageSource, Message, Options, Output, Part, Reasoning, Role, Schema, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use crate::dialect::{CUSTOM_CALL, Wire};
use crate::error::GatewayError;
use crate::json::{Json, Text};
use crate::native::Native;
use crate::task::{Conversation, Task};

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
    let stream_options: StreamOptions = fields.take("stream_options")?.unwrap_or_default();
    let said = fields.require::<Vec<Fields<'_>>>("messages")?;
    if said.is_empty() {
        return Err(invalid_field("messages", "messages is empty"));
    }
    let mut unread = Unread::default();
    let mut messages = Vec::with_capacity(said.len());
    for (index, message) in said.into_iter().enumerate() {
        let read = read_message(message, &mut unread);
        messages.push(read.map_err(|error| inside("messages", &format!("messages[{index}]"), &error))?);
    }
    let options = read_options(fields, &mut unread)?;
    let native = Some(Native::new(Wire::Openai, body, places));
    Ok(Request {
        format: Format::ChatCompletions,
        task: Task::Chat(Box::new(Conversation {
            chat: Chat { messages, options, native, unread: unread.into_names(), ..Chat::default() },
            stream,
            reply: Box::new(CompletionReply::new(stream_options.include_usage)),
        })),
        asked,
        session: Session::None,
        resume: None,
    })
}

#[derive(Deserialize, Default)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

fn read_options(mut fields: Fields<'_>, unread: &mut Unread) -> Result<Options, GatewayError> {
    let max_tokens = fields.take("max_tokens")?;
    let max_completion_tokens = fields.take("max_completion_tokens")?;
    if max_tokens == Some(0) || max_completion_tokens == Some(0) {
        return Err(invalid_field("max_completion_tokens", "max_completion_tokens must be at least 1"));
    }
    let (tools, foreign_tools) = read_tools(&mut fields, unread)?;
    let tool_choice = match fields.take("tool_choice")? {
        Some(choice) => Some(read_tool_choice(choice)?),
        None => None,
    };
    let mut options = Options {
        temperature: fields.take("temperature")?,
        top_p: fields.take("top_p")?,
        top_k: fields.take("top_k")?,
        max_tokens: max_completion_tokens.or(max_tokens),
        stop: match fields.take("stop")? {
            Some(stop) => read_stop(stop)?,
            None => Vec::new(),
        },
        seed: fields.take("seed")?,
        choices: fields.take("n")?,
        presence_penalty: fields.take("presence_penalty")?,
        frequency_penalty: fields.take("frequency_penalty")?,
        logit_bias: fields.take::<&RawValue>("logit_bias")?.map(Json::from),
        logprobs: fields.take("logprobs")?,
        top_logprobs: fields.take("top_logprobs")?,
        user: fields.take("user")?,
        tools,
        foreign_tools,
        tool_choice: None,
        parallel_tool_calls: fields.take("parallel_tool_calls")?,
        output: match fields.take::<ResponseFormat<'_>>("response_format")? {
            Some(format) => format.read()?,
            None => Output::Text,
        },
        // Some services have words of their own.
        effort: fields.take_known("reasoning_effort"),
        thinking_budget: None,
        dimensions: None,
        unknown: fields.rest(),
    };
    match tool_choice {
        Some(None) => options.unknown.push("tool_choice".to_owned()),
        known => options.tool_choice = known.flatten(),
    }
    Ok(options)
}

fn read_stop(stop: &RawValue) -> Result<Vec<String>, GatewayError> {
    let stops = if stop.get().starts_with('[') {
        read_as("stop", stop.get())?
    } else {
        read_as("stop", stop.get())?.map(|stop| vec![stop])
    };
    Ok(stops.unwrap_or_default())
}

/// The functions, and what else there is.
fn read_tools(
    fields: &mut Fields<'_>,
    unread: &mut Unread,
) -> Result<(Vec<Tool>, Vec<String>), GatewayError> {
    let (mut tools, mut foreign) = (Vec::new(), Vec::new());
    let listed = fields.take::<Vec<Fields<'_>>>("tools")?.unwrap_or_default();
    for (index, mut tool) in listed.into_iter().enumerate() {
        let wrong = |error: GatewayError| inside("tools", &format!("tools[{index}]"), &error);
        let kind: Cow<'_, str> = tool.require("type").map_err(wrong)?;
        if kind != "function" {
            foreign.push(format!("tools[{index}] ({kind})"));
            continue;
        }
        let function = tool.require("function").map_err(wrong)?;
        let read = read_function(function, unread);
        tools.push(read.map_err(|error| wrong(inside("function", "function", &error)))?);
        unread.note("tools", tool);
    }
    Ok((tools, foreign))
}

fn read_function(mut function: Fields<'_>, unread: &mut Unread) -> Result<Tool, GatewayError> {
    let tool = Tool {
        name: function.require("name")?,
        description: function.take("description")?,
        parameters: function.take::<&RawValue>("parameters")?.map(Json::from),
        strict: function.take("strict")?,
    };
    unread.note("tools.function", function);
    Ok(tool)
}

/// The choice; `None` for one that only this format has, such as `allowed_tools`.
fn read_tool_choice(choice: &RawValue) -> Result<Option<ToolChoice>, GatewayError> {
    #[derive(Deserialize)]
    struct Choice {
        r#type: Option<String>,
        function: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    if choice.get().starts_with('"') {
        return match choice.get() {
            r#""auto""# => Ok(Some(ToolChoice::Auto)),
            r#""none""# => Ok(Some(ToolChoice::None)),
            r#""required""# | r#""any""# => Ok(Some(ToolChoice::Required)),
            other => Err(invalid_field(
                "tool_choice",
                format!("tool_choice is {other}; it must be auto, none or required"),
            )),
        };
    }
    match read_as::<Choice>("tool_choice", choice.get())? {
        Some(Choice { function: Some(Named { name }), .. }) => Ok(Some(ToolChoice::Named(name))),
        Some(Choice { r#type: Some(kind), .. }) if kind != "function" => Ok(None),
        _ => Err(invalid_field("tool_choice", "tool_choice.function is missing")),
    }
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
struct JsonSchema<'a> {
    name: Option<String>,
    description: Option<String>,
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    strict: Option<bool>,
}

impl ResponseFormat<'_> {
    fn read(self) -> Result<Output, GatewayError> {
        match (self.r#type.as_ref(), self.json_schema) {
            ("text", _) => Ok(Output::Text),
            ("json_object", _) => Ok(Output::Json),
            ("json_schema", Some(JsonSchema { name, description, schema: Some(schema), strict })) => {
                Ok(Output::Schema(Schema {
                    name: name.unwrap_or_else(|| "answer".to_owned()),
                    description,
                    schema: Json::from(schema),
                    strict,
                }))
            }
            ("json_schema", _) => {
                Err(invalid_field("response_format", "response_format.json_schema.schema is missing"))
            }
            (other, _) => Err(invalid_field(
                "response_format",
                format!("response_format.type is \"{other}\"; it must be text, json_object or json_schema"),
            )),
        }
    }
}

/// A thought with what its provider wants back, as OpenRouter writes it.
#[derive(Deserialize)]
struct ReasoningDetail {
    text: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

fn read_message(mut message: Fields<'_>, unread: &mut Unread) -> Result<Message, GatewayError> {
    let role: Cow<'_, str> = message.require("role")?;
    let role = match role.as_ref() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => {
            let message =
                format!("role is \"{other}\"; it must be system, developer, user, assistant or tool");
            return Err(invalid(message));
        }
    };
    let content = match message.take("content")? {
        Some(content) => read_content(content, unread)?,
        None if role == Role::Assistant => Vec::new(),
        None => return Err(invalid("content is missing")),
    };
    let parts = match role {
        Role::System | Role::User => content,
        Role::Assistant => {
            // The reasoning of an earlier answer, as DeepSeek and others call it.
            let mut parts =
                read_reasoning(message.take("reasoning_content")?, message.take("reasoning_details")?);
            parts.extend(content);
            parts.extend(message.take("refusal")?.map(Part::Refusal));
            let calls = message.take::<Vec<&RawValue>>("tool_calls")?.unwrap_or_default();
            for (index, call) in calls.into_iter().enumerate() {
                let path = format!("tool_calls[{index}]");
                let read = read_call(call, unread);
                parts.push(read.map_err(|error| inside("tool_calls", &path, &error))?);
            }
            parts
        }
        Role::Tool => {
            let call_id = message.require("tool_call_id")?;
            vec![Part::ToolResult(ToolResult { call_id, parts: content, is_error: false })]
        }
    };
    let name = message.take("name")?;
    unread.note("messages", message);
    Ok(Message { role, parts, name })
}

fn read_reasoning(text: Option<String>, details: Option<Vec<ReasoningDetail>>) -> Vec<Part> {
    let detailed = details.into_iter().flatten().map(|detail| Reasoning {
        text: detail.text.unwrap_or_default(),
        signature: detail.signature,
        redacted: detail.data,
    });
    let mut thoughts: Vec<Reasoning> = detailed.collect();
    if let (true, Some(text)) = (thoughts.is_empty(), text.filter(|text| !text.is_empty())) {
        thoughts.push(Reasoning { text, ..Reasoning::default() });
    }
    thoughts.into_iter().map(Part::Reasoning).collect()
}

fn read_call(raw: &RawValue, unread: &mut Unread) -> Result<Part, GatewayError> {
    let Some(mut call) = read_as::<Fields<'_>>("type", raw.get())? else {
        return Err(invalid("null is no call"));
    };
    let kind: Option<Cow<'_, str>> = call.take("type")?;
    let Some(mut function) = call.take::<Fields<'_>>("function")? else {
        if kind.as_deref() == Some(CUSTOM_CALL) {
            let kind = CUSTOM_CALL.to_owned();
            return Ok(Part::Foreign(Foreign { wire: Wire::Openai, kind, json: Json::from(raw) }));
        }
        return Err(invalid("only calls of functions and custom tools are supported"));
    };
    let wrong = |error: GatewayError| inside("function", "function", &error);
    let read = ToolCall {
        id: call.require("id")?,
        name: function.require("name").map_err(wrong)?,
        arguments: function.require("arguments").map_err(wrong)?,
        signature: call.take("extra_content")?.and_then(ExtraContent::into_signature),
    };
    // Streams have it, and clients that put them together may keep it.
    call.pass_over(&["index"]);
    unread.note("messages.tool_calls", call);
    unread.note("messages.tool_calls.function", function);
    Ok(Part::ToolCall(read))
}

/// A string, or a list of parts.
fn read_content(content: &RawValue, unread: &mut Unread) -> Result<Vec<Part>, GatewayError> {
    Content::read_parts("content", content, |part| read_part(part, unread))
}

fn read_part(raw: &RawValue, unread: &mut Unread) -> Result<Part, GatewayError> {
    let Some(mut part) = read_as::<Fields<'_>>("type", raw.get())? else {
        return Err(invalid("type is missing"));
    };
    let kind: Cow<'_, str> = part.require("type")?;
    let read = match kind.as_ref() {
        "text" => Part::Text(part.require("text")?),
        "refusal" => Part::Refusal(part.require("refusal")?),
        "image_url" => Part::Image(read_image(part.require("image_url")?, unread)?),
        kind => {
            let kind = kind.to_owned();
            return Ok(Part::Foreign(Foreign { wire: Wire::Openai, kind, json: Json::from(raw) }));
        }
    };
    unread.note("messages.content", part);
    Ok(read)
}

fn read_image(raw: &RawValue, unread: &mut Unread) -> Result<Image, GatewayError> {
    // Some clients write the URL without an object around it.
    if raw.get().starts_with('"') {
        let Text(url) = read_as("image_url", raw.get())?.unwrap_or_default();
        return Ok(Image { source: ImageSource::of_url(&url), detail: None });
    }
    let wrong = |error: GatewayError| inside("image_url", "image_url", &error);
    let Some(mut image) = read_as::<Fields<'_>>("image_url", raw.get())? else {
        return Err(invalid("image_url is missing"));
    };
    let Text(url) = image.require("url").map_err(wrong)?;
    let detail = image.take("detail").map_err(wrong)?;
    unread.note("messages.content.image_url", image);
    Ok(Image { source: ImageSource::of_url(&url), detail })
}
