//! What became of a request, written down as it happens: for metrics, the access log and traces, never for a decision.

use uuid::Uuid;

use super::{Exchange, Phase};
use crate::chat::Usage;
use crate::error::ErrorCode;
use crate::failure::FailureKind;

/// Length of a `traceparent`: version, trace, span and flags in hex, with dashes between them.
const TRACE_LEN: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was answered, or its client had all it wanted.
    Answered,
    /// It ended with this error.
    Failed(ErrorCode),
    /// The client left before.
    Cancelled,
    /// Somebody else answered, who tells how.
    Relayed,
}

impl End {
    /// The word of metrics and logs: `ok`, or the code in lower case, or `cancelled`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Failed(code) => code.word(),
            Self::Cancelled => "cancelled",
            Self::Relayed => "relayed",
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryEnd {
    /// With an answer.
    Answered,
    /// With a failure of this kind.
    Failed(FailureKind),
    /// The client left before.
    Cancelled,
}

impl TryEnd {
    /// The word of metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Failed(kind) => kind.word(),
            Self::Cancelled => "cancelled",
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// Position of the model in the gateway's list.
    pub model: usize,
    /// Position of the endpoint in those of its provider.
    pub endpoint: usize,
    /// What the provider answered, where it did.
    pub status: Option<u16>,
    /// How it ended; `None` while it is under way.
    pub end: Option<TryEnd>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    began_ms: u64,
}

/// Why a model was left for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An attempt failed.
    Failed(FailureKind),
    /// It rested after failures.
    Resting,
    /// It had reached a limit.
    Limited,
    /// It does not offer what the request asks for.
    NotOffered,
}

impl Reason {
    /// The word of metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed(kind) => kind.word(),
            Self::Resting => "resting",
            Self::Limited => "limited",
            Self::NotOffered => "not_offered",
        }
    }
}

/// The wait of an answer for its turn to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether it was stored by then.
    pub is_stored: bool,
}

/// The notes of one exchange.
#[derive(Debug, Default)]
pub struct Journal {
    began_ms: u64,
    tries: Vec<Try>,
    /// Models that were passed over since the last attempt began, each with the last reason.
    left: Vec<(usize, Reason)>,
    fallbacks: Vec<(usize, Reason)>,
    first_content_ms: Option<u64>,
    answered_ms: Option<u64>,
    commit: Option<Commit>,
}

impl Journal {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { began_ms: now_ms, ..Self::default() }
    }

    /// An attempt of `model` begins: it is what the models left before were left for.
    pub(super) fn begin(&mut self, model: usize, endpoint: usize, now_ms: u64) {
        self.fallbacks.extend(self.left.drain(..).filter(|(left, _)| *left != model));
        self.tries.push(Try { model, endpoint, status: None, end: None, took_ms: 0, began_ms: now_ms });
    }

    pub(super) fn status(&mut self, status: u16) {
        if let Some(last) = self.tries.last_mut() {
            last.status = Some(status);
        }
    }

    /// The attempt under way, where there is one, is over.
    pub(super) fn end(&mut self, end: TryEnd, now_ms: u64) {
        if let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) {
            last.end = Some(end);
            last.took_ms = now_ms.saturating_sub(last.began_ms);
        }
    }

    pub(super) fn leave(&mut self, model: usize, reason: Reason) {
        match self.left.iter_mut().find(|(left, _)| *left == model) {
            Some((_, last)) => *last = reason,
            None => self.left.push((model, reason)),
        }
    }

    pub(super) fn first_content(&mut self, now_ms: u64) {
        self.first_content_ms.get_or_insert(now_ms);
    }

    pub(super) fn answered(&mut self, now_ms: u64) {
        self.answered_ms = Some(now_ms);
        self.end(TryEnd::Answered, now_ms);
    }

    /// All attempts, in order.
    pub fn tries(&self) -> &[Try] {
        &self.tries
    }

    /// The models, by position in the gateway's list, that were left and for which another was tried.
    pub fn fallbacks(&self) -> &[(usize, Reason)] {
        &self.fallbacks
    }

    /// From the request to the first content of its stream, over all attempts, in milliseconds.
    pub fn first_content_after_ms(&self) -> Option<u64> {
        Some(self.first_content_ms?.saturating_sub(self.began_ms))
    }

    /// Time of a complete stream from its first content to its last.
    fn streamed_ms(&self) -> Option<u64> {
        Some(self.answered_ms?.saturating_sub(self.first_content_ms?))
    }

    /// The wait for the turn to be stored, where there was one.
    pub fn commit(&self) -> Option<Commit> {
        self.commit
    }
}

