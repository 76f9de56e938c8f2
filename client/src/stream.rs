//! A stream from its first request to its end, over as many connections as it takes.
//!
//! Sans-IO: whoever drives it asks for the [`Step`] that is next, carries it out, and tells what came of it. Responses
//! are told by [`AskStream::answered`] or [`AskStream::refused`], pieces of a body by [`AskStream::take`], and whatever
//! ends a connection without the last event by [`AskStream::broken`].
//!
//! A stream can be come back to once the gateway has named its place (`x-ai-warp-stream`): the next request says the last
//! event that came, and the gateway goes on after it. A request that has no place yet is never repeated, as it might be
//! answered twice.

use std::collections::VecDeque;
use std::time::Duration;

use ai_warp_sse::{Decoder, TooLarge};

use crate::ask::Ask;
use crate::config::MAX_RESPONSE_BYTES;
use crate::error::{CONNECTION_LOST, ClientError, INVALID_RESPONSE};
use crate::message::{Message, Reading, read};
use crate::reconnect::{MAX_RETRY_AFTER, Reconnect};

/// What a stream's `content-type` begins with.
const EVENT_STREAM: &str = "text/event-stream";

/// Hex digits at the end of an event's id that are its position; the rest is the stream.
const POSITION_DIGITS: usize = 8;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this, and tell what came of it.
    Send(Request),
    /// Let this time pass, and ask again.
    Wait(Duration),
    /// Read the next piece of the body.
    Read,
    /// Hand this on.
    Deliver(Message),
    /// Nothing: the stream had its last event.
    Finish,
    /// Tell this error; nothing follows.
    Fail(ClientError),
}

/// A request for the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Its body, JSON.
    pub body: String,
    /// Its `last-event-id`.
    pub last_event_id: Option<String>,
}

/// What matters of a response with a status of success.
#[derive(Debug, Default, Clone)]
pub struct Head {
    /// `content-type`.
    pub content_type: Option<String>,
    /// `x-ai-warp-stream`: the place before the first event, where the stream can be come back to.
    pub place: Option<String>,
    /// The session.
    pub session: Option<String>,
}

/// An attempt to come back, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Which one it is since the last event.
    pub attempt: u32,
    /// Time until it.
    pub delay: Duration,
    /// Why it is needed.
    pub reason: String,
}

/// A stream.
#[derive(Debug)]
pub struct AskStream {
    ask: Ask,
    reconnect: Option<Reconnect>,
    /// The last event that came, or the place before the first; `None` as long as there is no coming back.
    place: Option<String>,
    /// The same, of what was handed on.
    handed_on: Option<String>,
    session: Option<String>,
    /// Attempts since the last event.
    attempts: u32,
    /// Read, and not handed on yet: what one piece brought.
    messages: VecDeque<Message>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Asking,
    Waiting(Duration),
    Reading(Box<Decoder>),
    Failed(Box<ClientError>),
    Over,
}

/// Why no more of a piece is read.
enum Stop {
    /// The last event came.
    Last,
    Detached(ClientError),
    Invalid(ClientError),
}

impl From<TooLarge> for Stop {
    fn from(error: TooLarge) -> Self {
        Self::Invalid(ClientError::new(INVALID_RESPONSE, error.to_string()))
    }
}

impl AskStream {
    /// A stream that has not been asked for yet.
    pub fn new(ask: Ask, reconnect: Option<Reconnect>) -> Self {
        let place = ask.last_event_id.clone();
        Self {
            ask,
            reconnect,
            handed_on: place.clone(),
            place,
            session: None,
            attempts: 0,
            messages: VecDeque::new(),
            phase: Phase::Asking,
        }
    }

    /// What to do now.
    pub fn next_step(&mut self) -> Step {
        if let Some(message) = self.messages.pop_front() {
            if let (Some(place), Message::Content { id: Some(id), .. }) = (&mut self.handed_on, &message) {
                place.clone_from(id);
            }
            return Step::Deliver(message);
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Asking => {
                self.phase = Phase::Asking;
                Step::Send(Request {
                    body: self.ask.body(self.session.as_deref()),
                    last_event_id: self.place.clone(),
                })
            }
            Phase::Waiting(delay) => {
                self.phase = Phase::Asking;
                Step::Wait(delay)
            }
            reading @ Phase::Reading(_) => {
                self.phase = reading;
                Step::Read
            }
            Phase::Failed(error) => Step::Fail(*error),
            Phase::Over => Step::Finish,
        }
    }

