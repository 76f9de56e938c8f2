//! The rules of a Gemini `generateContent` request, and the complaints about what breaks them; Vertex AI has the same.
//!
//! Field names are lowerCamelCase; snake_case is accepted too, as the real service does. The rules of contents are in
//! [`super::gemini_contents`], those of tools and schemas in [`super::gemini_tools`].

use serde_json::{Map, Value, json};

use super::gemini::{invalid, refusal};
use super::shape::{self, Kind, Misfit};
use super::{Refusal, Request, gemini_contents as contents, gemini_tools as tools};
use crate::answer::{JsonOutput, Prompt, count_words};
use crate::provider::Provider;

const FIELDS: &[(&str, Kind)] = &[
    ("contents", Kind::List),
    ("systemInstruction", Kind::Object),
    ("generationConfig", Kind::Object),
    ("safetySettings", Kind::List),
    ("tools", Kind::List),
    ("toolConfig", Kind::Object),
    ("cachedContent", Kind::Text),
];
/// Fields of the one service that the other does not know.
const GEMINI_FIELDS: &[(&str, Kind)] = &[("serviceTier", Kind::Text), ("store", Kind::Bool)];
const VERTEX_FIELDS: &[(&str, Kind)] = &[("labels", Kind::Object), ("modelArmorConfig", Kind::Object)];
const SAFETY_FIELDS: &[(&str, Kind)] =
    &[("category", Kind::Text), ("threshold", Kind::Text), ("method", Kind::Text)];
const THRESHOLDS: &[&str] = &[
    "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
];
const THINKING_FIELDS: &[(&str, Kind)] =
    &[("includeThoughts", Kind::Bool), ("thinkingBudget", Kind::Integer), ("thinkingLevel", Kind::Text)];
const THINKING_LEVELS: &[&str] = &["THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"];
const MIME_TYPES: &[&str] = &["text/plain", "application/json", "text/x.enum"];
const CONFIG_FIELDS: &[(&str, Kind)] = &[
    ("candidateCount", Kind::Integer),
    ("enableEnhancedCivicAnswers", Kind::Bool),
    ("frequencyPenalty", Kind::Number),
    ("imageConfig", Kind::Object),
    ("logprobs", Kind::Integer),
    ("maxOutputTokens", Kind::Integer),
    ("mediaResolution", Kind::Text),
    ("presencePenalty", Kind::Number),
    ("responseJsonSchema", Kind::Object),
    ("responseLogprobs", Kind::Bool),
    ("responseMimeType", Kind::Text),
    ("responseModalities", Kind::List),
    ("responseSchema", Kind::Object),
    ("seed", Kind::Integer),
    ("speechConfig", Kind::Object),
    ("stopSequences", Kind::List),
    ("temperature", Kind::Number),
    ("thinkingConfig", Kind::Object),
    ("topK", Kind::Number),
    ("topP", Kind::Number),
];
const RANGES: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("topP", 0.0, 1.0),
    ("maxOutputTokens", 1.0, 2_147_483_647.0),
    ("candidateCount", 1.0, 8.0),
    ("logprobs", 0.0, 20.0),
    ("presencePenalty", -2.0, 2.0),
    ("frequencyPenalty", -2.0, 2.0),
];
const STOP_SEQUENCES_MAX: usize = 5;

/// Checks a request body; model and stream are part of the path.
pub(super) fn read(provider: Provider, request: &Request<'_>) -> Result<Prompt, Refusal> {
    let (model, stream) = (request.path_model.unwrap_or_default(), request.path_stream);
    let Value::Object(request) = request.body else {
        return Err(invalid("Invalid JSON payload received. Root element must be a message."));
    };
    let own = if provider == Provider::Vertex { VERTEX_FIELDS } else { GEMINI_FIELDS };
    shape::check(request, &[FIELDS, own].concat(), camel_case).map_err(|misfit| misfitting(misfit, ""))?;
    let given = |name: &str| get(request, name).filter(|value| !value.is_null());
    let tools = tools::read(given("tools"), given("toolConfig"), provider)?;
    let system = given("systemInstruction").map(|system| contents::text_only(system, "system_instruction"));
    let system = system.transpose()?;
    let config = given("generationConfig").and_then(Value::as_object);
    let json =
        config.map_or(Ok(None), |config| check_config(config, model, provider, !tools.names.is_empty()))?;
    check_safety(given("safetySettings"))?;
    let list = given("contents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let conversation = contents::read(list, model, provider)?;
    let setting = |name| config.and_then(|config| get(config, name)).filter(|value| !value.is_null());
    let choices = setting("candidateCount").and_then(Value::as_u64).unwrap_or(1);
    Ok(Prompt {
        model: model.to_owned(),
        history: conversation.history,
        text: conversation.text,
        words: conversation.words + system.as_deref().map_or(0, count_words),
        system,
        temperature: setting("temperature").map(Value::to_string),
        max_tokens: setting("maxOutputTokens").and_then(Value::as_u64),
        stream,
        include_usage: true,
        tools: tools.names,
        tool_choice: tools.choice,
        results: conversation.results,
        images: conversation.images,
        json,
        choices: usize::try_from(choices).unwrap_or(1),
        ..Prompt::default()
    })
}

pub(super) fn misfitting(misfit: Misfit<'_>, path: &str) -> Refusal {
    let (field, problem) = match misfit {
        Misfit::Unknown { name } => {
            let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
            (path.to_owned(), format!("Unknown name \"{name}\"{place}: Cannot find field."))
        }
        Misfit::Type { name, kind, value } => {
            let place = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let problem = format!("Invalid value at '{place}' (expected {}), {value}", kind.words());
            (place, problem)
        }
    };
    let description = format!("Invalid JSON payload received. {problem}");
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{ "field": field, "description": description }],
    }]);
    refusal(400, &description, "INVALID_ARGUMENT", Some(details))
}

