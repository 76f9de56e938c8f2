//! Mistral: a strict schema with its own kind of complaint, tool call ids of nine letters, flat errors.

use serde_json::{Value, json};

use super::complaint::{Complaint, Problem};
use super::dialect::{CallIndex, Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::Failure;
use super::fields::{COMMON, ROLES};
use super::messages::call_ids;
use super::{Chat, openai, usage};
use crate::wire::shape::Kind;
use crate::wire::{Misuse, Refusal};

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, FIELDS],
        message_fields: MESSAGE_FIELDS,
        roles: ROLES,
        parts: &["text", "image_url", "thinking"],
        image_is_text: true,
        types_calls: false,
        ranges: &[
            ("temperature", 0.0, 1.5),
            ("top_p", 0.0, 1.0),
            ("presence_penalty", -2.0, 2.0),
            ("frequency_penalty", -2.0, 2.0),
            ("max_tokens", 0.0, f64::MAX),
            ("n", 1.0, 8.0),
        ],
        limits: &["max_tokens"],
        tool_choices: &["auto", "none", "any", "required"],
        wants_json_said: false,
        checks_strict: false,
        further,
        ..openai::RULES
    },
    habits: Habits {
        id: |serial| format!("{serial:032x}"),
        service_tier: None,
        fingerprint: None,
        refusals: false,
        pads: false,
        reasoning: Reasoning::Parts,
        usage: usage::with_cache,
        stream_usage: StreamUsage::WithFinish,
        stream_calls: StreamCalls::Together,
        call_index: CallIndex::Absent,
        finish_with_content: true,
        empty_content: true,
        ..openai::HABITS
    },
    fail,
};

const FIELDS: Fields = &[
    ("guardrails", Kind::List),
    ("metadata", Kind::Object),
    ("n", Kind::Integer),
    ("parallel_tool_calls", Kind::Bool),
    ("prediction", Kind::Object),
    ("prompt_cache_key", Kind::Text),
    ("prompt_mode", Kind::Text),
    ("random_seed", Kind::Integer),
    ("reasoning_effort", Kind::Text),
    ("safe_prompt", Kind::Bool),
];
const MESSAGE_FIELDS: Fields = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("name", Kind::Text),
    ("prefix", Kind::Bool),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
];
const CALL_ID_CHARS: usize = 9;

fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    for (index, message) in chat.messages.iter().enumerate() {
        let own = message.get("tool_call_id").and_then(Value::as_str);
        let fits =
            |id: &&str| id.len() == CALL_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if let Some(wrong) = call_ids(message).chain(own).find(|id| !fits(id)) {
            let reason = format!("Tool call id was {wrong} but must be a-z, A-Z, 0-9, with a length of 9.");
            return Err(Complaint::new(format!("messages[{index}]"), Problem::CallId(reason)));
        }
    }
    let last = chat.messages.last();
    let role = last.and_then(|message| message.get("role")?.as_str()).unwrap_or_default();
    let continues = last.is_some_and(|message| message.get("prefix") == Some(&Value::Bool(true)));
    if matches!(role, "user" | "tool") || (role == "assistant" && continues) {
        return Ok(());
    }
    let reason =
        format!("Expected last role User or Tool (or Assistant with prefix True) for serving but got {role}");
    Err(Complaint::new("messages", Problem::Order(reason)))
}

fn fail(failure: &Failure<'_>) -> Refusal {
    match *failure {
        Failure::Complaint(complaint) => complained(complaint),
        Failure::Misuse(Misuse::Credential(_)) | Failure::Status { status: 401, .. } => {
            Refusal::new(401, json!({ "message": "Unauthorized", "request_id": "simulator" }))
        }
        Failure::Misuse(Misuse::Path { .. }) => {
            Refusal::new(404, json!({ "message": "no Route matched with those values" }))
        }
        Failure::Misuse(Misuse::Json(problem)) => {
            detail(&["body"], "json_invalid", &format!("JSON decode error: {problem}"))
        }
        Failure::Status { status: 429, .. } => flat(429, "Rate limit exceeded", "rate_limited", "1300"),
        Failure::Status { status: status @ 503, .. } => {
            flat(status, "Service tier capacity exceeded for this model.", "service_unavailable", "3505")
        }
        Failure::Status { status: status @ 500..=599, .. } => {
            flat(status, &failure.told().message, "internal_server_error", "3000")
        }
        Failure::Stream => flat(500, "Internal server error", "internal_server_error", "3000"),
        Failure::UnknownModel(model) => {
            flat(400, &format!("Invalid model: {model}"), "invalid_model", "1500")
        }
        Failure::Quota => flat(402, "Payment required: no credits are left.", "payment_required", "1400"),
        Failure::Misuse(_) | Failure::Status { .. } => {
            let told = failure.told();
            flat(told.status, &told.message, "invalid_request_error", "3000")
        }
    }
}

fn complained(complaint: &Complaint) -> Refusal {
    let kind = match &complaint.problem {
        Problem::Unknown => ("extra_forbidden", "Extra inputs are not permitted".to_owned()),
        Problem::Missing => ("missing", "Field required".to_owned()),
        Problem::Type { expected, .. } => ("type_error", format!("Input should be {expected}")),
        Problem::Variant { known, .. } => ("enum", format!("Input should be '{}'", known.join("', '"))),
        Problem::Empty => ("too_short", "List should have at least 1 item after validation".to_owned()),
        Problem::TooMany(max) => {
            ("too_long", format!("List should have at most {max} items after validation"))
        }
        Problem::Range { value, max, .. } if value.as_f64().is_some_and(|value| value > *max) => {
            ("less_than_equal", format!("Input should be less than or equal to {max}"))
        }
        Problem::Range { min, .. } => {
            ("greater_than_equal", format!("Input should be greater than or equal to {min}"))
        }
        Problem::Value(reason) => ("value_error", format!("Value error, {reason}")),
        Problem::CallId(reason) => return flat(400, reason, "invalid_function_call", "3280"),
        Problem::Order(reason) => return flat(400, reason, "invalid_request_message_order", "3230"),
        Problem::Unsupported(reason) | Problem::UnsupportedValue(reason) | Problem::Combination(reason) => {
            return flat(400, reason, "invalid_request_error", "3000");
        }
        Problem::TooLarge | Problem::NoVersion => {
            return flat(404, "Not found", "invalid_request_error", "3000");
        }
    };
    let path = complaint.path.replace(['[', ']'], ".");
    let place: Vec<&str> =
        std::iter::once("body").chain(path.split('.').filter(|name| !name.is_empty())).collect();
    detail(&place, kind.0, &kind.1)
}

/// A complaint about the form of a request; indices within `place` are numbers.
fn detail(place: &[&str], kind: &str, message: &str) -> Refusal {
    let name = |name: &&str| name.parse::<u64>().map_or_else(|_| Value::from(*name), Value::from);
    let place: Vec<Value> = place.iter().map(name).collect();
    Refusal::new(422, json!({ "detail": [{ "type": kind, "loc": place, "msg": message }] }))
}

fn flat(status: u16, message: &str, kind: &str, code: &str) -> Refusal {
    let body = json!({
        "object": "error",
        "message": message,
        "type": kind,
        "param": null,
        "code": code,
        "raw_status_code": status,
    });
    Refusal::new(status, body)
}
