//! OpenAI chat completions: the recorded shape of answers, streams and errors. The rules of the request are in
//! [`super::openai_rules`].

use serde::Serialize;
use serde_json::{Value, json};

use super::{Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Finish, Prompt, Usage};

/// The whole answer.
pub(crate) fn whole(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let mut message =
        json!({ "role": "assistant", "content": answer.text(), "refusal": null, "annotations": [] });
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
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }))
}

/// The answer as a stream: role chunk, content, finish chunk, and a usage chunk if the request asked for one.
pub(crate) fn events(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let id = completion_id(stamp);
    let mut padding = 0;
    let mut chunk = |delta: Delta<'_>, finish: Option<&str>| {
        padding += 1;
        text(&Chunk {
            id: &id,
            object: "chat.completion.chunk",
            created: stamp.created,
            model: &prompt.model,
            service_tier: Some("default"),
            system_fingerprint: "fp_simulator",
            choices: vec![Choice { index: 0, delta, finish_reason: finish }],
            usage: prompt.include_usage.then_some(Value::Null),
            obfuscation: prompt.obfuscation.then(|| obfuscation(padding)),
        })
    };
    let role = json!({ "role": "assistant", "content": "", "refusal": null });
    let mut head = vec![chunk(Delta::Other(role), None)];
    for thought in &answer.thoughts {
        head.push(chunk(Delta::Other(json!({ "reasoning_content": thought })), None));
    }
    let content = answer.chunks.iter().map(|content| chunk(Delta::Content { content }, None)).collect();
    let mut tail = Vec::new();
    if let Some(finish) = finish(&answer.finish) {
        tail.push(chunk(Delta::Other(json!({})), Some(finish)));
    }
    if prompt.include_usage {
        tail.push(text(&Chunk {
            id: &id,
            object: "chat.completion.chunk",
            created: stamp.created,
            model: &prompt.model,
            service_tier: Some("default"),
            system_fingerprint: "fp_simulator",
            choices: Vec::new(),
            usage: Some(usage(&answer.usage)),
            obfuscation: prompt.obfuscation.then(|| obfuscation(0)),
        }));
    }
    let error = error(
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
        None,
    );
    Events { head, content, tail, done: Some("[DONE]"), error: error.to_string() }
}

/// The error for a request that never reached a model.
pub(crate) fn misuse(misuse: &Misuse<'_>) -> Refusal {
    let kind = "invalid_request_error";
    let (status, message, code) = match misuse {
        Misuse::Credential(None) => (
            401,
            "You didn't provide an API key. Use an Authorization header with a Bearer key.".to_owned(),
            None,
        ),
        Misuse::Credential(Some(_)) => {
            (401, "Incorrect API key provided.".to_owned(), Some("invalid_api_key"))
        }
        Misuse::Path { method, path } => (404, format!("Invalid URL ({method} {path})"), None),
        Misuse::Method { method, path } => {
            (405, format!("Not allowed to {method} on {path}."), Some("method_not_supported"))
        }
        Misuse::ContentType(sent) => {
            let message = format!("Invalid Content-Type header ({sent}), expected application/json.");
            (400, message, Some("unsupported_content_type"))
        }
        Misuse::Json(problem) => {
            (400, format!("We could not parse the JSON body of your request: {problem}"), None)
        }
        Misuse::TooLarge => (413, "The request is too large.".to_owned(), Some("request_too_large")),
        Misuse::Fault(problem) => (400, (*problem).to_owned(), Some("simulator_flag")),
    };
    Refusal { status, body: error(&message, kind, None, code) }
}

/// The error OpenAI sends with `status`.
pub(crate) fn status(status: u16, model: &str) -> Refusal {
    let unknown_model = format!("The model `{model}` does not exist or you do not have access to it.");
    let (message, kind, code) = match status {
        401 => ("Incorrect API key provided.", "invalid_request_error", Some("invalid_api_key")),
        403 => (
            "Country, region, or territory not supported",
            "request_forbidden",
            Some("unsupported_country_region_territory"),
        ),
        404 => (unknown_model.as_str(), "invalid_request_error", Some("model_not_found")),
        429 => ("Rate limit reached for requests.", "requests", Some("rate_limit_exceeded")),
        503 => ("The server is currently overloaded.", "server_error", Some("server_is_overloaded")),
        529 => ("Overloaded", "overloaded_error", None),
        500..=599 => ("The server had an error while processing your request.", "server_error", None),
        _ => ("The request was rejected.", "invalid_request_error", None),
    };
    Refusal { status, body: error(message, kind, None, code) }
}

/// 429 because the money is gone.
pub(crate) fn quota() -> Refusal {
    let message = "You exceeded your current quota, please check your plan and billing details.";
    Refusal { status: 429, body: error(message, "insufficient_quota", None, Some("insufficient_quota")) }
}

pub(super) fn error(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}

pub(super) fn finish(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop => Some("stop"),
        Finish::Length => Some("length"),
        Finish::ContentFilter => Some("content_filter"),
        Finish::Verbatim(word) => Some(word),
        Finish::Absent => None,
    }
}

/// A stream chunk; DeepSeek's differ in what is left out.
#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'a str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'a str>,
    pub(super) system_fingerprint: &'a str,
    pub(super) choices: Vec<Choice<'a>>,
    /// `null` is not the same as absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) obfuscation: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    pub(super) finish_reason: Option<&'a str>,
}

/// A delta. Content has its own variant because there are many of them and they must be cheap.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Delta<'a> {
    Content { content: &'a str },
    Other(Value),
}

fn completion_id(stamp: &Stamp) -> String {
    format!("chatcmpl-simulator{:08}", stamp.serial)
}

fn usage(usage: &Usage) -> Value {
    let completion = usage.answer + usage.reasoning;
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": completion,
        "total_tokens": usage.prompt + completion,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// Padding as the provider adds it against guessing tokens from packet sizes; ours is the same on every run.
fn obfuscation(chunk: usize) -> String {
    const LETTERS: &str = "kT3vQz9LmXa7Rf";
    LETTERS.chars().cycle().skip(chunk % LETTERS.len()).take(2 + chunk * 5 % 12).collect()
}
