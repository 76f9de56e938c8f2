//! What the worker knows of each target: its own view of the breaker, and what it has under way there.

use std::collections::HashMap;

use crate::health::{Fault, Health, ProbeResult, Reason, Rules, View};
use crate::sync::TargetError;

/// Wait before a worker asks again for a probe that somebody else may be making, in milliseconds.
const ASK_PROBE_AGAIN_MS: u64 = 1_000;

/// Same-model retries under way that are always allowed for one target.
const MIN_RETRIES: u32 = 3;

/// Beyond that, one for so many requests under way.
const REQUESTS_PER_RETRY: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Targets {
    by_name: HashMap<String, Target>,
    /// How often one of them stopped being ready.
    openings: u64,
}

/// A model at one endpoint.
#[derive(Debug, Default)]
pub(super) struct Target {
    health: Health,
    /// Requests under way.
    pub(super) busy: u32,
    /// Same-model retries waited for or under way.
    retrying: u32,
    probe: AskedProbe,
    pub(super) reported_at_ms: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum AskedProbe {
    #[default]
    No,
    /// A request waits for the answer.
    Asked,
    /// It may be made.
    Given(u64),
    /// Somebody else has it, or nobody knows; ask again then.
    NotGiven { again_at_ms: u64 },
}

/// Who asks what may be done with a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    /// It was told to ask for something before; what others ask for it does not wait for.
    pub(super) is_waiting: bool,
    /// The control plane is away: a worker gives the probe to itself.
    pub(super) is_away: bool,
    /// The id of a probe, should there be one.
    pub(super) id: u64,
    /// And its life, in milliseconds.
    pub(super) life_ms: u64,
}

/// What a request may do with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Go there.
    Ready,
    /// Go there with this probe.
    Probe(u64),
    /// Ask for the probe first.
    AskProbe,
    /// Wait for the probe that was asked for.
    ProbeAsked,
    /// Nothing.
    Resting { until_ms: u64 },
}

impl Targets {
    pub(super) fn get(&self, name: &str) -> Option<&Target> {
        self.by_name.get(name)
    }

    pub(super) fn openings(&self) -> u64 {
        self.openings
    }

    /// The target of this name, ready if it is a new one.
    pub(super) fn entry(&mut self, name: &str) -> &mut Target {
        self.by_name.entry(name.to_owned()).or_default()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// What `asker` may do with `name`.
    pub(super) fn standing(&mut self, name: &str, asker: Asker, now_ms: u64) -> Standing {
        let Asker { is_waiting, is_away, id, life_ms } = asker;
        let Some(target) = self.by_name.get_mut(name) else { return Standing::Ready };
        let view = target.health.view(now_ms);
        match (view, target.probe) {
            (View::Ready, _) => Standing::Ready,
            (_, AskedProbe::Given(given)) => Standing::Probe(given),
            (View::Resting { until_ms, .. } | View::Probing { until_ms, .. }, _) => {
                Standing::Resting { until_ms }
            }
            (View::Due, _) if is_away => {
                target.health.claim_probe(now_ms, id, life_ms);
                Standing::Probe(id)
            }
            (View::Due, AskedProbe::NotGiven { again_at_ms }) if now_ms < again_at_ms => {
                Standing::Resting { until_ms: again_at_ms }
            }
            (View::Due, AskedProbe::Asked) if is_waiting => Standing::ProbeAsked,
            (View::Due, AskedProbe::Asked) => {
                Standing::Resting { until_ms: now_ms.saturating_add(ASK_PROBE_AGAIN_MS) }
            }
            (View::Due, AskedProbe::No | AskedProbe::NotGiven { .. }) => {
                target.probe = AskedProbe::Asked;
                Standing::AskProbe
            }
        }
    }

    /// Takes a failure of this worker's own. Returns whether the fleet must hear of it.
    pub(super) fn fail(&mut self, name: &str, now_ms: u64, id: u64, fault: Fault, rules: Rules<'_>) -> bool {
        let target = self.entry(name);
        let was_open = target.is_open();
        target.health.fail(now_ms, id, fault, rules);
        let is_opened = !was_open && target.is_open();
        self.openings += u64::from(is_opened);
        // Otherwise it changes nothing, here or elsewhere.
        !was_open || fault.stated_rest_ms.is_some()
    }

    /// Takes over what the fleet knows.
    pub(super) fn learn(&mut self, name: &str, error: Option<TargetError>, now_ms: u64) {
        let target = self.entry(name);
        let was_open = target.is_open();
        match error {
            Some(TargetError { reason, retry_in_ms }) => {
                target.health.adopt(reason, now_ms, now_ms.saturating_add(retry_in_ms));
                self.openings += u64::from(!was_open);
            }
            None if was_open => target.health = Health::default(),
            None => {}
        }
    }

    /// Gives up the probes that were given and not made; returns whose, and their ids.
    pub(super) fn take_unused_probes(&mut self) -> Vec<(String, u64)> {
        let mut unused = Vec::new();
        for (name, target) in &mut self.by_name {
            if let AskedProbe::Given(id) = target.probe {
                target.probe = AskedProbe::No;
                target.health.drop_probe(id);
                unused.push((name.clone(), id));
            }
        }
        unused
    }

    /// The targets that are not ready: why, and how long they still rest, in milliseconds.
    pub(super) fn not_ready(&self, now_ms: u64) -> Vec<(String, Reason, u64)> {
        let not_ready = self.by_name.iter().filter_map(|(name, target)| {
            let (reason, _) = target.health.error()?;
            let rest_ms = match target.health.view(now_ms) {
                View::Resting { until_ms, .. } => until_ms.saturating_sub(now_ms),
                View::Ready | View::Due | View::Probing { .. } => 0,
            };
            Some((name.clone(), reason, rest_ms))
        });
        not_ready.collect()
    }
}

impl Target {
    pub(super) fn is_open(&self) -> bool {
        self.health.error().is_some()
    }

