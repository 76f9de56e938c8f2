//! Anthropic Messages: the shape of answers, streams and errors. The rules of the request are in
//! [`super::anthropic_rules`].
//!
//! An event of the stream is JSON whose `type` is also the name of the event. Text, thinking and tool calls are blocks
//! that are counted together; the usage at the end is cumulative, not an addition to that at the start.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(super) use super::anthropic_rules::read;
use super::content::{raw, signature};
use super::{Event, Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Finish, Prompt, Usage};

/// What `message_start` counts of an answer that has not begun.
const FIRST_TOKENS: usize = 1;

/// The whole answer.
pub(super) fn whole(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let (thinking, said) = (answer.thoughts.concat(), answer.text());
    let mut content = Vec::new();
    if !thinking.is_empty() {
        content.push(Block::Thinking { signature: signature(&thinking), thinking });
    }
    if !said.is_empty() {
        content.push(Block::Text { text: said });
    }
    let calls = answer.tool_calls.iter();
    content.extend(calls.map(|call| Block::ToolUse {
        id: &call.id,
        name: &call.name,
        input: raw(call.json()),
    }));
    let stop_reason = stop_reason(&answer.finish);
    let usage = usage(&answer.usage, answer.usage.answer + answer.usage.reasoning);
    text(&message(prompt, stamp, content, stop_reason, usage))
}

/// The answer as a stream: start, a ping, the blocks, and the stop reason with the usage.
pub(super) fn events(prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let start = message(prompt, stamp, Vec::new(), None, usage(&answer.usage, FIRST_TOKENS));
    let start = text(&Start { kind: "message_start", message: start });
    let mut head = vec![Event { name: Some("message_start"), data: start }];
    head.push(event("ping", json!({ "type": "ping" })));
    let mut index = 0;
    if !answer.thoughts.is_empty() {
        head.push(block_start(index, &json!({ "type": "thinking", "thinking": "", "signature": "" })));
        let thought = |thought| delta(index, &json!({ "type": "thinking_delta", "thinking": thought }));
        head.extend(answer.thoughts.iter().map(thought));
        let signature = signature(&answer.thoughts.concat());
        head.push(delta(index, &json!({ "type": "signature_delta", "signature": signature })));
        head.push(block_stop(index));
        index += 1;
    }
    let mut content = Vec::new();
    let mut open = None;
    if !answer.chunks.is_empty() {
        head.push(block_start(index, &json!({ "type": "text", "text": "" })));
        let chunk = |chunk| delta(index, &json!({ "type": "text_delta", "text": chunk }));
        content.extend(answer.chunks.iter().map(chunk));
        open = Some(index);
        index += 1;
    }
    for call in &answer.tool_calls {
        let start = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
        let before = if content.is_empty() { &mut head } else { &mut content };
        before.extend(open.map(block_stop));
        before.push(block_start(index, &start));
        // The exact text of the input, after an empty fragment.
        for fragment in std::iter::once(String::new()).chain(call.fragments()) {
            content.push(delta(index, &json!({ "type": "input_json_delta", "partial_json": fragment })));
        }
        open = Some(index);
        index += 1;
    }
    let mut tail: Vec<Event> = open.map(block_stop).into_iter().collect();
    let output = answer.usage.answer + answer.usage.reasoning;
    tail.push(event(
        "message_delta",
        json!({
            "type": "message_delta",
            "delta": { "stop_reason": stop_reason(&answer.finish), "stop_sequence": null },
            "usage": {
                "input_tokens": answer.usage.prompt - answer.usage.cached,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": answer.usage.cached,
                "output_tokens": output,
            },
        }),
    ));
    tail.push(event("message_stop", json!({ "type": "message_stop" })));
    let error = error_event(&status(500, &prompt.model));
    Events { head, content, tail, error, ..Events::default() }
}

