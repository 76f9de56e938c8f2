//! Wire formats: one module per provider, each with the rules a request must keep and the shape of what comes back.
//!
//! This module holds what they share and picks the module for a provider. Nothing here does I/O: a request body goes
//! in, JSON texts come out, and [`crate::stream`] turns those into bytes on a connection.

pub(crate) mod deepseek;
pub(crate) mod gemini;
mod gemini_rules;
pub(crate) mod openai;
mod openai_rules;
mod shape;

use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Prompt};
use crate::fault::{Refuse, Waits};
use crate::provider::Provider;

/// An error response in a provider's own shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) body: Value,
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

/// A streamed answer as the JSON texts of its events, by the role they play in the stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Events {
    /// Before the content: the role, and reasoning.
    pub(crate) head: Vec<String>,
    /// One per content chunk.
    pub(crate) content: Vec<String>,
    /// After the content: finish reason, usage.
    pub(crate) tail: Vec<String>,
    /// The sentinel at the very end, if the format has one.
    pub(crate) done: Option<&'static str>,
    /// What is sent when the stream fails in the middle.
    pub(crate) error: String,
}

/// What differs between answers to equal requests.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// Counts answers.
    pub(crate) serial: u64,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// Checks a request body by the provider's rules. `model` and `stream` come from the path where the provider keeps
/// them there.
pub(crate) fn read(
    provider: Provider,
    body: &Value,
    path_call: Option<(&str, bool)>,
) -> Result<Prompt, Refusal> {
    match provider {
        Provider::OpenAi => openai_rules::read(body),
        Provider::DeepSeek => deepseek::read(body),
        Provider::Gemini => {
            let (model, stream) = path_call.unwrap_or_default();
            gemini_rules::read(body, model, stream)
        }
    }
}

/// The whole answer as one JSON text.
pub(crate) fn whole(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    match provider {
        Provider::OpenAi => openai::whole(prompt, answer, stamp),
        Provider::DeepSeek => deepseek::whole(prompt, answer, stamp),
        Provider::Gemini => gemini::whole(prompt, answer, stamp),
    }
}

/// The answer as stream events.
pub(crate) fn events(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    match provider {
        Provider::OpenAi => openai::events(prompt, answer, stamp),
        Provider::DeepSeek => deepseek::events(prompt, answer, stamp),
        Provider::Gemini => gemini::events(prompt, answer, stamp),
    }
}

/// The error for a request that never reached a model.
pub(crate) fn misuse(provider: Provider, misuse: &Misuse<'_>) -> Refusal {
    match provider {
        Provider::OpenAi => openai::misuse(misuse),
        Provider::DeepSeek => deepseek::misuse(misuse),
        Provider::Gemini => gemini::misuse(misuse),
    }
}

/// The error a fault asks for; `None` for faults that are no JSON response.
pub(crate) fn refuse(provider: Provider, refuse: Refuse, model: &str, waits: &Waits) -> Option<Refusal> {
    let refusal = match (refuse, provider) {
        (Refuse::Status(status), Provider::OpenAi) => openai::status(status, model),
        (Refuse::Status(status), Provider::DeepSeek) => deepseek::status(status),
        (Refuse::Status(status), Provider::Gemini) => gemini::status(status, model, waits),
        (Refuse::UnknownModel, Provider::OpenAi) => openai::status(404, model),
        (Refuse::UnknownModel, Provider::DeepSeek) => deepseek::unknown_model(),
        (Refuse::UnknownModel, Provider::Gemini) => gemini::status(404, model, waits),
        (Refuse::Quota, Provider::OpenAi) => openai::quota(),
        (Refuse::Quota, Provider::DeepSeek) => deepseek::quota(),
        (Refuse::Quota, Provider::Gemini) => gemini::quota(),
        (Refuse::Html(_) | Refuse::Reset | Refuse::Stall, _) => return None,
    };
    Some(refusal)
}

/// The list of models of `GET .../models`.
pub(crate) fn models(provider: Provider) -> Value {
    match provider {
        Provider::OpenAi | Provider::DeepSeek => json!({
            "object": "list",
            "data": [{ "id": "ok", "object": "model", "created": 1_700_000_000, "owned_by": provider }],
        }),
        Provider::Gemini => json!({
            "models": [{
                "name": "models/ok",
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            }],
        }),
    }
}

/// JSON text of one of our own types. Their maps have string keys and their `Serialize` is derived, the two things
/// that could fail; an empty text would show in every test.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
