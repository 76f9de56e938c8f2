//! The rules of a Bedrock Converse request, and the complaints about what breaks them.
//!
//! The rules of content blocks and of the order of messages are in [`super::bedrock_blocks`].

use serde_json::{Map, Value};

use super::bedrock::invalid;
use super::bedrock_blocks::{self as blocks, Conversation};
use super::shape::{self, Kind, Misfit};
use super::{Refusal, Request, bedrock};
use crate::answer::{JsonOutput, Prompt, ToolChoice, count_words};

const FIELDS: &[(&str, Kind)] = &[
    ("messages", Kind::List),
    ("system", Kind::List),
    ("inferenceConfig", Kind::Object),
    ("toolConfig", Kind::Object),
    ("additionalModelRequestFields", Kind::Object),
    ("additionalModelResponseFieldPaths", Kind::List),
    ("guardrailConfig", Kind::Object),
    ("outputConfig", Kind::Object),
    ("performanceConfig", Kind::Object),
    ("promptVariables", Kind::Object),
    ("requestMetadata", Kind::Object),
    ("serviceTier", Kind::Object),
];
const INFERENCE_FIELDS: &[(&str, Kind)] = &[
    ("maxTokens", Kind::Integer),
    ("temperature", Kind::Number),
    ("topP", Kind::Number),
    ("stopSequences", Kind::List),
];
const TOOL_CONFIG_FIELDS: &[(&str, Kind)] = &[("tools", Kind::List), ("toolChoice", Kind::Object)];
const TOOL_KINDS: &[(&str, Kind)] =
    &[("toolSpec", Kind::Object), ("systemTool", Kind::Object), ("cachePoint", Kind::Object)];
const TOOL_FIELDS: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("inputSchema", Kind::Object),
    ("strict", Kind::Bool),
];
const CHOICE_KINDS: &[(&str, Kind)] =
    &[("auto", Kind::Object), ("any", Kind::Object), ("tool", Kind::Object)];
const SYSTEM_KINDS: &[(&str, Kind)] =
    &[("text", Kind::Text), ("guardContent", Kind::Object), ("cachePoint", Kind::Object)];
/// Field, smallest and largest value.
const RANGES: &[(&str, f64, f64)] =
    &[("maxTokens", 1.0, f64::MAX), ("temperature", 0.0, 1.0), ("topP", 0.0, 1.0)];
/// Models that know no sampling parameters and no begun answers.
const MODELS_WITHOUT_SAMPLING: &str = "claude-opus-4-7";
const NAME_LENGTH_MAX: usize = 64;

/// Checks a request; model and stream are part of the path.
pub(super) fn read(request: &Request<'_>) -> Result<Prompt, Refusal> {
    let Value::Object(body) = request.body else {
        return Err(bedrock::refusal(400, "SerializationException", "Start of structure or map expected"));
    };
    let model = request.path_model.unwrap_or_default();
    check(body, FIELDS, "#")?;
    check_inference(body)?;
    let (tools, tool_choice) = check_tools(body)?;
    let system = system(body)?;
    let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let conversation = blocks::read(messages)?;
    if conversation.has_tools && tools.is_none() {
        return Err(invalid(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ));
    }
    check_model(body, model, &conversation)?;
    let setting = |name: &str| body.get("inferenceConfig")?.get(name).filter(|value| !value.is_null());
    Ok(Prompt {
        model: model.to_owned(),
        history: conversation.history,
        text: conversation.text,
        words: conversation.words + system.as_deref().map_or(0, count_words),
        system,
        temperature: setting("temperature").map(Value::to_string),
        max_tokens: setting("maxTokens").and_then(Value::as_u64),
        stream: request.path_stream,
        include_usage: true,
        tools: tools.unwrap_or_default(),
        tool_choice,
        results: conversation.results,
        images: conversation.images,
        json: json_output(body)?,
        ..Prompt::default()
    })
}

/// Checks the fields of the object at `path`.
pub(super) fn check(object: &Map<String, Value>, fields: &[(&str, Kind)], path: &str) -> Result<(), Refusal> {
    shape::check(object, fields, str::to_owned).map_err(|misfit| match misfit {
        Misfit::Unknown { name } => invalid(&format!(
            "Malformed input request: {path}: extraneous key [{name}] is not permitted, please reformat your input \
             and try again."
        )),
        Misfit::Type { kind, value, .. } => {
            let message = format!("{} can not be converted to {}", shape::found(value), kind.words());
            bedrock::refusal(400, "SerializationException", &message)
        }
    })
}

