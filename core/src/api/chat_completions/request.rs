//! Reads a request of chat completions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::CompletionReply;
use crate::api::extra_content::ExtraContent;
use crate::api::fields::{Fields, invalid, invalid_field, read_as};
use crate::api::{Asked, Format, Request, Session};
use crate::chat::{
    Chat, Foreign, Image, ImageSource, Message, Options, Output, Part, Reasoning, Role, Schema, Tool,
    ToolCall, ToolChoice, ToolResult,
};
use crate::dialect::{CUSTOM_CALL, Wire};
use crate::error::GatewayError;
use crate::json::Json;
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
    let messages = fields.require::<Vec<WireMessage<'_>>>("messages")?;
    if messages.is_empty() {
        return Err(invalid_field("messages", "messages is empty"));
    }
    let messages = messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| message.read(&format!("messages[{index}]")))
        .collect::<Result<_, _>>()?;
    let options = read_options(fields)?;
    let native = Some(Native::new(Wire::Openai, body, places));
    Ok(Request {
        format: Format::ChatCompletions,
        task: Task::Chat(Box::new(Conversation {
            chat: Chat { messages, options, native, ..Chat::default() },
            stream,
            reply: Box::new(CompletionReply::new(stream_options.include_usage)),
        })),
        asked,
        session: Session::None,
    })
}

#[derive(Deserialize, Default)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

fn read_options(mut fields: Fields<'_>) -> Result<Options, GatewayError> {
    let max_tokens = fields.take("max_tokens")?;
    let max_completion_tokens = fields.take("max_completion_tokens")?;
    if max_tokens == Some(0) || max_completion_tokens == Some(0) {
        return Err(invalid_field("max_completion_tokens", "max_completion_tokens must be at least 1"));
    }
    let (tools, foreign_tools) = read_tools(&mut fields)?;
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

#[derive(Deserialize)]
struct WireTool<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    function: Option<WireFunction<'a>>,
}

#[derive(Deserialize)]
struct WireFunction<'a> {
    name: String,
    description: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
}

/// The functions, and what else there is.
fn read_tools(fields: &mut Fields<'_>) -> Result<(Vec<Tool>, Vec<String>), GatewayError> {
    let (mut tools, mut foreign) = (Vec::new(), Vec::new());
    for (index, tool) in
        fields.take::<Vec<WireTool<'_>>>("tools")?.unwrap_or_default().into_iter().enumerate()
    {
        match tool.function {
            Some(function) if tool.r#type == "function" => tools.push(Tool {
                name: function.name,
                description: function.description,
                parameters: function.parameters.map(Json::from),
                strict: function.strict,
            }),
            _ if tool.r#type == "function" => {
                return Err(invalid_field("tools", format!("tools[{index}].function is missing")));
            }
            _ => foreign.push(format!("tools[{index}] ({})", tool.r#type)),
        }
    }
    Ok((tools, foreign))
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

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    name: Option<String>,
    refusal: Option<String>,
    /// The reasoning of an earlier answer, as DeepSeek and others call it.
    reasoning_content: Option<String>,
    reasoning_details: Option<Vec<ReasoningDetail>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<&'a RawValue>>,
    tool_call_id: Option<String>,
}

/// A thought with what its provider wants back, as OpenRouter writes it.
#[derive(Deserialize)]
struct ReasoningDetail {
    text: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    id: String,
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<CalledFunction<'a>>,
    #[serde(borrow)]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Deserialize)]
struct CalledFunction<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Cow<'a, str>,
}

#[derive(Deserialize)]
struct WirePart<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    text: Option<String>,
    refusal: Option<String>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireImage<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    detail: Option<String>,
}

