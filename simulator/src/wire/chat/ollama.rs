//! Ollama's OpenAI-compatible API: it ignores what it does not know, and takes images as data only.

use super::complaint::Complaint;
use super::dialect::{CallIndex, Dialect, Habits, Reasoning, Rules, StreamCalls, StreamUsage};
use super::failure::{Failure, Told, error};
use super::fields::{COMMON, NEWER, NEWER_ROLES, REASONING_MESSAGE, STREAM};
use super::{Chat, openai, prompt, usage};
use crate::wire::Refusal;

pub(super) const DIALECT: Dialect = Dialect {
    rules: Rules {
        fields: &[COMMON, NEWER],
        message_fields: REASONING_MESSAGE,
        stream_fields: STREAM,
        ignores_unknown: true,
        roles: NEWER_ROLES,
        parts: &["text", "image_url"],
        image_is_text: true,
        ranges: &[],
        // The younger field is not known, and so without effect.
        limits: &["max_tokens"],
        pairs_results: false,
        parses_arguments: true,
        wants_json_said: false,
        checks_strict: false,
        reads_n: false,
        further,
        ..openai::RULES
    },
    habits: Habits {
        id: |serial| format!("chatcmpl-{serial}"),
        service_tier: None,
        fingerprint: Some("fp_ollama"),
        refusals: false,
        pads: false,
        reasoning: Reasoning::Field("reasoning"),
        usage: usage::plain,
        stream_usage: StreamUsage::OnRequest,
        stream_calls: StreamCalls::Whole,
        call_index: CallIndex::Zero,
        stops_after_calls: true,
        role_in_each: true,
        empty_content: true,
        ..openai::HABITS
    },
    fail,
};

fn further(chat: &Chat<'_>) -> Result<(), Complaint> {
    for (index, message) in chat.messages.iter().enumerate() {
        if prompt::images(message).iter().any(|image| image.starts_with("url:")) {
            return Err(Complaint::value(format!("messages[{index}].content"), "invalid image input"));
        }
    }
    Ok(())
}

fn fail(failure: &Failure<'_>) -> Refusal {
    let Told { status, message, .. } = failure.told();
    let message = match failure {
        Failure::UnknownModel(model) | Failure::Status { status: 404, model } => {
            format!("model \"{model}\" not found, try pulling it first")
        }
        Failure::Status { status: 503, .. } => {
            "server busy, please try again. maximum pending requests exceeded".to_owned()
        }
        _ => message,
    };
    let kind = match status {
        400 => "invalid_request_error",
        404 => "not_found_error",
        _ => "api_error",
    };
    Refusal::new(status, error(&message, kind, None, None))
}