/// The one member of a union, by name.
pub(super) fn member<'a>(
    value: &'a Value,
    kinds: &[(&str, Kind)],
    path: &str,
) -> Result<(&'a str, &'a Value), Refusal> {
    let Value::Object(fields) = value else {
        return Err(bedrock::refusal(400, "SerializationException", "Start of structure or map expected"));
    };
    check(fields, kinds, path)?;
    let mut members = fields.iter().filter(|(_, value)| !value.is_null());
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        _ => Err(invalid(&format!("The value at {path} must have exactly one member set."))),
    }
}

/// A complaint of the service model about one value.
pub(super) fn constraint(value: &str, path: &str, rule: &str) -> Refusal {
    invalid(&format!(
        "1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must {rule}"
    ))
}

fn check_inference(body: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(config) = body.get("inferenceConfig").and_then(Value::as_object) else { return Ok(()) };
    check(config, INFERENCE_FIELDS, "#/inferenceConfig")?;
    for (name, min, max) in RANGES {
        let Some(value) = config.get(*name).filter(|value| value.is_number()) else { continue };
        let number = value.as_f64().unwrap_or(f64::NAN);
        let (sign, limit) = match number {
            number if number < *min => ("greater", min),
            number if number > *max => ("less", max),
            _ => continue,
        };
        let rule = format!("have value {sign} than or equal to {limit}");
        return Err(constraint(&value.to_string(), &format!("inferenceConfig.{name}"), &rule));
    }
    let sequences = config.get("stopSequences").and_then(Value::as_array);
    for (index, sequence) in sequences.into_iter().flatten().enumerate() {
        if sequence.as_str().is_none_or(str::is_empty) {
            let path = format!("inferenceConfig.stopSequences.{}.member", index + 1);
            return Err(constraint("", &path, "have length greater than or equal to 1"));
        }
    }
    Ok(())
}

/// The names of the tools, if there is a configuration of tools at all, and the choice.
fn check_tools(body: &Map<String, Value>) -> Result<(Option<Vec<String>>, ToolChoice), Refusal> {
    let Some(config) = body.get("toolConfig").and_then(Value::as_object) else {
        return Ok((None, ToolChoice::Auto));
    };
    check(config, TOOL_CONFIG_FIELDS, "#/toolConfig")?;
    let tools = config.get("tools").and_then(Value::as_array).filter(|tools| !tools.is_empty());
    let Some(tools) = tools else {
        return Err(constraint("[]", "toolConfig.tools", "have length greater than or equal to 1"));
    };
    let mut names: Vec<String> = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let (kind, spec) = member(tool, TOOL_KINDS, &format!("#/toolConfig/tools/{index}"))?;
        let path = format!("toolConfig.tools.{index}.{kind}");
        let name = match (kind, spec.as_object()) {
            ("toolSpec", Some(spec)) => tool_spec(spec, &path)?,
            ("systemTool", Some(spec)) => spec.get("name").and_then(Value::as_str).unwrap_or_default(),
            _ => continue,
        };
        if names.iter().any(|known| known == name) {
            return Err(invalid(&format!("The tool {name} is already defined at toolConfig.tools.")));
        }
        names.push(name.to_owned());
    }
    let Some(choice) = config.get("toolChoice").filter(|choice| !choice.is_null()) else {
        return Ok((Some(names), ToolChoice::Auto));
    };
    let choice = match member(choice, CHOICE_KINDS, "#/toolConfig/toolChoice")? {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Any,
        (_, tool) => {
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
            if !names.iter().any(|known| known == name) {
                return Err(invalid(&format!(
                    "The tool {name} of toolConfig.toolChoice.tool is not defined at toolConfig.tools."
                )));
            }
            ToolChoice::Named(name.to_owned())
        }
    };
    Ok((Some(names), choice))
}

/// The name of a tool that keeps the rules.
fn tool_spec<'a>(spec: &'a Map<String, Value>, path: &str) -> Result<&'a str, Refusal> {
    check(spec, TOOL_FIELDS, &format!("#/{}", path.replace('.', "/")))?;
    let name = spec.get("name").and_then(Value::as_str).unwrap_or_default();
    check_identifier(name, &format!("{path}.name"))?;
    if spec.get("description").and_then(Value::as_str).is_some_and(str::is_empty) {
        return Err(constraint("", &format!("{path}.description"), "have length greater than or equal to 1"));
    }
    let schema = spec.get("inputSchema").and_then(|schema| schema.get("json"));
    let Some(schema) = schema.filter(|schema| schema.is_object()) else {
        return Err(invalid(&format!("The value at {path}.inputSchema.json must be an object.")));
    };
    if schema.get("type").is_none_or(|kind| kind != "object") {
        return Err(invalid(&format!(
            "The value at {path}.inputSchema.json.type must be one of the following: object."
        )));
    }
    Ok(name)
}

