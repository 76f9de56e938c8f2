//! What gateways are told: the notice board that long polls wait at.
//!
//! A version is made of what there is to tell, so that the boards of several control planes on one store agree on it.
//! Nobody is woken when a rest ends: gateways are told when it will, and can count themselves.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ai_warp_core::health::Health;
use ai_warp_core::sync::{FleetNews, NEWS_WAIT_MS, QuotaKey};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::targets;
use crate::store::StoreError;

/// Most contended quotas that are told at a time. Who is not told keeps a share a little longer, no more.
pub(super) const MAX_CONTENDED: usize = 1_024;

/// A clock of the store's, as far as this process can tell. Tokio's time moves it, which tests can stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    start_ms: u64,
}

impl Clock {
    /// A clock that shows `now_ms`.
    pub(super) fn showing(now_ms: u64) -> Self {
        Self { started: Instant::now(), start_ms: now_ms }
    }

    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.start_ms.saturating_add(elapsed_ms)
    }
}

/// The shared state as far as gateways hear of it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) clock: Clock,
    /// Identifies the store's memory.
    pub(super) memory: String,
    /// Every target that is not ready.
    pub(super) targets: BTreeMap<String, Health>,
    /// Contended quotas with the ends of their windows, some of them perhaps over.
    pub(super) contended: BTreeMap<QuotaKey, u64>,
}

impl Known {
    /// The name of the memory, and a hash of all that is told.
    fn version(&self) -> String {
        let mut hasher = DefaultHasher::new();
        // Plain structs of strings and numbers have no way to fail.
        serde_json::to_vec(&self.targets).unwrap_or_default().hash(&mut hasher);
        self.contended.hash(&mut hasher);
        format!("{}.{:016x}", self.memory, hasher.finish())
    }

    fn tell(&self, version: String) -> FleetNews {
        let now_ms = self.clock.now_ms();
        let targets = self.targets.iter().map(|(target, health)| targets::news(target, health, now_ms));
        let contended = self.contended.iter().filter(|(_, end_ms)| **end_ms > now_ms);
        FleetNews {
            version,
            memory: self.memory.clone(),
            targets: targets.collect(),
            contended: contended.map(|(quota, _)| quota.clone()).collect(),
        }
    }
}

/// The notice board of one process.
#[derive(Debug, Default)]
pub(super) struct Board(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    version: String,
    /// `None` until the store answered for the first time.
    known: Option<Known>,
}

impl Board {
    /// Puts up what is known now; wakes those who wait where it is news to them.
    pub(super) fn publish(&self, known: Known) {
        let version = known.version();
        self.0.send_if_modified(|state| {
            let is_news = state.version != version;
            *state = State { version, known: Some(known) };
            is_news
        });
    }

    /// What is known, at once.
    pub(super) fn known(&self) -> Option<Known> {
        self.0.borrow().known.clone()
    }

    /// The name of the store's memory as it was known last; empty where nothing is known yet.
    pub(super) fn memory(&self) -> String {
        self.0.borrow().known.as_ref().map(|known| known.memory.clone()).unwrap_or_default()
    }

    /// Whether there is no use in marking `quota` as contended until `end_ms`: it is, or there are enough.
    pub(super) fn has_contention(&self, quota: &QuotaKey, end_ms: u64) -> bool {
        let state = self.0.borrow();
        state.known.as_ref().is_some_and(|known| {
            known.contended.get(quota).is_some_and(|known_ms| *known_ms >= end_ms)
                || known.contended.len() >= MAX_CONTENDED
        })
    }

    /// What is known as soon as it is news after `version`, after [`NEWS_WAIT_MS`] in any case.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] where nothing was ever known: to tell that no target rests would be wrong.
    pub(super) async fn news(&self, version: &str) -> Result<FleetNews, StoreError> {
        let mut state = self.0.subscribe();
        let is_news = |state: &State| state.known.is_some() && state.version != version;
        let _ = timeout(Duration::from_millis(NEWS_WAIT_MS), state.wait_for(is_news)).await;
        self.news_now()
    }

    /// The same without waiting.
    pub(super) fn news_now(&self) -> Result<FleetNews, StoreError> {
        let state = self.0.borrow();
        match &state.known {
            Some(known) => Ok(known.tell(state.version.clone())),
            None => Err(StoreError::Unreachable("no answer yet".to_owned())),
        }
    }
}
