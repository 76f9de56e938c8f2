//! The rules of an Anthropic Messages request, and the complaints about what breaks them.
//!
//! The rules of content blocks and of the order of messages are in [`super::anthropic_blocks`].

use http::HeaderMap;
use serde_json::{Map, Value};

use super::anthropic::invalid;
use super::anthropic_blocks::{self as blocks, Conversation};
use super::shape::{self, Kind, Misfit};
use super::{Refusal, Request};
use crate::answer::{JsonOutput, Prompt, ToolChoice, count_words};

const FIELDS: &[(&str, Kind)] = &[
    ("model", Kind::Text),
    ("messages", Kind::List),
    ("max_tokens", Kind::Integer),
    ("cache_control", Kind::Object),
    ("container", Kind::TextOrObject),
    ("context_management", Kind::Object),
    ("inference_geo", Kind::Text),
    ("mcp_servers", Kind::List),
    ("metadata", Kind::Object),
    ("output_config", Kind::Object),
    ("service_tier", Kind::Text),
    ("stop_sequences", Kind::List),
    ("stream", Kind::Bool),
    ("system", Kind::TextOrList),
    ("temperature", Kind::Number),
    ("thinking", Kind::Object),
    ("tool_choice", Kind::Object),
    ("tools", Kind::List),
    ("top_k", Kind::Integer),
    ("top_p", Kind::Number),
];
const TOOL_FIELDS: &[(&str, Kind)] = &[
    ("type", Kind::Text),
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("input_schema", Kind::Object),
    ("cache_control", Kind::Object),
    ("strict", Kind::Bool),
    ("defer_loading", Kind::Bool),
    ("eager_input_streaming", Kind::Bool),
    ("allowed_callers", Kind::List),
    ("input_examples", Kind::List),
];
const TOOL_CHOICE_FIELDS: &[(&str, Kind)] =
    &[("type", Kind::Text), ("name", Kind::Text), ("disable_parallel_tool_use", Kind::Bool)];
const THINKING_FIELDS: &[(&str, Kind)] =
    &[("type", Kind::Text), ("budget_tokens", Kind::Integer), ("display", Kind::Text)];
