//! The shared state in this process, for a fleet with one control plane. Gone when it ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ai_warp_core::config::Gateway;
use ai_warp_core::health::Health;
use ai_warp_core::sync::{FleetReply, FleetSync, QuotaAsk, QuotaGrant, QuotaKey};
use uuid::Uuid;

use super::board::{Board, Clock, Known, MAX_CONTENDED};
use super::ledger::{Ledger, Spent, lease, unlimited};
use super::rules::limit;
use super::targets::{self, TargetWork};

/// Most quotas counted at a time; an invented consumer costs about a hundred bytes until its window is over.
const MAX_QUOTAS: usize = 100_000;

/// The shared state in memory.
#[derive(Debug)]
pub struct MemoryShared {
    clock: Clock,
    /// Identifies this memory.
    memory: String,
    pub(super) board: Board,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Every target that has anything against it.
    health: HashMap<String, Health>,
    quotas: Ledger,
    contended: BTreeMap<QuotaKey, u64>,
}

impl Default for MemoryShared {
    /// Nothing is known to be wrong, and nothing spent. Its windows are aligned by the system's clock at this time; later
    /// changes of that clock do not move them.
    fn default() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let state =
            State { health: HashMap::new(), quotas: Ledger::new(MAX_QUOTAS), contended: BTreeMap::new() };
        let shared = Self {
            clock: Clock::showing(now_ms),
            memory: Uuid::new_v4().to_string(),
            board: Board::default(),
            state: Mutex::new(state),
        };
        shared.publish(&shared.lock());
        shared
    }
}

impl MemoryShared {
    pub(super) fn sync(&self, sync: &FleetSync, gateway: &Gateway) -> FleetReply {
        let work = TargetWork::of(sync, gateway);
        let now_ms = self.clock.now_ms();
        let mut reply = FleetReply { memory: self.memory.clone(), ..FleetReply::default() };
        let mut state = self.lock();
        let mut is_changed = false;
        for work in &work {
            let before = state.health.get(work.target).cloned().unwrap_or_default();
            let mut after = before.clone();
            reply.probes.extend(work.apply(&mut after, now_ms));
            reply.targets.push(targets::news(work.target, &after, now_ms));
            if after != before {
                is_changed = true;
                targets::log_change(work.target, &before, &after);
                state.set_health(work.target, after);
            }
        }
        for ask in &sync.quotas {
            let (grant, is_news) = state.lease(ask, gateway, now_ms);
            is_changed |= is_news;
            reply.quotas.push(grant);
        }
        // With the lock held, so that no later change is overtaken.
        if is_changed {
            self.publish(&state);
        }
        reply
    }

    pub(super) fn spent(&self, quota: &QuotaKey, now_ms: u64) -> Option<Spent> {
        self.lock().quotas.get(quota, now_ms)
    }

    fn publish(&self, state: &State) {
        let not_ready = state.health.iter().filter(|(_, health)| health.error().is_some());
        self.board.publish(Known {
            clock: self.clock,
            memory: self.memory.clone(),
            targets: not_ready.map(|(target, health)| (target.clone(), health.clone())).collect(),
            contended: state.contended.clone(),
        });
    }

    /// Nothing that holds it can panic halfway through a change that matters, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set_health(&mut self, target: &str, health: Health) {
        if health == Health::default() {
            self.health.remove(target);
        } else {
            self.health.insert(target.to_owned(), health);
        }
    }

    /// A share of what `ask` is about, and whether its quota is newly contended.
    fn lease(&mut self, ask: &QuotaAsk, gateway: &Gateway, now_ms: u64) -> (QuotaGrant, bool) {
        let Some(limit) = limit(gateway, &ask.quota) else { return (unlimited(ask), false) };
        let window_ms = limit.window_ms.max(1);
        let window = now_ms / window_ms;
        // After a change of the limit's window a new count begins.
        let known = self.quotas.get(&ask.quota, now_ms).filter(|spent| spent.window_ms == window_ms);
        let used = known.map_or(0, |spent| spent.used);
        let (granted, used) = lease(limit.max, window, used, ask);
        let spent = Spent { window_ms, window, used };
        self.quotas.set(&ask.quota, spent, now_ms);
        let end_ms = spent.end_ms();
        let is_contended = granted < ask.need && self.contend(&ask.quota, end_ms, now_ms);
        (QuotaGrant { granted, window, remaining_ms: end_ms.saturating_sub(now_ms) }, is_contended)
    }

    /// Marks `quota` as contended; whether that is new.
    fn contend(&mut self, quota: &QuotaKey, end_ms: u64, now_ms: u64) -> bool {
        if self.contended.get(quota) == Some(&end_ms) {
            return false;
        }
        self.contended.retain(|_, end_ms| *end_ms > now_ms);
        if self.contended.len() >= MAX_CONTENDED {
            return false;
        }
        self.contended.insert(quota.clone(), end_ms);
        true
    }
}
