//! What a gateway is answered: the events of a stream, an answer that is none, a refusal, or that it is to ask itself.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::api::{Format, errors};
use ai_warp_core::error::GatewayError;
use ai_warp_core::relay::{DECLINED_HEADER, STREAM_HEADER};
use ai_warp_core::stream_id::EventId;
use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use tokio::time::timeout;

use super::log::{Attendance, Head, Log};
use super::reader;

/// Longest wait for other control planes to be told of a stream, once it has begun. They mostly are before.
const KNOWN_WITHIN: Duration = Duration::from_millis(250);

/// A stream that a client comes back for.
pub(super) struct Found {
    log: Arc<Log>,
    attendance: Attendance,
    /// Position of the last event that the client has had.
    position: u32,
}

impl Found {
    /// `log`, after `position`.
    pub(super) fn at(log: Arc<Log>, position: u32) -> Self {
        Self { attendance: log.attend(), log, position }
    }

    /// The response, once it is known how the answer begins.
    pub(super) async fn answer(self) -> Response<Body> {
        let Self { log, attendance, position } = self;
        _ = log.watch().wait_for(|progress| progress.has_head).await;
        match log.head() {
            Some(Head::Stream(headers)) => {
                // A client that is cut off at once may come back to another control plane.
                _ = timeout(KNOWN_WITHIN, log.watch().wait_for(|progress| progress.is_known)).await;
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
}

/// Tells the gateway to ask the model itself.
pub(super) fn decline() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(DECLINED_HEADER, HeaderValue::from_static("true"));
    response
}

/// Tells the client of `format` what is wrong.
pub(super) fn refuse(format: Format, error: &GatewayError) -> Response<Body> {
    let mut response = Response::new(Body::from(errors::body(format, error)));
    *response.status_mut() =
        StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