const OUTPUT_FIELDS: &[(&str, Kind)] = &[("effort", Kind::Text), ("format", Kind::Object)];
const FORMAT_FIELDS: &[(&str, Kind)] = &[("type", Kind::Text), ("schema", Kind::Object)];
/// Field, smallest and largest value.
const RANGES: &[(&str, f64, f64)] = &[
    ("max_tokens", 1.0, f64::MAX),
    ("temperature", 0.0, 1.0),
    ("top_p", 0.0, 1.0),
    ("top_k", 0.0, f64::MAX),
];
const SAMPLING: &[&str] = &["temperature", "top_p", "top_k"];
/// The version that knows no sampling parameters.
const VERSION_WITHOUT_SAMPLING: &str = "2026-10-21";
const VERSIONS: &[&str] = &["2023-01-01", "2023-06-01", VERSION_WITHOUT_SAMPLING];
/// Models that know no sampling parameters, no thinking budgets and no begun answers.
const MODELS_WITHOUT_SAMPLING: &str = "claude-opus-4-7";
const THINKING_BUDGET_MIN: u64 = 1024;
const CACHE_BREAKPOINTS_MAX: usize = 4;
const EFFORTS: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// Checks a request.
pub(crate) fn read(request: &Request<'_>) -> Result<Prompt, Refusal> {
    let version = check_version(request.headers)?;
    let Value::Object(body) = request.body else {
        return Err(invalid("The request body must be a JSON object."));
    };
    let field = |name: &str| body.get(name).filter(|value| !value.is_null());
    for name in ["model", "messages", "max_tokens"] {
        if field(name).is_none() {
            return Err(invalid(&format!("{name}: Field required")));
        }
    }
    if version == VERSION_WITHOUT_SAMPLING
        && let Some(name) = SAMPLING.iter().find(|name| field(name).is_some())
    {
        return Err(invalid(&format!("{name}: Extra inputs are not permitted")));
    }
    check(body, FIELDS, "")?;
    let model = field("model").and_then(Value::as_str).unwrap_or_default();
    if model.is_empty() {
        return Err(invalid("model: String should have at least 1 character"));
    }
    check_values(body)?;
    let tools = check_tools(body)?;
    let (tool_choice, single_call) = check_tool_choice(body, &tools)?;
    let thinks = check_thinking(body, model, &tool_choice)?;
    let json = check_output(body)?;
    let system = system(body)?;
    let messages = field("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let conversation = blocks::read(messages, version == VERSION_WITHOUT_SAMPLING)?;
    check_model(body, model, &conversation)?;
    if thinks {
        conversation.check_thinking()?;
    }
    let breakpoints = breakpoints(&Value::Object(body.clone()));
    if breakpoints > CACHE_BREAKPOINTS_MAX {
        return Err(invalid(&format!(
            "A maximum of {CACHE_BREAKPOINTS_MAX} blocks with cache_control may be provided. Found {breakpoints}."
        )));
    }
    Ok(Prompt {
        model: model.to_owned(),
        history: conversation.history,
        text: conversation.text,
        words: conversation.words + system.as_deref().map_or(0, count_words),
        system,
        temperature: field("temperature").map(Value::to_string),
        max_tokens: field("max_tokens").and_then(Value::as_u64),
        stream: field("stream").and_then(Value::as_bool).unwrap_or(false),
        include_usage: true,
        tools,
        tool_choice,
        single_call,
        results: conversation.results,
        images: conversation.images,
        json,
        ..Prompt::default()
    })
}

fn check_version(headers: &HeaderMap) -> Result<&str, Refusal> {
    let version = headers.get("anthropic-version").and_then(|value| value.to_str().ok());
    let version = version.ok_or_else(|| invalid("anthropic-version: header is required"))?;
    if VERSIONS.contains(&version) {
        return Ok(version);
    }
    Err(invalid(&format!("anthropic-version: \"{version}\" is not a valid version")))
}

/// Checks the fields of the object at `path`.
pub(super) fn check(object: &Map<String, Value>, fields: &[(&str, Kind)], path: &str) -> Result<(), Refusal> {
    let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    shape::check(object, fields, str::to_owned).map_err(|misfit| match misfit {
        Misfit::Unknown { name } => invalid(&format!("{}: Extra inputs are not permitted", place(name))),
        Misfit::Type { name, kind, .. } => {
            let expected = match kind {
                Kind::Text => "a valid string",
                Kind::Number => "a valid number",
                Kind::Integer => "a valid integer",
                Kind::Bool => "a valid boolean",
                Kind::List => "a valid array",
                Kind::Object => "an object",
                Kind::TextOrList => "a string or an array",
                _ => "a string or an object",
            };
            invalid(&format!("{}: Input should be {expected}", place(name)))
        }
    })
}

fn check_values(body: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, min, max) in RANGES {
        let Some(number) = body.get(*name).and_then(Value::as_f64) else { continue };
        let (sign, limit) = match number {
            number if number < *min => ("greater", min),
            number if number > *max => ("less", max),
            _ => continue,
        };
        return Err(invalid(&format!("{name}: Input should be {sign} than or equal to {limit}")));
    }
    let sequences = body.get("stop_sequences").and_then(Value::as_array);
    for (index, sequence) in sequences.into_iter().flatten().enumerate() {
        match sequence.as_str() {
            None => {
                return Err(invalid(&format!("stop_sequences.{index}: Input should be a valid string")));
            }
            Some(text) if text.trim().is_empty() => {
                return Err(invalid("stop_sequences: each stop sequence must contain non-whitespace"));
            }
            Some(_) => {}
        }
    }
    if let Some(metadata) = body.get("metadata").and_then(Value::as_object) {
        check(metadata, &[("user_id", Kind::Text)], "metadata")?;
    }
    let tier = body.get("service_tier").and_then(Value::as_str);
    if tier.is_some_and(|tier| !["auto", "standard_only"].contains(&tier)) {
        return Err(invalid("service_tier: Input should be 'auto' or 'standard_only'"));
    }
    Ok(())
}

