//! vLLM: nearly everything accepted, errors with their status as a number, the end in one chunk with the last text.

use serde_json::json;

use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told};
use super::fields::{COMMON, LOGPROBS, NEWER, NEWER_ROLES, OPEN_SAMPLING, REASONING_MESSAGE};
use super::{openai, usage};
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, LOGPROBS, OPEN_SAMPLING, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: &[("include_usage", Kind::Bool), ("continuous_usage_stats", Kind::Bool)],
        ignores_unknown: true,
        roles: NEWER_ROLES,
        pairs_results: false,
        parses_arguments: true,
        wants_json_said: false,
        checks_strict: false,
        further: |_| Ok(()),
        ..openai::RULES
    },
    habits: Habits {
        service_tier: None,
        fingerprint: None,
        refusals: false,
        pads: false,
        stop_reason: true,
        further: &[("prompt_logprobs", "null"), ("kv_transfer_params", "null")],
        reasoning: Reasoning::Field("reasoning_content"),
        usage: usage::with_cache,
        stream_usage: StreamUsage::OnRequest,
        stream_calls: StreamCalls::InTurn,
        finish_with_content: true,
        done_after_error: true,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("add_generation_prompt", Kind::Bool),
    ("chat_template_kwargs", Kind::Object),
    ("ignore_eos", Kind::Bool),
    ("structured_outputs", Kind::Object),
];

fn fail(failure: &Failure<'_>) -> Refusal {
    match failure {
        Failure::Misuse(Misuse::Credential(_)) => {
            return Refusal::new(401, json!({ "error": "Unauthorized" }));
        }
        Failure::Misuse(Misuse::Path { .. }) => {
            return Refusal::new(404, json!({ "detail": "Not Found" }));
        }
        Failure::Misuse(Misuse::Method { .. }) => {
            return Refusal::new(405, json!({ "detail": "Method Not Allowed" }));
        }
        _ => {}
    }
    let Told { status, message, param, .. } = failure.told();
    let message = match failure {
        Failure::UnknownModel(model) | Failure::Status { status: 404, model } => {
            format!("The model `{model}` does not exist.")
        }
        _ => message,
    };
    let kind = match status {
        400 => "BadRequestError",
        404 => "NotFoundError",
        500..=599 => "InternalServerError",
        _ => "Error",
    };
    let error = json!({ "message": message, "type": kind, "param": param, "code": status });
    Refusal::new(status, json!({ "error": error }))
}
