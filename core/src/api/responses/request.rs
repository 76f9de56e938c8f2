//! Reads a request of Responses.
//!
//! Some fields mean nothing here and are passed over without a word: `include` (what there is of reasoning comes in any
//! case), `truncation`, `service_tier`, `prompt_cache_key`, `prompt_cache_retention`, `prompt_cache_options` and
//! `stream_options`. Every other field that has no meaning in the canonical chat is reported as left out.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::echo::Echo;
use super::input::read_input;
use super::reply::ResponseReply;
use super::response_id;
use crate::api::fields::{Fields, Unread, inside, invalid, invalid_field, read_as};
use crate::api::request::previous_response;
use crate::api::{Asked, Format, Request, Session};
use crate::chat::{Chat, Message, Options, Output, Role, Schema, Tool, ToolChoice, Words};
use crate::error::GatewayError;
use crate::json::{self, Json};
use crate::task::{Conversation, Task};

/// Fields that change nothing about the answer.
const MEANINGLESS: [&str; 6] = [
    "include",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "stream_options",
];

/// Fields without which the answer would be another, or come another way.
const REFUSED: [&str; 2] = ["conversation", "prompt"];

/// Reads a request body.
///
/// # Errors
/// `OPTION_ERROR` that names the field.
pub(in crate::api) fn read(body: Vec<u8>) -> Result<Request, GatewayError> {
    let body = String::from_utf8(body).map_err(|_| invalid("the request body is not UTF-8"))?;
    let mut fields = Fields::parse(&body)?;
    refuse(&mut fields)?;
    let asked = Asked { model: fields.take("model")?, models: fields.take("models")?, route: None };
    asked.check()?;
    let stream = fields.take("stream")?.unwrap_or(false);
    let mut echo = Echo::default();
    let session = read_session(&mut fields, &mut echo)?;
    echo.instructions = fields.take("instructions")?;
    let instructions = echo.instructions.iter().filter(|text| !text.is_empty());
    let mut messages: Vec<Message> = instructions.map(|text| Message::of_text(Role::System, text)).collect();
    let mut unread = Unread::default();
    read_input(fields.require("input")?, &mut messages, &mut unread)?;
    let options = read_options(fields, &mut echo, &mut unread)?;
    Ok(Request {
        format: Format::Responses,
        task: Task::Chat(Box::new(Conversation {
            chat: Chat {
                messages,
                options,
                unread: unread.into_names(),
                words: Words::Responses,
                ..Chat::default()
            },
            stream,
            reply: Box::new(ResponseReply::new(echo)),
        })),
        asked,
        session,
        resume: None,
    })
}

fn refuse(fields: &mut Fields<'_>) -> Result<(), GatewayError> {
    for name in REFUSED {
        if fields.take::<&RawValue>(name)?.is_some() {
            return Err(invalid_field(name, format!("{name} is not supported")));
        }
    }
    if fields.take("background")? == Some(true) {
        return Err(invalid_field("background", "background: true is not supported"));
    }
    Ok(())
}

fn read_session(fields: &mut Fields<'_>, echo: &mut Echo) -> Result<Session, GatewayError> {
    let is_stored = fields.take("store")?.unwrap_or(true);
    let Some(previous) = fields.take::<String>("previous_response_id")? else {
        return Ok(if is_stored { Session::New } else { Session::None });
    };
    let Some((id, turn)) = response_id::parse(&previous) else {
        return Err(previous_response("is unknown"));
    };
    echo.previous_response_id = Some(previous);
    let after = Some(turn);
    Ok(if is_stored { Session::Continue { id, after } } else { Session::Recall { id, after } })
}

