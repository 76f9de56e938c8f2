//! The rules of an OpenAI chat completion request, and the complaints about what breaks them.

use serde_json::{Map, Value};

use super::Refusal;
use super::openai::error;
use super::shape::{self, Kind, Misfit};
use crate::answer::{Prompt, count_words};

const FIELDS: &[(&str, Kind)] = &[
    ("messages", Kind::List),
    ("model", Kind::Text),
    ("audio", Kind::Object),
    ("frequency_penalty", Kind::Number),
    ("function_call", Kind::TextOrObject),
    ("functions", Kind::List),
    ("logit_bias", Kind::Object),
    ("logprobs", Kind::Bool),
    ("max_completion_tokens", Kind::Integer),
    ("max_tokens", Kind::Integer),
    ("metadata", Kind::Object),
    ("modalities", Kind::List),
    ("n", Kind::Integer),
    ("parallel_tool_calls", Kind::Bool),
    ("prediction", Kind::Object),
    ("presence_penalty", Kind::Number),
    ("prompt_cache_key", Kind::Text),
    ("prompt_cache_options", Kind::Object),
    ("reasoning_effort", Kind::Text),
    ("response_format", Kind::Object),
    ("safety_identifier", Kind::Text),
    ("seed", Kind::Integer),
    ("service_tier", Kind::Text),
    ("stop", Kind::TextOrList),
    ("store", Kind::Bool),
    ("stream", Kind::Bool),
    ("stream_options", Kind::Object),
    ("temperature", Kind::Number),
    ("tool_choice", Kind::TextOrObject),
    ("tools", Kind::List),
    ("top_logprobs", Kind::Integer),
    ("top_p", Kind::Number),
    ("user", Kind::Text),
    ("verbosity", Kind::Text),
    ("web_search_options", Kind::Object),
];
const MESSAGE_FIELDS: &[(&str, Kind)] = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("name", Kind::Text),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
    ("function_call", Kind::Object),
    ("refusal", Kind::Text),
    ("audio", Kind::Object),
];
const STREAM_FIELDS: &[(&str, Kind)] = &[("include_usage", Kind::Bool), ("include_obfuscation", Kind::Bool)];
const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];
const PART_TYPES: &[&str] = &["text", "image_url", "input_audio", "file", "refusal"];
/// Field, smallest and largest value.
const RANGES: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("top_logprobs", 0.0, 20.0),
    ("max_tokens", 1.0, f64::MAX),
    ("max_completion_tokens", 1.0, f64::MAX),
    // The real provider gives up to 128 choices; the simulator answers with one.
    ("n", 1.0, 1.0),
];
/// Model families that refuse `max_tokens` and any temperature but the default.
const REASONING_FAMILIES: &[&str] = &["o1", "o3", "o4", "gpt-5"];
const STOP_SEQUENCES_MAX: usize = 4;

/// Checks a request body.
pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    let Value::Object(request) = body else {
        return Err(invalid(
            "We could not parse the JSON body of your request: expected an object.",
            None,
            None,
        ));
    };
    check_fields(request)?;
    let Some(model) = request.get("model").and_then(Value::as_str).filter(|model| !model.is_empty()) else {
        return Err(invalid("you must provide a model parameter", None, None));
    };
    check_messages(request)?;
    check_ranges(request)?;
    check_stop(request)?;
    check_combinations(request)?;
    if REASONING_FAMILIES.iter().any(|family| model.starts_with(family)) {
        check_reasoning_model(request, model)?;
    }
    let mut prompt = prompt(request);
    let options = request.get("stream_options").and_then(Value::as_object);
    let option = |name| options.and_then(|options| options.get(name)).and_then(Value::as_bool);
    prompt.include_usage = option("include_usage").unwrap_or(false);
    prompt.obfuscation = option("include_obfuscation").unwrap_or(true);
    Ok(prompt)
}

