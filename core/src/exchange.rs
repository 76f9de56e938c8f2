//! One client request and everything known of it, from its body to the end of its answer.
//!
//! The gateway context creates it, every attempt context works on it, and Envoy's router moves between them. Envoy
//! does not tell the filter how an attempt ended that never answered (refused, reset, timed out): the router simply
//! goes on. So each attempt points it at the waiting cluster when it begins, and there the exchange settles what became of
//! the attempt and chooses what comes next ([`next`]).

mod next;

use std::rc::Rc;

use fastrand::Rng;
use uuid::Uuid;

use crate::api::Outcome;
use crate::api::unified::{self, PromptAnswer, PromptRequest};
use crate::chat::{Answer, Chat, Finish, Usage};
use crate::config::{Gateway, Model, Provider};
use crate::dialect::{Call, Dialect, dialect};
use crate::error::{ErrorCode, GatewayError};
use crate::failure::{Failure, FailureKind};
use crate::fleet::{Fleet, Permit, Reserved};
use crate::plan::Plan;
use crate::sync::{HistoryTurn, Turn};

use self::next::Obstacles;
pub use self::next::Step;

/// How much earlier than asked a timer of Envoy may fire: its event loop works with the time of its last turn.
const TIMER_SLACK_MS: u64 = 20;

/// Bytes of text that make a token, on average, where the provider has not counted.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens an answer is expected to take where nothing limits it.
const EXPECTED_OUTPUT_TOKENS: u64 = 1_000;

/// The names of consumers are made into ids below this one.
const CLIENT_NAMESPACE: Uuid = Uuid::from_u128(0x61a3_77f0_5d6c_4d09_9a51_2f0c_3e8b_74d2);

/// The session a turn belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnIds {
    /// The session.
    pub session: Uuid,
    /// The turn; storing it twice stores it once.
    pub turn: Uuid,
}

/// The id of the consumer with this value in its header. What is shared must not tell a key.
pub fn client_id(header: &[u8]) -> Uuid {
    Uuid::new_v5(&CLIENT_NAMESPACE, header)
}

/// Who asks, when, and with what luck.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The session and the new turn, `None` where sessions are off.
    pub ids: Option<TurnIds>,
    /// The consumer, where consumers have limits; see [`client_id`].
    pub client: Option<Uuid>,
    /// A random number: order by weight and jitter come from it.
    pub seed: u64,
    /// Milliseconds of any clock that does not go back.
    pub now_ms: u64,
}

/// One client request.
#[derive(Debug)]
pub struct Exchange {
    gateway: Rc<Gateway>,
    chat: Chat,
    stream: bool,
    ids: Option<TurnIds>,
    client: Option<Uuid>,
    client_reserved: Option<Reserved>,
    plan: Plan,
    graceful_degradation: bool,
    obstacles: Obstacles,
    /// What the attempt under way was admitted with.
    permit: Option<Permit>,
    /// The target of which a same-model retry is reserved.
    retry_of: Option<String>,
    rng: Rng,
    attempts: u32,
    deadline_ms: u64,
    /// The error that the last failed attempt would give.
    last: Option<GatewayError>,
    /// What a stream said so far.
    text: String,
    usage: Option<Usage>,
    /// Length of the end event, the last bytes of a complete stream.
    end_event_len: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Before the first attempt, or between two.
    Choosing,
    /// In the waiting cluster, or on the way there: until a time, or until the control plane has answered.
    Waiting { until_ms: Option<u64> },
    /// On the way to the cluster of the plan's current choice.
    Admitted,
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
}

