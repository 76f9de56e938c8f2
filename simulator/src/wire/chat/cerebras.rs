//! Cerebras: flat errors, and no field it does not know.

use serde_json::json;

use super::complaint::{Complaint, Problem};
use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told};
use super::fields::{COMMON, LOGPROBS, NEWER, NEWER_ROLES, REASONING_MESSAGE, STREAM};
use super::{openai, usage};
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, LOGPROBS, FIELDS],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        refused: &["frequency_penalty", "presence_penalty", "logit_bias"],
        roles: NEWER_ROLES,
        parts: &["text"],
        ranges: &[
            ("temperature", 0.0, 1.5),
            ("top_p", 0.0, 1.0),
            ("top_logprobs", 0.0, 20.0),
            ("max_tokens", 1.0, f64::MAX),
            ("max_completion_tokens", 1.0, f64::MAX),
            ("n", 1.0, 1.0),
        ],
        wants_json_said: false,
        further: |_| Ok(()),
        ..openai::RULES
    },
    habits: Habits {
        service_tier: None,
        refusals: false,
        pads: false,
        further: &[("time_info", r#"{"total_time":0.001}"#)],
        reasoning: Reasoning::Field("reasoning"),
        usage: usage::with_details,
        stream_usage: StreamUsage::WithFinish,
        stream_calls: StreamCalls::Whole,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("clear_thinking", Kind::Bool),
    ("disable_reasoning", Kind::Bool),
    ("prediction", Kind::Object),
    ("reasoning_format", Kind::Text),
];

fn fail(failure: &Failure<'_>) -> Refusal {
    let Told { status, message, kind, param, code } = failure.told();
    let (message, kind, param, code) = match failure {
        Failure::Complaint(Complaint { path, problem: Problem::Unknown }) => {
            let message = format!("body.{path}: property 'body.{path}' is unsupported");
            (message, kind, Some("validation_error".to_owned()), Some("wrong_api_format"))
        }
        Failure::Complaint(_) => {
            (message, kind, Some("validation_error".to_owned()), Some("wrong_api_format"))
        }
        Failure::UnknownModel(_) | Failure::Status { status: 404, .. } => {
            (message, "not_found_error", Some("model".to_owned()), code)
        }
        Failure::Misuse(Misuse::Credential(_)) | Failure::Status { status: 401, .. } => {
            ("Wrong API Key".to_owned(), kind, Some("api_key".to_owned()), Some("wrong_api_key"))
        }
        Failure::Status { status: 429, .. } => (
            "Requests per minute limit exceeded - too many requests sent.".to_owned(),
            "too_many_requests_error",
            Some("quota".to_owned()),
            Some("request_quota_exceeded"),
        ),
        _ => (message, kind, param, code),
    };
    let status = if *failure == Failure::Quota { 402 } else { status };
    Refusal::new(status, json!({ "message": message, "type": kind, "param": param, "code": code }))
}
