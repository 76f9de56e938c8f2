//! Fireworks: no field it does not know, and no long answer that is not streamed.

use serde_json::{Value, json};

use super::complaint::{Complaint, Problem};
use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told};
use super::fields::{COMMON, LOGPROBS, OPEN_SAMPLING, REASONING_MESSAGE, ROLES, STREAM};
use super::{Chat, openai, usage};
use crate::wire::Refusal;
use crate::wire::shape::Kind;

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, LOGPROBS, OPEN_SAMPLING, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        roles: ROLES,
        parts: &["text", "image_url"],
        tool_choices: &["none", "auto", "any", "required"],
        format_fields: FORMAT_FIELDS,
        formats: &["text", "json_object", "json_schema", "grammar"],
        wants_json_said: false,
        checks_strict: false,
        further,
        ..openai::RULES
    },
    habits: Habits {
        service_tier: None,
        fingerprint: None,
        refusals: false,
        pads: false,
        reasoning: Reasoning::Field("reasoning_content"),
        usage: usage::with_cache,
        stream_usage: StreamUsage::WithFinish,
        stream_calls: StreamCalls::InTurn,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("context_length_exceeded_behavior", Kind::Text),
    ("max_completion_tokens", Kind::Integer),
    ("n", Kind::Integer),
    ("parallel_tool_calls", Kind::Bool),
    ("perf_metrics_in_response", Kind::Bool),
    ("prompt_truncate_len", Kind::Integer),
    ("reasoning_effort", Kind::Any),
    ("reasoning_history", Kind::Text),
    ("seed", Kind::Integer),
    ("service_tier", Kind::Text),
    ("stream_options", Kind::Object),
    ("thinking", Kind::Object),
    ("user", Kind::Text),
];
const FORMAT_FIELDS: Fields =
    &[("type", Kind::Text), ("json_schema", Kind::Object), ("schema", Kind::Object), ("grammar", Kind::Text)];
/// The longest answer, in tokens, that may come as a whole.
const WHOLE_TOKENS_MAX: u64 = 5_000;

fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    let limit = chat.rules.limits.iter().find_map(|name| chat.given(name)?.as_u64());
    if limit.is_some_and(|limit| limit > WHOLE_TOKENS_MAX) && chat.given("stream") != Some(&Value::Bool(true))
    {
        let reason = format!("Requests with max_tokens > {WHOLE_TOKENS_MAX} must have stream=true");
        return Err(Complaint::new("max_tokens", Problem::Combination(reason)));
    }
    Ok(())
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let Told { status, message, code, .. } = failure.told();
    let (status, message, code) = match failure {
        Failure::Complaint(Complaint { path, problem: Problem::Unknown }) => {
            (400, format!("Extra inputs are not permitted, field: '{path}'"), Some("invalid_request_error"))
        }
        Failure::UnknownModel(_) | Failure::Status { status: 404, .. } => {
            (404, "Model not found, inaccessible, and/or not deployed".to_owned(), Some("NOT_FOUND"))
        }
        Failure::Quota => {
            let message = "Account suspended, possibly due to reaching the monthly spending limit.";
            (412, message.to_owned(), Some("PRECONDITION_FAILED"))
        }
        _ => (status, message, code),
    };
    let kind = if status >= 500 { "internal_server_error" } else { "invalid_request_error" };
    let error = json!({ "object": "error", "type": kind, "code": code, "message": message });
    Refusal::new(status, json!({ "error": error }))
}