/// A complaint about a field that is known and of the right type.
pub(super) fn violation(path: &str, problem: &str) -> Refusal {
    invalid(&format!("* GenerateContentRequest.{path}: {problem}\n"))
}

/// Checks the configuration and tells which JSON is wanted.
fn check_config(
    config: &Map<String, Value>,
    model: &str,
    provider: Provider,
    has_tools: bool,
) -> Result<Option<JsonOutput>, Refusal> {
    let path = "generation_config";
    shape::check(config, CONFIG_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let given = |name: &str| get(config, name).filter(|value| !value.is_null());
    for (name, min, max) in RANGES {
        let value = given(name).and_then(Value::as_f64);
        if value.is_some_and(|value| value < *min || value > *max) {
            let problem = format!("{name} must be in the range [{min}, {max}].");
            return Err(violation(&format!("{path}.{name}"), &problem));
        }
    }
    let stop = given("stopSequences").and_then(Value::as_array);
    if stop.is_some_and(|stop| stop.len() > STOP_SEQUENCES_MAX || !stop.iter().all(Value::is_string)) {
        return Err(violation(&format!("{path}.stop_sequences"), "at most 5 strings."));
    }
    if given("logprobs").is_some() && given("responseLogprobs") != Some(&Value::Bool(true)) {
        return Err(violation(&format!("{path}.logprobs"), "only allowed when response_logprobs is true."));
    }
    if let Some(thinking) = given("thinkingConfig").and_then(Value::as_object) {
        check_thinking(thinking, model)?;
    }
    let mime_type = given("responseMimeType").and_then(Value::as_str).unwrap_or("text/plain");
    if !MIME_TYPES.contains(&mime_type) {
        let problem = format!("allowed mimetypes are `{}`.", MIME_TYPES.join("`, `"));
        return Err(violation(&format!("{path}.response_mime_type"), &problem));
    }
    let is_json = mime_type == "application/json";
    // From Gemini 3 on both go together.
    if is_json && has_tools && ["gemini-1", "gemini-2"].iter().any(|family| model.starts_with(family)) {
        return Err(invalid("Function calling with a response mime type: 'application/json' is unsupported"));
    }
    let (schema, json_schema) = (given("responseSchema"), given("responseJsonSchema"));
    if schema.is_some() && json_schema.is_some() {
        let problem = "only one of response_schema and response_json_schema may be set.";
        return Err(violation(&format!("{path}.response_schema"), problem));
    }
    if let Some(schema) = schema {
        tools::check_schema(schema, &format!("{path}.response_schema"), provider)?;
    }
    match schema.or(json_schema) {
        Some(_) if mime_type == "text/plain" => Err(violation(
            &format!("{path}.response_schema"),
            "only allowed when response_mime_type is application/json.",
        )),
        Some(schema) if is_json => Ok(Some(JsonOutput::Schema(schema.clone()))),
        None if is_json => Ok(Some(JsonOutput::Object)),
        _ => Ok(None),
    }
}

fn check_thinking(thinking: &Map<String, Value>, model: &str) -> Result<(), Refusal> {
    let path = "generation_config.thinking_config";
    shape::check(thinking, THINKING_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let given = |name: &str| get(thinking, name).filter(|value| !value.is_null());
    let level = given("thinkingLevel").and_then(Value::as_str);
    if level.is_some() && given("thinkingBudget").is_some() {
        return Err(invalid("You can only set only one of thinking budget and thinking level."));
    }
    if let Some(level) = level {
        if !THINKING_LEVELS.contains(&level.to_ascii_uppercase().as_str()) {
            return Err(invalid_enum(&format!("{path}.thinking_level"), "ThinkingLevel", level));
        }
        if model.starts_with("gemini-2") {
            return Err(invalid("Thinking level is not supported for this model."));
        }
    }
    Ok(())
}

/// A value that its enumeration does not have.
pub(super) fn invalid_enum(path: &str, kind: &str, value: &str) -> Refusal {
    let description = format!("Invalid value at '{path}' ({kind}), \"{value}\"");
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{ "field": path, "description": description }],
    }]);
    refusal(400, &description, "INVALID_ARGUMENT", Some(details))
}

fn check_safety(settings: Option<&Value>) -> Result<(), Refusal> {
    for (index, setting) in settings.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("safety_settings[{index}]");
        let Value::Object(fields) = setting else {
            return Err(invalid(&format!("Invalid value at '{path}' (expected an object), {setting}")));
        };
        shape::check(fields, SAFETY_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, &path))?;
        let text = |name: &str| get(fields, name).and_then(Value::as_str).unwrap_or_default();
        if !text("category").starts_with("HARM_CATEGORY_") {
            return Err(invalid_enum(&format!("{path}.category"), "HarmCategory", text("category")));
        }
        if !THRESHOLDS.contains(&text("threshold")) {
            return Err(invalid_enum(&format!("{path}.threshold"), "HarmBlockThreshold", text("threshold")));
        }
    }
    Ok(())
}

/// A field by its camelCase name, however it is spelt.
pub(super) fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| camel_case(key) == name).map(|(_, value)| value))
}

pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        if character == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            camel.push(character.to_ascii_uppercase());
        } else {
            camel.push(character);
        }
    }
    camel
}
