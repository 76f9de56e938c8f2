//! Together: forgiving, but with types of its own for `stop` and `logprobs`, and `eos` for an answer that is complete.

use serde_json::Value;

use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told};
use super::fields::{COMMON, OPEN_SAMPLING, REASONING_MESSAGE, ROLES, STREAM};
use super::{openai, usage};
use crate::answer::{Finish, Usage};
use crate::wire::Refusal;
use crate::wire::shape::Kind;

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, OPEN_SAMPLING, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        ignores_unknown: true,
        refused: &["max_completion_tokens"],
        roles: ROLES,
        parts: &["text", "image_url"],
        limits: &["max_tokens"],
        stop_is_text: false,
        wants_json_said: false,
        checks_strict: false,
        further: |_| Ok(()),
        ..openai::RULES
    },
    habits: Habits {
        id: |serial| format!("simulator{serial:08}"),
        service_tier: None,
        fingerprint: None,
        refusals: false,
        pads: false,
        text_beside: true,
        further: &[("prompt", "[]")],
        reasoning: Reasoning::Field("reasoning"),
        usage: counts,
        finish,
        stream_usage: StreamUsage::WithFinish,
        stream_calls: StreamCalls::InTurn,
        done_after_error: true,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("context_length_exceeded_behavior", Kind::Text),
    ("echo", Kind::Bool),
    ("logit_bias", Kind::Object),
    ("logprobs", Kind::Integer),
    ("n", Kind::Integer),
    ("reasoning", Kind::Object),
    ("reasoning_effort", Kind::Text),
    ("safety_model", Kind::Text),
    ("seed", Kind::Integer),
];

fn finish(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop => Some("eos"),
        other => usage::finish(other),
    }
}

fn counts(usage: &Usage) -> Value {
    usage::inclusive(usage, serde_json::json!({ "cached_tokens": usage.cached }))
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let told = match failure {
        Failure::UnknownModel(model) | Failure::Status { status: 404, model } => {
            let message = format!("Unable to access model {model}. Please check the list of models.");
            Told::new(404, message, "invalid_request_error", Some("model_not_available"))
        }
        Failure::Quota => Told::new(402, "Credit limit exceeded, please add credits.", "credit_limit", None),
        _ => failure.told(),
    };
    told.refusal()
}
