//! OpenRouter: nearly everything accepted, errors with the status as their code, comments while it looks for a model.

use serde_json::{Value, json};

use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::Failure;
use super::fields::{COMMON, LOGPROBS, NEWER, NEWER_ROLES, OPEN_SAMPLING, REASONING_MESSAGE, STREAM};
use super::{openai, usage};
use crate::answer::Usage;
use crate::wire::Refusal;
use crate::wire::shape::Kind;

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, LOGPROBS, OPEN_SAMPLING, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        ignores_unknown: true,
        roles: NEWER_ROLES,
        wants_json_said: false,
        checks_strict: false,
        reads_n: false,
        further: |_| Ok(()),
        ..openai::RULES
    },
    habits: Habits {
        id: |serial| format!("gen-simulator{serial:08}"),
        service_tier: None,
        served_by: Some("Simulator"),
        pads: false,
        refusals: false,
        native_finish: true,
        reasoning: Reasoning::Field("reasoning"),
        usage: counts,
        stream_usage: StreamUsage::Always,
        stream_calls: StreamCalls::InTurn,
        role_in_each: true,
        empty_content: true,
        comment: Some("OPENROUTER PROCESSING"),
        done_after_error: true,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("models", Kind::List),
    ("plugins", Kind::List),
    ("provider", Kind::Object),
    ("reasoning", Kind::Object),
    ("route", Kind::Text),
    ("transforms", Kind::List),
    ("usage", Kind::Object),
];

fn counts(usage: &Usage) -> Value {
    let mut counts = usage::with_details(usage);
    if let Some(counts) = counts.as_object_mut() {
        counts.insert("cost".to_owned(), 0.000_01.into());
        counts.insert("is_byok".to_owned(), false.into());
    }
    counts
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let told = failure.told();
    let (status, message, kind) = match failure {
        Failure::Quota | Failure::Status { status: 402, .. } => {
            (402, "Insufficient credits. Add more credits and retry.".to_owned(), Some("payment_required"))
        }
        Failure::UnknownModel(model) => (400, format!("{model} is not a valid model ID"), None),
        Failure::Status { status: 429, .. } => (429, told.message, Some("rate_limit_exceeded")),
        Failure::Status { status: status @ 529, .. } => (*status, told.message, Some("provider_overloaded")),
        Failure::Status { status: status @ 500..=599, .. } => {
            (*status, told.message, Some("provider_unavailable"))
        }
        Failure::Stream => (502, told.message, Some("server")),
        _ => (told.status, told.message, None),
    };
    let mut error = json!({ "message": message, "code": status });
    if let (Some(kind), Some(error)) = (kind, error.as_object_mut()) {
        let metadata = json!({ "provider_name": "Simulator", "error_type": kind });
        error.insert("metadata".to_owned(), metadata);
    }
    Refusal::new(status, json!({ "error": error, "user_id": "user_simulator" }))
}

/// The chunk that ends a stream with an error.
pub(super) fn error_chunk(refusal: &Refusal) -> Value {
    json!({
        "id": "gen-simulator",
        "object": "chat.completion.chunk",
        "provider": "Simulator",
        "error": refusal.body.get("error"),
        "choices": [{
            "index": 0,
            "delta": { "role": "assistant", "content": "" },
            "finish_reason": "error",
            "native_finish_reason": "error",
        }],
    })
}
