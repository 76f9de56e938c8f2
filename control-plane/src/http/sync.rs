//! The filter's side door for sessions: turns to store, history to read. See `ai_warp_core::sync` for the messages.

use std::time::Duration;

use ai_warp_core::error::ErrorCode;
use ai_warp_core::sync::{
    History, HistoryTurn, MAX_BATCH_BODY_BYTES, MAX_HISTORY_BYTES, MAX_TURNS_PER_BATCH, SESSIONS_PATH,
    SessionKey, TURNS_PATH, Turn, TurnBatch, TurnBatchReply, TurnResult,
};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use uuid::Uuid;

use super::AppState;
use super::error::ApiError;
use super::sessions::SessionId;
use crate::store::StoreError;
use crate::traces::Span;

/// Longest wait for the turn of a stream that was given up. A gateway waits two seconds for the history.
const INTERRUPTED_TURN_WAIT: Duration = Duration::from_millis(1_500);

/// Time between two looks for it.
const INTERRUPTED_TURN_POLL: Duration = Duration::from_millis(10);

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

    let spans: Vec<Option<Span>> = batch
        .turns
        .iter()
        .map(|turn| state.span("store turn", turn.trace.as_deref(), turn.session_id))
        .collect();
    let results = state.0.store.append(&batch.turns, &state.retention()).await;
    for (span, result) in spans.into_iter().zip(&results) {
        if let (Some(mut span), Err(_)) = (span, result) {
            span.fail("store");
        }
    }
    let failed = results.iter().filter(|result| result.is_err()).count() as u64;
    state.0.turns.count(results.len() as u64 - failed, failed);
    state.0.metrics.turns(results.len() as u64 - failed, failed);
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
    SessionId(id): SessionId,
    Query(GoOn { after, owner, anew }): Query<GoOn>,
    headers: HeaderMap,
) -> Result<Json<History>, ApiError> {
    let parent = headers.get("traceparent").and_then(|parent| parent.to_str().ok());
    let mut span = state.span("read session", parent, id);
    let session = SessionKey { owner, id };
    if anew {
        give_up_stream(&state, session).await;
    }
    let history = history_of(&state, session, after).await;
    if let Some(span) = &mut span {
        match &history {
            Ok(history) => span.number("ai_warp.turns", history.turns.len()),
            Err(_) => span.fail("store"),
        }
    }
    history.map(Json)
}

/// The turns that a session goes on with after the turn `after`, or after its last.
pub(super) async fn history_of(
    state: &AppState,
    session: SessionKey,
    after: Option<Uuid>,
) -> Result<History, ApiError> {
    let turns = state.0.store.history(session).await.map_err(|error| ApiError::store(&error))?;
    let turns = turns.and_then(|turns| lineage(turns, after)).ok_or_else(ApiError::no_session)?;
    Ok(History { turns: newest(turns, MAX_HISTORY_BYTES) })
}

/// Ends the stream that is being answered in a session, and waits for its turn: the prompt that takes its place comes after it.
async fn give_up_stream(state: &AppState, session: SessionKey) {
    if let Some(turn) = state.0.streams.cancel(session).await {
        until_stored(state, session, turn).await;
    }
}

/// Waits a moment for the turn of a stream that was given up to be stored, as far as it came.
pub(super) async fn until_stored(state: &AppState, session: SessionKey, turn: Uuid) {
    let stored = async {
        loop {
            match state.0.store.history(session).await {
                Ok(turns) if !turns.iter().flatten().any(|stored| stored.turn_id == turn) => {
                    tokio::time::sleep(INTERRUPTED_TURN_POLL).await;
                }
                Ok(_) | Err(_) => return,
            }
        }
    };
    // It may never be, where nothing was said yet.
    let _ = tokio::time::timeout(INTERRUPTED_TURN_WAIT, stored).await;
}

