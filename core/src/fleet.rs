//! What one worker knows of the models and quotas that the whole fleet shares, and what it has to tell and to ask.
//!
//! A request is admitted to a model without asking anybody, as long as the model is ready and the worker's share of its
//! limits lasts. Where something must be asked first (a share that is used up, or whether this worker may make the probe of
//! a model that rested), the request waits for one round trip. While the control plane is away, nobody waits: the worker
//! goes by what it saw itself. Reports are kept until they are taken.

mod decisions;
mod ledger;
mod outbox;
mod payer;
mod shares;
mod talk;
mod targets;

use crate::config::{Gateway, Model, OnUnavailable};
use crate::health::{Fault, ProbeResult, Rules};
use crate::sync::{Observed, ProbeAsk, QuotaKey, Report};

pub use self::decisions::{LIMIT_DECISIONS, LIMIT_KINDS, LimitCounts};
pub use self::ledger::Ledger;
use self::outbox::Outbox;
pub use self::shares::Reserved;
use self::shares::{Shares, Terms};
use self::talk::News;
use self::targets::{Asker, Standing, Targets};
pub use payer::Payer;

/// Longest wait for the reply to a message to the control plane. A request that needs one waits no longer than for two of
/// them: a control plane that is down is found at once, and one that is slow is better waited for than guessed about.
pub const ASK_TIMEOUT_MS: u64 = 1_000;

/// How long a probe may take beyond the request timeout, in milliseconds.
const PROBE_SLACK_MS: u64 = 5_000;

/// One worker's view of what the fleet shares.
#[derive(Debug)]
pub struct Fleet {
    targets: Targets,
    shares: Shares,
    outbox: Outbox,
    news: News,
    next_id: u64,
}

/// One model at one endpoint, for one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The configuration the exchange was planned with.
    pub gateway: &'a Gateway,
    /// The model.
    pub model: &'a Model,
    /// Its name at the endpoint, one of [`Model::targets`].
    pub target: &'a str,
}

impl<'a> Candidate<'a> {
    fn rules(&self) -> Rules<'a> {
        Rules { breaker: &self.gateway.breaker, restore: &self.model.restore }
    }
}

/// Whether a request may go to a model.
#[derive(Debug)]
pub enum Admission {
    /// It may. To be [settled](Fleet::settle) when the attempt is over.
    Go(Permit),
    /// It may not, at least not now.
    No(Refusal),
}

/// Why a request may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The control plane must be asked first; to be tried again when it has answered.
    Ask,
    /// The model rests.
    Resting {
        /// Until then.
        until_ms: u64,
    },
    /// A limit is reached.
    Limited {
        /// Until then.
        until_ms: u64,
    },
}

/// What an attempt was admitted with.
#[derive(Debug)]
#[must_use = "what was reserved must be settled"]
pub struct Permit {
    probe: Option<u64>,
    reserved: Reserved,
}

impl Permit {
    /// Whether the attempt is the probe of its model.
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// What became of requests and reports since the worker started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// What limits said.
    pub limits: LimitCounts,
    /// How often a model stopped being ready, as far as the worker heard of it.
    pub models_opened: u64,
    /// Reports that were given up for lack of room while the control plane was away.
    pub reports_dropped: u64,
}

/// How an attempt ended, as far as its model is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The model does what it should: it answered, or refused the prompt for what it is.
    Well,
    /// A failure that counts against the model.
    Badly(Fault),
    /// A failure after which the same model is tried again: nothing is decided yet.
    Retried,
    /// The client left before anything was decided.
    Unknown,
}

impl Fleet {
    /// A view of nothing yet. `seed` is a random number: ids count from there.
    pub fn new(seed: u64) -> Self {
        Self {
            targets: Targets::default(),
            shares: Shares::default(),
            outbox: Outbox::default(),
            news: News::default(),
            next_id: seed,
        }
    }

