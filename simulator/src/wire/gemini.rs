//! Gemini `generateContent`: the rules of the request, and the shape of answers, streams and errors.
//!
//! Field names are lowerCamelCase; snake_case is accepted too, as the real service does. Counts that are zero are left
//! out of `usageMetadata`, and an empty answer has a candidate without parts.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::shape::{self, Kind, Misfit};
use super::{Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Finish, Prompt, Usage, count_words};

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
/// Seconds the service asks to wait when `retry-after` is not a number.
const DEFAULT_RETRY_SECONDS: &str = "7";

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

/// The whole answer.
pub(crate) fn whole(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    if answer.prompt_blocked {
        return blocked(prompt, answer, stamp);
    }
    let thought = answer.thoughts.concat();
    let content = answer.text();
    let mut parts = Vec::new();
    if !thought.is_empty() {
        parts.push(Part { text: &thought, thought: true });
    }
    if !content.is_empty() {
        parts.push(Part { text: &content, thought: false });
    }
    chunk(prompt, stamp, parts, finish(&answer.finish), &answer.usage)
}

/// The answer as a stream: usage grows from chunk to chunk, the finish reason comes last, there is no sentinel.
pub(crate) fn events(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let error = status(500, &prompt.model, DEFAULT_RETRY_SECONDS).body.to_string();
    if answer.prompt_blocked {
        return Events { tail: vec![blocked(prompt, answer, stamp)], error, ..Events::default() };
    }
    let mut sent = Usage { answer: 0, reasoning: 0, ..answer.usage };
    let mut events = Events { error, ..Events::default() };
    for thought in &answer.thoughts {
        sent.reasoning += count_words(thought);
        let part = Part { text: thought, thought: true };
        events.head.push(chunk(prompt, stamp, vec![part], None, &sent));
    }
    for content in &answer.chunks {
        sent.answer = (sent.answer + count_words(content)).min(answer.usage.answer);
        let part = Part { text: content, thought: false };
        events.content.push(chunk(prompt, stamp, vec![part], None, &sent));
    }
    if let Some(finish) = finish(&answer.finish) {
        // Real streams end with an empty text part; an answer without any text has no parts at all.
        let parts =
            if answer.chunks.is_empty() { Vec::new() } else { vec![Part { text: "", thought: false }] };
        events.tail.push(chunk(prompt, stamp, parts, Some(finish), &answer.usage));
    }
    events
}

/// The error for a request that never reached a model.
pub(crate) fn misuse(misuse: &Misuse<'_>) -> Refusal {
    match misuse {
        Misuse::Credential(_) => {
            let details = json!([{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": { "service": "generativelanguage.googleapis.com" },
            }]);
            let message = "API key not valid. Please pass a valid API key.";
            refusal(400, message, "INVALID_ARGUMENT", Some(details))
        }
        Misuse::Path { method, path } => refusal(404, &format!("Not found: {method} {path}"), "NOT_FOUND", None),
        Misuse::Method { method, path } => {
            refusal(405, &format!("Method not allowed: {method} {path}"), "UNIMPLEMENTED", None)
        }
        Misuse::ContentType(sent) => invalid(&format!("Invalid content type {sent:?}: send application/json.")),
        Misuse::Json(problem) => invalid(&format!("Invalid JSON payload received. {problem}")),
        Misuse::TooLarge => refusal(413, "Request payload size exceeds the limit.", "INVALID_ARGUMENT", None),
        Misuse::Fault(problem) => invalid(problem),
    }
}

/// The error Gemini sends with `status`.
pub(crate) fn status(status: u16, model: &str, retry_after: &str) -> Refusal {
    let unknown_model = format!("models/{model} is not found for API version v1beta.");
    let (message, name) = match status {
        401 => ("Request had invalid authentication credentials.", "UNAUTHENTICATED"),
        403 => ("The caller does not have permission.", "PERMISSION_DENIED"),
        404 => (unknown_model.as_str(), "NOT_FOUND"),
        429 => return exhausted("GenerateRequestsPerMinutePerProjectPerModel", Some(retry_after)),
        500 => ("An internal error has occurred.", "INTERNAL"),
        503 => ("The model is overloaded. Please try again later.", "UNAVAILABLE"),
        504 => ("The request timed out. Please try again.", "DEADLINE_EXCEEDED"),
        501..=599 => ("The service is currently unavailable.", "UNAVAILABLE"),
        _ => ("Request contains an invalid argument.", "INVALID_ARGUMENT"),
    };
    refusal(status, message, name, None)
}