impl WireMessage<'_> {
    fn read(self, path: &str) -> Result<Message, GatewayError> {
        let role = match self.role.as_ref() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                let message = format!(
                    "{path}.role is \"{other}\"; it must be system, developer, user, assistant or tool"
                );
                return Err(invalid_field("messages", message));
            }
        };
        let content = match self.content {
            Some(content) => read_content(path, content)?,
            None if role == Role::Assistant => Vec::new(),
            None => return Err(invalid_field("messages", format!("{path}.content is missing"))),
        };
        let parts = match role {
            Role::System | Role::User => content,
            Role::Assistant => {
                let mut parts = read_reasoning(self.reasoning_content, self.reasoning_details);
                parts.extend(content);
                parts.extend(self.refusal.map(Part::Refusal));
                for call in self.tool_calls.into_iter().flatten() {
                    parts.push(read_call(path, call)?);
                }
                parts
            }
            Role::Tool => {
                let Some(call_id) = self.tool_call_id else {
                    return Err(invalid_field("messages", format!("{path}.tool_call_id is missing")));
                };
                vec![Part::ToolResult(ToolResult { call_id, parts: content, is_error: false })]
            }
        };
        Ok(Message { role, parts, name: self.name })
    }
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

fn read_call(path: &str, raw: &RawValue) -> Result<Part, GatewayError> {
    let wrong = |what: &str| invalid_field("messages", format!("{path}.tool_calls: {what}"));
    let call = read_as::<WireCall<'_>>("tool_calls", raw.get())
        .map_err(|error| invalid_field("messages", format!("{path}.{}", error.message)))?
        .ok_or_else(|| wrong("null is no call"))?;
    match (call.function, call.r#type.as_deref()) {
        (Some(function), _) => Ok(Part::ToolCall(ToolCall {
            id: call.id,
            name: function.name,
            arguments: function.arguments.into_owned(),
            signature: call.extra_content.and_then(ExtraContent::into_signature),
        })),
        (None, Some(CUSTOM_CALL)) => Ok(Part::Foreign(Foreign {
            wire: Wire::Openai,
            kind: CUSTOM_CALL.to_owned(),
            json: Json::from(raw),
        })),
        (None, _) => Err(wrong("only calls of functions and custom tools are supported")),
    }
}

/// A string, or a list of parts.
fn read_content(path: &str, content: &RawValue) -> Result<Vec<Part>, GatewayError> {
    let wrong = |error: GatewayError| invalid_field("messages", format!("{path}.{}", error.message));
    if content.get().starts_with('"') {
        let text: Option<String> = read_as("content", content.get()).map_err(wrong)?;
        return Ok(text.map(Part::Text).into_iter().collect());
    }
    let parts: Option<Vec<&RawValue>> = read_as("content", content.get()).map_err(wrong)?;
    let parts = parts.into_iter().flatten();
    parts
        .enumerate()
        .map(|(index, part)| read_part(&format!("content[{index}]"), part).map_err(wrong))
        .collect()
}

fn read_part(path: &str, raw: &RawValue) -> Result<Part, GatewayError> {
    let missing = |field: &str| invalid_field("messages", format!("{path}.{field} is missing"));
    let Some(part) = read_as::<WirePart<'_>>(path, raw.get())? else { return Err(missing("type")) };
    match part.r#type.as_ref() {
        "text" => part.text.map(Part::Text).ok_or_else(|| missing("text")),
        "refusal" => part.refusal.map(Part::Refusal).ok_or_else(|| missing("refusal")),
        "image_url" => {
            let url = part.image_url.ok_or_else(|| missing("image_url"))?;
            // Some clients write the URL without an object around it.
            let image = if url.get().starts_with('"') {
                read_as(path, url.get())?.map(|url| WireImage { url, detail: None })
            } else {
                read_as::<WireImage<'_>>(path, url.get())?
            };
            let image = image.ok_or_else(|| missing("image_url"))?;
            Ok(Part::Image(Image { source: ImageSource::of_url(&image.url), detail: image.detail }))
        }
        kind => {
            Ok(Part::Foreign(Foreign { wire: Wire::Openai, kind: kind.to_owned(), json: Json::from(raw) }))
        }
    }
}
