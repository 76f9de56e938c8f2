//! Reading a provider's answer as it arrives.
//!
//! An answer is held back until it is known to be one: whole answers until they are parsed, streams until their
//! first content. Up to that moment every failure can still lead to another model without the client noticing.

use crate::chat::{Answer, Delta, Finish, MAX_CALLS, Usage};
use crate::dialect::{Dialect, Framing, ReadEvents};
use crate::event_stream;
use crate::failure::{Failure, FailureKind};
use crate::sse::{self, Event};

/// Reads a whole answer of status 200.
///
/// # Errors
/// What the body reports, and answers that hold nothing.
pub fn read_whole(dialect: &dyn Dialect, body: &[u8]) -> Result<Answer, Failure> {
    let answer = dialect.read_answer(body)?;
    judge(answer.has_content(), answer.finish)?;
    let calls_tools = answer.tool_calls().next().is_some();
    Ok(Answer { finish: answer.finish.with_calls(calls_tools), ..answer })
}

/// An answer without content is a failure, unless a filter withheld it: that is the provider's answer.
fn judge(has_content: bool, finish: Finish) -> Result<(), Failure> {
    if has_content {
        return Ok(());
    }
    match finish {
        Finish::ContentFilter => Ok(()),
        Finish::Length => {
            Err(Failure::new(FailureKind::MaxTokens, "used up the token limit before its first word"))
        }
        Finish::Stop | Finish::ToolCalls | Finish::Other => {
            Err(Failure::new(FailureKind::Empty, "answered without content"))
        }
    }
}

/// Reads a stream of status 200.
pub struct StreamReader {
    decoder: Decoder,
    events: Box<dyn ReadEvents>,
    so_far: SoFar,
}

/// Cuts the stream into events.
enum Decoder {
    Sse(sse::Decoder),
    EventStream(event_stream::Decoder),
}

impl Decoder {
    fn new(framing: Framing, limit: usize) -> Self {
        match framing {
            Framing::Sse => Self::Sse(sse::Decoder::new(limit)),
            Framing::EventStream => Self::EventStream(event_stream::Decoder::new(limit)),
        }
    }

    fn push(
        &mut self,
        piece: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Sse(decoder) => decoder.push(piece, not_blank(on_event)),
            Self::EventStream(decoder) => decoder.push(piece, &mut on_event),
        }
    }

    fn finish(&mut self, on_event: impl FnMut(Event<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        match self {
            Self::Sse(decoder) => decoder.finish(not_blank(on_event)),
            Self::EventStream(decoder) => Ok(decoder.finish()?),
        }
    }
}

/// Passes over events without data, which some send to keep the connection alive.
fn not_blank(
    mut on_event: impl FnMut(Event<'_>) -> Result<(), Failure>,
) -> impl FnMut(Event<'_>) -> Result<(), Failure> {
    move |event| if event.data.trim_ascii().is_empty() { Ok(()) } else { on_event(event) }
}

/// What was read of a stream.
struct SoFar {
    len: usize,
    limit: usize,
    has_content: bool,
    calls: usize,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl From<sse::TooLarge> for Failure {
    fn from(error: sse::TooLarge) -> Self {
        Self::new(FailureKind::TooLarge, error.to_string())
    }
}

impl From<event_stream::Error> for Failure {
    fn from(error: event_stream::Error) -> Self {
        match error {
            event_stream::Error::TooLarge(error) => error.into(),
            event_stream::Error::Damaged => Self::new(FailureKind::Malformed, "sent a damaged stream"),
            event_stream::Error::Incomplete => Self::cut(),
        }
    }
}

impl StreamReader {
    /// A reader of at most `limit` bytes of what is said, and as many of one event.
    pub fn new(dialect: &dyn Dialect, limit: usize) -> Self {
        let so_far = SoFar { len: 0, limit, has_content: false, calls: 0, finish: None, usage: None };
        Self { decoder: Decoder::new(dialect.framing(), limit), events: dialect.events(), so_far }
    }

    /// Takes the next piece of the body; hands every event it completes to `on_event`, with what it adds to the answer.
    ///
    /// # Errors
    /// What the stream reports, and what cannot be read. The reader is of no use afterwards.
    pub fn read(
        &mut self,
        piece: &[u8],
        mut on_event: impl FnMut(Event<'_>, &[Delta<'_>]),
    ) -> Result<(), Failure> {
        let Self { decoder, events, so_far } = self;
        decoder.push(piece, |event| so_far.take(events.as_mut(), event, &mut on_event))
    }

    /// What the stream is known to have used so far.
    pub fn usage(&self) -> Option<Usage> {
        self.so_far.usage
    }

    /// Ends the stream and judges what was said: why the model stopped.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`FailureKind::Cut`] where the model never said why it stopped.
    pub fn finish(&mut self, mut on_event: impl FnMut(Event<'_>, &[Delta<'_>])) -> Result<Finish, Failure> {
        let Self { decoder, events, so_far } = self;
        let last = decoder.finish(|event| so_far.take(events.as_mut(), event, &mut on_event));
        last.map_err(|failure| match failure.kind {
            // What cannot be read at the very end is an event of which the rest is missing.
            FailureKind::Malformed => Failure::cut(),
            _ => failure,
        })?;
        let Some(finish) = so_far.finish else {
            return Err(Failure::cut());
        };
        judge(so_far.has_content, finish)?;
        Ok(finish.with_calls(so_far.calls > 0))
    }
}

impl SoFar {
    fn take(
        &mut self,
        events: &mut dyn ReadEvents,
        event: Event<'_>,
        on_event: &mut impl FnMut(Event<'_>, &[Delta<'_>]),
    ) -> Result<(), Failure> {
        let mut deltas = Vec::new();
        events.read(event, &mut deltas)?;
        for delta in &deltas {
            match delta {
                Delta::Finish(finish) => self.finish = Some(*finish),
                Delta::Usage(usage) => self.usage = Some(*usage),
                Delta::ToolCall { .. } => self.calls += 1,
                _ => {}
            }
            self.has_content |= delta.is_content();
            self.len = self.len.saturating_add(delta.len());
        }
        if self.calls > MAX_CALLS {
            return Err(Failure::too_many_calls());
        }
        if self.len > self.limit {
            return Err(Failure::new(FailureKind::TooLarge, format!("sent more than {} bytes", self.limit)));
        }
        on_event(event, &deltas);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
