//! One client request and everything known of it, from its body to the end of its answer.
//!
//! The gateway context creates it, every attempt context works on it, and Envoy's router moves between them. Envoy
//! does not tell the filter how an attempt ended that never answered (refused, reset, timed out): the router simply
//! goes on. So each attempt points it at the waiting cluster when it begins, and there the exchange settles what became of
//! the attempt and chooses what comes next ([`next`]).

mod answering;
mod asking;
mod journal;
mod next;
mod relaying;

use std::rc::Rc;

use fastrand::Rng;
use uuid::Uuid;

use crate::api::{Format, Request, Selection, Session, Source};
use crate::chat::{Answer, Collector, Feature, Usage};
use crate::config::{Gateway, Model, Provider, Route};
use crate::error::GatewayError;
use crate::failure::{Failure, FailureKind};
use crate::fleet::{Fleet, Payer, Permit, Reserved};
use crate::plan::Plan;
use crate::stream_id;
use crate::sync::HistoryTurn;
use crate::task::{Conversation, Task};

pub use self::asking::Attempt;
pub use self::journal::{Commit, End, Journal, Reason, Try, TryEnd};
use self::next::Obstacles;
pub use self::next::Step;

/// How much earlier than asked a timer of Envoy may fire: its event loop works with the time of its last turn.
const TIMER_SLACK_MS: u64 = 20;

/// How much longer an exchange waits for who keeps its stream than for models, in milliseconds.
const RELAY_SLACK_MS: u64 = 1_000;

/// Bytes of text that make a token, on average, where the provider has not counted.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens an answer is expected to take where nothing limits it.
const EXPECTED_OUTPUT_TOKENS: u64 = 1_000;

/// The session a turn belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnIds {
    /// The session.
    pub session: Uuid,
    /// The turn; storing it twice stores it once.
    pub turn: Uuid,
    /// The turn it goes on from, where that was said.
    pub parent: Option<Uuid>,
}

impl TurnIds {
    /// Those of a new turn in `session`; `None` where there is none.
    pub fn of(session: Session) -> Option<Self> {
        let (session, parent) = match session {
            Session::None | Session::Recall { .. } => return None,
            Session::New => (Uuid::new_v4(), None),
            Session::Continue { id, after } => (id, after),
        };
        Some(Self { session, turn: stream_id::new_stream(), parent })
    }
}

/// Who asks, when, and with what luck.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The session and the new turn, `None` where sessions are off.
    pub ids: Option<TurnIds>,
    /// The consumer, where consumers have limits; see [`client_id`](crate::auth::client_id).
    pub client: Option<Uuid>,
    /// Whose session it is, where callers are known; see [`Caller::owner`](crate::auth::Caller::owner).
    pub owner: Option<Uuid>,
    /// The exchange's own id, at random: order by weight and jitter come from it as well.
    pub id: Uuid,
    /// Milliseconds of any clock that does not go back.
    pub now_ms: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

/// What a stream that is to survive its client takes with it to who keeps it, as headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The [`Ask`](crate::relay::Ask).
    pub ask: String,
    /// Its seal.
    pub seal: String,
}

/// What tells an exchange from others.
#[derive(Debug, Clone, Copy)]
struct Identity {
    id: Uuid,
    created_secs: u64,
    ids: Option<TurnIds>,
    owner: Option<Uuid>,
}

/// What somebody pays for an exchange, once it is admitted.
#[derive(Debug)]
struct Payment {
    payer: Payer,
    reserved: Option<Reserved>,
}

