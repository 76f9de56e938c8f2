//! Streams that survive their clients.
//!
//! A gateway hands a client's request over; here it is opened again at that gateway ([`gateway`]), and what comes is written
//! into a [`log`], whether anybody reads it or not ([`generation`]). Clients read the log, each from where it was
//! ([`reader`]): the connection of a client and the answer of a model are two different things.

mod book;
mod gateway;
mod generation;
mod log;
mod reader;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::api::{Format, errors};
use ai_warp_core::config::{Gateway, StreamsConfig};
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::relay::{Ask, DECLINED_HEADER, STREAM_HEADER};
use ai_warp_core::stream_id::EventId;
use ai_warp_core::sync::SessionKey;
use axum::body::{Body, Bytes};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use tokio::time::{sleep, timeout};

use self::book::{Book, Limits, Opened};
use self::gateway::{Gateways, Opening};
use self::generation::Terms;
use self::log::{About, Bounds, Head, Log};

/// A request that a gateway hands over.
#[derive(Debug)]
pub(crate) struct Handover {
    /// What the gateway knows of the client.
    pub(crate) ask: Ask,
    /// The gateway.
    pub(crate) gateway: IpAddr,
    /// The last event that the client says it has had.
    pub(crate) last_event: Option<EventId>,
    /// The client's headers, and what the gateway sealed.
    pub(crate) headers: HeaderMap,
    /// The client's body.
    pub(crate) body: Bytes,
}

/// The streams of this control plane.
#[derive(Debug, Default)]
pub struct Streams {
    book: Arc<Book>,
    gateways: Gateways,
}

/// How many streams there are, and how large they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Streams that models are still answering.
    pub under_way: usize,
    /// All that are held.
    pub held: usize,
    /// Bytes of them.
    pub bytes: u64,
}

impl Streams {
    /// Answers a client: with a stream it comes back for, or with a new one.
    pub(crate) async fn answer(
        &self,
        handover: Handover,
        gateway: &Gateway,
        config: &StreamsConfig,
    ) -> Response<Body> {
        let format = handover.ask.format(gateway);
        match self.find(&handover) {
            Ok(Some((log, position))) => return attach(&log, position).await,
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
            Opened::Known(log) => return attach(&log, 0).await,
            Opened::TooMany => {
                let error = GatewayError::new(
                    ErrorCode::TooManyStreams,
                    "this consumer has as many streams under way as it may",
                );
                return refuse(format, &error);
            }
            Opened::Full => return decline(),
        };
        let attendance = log.attend();
        self.begin(Arc::clone(&log), handover, gateway, config);
        let response = attach(&log, 0).await;
        drop(attendance);
        response
    }

    /// The stream that a client comes back for, and the position of the last event it has had.
    fn find(&self, handover: &Handover) -> Result<Option<(Arc<Log>, u32)>, GatewayError> {
        let ask = &handover.ask;
        if let Some(last) = handover.last_event {
            let log = self.book.find(last.stream()).filter(|log| {
                let is_its_own = log.about.owner == ask.owner;
                is_its_own && (!ask.continues || log.about.session == ask.session_key())
            });
            let log = log.ok_or_else(expired)?;
            let progress = log.progress();
            let has_all = progress.is_over && progress.last > 0 && last.position() >= progress.last;
            return Ok((!has_all || !told(&log)).then(|| (log, last.position())));
        }
        let session = ask.session_key().filter(|_| ask.continues);
        let Some(log) = session.and_then(|session| self.book.of_session(session)) else { return Ok(None) };
        if log.progress().is_over && (log.is_delivered() || !told(&log)) {
            return Ok(None);
        }
        // Whoever is being written to has all there is.
        let progress = log.progress();
        let position = if progress.readers > 0 { progress.last } else { log.delivered() };
        Ok(Some((log, position)))
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
        tokio::spawn(async move {
            let about = log.about.clone();
            generation::run(Arc::clone(&log), gateways, opening, terms).await;
            book.close(&about);
            let is_stream = matches!(log.head(), Some(Head::Stream(_)));
            drop(log);
            if is_stream {
                sleep(keep).await;
            }
            book.remove(about.stream);
        });
    }

    /// Ends the stream of a session that is under way, as a newer prompt takes its place; its id, if there was one.
    pub(crate) fn cancel(&self, session: SessionKey) -> Option<uuid::Uuid> {
        let log = self.book.of_session(session).filter(|log| !log.progress().is_over)?;
        log.cancel(ErrorCode::StreamInterrupted, "a newer prompt took the place of this one");
        Some(log.about.stream)
    }

    /// Forgets the stream of a session, under way or over.
    pub(crate) fn forget(&self, session: SessionKey) {
        if let Some(log) = self.book.of_session(session) {
            log.cancel(ErrorCode::StreamInterrupted, "the session was deleted");
            self.book.remove(log.about.stream);
        }
    }

    /// What there is.
    pub fn usage(&self) -> Usage {
        Usage { under_way: self.book.under_way().len(), held: self.book.count(), bytes: self.book.bytes() }
    }

    /// Lets the streams under way come to their ends for so long, then ends them.
    pub(crate) async fn drain(&self, longest: Duration) {
        let under_way = self.book.under_way();
        let all_over = async {
            for log in &under_way {
                _ = log.watch().wait_for(|progress| progress.is_over).await;
            }
        };
        if timeout(longest, all_over).await.is_err() {
            for log in self.book.under_way() {
                log.cancel(ErrorCode::StreamInterrupted, "the control plane that kept the stream was ended");
            }
        }
    }
}

/// Whether the last event of a stream that is over says how it ended.
fn told(log: &Log) -> bool {
    matches!(log.ending(), Some(log::End::Told))
}

/// Answers with a stream, from after `position`.
async fn attach(log: &Arc<Log>, position: u32) -> Response<Body> {
    let attendance = log.attend();
    _ = log.watch().wait_for(|progress| progress.has_head).await;
    match log.head() {
        Some(Head::Stream(headers)) => {
            let mut response = Response::new(reader::body(attendance, position));
            *response.headers_mut() = headers;
            let before = EventId::new(log.about.stream, 0).to_string();
            if let Ok(before) = HeaderValue::from_str(&before) {
                response.headers_mut().insert(STREAM_HEADER, before);
            }
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        Some(Head::Whole(status, headers, body)) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Some(Head::Declined) | None => decline(),
    }
}

/// Tells the gateway to ask the model itself.
fn decline() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(DECLINED_HEADER, HeaderValue::from_static("true"));
    response
}

fn refuse(format: Format, error: &GatewayError) -> Response<Body> {
    let mut response = Response::new(Body::from(errors::body(format, error)));
    *response.status_mut() =
        StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn expired() -> GatewayError {
    GatewayError::new(ErrorCode::StreamExpired, "there is no such stream, or not any more")
}

fn limits(config: &StreamsConfig) -> Limits {
    Limits {
        of_one: Bounds {
            max_events: config.max_events as usize,
            max_bytes: usize::try_from(config.max_bytes).unwrap_or(usize::MAX),
        },
        max_per_consumer: config.max_per_consumer as usize,
        max_total_bytes: config.max_total_bytes,
    }
}
