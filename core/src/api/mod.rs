//! The client APIs. So far one: the unified prompt API, compatible with Platformatic AI Warp.

pub mod unified;

use serde::{Deserialize, Serialize};

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The model said all it had to say.
    Complete,
    /// A token limit cut the answer.
    IncompleteMaxTokens,
    /// The answer ended for another reason, such as a content filter.
    IncompleteUnknown,
    /// The client left in the middle of the answer. Only of stored turns.
    IncompleteInterrupted,
}
