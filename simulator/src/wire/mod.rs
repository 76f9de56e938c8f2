//! Wire formats: one module per provider, each with the rules a request must keep and the shape of what comes back.
//!
//! This module holds what they share and picks the module for a provider. Nothing here does I/O: a request body goes
//! in, JSON texts come out, and [`crate::stream`] turns those into bytes on a connection.

mod anthropic;
mod anthropic_blocks;
mod anthropic_rules;
pub(crate) mod bedrock;
mod bedrock_blocks;
mod bedrock_rules;
mod chat;
mod content;
mod extra;
mod gemini;
mod gemini_contents;
mod gemini_embedding;
mod gemini_rules;
mod gemini_tools;
mod shape;

use http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Prompt};
use crate::embedding::EmbeddingRequest;
use crate::fault::{Refuse, Waits};
use crate::provider::Provider;

/// A request whose credential was accepted and whose body is JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) body: &'a Value,
    /// The body as it arrived.
    pub(crate) bytes: &'a [u8],
    /// The model, where the provider has it in the path.
    pub(crate) path_model: Option<&'a str>,
    /// Whether the path asks for a stream, where the provider has that in the path.
    pub(crate) path_stream: bool,
    /// Whether the path asks for several embeddings, where the provider has that in the path.
    pub(crate) path_batch: bool,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
}

/// An error response in a provider's own shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Headers that are part of the error.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, body: Value) -> Refusal {
        Refusal { status, body, headers: Vec::new() }
    }
}

