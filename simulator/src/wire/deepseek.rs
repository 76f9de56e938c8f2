//! DeepSeek chat completions: what differs from OpenAI's.
//!
//! It knows fewer fields and roles, takes text only, words its errors its own way, and sends usage with the finish
//! chunk. Format errors are 400, values out of range 422, as its error page has it. The real provider is said to
//! ignore some fields it does not know; the simulator refuses them, because a limit that is silently dropped is a
//! translation error all the same.

use serde_json::{Map, Value, json};

use super::openai::{Choice, Chunk, Delta, error, finish};
use super::openai_rules::prompt;
use super::shape::{self, Kind, Misfit};
use super::{Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Prompt, Usage};

const FIELDS: &[(&str, Kind)] = &[
    ("messages", Kind::List),
    ("model", Kind::Text),
    ("frequency_penalty", Kind::Number),
    ("logprobs", Kind::Bool),
    ("max_tokens", Kind::Integer),
    ("presence_penalty", Kind::Number),
    ("reasoning_effort", Kind::Text),
    ("response_format", Kind::Object),
    ("stop", Kind::TextOrList),
    ("stream", Kind::Bool),
    ("stream_options", Kind::Object),
    ("temperature", Kind::Number),
    ("thinking", Kind::Object),
    ("tool_choice", Kind::TextOrObject),
    ("tools", Kind::List),
    ("top_logprobs", Kind::Integer),
    ("top_p", Kind::Number),
];
const MESSAGE_FIELDS: &[(&str, Kind)] = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("name", Kind::Text),
    ("prefix", Kind::Bool),
    ("reasoning_content", Kind::Text),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
];
const ROLES: &[&str] = &["system", "user", "assistant", "tool"];
const RANGES: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("max_tokens", 1.0, f64::MAX),
];
const STOP_SEQUENCES_MAX: usize = 16;

/// Checks a request body.
pub(crate) fn read(body: &Value) -> Result<Prompt, Refusal> {
    let Value::Object(request) = body else { return Err(malformed("expected an object")) };
    shape::check(request, FIELDS, str::to_owned).map_err(|misfit| misfitting(misfit, ""))?;
    if request.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(malformed("missing field `model`"));
    }
    let Some(Value::Array(messages)) = request.get("messages") else {
        return Err(malformed("missing field `messages`"));
    };
    if messages.is_empty() {
        return Err(malformed("messages: Empty input messages"));
    }
    for (index, message) in messages.iter().enumerate() {
        check_message(message, &format!("messages[{index}]"))?;
    }
    check_values(request)?;
    Ok(prompt(request))
}

/// The whole answer.
pub(crate) fn whole(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let mut message = json!({ "role": "assistant", "content": answer.text() });
    if let (false, Some(message)) = (answer.thoughts.is_empty(), message.as_object_mut()) {
        message.insert("reasoning_content".to_owned(), answer.thoughts.concat().into());
    }
    text(&json!({
        "id": completion_id(stamp),
        "object": "chat.completion",
        "created": stamp.created,
        "model": prompt.model,
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish(&answer.finish),
        }],
        "usage": usage(&answer.usage),
        "system_fingerprint": "fp_simulator",
    }))
}

/// The answer as a stream; usage comes with the last chunk, asked for or not.
pub(crate) fn events(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let id = completion_id(stamp);
    let chunk = |delta: Delta<'_>, finish: Option<&str>, usage: Option<Value>| {
        text(&Chunk {
            id: &id,
            object: "chat.completion.chunk",
            created: stamp.created,
            model: &prompt.model,
            service_tier: None,
            system_fingerprint: "fp_simulator",
            choices: vec![Choice { index: 0, delta, finish_reason: finish }],
            usage,
            obfuscation: None,
        })
    };
    let mut head = Vec::new();
    if answer.thoughts.is_empty() {
        head.push(chunk(Delta::Other(json!({ "role": "assistant", "content": "" })), None, None));
    } else {
        let role = json!({ "role": "assistant", "content": null, "reasoning_content": "" });
        head.push(chunk(Delta::Other(role), None, None));
        for thought in &answer.thoughts {
            let delta = json!({ "content": null, "reasoning_content": thought });
            head.push(chunk(Delta::Other(delta), None, None));
        }
    }
    let content = answer.chunks.iter().map(|content| chunk(Delta::Content { content }, None, None)).collect();
    let mut tail = Vec::new();
    if let Some(finish) = finish(&answer.finish) {
        tail.push(chunk(Delta::Other(json!({ "content": "" })), Some(finish), Some(usage(&answer.usage))));
    }
    Events { head, content, tail, done: Some("[DONE]"), error: status(500).body.to_string() }
}

/// The error for a request that never reached a model.
pub(crate) fn misuse(misuse: &Misuse<'_>) -> Refusal {
    let (status, message, kind) = match misuse {
        Misuse::Credential(None) => {
            (401, "Authentication Fails (no such user)".to_owned(), "authentication_error")
        }
        Misuse::Credential(Some(_)) => {
            (401, "Authentication Fails, your api key is invalid".to_owned(), "authentication_error")
        }
        Misuse::Path { method, path } => {
            (404, format!("Not Found: {method} {path}"), "invalid_request_error")
        }
        Misuse::Method { method, .. } => {
            (405, format!("Method Not Allowed: {method}"), "invalid_request_error")
        }
        Misuse::ContentType(sent) => {
            (400, format!("Expected a request with content type json, got {sent:?}"), "invalid_request_error")
        }
        Misuse::Json(problem) => {
            (400, format!("Failed to parse the request body as JSON: {problem}"), "invalid_request_error")
        }
        Misuse::TooLarge => (413, "Request body too large".to_owned(), "invalid_request_error"),
        Misuse::Fault(problem) => (400, (*problem).to_owned(), "invalid_request_error"),
    };
    refusal(status, &message, kind)
}

