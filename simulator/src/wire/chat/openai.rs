//! OpenAI: the table the others are measured by.

use serde_json::{Value, json};

use super::Chat;
use super::complaint::{Complaint, Problem};
use super::dialect::{CallIndex, Dialect, Fields, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::Failure;
use super::fields::{COMMON, LOGPROBS, NEWER};
use super::usage;
use crate::answer::Usage;
use crate::wire::Refusal;
use crate::wire::shape::Kind;

pub(super) const DIALECT: Dialect = Dialect { rules: RULES, habits: HABITS, fail };

const FIELDS: Fields = &[
    ("audio", Kind::Object),
    ("function_call", Kind::TextOrObject),
    ("functions", Kind::List),
    ("metadata", Kind::Object),
    ("modalities", Kind::List),
    ("prediction", Kind::Object),
    ("prompt_cache_key", Kind::Text),
    ("prompt_cache_options", Kind::Object),
    ("safety_identifier", Kind::Text),
    ("store", Kind::Bool),
    ("verbosity", Kind::Text),
    ("web_search_options", Kind::Object),
];
const MESSAGE_FIELDS: Fields = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("name", Kind::Text),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
    ("function_call", Kind::Object),
    ("refusal", Kind::Text),
    // Of the provider's own answers, which SDKs send back as they came.
    ("annotations", Kind::List),
    ("audio", Kind::Object),
];

pub(super) const RULES: Rules = Rules {
    fields: &[COMMON, NEWER, LOGPROBS, FIELDS],
    message_fields: MESSAGE_FIELDS,
    stream_fields: &[("include_usage", Kind::Bool), ("include_obfuscation", Kind::Bool)],
    ignores_unknown: false,
    refused: &[],
    roles: &["system", "assistant", "user", "function", "tool", "developer"],
    parts: &["text", "image_url", "input_audio", "file"],
    image_is_text: false,
    ranges: &[
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("presence_penalty", -2.0, 2.0),
        ("frequency_penalty", -2.0, 2.0),
        ("top_logprobs", 0.0, 20.0),
        ("max_tokens", 1.0, f64::MAX),
        ("max_completion_tokens", 1.0, f64::MAX),
        // The real provider gives up to 128 choices.
        ("n", 1.0, 8.0),
    ],
    limits: &["max_completion_tokens", "max_tokens"],
    stop_max: 4,
    stop_is_text: true,
    tools_max: 128,
    tool_choices: &["none", "auto", "required"],
    pairs_results: true,
    types_calls: true,
    parses_arguments: false,
    format_fields: &[("type", Kind::Text), ("json_schema", Kind::Object)],
    formats: &["text", "json_object", "json_schema"],
    wants_json_said: true,
    checks_strict: true,
    reads_n: true,
    further: check_reasoning_model,
};

pub(super) const HABITS: Habits = Habits {
    id: |serial| format!("chatcmpl-simulator{serial:08}"),
    service_tier: Some("default"),
    fingerprint: Some("fp_simulator"),
    served_by: None,
    refusals: true,
    pads: true,
    filters: false,
    x_groq: false,
    text_beside: false,
    stop_reason: false,
    native_finish: false,
    further: &[],
    reasoning: Reasoning::Hidden,
    usage: counts,
    finish: usage::finish,
    stream_usage: StreamUsage::OnRequest,
    stream_calls: StreamCalls::Mixed,
    call_index: CallIndex::Counted,
    stops_after_calls: false,
    finish_with_content: false,
    role_in_each: false,
    empty_content: false,
    comment: None,
    done_after_error: false,
};

/// Model families that refuse `max_tokens` and any sampling but the default.
const REASONING_FAMILIES: &[&str] = &["o1", "o3", "o4", "gpt-5"];

fn fail(failure: &Failure<'_>) -> Refusal {
    failure.told().refusal()
}

fn counts(usage: &Usage) -> Value {
    let details = json!({
        "prompt_tokens_details": { "cached_tokens": usage.cached, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    });
    usage::inclusive(usage, details)
}

pub(super) fn check_reasoning_model(chat: &Chat<'_>) -> Result<(), Complaint> {
    if !REASONING_FAMILIES.iter().any(|family| chat.model.starts_with(family)) {
        return Ok(());
    }
    if chat.given("max_tokens").is_some() {
        let reason = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                      Use 'max_completion_tokens' instead.";
        return Err(Complaint::new("max_tokens", Problem::Unsupported(reason.to_owned())));
    }
    // From gpt-5.1 on, sampling is back once reasoning is switched off.
    let samples = chat.model.starts_with("gpt-5.")
        && chat.given("reasoning_effort").and_then(Value::as_str) == Some("none");
    if samples {
        return Ok(());
    }
    for (name, default) in
        [("temperature", 1.0), ("top_p", 1.0), ("presence_penalty", 0.0), ("frequency_penalty", 0.0)]
    {
        if chat.given(name).and_then(Value::as_f64).is_some_and(|value| value != default) {
            let reason =
                format!("Unsupported value: '{name}'. Only the default ({default}) value is supported.");
            return Err(Complaint::new(name, Problem::UnsupportedValue(reason)));
        }
    }
    for name in ["logprobs", "logit_bias"] {
        if chat.given(name).is_some_and(|value| *value != Value::Bool(false)) {
            let reason = format!("Unsupported parameter: '{name}' is not supported with this model.");
            return Err(Complaint::new(name, Problem::Unsupported(reason)));
        }
    }
    Ok(())
}