/// Why a request never reached a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misuse<'a> {
    /// No credential, or not one of ours; holds what was presented.
    Credential(Option<&'a str>),
    /// The path leads nowhere.
    Path { method: &'a str, path: &'a str },
    /// The path exists for other methods.
    Method { method: &'a str, path: &'a str },
    /// Not `application/json`; holds what was sent.
    ContentType(&'a str),
    /// The body is no JSON; holds the parser's complaint.
    Json(&'a str),
    /// The body is longer than accepted.
    TooLarge,
    /// The fault grammar was not understood.
    Fault(&'a str),
}

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The event's type, where the format has it beside the data.
    pub(crate) name: Option<&'static str>,
    /// JSON text.
    pub(crate) data: String,
}

impl From<String> for Event {
    fn from(data: String) -> Event {
        Event { name: None, data }
    }
}

/// A streamed answer as its events, by the role they play in the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events {
    /// Before the content: the role, and reasoning.
    pub(crate) head: Vec<Event>,
    /// One per content chunk; fragments of tool calls are content.
    pub(crate) content: Vec<Event>,
    /// After the content: finish reason, usage.
    pub(crate) tail: Vec<Event>,
    /// The sentinel at the very end, if the format has one.
    pub(crate) done: Option<&'static str>,
    /// What is sent when the stream fails in the middle.
    pub(crate) error: Event,
    /// A comment before the first event.
    pub(crate) comment: Option<&'static str>,
    /// The sentinel follows an error too.
    pub(crate) done_after_error: bool,
}

/// What differs between answers to equal requests.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// Counts answers.
    pub(crate) serial: u64,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// Checks a request by the provider's rules.
pub(crate) fn read(provider: Provider, request: &Request<'_>) -> Result<Prompt, Refusal> {
    match provider {
        Provider::Gemini | Provider::Vertex => gemini_rules::read(provider, request),
        Provider::Anthropic => anthropic::read(request),
        Provider::Bedrock => bedrock::read(request),
        _ => chat::read(provider, request),
    }
}

/// The whole answer as one JSON text.
pub(crate) fn whole(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    let text = match provider {
        Provider::Gemini | Provider::Vertex => gemini::whole(provider, prompt, answer, stamp),
        Provider::Anthropic => anthropic::whole(prompt, answer, stamp),
        Provider::Bedrock => bedrock::whole(prompt, answer, stamp),
        _ => chat::whole(provider, prompt, answer, stamp),
    };
    if answer.extra { extra::whole(provider, text) } else { text }
}

/// The answer as stream events.
pub(crate) fn events(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let mut events = match provider {
        Provider::Gemini | Provider::Vertex => gemini::events(provider, prompt, answer, stamp),
        Provider::Anthropic => anthropic::events(prompt, answer, stamp),
        Provider::Bedrock => bedrock::events(prompt, answer, stamp),
        _ => chat::events(provider, prompt, answer, stamp),
    };
    if answer.extra {
        let Events { head, content, tail, .. } = &mut events;
        for event in head.iter_mut().chain(content).chain(tail) {
            event.data = extra::event(provider, std::mem::take(&mut event.data));
        }
    }
    events
}

/// Checks a request for embeddings by the provider's rules.
pub(crate) fn read_embedding(provider: Provider, request: &Request<'_>) -> Result<EmbeddingRequest, Refusal> {
    match provider {
        Provider::Gemini | Provider::Vertex => gemini_embedding::read(request),
        _ => chat::read_embedding(provider, request),
    }
}

/// The embeddings as one JSON text.
pub(crate) fn embeddings(provider: Provider, request: &EmbeddingRequest) -> String {
    let text = match provider {
        Provider::Gemini | Provider::Vertex => gemini_embedding::whole(request),
        _ => chat::embeddings(provider, request),
    };
    if request.extra { extra::whole(provider, text) } else { text }
}

/// The error for a request that never reached a model.
pub(crate) fn misuse(provider: Provider, misuse: &Misuse<'_>) -> Refusal {
    match provider {
        Provider::Gemini | Provider::Vertex => gemini::misuse(provider, misuse),
        Provider::Anthropic => anthropic::misuse(misuse),
        Provider::Bedrock => bedrock::misuse(misuse),
        _ => chat::misuse(provider, misuse),
    }
}

/// The error a fault asks for; `None` for faults that are no JSON response.
pub(crate) fn refuse(provider: Provider, refuse: Refuse, model: &str, waits: &Waits) -> Option<Refusal> {
    if matches!(refuse, Refuse::Html(_) | Refuse::Reset | Refuse::Stall) {
        return None;
    }
    let refusal = match (provider, refuse) {
        (Provider::Gemini | Provider::Vertex, Refuse::Status(status)) => gemini::status(status, model, waits),
        (Provider::Gemini | Provider::Vertex, Refuse::UnknownModel) => gemini::status(404, model, waits),
        (Provider::Gemini | Provider::Vertex, _) => gemini::quota(),
        (Provider::Anthropic, Refuse::Status(status)) => anthropic::status(status, model),
        (Provider::Anthropic, Refuse::UnknownModel) => anthropic::status(404, model),
        (Provider::Anthropic, _) => anthropic::quota(),
        (Provider::Bedrock, Refuse::Status(status)) => bedrock::status(status, model),
        (Provider::Bedrock, Refuse::UnknownModel) => bedrock::status(404, model),
        (Provider::Bedrock, _) => bedrock::quota(),
        (_, Refuse::Status(status)) => chat::status(provider, status, model),
        (_, Refuse::UnknownModel) => chat::unknown_model(provider, model),
        (..) => chat::quota(provider),
    };
    Some(refusal)
}

/// The event that ends a stream with this error.
pub(crate) fn error_event(provider: Provider, refusal: &Refusal) -> Event {
    match provider {
        Provider::Anthropic => anthropic::error_event(refusal),
        Provider::Bedrock => bedrock::error_event(refusal),
        Provider::Gemini | Provider::Vertex => Event::from(refusal.body.to_string()),
        _ => chat::error_event(provider, refusal),
    }
}

/// Headers of every response of the provider; `serial` is the number of the last answer.
pub(crate) fn headers(provider: Provider, serial: u64) -> Vec<(&'static str, String)> {
    match provider {
        Provider::Anthropic => anthropic::headers(serial),
        Provider::Bedrock => bedrock::headers(serial),
        Provider::Gemini | Provider::Vertex => Vec::new(),
        _ => chat::headers(provider, serial),
    }
}

/// The list of models of `GET .../models`.
pub(crate) fn models(provider: Provider) -> Value {
    match provider {
        Provider::Gemini | Provider::Vertex => json!({
            "models": [{
                "name": "models/ok",
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }],
        }),
        Provider::Anthropic => anthropic::models(),
        _ => chat::models(provider),
    }
}

/// JSON text of one of our own types. Their maps have string keys and their `Serialize` is derived, the two things
/// that could fail; an empty text would show in every test.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