fn read_options(
    mut fields: Fields<'_>,
    echo: &mut Echo,
    unread: &mut Unread,
) -> Result<Options, GatewayError> {
    for name in MEANINGLESS {
        fields.take::<&RawValue>(name)?;
    }
    let compact = |raw: &RawValue| Json::parse(json::compact(raw.get()));
    echo.truncation = fields.take("truncation")?;
    echo.metadata = fields.take("metadata")?.and_then(compact);
    echo.max_output_tokens = fields.take("max_output_tokens")?;
    if echo.max_output_tokens == Some(0) {
        return Err(invalid_field("max_output_tokens", "max_output_tokens must be at least 1"));
    }
    echo.temperature = fields.take("temperature")?;
    echo.top_p = fields.take("top_p")?;
    echo.parallel_tool_calls = fields.take("parallel_tool_calls")?;
    echo.user = fields.take("user")?;
    echo.safety_identifier = fields.take("safety_identifier")?;
    let mut options = Options {
        temperature: echo.temperature,
        top_p: echo.top_p,
        max_tokens: echo.max_output_tokens,
        parallel_tool_calls: echo.parallel_tool_calls,
        user: echo.safety_identifier.clone().or_else(|| echo.user.clone()),
        ..Options::default()
    };
    if let Some(tools) = fields.take::<&RawValue>("tools")? {
        echo.tools = compact(tools);
        (options.tools, options.foreign_tools) = read_tools(tools, unread)?;
    }
    if let Some(choice) = fields.take::<&RawValue>("tool_choice")? {
        echo.tool_choice = compact(choice);
        options.tool_choice = Some(read_tool_choice(choice)?);
    }
    if let Some(text) = fields.take::<&RawValue>("text")? {
        echo.text = compact(text);
        if let Some(text) = read_as("text", text.get())? {
            read_text(text, &mut options, unread).map_err(|error| inside("text", "text", &error))?;
        }
    }
    if let Some(reasoning) = fields.take::<&RawValue>("reasoning")? {
        echo.reasoning = compact(reasoning);
        if let Some(mut reasoning) = read_as::<Fields<'_>>("reasoning", reasoning.get())? {
            let effort = reasoning.take("effort");
            options.effort = effort.map_err(|error| inside("reasoning", "reasoning", &error))?;
            // What there is of reasoning comes in any case.
            reasoning.pass_over(&["summary", "generate_summary"]);
            unread.note("reasoning", reasoning);
        }
    }
    // Nobody would see the probabilities.
    let of_none = fields.take::<u32>("top_logprobs")?.is_none_or(|count| count == 0);
    options.unknown.extend((!of_none).then(|| "top_logprobs".to_owned()));
    options.unknown.extend(fields.rest());
    Ok(options)
}

/// The functions, and what else there is.
fn read_tools(tools: &RawValue, unread: &mut Unread) -> Result<(Vec<Tool>, Vec<String>), GatewayError> {
    let (mut functions, mut foreign) = (Vec::new(), Vec::new());
    let listed: Option<Vec<Fields<'_>>> = read_as("tools", tools.get())?;
    for (index, mut tool) in listed.unwrap_or_default().into_iter().enumerate() {
        let wrong = |error: GatewayError| inside("tools", &format!("tools[{index}]"), &error);
        let kind: Cow<'_, str> = tool.require("type").map_err(wrong)?;
        if kind == "function" {
            functions.push(read_function(tool, unread).map_err(wrong)?);
        } else {
            foreign.push(format!("tools[{index}] ({kind})"));
        }
    }
    Ok((functions, foreign))
}

fn read_function(mut tool: Fields<'_>, unread: &mut Unread) -> Result<Tool, GatewayError> {
    let read = Tool {
        name: tool.require("name")?,
        description: tool.take("description")?,
        parameters: tool.take::<&RawValue>("parameters")?.map(Json::from),
        strict: tool.take("strict")?,
    };
    unread.note("tools", tool);
    Ok(read)
}

fn read_tool_choice(choice: &RawValue) -> Result<ToolChoice, GatewayError> {
    let wrong = |error: GatewayError| inside("tool_choice", "tool_choice", &error);
    match choice.get() {
        r#""auto""# => return Ok(ToolChoice::Auto),
        r#""none""# => return Ok(ToolChoice::None),
        r#""required""# => return Ok(ToolChoice::Required),
        text if text.starts_with('"') => {
            let message = format!("tool_choice is {text}; it must be auto, none, required or a function");
            return Err(invalid_field("tool_choice", message));
        }
        _ => {}
    }
    let Some(mut choice) = read_as::<Fields<'_>>("tool_choice", choice.get())? else {
        return Err(wrong(invalid("type is missing")));
    };
    let kind: Cow<'_, str> = choice.require("type").map_err(wrong)?;
    if kind != "function" {
        return Err(wrong(invalid(format!("type is \"{kind}\"; it must be function"))));
    }
    choice.require("name").map(ToolChoice::Named).map_err(wrong)
}

fn read_text(mut text: Fields<'_>, options: &mut Options, unread: &mut Unread) -> Result<(), GatewayError> {
    if let Some(format) = text.take::<Fields<'_>>("format")? {
        options.output = read_format(format).map_err(|error| inside("text", "format", &error))?;
    }
    unread.note("text", text);
    Ok(())
}

fn read_format(mut format: Fields<'_>) -> Result<Output, GatewayError> {
    let kind: Cow<'_, str> = format.require("type")?;
    match kind.as_ref() {
        "text" => Ok(Output::Text),
        "json_object" => Ok(Output::Json),
        "json_schema" => Ok(Output::Schema(Schema {
            name: format.require("name")?,
            description: format.take("description")?,
            schema: format.require::<&RawValue>("schema").map(Json::from)?,
            strict: format.take("strict")?,
        })),
        other => Err(invalid(format!("type is \"{other}\"; it must be text, json_object or json_schema"))),
    }
}