impl Exchange {
    /// An exchange for `request`. `remembered` are the turns of its session.
    ///
    /// # Errors
    /// `OPTION_ERROR` for a model or route that is not configured.
    pub fn new(
        gateway: Rc<Gateway>,
        request: PromptRequest,
        remembered: Vec<HistoryTurn>,
        circumstances: Circumstances,
        fleet: &Fleet,
    ) -> Result<Self, GatewayError> {
        let Circumstances { ids, client, seed, now_ms } = circumstances;
        let selection = request.select(&gateway)?;
        let mut rng = Rng::with_seed(seed);
        let plan = Plan::new(&gateway, &selection.models, selection.strategy, fleet, &mut rng);
        let deadline_ms = now_ms.saturating_add(gateway.total_timeout_ms);
        Ok(Self {
            stream: request.stream,
            graceful_degradation: selection.graceful_degradation,
            chat: request.into_chat(remembered),
            gateway,
            ids,
            client,
            client_reserved: None,
            plan,
            obstacles: Obstacles::default(),
            permit: None,
            retry_of: None,
            rng,
            attempts: 0,
            deadline_ms,
            last: None,
            text: String::new(),
            usage: None,
            end_event_len: 0,
            phase: Phase::Choosing,
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

    fn model(&self) -> Option<&Model> {
        self.gateway.models.get(self.plan.current()?.model)
    }

    /// The cluster to go to now.
    pub fn cluster(&self) -> &str {
        let admitted = matches!(self.phase, Phase::Admitted).then(|| self.admitted_cluster()).flatten();
        admitted.unwrap_or(&self.gateway.waiting_cluster)
    }

    fn admitted_cluster(&self) -> Option<&str> {
        let choice = self.plan.current()?;
        let endpoint = self.provider()?.endpoints.get(choice.endpoint)?;
        Some(if self.stream { &endpoint.stream_cluster } else { &endpoint.cluster })
    }

    fn provider(&self) -> Option<&Provider> {
        self.gateway.provider(self.model()?)
    }

    /// When the exchange must have its answer, or the first content of it; `None` once it has, or has failed.
    pub fn deadline_ms(&self) -> Option<u64> {
        let is_settled = matches!(self.phase, Phase::Committed | Phase::Answered(_) | Phase::Failed(_));
        (!is_settled).then_some(self.deadline_ms)
    }

    /// Begins the attempt that was chosen, in `cluster`.
    ///
    /// # Errors
    /// The error to answer with where this is not the cluster to be in.
    pub fn begin_attempt(&mut self, cluster: &str, now_ms: u64) -> Result<Attempt, GatewayError> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        let gateway = Rc::clone(&self.gateway);
        let planned = self.plan.current().and_then(|choice| {
            let model = gateway.models.get(choice.model)?;
            let provider = gateway.provider(model)?;
            Some((model, provider, provider.endpoints.get(choice.endpoint)?))
        });
        let Some((model, provider, endpoint)) = planned.filter(|_| self.cluster() == cluster) else {
            let message = format!("the request came to {cluster}, which is not where it was sent");
            return Err(GatewayError::new(ErrorCode::ProviderNoModelsAvailableError, message));
        };
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
        let path = dialect.path(&endpoint.base_url.path, &call);
        let body = dialect.request_body(&call);
        self.attempts += 1;
        self.phase = Phase::Trying { started_ms: now_ms, has_headers: false };
        Ok(Attempt {
            dialect,
            scheme: if endpoint.base_url.tls { "https" } else { "http" },
            authority: endpoint.base_url.authority(),
            path,
            hop_cluster: self.stream.then(|| endpoint.hop_cluster.clone()),
            body,
        })
    }

    /// Notes that the attempt has response headers.
    pub fn note_response(&mut self) {
        if let Phase::Trying { has_headers, .. } = &mut self.phase {
            *has_headers = true;
        }
    }

    /// Takes what a stream said.
    pub fn add_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Takes what a stream is known to have used so far.
    pub fn note_usage(&mut self, usage: Option<Usage>) {
        self.usage = usage.or(self.usage);
    }

    /// Notes that the first content leaves for the client: from here on there is no other model.
    pub fn commit(&mut self, fleet: &mut Fleet, now_ms: u64) {
        self.phase = Phase::Committed;
        self.note_success(fleet, now_ms);
    }

    /// The failure of a stream that ended `idle_ms` after its last piece without having said all: the hop lets both a
    /// broken connection and a pause that was too long look like an end.
    pub fn why_cut(&self, idle_ms: u64) -> Failure {
        if idle_ms + TIMER_SLACK_MS < self.gateway.request_timeout_ms {
            return Failure::cut();
        }
        let timeout_ms = self.gateway.request_timeout_ms;
        match self.phase {
            Phase::Committed => {
                Failure::new(FailureKind::Stalled, format!("paused for more than {timeout_ms} ms"))
            }
            _ => Failure::timeout(timeout_ms),
        }
    }

    /// Ends the exchange with a whole answer.
    pub fn complete(&mut self, answer: Answer, fleet: &mut Fleet, now_ms: u64) {
        self.note_usage(answer.usage);
        self.phase = Phase::Answered(answer);
        self.settle_well(fleet, now_ms);
    }

    /// Ends the exchange with what its stream said.
    pub fn complete_stream(&mut self, finish: Finish, fleet: &mut Fleet, now_ms: u64) {
        let text = std::mem::take(&mut self.text);
        self.complete(Answer { text, finish, usage: self.usage }, fleet, now_ms);
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

    /// The turn to store, where sessions are on: of a complete answer, or of one that its client did not wait for. `at_ms`
    /// counts from 1970.
    pub fn turn(&self, at_ms: u64) -> Option<Turn> {
        let ids = self.ids?;
        let (response, result) = match &self.phase {
            Phase::Answered(answer) => (&answer.text, answer.finish.outcome()),
            Phase::Committed => (&self.text, Outcome::IncompleteInterrupted),
            _ => return None,
        };
        Some(Turn {
            session_id: ids.session,
            turn_id: ids.turn,
            prompt: self.chat.messages.last().map(|message| message.text.clone()).unwrap_or_default(),
            response: response.clone(),
            result,
            model: self.model_id().to_owned(),
            at_ms,
        })
    }

    /// Whether the first content left for the client and the end did not.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.phase, Phase::Committed)
    }

    /// Tokens used, as the provider counted them, or about so many.
    fn used_tokens(&self) -> u64 {
        match self.usage {
            Some(usage) => usage.input.saturating_add(usage.output),
            None => {
                let said = match &self.phase {
                    Phase::Answered(answer) => answer.text.len(),
                    _ => self.text.len(),
                };
                self.input_tokens().saturating_add(tokens_of(said))
            }
        }
    }

    /// About so many tokens are read.
    fn input_tokens(&self) -> u64 {
        let system = self.chat.system.as_ref().map_or(0, String::len);
        tokens_of(system + self.chat.messages.iter().map(|message| message.text.len()).sum::<usize>())
    }
}

fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
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
