//! The filter's side door for sessions: turns to store, history to read. See `ai_warp_core::sync` for the messages.

use ai_warp_core::error::ErrorCode;
use ai_warp_core::sync::{
    History, HistoryTurn, MAX_BATCH_BODY_BYTES, MAX_HISTORY_BYTES, MAX_TURNS_PER_BATCH, SESSIONS_PATH,
    TURNS_PATH, Turn, TurnBatch, TurnBatchReply, TurnResult,
};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::AppState;
use super::error::ApiError;
use super::sessions::SessionId;
use crate::store::StoreError;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route(TURNS_PATH, post(store_turns).layer(DefaultBodyLimit::max(MAX_BATCH_BODY_BYTES)))
        .route(&format!("{SESSIONS_PATH}{{id}}"), get(history))
}

async fn store_turns(
    State(state): State<AppState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<TurnBatchReply>, ApiError> {
    let body = body.map_err(|rejection| ApiError::body(rejection, MAX_BATCH_BODY_BYTES))?;
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
    let results = results.iter().map(|result| match result {
        Ok(()) => TurnResult::Stored,
        Err(StoreError::TooLarge) => TurnResult::Refused,
        Err(_) => TurnResult::Later,
    });
    Ok(Json(TurnBatchReply { results: results.collect() }))
}

async fn history(
    State(state): State<AppState>,
    SessionId(session_id): SessionId,
) -> Result<Json<History>, ApiError> {
    match state.0.store.history(session_id).await {
        Ok(Some(turns)) => Ok(Json(History { turns: newest(turns, MAX_HISTORY_BYTES) })),
        Ok(None) => Err(ApiError::no_session()),
        Err(error) => Err(ApiError::store(&error)),
    }
}

/// The newest turns that fit into `bytes`, oldest first.
fn newest(turns: Vec<Turn>, mut bytes: usize) -> Vec<HistoryTurn> {
    let mut kept: Vec<HistoryTurn> = turns
        .into_iter()
        .rev()
        .map_while(|Turn { prompt, response, .. }| {
            bytes = bytes.checked_sub(prompt.len() + response.len())?;
            Some(HistoryTurn { prompt, response })
        })
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use ai_warp_core::api::Outcome;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn of_a_long_session_the_newest_turns_are_sent() {
        let turn = |prompt: &str| Turn {
            session_id: Uuid::nil(),
            turn_id: Uuid::nil(),
            prompt: prompt.to_owned(),
            response: "12345".to_owned(),
            result: Outcome::Complete,
            model: String::new(),
            at_ms: 0,
        };
        let prompts = |bytes| {
            let kept = newest(vec![turn("a"), turn("b"), turn("c")], bytes);
            kept.into_iter().map(|turn| turn.prompt).collect::<Vec<_>>()
        };
        assert_eq!(prompts(18), ["a", "b", "c"]);
        assert_eq!(prompts(17), ["b", "c"]);
        assert_eq!(prompts(5), [""; 0]);
    }
}
