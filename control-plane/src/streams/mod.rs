//! Streams that survive their clients.
//!
//! A gateway hands a client's request over; here it is opened again at that gateway ([`gateway`]), and what comes is written
//! into a [`log`], whether anybody reads it or not ([`generation`]). Clients read the log, each from where it was
//! ([`reader`]): the connection of a client and the answer of a model are two different things.
//!
//! With Valkey all control planes have all streams: what one writes it puts on the [`shelf`] as well ([`mirror`]), and what a
//! client wants that another writes, or wrote, comes from there ([`replica`]).

mod answer;
mod book;
mod find;
mod gateway;
mod generation;
mod log;
mod mirror;
mod place;
mod reader;
mod replica;
mod shelf;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::config::{Gateway, StreamsConfig};
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::relay::Ask;
use ai_warp_core::sync::SessionKey;
use axum::body::{Body, Bytes};
use http::{HeaderMap, Response};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::answer::{Found, decline, refuse};
use self::book::{Book, Limits, Opened};
use self::gateway::{Gateways, Opening};
use self::generation::Terms;
use self::log::{About, Bounds, End, Head, Log, SUPERSEDED};
use self::shelf::{Reading, Shelf};
use crate::metrics::{Metrics, StreamEvent};
use crate::store::Store;

/// A request that a gateway hands over.
#[derive(Debug)]
pub(crate) struct Handover {
    /// What the gateway knows of the client.
    pub(crate) ask: Ask,
    /// The gateway.
    pub(crate) gateway: IpAddr,
    /// The last event that the client says it has had, as it says it.
    pub(crate) last_event: Option<Vec<u8>>,
    /// The client's headers, and what the gateway sealed.
    pub(crate) headers: HeaderMap,
    /// The client's body.
    pub(crate) body: Bytes,
}

/// The streams of this control plane.
#[derive(Debug)]
pub struct Streams {
    book: Arc<Book>,
    gateways: Gateways,
    /// Where there is one: what all control planes have.
    shelf: Option<Shelf>,
    /// What writes streams, and puts them on the shelf.
    writing: TaskTracker,
    metrics: Arc<Metrics>,
}

/// How long streams that were ended with this process may take to be written to their ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How many streams there are, and how large they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Streams that models are still answering.
    pub under_way: usize,
    /// Clients that read one of them here.
    pub readers: usize,
    /// All that are held.
    pub held: usize,
    /// Bytes of them.
    pub bytes: u64,
}

impl Streams {
    /// Keeps streams where `store` keeps sessions, and in this process while they are under way.
    pub fn open(store: &Store, metrics: Arc<Metrics>) -> Self {
        let shelf = match store {
            Store::None | Store::Memory(_) => None,
            Store::Valkey(valkey) => Some(Shelf::new(valkey.link())),
        };
        let (gateways, writing) = (Gateways::default(), TaskTracker::new());
        Self { book: Arc::default(), gateways, shelf, writing, metrics }
    }

    /// Answers a client: with a stream it comes back for, or with a new one.
    pub(crate) async fn answer(
        &self,
        handover: Handover,
        gateway: &Gateway,
        config: &StreamsConfig,
    ) -> Response<Body> {
        let format = handover.ask.format(gateway);
        match self.find(&handover, format, config).await {
            Ok(Some(found)) => {
                self.metrics.stream(StreamEvent::Resumed);
                return found.answer().await;
            }
            Ok(None) => {}
            Err(error) => return refuse(format, &error),
        }
        let about = About {
            stream: handover.ask.stream,
            owner: handover.ask.owner,
            session: handover.ask.session_key(),
            format,
        };
        let log = match self.book.open(about, limits(config)) {
            Opened::New(log) => log,
            Opened::Known(log) => return Found::at(log, 0).answer().await,
            // Those who have no name are many, and none of them has too many.
            Opened::TooMany if handover.ask.owner.is_none() => {
                self.metrics.stream(StreamEvent::Declined);
                return decline();
            }
            Opened::TooMany => {
                let error = GatewayError::new(
                    ErrorCode::TooManyStreams,
                    "this consumer has as many streams under way as it may",
                );
                return refuse(format, &error);
            }
            Opened::Full => {
                self.metrics.stream(StreamEvent::Declined);
                return decline();
            }
        };
        let found = Found::at(Arc::clone(&log), 0);
        self.begin(log, handover, gateway, config);
        found.answer().await
    }

