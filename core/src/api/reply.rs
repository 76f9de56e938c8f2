//! What every client format does with an answer: write it whole, or event by event.

use std::fmt;

use uuid::Uuid;

use crate::chat::{Answer, Delta};
use crate::error::GatewayError;
use crate::exchange::TurnIds;
use crate::sse::Event;

/// What a reply tells of its exchange.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The exchange's own id.
    pub id: Uuid,
    /// When it began, in seconds since 1970.
    pub created_secs: u64,
    /// The model's name at its provider.
    pub model: &'a str,
    /// The session and the turn, where there is one.
    pub ids: Option<TurnIds>,
    /// `false` where the turn could not be stored in time; `None` otherwise.
    pub stored: Option<bool>,
}

/// In whose words an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In another format.
    Foreign,
    /// In the client's own, kept to so well that it can be passed on as it is.
    Native,
    /// In the client's own, but for deviations that are to be mended.
    NearlyNative,
}

/// The body of a whole answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Whole {
    /// The provider's own, as it is.
    Native,
    /// This one.
    Written(Vec<u8>),
}

/// Writes what becomes of one request, in its client's format.
pub trait Reply: fmt::Debug {
    /// The body for a whole answer. `body` is the provider's.
    fn whole(&self, about: &About<'_>, answer: &Answer, source: Source, body: &[u8]) -> Whole;

    /// Appends what an event of the provider's stream is to the client.
    fn event(
        &mut self,
        about: &About<'_>,
        event: Event<'_>,
        deltas: &[Delta<'_>],
        source: Source,
        out: &mut Vec<u8>,
    );

    /// Forgets what it wrote of a stream: nothing of it has left for the client, and another model is tried.
    fn restart(&mut self);

    /// Appends the end of a complete stream. `answer` has its parts only if [they are wanted](Self::wants_answer).
    fn end(&mut self, about: &About<'_>, answer: &Answer, out: &mut Vec<u8>);

    /// Appends the end of a stream that failed.
    fn error(&mut self, error: &GatewayError, out: &mut Vec<u8>);

    /// Whether the end of a stream says again what was said.
    fn wants_answer(&self) -> bool {
        false
    }

    /// Whether the end of a stream tells that the turn is not stored.
    fn tells_stored(&self) -> bool {
        false
    }

    /// Whether what the model thinks is part of what the client sees: then it is content, and leaves at once.
    fn shows_reasoning(&self) -> bool {
        true
    }
}
