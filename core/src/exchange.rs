//! One client request and everything known of it, from its body to the end of its answer.
//!
//! The gateway context creates it, every attempt context works on it, and Envoy's router moves between them. Envoy
//! does not tell the filter how an attempt ended that never answered (refused, reset, timed out): the router simply
//! starts the next one. So each attempt leaves a note when it begins, and the next one settles what became of it
//! ([`Exchange::begin_attempt`]).

use std::rc::Rc;

use uuid::Uuid;

use crate::api::unified::{self, PromptAnswer, PromptRequest};
use crate::chat::{Answer, Chat};
use crate::config::{Gateway, Model, Provider};
use crate::dialect::{Call, Dialect, dialect};
use crate::error::{ErrorCode, GatewayError};
use crate::failure::{Failure, FailureKind};
use crate::plan::{Next, Plan};
use crate::sync::{HistoryTurn, Turn};

/// How much earlier than asked a timer of Envoy may fire: its event loop works with the time of its last turn.
const TIMER_SLACK_MS: u64 = 20;

/// The session a turn belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnIds {
    /// The session.
    pub session: Uuid,
    /// The turn; storing it twice stores it once.
    pub turn: Uuid,
}

/// One client request.
#[derive(Debug)]
pub struct Exchange {
    gateway: Rc<Gateway>,
    chat: Chat,
    stream: bool,
    ids: Option<TurnIds>,
    plan: Plan,
    /// The provider whose cluster the router is told to use next.
    routed_to: usize,
    attempts: u32,
    /// Length of the end event, the last bytes of a complete stream.
    end_event_len: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Before the first attempt, or between two: then with the error that the last one would give.
    Ready { last: Option<GatewayError> },
    /// An attempt is under way and nothing of it has reached the client.
    Trying { started_ms: u64, has_headers: bool },
    /// The first content has left for the client.
    Committed,
    /// The answer is complete.
    Answered(Answer),
    /// No model is left, or the prompt was refused.
    Failed(GatewayError),
}

/// What an attempt sends.
pub struct Attempt {
    /// How to read the answer.
    pub dialect: &'static dyn Dialect,
    /// `:scheme`.
    pub scheme: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// Where the hop goes on to; `None` for an attempt that does not take it.
    pub hop_cluster: Option<String>,
    /// The JSON body.
    pub body: Vec<u8>,
    /// The cluster to tell the router, in case this attempt ends without a word; `None` where it knows already.
    pub next_cluster: Option<String>,
}

/// What follows from a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let the router try again.
    TryAgain {
        /// The cluster to tell the router; `None` where it knows already.
        cluster: Option<String>,
        /// Whole seconds to wait before; 0 for none.
        wait_secs: u32,
    },
    /// Answer with this error.
    GiveUp(GatewayError),
}

impl Exchange {
    /// An exchange for `request`. `remembered` are the turns of its session; `ids` name the session and the new
    /// turn, `None` where sessions are off.
    ///
    /// # Errors
    /// `OPTION_ERROR` for a model that is not configured.
    pub fn new(
        gateway: Rc<Gateway>,
        request: PromptRequest,
        remembered: Vec<HistoryTurn>,
        ids: Option<TurnIds>,
    ) -> Result<Self, GatewayError> {
        let models = request.resolve_models(&gateway)?;
        let Some(plan) = Plan::new(models, gateway.retry_max) else {
            return Err(GatewayError::new(
                ErrorCode::ProviderNoModelsAvailableError,
                "there is no model to try",
            ));
        };
        let stream = request.stream;
        let routed_to = gateway.models.get(plan.current()).map(|model| model.provider).unwrap_or_default();
        Ok(Self {
            chat: request.into_chat(remembered),
            gateway,
            stream,
            ids,
            plan,
            routed_to,
            attempts: 0,
            end_event_len: 0,
            phase: Phase::Ready { last: None },
        })
    }

    /// The configuration the exchange was planned with, and keeps.
    pub fn gateway(&self) -> &Rc<Gateway> {
        &self.gateway
    }

    /// Whether the client wants a stream.
    pub fn is_stream(&self) -> bool {
        self.stream
    }

    /// The session and turn, where sessions are on.
    pub fn ids(&self) -> Option<TurnIds> {
        self.ids
    }

    /// How many upstream requests were made.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// `provider:name` of the current model.
    pub fn model_id(&self) -> &str {
        self.model().map(|model| model.id.as_str()).unwrap_or_default()
    }

