//! One answer on its way from a model into its log, whoever reads it.
//!
//! It ends with the gateway's own end, or when it is cancelled, or when nobody has read it for too long: then the request is
//! dropped, and the gateway stores the turn as far as it came, as for any client that leaves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::sse::{self, Decoder, TooLarge};
use axum::body::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::gateway::{Gateways, Opening, passed};
use super::log::{End, Head, Log};

/// How a stream is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// How long it goes on when nobody reads it.
    pub(super) abandon_after: Duration,
    /// Largest event, and largest answer that is no stream, in bytes.
    pub(super) max_bytes: usize,
}

/// Why a generation stopped before its end.
#[derive(Debug)]
enum Stop {
    Cancelled(GatewayError),
    Abandoned,
    Broken(String),
}

/// Writes the answer to `opening` into `log`, to its end.
pub(super) async fn run(log: Arc<Log>, gateways: Gateways, opening: Opening, terms: Terms) {
    let end = tokio::select! {
        end = generate(&log, &gateways, opening, terms) => end,
        stop = stopped(&log, terms.abandon_after) => Err(stop),
    };
    let end = match end {
        Ok(()) => End::Told,
        Err(stop) => End::Interrupted(stop.into_error(&log)),
    };
    if log.head().is_none() {
        log.begin(match &end {
            End::Told => Head::Declined,
            End::Interrupted(error) => whole_error(&log, error),
        });
    }
    log.end(end);
}

impl Stop {
    fn into_error(self, log: &Log) -> GatewayError {
        let stream = log.about.stream;
        match self {
            Self::Cancelled(error) => error,
            Self::Abandoned => {
                tracing::debug!(%stream, "nobody reads the stream any more; it is given up");
                GatewayError::new(ErrorCode::StreamInterrupted, "nobody has read the stream for too long")
            }
            Self::Broken(reason) => {
                tracing::warn!(%stream, "a gateway broke off a stream: {reason}");
                GatewayError::new(ErrorCode::StreamInterrupted, "the gateway broke off the stream")
            }
        }
    }
}

/// Reads the answer. A gateway that cannot be reached has none.
async fn generate(log: &Log, gateways: &Gateways, opening: Opening, terms: Terms) -> Result<(), Stop> {
    let at = opening.at;
    let response = match gateways.open(opening).await {
        Ok(response) => response,
        Err(reason) => {
            tracing::warn!(gateway = %at, "streams cannot be opened there, and so not be resumed: {reason}");
            log.begin(Head::Declined);
            return Ok(());
        }
    };
    let (parts, body) = response.into_parts();
    // It is not the gateway that sealed the request, or knows its own seal no more.
    if matches!(parts.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND) {
        tracing::warn!(gateway = %at, status = %parts.status, "streams cannot be opened there, and so not be resumed");
        log.begin(Head::Declined);
        return Ok(());
    }
    let headers = passed(parts.headers);
    if parts.status != StatusCode::OK || !is_event_stream(&headers) {
        let body = Limited::new(body, terms.max_bytes).collect().await;
        let body = body.map_err(|error| Stop::Broken(error.to_string()))?.to_bytes();
        log.begin(Head::Whole(parts.status, headers, body));
        return Ok(());
    }
    tracing::debug!(stream = %log.about.stream, gateway = %at, "a stream begins");
    log.begin(Head::Stream(headers));
    read_events(log, body, terms.max_bytes).await
}

async fn read_events(log: &Log, mut body: Incoming, max_bytes: usize) -> Result<(), Stop> {
    let mut decoder = Decoder::new(max_bytes);
    let mut events = Vec::new();
    let broken = |error: TooLarge| Stop::Broken(error.to_string());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Stop::Broken(error.to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        decoder.push(&piece, |event| take(event, &mut events)).map_err(broken)?;
        if !events.is_empty() {
            log.append(std::mem::take(&mut events));
        }
    }
    decoder.finish(|event| take(event, &mut events)).map_err(broken)?;
    log.append(events);
    Ok(())
}

/// Keeps an event as it is written, but for its id, which it gets anew from its position.
fn take(event: sse::Event<'_>, events: &mut Vec<Bytes>) -> Result<(), TooLarge> {
    let mut written = Vec::with_capacity(event.name.len() + event.data.len() + 24);
    if !event.name.is_empty() {
        written.extend_from_slice(b"event: ");
        written.extend_from_slice(event.name);
        written.push(b'\n');
    }
    sse::write_data(&mut written, event.data);
    events.push(Bytes::from(written));
    Ok(())
}

/// Waits until the stream is to stop before its end.
async fn stopped(log: &Arc<Log>, abandon_after: Duration) -> Stop {
    tokio::select! {
        error = cancelled(log) => Stop::Cancelled(error),
        () = abandoned(log, abandon_after) => Stop::Abandoned,
    }
}

async fn cancelled(log: &Log) -> GatewayError {
    until(log.watch().wait_for(|progress| progress.is_cancelled)).await;
    let unsaid = || GatewayError::new(ErrorCode::StreamInterrupted, "the stream was ended");
    log.cancelled().unwrap_or_else(unsaid)
}

/// Waits until nobody has read the stream for so long.
async fn abandoned(log: &Log, abandon_after: Duration) {
    let mut watch = log.watch();
    loop {
        until(watch.wait_for(|progress| !progress.is_attended())).await;
        let attended = watch.wait_for(|progress| progress.is_attended());
        if timeout(abandon_after, until(attended)).await.is_err() {
            return;
        }
    }
}

/// Waits for what a log says. The log is there for as long as it is written.
async fn until<T, E>(said: impl Future<Output = Result<T, E>>) {
    if said.await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    content_type.starts_with(b"text/event-stream")
}

/// The answer where there was nothing before the end.
fn whole_error(log: &Log, error: &GatewayError) -> Head {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = ai_warp_core::api::errors::body(log.about.format, error);
    let json = http::HeaderValue::from_static("application/json");
    Head::Whole(status, HeaderMap::from_iter([(CONTENT_TYPE, json)]), body.into())
}
