//! DeepSeek: fewer fields and roles, text only, its own words for errors.
//!
//! Format errors are 400, values out of range 422, as its error page has it. The real provider is said to ignore some
//! fields it does not know; the simulator refuses them, because a limit that is silently dropped is a translation
//! error all the same.

use serde_json::{Value, json};

use super::Chat;
use super::complaint::{Complaint, Problem, join};
use super::dialect::{Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, error};
use super::fields::{COMMON, ROLES, STREAM};
use super::{openai, usage};
use crate::answer::Usage;
use crate::fault::Faults;
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, FIELDS],
        message_fields: MESSAGE_FIELDS,
        stream_fields: STREAM,
        roles: ROLES,
        parts: &["text"],
        ranges: &[
            ("temperature", 0.0, 2.0),
            ("top_p", 0.0, 1.0),
            ("presence_penalty", -2.0, 2.0),
            ("frequency_penalty", -2.0, 2.0),
            ("top_logprobs", 0.0, 20.0),
            ("max_tokens", 1.0, f64::MAX),
        ],
        limits: &["max_tokens"],
        stop_max: 16,
        formats: &["text", "json_object"],
        checks_strict: false,
        further,
        ..openai::RULES
    },
    habits: Habits {
        id: |serial| format!("5e8a1f0c-0000-4000-8000-{serial:012}"),
        service_tier: None,
        refusals: false,
        pads: false,
        reasoning: Reasoning::Field("reasoning_content"),
        usage: counts,
        stream_usage: StreamUsage::WithFinish,
        stream_calls: StreamCalls::InTurn,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("logprobs", Kind::Bool),
    ("reasoning_effort", Kind::Text),
    ("stream_options", Kind::Object),
    ("thinking", Kind::Object),
    ("top_logprobs", Kind::Integer),
];
const MESSAGE_FIELDS: Fields = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("name", Kind::Text),
    ("prefix", Kind::Bool),
    ("reasoning_content", Kind::Text),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
];
const INVALID: &str = "invalid_request_error";

/// What a model that thinks asks for: its thoughts back with every call, and no log probabilities.
fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    let flags = chat.request.headers.get("x-simulator").and_then(|value| value.to_str().ok());
    let thinks = chat.model.starts_with("deepseek-reasoner")
        || Faults::parse(chat.model, flags).is_ok_and(|faults| faults.thoughts);
    if !thinks {
        return Ok(());
    }
    if chat.given("logprobs") == Some(&Value::Bool(true)) {
        let reason = "logprobs is not supported in thinking mode".to_owned();
        return Err(Complaint::new("logprobs", Problem::Unsupported(reason)));
    }
    for (index, message) in chat.messages.iter().enumerate() {
        if message.get("tool_calls").is_some_and(|calls| !calls.is_null())
            && message.get("reasoning_content").and_then(Value::as_str).is_none()
        {
            let reason = format!(
                "Missing `reasoning_content` field in the assistant message at message index {index}."
            );
            return Err(Complaint::value(format!("messages[{index}].reasoning_content"), reason));
        }
    }
    Ok(())
}

fn counts(usage: &Usage) -> Value {
    let mut details = json!({
        "prompt_tokens_details": { "cached_tokens": usage.cached },
        "prompt_cache_hit_tokens": usage.cached,
        "prompt_cache_miss_tokens": usage.prompt - usage.cached,
    });
    if let (true, Some(details)) = (usage.reasoning > 0, details.as_object_mut()) {
        details
            .insert("completion_tokens_details".to_owned(), json!({ "reasoning_tokens": usage.reasoning }));
    }
    usage::inclusive(usage, details)
}

fn fail(failure: &Failure<'_>) -> Refusal {
    match *failure {
        Failure::Complaint(complaint) => complained(complaint),
        Failure::Misuse(misuse) => misused(misuse),
        Failure::Status { status, .. } => by_status(status),
        Failure::Stream => by_status(500),
        // DeepSeek answers 400, not 404, for a model it does not know.
        Failure::UnknownModel(_) => refusal(400, "Model Not Exist", INVALID),
        // DeepSeek itself says 402 (`status=402` gives that); here one status stands for the providers that tests
        // of failures go through.
        Failure::Quota => Refusal::new(
            429,
            error("Insufficient Balance", "insufficient_quota", None, Some("insufficient_quota")),
        ),
    }
}