/// The error for a request that never reached a model.
pub(super) fn misuse(misuse: &Misuse<'_>) -> Refusal {
    match misuse {
        Misuse::Credential(None) => refusal(401, "authentication_error", "x-api-key header is required"),
        Misuse::Credential(Some(_)) => refusal(401, "authentication_error", "invalid x-api-key"),
        Misuse::Path { .. } => refusal(404, "not_found_error", "Not found"),
        Misuse::Method { .. } => refusal(405, "invalid_request_error", "Method Not Allowed"),
        Misuse::ContentType(sent) => {
            invalid(&format!("Content-Type: {sent:?} is not accepted, send application/json"))
        }
        Misuse::Json(problem) => invalid(&format!("The request body is not valid JSON: {problem}")),
        Misuse::TooLarge => refusal(413, "request_too_large", "Request exceeds the maximum size"),
        Misuse::Fault(problem) => invalid(problem),
    }
}

/// The error Anthropic sends with `status`.
pub(super) fn status(status: u16, model: &str) -> Refusal {
    let unknown_model = format!("model: {model}");
    let (kind, message) = match status {
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "There is a problem with the billing of this account."),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => ("not_found_error", unknown_model.as_str()),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed the rate limit of your organization."),
        504 => ("timeout_error", "Request timed out"),
        503 | 529 => ("overloaded_error", "Overloaded"),
        500..=599 => ("api_error", "Internal server error"),
        _ => ("invalid_request_error", "The request was rejected."),
    };
    refusal(status, kind, message)
}

/// The error because the money is gone.
pub(super) fn quota() -> Refusal {
    refusal(402, "billing_error", "Your credit balance is too low to access the Anthropic API.")
}

/// The event that ends a stream with this error.
pub(super) fn error_event(refusal: &Refusal) -> Event {
    Event { name: Some("error"), data: refusal.body.to_string() }
}

/// Headers of every response.
pub(super) fn headers(serial: u64) -> Vec<(&'static str, String)> {
    vec![("request-id", format!("req_simulator{serial:08}"))]
}

/// The list of models.
pub(super) fn models() -> Value {
    json!({
        "data": [{
            "type": "model",
            "id": "ok",
            "display_name": "ok",
            "created_at": "2025-01-01T00:00:00Z",
        }],
        "has_more": false,
        "first_id": "ok",
        "last_id": "ok",
    })
}

pub(super) fn refusal(status: u16, kind: &str, message: &str) -> Refusal {
    Refusal::new(status, error(kind, message))
}

pub(super) fn invalid(message: &str) -> Refusal {
    refusal(400, "invalid_request_error", message)
}

fn error(kind: &str, message: &str) -> Value {
    json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": "req_simulator",
    })
}

#[derive(Serialize)]
struct Message<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'a str>,
    stop_sequence: Option<&'a str>,
    usage: Value,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Thinking { thinking: String, signature: String },
    Text { text: String },
    ToolUse { id: &'a str, name: &'a str, input: Box<RawValue> },
}

#[derive(Serialize)]
struct Start<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: Message<'a>,
}

fn message<'a>(
    prompt: &'a Prompt,
    stamp: &Stamp,
    content: Vec<Block<'a>>,
    stop_reason: Option<&'a str>,
    usage: Value,
) -> Message<'a> {
    Message {
        id: format!("msg_simulator{:08}", stamp.serial),
        kind: "message",
        role: "assistant",
        model: &prompt.model,
        content,
        stop_reason,
        stop_sequence: None,
        usage,
    }
}

/// Tokens read from the cache are not part of the input tokens.
fn usage(usage: &Usage, output: usize) -> Value {
    json!({
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn event(name: &'static str, data: Value) -> Event {
    Event { name: Some(name), data: data.to_string() }
}

fn block_start(index: usize, block: &Value) -> Event {
    let data = json!({ "type": "content_block_start", "index": index, "content_block": block });
    event("content_block_start", data)
}

fn delta(index: usize, delta: &Value) -> Event {
    event("content_block_delta", json!({ "type": "content_block_delta", "index": index, "delta": delta }))
}

fn block_stop(index: usize) -> Event {
    event("content_block_stop", json!({ "type": "content_block_stop", "index": index }))
}

fn stop_reason(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop => Some("end_turn"),
        Finish::Length => Some("max_tokens"),
        Finish::ToolCalls => Some("tool_use"),
        Finish::ContentFilter => Some("refusal"),
        Finish::Verbatim(word) => Some(word),
        Finish::Absent => None,
    }
}
