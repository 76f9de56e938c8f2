//! Where gateways hand over streams that are to survive their clients. See `ai_warp_core::relay` for the messages.

use std::net::SocketAddr;

use ai_warp_core::error::ErrorCode;
use ai_warp_core::relay::{ASK_HEADER, Ask, DECLINED_HEADER, STREAMS_PATH};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response};
use axum::routing::post;

use super::AppState;
use super::error::ApiError;
use super::sync::history_of;
use crate::streams::Handover;

/// Largest body, in bytes: what the configuration allows requests at most.
const MAX_BODY_BYTES: usize = 256 << 20;

/// Request header of clients that come back.
const LAST_EVENT_HEADER: &str = "last-event-id";

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

pub(super) fn routes() -> Router<AppState> {
    Router::new().route(STREAMS_PATH, post(answer).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)))
}

async fn answer(
    State(state): State<AppState>,
    ConnectInfo(Peer(gateway)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response<Body>, ApiError> {
    let ask = headers.get(ASK_HEADER).and_then(|ask| Ask::read(ask.as_bytes()));
    let ask = ask.ok_or_else(|| ApiError::new(ErrorCode::OptionError, "This is no request of a gateway"))?;
    let body = body.map_err(|rejection| ApiError::body(rejection, MAX_BODY_BYTES))?;
    let last_event = headers.get(LAST_EVENT_HEADER).map(|id| id.as_bytes().to_vec());
    let handover = Handover { ask, gateway: gateway.ip(), last_event, headers, body };
    let loaded = state.0.config.borrow().clone();
    let goes_on_with = handover.ask.session_key().filter(|_| handover.ask.continues);
    let after = handover.ask.after;
    let mut response = state.0.streams.answer(handover, &loaded.gateway, &loaded.config.streams).await;
    if let Some(session) = goes_on_with.filter(|_| response.headers().contains_key(DECLINED_HEADER))
        && let Ok(history) = history_of(&state, session, after).await
        && let Ok(body) = serde_json::to_vec(&history)
    {
        *response.body_mut() = Body::from(body);
    }
    Ok(response)
}
