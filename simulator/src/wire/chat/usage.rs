//! Token counts, as each provider tells them.

use serde_json::{Map, Value, json};

use crate::answer::{Finish, Usage};

/// Prompt, completion and total, and what else is told.
pub(super) fn counts(prompt: usize, completion: usize, total: usize, further: Value) -> Value {
    let mut counts = Map::new();
    counts.insert("prompt_tokens".to_owned(), prompt.into());
    counts.insert("completion_tokens".to_owned(), completion.into());
    counts.insert("total_tokens".to_owned(), total.into());
    if let Value::Object(further) = further {
        counts.extend(further);
    }
    counts.into()
}

/// Counts with reasoning as part of the completion.
pub(super) fn inclusive(usage: &Usage, further: Value) -> Value {
    let completion = usage.answer + usage.reasoning;
    counts(usage.prompt, completion, usage.prompt + completion, further)
}

/// Counts without any details.
pub(super) fn plain(usage: &Usage) -> Value {
    inclusive(usage, Value::Null)
}

/// Counts with the tokens read from a cache.
pub(super) fn with_cache(usage: &Usage) -> Value {
    inclusive(usage, json!({ "prompt_tokens_details": { "cached_tokens": usage.cached } }))
}

/// Counts with the tokens read from a cache, and those of reasoning.
pub(super) fn with_details(usage: &Usage) -> Value {
    let details = json!({
        "prompt_tokens_details": { "cached_tokens": usage.cached },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    });
    inclusive(usage, details)
}

/// Finish reasons as most of the family word them.
pub(super) fn finish(finish: &Finish) -> Option<&str> {
    match finish {
        Finish::Stop => Some("stop"),
        Finish::Length => Some("length"),
        Finish::ToolCalls => Some("tool_calls"),
        Finish::ContentFilter => Some("content_filter"),
        Finish::Verbatim(word) => Some(word),
        Finish::Absent => None,
    }
}
