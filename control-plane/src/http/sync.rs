//! The filter's side door: turns to store, history to read. See `ai_warp_core::sync` for the messages.

use ai_warp_core::error::ErrorCode;
use ai_warp_core::sync::{
    History, HistoryTurn, MAX_BATCH_BYTES, MAX_TURNS_PER_BATCH, SESSIONS_PATH, TURNS_PATH, TurnBatch,
    TurnBatchReply,
};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::AppState;
use super::error::ApiError;
use super::sessions::SessionId;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(TURNS_PATH, post(store_turns).layer(DefaultBodyLimit::max(MAX_BATCH_BYTES)))
        .route(&format!("{SESSIONS_PATH}{{id}}"), get(history))
}

async fn store_turns(
    State(state): State<AppState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<TurnBatchReply>, ApiError> {
    let body = body.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(ErrorCode::RequestTooLarge, format!("A batch is at most {MAX_BATCH_BYTES} bytes"))
        }
        _ => ApiError::new(ErrorCode::OptionError, "The batch was cut off"),
    })?;
    let batch: TurnBatch = serde_json::from_slice(&body).map_err(|error| {
        ApiError::new(ErrorCode::OptionError, format!("This is no batch of turns: {error}"))
    })?;
    if batch.turns.len() > MAX_TURNS_PER_BATCH {
        let message = format!("A batch is at most {MAX_TURNS_PER_BATCH} turns");
        return Err(ApiError::new(ErrorCode::RequestTooLarge, message));
    }

    let results = state.0.store.append(&batch.turns, &state.retention()).await;
    let failed = results.iter().filter(|result| result.is_err()).count() as u64;
    state.0.turns.count(results.len() as u64 - failed, failed);
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        tracing::warn!(failed, of = results.len(), "turns could not be stored: {error}");
    }
    Ok(Json(TurnBatchReply { stored: results.iter().map(Result::is_ok).collect() }))
}

async fn history(
    State(state): State<AppState>,
    SessionId(session_id): SessionId,
) -> Result<Json<History>, ApiError> {
    match state.0.store.history(session_id).await {
        Ok(Some(turns)) => Ok(Json(History {
            turns: turns
                .into_iter()
                .map(|turn| HistoryTurn { prompt: turn.prompt, response: turn.response })
                .collect(),
        })),
        Ok(None) => Err(ApiError::no_session()),
        Err(error) => Err(ApiError::store(&error)),
    }
}