    /// The cluster of the first attempt.
    pub fn first_cluster(&self) -> &str {
        self.cluster_of(self.routed_to)
    }

    fn model(&self) -> Option<&Model> {
        self.gateway.models.get(self.plan.current())
    }

    fn cluster_of(&self, provider: usize) -> &str {
        let provider = self.gateway.providers.get(provider);
        provider.map(|provider| self.cluster_name(provider)).unwrap_or_default()
    }

    fn cluster_name<'a>(&self, provider: &'a Provider) -> &'a str {
        if self.stream { &provider.stream_cluster } else { &provider.cluster }
    }

    /// The cluster of the model at `position`, where the router is not already told to use it.
    fn route_to(&mut self, position: usize) -> Option<String> {
        let provider = self.gateway.models.get(position)?.provider;
        if provider == self.routed_to {
            return None;
        }
        self.routed_to = provider;
        Some(self.cluster_of(provider).to_owned())
    }

    /// Begins the next attempt, in `cluster`, at `now_ms` of any clock that does not go back.
    ///
    /// # Errors
    /// The error to answer with where nothing is left to try.
    pub fn begin_attempt(&mut self, cluster: &str, now_ms: u64) -> Result<Attempt, GatewayError> {
        self.settle(now_ms);
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        let gateway = Rc::clone(&self.gateway);
        let planned = gateway.models.get(self.plan.current());
        let Some((model, provider)) = planned.and_then(|model| Some((model, gateway.provider(model)?)))
        else {
            return Err(GatewayError::new(
                ErrorCode::ProviderNoModelsAvailableError,
                "the plan names no model",
            ));
        };
        if self.cluster_name(provider) != cluster {
            let message = format!("{} was routed to a cluster that is not its own", model.id);
            return Err(GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, message));
        }
        let dialect = dialect(provider.dialect);
        let call = Call {
            model: &model.name,
            chat: &self.chat,
            max_tokens: effective_max_tokens(
                model.max_tokens,
                self.chat.max_tokens,
                gateway.default_max_tokens,
            ),
            stream: self.stream,
        };
        let path = dialect.path(&provider.base_url.path, &call);
        let body = dialect.request_body(&call);
        self.attempts += 1;
        self.phase = Phase::Trying { started_ms: now_ms, has_headers: false };
        let next_cluster = self.plan.following().and_then(|position| self.route_to(position));
        Ok(Attempt {
            dialect,
            scheme: if provider.base_url.tls { "https" } else { "http" },
            authority: provider.base_url.authority(),
            path,
            hop_cluster: self.stream.then(|| provider.hop_cluster.clone()),
            body,
            next_cluster,
        })
    }

    /// Settles an attempt of which nothing more will be heard.
    ///
    /// Where another model follows, the router is already there: the attempt told it so. On the last model the
    /// router comes back to the same cluster, which is right only for a retry.
    fn settle(&mut self, now_ms: u64) {
        let Phase::Trying { started_ms, has_headers } = self.phase else { return };
        let lasted_ms = now_ms.saturating_sub(started_ms);
        let failure = if lasted_ms + TIMER_SLACK_MS >= self.gateway.request_timeout_ms {
            let message = format!("did not answer within {} ms", self.gateway.request_timeout_ms);
            Failure::new(FailureKind::Timeout, message)
        } else if has_headers {
            Failure::new(FailureKind::Cut, "broke off its answer")
        } else {
            Failure::new(FailureKind::Unreachable, "could not be reached")
        };
        let retries = failure.retries_same_model();
        let error = failure.into_error(self.model_id());
        let next =
            if self.plan.following().is_some() { self.plan.skip() } else { self.plan.advance(retries) };
        self.move_on(next, error);
    }

    fn move_on(&mut self, next: Next, error: GatewayError) {
        self.phase = match next {
            Next::SameModel | Next::NextModel => Phase::Ready { last: Some(error) },
            Next::GiveUp => Phase::Failed(error),
        };
    }

    /// Notes that the attempt has response headers.
    pub fn note_response(&mut self) {
        if let Phase::Trying { has_headers, .. } = &mut self.phase {
            *has_headers = true;
        }
    }

    /// Decides what follows from `failure` of the attempt under way. Not for after [`commit`](Self::commit).
    pub fn fail(&mut self, failure: Failure) -> Verdict {
        let (is_final, retries) = (failure.is_final(), failure.retries_same_model());
        let error = failure.into_error(self.model_id());
        let next = if is_final { Next::GiveUp } else { self.plan.advance(retries) };
        self.move_on(next, error.clone());
        if next == Next::GiveUp {
            return Verdict::GiveUp(error);
        }
        let wait_secs = if next == Next::SameModel { self.retry_wait_secs() } else { 0 };
        Verdict::TryAgain { cluster: self.route_to(self.plan.current()), wait_secs }
    }

    fn retry_wait_secs(&self) -> u32 {
        u32::try_from(self.gateway.retry_interval_ms.div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// Notes that the first content leaves for the client: from here on there is no other model.
    pub fn commit(&mut self) {
        self.phase = Phase::Committed;
    }

    /// The failure of a stream that ended `idle_ms` after its last piece without having said all: the hop lets both a
    /// broken connection and a pause that was too long look like an end.
    pub fn why_cut(&self, idle_ms: u64) -> Failure {
        if idle_ms + TIMER_SLACK_MS >= self.gateway.request_timeout_ms {
            let message = format!("paused for more than {} ms", self.gateway.request_timeout_ms);
            return Failure::new(FailureKind::Stalled, message);
        }
        Failure::new(FailureKind::Cut, "broke off its answer")
    }

    /// Ends a committed exchange with `failure`; returns the error for the client.
    pub fn fail_committed(&mut self, failure: Failure) -> GatewayError {
        let error = failure.into_error(self.model_id());
        self.move_on(Next::GiveUp, error.clone());
        error
    }

    /// Ends the exchange with its answer.
    pub fn complete(&mut self, answer: Answer) {
        self.phase = Phase::Answered(answer);
    }

    /// The error for a response that none of the attempts wrote, such as a local reply of Envoy; `None` where the
    /// response is an attempt's.
    pub fn error_of_foreign_response(&mut self, now_ms: impl FnOnce() -> u64) -> Option<GatewayError> {
        if matches!(self.phase, Phase::Committed | Phase::Answered(_)) {
            return None;
        }
        self.settle(now_ms());
        let error = match &self.phase {
            Phase::Failed(error) => error.clone(),
            Phase::Ready { last: Some(error) } => error.clone(),
            _ => {
                let message = "no model could be tried; the gateway has no capacity or no route for it";
                GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, message)
            }
        };
        self.phase = Phase::Failed(error.clone());
        Some(error)
    }

    /// Appends the end event to a complete stream.
    pub fn write_end(&mut self, out: &mut Vec<u8>, id: Uuid) {
        let before = out.len();
        if let Some(answer) = self.prompt_answer(None) {
            unified::write_end(out, id, &answer);
        }
        self.end_event_len = out.len() - before;
    }

    /// Rewrites `tail`, the last bytes of a complete stream, for a turn that is not stored.
    pub fn mark_end_not_stored(&self, tail: &mut Vec<u8>, id: Uuid) {
        if let (Some(answer), Some(start)) =
            (self.prompt_answer(Some(false)), tail.len().checked_sub(self.end_event_len))
        {
            tail.truncate(start);
            unified::write_end(tail, id, &answer);
        }
    }

    /// The answer for the client, once it is complete. `stored` as in [`PromptAnswer::stored`].
    pub fn prompt_answer(&self, stored: Option<bool>) -> Option<PromptAnswer<'_>> {
        let Phase::Answered(answer) = &self.phase else { return None };
        Some(PromptAnswer {
            text: &answer.text,
            result: answer.finish.outcome(),
            session_id: self.ids.map(|ids| ids.session),
            stored,
        })
    }

    /// The turn to store, once the answer is complete and where sessions are on. `at_ms` counts from 1970.
    pub fn turn(&self, at_ms: u64) -> Option<Turn> {
        let (Phase::Answered(answer), Some(ids)) = (&self.phase, self.ids) else { return None };
        Some(Turn {
            session_id: ids.session,
            turn_id: ids.turn,
            prompt: self.chat.messages.last().map(|message| message.text.clone()).unwrap_or_default(),
            response: answer.text.clone(),
            result: answer.finish.outcome(),
            model: self.model_id().to_owned(),
            at_ms,
        })
    }
}

/// The model's own limit caps what the request asks for; the global default stands in where neither speaks.
fn effective_max_tokens(model: Option<u32>, request: Option<u32>, default: Option<u32>) -> Option<u32> {
    match (model, request) {
        (Some(model), Some(request)) => Some(model.min(request)),
        (Some(limit), None) | (None, Some(limit)) => Some(limit),
        (None, None) => default,
    }
}

#[cfg(test)]
mod tests;