/// The prompt of a request that keeps the rules; also DeepSeek's, which has the same messages.
pub(super) fn prompt(request: &Map<String, Value>) -> Prompt {
    let no_messages = Vec::new();
    let messages = request.get("messages").and_then(Value::as_array).unwrap_or(&no_messages);
    let role = |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_system = |message: &Value| matches!(role(message).as_str(), "system" | "developer");
    let system: Vec<String> =
        messages.iter().filter(|message| is_system(message)).map(content_text).collect();
    let last_user = messages.iter().rposition(|message| role(message) == "user");
    let max = request.get("max_completion_tokens").or_else(|| request.get("max_tokens"));
    Prompt {
        model: request.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
        system: (!system.is_empty()).then(|| system.join("\n")),
        history: messages
            .iter()
            .take(last_user.unwrap_or(messages.len()))
            .filter(|message| !is_system(message))
            .count(),
        text: last_user.and_then(|index| messages.get(index)).map(content_text).unwrap_or_default(),
        words: messages.iter().map(|message| count_words(&content_text(message))).sum(),
        temperature: request.get("temperature").filter(|value| !value.is_null()).map(Value::to_string),
        max_tokens: max.and_then(Value::as_u64),
        stream: request.get("stream").and_then(Value::as_bool).unwrap_or(false),
        include_usage: false,
        obfuscation: false,
    }
}

fn invalid(message: &str, param: Option<&str>, code: Option<&str>) -> Refusal {
    Refusal { status: 400, body: error(message, "invalid_request_error", param, code) }
}

fn check_fields(request: &Map<String, Value>) -> Result<(), Refusal> {
    shape::check(request, FIELDS, str::to_owned).map_err(|misfit| match misfit {
        Misfit::Unknown { name } => {
            let message = format!("Unrecognized request argument supplied: {name}");
            invalid(&message, Some(name), Some("unknown_parameter"))
        }
        Misfit::Type { .. } => nested(misfit, ""),
    })
}

/// A misfit inside the object at `path`.
fn nested(misfit: Misfit<'_>, path: &str) -> Refusal {
    let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match misfit {
        Misfit::Unknown { name } => {
            let param = place(name);
            invalid(&format!("Unknown parameter: '{param}'."), Some(&param), Some("unknown_parameter"))
        }
        Misfit::Type { name, kind, value } => {
            let param = place(name);
            let (expected, found) = (kind.words(), shape::found(value));
            let message =
                format!("Invalid type for '{param}': expected {expected}, but got {found} instead.");
            invalid(&message, Some(&param), Some("invalid_type"))
        }
    }
}

fn check_messages(request: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(Value::Array(messages)) = request.get("messages") else {
        let message = "Missing required parameter: 'messages'.";
        return Err(invalid(message, Some("messages"), Some("missing_required_parameter")));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
        return Err(invalid(message, Some("messages"), Some("empty_array")));
    }
    messages
        .iter()
        .enumerate()
        .try_for_each(|(index, message)| check_message(message, &format!("messages[{index}]")))
}

fn check_message(message: &Value, path: &str) -> Result<(), Refusal> {
    let Value::Object(message) = message else {
        let text =
            format!("Invalid type for '{path}': expected an object, but got {}.", shape::found(message));
        return Err(invalid(&text, Some(path), Some("invalid_type")));
    };
    shape::check(message, MESSAGE_FIELDS, str::to_owned).map_err(|misfit| nested(misfit, path))?;
    let missing = |name: &str| {
        let param = format!("{path}.{name}");
        let text = format!("Missing required parameter: '{param}'.");
        invalid(&text, Some(&param), Some("missing_required_parameter"))
    };
    let role = message.get("role").and_then(Value::as_str).ok_or_else(|| missing("role"))?;
    if !ROLES.contains(&role) {
        let param = format!("{path}.role");
        let text = format!("Invalid value: '{role}'. Supported values are: '{}'.", ROLES.join("', '"));
        return Err(invalid(&text, Some(&param), Some("invalid_value")));
    }
    let calls_tools =
        role == "assistant" && ["tool_calls", "function_call"].iter().any(|f| message.contains_key(*f));
    if role == "tool" && !message.contains_key("tool_call_id") {
        return Err(missing("tool_call_id"));
    }
    match message.get("content") {
        None | Some(Value::Null) if calls_tools => Ok(()),
        None => Err(missing("content")),
        Some(Value::Null) => {
            let param = format!("{path}.content");
            let text = format!("Invalid value for 'content': expected a string, got null: '{param}'.");
            Err(invalid(&text, Some(&param), None))
        }
        Some(Value::Array(parts)) => parts
            .iter()
            .enumerate()
            .try_for_each(|(index, part)| check_part(part, &format!("{path}.content[{index}]"))),
        Some(_) => Ok(()),
    }
}