/// Names of tools and ids of calls: letters, digits, underscores and dashes.
pub(super) fn check_identifier(id: &str, path: &str) -> Result<(), Refusal> {
    if id.is_empty() || id.len() > NAME_LENGTH_MAX {
        let rule = format!("have length between 1 and {NAME_LENGTH_MAX}, inclusive");
        return Err(constraint(id, path, &rule));
    }
    if id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Ok(());
    }
    Err(constraint(id, path, "satisfy regular expression pattern: [a-zA-Z0-9_-]+"))
}

/// The system texts, joined by newlines.
fn system(body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let mut texts = Vec::new();
    let blocks = body.get("system").and_then(Value::as_array);
    for (index, block) in blocks.into_iter().flatten().enumerate() {
        let (kind, value) = member(block, SYSTEM_KINDS, &format!("#/system/{index}"))?;
        let Some(text) = value.as_str().filter(|_| kind == "text") else { continue };
        if text.trim().is_empty() {
            return Err(invalid(&format!(
                "The text field in the SystemContentBlock object at system.{index} is blank. Add text to the text \
                 field, and try again."
            )));
        }
        texts.push(text);
    }
    Ok((!texts.is_empty()).then(|| texts.join("\n")))
}

/// The JSON that is wanted; its schema is a text with JSON in it.
fn json_output(body: &Map<String, Value>) -> Result<Option<JsonOutput>, Refusal> {
    let Some(config) = body.get("outputConfig").and_then(Value::as_object) else { return Ok(None) };
    check(config, &[("textFormat", Kind::Object), ("effort", Kind::Text)], "#/outputConfig")?;
    let Some(format) = config.get("textFormat").and_then(Value::as_object) else { return Ok(None) };
    check(format, &[("type", Kind::Text), ("structure", Kind::Object)], "#/outputConfig/textFormat")?;
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        let path = "outputConfig.textFormat.type";
        return Err(constraint("", path, "satisfy enum value set: [json_schema]"));
    }
    let wanted = format.get("structure").and_then(|structure| structure.get("jsonSchema"));
    let schema = wanted.and_then(|wanted| wanted.get("schema")).and_then(Value::as_str);
    let schema = schema.and_then(|schema| serde_json::from_str::<Value>(schema).ok());
    match schema.filter(Value::is_object) {
        Some(schema) => Ok(Some(JsonOutput::Schema(schema))),
        None => Err(invalid(
            "The value at outputConfig.textFormat.structure.jsonSchema.schema must be a string that contains a JSON \
             schema.",
        )),
    }
}

/// What the model behind the service refuses.
fn check_model(body: &Map<String, Value>, model: &str, conversation: &Conversation) -> Result<(), Refusal> {
    let refused = |message: &str| invalid(&format!("The model returned the following errors: {message}"));
    let max = body.get("inferenceConfig").and_then(|config| config.get("maxTokens")).and_then(Value::as_u64);
    let extra = body.get("additionalModelRequestFields").and_then(Value::as_object);
    let thinking = extra.and_then(|extra| extra.get("thinking"));
    if let Some(budget) = thinking.and_then(|thinking| thinking.get("budget_tokens")?.as_u64())
        && (budget < 1024 || max.is_some_and(|max| max <= budget))
    {
        return Err(refused("`max_tokens` must be greater than `thinking.budget_tokens`."));
    }
    if !model.contains(MODELS_WITHOUT_SAMPLING) {
        return Ok(());
    }
    let config = body.get("inferenceConfig").and_then(Value::as_object);
    let given = |name: &str, fields: Option<&Map<String, Value>>| {
        fields.and_then(|fields| fields.get(name)).is_some_and(|value| !value.is_null())
    };
    for (name, fields) in [("temperature", config), ("topP", config), ("top_k", extra)] {
        if given(name, fields) {
            let name = if name == "topP" { "top_p" } else { name };
            return Err(refused(&format!("`{name}` is deprecated for this model.")));
        }
    }
    if conversation.ends_with_assistant {
        return Err(refused(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    Ok(())
}
