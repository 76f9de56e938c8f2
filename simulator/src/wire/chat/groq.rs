//! Groq: one choice, no log probabilities, no names in messages; usage in a field of its own.

use serde_json::{Value, json};

use super::complaint::{Complaint, Problem};
use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told};
use super::fields::{COMMON, NEWER, NEWER_ROLES, STREAM};
use super::{Chat, openai, prompt, usage};
use crate::answer::Usage;
use crate::wire::Refusal;
use crate::wire::shape::Kind;

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER, FIELDS],
        message_fields: MESSAGE_FIELDS,
        stream_fields: STREAM,
        refused: &["logit_bias", "logprobs", "top_logprobs"],
        roles: NEWER_ROLES,
        parts: &["text", "image_url"],
        ranges: &[
            ("temperature", 0.0, 2.0),
            ("top_p", 0.0, 1.0),
            ("max_tokens", 1.0, f64::MAX),
            ("max_completion_tokens", 1.0, f64::MAX),
            ("n", 1.0, 1.0),
        ],
        checks_strict: false,
        further,
        ..openai::RULES
    },
    habits: Habits {
        service_tier: None,
        refusals: false,
        pads: false,
        x_groq: true,
        reasoning: Reasoning::Field("reasoning"),
        usage: counts,
        stream_usage: StreamUsage::OnRequest,
        stream_calls: StreamCalls::Whole,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("disable_tool_validation", Kind::Bool),
    ("documents", Kind::List),
    ("include_reasoning", Kind::Bool),
    ("metadata", Kind::Object),
    ("reasoning_format", Kind::Text),
    ("search_settings", Kind::Object),
    ("store", Kind::Bool),
];
/// The longest request that carries the data of an image.
const IMAGE_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
const MESSAGE_FIELDS: Fields = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("reasoning", Kind::Text),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
];

fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    let format = chat.given("reasoning_format").and_then(Value::as_str);
    if format.is_some() && chat.given("include_reasoning").is_some() {
        let reason = "reasoning_format and include_reasoning are mutually exclusive".to_owned();
        return Err(Complaint::new("reasoning_format", Problem::Combination(reason)));
    }
    let needs_parsing = chat.given("tools").is_some() || chat.given("response_format").is_some();
    if format == Some("raw") && needs_parsing {
        let reason = "reasoning_format raw is not supported with tools or JSON".to_owned();
        return Err(Complaint::new("reasoning_format", Problem::Combination(reason)));
    }
    let has_image = || chat.messages.iter().flat_map(prompt::images).any(|image| !image.starts_with("url:"));
    if chat.request.bytes.len() > IMAGE_REQUEST_BYTES_MAX && has_image() {
        return Err(Complaint::new("", Problem::TooLarge));
    }
    Ok(())
}

fn counts(usage: &Usage) -> Value {
    let mut counts = usage::with_details(usage);
    if let Some(counts) = counts.as_object_mut() {
        for name in ["queue_time", "prompt_time", "completion_time", "total_time"] {
            counts.insert(name.to_owned(), 0.001.into());
        }
    }
    counts
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let Told { status, mut message, kind, mut code, .. } = failure.told();
    if let Failure::Complaint(complaint) = failure {
        let (parent, name) = complaint.place();
        message = match (&complaint.problem, parent) {
            (Problem::Unknown, "") => format!("property '{name}' is unsupported"),
            (Problem::Unknown, parent) => format!("'{parent}' : property '{name}' is unsupported"),
            _ => message,
        };
        code = None;
    }
    let mut error = json!({ "message": message, "type": kind });
    if let (Some(code), Some(error)) = (code, error.as_object_mut()) {
        error.insert("code".to_owned(), code.into());
    }
    Refusal::new(status, json!({ "error": error }))
}

/// The event that ends a stream with an error: the error says its status.
pub(super) fn error_chunk(refusal: &Refusal) -> Value {
    let mut body = refusal.body.clone();
    if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
        error.insert("status_code".to_owned(), refusal.status.into());
    }
    body
}
