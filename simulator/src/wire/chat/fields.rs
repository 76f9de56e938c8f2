//! Fields that most of the family know.

use super::dialect::Fields;
use crate::wire::shape::Kind;

/// Of a request.
pub(super) const COMMON: Fields = &[
    ("messages", Kind::List),
    ("model", Kind::Text),
    ("frequency_penalty", Kind::Number),
    ("max_tokens", Kind::Integer),
    ("presence_penalty", Kind::Number),
    ("response_format", Kind::Object),
    ("stop", Kind::TextOrList),
    ("stream", Kind::Bool),
    ("temperature", Kind::Number),
    ("tool_choice", Kind::TextOrObject),
    ("tools", Kind::List),
    ("top_p", Kind::Number),
];
/// Of a request, younger than the others.
pub(super) const NEWER: Fields = &[
    ("max_completion_tokens", Kind::Integer),
    ("n", Kind::Integer),
    ("parallel_tool_calls", Kind::Bool),
    ("reasoning_effort", Kind::Text),
    ("seed", Kind::Integer),
    ("service_tier", Kind::Text),
    ("stream_options", Kind::Object),
    ("user", Kind::Text),
];
/// Of a request.
pub(super) const LOGPROBS: Fields =
    &[("logit_bias", Kind::Object), ("logprobs", Kind::Bool), ("top_logprobs", Kind::Integer)];
/// Sampling that servers of open models have beside OpenAI's.
pub(super) const OPEN_SAMPLING: Fields =
    &[("min_p", Kind::Number), ("repetition_penalty", Kind::Number), ("top_k", Kind::Integer)];
/// Of a message, with the reasoning of an earlier answer.
pub(super) const REASONING_MESSAGE: Fields = &[
    ("role", Kind::Text),
    ("content", Kind::TextOrList),
    ("name", Kind::Text),
    ("tool_calls", Kind::List),
    ("tool_call_id", Kind::Text),
    ("reasoning", Kind::Text),
    ("reasoning_content", Kind::Text),
    ("reasoning_details", Kind::List),
    ("refusal", Kind::Text),
    ("annotations", Kind::List),
];
/// Of `stream_options`.
pub(super) const STREAM: Fields = &[("include_usage", Kind::Bool)];
/// Roles that every provider knows.
pub(super) const ROLES: &[&str] = &["system", "user", "assistant", "tool"];
/// Roles of those that know OpenAI's newer one for system messages.
pub(super) const NEWER_ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool"];