/// One client request.
#[derive(Debug)]
pub struct Exchange {
    gateway: Rc<Gateway>,
    /// Position of the route whose policy holds.
    route: usize,
    format: Format,
    task: Task,
    /// What it asks for that not every model offers.
    features: Vec<Feature>,
    identity: Identity,
    /// How the model under way speaks to the client.
    source: Source,
    payments: Vec<Payment>,
    plan: Plan,
    obstacles: Obstacles,
    /// What the attempt under way was admitted with.
    permit: Option<Permit>,
    /// The target of which a same-model retry is reserved.
    retry_of: Option<String>,
    rng: Rng,
    attempts: u32,
    total_timeout_ms: u64,
    deadline_ms: u64,
    /// The error that the last failed attempt would give.
    last: Option<GatewayError>,
    /// The fields of the request that the attempt under way leaves out.
    dropped: String,
    /// What a stream said so far, where anybody will ask for it.
    said: Collector,
    /// Bytes of it.
    said_len: usize,
    usage: Option<Usage>,
    /// Length of the end event, the last bytes of a complete stream.
    end_event_len: usize,
    journal: Journal,
    is_traced: bool,
    /// The span of the request, as `traceparent` has it, where it is traced.
    trace: Option<String>,
    /// Of a stream that is to survive its client.
    sealed: Option<Sealed>,
    /// Whether it comes back for a stream.
    returns: bool,
    /// Whether it goes on with a session whose turns are not known here.
    lacks_history: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Before the first attempt, or between two.
    Choosing,
    /// In the waiting cluster, or on the way there: until a time, or until the control plane has answered.
    Waiting { until_ms: Option<u64> },
    /// On the way to who keeps streams, or there.
    Relaying,
    /// What the client gets is somebody else's answer.
    Relayed,
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

impl Exchange {
    /// An exchange for `request` by its `selection`. `remembered` are the turns of its session.
    pub fn new(
        gateway: Rc<Gateway>,
        request: Request,
        selection: Selection,
        remembered: Vec<HistoryTurn>,
        circumstances: Circumstances,
        fleet: &Fleet,
    ) -> Self {
        let Circumstances { ids, client, owner, id, now_ms, unix_ms } = circumstances;
        let mut rng = Rng::with_seed(id.as_u64_pair().0);
        let plan = Plan::new(&gateway, &selection.models, selection.strategy, fleet, &mut rng);
        let route = gateway.routes.get(selection.route);
        let of_route = route.and_then(|route| route.limits.total_timeout_ms);
        let total_timeout_ms = of_route.unwrap_or(gateway.total_timeout_ms);
        let of_route = route.filter(|route| route.limits.rate.is_some() || route.limits.tokens.is_some());
        let payers = client.map(Payer::Client).into_iter();
        let payers = payers.chain(of_route.map(|route| Payer::Route(route.name.clone())));
        let payments = payers.map(|payer| Payment { payer, reserved: None }).collect();
        let mut task = request.task;
        if let Some(Conversation { chat, .. }) = task.conversation_mut() {
            chat.remember(remembered.into_iter().flat_map(HistoryTurn::into_messages).collect());
            if let Some(route) = route {
                chat.apply(&route.defaults, &route.overrides);
            }
        }
        Self {
            route: selection.route,
            format: request.format,
            features: task.features(),
            task,
            gateway,
            identity: Identity { id, created_secs: unix_ms / 1_000, ids, owner },
            source: Source::Foreign,
            payments,
            plan,
            obstacles: Obstacles::default(),
            permit: None,
            retry_of: None,
            rng,
            attempts: 0,
            total_timeout_ms,
            deadline_ms: now_ms.saturating_add(total_timeout_ms),
            last: None,
            dropped: String::new(),
            said: Collector::default(),
            said_len: 0,
            usage: None,
            end_event_len: 0,
            journal: Journal::new(now_ms),
            is_traced: false,
            trace: None,
            sealed: None,
            returns: false,
            lacks_history: false,
            phase: Phase::Choosing,
        }
    }

    /// The client's format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The fields of the request that were left out, by commas; empty where none were.
    pub fn dropped(&self) -> &str {
        &self.dropped
    }

    fn policy(&self) -> Option<&Route> {
        self.gateway.routes.get(self.route)
    }

    /// The configuration the exchange was planned with, and keeps.
    pub fn gateway(&self) -> &Rc<Gateway> {
        &self.gateway
    }

    /// Why the hop says that there was no answer: the provider could not be reached, or was silent for too long.
    pub fn why_unanswered(&self, now_ms: u64) -> Failure {
        self.silent_failure(now_ms).unwrap_or_else(Failure::unreachable)
    }

    /// Whether the client wants a stream.
    pub fn is_stream(&self) -> bool {
        self.task.conversation().is_some_and(|conversation| conversation.stream)
    }

    /// The session and turn, where sessions are on.
    pub fn ids(&self) -> Option<TurnIds> {
        self.identity.ids
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
        let cluster = match self.phase {
            Phase::Admitted => self.admitted_cluster(),
            Phase::Relaying => self.streams_cluster(),
            _ => None,
        };
        cluster.unwrap_or(&self.gateway.waiting_cluster)
    }

    fn admitted_cluster(&self) -> Option<&str> {
        let choice = self.plan.current()?;
        let endpoint = self.provider()?.endpoints.get(choice.endpoint)?;
        Some(if self.is_stream() { &endpoint.stream_cluster } else { &endpoint.cluster })
    }

    fn provider(&self) -> Option<&Provider> {
        self.gateway.provider(self.model()?)
    }

    /// When the exchange must have its answer, or the first content of it; `None` once it has, or has failed.
    pub fn deadline_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Relayed | Phase::Committed | Phase::Answered(_) | Phase::Failed(_) => None,
            // Whoever keeps the stream has the same deadline, and tells better what it was that took so long.
            Phase::Relaying => Some(self.deadline_ms.saturating_add(RELAY_SLACK_MS)),
            _ => Some(self.deadline_ms),
        }
    }

    /// Notes that the attempt has response headers, with this status.
    pub fn note_response(&mut self, status: u16) {
        self.journal.status(status);
        if let Phase::Trying { has_headers, .. } = &mut self.phase {
            *has_headers = true;
        }
    }

    /// Notes that the first content leaves for the client: from here on there is no other model.
    pub fn commit(&mut self, fleet: &mut Fleet, now_ms: u64) {
        self.phase = Phase::Committed;
        self.journal.first_content(now_ms);
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

    /// Tokens used, as the provider counted them, or about so many.
    fn used_tokens(&self) -> u64 {
        match self.usage {
            Some(usage) => usage.input.saturating_add(usage.output),
            None => {
                let said = match &self.phase {
                    Phase::Answered(answer) if !self.is_stream() => answer.text().len(),
                    _ => self.said_len,
                };
                self.input_tokens().saturating_add(tokens_of(said))
            }
        }
    }

    /// About so many tokens are read.
    fn input_tokens(&self) -> u64 {
        tokens_of(self.task.text_len())
    }
}

fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests;
