//! Whether a model can be tried: a circuit breaker for each model at each endpoint (a *target*).
//!
//! Ready until enough failures; then it rests. When the rest is over, one request tries it, the probe, and all others
//! leave it alone until that is decided: success makes it ready, failure lets it rest again, longer each time. The
//! control plane keeps one [`Health`] of each target for the whole fleet; a worker keeps its own of what it saw itself,
//! for the time until the fleet's is known and for when the control plane is away. Both follow these rules.

use serde::{Deserialize, Serialize};

use crate::config::{Breaker, Restore};

/// Longest rest that a provider may ask for, in milliseconds: a broken header must not take a model away for good.
pub const LONGEST_STATED_REST_MS: u64 = 6 * 3_600_000;

/// Most failures that are remembered of one target, and the most that `breaker.failures` may ask for.
pub const MAX_FAILURES: u32 = 1_000;

/// Why a model rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The provider's rate limit.
    RateLimit,
    /// A server error that retries did not help.
    Retry,
    /// No answer in time, or a stream that paused for too long.
    Timeout,
    /// A connection that failed, or an answer that was broken.
    ProviderCommunicationError,
    /// A quota that is used up.
    ProviderExceededError,
    /// A key that is missing, wrong, or not allowed to do this.
    Credential,
}

/// The rules of one target.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// When it opens.
    pub breaker: &'a Breaker,
    /// How long it rests.
    pub restore: &'a Restore,
}

/// A failure as it counts against a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// What kind.
    pub reason: Reason,
    /// The rest that the provider asked for, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_rest_ms: Option<u64>,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProbeResult {
    /// The model answered, or refused the prompt itself.
    Succeeded,
    /// It failed again.
    Failed(Fault),
    /// Nobody knows: the client left.
    Abandoned,
}

/// What may be done with a target now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// It can be tried.
    Ready,
    /// It rests.
    Resting {
        /// Why.
        reason: Reason,
        /// Until then.
        until_ms: u64,
    },
    /// Its rest is over, and nobody tries it yet.
    Due,
    /// Somebody tries it.
    Probing {
        /// Why it rested.
        reason: Reason,
        /// When somebody else may try.
        until_ms: u64,
    },
}

/// The state of one target. All times are milliseconds of the keeper's own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The failures that count, oldest first: when, and the id of the report. Empty unless ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<(u64, u64)>,
    /// `None` while ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Error {
    reason: Reason,
    since_ms: u64,
    restore_at_ms: u64,
    /// How often in a row it was opened.
    trips: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    id: u64,
    until_ms: u64,
}

impl Health {
    /// What may be done now.
    pub fn view(&self, now_ms: u64) -> View {
        let Some(error) = &self.error else { return View::Ready };
        match &error.probe {
            Some(probe) if now_ms < probe.until_ms => {
                View::Probing { reason: error.reason, until_ms: probe.until_ms }
            }
            _ if now_ms < error.restore_at_ms => {
                View::Resting { reason: error.reason, until_ms: error.restore_at_ms }
            }
            _ => View::Due,
        }
    }

    /// Why and since when it is not ready; `None` while it is.
    pub fn error(&self) -> Option<(Reason, u64)> {
        self.error.as_ref().map(|error| (error.reason, error.since_ms))
    }

    /// How often in a row it was opened; 0 while ready.
    pub fn trips(&self) -> u32 {
        self.error.as_ref().map_or(0, |error| error.trips)
    }

    /// Takes a failure of an ordinary request at `at_ms`, told under `id`; told twice it counts once.
    ///
    /// While the target is not ready, failures of requests that were under way already change nothing, except that a rest
    /// the provider asks for may be longer than the one that runs.
    pub fn fail(&mut self, at_ms: u64, id: u64, fault: Fault, rules: Rules<'_>) {
        if let Some(error) = &mut self.error {
            if let Some(stated) = fault.stated_rest_ms {
                let until_ms = at_ms.saturating_add(stated.min(LONGEST_STATED_REST_MS));
                error.restore_at_ms = error.restore_at_ms.max(until_ms);
            }
            return;
        }
        if self.failures.iter().any(|(_, known)| *known == id) {
            return;
        }
        let oldest = at_ms.saturating_sub(rules.breaker.window_ms);
        self.failures.retain(|(failed_at_ms, _)| *failed_at_ms >= oldest);
        self.failures.push((at_ms, id));
        if self.failures.len() >= rules.breaker.failures.clamp(1, MAX_FAILURES) as usize {
            self.open(at_ms, at_ms, fault, 1, rules);
        }
    }

