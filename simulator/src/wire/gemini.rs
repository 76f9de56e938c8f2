//! Gemini `generateContent`: the shape of answers, streams and errors. The rules of the request are in
//! [`super::gemini_rules`].
//!
//! Counts that are zero are left out of `usageMetadata`, and an empty answer has a candidate without parts.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Finish, Prompt, Usage, count_words};
use crate::fault::Waits;

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
    let error = status(500, &prompt.model, &Waits::default()).body.to_string();
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
        Misuse::Path { method, path } => {
            refusal(404, &format!("Not found: {method} {path}"), "NOT_FOUND", None)
        }
        Misuse::Method { method, path } => {
            refusal(405, &format!("Method not allowed: {method} {path}"), "UNIMPLEMENTED", None)
        }
        Misuse::ContentType(sent) => {
            invalid(&format!("Invalid content type {sent:?}: send application/json."))
        }
        Misuse::Json(problem) => invalid(&format!("Invalid JSON payload received. {problem}")),
        Misuse::TooLarge => refusal(413, "Request payload size exceeds the limit.", "INVALID_ARGUMENT", None),
        Misuse::Fault(problem) => invalid(problem),
    }
}

/// The error Gemini sends with `status`.
pub(crate) fn status(status: u16, model: &str, waits: &Waits) -> Refusal {
    let unknown_model = format!("models/{model} is not found for API version v1beta.");
    let (message, name) = match status {
        401 => ("Request had invalid authentication credentials.", "UNAUTHENTICATED"),
        403 => ("The caller does not have permission.", "PERMISSION_DENIED"),
        404 => (unknown_model.as_str(), "NOT_FOUND"),
        429 => return exhausted("GenerateRequestsPerMinutePerProjectPerModel", waits.retry_info()),
        500 => ("An internal error has occurred.", "INTERNAL"),
        503 => ("The model is overloaded. Please try again later.", "UNAVAILABLE"),
        529 => ("Overloaded", "UNAVAILABLE"),
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

fn chunk(
    prompt: &Prompt,
    stamp: &Stamp,
    parts: Vec<Part<'_>>,
    finish: Option<&str>,
    usage: &Usage,
) -> String {
    text(&Chunk {
        candidates: [Candidate {
            content: Content { parts, role: "model" },
            finish_reason: finish,
            index: 0,
        }],
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

pub(super) fn refusal(status: u16, message: &str, name: &str, details: Option<Value>) -> Refusal {
    let mut error = json!({ "code": status, "message": message, "status": name });
    if let (Some(details), Some(error)) = (details, error.as_object_mut()) {
        error.insert("details".to_owned(), details);
    }
    Refusal { status, body: json!({ "error": error }) }
}

pub(super) fn invalid(message: &str) -> Refusal {
    refusal(400, message, "INVALID_ARGUMENT", None)
}

fn exhausted(quota_id: &str, retry_delay: Option<String>) -> Refusal {
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{ "quotaId": quota_id, "quotaValue": "10" }],
    })];
    if let Some(delay) = retry_delay {
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    }
    let message = "You exceeded your current quota, please check your plan and billing details.";
    refusal(429, message, "RESOURCE_EXHAUSTED", Some(details.into()))
}