fn check_part(part: &Value, path: &str) -> Result<(), Refusal> {
    let kind = part.get("type").and_then(Value::as_str);
    let known = kind.is_some_and(|kind| PART_TYPES.contains(&kind));
    let complete = kind != Some("text") || part.get("text").is_some_and(Value::is_string);
    if known && complete {
        return Ok(());
    }
    let param = if known { format!("{path}.text") } else { format!("{path}.type") };
    let code = if known { "missing_required_parameter" } else { "invalid_value" };
    Err(invalid(&format!("Invalid content part: '{param}'."), Some(&param), Some(code)))
}

fn check_ranges(request: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, min, max) in RANGES {
        let Some(value) = request.get(*name).filter(|value| value.is_number()) else { continue };
        let number = value.as_f64().unwrap_or(f64::NAN);
        let kind = if value.is_f64() { "decimal" } else { "integer" };
        let (side, sign, limit) = if number > *max {
            ("above_max", "<=", max)
        } else if number < *min {
            ("below_min", ">=", min)
        } else {
            continue;
        };
        let words = side.replace("_max", " maximum").replace("_min", " minimum");
        let message = format!(
            "Invalid '{name}': {kind} {words} value. Expected a value {sign} {limit}, but got {value} instead."
        );
        return Err(invalid(&message, Some(name), Some(&format!("{kind}_{side}_value"))));
    }
    Ok(())
}

fn check_stop(request: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(Value::Array(stop)) = request.get("stop") else { return Ok(()) };
    if stop.len() > STOP_SEQUENCES_MAX || !stop.iter().all(Value::is_string) {
        let message = "Invalid 'stop': expected an array of at most 4 strings.";
        return Err(invalid(message, Some("stop"), Some("array_above_max_length")));
    }
    Ok(())
}

fn check_combinations(request: &Map<String, Value>) -> Result<(), Refusal> {
    let has = |name: &str| request.get(name).is_some_and(|value| !value.is_null());
    let streams = request.get("stream") == Some(&Value::Bool(true));
    if let Some(options) = request.get("stream_options").and_then(Value::as_object) {
        if !streams {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(invalid(message, Some("stream_options"), None));
        }
        shape::check(options, STREAM_FIELDS, str::to_owned)
            .map_err(|misfit| nested(misfit, "stream_options"))?;
    }
    if has("max_tokens") && has("max_completion_tokens") {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(invalid(message, Some("max_tokens"), Some("invalid_parameter_combination")));
    }
    if has("parallel_tool_calls") && !has("tools") {
        let message = "Invalid value for 'parallel_tool_calls': only allowed when 'tools' are specified.";
        return Err(invalid(message, Some("parallel_tool_calls"), None));
    }
    Ok(())
}

fn check_reasoning_model(request: &Map<String, Value>, model: &str) -> Result<(), Refusal> {
    if request.get("max_tokens").is_some_and(|value| !value.is_null()) {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                       Use 'max_completion_tokens' instead.";
        return Err(invalid(message, Some("max_tokens"), Some("unsupported_parameter")));
    }
    // From gpt-5.1 on, sampling is back once reasoning is switched off.
    let samples = model.starts_with("gpt-5.")
        && request.get("reasoning_effort").and_then(Value::as_str) == Some("none");
    for name in ["temperature", "top_p"] {
        let changed = request.get(name).and_then(Value::as_f64).is_some_and(|value| value != 1.0);
        if changed && !samples {
            let message = format!("Unsupported value: '{name}'. Only the default (1) value is supported.");
            return Err(invalid(&message, Some(name), Some("unsupported_value")));
        }
    }
    Ok(())
}

/// The text of a message: its content, or all text parts of it.
fn content_text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}