/// The names of the tools.
fn check_tools(body: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let mut names: Vec<String> = Vec::new();
    let tools = body.get("tools").and_then(Value::as_array);
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        let path = format!("tools.{index}");
        let Value::Object(fields) = tool else {
            return Err(invalid(&format!("{path}: Input should be an object")));
        };
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or("custom");
        let name = fields.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid(&format!("{path}.{kind}.name: Field required")))?;
        // Tools of the provider itself have a dated type, and fields of their own.
        if kind == "custom" {
            check_custom_tool(fields, name, &format!("{path}.custom"))?;
        }
        if names.iter().any(|known| known == name) {
            return Err(invalid("tools: Tool names must be unique."));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn check_custom_tool(fields: &Map<String, Value>, name: &str, path: &str) -> Result<(), Refusal> {
    check(fields, TOOL_FIELDS, path)?;
    if !blocks::is_identifier(name, 128) {
        return Err(invalid(&format!("{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")));
    }
    let Some(schema) = fields.get("input_schema").filter(|schema| schema.is_object()) else {
        return Err(invalid(&format!("{path}.input_schema: Field required")));
    };
    match schema.get("type") {
        None => Err(invalid(&format!("{path}.input_schema.type: Field required"))),
        Some(kind) if kind == "object" => {
            if fields.get("strict") == Some(&Value::Bool(true)) {
                check_closed(schema, &format!("{path}.input_schema"))?;
            }
            Ok(())
        }
        Some(_) => Err(invalid(&format!("{path}.input_schema.type: Input should be 'object'"))),
    }
}

/// The choice, and whether only one call is wanted at a time.
fn check_tool_choice(body: &Map<String, Value>, tools: &[String]) -> Result<(ToolChoice, bool), Refusal> {
    let Some(choice) = body.get("tool_choice").and_then(Value::as_object) else {
        return Ok((ToolChoice::Auto, false));
    };
    check(choice, TOOL_CHOICE_FIELDS, "tool_choice")?;
    if tools.is_empty() {
        return Err(invalid("tool_choice: tool_choice may only be specified while providing tools"));
    }
    let kind = choice.get("type").and_then(Value::as_str).unwrap_or_default();
    let name = choice.get("name").and_then(Value::as_str);
    let extra = |name: &str| invalid(&format!("tool_choice.{kind}.{name}: Extra inputs are not permitted"));
    if kind != "tool" && name.is_some() {
        return Err(extra("name"));
    }
    let single = choice.get("disable_parallel_tool_use").and_then(Value::as_bool);
    let choice = match (kind, name) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Any,
        ("none", _) if single.is_some() => return Err(extra("disable_parallel_tool_use")),
        ("none", _) => ToolChoice::None,
        ("tool", None) => return Err(invalid("tool_choice.tool.name: Field required")),
        ("tool", Some(name)) if tools.iter().any(|tool| tool == name) => ToolChoice::Named(name.to_owned()),
        ("tool", Some(name)) => {
            return Err(invalid(&format!("tool_choice: Tool '{name}' not found in provided tools")));
        }
        _ => {
            return Err(invalid(&format!(
                "tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: \
                 'auto', 'any', 'tool', 'none'"
            )));
        }
    };
    Ok((choice, single.unwrap_or(false)))
}