    /// Starts to write the stream.
    fn begin(&self, log: Arc<Log>, handover: Handover, gateway: &Gateway, config: &StreamsConfig) {
        let opening = Opening {
            at: SocketAddr::new(handover.gateway, handover.ask.port),
            path: handover.ask.path,
            headers: handover.headers,
            body: handover.body,
        };
        let terms =
            Terms { abandon_after: config.abandon_after.duration(), max_bytes: gateway.max_response_bytes };
        let (book, gateways, keep) = (Arc::clone(&self.book), self.gateways.clone(), config.keep.duration());
        let mirror = self.shelf.clone().map(|shelf| mirror::run(Arc::clone(&log), shelf, keep));
        if mirror.is_none() {
            log.note_known();
        }
        let metrics = Arc::clone(&self.metrics);
        let stream = log.about.stream;
        let writing = self.writing.track_future({
            let book = Arc::clone(&book);
            async move {
                let mirror = mirror.map(tokio::spawn);
                generation::run(Arc::clone(&log), gateways, opening, terms).await;
                book.close(&log.about);
                count(&metrics, &log);
                let is_stream = matches!(log.head(), Some(Head::Stream(_)));
                drop(log);
                let is_on_shelf = match mirror {
                    Some(mirror) => mirror.await.unwrap_or(false),
                    None => false,
                };
                is_stream && !is_on_shelf
            }
        });
        tokio::spawn(async move {
            let is_only_here = writing.await;
            if is_only_here {
                sleep(keep).await;
            }
            book.remove(stream);
        });
    }

    /// Ends the stream of a session that is under way, as a newer prompt takes its place; its id, if there was one.
    /// Nobody who does not name it gets the rest any more.
    pub(crate) async fn cancel(&self, session: SessionKey) -> Option<Uuid> {
        let stream = self.last_of(session).await?;
        if let Some(log) = self.book.find(stream) {
            log.supersede();
            if log.progress().is_over {
                return None;
            }
            log.cancel(ErrorCode::StreamInterrupted, "a newer prompt took the place of this one");
            return Some(stream);
        }
        let shelf = self.shelf.as_ref()?;
        let (state, _) = shelf.read(stream, 0, Reading::Looking).await.ok().flatten()?;
        if state.is_forgotten {
            return None;
        }
        if let Err(error) = shelf.deliver(stream, SUPERSEDED).await {
            tracing::debug!(%stream, "what is left of a stream stays: {error}");
        }
        if state.end.is_some() {
            return None;
        }
        shelf.cancel(stream).await.is_ok().then_some(stream)
    }

    /// Forgets all streams of a session; the id of the last, if it was under way.
    pub(crate) async fn forget(&self, session: SessionKey) -> Option<Uuid> {
        let was_under_way = self.cancel(session).await;
        for log in self.book.remove_session(session) {
            log.cancel(ErrorCode::StreamInterrupted, "the session was deleted");
        }
        if let Some(shelf) = &self.shelf
            && let Err(error) = shelf.forget_all(session).await
        {
            tracing::warn!(session = %session.id, "streams of a deleted session stay until they expire: {error}");
        }
        was_under_way
    }

    /// What there is.
    pub fn usage(&self) -> Usage {
        let under_way = self.book.under_way();
        Usage {
            readers: under_way.iter().map(|log| log.progress().readers).sum(),
            under_way: under_way.len(),
            held: self.book.count(),
            bytes: self.book.bytes(),
        }
    }

    /// Lets the streams under way come to their ends for so long, then ends them. Where there is a shelf, they are on it then.
    pub(crate) async fn drain(&self, longest: Duration) {
        self.writing.close();
        if timeout(longest, self.writing.wait()).await.is_err() {
            for log in self.book.under_way() {
                log.cancel(ErrorCode::StreamInterrupted, "the control plane that kept the stream was ended");
            }
            _ = timeout(LAST_WORDS, self.writing.wait()).await;
        }
    }
}

/// Counts a stream that is over.
fn count(metrics: &Metrics, log: &Log) {
    match log.head() {
        Some(Head::Declined) => metrics.stream(StreamEvent::Declined),
        Some(Head::Whole(..)) | None => {}
        Some(Head::Stream(_)) => metrics.stream(match log.ending() {
            Some(End::Told) | None => StreamEvent::Ended,
            Some(End::Interrupted(_)) => StreamEvent::Interrupted,
        }),
    }
}

fn limits(config: &StreamsConfig) -> Limits {
    Limits {
        bounds: Bounds {
            max_events: config.max_events as usize,
            max_bytes: usize::try_from(config.max_bytes).unwrap_or(usize::MAX),
            max_total_bytes: config.max_total_bytes,
        },
        max_per_consumer: config.max_per_consumer as usize,
    }
}

#[cfg(test)]
mod tests;