/// 429 for the day: a quota failure, and nothing said about when to come back.
pub(crate) fn quota() -> Refusal {
    exhausted("GenerateRequestsPerDayPerProjectPerModel-FreeTier", None)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    candidates: [Candidate<'a>; 1],
    usage_metadata: UsageMetadata,
    model_version: &'a str,
    response_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    index: u32,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part<'a>>,
    role: &'a str,
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    thought: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    #[serde(skip_serializing_if = "is_zero")]
    prompt_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    candidates_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    thoughts_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    total_token_count: usize,
}

impl From<&Usage> for UsageMetadata {
    fn from(usage: &Usage) -> Self {
        UsageMetadata {
            prompt_token_count: usage.prompt,
            candidates_token_count: usage.answer,
            thoughts_token_count: usage.reasoning,
            total_token_count: usage.prompt + usage.answer + usage.reasoning,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn chunk(prompt: &Prompt, stamp: &Stamp, parts: Vec<Part<'_>>, finish: Option<&str>, usage: &Usage) -> String {
    text(&Chunk {
        candidates: [Candidate { content: Content { parts, role: "model" }, finish_reason: finish, index: 0 }],
        usage_metadata: usage.into(),
        model_version: &prompt.model,
        response_id: response_id(stamp),
    })
}

fn blocked(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let usage = Usage { answer: 0, reasoning: 0, ..answer.usage };
    text(&json!({
        "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" },
        "usageMetadata": UsageMetadata::from(&usage),
        "modelVersion": prompt.model,
        "responseId": response_id(stamp),
    }))
}

fn response_id(stamp: &Stamp) -> String {
    format!("simulator{:08}", stamp.serial)
}

fn finish(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop => Some("STOP"),
        Finish::Length => Some("MAX_TOKENS"),
        Finish::ContentFilter => Some("SAFETY"),
        Finish::Verbatim(word) => Some(word),
        Finish::Absent => None,
    }
}

fn refusal(status: u16, message: &str, name: &str, details: Option<Value>) -> Refusal {
    let mut error = json!({ "code": status, "message": message, "status": name });
    if let (Some(details), Some(error)) = (details, error.as_object_mut()) {
        error.insert("details".to_owned(), details);
    }
    Refusal { status, body: json!({ "error": error }) }
}

fn invalid(message: &str) -> Refusal {
    refusal(400, message, "INVALID_ARGUMENT", None)
}

fn exhausted(quota_id: &str, retry_after: Option<&str>) -> Refusal {
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{ "quotaId": quota_id, "quotaValue": "10" }],
    })];
    if let Some(given) = retry_after {
        let seconds = if given.parse::<f64>().is_ok() { given } else { DEFAULT_RETRY_SECONDS };
        let delay = format!("{seconds}s");
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    }
    let message = "You exceeded your current quota, please check your plan and billing details.";
    refusal(429, message, "RESOURCE_EXHAUSTED", Some(details.into()))
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
        return Err(invalid(&format!("* GenerateContentRequest.{path}.parts: contents.parts must not be empty.\n")));
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
            let message =
                format!("* GenerateContentRequest.{path}.{name}: {name} must be in the range [{min}, {max}].\n");
            return Err(invalid(&message));
        }
    }
    let stop = get(config, "stopSequences").and_then(Value::as_array);
    if stop.is_some_and(|stop| stop.len() > STOP_SEQUENCES_MAX || !stop.iter().all(Value::is_string)) {
        return Err(invalid("* GenerateContentRequest.generation_config.stop_sequences: at most 5 strings.\n"));
    }
    Ok(())
}

/// A field by its camelCase name, however it is spelt.
fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| camel_case(key) == name).map(|(_, value)| value))
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
