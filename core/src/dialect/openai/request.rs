//! The request of chat completions.
//!
//! What a client of the same format sent is passed on as it was written, but for what the gateway decides: the model,
//! the limits, what this provider cannot take.

use serde::Serialize;
use serde_json::Value;

use super::{OpenAi, messages};
use crate::chat::{Effort, Output, Schema, Tool, ToolChoice};
use crate::dialect::{Call, Wire, effort};
use crate::json::{Json, ObjectWriter};
use crate::native::Native;

/// Writes the body.
pub(super) fn write(openai: &OpenAi, call: &Call<'_>) -> Vec<u8> {
    let options = call.options;
    let native = call.chat.native.as_ref().filter(|native| native.wire() == Wire::Openai);
    let mut out = Vec::with_capacity(256 + call.chat.text_len());
    let mut body = ObjectWriter::new(&mut out);
    body.field("model", &call.model);
    messages::write(openai, call, native, body.key("messages"));
    let highest = openai.max_temperature.unwrap_or(f64::MAX);
    body.some("temperature", options.temperature.map(|temperature| temperature.min(highest)).as_ref());
    body.some("top_p", options.top_p.as_ref());
    body.some("top_k", options.top_k.as_ref());
    body.some(openai.max_tokens, call.max_tokens.as_ref());
    if !options.stop.is_empty() {
        body.field("stop", &options.stop);
    }
    body.some(openai.seed, options.seed.as_ref());
    body.some("n", options.choices.as_ref());
    body.some("presence_penalty", options.presence_penalty.as_ref());
    body.some("frequency_penalty", options.frequency_penalty.as_ref());
    body.some("logit_bias", options.logit_bias.as_ref());
    body.some("logprobs", options.logprobs.as_ref());
    body.some("top_logprobs", options.top_logprobs.as_ref());
    body.some("user", options.user.as_ref());
    write_effort(openai, call, &mut body);
    write_tools(openai, call, native, &mut body);
    match (&options.output, native.and_then(|native| native.get("response_format"))) {
        (Output::Text, _) => {}
        (_, Some(raw)) => body.raw("response_format", raw),
        (Output::Json, None) => body.raw("response_format", r#"{"type":"json_object"}"#),
        (Output::Schema(schema), None) => body.field("response_format", &response_format(schema)),
    }
    body.field("stream", &call.stream);
    if call.stream && openai.stream_options {
        body.field("stream_options", &stream_options(native));
    }
    if let Some(native) = native {
        for name in &options.unknown {
            if let Some(raw) = native.get(name) {
                body.raw(name, raw);
            }
        }
    }
    body.end();
    out
}

/// How much to think, in the words of the service.
fn write_effort(openai: &OpenAi, call: &Call<'_>, body: &mut ObjectWriter<'_>) {
    const SWITCH: &str = "thinking";
    let Some(effort) = call.options.effort_or_budget() else { return };
    let is_switched = call.options.unknown.iter().any(|name| name == SWITCH);
    if openai.thinks_unless_told && effort == Effort::None {
        if !is_switched {
            body.raw(SWITCH, r#"{"type":"disabled"}"#);
        }
        return;
    }
    body.field("reasoning_effort", &effort::nearest(effort, openai.efforts).name());
}

/// What the client said of its stream, and that tokens are counted.
fn stream_options(native: Option<&Native>) -> Value {
    let said = native.and_then(|native| serde_json::from_str(native.get("stream_options")?).ok());
    let mut options = match said {
        Some(Value::Object(options)) => options,
        _ => serde_json::Map::new(),
    };
    options.insert("include_usage".to_owned(), Value::Bool(true));
    Value::Object(options)
}

fn write_tools(openai: &OpenAi, call: &Call<'_>, native: Option<&Native>, body: &mut ObjectWriter<'_>) {
    let options = call.options;
    if options.tools.is_empty() && options.foreign_tools.is_empty() {
        return;
    }
    let lacks_parameters = openai.needs_parameters
        && options.foreign_tools.is_empty()
        && options.tools.iter().any(|tool| tool.parameters.is_none());
    let no_parameters = Json::parse(NO_PARAMETERS).filter(|_| lacks_parameters);
    match native.filter(|_| !lacks_parameters).and_then(|native| native.get("tools")) {
        Some(raw) => body.raw("tools", raw),
        None => {
            let tools = options.tools.iter().map(|tool| wire_tool(tool, no_parameters.as_ref()));
            body.field("tools", &tools.collect::<Vec<_>>());
        }
    }
    match &options.tool_choice {
        None => {}
        Some(ToolChoice::Required) => body.field("tool_choice", &openai.any_tool),
        Some(ToolChoice::Auto) => body.field("tool_choice", &"auto"),
        Some(ToolChoice::None) => body.field("tool_choice", &"none"),
        Some(ToolChoice::Named(name)) => {
            body.field("tool_choice", &Function { r#type: "function", function: Named { name } });
        }
    }
    body.some("parallel_tool_calls", options.parallel_tool_calls.as_ref());
}

#[derive(Serialize)]
struct Function<T> {
    r#type: &'static str,
    function: T,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

/// The schema of a tool without parameters.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

fn wire_tool<'t>(tool: &'t Tool, no_parameters: Option<&'t Json>) -> impl Serialize {
    #[derive(Serialize)]
    struct WireTool<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        parameters: Option<&'a Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    }
    Function {
        r#type: "function",
        function: WireTool {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_ref().or(no_parameters),
            strict: tool.strict,
        },
    }
}

fn response_format(schema: &Schema) -> impl Serialize {
    #[derive(Serialize)]
    struct Format<'a> {
        r#type: &'static str,
        json_schema: Named<'a>,
    }
    #[derive(Serialize)]
    struct Named<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        schema: &'a Json,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    }
    Format {
        r#type: "json_schema",
        json_schema: Named {
            name: &schema.name,
            description: schema.description.as_deref(),
            schema: &schema.schema,
            strict: schema.strict,
        },
    }
}