    /// Says whether there is a control plane to ask. Where there is none, quotas are counted by `ledger`, and a breaker is
    /// this worker's own.
    pub fn set_ledger(&mut self, ledger: Option<Box<dyn Ledger>>) {
        self.shares.set_ledger(ledger);
    }

    fn id(&mut self) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// Decides whether a request that is likely to take `tokens` may go to `candidate`. `is_waiting` says that it was
    /// told to [ask](Refusal::Ask) before; what others ask for it does not wait for.
    pub fn admit(
        &mut self,
        candidate: Candidate<'_>,
        tokens: u64,
        is_waiting: bool,
        now_ms: u64,
    ) -> Admission {
        let Candidate { gateway, target, .. } = candidate;
        let life_ms = gateway.request_timeout_ms.saturating_add(PROBE_SLACK_MS);
        let asker = Asker { is_waiting, is_away: self.is_away(), id: self.id(), life_ms };
        match self.targets.standing(target, asker, now_ms) {
            Standing::Ready => self.reserve(candidate, None, tokens, now_ms),
            Standing::Probe(id) => {
                let admission = self.reserve(candidate, Some(id), tokens, now_ms);
                if matches!(admission, Admission::No(_)) {
                    self.targets.entry(target).drop_probe(id);
                }
                admission
            }
            Standing::Resting { until_ms } => Admission::No(Refusal::Resting { until_ms }),
            Standing::ProbeAsked => Admission::No(Refusal::Ask),
            Standing::AskProbe => {
                self.outbox.ask_probe(ProbeAsk { target: target.to_owned(), id: asker.id, life_ms });
                Admission::No(Refusal::Ask)
            }
        }
    }

    /// As [`admit`](Self::admit), whatever state the model is in.
    pub fn admit_resting(&mut self, candidate: Candidate<'_>, tokens: u64, now_ms: u64) -> Admission {
        self.reserve(candidate, None, tokens, now_ms)
    }

    fn reserve(
        &mut self,
        candidate: Candidate<'_>,
        probe: Option<u64>,
        tokens: u64,
        now_ms: u64,
    ) -> Admission {
        let Candidate { gateway, model, target } = candidate;
        let terms = self.terms(gateway.on_unavailable, now_ms);
        let rate = QuotaKey::ModelRate(model.id.clone());
        let spent = match self.shares.spend(&rate, 1, model.rate, terms) {
            Ok(source) => source,
            Err(refusal) => return Admission::No(refusal),
        };
        let mut reserved = Reserved::default();
        if let Some(limit) = model.tokens {
            let key = QuotaKey::ModelTokens(model.id.clone());
            match self.shares.reserve(&key, tokens, limit, terms) {
                Ok(tokens) => reserved = tokens,
                Err(refusal) => {
                    self.shares.refund(&rate, 1, spent, now_ms);
                    return Admission::No(refusal);
                }
            }
        }
        self.targets.entry(target).begin(probe.is_some());
        Admission::Go(Permit { probe, reserved })
    }

    /// Reserves a request for which `payer` pays and that is likely to take `tokens`.
    ///
    /// # Errors
    /// Why it may not be made, at least not now.
    pub fn admit_payer(
        &mut self,
        gateway: &Gateway,
        payer: &Payer,
        tokens: u64,
        now_ms: u64,
    ) -> Result<Reserved, Refusal> {
        let terms = self.terms(gateway.on_unavailable, now_ms);
        let rate = payer.rate_key();
        let spent = match payer.rate(gateway) {
            Some(limit) => Some(self.shares.spend(&rate, 1, limit, terms)?),
            None => None,
        };
        let Some(limit) = payer.tokens(gateway) else { return Ok(Reserved::default()) };
        let reserved = self.shares.reserve(&payer.tokens_key(), tokens, limit, terms);
        reserved.inspect_err(|_| {
            if let Some(source) = spent {
                self.shares.refund(&rate, 1, source, now_ms);
            }
        })
    }

