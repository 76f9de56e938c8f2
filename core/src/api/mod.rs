//! The client APIs: each reads requests into the canonical chat and writes answers in its own format.
//!
//! One file per format. [`read`] makes a [`Request`] of a body, and every request brings the [`Reply`] that writes what
//! becomes of it.

mod arguments;
pub mod chat_completions;
pub mod embeddings;
pub mod errors;
mod extra_content;
mod fields;
pub mod messages;
pub mod models;
mod reply;
mod request;
pub mod responses;
#[cfg(test)]
mod testing;
pub mod unified;

use serde::{Deserialize, Serialize};

pub use reply::{About, Reply, Source, Whole};
pub use request::{Asked, MAX_MODELS, Request, Selection, Session, unknown_session};

use crate::config::Gateway;
use crate::error::GatewayError;

/// A client's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The unified prompt API; `stream` is the path's own wish for a stream.
    Unified {
        /// Whether the path asks for a stream, whatever the body says.
        stream: bool,
    },
    /// OpenAI chat completions.
    ChatCompletions,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// OpenAI embeddings.
    Embeddings,
}

/// Path of chat completions.
const CHAT_COMPLETIONS_PATH: &str = "/v1/chat/completions";

/// Path of Responses.
const RESPONSES_PATH: &str = "/v1/responses";

/// Path of Messages.
const MESSAGES_PATH: &str = "/v1/messages";

/// Path of embeddings.
const EMBEDDINGS_PATH: &str = "/v1/embeddings";

/// The formats of errors at paths below these; first match wins.
pub const ERROR_FORMATS: [(&str, Format); 2] =
    [(MESSAGES_PATH, Format::Messages), ("/v1", Format::ChatCompletions)];

impl Format {
    /// Every path at which models are asked, with the format of its requests.
    pub fn paths(gateway: &Gateway) -> [(&str, Self); 6] {
        [
            (&gateway.paths.prompt, Self::Unified { stream: false }),
            (&gateway.paths.stream, Self::Unified { stream: true }),
            (CHAT_COMPLETIONS_PATH, Self::ChatCompletions),
            (RESPONSES_PATH, Self::Responses),
            (MESSAGES_PATH, Self::Messages),
            (EMBEDDINGS_PATH, Self::Embeddings),
        ]
    }

    /// The format of requests to `path`, without its query; `None` where no model is asked.
    pub fn of_path(path: &[u8], gateway: &Gateway) -> Option<Self> {
        let known = Self::paths(gateway).into_iter().find(|(known, _)| known.as_bytes() == path);
        known.map(|(_, format)| format)
    }

    /// The path of its requests.
    pub fn path(self, gateway: &Gateway) -> &str {
        let known = Self::paths(gateway).into_iter().find(|(_, format)| *format == self);
        known.map(|(path, _)| path).unwrap_or_default()
    }

    /// The format of errors at a `path` where no model is asked.
    pub fn of_errors_at(path: &[u8]) -> Self {
        let is_below = |prefix: &str| {
            let rest = path.strip_prefix(prefix.as_bytes());
            rest.is_some_and(|rest| rest.first().is_none_or(|b| *b == b'/'))
        };
        let found = ERROR_FORMATS.into_iter().find(|(prefix, _)| is_below(prefix));
        found.map_or(Self::Unified { stream: false }, |(_, format)| format)
    }

    /// The request headers that belong to the request as much as its body does; see
    /// [`Native::headers`](crate::native::Native::headers).
    pub const fn own_headers(self) -> &'static [&'static str] {
        match self {
            Self::Messages => &["anthropic-version", "anthropic-beta"],
            Self::Unified { .. } | Self::ChatCompletions | Self::Responses | Self::Embeddings => &[],
        }
    }
}

/// Reads a request.
///
/// # Errors
/// `OPTION_ERROR` that says what is wrong, and where.
pub fn read(format: Format, body: Vec<u8>) -> Result<Request, GatewayError> {
    match format {
        Format::Unified { stream } => unified::read(&body, stream),
        Format::ChatCompletions => chat_completions::read(body),
        Format::Responses => responses::read(body),
        Format::Messages => messages::read(body),
        Format::Embeddings => embeddings::read(body),
    }
}

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
