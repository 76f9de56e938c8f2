//! What filter and control plane say to each other: turns to store, the history of a session, and the state of models
//! and quotas that the whole fleet shares.
//!
//! JSON over HTTP on the control plane's xDS port. The paths are versioned so that a filter and a control plane
//! of neighbouring releases can be told apart.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::Outcome;
use crate::chat::{Message, Role};
use crate::health::{Fault, ProbeResult, Reason};

/// `POST` a [`TurnBatch`] here; the answer is a [`TurnBatchReply`].
pub const TURNS_PATH: &str = "/sync/v1/turns";

/// `GET` this plus a session id for its [`History`]; 404 where the session is unknown.
pub const SESSIONS_PATH: &str = "/sync/v1/sessions/";

/// The path of the history of `session`: up to the turn `after`, or all of it. `anew`: what is still being answered in it is
/// given up.
pub fn history_path(session: SessionKey, after: Option<Uuid>, anew: bool) -> String {
    let SessionKey { owner, id } = session;
    let anew = anew.then(|| "anew=true".to_owned());
    let after = after.map(|turn| format!("after={turn}"));
    let owner = owner.map(|owner| format!("owner={owner}"));
    let query = [after, owner, anew].into_iter().flatten().collect::<Vec<_>>().join("&");
    if query.is_empty() { format!("{SESSIONS_PATH}{id}") } else { format!("{SESSIONS_PATH}{id}?{query}") }
}

/// What a session is kept under. Sessions of different owners have nothing to do with each other, whatever their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Whose it is; `None` where callers have no name.
    pub owner: Option<Uuid>,
    /// The id that clients know.
    pub id: Uuid,
}

impl std::fmt::Display for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.owner {
            Some(owner) => write!(f, "{owner}/{}", self.id),
            None => self.id.fmt(f),
        }
    }
}

/// Most turns in one batch; the filter sends the rest with the next.
pub const MAX_TURNS_PER_BATCH: usize = 256;

/// Largest batch body the control plane reads, in bytes: far above what a filter puts into one batch, because a single
/// turn may be as large as `limits` allow prompts and answers to be.
pub const MAX_BATCH_BODY_BYTES: usize = 64 << 20;

/// One prompt with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Whose session it is; `None` where callers have no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Uuid>,
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
    /// All that was said, where `prompt` and `response` are not all of it: images, calls of tools and their results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The turn it goes on from, where that was said; else the one stored before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Uuid>,
    /// Of a traced request: the span it belongs to, as `traceparent` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Turn {
    /// What its session is kept under.
    pub fn session(&self) -> SessionKey {
        SessionKey { owner: self.owner, id: self.session_id }
    }

    /// Bytes of what it says.
    pub fn size(&self) -> usize {
        let of_messages: usize = self.messages.iter().map(Message::size).sum();
        self.prompt.len() + self.response.len() + of_messages
    }
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
    /// As [`Turn::messages`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
}

impl HistoryTurn {
    /// What was said, oldest first.
    pub fn into_messages(self) -> Vec<Message> {
        if !self.messages.is_empty() {
            return self.messages;
        }
        vec![Message::of_text(Role::User, self.prompt), Message::of_text(Role::Assistant, self.response)]
    }
}

/// `POST` a [`FleetSync`] here; the answer is a [`FleetReply`], or 503 where the shared state cannot be reached: then
/// nothing of it was done, or at least nothing is known of it.
pub const FLEET_PATH: &str = "/sync/v1/fleet";

/// `GET` this plus a version, as in [`FleetNews::version`] (or `-` for none), for what has changed since: answered when
/// there is news, at the latest after [`NEWS_WAIT_MS`].
pub const NEWS_PATH: &str = "/sync/v1/news/";

/// Longest wait for news before an answer without any, in milliseconds.
pub const NEWS_WAIT_MS: u64 = 20_000;

/// Most reports, probes and quotas, each, in one [`FleetSync`].
pub const MAX_FLEET_ITEMS: usize = 1_024;

/// What one worker saw, and what it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetSync {
    /// What became of requests to models.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
    /// Probes it would make.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeAsk>,
    /// Quotas it needs a share of, or returns one of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<QuotaAsk>,
    /// Whether it has had no news yet, and is to be told of every target that is not ready.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_new: bool,
}

/// What became of a request to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Which target, see [`Model::targets`](crate::config::Model::targets).
    pub target: String,
    /// Milliseconds since then, when the message was sent.
    pub age_ms: u64,
    /// Its own id, at random; the same report sent twice counts once. Of a probe: the id it was asked for with.
    pub id: u64,
    /// What happened.
    pub what: Observed,
}

/// What happened to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Observed {
    /// An ordinary request failed.
    Failed(Fault),
    /// A probe ended.
    Probed(ProbeResult),
    /// It is not ready, as everybody knew before the shared state was lost.
    Recalled {
        /// Why.
        reason: Reason,
        /// How long it still rests, in milliseconds; 0 where a probe is due.
        rest_ms: u64,
    },
}

/// A worker would make the probe of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeAsk {
    /// Which target.
    pub target: String,
    /// The probe's id, at random.
    pub id: u64,
    /// How long the probe may take, in milliseconds; then somebody else may try.
    pub life_ms: u64,
}

/// A worker needs, or returns, a share of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaAsk {
    /// Which quota, see [`QuotaKey`].
    pub quota: QuotaKey,
    /// How much is needed at once.
    pub need: u64,
    /// How much would be welcome; at least `need`.
    pub want: u64,
    /// How much of what was granted for `window` is returned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: u64,
    /// The window that `returned` was granted for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub window: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The name of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuotaKey {
    /// Requests of a model, by `provider:name`.
    ModelRate(String),
    /// Tokens of a model, by `provider:name`.
    ModelTokens(String),
    /// Requests of a consumer, by an id made of what it is called.
    ClientRate(Uuid),
    /// Tokens of a consumer.
    ClientTokens(Uuid),
    /// Requests of a route, by its name.
    RouteRate(String),
    /// Tokens of a route.
    RouteTokens(String),
}

/// The answer to a [`FleetSync`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetReply {
    /// The state of every target that the message was about, after it; for a new worker also of all others that are not
    /// ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetNews>,
    /// The ids of the probes that were given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<u64>,
    /// One for each quota asked for, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<QuotaGrant>,
    /// As [`FleetNews::memory`]; empty where it is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub memory: String,
}

/// A share of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaGrant {
    /// How much more may be spent. Less than needed where the window's budget is used up.
    pub granted: u64,
    /// The window it is for.
    pub window: u64,
    /// Time until the window's end when it was granted, in milliseconds; nothing may be spent after it.
    pub remaining_ms: u64,
}

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetNews {
    /// To ask with the next time.
    pub version: String,
    /// Identifies the store's memory: where it differs from the last one, the shared state was lost, and whoever knows
    /// of a failure tells it again.
    pub memory: String,
    /// Every target that is not ready. Those not listed are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetNews>,
    /// Quotas of which somebody could not get what was needed, in the window under way: whoever has a share that is not
    /// being used returns it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contended: Vec<QuotaKey>,
}

/// The state of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetNews {
    /// Which one.
    pub target: String,
    /// Why it is not ready; `None` where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TargetError>,
}

/// Why and for how long a target is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetError {
    /// Why.
    pub reason: Reason,
    /// Time until a probe may be asked for, in milliseconds; while one is under way, until its life is over.
    pub retry_in_ms: u64,
}