    fn open(&mut self, since_ms: u64, at_ms: u64, fault: Fault, trips: u32, rules: Rules<'_>) {
        self.failures.clear();
        let rest_ms = rest_ms(fault, trips, rules);
        self.error = Some(Error {
            reason: fault.reason,
            since_ms,
            restore_at_ms: at_ms.saturating_add(rest_ms),
            trips,
            probe: None,
        });
    }

    /// Gives the probe to `id` until `now_ms + life_ms`, where it is due. Returns whether it was given.
    pub fn claim_probe(&mut self, now_ms: u64, id: u64, life_ms: u64) -> bool {
        let is_due = self.view(now_ms) == View::Due;
        match &mut self.error {
            Some(error) if is_due => {
                error.probe = Some(Probe { id, until_ms: now_ms.saturating_add(life_ms) });
                true
            }
            _ => false,
        }
    }

    /// Takes over what others know: that it is not ready before `until_ms`.
    pub fn adopt(&mut self, reason: Reason, now_ms: u64, until_ms: u64) {
        self.failures.clear();
        match &mut self.error {
            Some(error) => (error.reason, error.restore_at_ms) = (reason, until_ms),
            None => {
                self.error =
                    Some(Error { reason, since_ms: now_ms, restore_at_ms: until_ms, trips: 1, probe: None });
            }
        }
    }

    /// Takes over what a worker still knows and the keeper has forgotten: that at `at_ms` it was to rest for `rest_ms` more.
    pub fn recall(&mut self, at_ms: u64, reason: Reason, rest_ms: u64, rules: Rules<'_>) {
        let longest_ms = rules.breaker.max_restore_ms.max(LONGEST_STATED_REST_MS);
        let until_ms = at_ms.saturating_add(rest_ms.min(longest_ms));
        match &mut self.error {
            Some(error) => error.restore_at_ms = error.restore_at_ms.max(until_ms),
            None => self.adopt(reason, at_ms, until_ms),
        }
    }

    /// Takes over that the probe is `id`'s: the keeper of the fleet's state has said so.
    pub fn adopt_probe(&mut self, id: u64, until_ms: u64) {
        if let Some(error) = &mut self.error {
            error.probe = Some(Probe { id, until_ms });
        }
    }

    /// Takes back the probe that was `id`'s.
    pub fn drop_probe(&mut self, id: u64) {
        if let Some(error) = &mut self.error {
            error.probe.take_if(|probe| probe.id == id);
        }
    }

    /// Takes the result of the probe `id`, which ended at `at_ms`. A probe that was not given here, because its keeper was
    /// away or has forgotten, or because it took longer than its life, decides nothing; but that it failed is a failure.
    pub fn end_probe(&mut self, at_ms: u64, id: u64, result: ProbeResult, rules: Rules<'_>) {
        let Some(error) = &mut self.error else {
            if let ProbeResult::Failed(fault) = result {
                self.fail(at_ms, id, fault, rules);
            }
            return;
        };
        if error.probe.as_ref().is_none_or(|probe| probe.id != id) {
            if let (ProbeResult::Failed(fault), None) = (result, &error.probe) {
                let until_ms = at_ms.saturating_add(rest_ms(fault, error.trips, rules));
                error.restore_at_ms = error.restore_at_ms.max(until_ms);
            }
            return;
        }
        match result {
            ProbeResult::Succeeded => self.error = None,
            ProbeResult::Abandoned => error.probe = None,
            ProbeResult::Failed(fault) => {
                let (since_ms, trips) = (error.since_ms, error.trips.saturating_add(1));
                self.open(since_ms, at_ms, fault, trips, rules);
            }
        }
    }
}

