//! The canonical chat: what every client API is read into and every dialect is written from.

use crate::api::Outcome;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The person, or the application for them.
    User,
    /// The model.
    Assistant,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub text: String,
}

/// A conversation that asks for its next assistant message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chat {
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// Oldest first; the last one is the prompt.
    pub messages: Vec<Message>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Most tokens to generate, as the client asked.
    pub max_tokens: Option<u32>,
}

/// Why a model stopped, in the words of no provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It had said all, or asked for a tool.
    Stop,
    /// A token limit.
    Length,
    /// A filter withheld the rest, or all.
    ContentFilter,
    /// Anything else.
    Other,
}

impl Finish {
    /// What clients of the unified API are told.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Stop => Outcome::Complete,
            Self::Length => Outcome::IncompleteMaxTokens,
            Self::ContentFilter | Self::Other => Outcome::IncompleteUnknown,
        }
    }
}

/// Tokens of one attempt: input includes cached, output includes reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens read.
    pub input: u64,
    /// Tokens generated.
    pub output: u64,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the model said; empty only where a filter withheld it.
    pub text: String,
    /// Why it stopped.
    pub finish: Finish,
    /// Tokens, where the provider said.
    pub usage: Option<Usage>,
}
