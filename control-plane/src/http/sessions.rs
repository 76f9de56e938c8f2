//! `/api/v1/sessions/{id}`: what a session remembers, and forgetting it.

use ai_warp_core::api::Outcome;
use ai_warp_core::sync::Turn;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use uuid::Uuid;

use super::AppState;
use super::error::ApiError;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/sessions/{id}", get(read).delete(forget))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    session_id: Uuid,
    history: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    prompt: String,
    response: String,
    result: Outcome,
    model: String,
    /// Milliseconds since 1970.
    at: u64,
}

impl From<Turn> for Entry {
    fn from(turn: Turn) -> Self {
        Self {
            prompt: turn.prompt,
            response: turn.response,
            result: turn.result,
            model: turn.model,
            at: turn.at_ms,
        }
    }
}

async fn read(
    State(state): State<AppState>,
    SessionId(session_id): SessionId,
) -> Result<Json<Session>, ApiError> {
    match state.0.store.history(session_id).await {
        Ok(Some(turns)) => {
            Ok(Json(Session { session_id, history: turns.into_iter().map(Entry::from).collect() }))
        }
        Ok(None) => Err(ApiError::no_session()),
        Err(error) => Err(ApiError::store(&error)),
    }
}

async fn forget(
    State(state): State<AppState>,
    SessionId(session_id): SessionId,
) -> Result<StatusCode, ApiError> {
    match state.0.store.delete(session_id).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(ApiError::no_session()),
        Err(error) => Err(ApiError::store(&error)),
    }
}

/// The id at the end of the path. One that is no UUID belongs to no session.
pub(super) struct SessionId(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(ApiError::no_session()),
        }
    }
}