/// The error DeepSeek sends with `status`.
pub(crate) fn status(status: u16) -> Refusal {
    let (message, kind) = match status {
        401 => ("Authentication Fails, your api key is invalid", "authentication_error"),
        402 => ("Insufficient Balance", "unknown_error"),
        422 => ("Invalid parameters", "invalid_request_error"),
        429 => ("Rate limit reached", "rate_limit_error"),
        503 => ("Service is too busy. Please try again later.", "service_unavailable_error"),
        529 => ("Overloaded", "overloaded_error"),
        500..=599 => ("Internal server error", "server_error"),
        _ => ("Invalid request", "invalid_request_error"),
    };
    refusal(status, message, kind)
}

/// DeepSeek answers 400, not 404, for a model it does not know.
pub(crate) fn unknown_model() -> Refusal {
    refusal(400, "Model Not Exist", "invalid_request_error")
}

/// 429 because the money is gone. DeepSeek itself says 402 (`status=402` gives that); the simulator keeps one status
/// for all providers here, so that one test covers the three.
pub(crate) fn quota() -> Refusal {
    let body = error("Insufficient Balance", "insufficient_quota", None, Some("insufficient_quota"));
    Refusal { status: 429, body }
}

fn completion_id(stamp: &Stamp) -> String {
    format!("5e8a1f0c-0000-4000-8000-{:012}", stamp.serial)
}

fn usage(usage: &Usage) -> Value {
    let completion = usage.answer + usage.reasoning;
    let mut counts = json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": completion,
        "total_tokens": usage.prompt + completion,
        "prompt_tokens_details": { "cached_tokens": 0 },
        "prompt_cache_hit_tokens": 0,
        "prompt_cache_miss_tokens": usage.prompt,
    });
    if let (true, Some(counts)) = (usage.reasoning > 0, counts.as_object_mut()) {
        counts.insert("completion_tokens_details".to_owned(), json!({ "reasoning_tokens": usage.reasoning }));
    }
    counts
}

fn refusal(status: u16, message: &str, kind: &str) -> Refusal {
    Refusal { status, body: error(message, kind, None, Some("invalid_request_error")) }
}

fn malformed(problem: &str) -> Refusal {
    let message = format!("Failed to deserialize the JSON body into the target type: {problem}");
    refusal(400, &message, "invalid_request_error")
}

fn misfitting(misfit: Misfit<'_>, path: &str) -> Refusal {
    match misfit {
        Misfit::Unknown { name } => malformed(&format!("{path}unknown field `{name}`")),
        Misfit::Type { name, kind, value } => {
            let (expected, found) = (kind.words(), shape::found(value));
            malformed(&format!("{path}{name}: invalid type: {found}, expected {expected}"))
        }
    }
}

fn check_message(message: &Value, path: &str) -> Result<(), Refusal> {
    let Value::Object(fields) = message else {
        return Err(malformed(&format!("{path}: expected an object")));
    };
    shape::check(fields, MESSAGE_FIELDS, str::to_owned)
        .map_err(|misfit| misfitting(misfit, &format!("{path}: ")))?;
    let role = fields.get("role").and_then(Value::as_str).unwrap_or_default();
    if !ROLES.contains(&role) {
        let known = ROLES.join("`, `");
        return Err(malformed(&format!("{path}.role: unknown variant `{role}`, expected one of `{known}`")));
    }
    if role == "tool" && !fields.contains_key("tool_call_id") {
        return Err(malformed(&format!("{path}: missing field `tool_call_id`")));
    }
    match fields.get("content") {
        None | Some(Value::Null) if role == "assistant" && fields.contains_key("tool_calls") => Ok(()),
        None | Some(Value::Null) => Err(malformed(&format!("{path}: missing field `content`"))),
        Some(Value::Array(parts)) if !parts.iter().all(is_text_part) => {
            Err(malformed(&format!("{path}: unknown variant, expected `text`")))
        }
        Some(_) => Ok(()),
    }
}

fn is_text_part(part: &Value) -> bool {
    part.get("type").and_then(Value::as_str) == Some("text") && part.get("text").is_some_and(Value::is_string)
}

fn check_values(request: &Map<String, Value>) -> Result<(), Refusal> {
    for (name, min, max) in RANGES {
        let value = request.get(*name).and_then(Value::as_f64);
        if value.is_some_and(|value| value < *min || value > *max) {
            let message = format!("Invalid {name} value, the valid range of {name} is [{min}, {max}]");
            return Err(refusal(422, &message, "invalid_request_error"));
        }
    }
    let stop = request.get("stop").and_then(Value::as_array);
    if stop.is_some_and(|stop| stop.len() > STOP_SEQUENCES_MAX || !stop.iter().all(Value::is_string)) {
        return Err(refusal(422, "Invalid stop value", "invalid_request_error"));
    }
    if request.contains_key("stream_options") && request.get("stream") != Some(&Value::Bool(true)) {
        let message = "stream_options should be set along with stream = true";
        return Err(refusal(400, message, "invalid_request_error"));
    }
    Ok(())
}
