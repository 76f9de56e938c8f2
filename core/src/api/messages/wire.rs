//! The shapes of Messages that answers are written in, whole or as a stream.

use serde::Serialize;

use crate::api::About;
use crate::api::arguments;
use crate::api::extra_content::ExtraContent;
use crate::chat::{Finish, Part, Usage};
use crate::json::Json;

/// A message. In a stream it begins without content.
#[derive(Serialize)]
pub(super) struct WireMessage<'a> {
    pub(super) id: String,
    pub(super) r#type: &'static str,
    pub(super) role: &'static str,
    pub(super) model: &'a str,
    pub(super) content: Vec<WireBlock<'a>>,
    pub(super) stop_reason: Option<&'static str>,
    pub(super) stop_sequence: Option<()>,
    pub(super) usage: WireUsage,
}

impl<'a> WireMessage<'a> {
    pub(super) fn new(about: &About<'a>, content: Vec<WireBlock<'a>>) -> Self {
        Self {
            id: format!("msg_{}", about.id.simple()),
            r#type: "message",
            role: "assistant",
            model: about.model,
            content,
            stop_reason: None,
            stop_sequence: None,
            usage: WireUsage::default(),
        }
    }
}

/// A block of content.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireBlock<'a> {
    Text {
        text: &'a str,
    },
    Thinking {
        thinking: &'a str,
        /// Empty where the provider has none: clients do not do without the field.
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Option<Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<ExtraContent<'a>>,
    },
}

impl<'a> WireBlock<'a> {
    /// The block of a part, where it has one.
    pub(super) fn of(part: &'a Part) -> Option<Self> {
        Some(match part {
            Part::Text(text) | Part::Refusal(text) if text.is_empty() => return None,
            Part::Text(text) | Part::Refusal(text) => Self::Text { text },
            Part::Reasoning(thought) => match &thought.redacted {
                Some(data) => Self::RedactedThinking { data },
                None => Self::Thinking {
                    thinking: &thought.text,
                    signature: thought.signature.as_deref().unwrap_or_default(),
                },
            },
            Part::ToolCall(call) => Self::ToolUse {
                id: &call.id,
                name: &call.name,
                input: arguments::object(&call.arguments),
                extra_content: call.signature.as_deref().map(ExtraContent::of),
            },
            Part::Image(_) | Part::ToolResult(_) | Part::Foreign(_) => return None,
        })
    }
}

/// Why the model stopped. `refuses` is whether it said so in words of its own.
pub(super) const fn stop_reason(finish: Finish, refuses: bool) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other if refuses => "refusal",
        Finish::Stop | Finish::Other => "end_turn",
        Finish::ToolCalls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::ContentFilter => "refusal",
    }
}

/// Tokens; those from and to a cache are no input here.
#[derive(Serialize, Default)]
pub(super) struct WireUsage {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl From<Option<Usage>> for WireUsage {
    fn from(usage: Option<Usage>) -> Self {
        let usage = usage.unwrap_or_default();
        Self {
            input_tokens: usage.input.saturating_sub(usage.cached).saturating_sub(usage.cache_write),
            cache_creation_input_tokens: usage.cache_write,
            cache_read_input_tokens: usage.cached,
            output_tokens: usage.output,
        }
    }
}