fn complained(complaint: &Complaint) -> Refusal {
    let (parent, name) = complaint.place();
    let within = if parent.is_empty() { String::new() } else { format!("{parent}: ") };
    let path = &complaint.path;
    let problem = match &complaint.problem {
        Problem::Unknown => format!("{within}unknown field `{name}`"),
        Problem::Type { expected, found } if path.is_empty() => {
            format!("invalid type: {found}, expected {expected}")
        }
        Problem::Type { expected, found } => {
            format!("{within}{name}: invalid type: {found}, expected {expected}")
        }
        Problem::Missing => format!("{within}missing field `{name}`"),
        Problem::Empty if path == "messages" => "messages: Empty input messages".to_owned(),
        Problem::Empty => format!("{path}: empty array"),
        Problem::Variant { .. } if path == "response_format.type" => {
            return refusal(400, "This response_format type is unavailable now", INVALID);
        }
        Problem::Variant { found, known } => {
            let one_of = if known.len() > 1 { "one of " } else { "" };
            format!("{path}: unknown variant `{found}`, expected {one_of}`{}`", known.join("`, `"))
        }
        Problem::Range { min, max, .. } => {
            let message = format!("Invalid {path} value, the valid range of {path} is [{min}, {max}]");
            return refusal(422, &message, INVALID);
        }
        Problem::TooMany(_) => return refusal(422, &format!("Invalid {path} value"), INVALID),
        Problem::Combination(_) if path == "stream_options" => {
            return refusal(400, "stream_options should be set along with stream = true", INVALID);
        }
        Problem::Value(reason)
        | Problem::Unsupported(reason)
        | Problem::UnsupportedValue(reason)
        | Problem::Combination(reason)
        | Problem::Order(reason)
        | Problem::CallId(reason) => return refusal(400, reason, INVALID),
        Problem::TooLarge | Problem::NoVersion => join(parent, name),
    };
    let message = format!("Failed to deserialize the JSON body into the target type: {problem}");
    refusal(400, &message, INVALID)
}

fn misused(misuse: &Misuse<'_>) -> Refusal {
    let (status, message, kind) = match misuse {
        Misuse::Credential(None) => {
            (401, "Authentication Fails (no such user)".to_owned(), "authentication_error")
        }
        Misuse::Credential(Some(_)) => {
            (401, "Authentication Fails, your api key is invalid".to_owned(), "authentication_error")
        }
        Misuse::Path { method, path } => (404, format!("Not Found: {method} {path}"), INVALID),
        Misuse::Method { method, .. } => (405, format!("Method Not Allowed: {method}"), INVALID),
        Misuse::ContentType(sent) => {
            (400, format!("Expected a request with content type json, got {sent:?}"), INVALID)
        }
        Misuse::Json(problem) => {
            (400, format!("Failed to parse the request body as JSON: {problem}"), INVALID)
        }
        Misuse::TooLarge => (413, "Request body too large".to_owned(), INVALID),
        Misuse::Fault(problem) => (400, (*problem).to_owned(), INVALID),
    };
    refusal(status, &message, kind)
}

fn by_status(status: u16) -> Refusal {
    let (message, kind) = match status {
        401 => ("Authentication Fails, your api key is invalid", "authentication_error"),
        402 => ("Insufficient Balance", "unknown_error"),
        422 => ("Invalid parameters", INVALID),
        429 => ("Rate limit reached", "rate_limit_error"),
        503 => ("Service is too busy. Please try again later.", "service_unavailable_error"),
        529 => ("Overloaded", "overloaded_error"),
        500..=599 => ("Internal server error", "server_error"),
        _ => ("Invalid request", INVALID),
    };
    refusal(status, message, kind)
}

fn refusal(status: u16, message: &str, kind: &str) -> Refusal {
    Refusal::new(status, error(message, kind, None, Some(INVALID)))
}
