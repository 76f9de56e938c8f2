//! The part of a message that is about targets: which of them, and what it makes of their health.
//!
//! The same for both stores: one keeps the health in this process, the other reads it, lets this decide and writes it
//! back. The rules themselves are those of [`Health`].

use std::collections::HashMap;

use ai_warp_core::config::Gateway;
use ai_warp_core::health::{Health, Reason, Rules, View};
use ai_warp_core::sync::{FleetSync, Observed, ProbeAsk, Report, TargetError, TargetNews};

use super::rules::rules;

/// Longest life of a probe, in milliseconds: an asker that says nonsense must not keep a model from everybody for good.
const LONGEST_PROBE_MS: u64 = 3_600_000;

/// What one message says of one target.
pub(super) struct TargetWork<'a> {
    pub(super) target: &'a str,
    rules: Rules<'a>,
    reports: Vec<&'a Report>,
    probes: Vec<&'a ProbeAsk>,
}

impl<'a> TargetWork<'a> {
    /// Everything that `sync` says of targets, by target, in the order of their first mention. Targets that the
    /// configuration does not know are left out.
    pub(super) fn of(sync: &'a FleetSync, gateway: &'a Gateway) -> Vec<Self> {
        let mut work: Vec<Self> = Vec::new();
        let mut places: HashMap<&str, Option<usize>> = HashMap::new();
        let mut place = |work: &mut Vec<Self>, target: &'a str| {
            *places.entry(target).or_insert_with(|| {
                let rules = rules(gateway, target)?;
                work.push(Self { target, rules, reports: Vec::new(), probes: Vec::new() });
                Some(work.len() - 1)
            })
        };
        for report in &sync.reports {
            let place = place(&mut work, &report.target);
            if let Some(found) = place.and_then(|place| work.get_mut(place)) {
                found.reports.push(report);
            }
        }
        for probe in &sync.probes {
            let place = place(&mut work, &probe.target);
            if let Some(found) = place.and_then(|place| work.get_mut(place)) {
                found.probes.push(probe);
            }
        }
        work
    }

    /// Applies it to the target's `health`: reports first, so that whoever reports a probe's end may ask for the next.
    /// Returns the ids of the probes that were given.
    pub(super) fn apply(&self, health: &mut Health, now_ms: u64) -> Vec<u64> {
        for report in &self.reports {
            let at_ms = now_ms.saturating_sub(report.age_ms);
            match report.what {
                Observed::Failed(fault) => health.fail(at_ms, report.id, fault, self.rules),
                Observed::Probed(result) => health.end_probe(at_ms, report.id, result, self.rules),
                Observed::Recalled { reason, rest_ms } => {
                    health.recall(at_ms, reason, rest_ms, self.rules);
                }
            }
        }
        let claims = self.probes.iter();
        let given =
            claims.filter(|ask| health.claim_probe(now_ms, ask.id, ask.life_ms.min(LONGEST_PROBE_MS)));
        given.map(|ask| ask.id).collect()
    }
}

/// The state of a target as gateways are told it.
pub(super) fn news(target: &str, health: &Health, now_ms: u64) -> TargetNews {
    let error =
        health.error().map(|(reason, _)| TargetError { reason, retry_in_ms: retry_in_ms(health, now_ms) });
    TargetNews { target: target.to_owned(), error }
}

/// Time until a probe may be asked for, in milliseconds.
pub(super) fn retry_in_ms(health: &Health, now_ms: u64) -> u64 {
    match health.view(now_ms) {
        View::Ready | View::Due => 0,
        View::Resting { until_ms, .. } | View::Probing { until_ms, .. } => until_ms.saturating_sub(now_ms),
    }
}

/// Tells the log what became of a target: once when it stops being ready, or fails for another reason, and once when it
/// is ready again.
pub(super) fn log_change(target: &str, before: &Health, after: &Health) {
    match (before.error(), after.error()) {
        (Some((was, _)), Some((is, _))) if was == is => {
            if before.trips() != after.trips() {
                tracing::debug!(model = target, reason = ?is, trips = after.trips(), "model failed its probe");
            }
        }
        (_, Some((Reason::Credential, _))) => {
            tracing::error!(model = target, "the provider refuses the key: check the provider's apiKey");
        }
        (_, Some((reason, _))) => tracing::warn!(model = target, ?reason, "model is left alone"),
        (Some(_), None) => tracing::info!(model = target, "model is ready again"),
        (None, None) => {}
    }
}