impl Exchange {
    /// The notes so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Notes that the answer waited `took_ms` for its turn.
    pub fn note_commit(&mut self, took_ms: u64, is_stored: bool) {
        self.journal.commit = Some(Commit { took_ms, is_stored });
    }

    /// Notes that the request is traced.
    pub fn trace(&mut self) {
        self.is_traced = true;
    }

    /// Whether the request is traced.
    pub fn is_traced(&self) -> bool {
        self.is_traced
    }

    /// Whether the span of the request is known.
    pub fn has_trace(&self) -> bool {
        self.trace.is_some()
    }

    /// The span of the request, as `traceparent` has it, where it is known.
    pub fn span(&self) -> Option<&str> {
        self.trace.as_deref()
    }

    /// Notes the span of the request, as `traceparent` has it; what has another form is none.
    pub fn note_trace(&mut self, trace: &[u8]) {
        let is_one = trace.len() == TRACE_LEN && trace.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-');
        self.trace = std::str::from_utf8(trace).ok().filter(|_| is_one).map(str::to_owned);
    }

    /// Nothing more comes of the request: an attempt that is still under way is given up.
    pub fn close(&mut self, now_ms: u64) {
        self.journal.end(TryEnd::Cancelled, now_ms);
    }

    /// How it ended.
    pub fn ending(&self) -> End {
        match &self.phase {
            Phase::Answered(_) => End::Answered,
            Phase::Failed(error) => End::Failed(error.code),
            Phase::Relayed => End::Relayed,
            _ => End::Cancelled,
        }
    }

    /// Name of the route whose policy holds.
    pub fn route_name(&self) -> &str {
        self.policy().map(|route| route.name.as_str()).unwrap_or_default()
    }

    /// `provider:name` of the model tried last, which is the one that answered, if any did.
    pub fn last_model(&self) -> Option<&str> {
        let last = self.journal.tries.last()?;
        self.gateway.models.get(last.model).map(|model| model.id.as_str())
    }

    /// Tokens that the last attempt used, where the provider told.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What they cost, in units of the model's [`Price`](crate::config::Price); `None` where either is unknown.
    pub fn cost(&self) -> Option<u64> {
        let model = self.gateway.models.get(self.journal.tries.last()?.model)?;
        Some(model.price?.of(self.usage?))
    }

    /// Of a complete stream: time from one token to the next, on average over its answer, in microseconds.
    pub fn time_per_output_token_us(&self) -> Option<u64> {
        let between = self.usage?.output.checked_sub(1).filter(|between| *between > 0)?;
        Some(self.journal.streamed_ms()?.saturating_mul(1_000) / between)
    }

    /// The session, where sessions are on.
    pub fn session(&self) -> Option<Uuid> {
        self.identity.ids.map(|ids| ids.session)
    }

    /// The last thing the user said, and the answer as far as it came: for those who asked to have them in the log.
    pub fn content(&self) -> Option<(String, String)> {
        let chat = &self.task.conversation()?.chat;
        let asked = chat.added().filter(|message| message.role == crate::chat::Role::User).last();
        let prompt = asked.map(|message| message.text().into_owned()).unwrap_or_default();
        let answer = match &self.phase {
            Phase::Answered(answer) => answer.text().into_owned(),
            _ => self.said.message().text().into_owned(),
        };
        Some((prompt, answer))
    }
}
