//! What sets one provider of the family apart, as a table: what it accepts, how it answers, how it complains.

use super::complaint::Complaint;
use super::failure::Failure;
use crate::answer::{Finish, Usage};
use crate::wire::Refusal;
use crate::wire::shape::Kind;

pub(super) type Fields = &'static [(&'static str, Kind)];

/// A provider of the family.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    pub(super) rules: Rules,
    pub(super) habits: Habits,
    /// Words every error in the provider's own shape.
    pub(super) fail: fn(&Failure<'_>) -> Refusal,
}

/// What a request may look like.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Fields of a request; any of the lists.
    pub(super) fields: &'static [Fields],
    pub(super) message_fields: Fields,
    pub(super) stream_fields: Fields,
    /// Whether fields that are not listed are passed over in silence.
    pub(super) ignores_unknown: bool,
    /// Fields that are refused by name, because they would be dropped in silence otherwise.
    pub(super) refused: &'static [&'static str],
    pub(super) roles: &'static [&'static str],
    /// Types of content parts of a user.
    pub(super) parts: &'static [&'static str],
    /// Whether `image_url` may be a plain text.
    pub(super) image_is_text: bool,
    /// Field, smallest and largest value.
    pub(super) ranges: &'static [(&'static str, f64, f64)],
    /// Fields that limit the answer; the first one given counts.
    pub(super) limits: &'static [&'static str],
    pub(super) stop_max: usize,
    /// Whether `stop` may be a single text.
    pub(super) stop_is_text: bool,
    pub(super) tools_max: usize,
    pub(super) tool_choices: &'static [&'static str],
    /// Whether a call needs its result right after it, and a result its call.
    pub(super) pairs_results: bool,
    /// Whether calls in the history must name their type.
    pub(super) types_calls: bool,
    /// Whether arguments of calls in the history must be JSON.
    pub(super) parses_arguments: bool,
    pub(super) format_fields: Fields,
    /// Types of `response_format`.
    pub(super) formats: &'static [&'static str],
    /// Whether the messages must say "JSON" where `json_object` is asked for.
    pub(super) wants_json_said: bool,
    /// Whether schemas said to be strict are checked for it.
    pub(super) checks_strict: bool,
    /// Whether `n` is followed.
    pub(super) reads_n: bool,
    /// What no table can say.
    pub(super) further: fn(&super::Chat<'_>) -> Result<(), Complaint>,
}

/// Where a provider shows its reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    Hidden,
    /// In this field beside the content.
    Field(&'static str),
    /// As a part of the content.
    Parts,
}

/// When a stream tells its usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamUsage {
    /// In a chunk of its own without choices, if the request asks for it.
    OnRequest,
    /// In the chunk with the finish reason.
    WithFinish,
    /// In a chunk of its own, whether asked for or not, with an empty delta.
    Always,
    /// In every chunk, growing.
    Growing,
}

/// How a stream passes tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamCalls {
    /// In fragments, those of parallel calls mixed.
    Mixed,
    /// In fragments, one call after the other.
    InTurn,
    /// One call to a delta.
    Whole,
    /// All calls in one delta.
    Together,
}

/// The index of a tool call in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallIndex {
    Counted,
    /// 0 for all.
    Zero,
    Absent,
}

/// What answers look like.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// The id of an answer by its number.
    pub(super) id: fn(u64) -> String,
    pub(super) service_tier: Option<&'static str>,
    pub(super) fingerprint: Option<&'static str>,
    /// A field that names who served the answer.
    pub(super) served_by: Option<&'static str>,
    /// `refusal` and `annotations` in messages.
    pub(super) refusals: bool,
    /// Padding in chunks, where it is not switched off.
    pub(super) pads: bool,
    /// Results of content filters.
    pub(super) filters: bool,
    /// `x_groq` in the first and last chunk.
    pub(super) x_groq: bool,
    /// The text of a choice beside its delta.
    pub(super) text_beside: bool,
    /// `stop_reason` beside the finish reason.
    pub(super) stop_reason: bool,
    /// `native_finish_reason` beside the finish reason.
    pub(super) native_finish: bool,
    /// Further fields of a whole answer, as JSON text.
    pub(super) further: &'static [(&'static str, &'static str)],
    pub(super) reasoning: Reasoning,
    pub(super) usage: fn(&Usage) -> serde_json::Value,
    pub(super) finish: fn(&Finish) -> Option<&str>,
    pub(super) stream_usage: StreamUsage,
    pub(super) stream_calls: StreamCalls,
    pub(super) call_index: CallIndex,
    /// Whether a stream that calls tools says that it simply stopped.
    pub(super) stops_after_calls: bool,
    /// Whether the last content comes with the finish reason.
    pub(super) finish_with_content: bool,
    /// Whether each delta names the role, so that none does so alone.
    pub(super) role_in_each: bool,
    /// Content of a message that only calls tools: empty, and not null.
    pub(super) empty_content: bool,
    /// A comment at the beginning of a stream.
    pub(super) comment: Option<&'static str>,
    /// Whether the sentinel follows an error.
    pub(super) done_after_error: bool,
}
