//! Reading a provider's answer as it arrives.
//!
//! An answer is held back until it is known to be one: whole answers until they are parsed, streams until their
//! first content. Up to that moment every failure can still lead to another model without the client noticing.

use crate::chat::{Answer, Finish, Usage};
use crate::dialect::Dialect;
use crate::failure::{Failure, FailureKind};
use crate::sse;

/// Reads a whole answer of status 200.
///
/// # Errors
/// What the body reports, and answers that hold nothing.
pub fn read_whole(dialect: &dyn Dialect, body: &[u8]) -> Result<Answer, Failure> {
    let answer = dialect.read_answer(body)?;
    judge(!answer.text.is_empty(), answer.finish)?;
    Ok(answer)
}

/// An answer without text is a failure, unless a filter withheld it: that is the provider's answer.
fn judge(has_text: bool, finish: Finish) -> Result<(), Failure> {
    if has_text {
        return Ok(());
    }
    match finish {
        Finish::ContentFilter => Ok(()),
        Finish::Length => {
            Err(Failure::new(FailureKind::MaxTokens, "used up the token limit before its first word"))
        }
        Finish::Stop | Finish::Other => Err(Failure::new(FailureKind::Empty, "answered without content")),
    }
}

/// Reads a stream of status 200.
pub struct StreamReader {
    dialect: &'static dyn Dialect,
    decoder: sse::Decoder,
    so_far: SoFar,
}

/// What was read of a stream.
struct SoFar {
    text_len: usize,
    limit: usize,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl From<sse::TooLarge> for Failure {
    fn from(error: sse::TooLarge) -> Self {
        Self::new(FailureKind::TooLarge, error.to_string())
    }
}

impl StreamReader {
    /// A reader of at most `limit` bytes of text, and as many of one event.
    pub fn new(dialect: &'static dyn Dialect, limit: usize) -> Self {
        Self {
            dialect,
            decoder: sse::Decoder::new(limit),
            so_far: SoFar { text_len: 0, limit, finish: None, usage: None },
        }
    }

    /// Takes the next piece of the body; hands every bit of text it completes to `on_text`.
    ///
    /// # Errors
    /// What the stream reports, and what cannot be read. The reader is of no use afterwards.
    pub fn read(&mut self, piece: &[u8], mut on_text: impl FnMut(&str)) -> Result<(), Failure> {
        let Self { dialect, decoder, so_far } = self;
        decoder.push(piece, |event| so_far.take(*dialect, event, &mut on_text))
    }

    /// What the stream is known to have used so far.
    pub fn usage(&self) -> Option<Usage> {
        self.so_far.usage
    }

    /// Ends the stream and judges what was said: why the model stopped.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`FailureKind::Cut`] where the model never said why it stopped.
    pub fn finish(&mut self, mut on_text: impl FnMut(&str)) -> Result<Finish, Failure> {
        let Self { dialect, decoder, so_far } = self;
        let last = decoder.finish(|event| so_far.take(*dialect, event, &mut on_text));
        last.map_err(|failure| match failure.kind {
            // What cannot be read at the very end is an event of which the rest is missing.
            FailureKind::Malformed => Failure::cut(),
            _ => failure,
        })?;
        let Some(finish) = so_far.finish else {
            return Err(Failure::cut());
        };
        judge(so_far.text_len > 0, finish)?;
        Ok(finish)
    }
}

impl SoFar {
    fn take(
        &mut self,
        dialect: &dyn Dialect,
        event: sse::Event<'_>,
        on_text: &mut impl FnMut(&str),
    ) -> Result<(), Failure> {
        if event.data.trim_ascii().is_empty() {
            return Ok(());
        }
        let delta = dialect.read_event(event.data)?;
        self.finish = delta.finish.or(self.finish);
        self.usage = delta.usage.or(self.usage);
        if !delta.text.is_empty() {
            self.text_len = self.text_len.saturating_add(delta.text.len());
            if self.text_len > self.limit {
                let message = format!("sent more than {} bytes", self.limit);
                return Err(Failure::new(FailureKind::TooLarge, message));
            }
            on_text(&delta.text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
