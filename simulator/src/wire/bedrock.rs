//! Bedrock Converse: the shape of answers, stream events and errors. The rules of the request are in
//! [`super::bedrock_rules`].
//!
//! The type of an error is not in its body but in a header; in a stream it is an exception frame. Only tool calls
//! announce their block, the text of an answer just begins. Usage comes after the stop reason.

use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(super) use super::bedrock_rules::read;
use super::content::{raw, signature};
use super::{Event, Events, Misuse, Refusal, Stamp, text};
use crate::answer::{Answer, Finish, Prompt, Usage};
use crate::event_stream::{self, Message};
use crate::sigv4::{self, Signed};

const ERROR_TYPE: &str = "x-amzn-errortype";
/// What the padding of events is cut from.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Status, type in the header, type in a stream, message.
const ERRORS: &[(u16, &str, &str, &str)] = &[
    (400, "ValidationException", "validationException", "The request was rejected."),
    (
        401,
        "UnrecognizedClientException",
        "validationException",
        "The security token included in the request is invalid.",
    ),
    (
        403,
        "AccessDeniedException",
        "validationException",
        "You don't have access to the model with the specified model ID.",
    ),
    (
        404,
        "ResourceNotFoundException",
        "validationException",
        "Could not resolve the foundation model from the provided model identifier.",
    ),
    (408, "ModelTimeoutException", "modelStreamErrorException", "The model took too long to answer."),
    (
        424,
        "ModelErrorException",
        "modelStreamErrorException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    (
        429,
        "ThrottlingException",
        "throttlingException",
        "Too many requests, please wait before trying again.",
    ),
    (
        500,
        "InternalServerException",
        "internalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    (
        503,
        "ServiceUnavailableException",
        "serviceUnavailableException",
        "Bedrock is unable to process your request.",
    ),
];

/// The whole answer.
pub(super) fn whole(_: &Prompt, answer: &Answer, _: &Stamp) -> String {
    let (thought, said) = (answer.thoughts.concat(), answer.text());
    let mut content = Vec::new();
    if !thought.is_empty() {
        let signature = signature(&thought);
        content.push(Block::ReasoningContent {
            reasoning_text: json!({ "text": thought, "signature": signature }),
        });
    }
    if !said.is_empty() {
        content.push(Block::Text(said));
    }
    content.extend(answer.tool_calls.iter().map(|call| Block::ToolUse {
        tool_use_id: &call.id,
        name: &call.name,
        input: raw(call.json()),
    }));
    text(&Response {
        metrics: json!({ "latencyMs": 1 }),
        output: Output { message: ResponseMessage { content, role: "assistant" } },
        stop_reason: stop_reason(&answer.finish),
        usage: usage(&answer.usage),
    })
}

/// The answer as a stream.
pub(super) fn events(_: &Prompt, answer: &Answer, _: &Stamp) -> Events {
    let mut head = vec![event("messageStart", json!({ "role": "assistant" }))];
    let mut index = 0;
    if !answer.thoughts.is_empty() {
        let reasoning = |delta: Value| block_delta(index, &json!({ "reasoningContent": delta }));
        head.extend(answer.thoughts.iter().map(|thought| reasoning(json!({ "text": thought }))));
        head.push(reasoning(json!({ "signature": signature(&answer.thoughts.concat()) })));
        head.push(block_stop(index));
        index += 1;
    }
    let mut content = Vec::new();
    let mut open = None;
    if !answer.chunks.is_empty() {
        content.extend(answer.chunks.iter().map(|chunk| block_delta(index, &json!({ "text": chunk }))));
        open = Some(index);
        index += 1;
    }
    for call in &answer.tool_calls {
        let start = json!({ "toolUse": { "name": call.name, "toolUseId": call.id } });
        let before = if content.is_empty() { &mut head } else { &mut content };
        before.extend(open.map(block_stop));
        before.push(event("contentBlockStart", json!({ "contentBlockIndex": index, "start": start })));
        let fragments = call.fragments();
        let fragments = if fragments.is_empty() { vec![String::new()] } else { fragments };
        let fragment = |fragment| block_delta(index, &json!({ "toolUse": { "input": fragment } }));
        content.extend(fragments.iter().map(fragment));
        open = Some(index);
        index += 1;
    }
    let mut tail: Vec<Event> = open.map(block_stop).into_iter().collect();
    if let Some(reason) = stop_reason(&answer.finish) {
        tail.push(event("messageStop", json!({ "stopReason": reason })));
    }
    tail.push(event("metadata", json!({ "metrics": { "latencyMs": 1 }, "usage": usage(&answer.usage) })));
    Events { head, content, tail, error: error_event(&status(500, "")), ..Events::default() }
}

/// The frame of an event; one without a name is an exception frame.
pub(crate) fn frame(event: &Event) -> Bytes {
    let name = event.name.unwrap_or("internalServerException");
    let message = if name.ends_with("Exception") { Message::Exception(name) } else { Message::Event(name) };
    event_stream::frame(message, &event.data)
}

