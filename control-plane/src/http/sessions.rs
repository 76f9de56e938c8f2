//! `/api/v1/sessions/{id}`: what a session remembers, and forgetting it.
//!
//! Whose sessions, the gateway says in a header, for those who ask through it. At the control plane's own port, which is for
//! operators, it is whoever is named in the query.

use ai_warp_core::api::Outcome;
use ai_warp_core::auth::client_id;
use ai_warp_core::plugin::OWNER_HEADER;
use ai_warp_core::sync::{SessionKey, Turn};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AppState;
use super::error::ApiError;
use super::sync::until_stored;

/// Who says whose sessions are meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking {
    /// The gateway, for its clients.
    Gateway,
    /// An operator.
    Operator,
}

pub(super) fn routes(asking: Asking) -> Router<AppState> {
    Router::new().route("/api/v1/sessions/{id}", get(read).delete(forget)).layer(Extension(asking))
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

async fn read(State(state): State<AppState>, OwnSession(key): OwnSession) -> Result<Json<Session>, ApiError> {
    match state.0.store.history(key).await {
        Ok(Some(turns)) => {
            Ok(Json(Session { session_id: key.id, history: turns.into_iter().map(Entry::from).collect() }))
        }
        Ok(None) => Err(ApiError::no_session()),
        Err(error) => Err(ApiError::store(&error)),
    }
}

async fn forget(State(state): State<AppState>, OwnSession(key): OwnSession) -> Result<StatusCode, ApiError> {
    if let Some(turn) = state.0.streams.forget(key).await {
        // Stored later, it would bring the session back.
        until_stored(&state, key, turn).await;
    }
    match state.0.store.delete(key).await {
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

/// The session at the end of the path, of the owner that is meant.
struct OwnSession(SessionKey);

/// What an operator may say.
#[derive(Deserialize)]
struct Whose {
    /// The name of a consumer; without one, sessions that nobody owns.
    consumer: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for OwnSession {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SessionId(id) = SessionId::from_request_parts(parts, state).await?;
        let owner = match parts.extensions.get() {
            Some(Asking::Operator) => {
                let whose = Query::<Whose>::try_from_uri(&parts.uri).map_err(|_| ApiError::no_session())?;
                whose.0.consumer.map(|name| client_id(name.as_bytes()))
            }
            Some(Asking::Gateway) | None => match parts.headers.get(OWNER_HEADER) {
                Some(owner) => {
                    Some(Uuid::try_parse_ascii(owner.as_bytes()).map_err(|_| ApiError::no_session())?)
                }
                None => None,
            },
        };
        Ok(Self(SessionKey { owner, id }))
    }
}
