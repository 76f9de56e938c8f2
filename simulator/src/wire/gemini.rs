//! Gemini `generateContent`: the shape of answers, streams and errors. The rules of the request are in
//! [`super::gemini_rules`].
//!
//! Counts that are zero are left out of `usageMetadata`, and an empty answer has a candidate without parts.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::content::{raw, signature};
use super::{Event, Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Finish, Prompt, Usage, count_words};
use crate::fault::Waits;
use crate::provider::Provider;

/// The whole answer.
pub(super) fn whole(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let writer = Writer { provider, prompt, answer, stamp };
    if answer.prompt_blocked {
        return writer.blocked();
    }
    let thought = answer.thoughts.concat();
    let candidate = |choice: usize| {
        let said = answer.choice_text(choice);
        let mut parts = Vec::new();
        if !thought.is_empty() {
            parts.push(Part { thought: true, ..Part::text(thought.clone()) });
        }
        if !said.is_empty() {
            let signed = !thought.is_empty() && answer.tool_calls.is_empty();
            let thought_signature = signed.then(|| signature(&said));
            parts.push(Part { thought_signature, ..Part::text(said) });
        }
        parts.extend(calls(answer));
        writer.candidate(choice, parts, true)
    };
    writer.chunk((0..answer.choices.max(1)).map(candidate).collect(), &answer.usage)
}

/// The answer as a stream: usage grows from chunk to chunk, the finish reason comes last, there is no sentinel. A tool
/// call comes whole, and the finish reason in a chunk without it.
pub(super) fn events(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let writer = Writer { provider, prompt, answer, stamp };
    let mut events = Events {
        error: status(500, &prompt.model, &Waits::default()).body.to_string().into(),
        ..Events::default()
    };
    if answer.prompt_blocked {
        events.tail.push(writer.blocked().into());
        return events;
    }
    let choices = answer.choices.max(1);
    let mut sent = Usage { answer: 0, reasoning: 0, ..answer.usage };
    for thought in &answer.thoughts {
        sent.reasoning += count_words(thought);
        let part = Part { thought: true, ..Part::text(thought.clone()) };
        events.head.push(writer.part(0, part, &sent));
    }
    let texts: Vec<Vec<String>> = (0..choices).map(|choice| answer.choice_chunks(choice)).collect();
    for position in 0..texts.iter().map(Vec::len).max().unwrap_or_default() {
        for (choice, chunks) in texts.iter().enumerate() {
            let Some(chunk) = chunks.get(position) else { continue };
            sent.answer = (sent.answer + count_words(chunk)).min(answer.usage.answer);
            events.content.push(writer.part(choice, Part::text(chunk.clone()), &sent));
        }
    }
    for choice in 0..choices {
        events.content.extend(calls(answer).map(|call| writer.part(choice, call, &answer.usage)));
    }
    if finish(&answer.finish).is_none() {
        return events;
    }
    for choice in 0..choices {
        // Real streams end with an empty text part; an answer without anything has no parts at all.
        let is_empty = answer.chunks.is_empty() && answer.tool_calls.is_empty();
        let signed = !answer.thoughts.is_empty() && answer.tool_calls.is_empty();
        let last = Part { thought_signature: signed.then(|| signature("")), ..Part::text(String::new()) };
        let parts = if is_empty { Vec::new() } else { vec![last] };
        let candidate = writer.candidate(choice, parts, true);
        events.tail.push(writer.chunk(vec![candidate], &answer.usage).into());
    }
    events
}

