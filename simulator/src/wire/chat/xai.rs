//! xAI: errors that are plain texts, usage that grows, reasoning counted beside the completion.

use serde_json::{Value, json};

use super::complaint::{Complaint, Problem};
use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::Failure;
use super::fields::{COMMON, LOGPROBS, NEWER, NEWER_ROLES, REASONING_MESSAGE, STREAM};
use super::{Chat, openai, usage};
use crate::answer::Usage;
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, LOGPROBS, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        roles: NEWER_ROLES,
        parts: &["text", "image_url"],
        wants_json_said: false,
        checks_strict: false,
        further,
        ..openai::RULES
    },
    habits: Habits {
        id: |serial| format!("5e8a1f0c-0000-4000-8000-{serial:012}"),
        service_tier: None,
        pads: false,
        reasoning: Reasoning::Field("reasoning_content"),
        usage: counts,
        stream_usage: StreamUsage::Growing,
        stream_calls: StreamCalls::Whole,
        empty_content: true,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[("deferred", Kind::Bool), ("web_search_options", Kind::Object)];
/// Models that reason, and so do not take penalties and stop sequences.
const REASONING_MODELS: &[&str] = &["grok-3-mini", "grok-4"];
/// Models that cannot be told how much to reason.
const WITHOUT_EFFORT: &[&str] = &["grok-2", "grok-3", "grok-4-0709"];

fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    let model = chat.model.split('~').next().unwrap_or_default();
    let refuse = |name: &str| {
        let reason = format!("Model {model} does not support parameter {name}.");
        Err(Complaint::new(name, Problem::Unsupported(reason)))
    };
    if REASONING_MODELS.iter().any(|known| model.starts_with(known)) {
        for name in ["presence_penalty", "frequency_penalty", "stop"] {
            if chat.given(name).is_some() {
                return refuse(name);
            }
        }
    }
    let has_effort =
        model.starts_with("grok-3-mini") || !WITHOUT_EFFORT.iter().any(|known| model.starts_with(known));
    if chat.given("reasoning_effort").is_some() && (!has_effort || model == "grok-4") {
        return refuse("reasoning_effort");
    }
    Ok(())
}

fn counts(usage: &Usage) -> Value {
    let details = json!({
        "prompt_tokens_details": { "cached_tokens": usage.cached, "text_tokens": usage.prompt },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
        "num_sources_used": 0,
    });
    usage::counts(usage.prompt, usage.answer, usage.prompt + usage.answer + usage.reasoning, details)
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let told = failure.told();
    let status = match failure {
        Failure::Misuse(Misuse::Credential(Some(_))) => 400,
        Failure::Complaint(complaint) if is_of_form(&complaint.problem) => 422,
        _ => told.status,
    };
    let code = match status {
        400 | 422 => "Client specified an invalid argument",
        401 => "The request does not have valid authentication credentials for the operation",
        403 => "The caller does not have permission to execute the specified operation",
        404 => "Some requested entity was not found",
        429 => "Some resource has been exhausted",
        503 | 529 => "The service is currently unavailable",
        500..=599 => "Internal error",
        _ => "Unknown error",
    };
    Refusal::new(status, json!({ "code": code, "error": told.message }))
}

/// Whether the body does not even have the form of a request.
fn is_of_form(problem: &Problem) -> bool {
    matches!(problem, Problem::Type { .. } | Problem::Missing | Problem::Variant { .. })
}
