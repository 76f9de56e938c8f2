//! The rules of a Gemini `generateContent` request, and the complaints about what breaks them.
//!
//! Field names are lowerCamelCase; snake_case is accepted too, as the real service does.

use serde_json::{Map, Value, json};

use super::Refusal;
use super::gemini::{invalid, refusal};
use super::shape::{self, Kind, Misfit};
use crate::answer::{Prompt, count_words};

const FIELDS: &[(&str, Kind)] = &[
    ("contents", Kind::List),
    ("systemInstruction", Kind::Object),
    ("generationConfig", Kind::Object),
    ("safetySettings", Kind::List),
    ("tools", Kind::List),
    ("toolConfig", Kind::Object),
    ("cachedContent", Kind::Text),
];
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
const CONTENT_FIELDS: &[(&str, Kind)] = &[("role", Kind::Text), ("parts", Kind::List)];
const PART_FIELDS: &[(&str, Kind)] = &[
    ("text", Kind::Text),
    ("thought", Kind::Bool),
    ("thoughtSignature", Kind::Text),
    ("inlineData", Kind::Object),
    ("fileData", Kind::Object),
    ("functionCall", Kind::Object),
    ("functionResponse", Kind::Object),
    ("executableCode", Kind::Object),
    ("codeExecutionResult", Kind::Object),
    ("videoMetadata", Kind::Object),
];
/// Of these a part has exactly one.
const PART_DATA: &[&str] = &[
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];
const RANGES: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("topP", 0.0, 1.0),
    ("maxOutputTokens", 1.0, 2_147_483_647.0),
    // The real service allows more on some models; the simulator answers with one.
    ("candidateCount", 1.0, 1.0),
];
const STOP_SEQUENCES_MAX: usize = 5;
/// Checks a request body; model and stream are part of the path.
pub(crate) fn read(body: &Value, model: &str, stream: bool) -> Result<Prompt, Refusal> {
    let Value::Object(request) = body else {
        return Err(invalid("Invalid JSON payload received. Root element must be a message."));
    };
    shape::check(request, FIELDS, camel_case).map_err(|misfit| misfitting(misfit, ""))?;
    let contents = get(request, "contents").and_then(Value::as_array).filter(|contents| !contents.is_empty());
    let Some(contents) = contents else {
        return Err(invalid("* GenerateContentRequest.contents: contents is not specified\n"));
    };
    for (index, content) in contents.iter().enumerate() {
        check_content(content, &format!("contents[{index}]"))?;
        let role = content.get("role").and_then(Value::as_str);
        // Only a single turn may leave its role out.
        if !matches!(role, Some("user" | "model")) && (role.is_some() || contents.len() > 1) {
            return Err(invalid("Please use a valid role: user, model."));
        }
    }
    let system = get(request, "systemInstruction").filter(|system| !system.is_null());
    if let Some(system) = system {
        check_content(system, "system_instruction")?;
    }
    let config = get(request, "generationConfig").and_then(Value::as_object);
    if let Some(config) = config {
        check_config(config)?;
    }
    let setting = |name| config.and_then(|config| get(config, name)).filter(|value| !value.is_null());
    let is_user = |content: &Value| content.get("role").and_then(Value::as_str) != Some("model");
    let last_user = contents.iter().rposition(is_user);
    let system = system.map(content_text);
    Ok(Prompt {
        model: model.to_owned(),
        history: last_user.unwrap_or(contents.len()),
        text: last_user.and_then(|index| contents.get(index)).map(content_text).unwrap_or_default(),
        words: contents.iter().map(content_text).chain(system.clone()).map(|text| count_words(&text)).sum(),
        system,
        temperature: setting("temperature").map(Value::to_string),
        max_tokens: setting("maxOutputTokens").and_then(Value::as_u64),
        stream,
        include_usage: true,
        obfuscation: false,
    })
}

fn misfitting(misfit: Misfit<'_>, path: &str) -> Refusal {
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

fn check_content(content: &Value, path: &str) -> Result<(), Refusal> {
    let Value::Object(fields) = content else {
        return Err(invalid(&format!("Invalid value at '{path}' (expected an object), {content}")));
    };
    shape::check(fields, CONTENT_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let parts = get(fields, "parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
    let Some(parts) = parts else {
        return Err(invalid(&format!(
            "* GenerateContentRequest.{path}.parts: contents.parts must not be empty.\n"
        )));
    };
    parts.iter().enumerate().try_for_each(|(index, part)| check_part(part, &format!("{path}.parts[{index}]")))
}

fn check_part(part: &Value, path: &str) -> Result<(), Refusal> {
    let Value::Object(fields) = part else {
        return Err(invalid(&format!("Invalid value at '{path}' (expected an object), {part}")));
    };
    shape::check(fields, PART_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    let data = PART_DATA.iter().filter_map(|name| get(fields, name)).filter(|value| !value.is_null()).count();
    let empty_text = get(fields, "text").and_then(Value::as_str).is_some_and(str::is_empty);
    if data != 1 || empty_text {
        let problem = "required oneof field 'data' must have one initialized field";
        return Err(invalid(&format!("* GenerateContentRequest.{path}.data: {problem}\n")));
    }
    Ok(())
}

fn check_config(config: &Map<String, Value>) -> Result<(), Refusal> {
    let path = "generation_config";
    shape::check(config, CONFIG_FIELDS, camel_case).map_err(|misfit| misfitting(misfit, path))?;
    for (name, min, max) in RANGES {
        let value = get(config, name).and_then(Value::as_f64);
        if value.is_some_and(|value| value < *min || value > *max) {
            let message = format!(
                "* GenerateContentRequest.{path}.{name}: {name} must be in the range [{min}, {max}].\n"
            );
            return Err(invalid(&message));
        }
    }
    let stop = get(config, "stopSequences").and_then(Value::as_array);
    if stop.is_some_and(|stop| stop.len() > STOP_SEQUENCES_MAX || !stop.iter().all(Value::is_string)) {
        return Err(invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: at most 5 strings.\n",
        ));
    }
    Ok(())
}

/// A field by its camelCase name, however it is spelt.
fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .get(name)
        .or_else(|| object.iter().find(|(key, _)| camel_case(key) == name).map(|(_, value)| value))
}

fn camel_case(name: &str) -> String {
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

fn content_text(content: &Value) -> String {
    let parts = content.get("parts").and_then(Value::as_array);
    parts.into_iter().flatten().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
}