/// Which turn a conversation goes on from.
#[derive(Deserialize)]
struct GoOn {
    /// A turn's id; without one, the last turn.
    after: Option<Uuid>,
    /// Whose session it is.
    owner: Option<Uuid>,
    /// Whether what is still being answered in the session is given up.
    #[serde(default)]
    anew: bool,
}

/// The turns that lead to `after`, oldest first; `None` where there is no such turn. Each goes on from the one it names, or
/// else from the one stored before it.
fn lineage(turns: Vec<Turn>, after: Option<Uuid>) -> Option<Vec<Turn>> {
    let position = |id: Uuid| turns.iter().position(|turn| turn.turn_id == id);
    let last = match after {
        Some(id) => position(id)?,
        None => turns.len().checked_sub(1)?,
    };
    let mut is_ancestor = vec![false; turns.len()];
    let mut next = Some(last);
    while let Some(index) = next {
        // A turn comes after the one it goes on from; what says otherwise would lead in a circle.
        *is_ancestor.get_mut(index)? = true;
        let parent = turns.get(index)?.parent;
        let before = match parent {
            Some(id) => position(id),
            None => index.checked_sub(1),
        };
        next = before.filter(|before| *before < index);
    }
    let kept = turns.into_iter().zip(is_ancestor).filter_map(|(turn, is_one)| is_one.then_some(turn));
    Some(kept.collect())
}

/// The newest turns that fit into `bytes`, oldest first.
fn newest(turns: Vec<Turn>, mut bytes: usize) -> Vec<HistoryTurn> {
    let mut kept: Vec<HistoryTurn> = turns
        .into_iter()
        .rev()
        .map_while(|turn| {
            bytes = bytes.checked_sub(turn.size())?;
            let Turn { prompt, response, messages, .. } = turn;
            Some(HistoryTurn { prompt, response, messages })
        })
        .collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use ai_warp_core::api::Outcome;

    use super::*;

    #[test]
    fn of_a_long_session_the_newest_turns_are_sent() {
        let turn = |prompt: &str| Turn {
            owner: None,
            session_id: Uuid::nil(),
            turn_id: Uuid::nil(),
            prompt: prompt.to_owned(),
            response: "12345".to_owned(),
            result: Outcome::Complete,
            model: String::new(),
            at_ms: 0,
            messages: Vec::new(),
            parent: None,
            trace: None,
        };
        let prompts = |bytes| {
            let kept = newest(vec![turn("a"), turn("b"), turn("c")], bytes);
            kept.into_iter().map(|turn| turn.prompt).collect::<Vec<_>>()
        };
        assert_eq!(prompts(18), ["a", "b", "c"]);
        assert_eq!(prompts(17), ["b", "c"]);
        assert_eq!(prompts(5), [""; 0]);
    }

    #[test]
    fn a_conversation_goes_on_from_the_turn_it_names() {
        let turn = |id: u128, parent: Option<u128>| Turn {
            owner: None,
            session_id: Uuid::nil(),
            turn_id: Uuid::from_u128(id),
            prompt: String::new(),
            response: String::new(),
            result: Outcome::Complete,
            model: String::new(),
            at_ms: 0,
            messages: Vec::new(),
            parent: parent.map(Uuid::from_u128),
            trace: None,
        };
        // 3 goes on from 1, in place of 2.
        let turns = vec![turn(1, None), turn(2, None), turn(3, Some(1)), turn(4, Some(3)), turn(5, Some(9))];
        let ids = |after: Option<u128>| {
            let kept = lineage(turns.clone(), after.map(Uuid::from_u128))?;
            Some(kept.iter().map(|turn| turn.turn_id.as_u128()).collect::<Vec<_>>())
        };
        assert_eq!(ids(Some(2)).unwrap(), [1, 2]);
        assert_eq!(ids(Some(4)).unwrap(), [1, 3, 4]);
        // What it went on from is forgotten.
        assert_eq!(ids(None).unwrap(), [5]);
        assert_eq!(ids(Some(7)), None);
    }
}