/// The error for a request that never reached a model.
pub(super) fn misuse(provider: Provider, misuse: &Misuse<'_>) -> Refusal {
    match misuse {
        Misuse::Credential(_) if provider == Provider::Vertex => {
            let message = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
            refusal(401, message, "UNAUTHENTICATED", None)
        }
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
pub(super) fn status(status: u16, model: &str, waits: &Waits) -> Refusal {
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
pub(super) fn quota() -> Refusal {
    exhausted("GenerateRequestsPerDayPerProjectPerModel-FreeTier", None)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    candidates: Vec<Candidate<'a>>,
    usage_metadata: UsageMetadata,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<&'static str>,
    response_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_ratings: Option<Value>,
    index: usize,
}

#[derive(Serialize)]
struct Content {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    role: &'static str,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall>,
    #[serde(skip_serializing_if = "is_false")]
    thought: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<String>,
}

/// There are no ids: whoever needs one makes it up.
#[derive(Serialize)]
struct FunctionCall {
    name: String,
    args: Box<RawValue>,
}

impl Part {
    fn text(text: String) -> Part {
        Part { text: Some(text), ..Part::default() }
    }
}

/// The tool calls as parts; only the first of them carries a signature.
fn calls(answer: &Answer) -> impl Iterator<Item = Part> {
    answer.tool_calls.iter().enumerate().map(|(index, call)| Part {
        function_call: Some(FunctionCall { name: call.name.clone(), args: raw(call.json()) }),
        thought_signature: (index == 0).then(|| signature(&call.name)),
        ..Part::default()
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    #[serde(skip_serializing_if = "is_zero")]
    prompt_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    cached_content_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    candidates_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    thoughts_token_count: usize,
    #[serde(skip_serializing_if = "is_zero")]
    total_token_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic_type: Option<&'static str>,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// What every chunk of an answer needs.
struct Writer<'a> {
    provider: Provider,
    prompt: &'a Prompt,
    answer: &'a Answer,
    stamp: &'a Stamp,
}

impl<'a> Writer<'a> {
    fn candidate(&self, index: usize, parts: Vec<Part>, is_last: bool) -> Candidate<'a> {
        let finish_reason = finish(&self.answer.finish).filter(|_| is_last);
        let category = "HARM_CATEGORY_DANGEROUS_CONTENT";
        let rating = || json!([{ "category": category, "probability": "HIGH", "blocked": true }]);
        Candidate {
            content: Content { parts, role: "model" },
            finish_reason,
            safety_ratings: (finish_reason == Some("SAFETY")).then(rating),
            index,
        }
    }

    /// A chunk with one part of one candidate.
    fn part(&self, choice: usize, part: Part, usage: &Usage) -> Event {
        self.chunk(vec![self.candidate(choice, vec![part], false)], usage).into()
    }

    fn chunk(&self, candidates: Vec<Candidate<'a>>, usage: &Usage) -> String {
        text(&Chunk {
            candidates,
            usage_metadata: self.usage(usage),
            model_version: &self.prompt.model,
            create_time: (self.provider == Provider::Vertex).then_some("2026-01-01T00:00:00.000000Z"),
            response_id: response_id(self.stamp),
        })
    }

    fn blocked(&self) -> String {
        let usage = Usage { answer: 0, reasoning: 0, ..self.answer.usage };
        text(&json!({
            "promptFeedback": { "blockReason": "PROHIBITED_CONTENT" },
            "usageMetadata": self.usage(&usage),
            "modelVersion": self.prompt.model,
            "responseId": response_id(self.stamp),
        }))
    }

    fn usage(&self, usage: &Usage) -> UsageMetadata {
        UsageMetadata {
            prompt_token_count: usage.prompt,
            cached_content_token_count: usage.cached,
            candidates_token_count: usage.answer,
            thoughts_token_count: usage.reasoning,
            total_token_count: usage.prompt + usage.answer + usage.reasoning,
            traffic_type: (self.provider == Provider::Vertex).then_some("ON_DEMAND"),
        }
    }
}

fn response_id(stamp: &Stamp) -> String {
    format!("simulator{:08}", stamp.serial)
}

fn finish(finish: &Finish) -> Option<&str> {
    match finish {
        // A call of a tool ends like any other answer.
        Finish::Stop | Finish::ToolCalls => Some("STOP"),
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
    Refusal::new(status, json!({ "error": error }))
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