    /// A response of success has begun. Whether its body is to be read is for [`is_open`](Self::is_open) to say. `random` is
    /// from 0 to 1.
    pub fn answered(&mut self, head: &Head, random: f64) -> Option<Retry> {
        let kind = head.content_type.as_deref().unwrap_or("nothing").trim_start();
        if !kind.get(..EVENT_STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM)) {
            let message = format!("the response is {kind}, no event stream");
            // A portal of the network one has just come into answers anything with a page.
            return self.broken(ClientError::new(INVALID_RESPONSE, message), random);
        }
        if let Some(place) = &self.place {
            if !head.place.as_deref().is_some_and(|other| is_same_stream(place, other)) {
                self.fail(ClientError::new(INVALID_RESPONSE, "the gateway does not go on with this stream"));
                return None;
            }
        } else {
            self.place.clone_from(&head.place);
            self.handed_on.clone_from(&head.place);
        }
        if head.session.is_some() {
            self.session.clone_from(&head.session);
        }
        self.phase = Phase::Reading(Box::new(Decoder::new(MAX_RESPONSE_BYTES)));
        None
    }

    /// The request was answered with an error.
    pub fn refused(&mut self, error: ClientError, random: f64) -> Option<Retry> {
        let patience = u32::try_from(MAX_RETRY_AFTER.as_secs()).unwrap_or(u32::MAX);
        if !error.is_passing() || error.retry_after.is_some_and(|seconds| seconds > patience) {
            self.fail(error);
            return None;
        }
        self.broken(error, random)
    }

    /// The next piece of the body. `random` as before.
    pub fn take(&mut self, piece: &[u8], random: f64) -> Option<Retry> {
        let Phase::Reading(decoder) = &mut self.phase else { return None };
        let (messages, place, attempts) = (&mut self.messages, &mut self.place, &mut self.attempts);
        let pushed = decoder.push(piece, |event| match read(event).map_err(Stop::Invalid)? {
            Reading::Message(mut message) => {
                *attempts = 0;
                if let (None, Message::Content { id, .. }) = (&place, &mut message) {
                    *id = None;
                }
                if let (Some(place), Ok(id)) = (place.as_mut(), std::str::from_utf8(event.id))
                    && !id.is_empty()
                {
                    id.clone_into(place);
                }
                let is_last = message.is_last();
                messages.push_back(message);
                if is_last { Err(Stop::Last) } else { Ok(()) }
            }
            Reading::Detached(error) => Err(Stop::Detached(error)),
            Reading::Nothing => Ok(()),
        });
        match pushed {
            Ok(()) => None,
            Err(Stop::Last) => {
                self.phase = Phase::Over;
                None
            }
            Err(Stop::Detached(error)) => self.broken(error, random),
            Err(Stop::Invalid(error)) => {
                self.fail(error);
                None
            }
        }
    }

    /// The connection ended without the stream's last event, or there was none. Tells the attempt to come back, if there is
    /// one. An event that is not complete is forgotten: it comes again.
    pub fn broken(&mut self, error: ClientError, random: f64) -> Option<Retry> {
        let Some(policy) = self.reconnect.as_ref().filter(|_| self.ask.resume && self.place.is_some()) else {
            self.fail(error);
            return None;
        };
        if self.attempts >= policy.max_attempts {
            let message =
                format!("the connection was lost, and {} attempts to come back failed", self.attempts);
            self.fail(ClientError {
                status: error.status,
                retry_after: error.retry_after,
                ..ClientError::new(CONNECTION_LOST, format!("{message}: {}", error.message))
            });
            return None;
        }
        self.attempts += 1;
        let asked_for = Duration::from_secs(error.retry_after.unwrap_or(0).into());
        let delay = policy.delay(self.attempts, random).max(asked_for);
        self.phase = Phase::Waiting(delay);
        Some(Retry { attempt: self.attempts, delay, reason: error.message })
    }

    /// Ends the stream with this error, after what has come before it.
    pub fn fail(&mut self, mut error: ClientError) {
        error.last_event_id.clone_from(&self.place);
        error.session_id = self.session.clone().or_else(|| self.ask.session());
        self.phase = Phase::Failed(Box::new(error));
    }

    /// Ends the stream with this error at once, unless all of it was handed on.
    pub fn abort(&mut self, error: ClientError) {
        if !self.is_over() {
            self.messages.clear();
            self.place.clone_from(&self.handed_on);
            self.fail(error);
        }
    }

    /// Whether there is nothing more to tell.
    pub fn is_over(&self) -> bool {
        self.messages.is_empty() && matches!(self.phase, Phase::Over)
    }

    /// Where the stream would be come back to.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Whether it is being read.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Reading(_))
    }
}

/// Whether these are ids of events, or places, of one stream.
fn is_same_stream(one: &str, other: &str) -> bool {
    let stream = |id: &str| {
        id.len().checked_sub(POSITION_DIGITS).and_then(|end| id.get(..end)).map(str::to_ascii_lowercase)
    };
    stream(one) == stream(other)
}

#[cfg(test)]
mod tests;