/// Verifies the signature of a request, which is as good as a key.
pub(crate) fn verify(signed: &Signed<'_>) -> Result<(), Refusal> {
    sigv4::verify(signed, SystemTime::now()).map_err(|error| {
        let (status, kind) = error.code();
        refusal(status, kind, &error.to_string())
    })
}

/// The exception that ends a stream as this error would have ended the request.
pub(super) fn error_event(refusal: &Refusal) -> Event {
    let (_, _, name, _) = described(refusal.status);
    let mut data = refusal.body.clone();
    if let (&"modelStreamErrorException", Some(data)) = (name, data.as_object_mut()) {
        data.insert("originalMessage".to_owned(), "The model failed.".into());
        data.insert("originalStatusCode".to_owned(), refusal.status.into());
    }
    Event { name: Some(name), data: data.to_string() }
}

/// Headers of every response.
pub(super) fn headers(serial: u64) -> Vec<(&'static str, String)> {
    vec![("x-amzn-requestid", format!("00000000-0000-4000-8000-{serial:012}"))]
}

/// The error for a request that never reached a model.
pub(super) fn misuse(misuse: &Misuse<'_>) -> Refusal {
    match misuse {
        Misuse::Credential(None) => {
            refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        Misuse::Credential(Some(_)) => refusal(
            403,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
        ),
        Misuse::Path { .. } => refusal(404, "UnknownOperationException", "Unknown operation"),
        Misuse::Method { method, .. } => {
            refusal(405, "UnknownOperationException", &format!("Unknown operation for {method}"))
        }
        Misuse::ContentType(sent) => {
            refusal(400, "SerializationException", &format!("Unexpected content type {sent:?}"))
        }
        Misuse::Json(problem) => {
            refusal(400, "SerializationException", &format!("Malformed JSON: {problem}"))
        }
        Misuse::TooLarge => refusal(413, "ValidationException", "Request body is too large."),
        Misuse::Fault(problem) => invalid(problem),
    }
}

/// The error Bedrock sends with `status`.
pub(super) fn status(status: u16, _: &str) -> Refusal {
    let (_, kind, _, message) = described(status);
    refusal(status, kind, message)
}

/// The account may not use the model any more: the status is that of a missing permission.
pub(super) fn quota() -> Refusal {
    refusal(
        403,
        "AccessDeniedException",
        "INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided.",
    )
}

pub(super) fn invalid(message: &str) -> Refusal {
    refusal(400, "ValidationException", message)
}

/// An error with its type in the header.
pub(super) fn refusal(status: u16, kind: &str, message: &str) -> Refusal {
    Refusal {
        headers: vec![(ERROR_TYPE, format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"))],
        ..Refusal::new(status, json!({ "message": message }))
    }
}

/// The error closest to a status that has none of its own.
fn described(status: u16) -> &'static (u16, &'static str, &'static str, &'static str) {
    const INVALID: &(u16, &str, &str, &str) =
        &(400, "ValidationException", "validationException", "The request was rejected.");
    let exact = ERRORS.iter().find(|(known, ..)| *known == status);
    let nearest = match status {
        529 => 503,
        500..=599 => 500,
        _ => 400,
    };
    exact.or_else(|| ERRORS.iter().find(|(known, ..)| *known == nearest)).unwrap_or(INVALID)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    metrics: Value,
    output: Output<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<&'a str>,
    usage: Value,
}

#[derive(Serialize)]
struct Output<'a> {
    message: ResponseMessage<'a>,
}

#[derive(Serialize)]
struct ResponseMessage<'a> {
    content: Vec<Block<'a>>,
    role: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Block<'a> {
    ReasoningContent { reasoning_text: Value },
    Text(String),
    ToolUse { input: Box<RawValue>, name: &'a str, tool_use_id: &'a str },
}

/// Tokens read from the cache are not part of the input tokens, but of the total.
fn usage(usage: &Usage) -> Value {
    let (input, output) = (usage.prompt - usage.cached, usage.answer + usage.reasoning);
    json!({
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": 0,
        "inputTokens": input,
        "outputTokens": output,
        "totalTokens": input + usage.cached + output,
    })
}

/// An event with the padding that hides how long its text is.
fn event(name: &'static str, mut data: Value) -> Event {
    let length = data.to_string().len() % PADDING.len();
    if let Some(data) = data.as_object_mut() {
        data.insert("p".to_owned(), PADDING.get(..length).unwrap_or_default().into());
    }
    Event { name: Some(name), data: data.to_string() }
}

fn block_delta(index: usize, delta: &Value) -> Event {
    event("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta }))
}

fn block_stop(index: usize) -> Event {
    event("contentBlockStop", json!({ "contentBlockIndex": index }))
}

fn stop_reason(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop => Some("end_turn"),
        Finish::Length => Some("max_tokens"),
        Finish::ToolCalls => Some("tool_use"),
        Finish::ContentFilter => Some("content_filtered"),
        Finish::Verbatim(word) => Some(word),
        Finish::Absent => None,
    }
}
