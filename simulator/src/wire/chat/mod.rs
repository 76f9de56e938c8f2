//! The OpenAI family: providers that speak chat completions, each with its own deviations.
//!
//! What they share is written once and reads a table, the [`Dialect`]; each provider has a small file with its table.

mod azure;
mod calls;
mod cerebras;
mod complaint;
mod deepseek;
mod dialect;
mod embedding;
mod failure;
mod fields;
mod fireworks;
mod groq;
mod llamacpp;
mod messages;
mod mistral;
mod ollama;
mod openai;
mod openrouter;
mod parts;
mod prompt;
mod rules;
mod stream;
mod together;
mod tools;
mod usage;
mod vllm;
mod whole;
mod xai;

use serde_json::{Map, Value, json};

use self::dialect::{Dialect, Rules};
use self::failure::Failure;
use super::{Event, Events, Misuse, Refusal, Request, Stamp};
use crate::answer::{Answer, Prompt};
use crate::embedding::EmbeddingRequest;
use crate::provider::Provider;

/// A chat completion request, taken apart.
#[derive(Clone, Copy)]
struct Chat<'a> {
    rules: &'a Rules,
    request: &'a Request<'a>,
    fields: &'a Map<String, Value>,
    messages: &'a [Value],
    model: &'a str,
}

impl<'a> Chat<'a> {
    /// A field that is there and not `null`.
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }
}

/// The table of a provider; OpenAI's for one that is not of the family.
fn dialect(provider: Provider) -> &'static Dialect {
    match provider {
        Provider::DeepSeek => &deepseek::DIALECT,
        Provider::Azure => &azure::DIALECT,
        Provider::Mistral => &mistral::DIALECT,
        Provider::Groq => &groq::DIALECT,
        Provider::Xai => &xai::DIALECT,
        Provider::OpenRouter => &openrouter::DIALECT,
        Provider::Together => &together::DIALECT,
        Provider::Fireworks => &fireworks::DIALECT,
        Provider::Cerebras => &cerebras::DIALECT,
        Provider::Ollama => &ollama::DIALECT,
        Provider::Vllm => &vllm::DIALECT,
        Provider::LlamaCpp => &llamacpp::DIALECT,
        Provider::OpenAi | Provider::Gemini | Provider::Anthropic | Provider::Bedrock | Provider::Vertex => {
            &openai::DIALECT
        }
    }
}

fn fail(provider: Provider, failure: &Failure<'_>) -> Refusal {
    (dialect(provider).fail)(failure)
}

/// Checks a request by the provider's rules.
pub(super) fn read(provider: Provider, request: &Request<'_>) -> Result<Prompt, Refusal> {
    let chat = rules::check(&dialect(provider).rules, request);
    let chat = chat.map_err(|complaint| fail(provider, &Failure::Complaint(&complaint)))?;
    Ok(prompt::prompt(&chat))
}

/// The whole answer.
pub(super) fn whole(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> String {
    whole::whole(&dialect(provider).habits, prompt, answer, stamp)
}

/// The answer as stream events.
pub(super) fn events(provider: Provider, prompt: &Prompt, answer: &Answer, stamp: &Stamp) -> Events {
    let error = error_event(provider, &fail(provider, &Failure::Stream));
    stream::events(&dialect(provider).habits, prompt, answer, stamp, error)
}

/// Checks a request for embeddings.
pub(super) fn read_embedding(provider: Provider, request: &Request<'_>) -> Result<EmbeddingRequest, Refusal> {
    let rules = &dialect(provider).rules;
    let checked = match provider {
        Provider::Azure => azure::check_version(request),
        _ => Ok(()),
    };
    checked
        .and_then(|()| embedding::read(provider, rules, request))
        .map_err(|complaint| fail(provider, &Failure::Complaint(&complaint)))
}

/// The embeddings.
pub(super) fn embeddings(provider: Provider, request: &EmbeddingRequest) -> String {
    let mut body = embedding::whole(request);
    if let (Provider::Mistral, Some(body)) = (provider, body.as_object_mut()) {
        body.insert("id".to_owned(), "embd-simulator".into());
    }
    super::text(&body)
}

/// The error for a request that never reached a model.
pub(super) fn misuse(provider: Provider, misuse: &Misuse<'_>) -> Refusal {
    fail(provider, &Failure::Misuse(misuse))
}

/// The error the provider sends with `status`.
pub(super) fn status(provider: Provider, status: u16, model: &str) -> Refusal {
    fail(provider, &Failure::Status { status, model })
}

/// The error for a model that does not exist.
pub(super) fn unknown_model(provider: Provider, model: &str) -> Refusal {
    fail(provider, &Failure::UnknownModel(model))
}

/// The error because the money is gone.
pub(super) fn quota(provider: Provider) -> Refusal {
    fail(provider, &Failure::Quota)
}

/// The event that ends a stream with this error.
pub(super) fn error_event(provider: Provider, refusal: &Refusal) -> Event {
    let body = match provider {
        Provider::OpenRouter => openrouter::error_chunk(refusal),
        Provider::Groq => groq::error_chunk(refusal),
        _ => refusal.body.clone(),
    };
    Event::from(body.to_string())
}

/// Headers of every response.
pub(super) fn headers(provider: Provider, serial: u64) -> Vec<(&'static str, String)> {
    match provider {
        Provider::OpenAi => vec![
            ("x-request-id", format!("req_simulator{serial:08}")),
            ("openai-version", "2020-10-01".to_owned()),
            ("openai-processing-ms", "1".to_owned()),
        ],
        Provider::Azure => vec![
            ("apim-request-id", format!("00000000-0000-4000-8000-{serial:012}")),
            ("x-ms-region", "Simulator".to_owned()),
        ],
        Provider::OpenRouter => vec![("x-generation-id", format!("gen-simulator{serial:08}"))],
        _ => Vec::new(),
    }
}

/// The list of models.
pub(super) fn models(provider: Provider) -> Value {
    let model = json!({ "id": "ok", "object": "model", "created": 1_700_000_000, "owned_by": provider });
    match provider {
        Provider::Together => json!([model]),
        _ => json!({ "object": "list", "data": [model] }),
    }
}
