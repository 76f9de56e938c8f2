//! llama.cpp: one choice, and errors with their status as a number.

use serde_json::json;

use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told};
use super::fields::{COMMON, LOGPROBS, NEWER, NEWER_ROLES, OPEN_SAMPLING, REASONING_MESSAGE, STREAM};
use super::{openai, usage};
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, LOGPROBS, OPEN_SAMPLING, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        ignores_unknown: true,
        roles: NEWER_ROLES,
        parts: &["text", "image_url", "input_audio"],
        ranges: &[("n", 1.0, 1.0)],
        pairs_results: false,
        wants_json_said: false,
        checks_strict: false,
        further: |_| Ok(()),
        ..openai::RULES
    },
    habits: Habits {
        service_tier: None,
        fingerprint: Some("b0000-simulator"),
        refusals: false,
        pads: false,
        further: &[("timings", r#"{"prompt_n":1,"predicted_n":1}"#)],
        reasoning: Reasoning::Field("reasoning_content"),
        usage: usage::with_cache,
        stream_usage: StreamUsage::OnRequest,
        stream_calls: StreamCalls::InTurn,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("cache_prompt", Kind::Bool),
    ("chat_template_kwargs", Kind::Object),
    ("grammar", Kind::Text),
    ("reasoning_format", Kind::Text),
];

fn fail(failure: &Failure<'_>) -> Refusal {
    let Told { status, message, .. } = failure.told();
    let message = match failure {
        Failure::Misuse(Misuse::Credential(_)) => "Invalid API Key".to_owned(),
        Failure::Misuse(Misuse::Path { .. }) => "File Not Found".to_owned(),
        Failure::Status { status: 503, .. } => "Loading model".to_owned(),
        _ => message,
    };
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        501 => "not_supported_error",
        503 => "unavailable_error",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    };
    Refusal::new(status, json!({ "error": { "code": status, "message": message, "type": kind } }))
}
