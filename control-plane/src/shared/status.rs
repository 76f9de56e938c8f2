//! The shared state for people.

use ai_warp_core::config::Gateway;
use ai_warp_core::health::{Health, Reason, View};
use ai_warp_core::sync::QuotaKey;
use serde::Serialize;

use super::board::Known;
use super::ledger::Spent;
use super::rules::{limit, name};
use super::targets::retry_in_ms;

/// The part of `/status` that is about models and quotas.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedStatus {
    /// Every target of the configuration, in its order.
    pub models: Vec<ModelStatus>,
    /// What only a person can mend.
    pub problems: Vec<String>,
    /// The quotas of models and routes, as far as this control plane knows: in Valkey, others may have spent more since it asked.
    pub quotas: Vec<QuotaStatus>,
}

/// One target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    model: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
    trips: u32,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ready,
    Error,
    Probing,
    /// The store was away ever since the start.
    Unknown,
}

/// One quota in the window under way.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaStatus {
    quota: String,
    max: u64,
    /// What gateways may spend, spent or not.
    granted: u64,
    window_ends_in_ms: u64,
}

impl ModelStatus {
    /// The target, and the name of its state.
    pub fn state(&self) -> (&str, &'static str) {
        let state = match self.state {
            State::Ready => "ready",
            State::Error => "error",
            State::Probing => "probing",
            State::Unknown => "unknown",
        };
        (&self.model, state)
    }
}

impl QuotaStatus {
    /// Which quota.
    pub fn name(&self) -> &str {
        &self.quota
    }

    /// What its limit allows in one window.
    pub fn limit(&self) -> u64 {
        self.max
    }

    /// What gateways may spend of it in the window under way.
    pub fn granted(&self) -> u64 {
        self.granted
    }
}

impl SharedStatus {
    pub(super) fn of(
        gateway: &Gateway,
        known: Option<&Known>,
        spent: impl Fn(&QuotaKey, u64) -> Option<Spent>,
    ) -> Self {
        let mut status = Self { models: Vec::new(), problems: Vec::new(), quotas: Vec::new() };
        for target in gateway.models.iter().flat_map(|model| &model.targets) {
            status.models.push(ModelStatus::of(target, known));
            let reason = known.and_then(|known| known.targets.get(target)?.error());
            if let Some((Reason::Credential, _)) = reason {
                status.problems.push(format!("{target}: the provider refuses the key (credential)"));
            }
        }
        let Some(known) = known else { return status };
        let now_ms = known.clock.now_ms();
        let of_model = |id: &String| [QuotaKey::ModelRate(id.clone()), QuotaKey::ModelTokens(id.clone())];
        let of_route = |id: &String| [QuotaKey::RouteRate(id.clone()), QuotaKey::RouteTokens(id.clone())];
        let of_models = gateway.models.iter().flat_map(|model| of_model(&model.id));
        for quota in of_models.chain(gateway.routes.iter().flat_map(|route| of_route(&route.name))) {
            let Some((limit, spent)) = limit(gateway, &quota).zip(spent(&quota, now_ms)) else {
                continue;
            };
            // One of another length is of the limit before a change.
            if spent.window_ms == limit.window_ms {
                status.quotas.push(QuotaStatus {
                    quota: name(&quota),
                    max: limit.max,
                    granted: spent.used,
                    window_ends_in_ms: spent.end_ms().saturating_sub(now_ms),
                });
            }
        }
        status
    }
}

impl ModelStatus {
    fn of(target: &str, known: Option<&Known>) -> Self {
        let ready = Health::default();
        let health = known.and_then(|known| known.targets.get(target)).unwrap_or(&ready);
        let now_ms = known.map_or(0, |known| known.clock.now_ms());
        let state = match health.view(now_ms) {
            _ if known.is_none() => State::Unknown,
            View::Ready => State::Ready,
            View::Resting { .. } | View::Due => State::Error,
            View::Probing { .. } => State::Probing,
        };
        let error = health.error();
        Self {
            model: target.to_owned(),
            state,
            reason: error.map(|(reason, _)| reason),
            since_ms: error.map(|(_, since_ms)| since_ms),
            retry_in_ms: error.map(|_| retry_in_ms(health, now_ms)),
            trips: health.trips(),
        }
    }
}
