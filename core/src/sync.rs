//! What filter and control plane say to each other: turns to store, and the history of a session.
//!
//! JSON over HTTP on the control plane's xDS port. The paths are versioned so that a filter and a control plane
//! of neighbouring releases can be told apart.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::Outcome;

/// `POST` a [`TurnBatch`] here; the answer is a [`TurnBatchReply`].
pub const TURNS_PATH: &str = "/sync/v1/turns";

/// `GET` this plus a session id for its [`History`]; 404 where the session is unknown.
pub const SESSIONS_PATH: &str = "/sync/v1/sessions/";

/// Most turns in one batch; the filter sends the rest with the next.
pub const MAX_TURNS_PER_BATCH: usize = 256;

/// Largest batch body the control plane reads, in bytes: far above what a filter puts into one batch, because a single
/// turn may be as large as `limits` allow prompts and answers to be.
pub const MAX_BATCH_BODY_BYTES: usize = 64 << 20;

/// One prompt with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The session it belongs to.
    pub session_id: Uuid,
    /// Its own id. Storing the same turn twice stores it once.
    pub turn_id: Uuid,
    /// What the client asked.
    pub prompt: String,
    /// What the model answered.
    pub response: String,
    /// How the answer ended.
    pub result: Outcome,
    /// `provider:model` that answered.
    pub model: String,
    /// When the answer was complete, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Turns to store, of any sessions, in the order in which they ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnBatch {
    /// At most [`MAX_TURNS_PER_BATCH`].
    pub turns: Vec<Turn>,
}

/// What became of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnResult {
    /// It is stored, now or by an earlier try.
    Stored,
    /// It will never be stored, for example because it is too large. Not to be sent again.
    Refused,
    /// The store is away. To be sent again.
    Later,
}

/// What became of each turn of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnBatchReply {
    /// In the order of the batch.
    pub results: Vec<TurnResult>,
}

/// Most bytes of a session's turns in a [`History`]; of a longer session the newest turns. A gateway holds the reply
/// whole, and so does the model.
pub const MAX_HISTORY_BYTES: usize = 8 << 20;

/// The remembered turns of a session, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Oldest first.
    pub turns: Vec<HistoryTurn>,
}

/// One remembered turn, as the model needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryTurn {
    /// What the client asked.
    pub prompt: String,
    /// What the model answered.
    pub response: String,
}