    /// A request goes there, with the probe if it `is_probe`.
    pub(super) fn begin(&mut self, is_probe: bool) {
        self.busy += 1;
        if is_probe {
            self.probe = AskedProbe::No;
        }
    }

    /// A request is over.
    pub(super) fn end(&mut self) {
        self.busy = self.busy.saturating_sub(1);
    }

    /// The request that should make the probe `id` may not go on.
    pub(super) fn drop_probe(&mut self, id: u64) {
        // One that was given is still there for whoever comes next; one that the worker took by itself is not.
        if self.probe != AskedProbe::Given(id) {
            self.health.drop_probe(id);
        }
    }

    /// Takes the result of a probe of this worker's.
    pub(super) fn end_probe(&mut self, now_ms: u64, id: u64, result: ProbeResult, rules: Rules<'_>) {
        self.health.end_probe(now_ms, id, result, rules);
    }

    /// The probe `id` was given to this worker.
    pub(super) fn give_probe(&mut self, id: u64, until_ms: u64) {
        self.health.adopt_probe(id, until_ms);
        self.probe = AskedProbe::Given(id);
    }

    /// The probe was not given to this worker.
    pub(super) fn refuse_probe(&mut self, now_ms: u64) {
        self.probe = match self.health.view(now_ms) {
            View::Due => AskedProbe::NotGiven { again_at_ms: now_ms.saturating_add(ASK_PROBE_AGAIN_MS) },
            // The reply said until when.
            View::Ready | View::Resting { .. } | View::Probing { .. } => AskedProbe::No,
        };
    }

    /// Nothing was heard of the probe that was asked for.
    pub(super) fn lose_probe(&mut self) {
        self.probe = AskedProbe::No;
    }

    /// Reserves a same-model retry, where the target is ready and few enough are under way.
    pub(super) fn begin_retry(&mut self, now_ms: u64) -> bool {
        let allowed = MIN_RETRIES.max(self.busy / REQUESTS_PER_RETRY);
        let may_retry = self.retrying < allowed && self.health.view(now_ms) == View::Ready;
        self.retrying += u32::from(may_retry);
        may_retry
    }

    /// Gives back a retry.
    pub(super) fn end_retry(&mut self) {
        self.retrying = self.retrying.saturating_sub(1);
    }
}