/// Whether thinking with a budget is on.
fn check_thinking(body: &Map<String, Value>, model: &str, tool_choice: &ToolChoice) -> Result<bool, Refusal> {
    let Some(thinking) = body.get("thinking").and_then(Value::as_object) else { return Ok(false) };
    check(thinking, THINKING_FIELDS, "thinking")?;
    let kind = thinking.get("type").and_then(Value::as_str).unwrap_or_default();
    let budget = thinking.get("budget_tokens").and_then(Value::as_u64);
    let extra = |name: &str| invalid(&format!("thinking.{kind}.{name}: Extra inputs are not permitted"));
    if kind != "enabled" && thinking.contains_key("budget_tokens") {
        return Err(extra("budget_tokens"));
    }
    match kind {
        "adaptive" => return Ok(false),
        "disabled" if thinking.contains_key("display") => return Err(extra("display")),
        "disabled" => return Ok(false),
        "enabled" => {}
        _ => {
            return Err(invalid(&format!(
                "thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: \
                 'adaptive', 'disabled', 'enabled'"
            )));
        }
    }
    if model.starts_with(MODELS_WITHOUT_SAMPLING) {
        return Err(invalid(
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior.",
        ));
    }
    let budget = budget.ok_or_else(|| invalid("thinking.enabled.budget_tokens: Field required"))?;
    if budget < THINKING_BUDGET_MIN {
        return Err(invalid(&format!(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to {THINKING_BUDGET_MIN}"
        )));
    }
    if body.get("max_tokens").and_then(Value::as_u64).is_some_and(|max| max <= budget) {
        return Err(invalid("`max_tokens` must be greater than `thinking.budget_tokens`."));
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|value| value != 1.0) {
        return Err(invalid("`temperature` may only be set to 1 when thinking is enabled."));
    }
    if body.get("top_k").is_some_and(|value| !value.is_null()) {
        return Err(invalid("`top_k` must be unset when thinking is enabled."));
    }
    if matches!(tool_choice, ToolChoice::Any | ToolChoice::Named(_)) {
        return Err(invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(true)
}

/// The JSON that is wanted.
fn check_output(body: &Map<String, Value>) -> Result<Option<JsonOutput>, Refusal> {
    let Some(output) = body.get("output_config").and_then(Value::as_object) else { return Ok(None) };
    check(output, OUTPUT_FIELDS, "output_config")?;
    let effort = output.get("effort").and_then(Value::as_str);
    if effort.is_some_and(|effort| !EFFORTS.contains(&effort)) {
        let expected = EFFORTS.join("', '");
        return Err(invalid(&format!("output_config.effort: Input should be '{expected}'")));
    }
    let Some(format) = output.get("format").and_then(Value::as_object) else { return Ok(None) };
    check(format, FORMAT_FIELDS, "output_config.format")?;
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return Err(invalid("output_config.format.type: Input should be 'json_schema'"));
    }
    let Some(schema) = format.get("schema").filter(|schema| schema.is_object()) else {
        return Err(invalid("output_config.format.schema: Field required"));
    };
    check_closed(schema, "output_config.format.schema")?;
    Ok(Some(JsonOutput::Schema(schema.clone())))
}

/// Every object of a schema that is enforced must say that it has no other properties.
fn check_closed(schema: &Value, path: &str) -> Result<(), Refusal> {
    if schema.get("type").is_some_and(|kind| kind == "object")
        && schema.get("additionalProperties") != Some(&Value::Bool(false))
    {
        return Err(invalid(&format!(
            "{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )));
    }
    let lists = ["anyOf", "allOf"].iter().filter_map(|name| schema.get(*name)?.as_array()).flatten();
    let maps = ["properties", "$defs", "definitions"];
    let maps = maps.iter().filter_map(|name| schema.get(*name)?.as_object()).flat_map(Map::values);
    lists.chain(maps).chain(schema.get("items")).try_for_each(|schema| check_closed(schema, path))
}

/// The system texts, joined by newlines.
fn system(body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    match body.get("system") {
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                texts.push(blocks::text(part, &format!("system.{index}"), "system")?);
            }
            Ok(Some(texts.join("\n")).filter(|text| !text.is_empty()))
        }
        _ => Ok(None),
    }
}

/// What only some models refuse.
fn check_model(body: &Map<String, Value>, model: &str, conversation: &Conversation) -> Result<(), Refusal> {
    if !model.starts_with(MODELS_WITHOUT_SAMPLING) {
        return Ok(());
    }
    let given = |name: &&&str| body.get(**name).is_some_and(|value| !value.is_null());
    if let Some(name) = SAMPLING.iter().find(given) {
        return Err(invalid(&format!("`{name}` is deprecated for this model.")));
    }
    if conversation.ends_with_assistant {
        return Err(invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    Ok(())
}

/// How many cache breakpoints there are; schemas and inputs of tools are data and not looked into.
fn breakpoints(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(breakpoints).sum(),
        Value::Object(fields) => {
            let own = usize::from(fields.get("cache_control").is_some_and(Value::is_object));
            let inner = fields.iter().filter(|(name, _)| !["input", "input_schema"].contains(&name.as_str()));
            own + inner.map(|(_, value)| breakpoints(value)).sum::<usize>()
        }
        _ => 0,
    }
}
