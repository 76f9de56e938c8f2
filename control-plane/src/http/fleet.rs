//! The filter's side door for what the fleet shares: reports, probes, quotas, and news. See `ai_warp_core::sync` for the
//! messages.

use ai_warp_core::error::ErrorCode;
use ai_warp_core::sync::{FLEET_PATH, FleetNews, FleetReply, FleetSync, MAX_FLEET_ITEMS, NEWS_PATH};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::AppState;
use super::error::ApiError;

/// Largest body of a message, in bytes: well above three times [`MAX_FLEET_ITEMS`] of what names are like.
const MAX_FLEET_BODY_BYTES: usize = 4 << 20;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(FLEET_PATH, post(sync).layer(DefaultBodyLimit::max(MAX_FLEET_BODY_BYTES)))
        .route(&format!("{NEWS_PATH}{{version}}"), get(news))
}

async fn sync(
    State(state): State<AppState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<FleetReply>, ApiError> {
    let body = body.map_err(|rejection| ApiError::body(rejection, MAX_FLEET_BODY_BYTES))?;
    let sync: FleetSync = serde_json::from_slice(&body).map_err(|error| {
        ApiError::new(ErrorCode::OptionError, format!("This is no message of a gateway: {error}"))
    })?;
    if [sync.reports.len(), sync.probes.len(), sync.quotas.len()].into_iter().any(|len| len > MAX_FLEET_ITEMS)
    {
        let message = format!("A message has at most {MAX_FLEET_ITEMS} reports, probes and quotas each");
        return Err(ApiError::new(ErrorCode::RequestTooLarge, message));
    }
    let loaded = state.0.config.borrow().clone();
    match state.0.shared.sync(&sync, &loaded.gateway).await {
        Ok(reply) => Ok(Json(reply)),
        // The store says once that it is out; here it would be said for every worker every second.
        Err(_) => Err(unavailable()),
    }
}

async fn news(
    State(state): State<AppState>,
    version: Result<Path<String>, PathRejection>,
) -> Result<Json<FleetNews>, ApiError> {
    // One that is no text is none of ours, and everything is news after it.
    let version = version.map(|Path(version)| version).unwrap_or_default();
    let shared = &state.0.shared;
    let mut draining = state.0.draining.subscribe();
    let news = tokio::select! {
        news = shared.news(&version) => news,
        // Nobody may be kept waiting by a control plane that is about to end.
        _ = draining.wait_for(|draining| *draining) => shared.news_now(),
    };
    news.map(Json).map_err(|_| unavailable())
}

fn unavailable() -> ApiError {
    ApiError::new(ErrorCode::SharedStateUnavailable, "The state that the fleet shares is not available")
}