    fn terms(&self, on_unavailable: OnUnavailable, now_ms: u64) -> Terms {
        Terms { away: self.outbox.is_away().then_some(on_unavailable), now_ms }
    }

    /// Settles what was reserved for `payer`: it took `used` tokens.
    pub fn settle_payer(&mut self, payer: &Payer, reserved: Reserved, used: u64, now_ms: u64) {
        self.shares.settle(&payer.tokens_key(), reserved, used, now_ms);
    }

    /// Notes that the probe of `permit` went well before the attempt is over.
    pub fn note_success(&mut self, candidate: Candidate<'_>, permit: &mut Permit, now_ms: u64) {
        if let Some(id) = permit.probe.take() {
            self.end_probe(candidate, id, ProbeResult::Succeeded, now_ms);
        }
    }

    /// Takes the end of an attempt that used so many tokens.
    pub fn settle(
        &mut self,
        candidate: Candidate<'_>,
        permit: Permit,
        ending: Ending,
        used: u64,
        now_ms: u64,
    ) {
        if candidate.model.tokens.is_some() {
            let key = QuotaKey::ModelTokens(candidate.model.id.clone());
            self.shares.settle(&key, permit.reserved, used, now_ms);
        }
        self.targets.entry(candidate.target).end();
        match (permit.probe, ending) {
            (Some(id), Ending::Well) => self.end_probe(candidate, id, ProbeResult::Succeeded, now_ms),
            (Some(id), Ending::Badly(fault)) => {
                self.end_probe(candidate, id, ProbeResult::Failed(fault), now_ms);
            }
            (Some(id), Ending::Retried | Ending::Unknown) => {
                self.end_probe(candidate, id, ProbeResult::Abandoned, now_ms);
            }
            (None, Ending::Badly(fault)) => self.fail(candidate, fault, now_ms),
            (None, _) => {}
        }
    }

    fn fail(&mut self, candidate: Candidate<'_>, fault: Fault, now_ms: u64) {
        let id = self.id();
        if self.targets.fail(candidate.target, now_ms, id, fault, candidate.rules()) {
            self.report(candidate.target, id, Observed::Failed(fault), now_ms);
        }
    }

    fn end_probe(&mut self, candidate: Candidate<'_>, id: u64, result: ProbeResult, now_ms: u64) {
        self.targets.entry(candidate.target).end_probe(now_ms, id, result, candidate.rules());
        self.report(candidate.target, id, Observed::Probed(result), now_ms);
    }

    fn report(&mut self, target: &str, id: u64, what: Observed, now_ms: u64) {
        if self.shares.is_by_ledger() {
            return;
        }
        self.targets.entry(target).reported_at_ms = Some(now_ms);
        self.outbox.report(now_ms, Report { target: target.to_owned(), age_ms: 0, id, what });
    }

    /// Whether `target` is ready: not resting, due, or tried by somebody.
    pub fn is_ready(&self, target: &str) -> bool {
        self.targets.get(target).is_none_or(|target| !target.is_open())
    }

    /// What became of requests and reports on this worker so far.
    pub fn counts(&self) -> Counts {
        Counts {
            limits: *self.shares.decisions(),
            models_opened: self.targets.openings(),
            reports_dropped: self.outbox.dropped(),
        }
    }

    /// Requests under way to `target` on this worker.
    pub fn busy(&self, target: &str) -> u32 {
        self.targets.get(target).map_or(0, |target| target.busy)
    }

    /// Reserves one same-model retry, where the target is ready and few enough are under way. To be given back by
    /// [`end_retry`](Self::end_retry).
    pub fn begin_retry(&mut self, target: &str, now_ms: u64) -> bool {
        self.targets.entry(target).begin_retry(now_ms)
    }

    /// Gives back a retry.
    pub fn end_retry(&mut self, target: &str) {
        self.targets.entry(target).end_retry();
    }
}

#[cfg(test)]
mod tests;