/// What the provider asked for, or else the configured rest, doubled with each trip up to `breaker.maxRestore`.
fn rest_ms(fault: Fault, trips: u32, rules: Rules<'_>) -> u64 {
    if let Some(stated) = fault.stated_rest_ms {
        return stated.min(LONGEST_STATED_REST_MS);
    }
    let restore = rules.restore;
    let base_ms = match fault.reason {
        Reason::RateLimit => restore.rate_limit_ms,
        Reason::Retry => restore.retry_ms,
        Reason::Timeout => restore.timeout_ms,
        Reason::ProviderCommunicationError => restore.communication_ms,
        Reason::ProviderExceededError => restore.exceeded_ms,
        Reason::Credential => restore.credential_ms,
    };
    if fault.reason == Reason::Credential {
        // Somebody will mend the key, and must not wait for long then.
        return base_ms;
    }
    let longest_ms = rules.breaker.max_restore_ms.max(base_ms);
    let doublings = trips.saturating_sub(1).min(32);
    base_ms.saturating_mul(1 << doublings).min(longest_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: Breaker = Breaker { failures: 1, window_ms: 10_000, max_restore_ms: 5_000 };
    const RESTORE: Restore = Restore {
        rate_limit_ms: 1_000,
        retry_ms: 2_000,
        timeout_ms: 3_000,
        communication_ms: 4_000,
        exceeded_ms: 50_000,
        credential_ms: 6_000,
    };
    const RULES: Rules<'_> = Rules { breaker: &BREAKER, restore: &RESTORE };

    fn fault(reason: Reason) -> Fault {
        Fault { reason, stated_rest_ms: None }
    }

    fn stated(rest_ms: u64) -> Fault {
        Fault { reason: Reason::RateLimit, stated_rest_ms: Some(rest_ms) }
    }

    #[test]
    fn one_failure_opens_and_one_probe_closes() {
        let mut health = Health::default();
        assert_eq!(health.view(0), View::Ready);
        health.fail(100, 1, fault(Reason::Retry), RULES);
        assert_eq!(health.view(2_099), View::Resting { reason: Reason::Retry, until_ms: 2_100 });
        assert_eq!((health.error(), health.trips()), (Some((Reason::Retry, 100)), 1));
        assert!(!health.claim_probe(2_099, 7, 500));
        assert_eq!(health.view(2_100), View::Due);
        assert!(health.claim_probe(2_100, 7, 500));
        assert!(!health.claim_probe(2_100, 8, 500), "there is one probe");
        assert_eq!(health.view(2_599), View::Probing { reason: Reason::Retry, until_ms: 2_600 });
        health.end_probe(2_500, 8, ProbeResult::Succeeded, RULES);
        assert_ne!(health.view(2_500), View::Ready, "not its probe");
        health.end_probe(2_500, 7, ProbeResult::Succeeded, RULES);
        assert_eq!(health, Health::default());
    }

    #[test]
    fn rests_grow_with_each_failed_probe_up_to_the_cap() {
        let mut health = Health::default();
        health.fail(0, 1, fault(Reason::Retry), RULES);
        let mut now_ms = 2_000;
        for (trips, rest_ms) in [(2, 4_000), (3, 5_000), (4, 5_000)] {
            assert!(health.claim_probe(now_ms, trips, 100));
            health.end_probe(now_ms + 50, trips, ProbeResult::Failed(fault(Reason::Retry)), RULES);
            assert_eq!(
                health.view(now_ms + 50),
                View::Resting { reason: Reason::Retry, until_ms: now_ms + 50 + rest_ms }
            );
            assert_eq!(health.error(), Some((Reason::Retry, 0)), "since the first failure");
            now_ms += 50 + rest_ms;
        }
    }

    #[test]
    fn the_cap_does_not_shorten_a_configured_rest() {
        let mut health = Health::default();
        health.fail(0, 1, fault(Reason::ProviderExceededError), RULES);
        assert_eq!(health.view(0), View::Resting { reason: Reason::ProviderExceededError, until_ms: 50_000 });
    }

    #[test]
    fn a_stated_rest_goes_before_the_configured_one() {
        let mut health = Health::default();
        health.fail(0, 1, stated(70), RULES);
        assert_eq!(health.view(0), View::Resting { reason: Reason::RateLimit, until_ms: 70 });
        // Of a request that was under way already.
        health.fail(10, 2, stated(200), RULES);
        health.fail(11, 3, stated(5), RULES);
        assert_eq!(health.view(0), View::Resting { reason: Reason::RateLimit, until_ms: 210 });
        let mut health = Health::default();
        health.fail(0, 1, stated(u64::MAX), RULES);
        assert_eq!(
            health.view(0),
            View::Resting { reason: Reason::RateLimit, until_ms: LONGEST_STATED_REST_MS }
        );
    }

    #[test]
    fn several_failures_open_only_within_the_window_and_each_counts_once() {
        let breaker = Breaker { failures: 3, ..BREAKER };
        let rules = Rules { breaker: &breaker, ..RULES };
        let mut health = Health::default();
        for (at_ms, id) in [(0, 1), (5_000, 2), (5_001, 2), (10_001, 3)] {
            health.fail(at_ms, id, fault(Reason::Timeout), rules);
            assert_eq!(health.view(at_ms), View::Ready, "at {at_ms}");
        }
        health.fail(10_002, 4, fault(Reason::Timeout), rules);
        assert_eq!(health.view(10_002), View::Resting { reason: Reason::Timeout, until_ms: 13_002 });
    }

    #[test]
    fn an_abandoned_or_lost_probe_leaves_it_due() {
        let mut health = Health::default();
        health.fail(0, 1, fault(Reason::RateLimit), RULES);
        assert!(health.claim_probe(1_000, 1, 100));
        health.end_probe(1_010, 1, ProbeResult::Abandoned, RULES);
        assert_eq!(health.view(1_010), View::Due);
        assert!(health.claim_probe(1_010, 2, 100));
        assert_eq!(health.view(1_110), View::Due, "its life is over");
        assert!(health.claim_probe(1_110, 3, 100));
        health.end_probe(1_120, 2, ProbeResult::Succeeded, RULES);
        assert_eq!(health.trips(), 1, "an old probe decides nothing");
    }

    #[test]
    fn a_probe_that_was_not_given_here_may_lengthen_the_rest_and_nothing_else() {
        let failed = ProbeResult::Failed(fault(Reason::Retry));
        let mut health = Health::default();
        health.fail(0, 1, fault(Reason::Retry), RULES);
        health.end_probe(2_500, 7, ProbeResult::Succeeded, RULES);
        health.end_probe(2_500, 7, failed, RULES);
        assert_eq!(health.view(2_500), View::Resting { reason: Reason::Retry, until_ms: 4_500 });
        health.end_probe(2_400, 8, failed, RULES);
        assert_eq!((health.view(4_500), health.trips()), (View::Due, 1));
        assert!(health.claim_probe(4_500, 9, 100));
        health.end_probe(4_550, 7, failed, RULES);
        assert_eq!(health.view(4_560), View::Probing { reason: Reason::Retry, until_ms: 4_600 });
        // Where everything was forgotten, it is a failure like any other.
        let mut health = Health::default();
        health.end_probe(100, 7, failed, RULES);
        assert_eq!(health.view(100), View::Resting { reason: Reason::Retry, until_ms: 2_100 });
    }

    #[test]
    fn what_is_recalled_rests_for_as_long_as_somebody_knows() {
        let breaker = Breaker { failures: 3, ..BREAKER };
        let rules = Rules { breaker: &breaker, ..RULES };
        let mut health = Health::default();
        for (at_ms, rest_ms, until_ms) in [(100, 50, 150), (110, 20, 150), (120, 100, 220)] {
            health.recall(at_ms, Reason::Timeout, rest_ms, rules);
            assert_eq!(health.view(120), View::Resting { reason: Reason::Timeout, until_ms });
        }
        let mut health = Health::default();
        health.recall(100, Reason::Timeout, 0, rules);
        assert_eq!(health.view(100), View::Due);
        let mut health = Health::default();
        health.recall(0, Reason::Timeout, u64::MAX, rules);
        let until_ms = LONGEST_STATED_REST_MS;
        assert_eq!(health.view(0), View::Resting { reason: Reason::Timeout, until_ms });
    }

    #[test]
    fn is_short_on_the_wire() {
        assert_eq!(serde_json::to_string(&Health::default()).unwrap(), "{}");
        let mut health = Health::default();
        health.fail(1, 1, stated(9), RULES);
        let json = serde_json::to_string(&health).unwrap();
        assert_eq!(serde_json::from_str::<Health>(&json).unwrap(), health);
    }
}
