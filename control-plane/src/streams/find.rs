//! Which stream a client comes back for, here or on the shelf, and where it goes on.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::api::Format;
use ai_warp_core::config::StreamsConfig;
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::relay::Ask;
use ai_warp_core::stream_id::EventId;
use ai_warp_core::sync::SessionKey;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::answer::Found;
use super::log::{About, Log};
use super::place::Place;
use super::shelf::{Reading, Shelf, State, WRITER_GRACE_MS};
use super::{Handover, Streams, limits, replica};

/// Longest wait for a stream to be settled, where its client does not say where it was. A client that has just had the end may be
/// here before those who wrote it to the client have told the shelf.
const SETTLING: Duration = Duration::from_millis(100);

/// The same where nobody is there who writes the stream: until it has its end.
const MISSING: Duration = Duration::from_millis(WRITER_GRACE_MS + 100);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// A stream, and where it is.
enum Kept {
    Here(Arc<Log>),
    Elsewhere(Box<State>, Shelf),
}

impl Streams {
    /// The stream that a client comes back for; `None` where its prompt is a new one.
    pub(super) async fn find(
        &self,
        handover: &Handover,
        format: Format,
        config: &StreamsConfig,
    ) -> Result<Option<Found>, GatewayError> {
        let ask = &handover.ask;
        let session = ask.session_key().filter(|_| ask.continues);
        let (stream, said) = match (&handover.last_event, session) {
            (Some(last), _) => {
                let last = EventId::parse(last).ok_or_else(expired)?;
                (last.stream(), Some(last.position()))
            }
            (None, None) => return Ok(None),
            (None, Some(session)) => match self.last_of(session).await {
                Some(stream) => (stream, None),
                None => return Ok(None),
            },
        };
        let begin = Instant::now();
        loop {
            let Some(kept) = self.look_up(stream, ask).await? else {
                // Whoever names an event means its stream and no other.
                return if said.is_some() { Err(expired()) } else { Ok(None) };
            };
            let place = kept.place();
            if said.is_none() && !place.is_settled() && begin.elapsed() < kept.settling() {
                sleep(LOOK).await;
                continue;
            }
            let about = About { stream, owner: ask.owner, session: ask.session_key(), format };
            return Ok(place.go_on(said).map(|position| self.attach(kept, position, about, config)));
        }
    }

    /// The stream, if it is whose the client is.
    async fn look_up(&self, stream: Uuid, ask: &Ask) -> Result<Option<Kept>, GatewayError> {
        let session = ask.session.filter(|_| ask.continues);
        let is_its_own = |owner, of: Option<Uuid>| owner == ask.owner && (session.is_none() || of == session);
        if let Some(log) = self.book.find(stream) {
            let of = log.about.session.map(|session| session.id);
            return Ok(is_its_own(log.about.owner, of).then_some(Kept::Here(log)));
        }
        let Some(shelf) = &self.shelf else { return Ok(None) };
        match shelf.read(stream, 0, Reading::Looking).await {
            Ok(Some((state, _))) if !state.is_forgotten && is_its_own(state.owner, state.session) => {
                Ok(Some(Kept::Elsewhere(Box::new(state), shelf.clone())))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::warn!(%stream, "a stream cannot be read: {error}");
                Err(GatewayError::new(ErrorCode::HistoryGetError, "the stream cannot be read now"))
            }
        }
    }

    /// The stream after `position`.
    fn attach(&self, kept: Kept, position: u32, about: About, config: &StreamsConfig) -> Found {
        let (state, shelf) = match kept {
            Kept::Here(log) => return Found::at(log, position),
            Kept::Elsewhere(state, shelf) => (state, shelf),
        };
        // A client may be ahead of the shelf: who wrote it to that one need not have come to write it there.
        let from = position.min(state.last);
        let log = Arc::new(Log::replica(about, limits(config).bounds, from, self.book.total_bytes()));
        let found = Found::at(Arc::clone(&log), position);
        tokio::spawn(replica::follow(log, shelf));
        found
    }

    /// The last stream of a session, here or anywhere.
    pub(super) async fn last_of(&self, session: SessionKey) -> Option<Uuid> {
        let here = || self.book.of_session(session).map(|log| log.about.stream);
        match &self.shelf {
            None => here(),
            // One that is over need not be the last.
            Some(shelf) => match self.book.of_session(session).filter(|log| !log.progress().is_over) {
                Some(log) => Some(log.about.stream),
                None => shelf.last_of(session).await.unwrap_or_else(|_| here()).or_else(here),
            },
        }
    }
}

impl Kept {
    fn place(&self) -> Place {
        match self {
            Self::Here(log) => Place::from(log.as_ref()),
            Self::Elsewhere(state, _) => Place::from(state.as_ref()),
        }
    }

    /// Longest wait for it to be settled.
    fn settling(&self) -> Duration {
        match self {
            Self::Elsewhere(state, _) if state.is_unclaimed => MISSING,
            _ => SETTLING,
        }
    }
}

fn expired() -> GatewayError {
    GatewayError::new(ErrorCode::StreamExpired, "there is no such stream, or not any more")
}
