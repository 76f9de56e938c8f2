//! Quotas: what of each window is spent, and the arithmetic of shares.
//!
//! A window is a span of time between two multiples of its length since 1970, so that everybody who has the time agrees
//! on it. Workers ask for shares of it instead of asking for each request: a share is at most a quarter of what is left,
//! so that shares grow small where little is left, and never less than what is needed at once.
//!
//! The store in memory counts in a [`Ledger`]; Valkey counts by `lease.lua`, with the same arithmetic, and a [`Ledger`]
//! remembers what it said, for the case that it forgets and for `/status`.

use std::collections::HashMap;

use ai_warp_core::sync::{QuotaAsk, QuotaGrant, QuotaKey};

/// Time that a share of no limit is good for, in milliseconds.
const UNLIMITED_MS: u64 = 60_000;

/// What is spent of the newest known window of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) window_ms: u64,
    /// Windows of this length since 1970.
    pub(super) window: u64,
    pub(super) used: u64,
}

impl Spent {
    /// When the window is over, in milliseconds since 1970.
    pub(super) fn end_ms(&self) -> u64 {
        self.window.saturating_add(1).saturating_mul(self.window_ms)
    }
}

/// The windows of a bounded number of quotas.
#[derive(Debug)]
pub(super) struct Ledger {
    capacity: usize,
    windows: HashMap<QuotaKey, Spent>,
}

impl Ledger {
    /// An empty one for `capacity` quotas.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, windows: HashMap::new() }
    }

    /// What is known of the window of `quota` under way.
    pub(super) fn get(&self, quota: &QuotaKey, now_ms: u64) -> Option<Spent> {
        self.windows.get(quota).copied().filter(|spent| spent.end_ms() > now_ms)
    }

    /// The newest known window of `quota`, perhaps over.
    pub(super) fn newest(&self, quota: &QuotaKey) -> Option<Spent> {
        self.windows.get(quota).copied()
    }

    /// Remembers `spent` of `quota`.
    pub(super) fn set(&mut self, quota: &QuotaKey, spent: Spent, now_ms: u64) {
        if let Some(known) = self.windows.get_mut(quota) {
            *known = spent;
            return;
        }
        if self.windows.len() >= self.capacity {
            self.make_room(now_ms);
        }
        self.windows.insert(quota.clone(), spent);
    }

    /// Forgets windows that are over. Where that is not enough, also those of the consumers of which the least is spent,
    /// because forgetting these lets the least too much through; a quarter at a time, so that it happens rarely. Models are
    /// as many as configured, and are never forgotten.
    fn make_room(&mut self, now_ms: u64) {
        self.windows.retain(|_, spent| spent.end_ms() > now_ms);
        let wanted = self.capacity - self.capacity.div_ceil(4);
        let surplus = self.windows.len().saturating_sub(wanted);
        if surplus == 0 {
            return;
        }
        let is_of_consumer =
            |quota: &QuotaKey| matches!(quota, QuotaKey::ClientRate(_) | QuotaKey::ClientTokens(_));
        let consumers = self.windows.iter().filter(|(quota, _)| is_of_consumer(quota));
        let mut by_use: Vec<(u64, QuotaKey)> =
            consumers.map(|(quota, spent)| (spent.used, quota.clone())).collect();
        by_use.sort_unstable();
        for (_, quota) in by_use.into_iter().take(surplus) {
            self.windows.remove(&quota);
        }
    }
}

/// Gives a share of the window `window`, of which `used` of `max` is spent. Returns the share and what is spent then.
///
/// The same as in `lease.lua`.
pub(super) fn lease(max: u64, window: u64, used: u64, ask: &QuotaAsk) -> (u64, u64) {
    let returned = if ask.window == window { ask.returned } else { 0 };
    let used = used.saturating_sub(returned);
    let left = max.saturating_sub(used);
    let granted = if left >= ask.need { ask.want.max(ask.need).min(ask.need.max(left / 4)) } else { left };
    (granted, used + granted)
}

/// The share of something without a limit.
pub(super) fn unlimited(ask: &QuotaAsk) -> QuotaGrant {
    QuotaGrant { granted: ask.want.max(ask.need), window: 0, remaining_ms: UNLIMITED_MS }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn ask(need: u64, want: u64) -> QuotaAsk {
        QuotaAsk { quota: QuotaKey::ClientRate(Uuid::nil()), need, want, returned: 0, window: 0 }
    }

    #[test]
    fn a_share_is_what_is_wanted_up_to_a_quarter_and_at_least_what_is_needed() {
        for (max, used, need, want, granted) in [
            (100, 0, 1, 10, 10),
            (100, 0, 1, 50, 25),
            (100, 0, 40, 50, 40),
            (100, 96, 1, 50, 1),
            (100, 96, 4, 50, 4),
            (100, 96, 5, 50, 4),
            (100, 100, 1, 50, 0),
            (100, 120, 1, 50, 0),
            (100, 100, 0, 50, 0),
            (100, 0, 0, 50, 25),
            // Asks for less than it needs.
            (100, 0, 3, 1, 3),
            (u64::MAX, 0, u64::MAX, u64::MAX, u64::MAX),
        ] {
            let case = format!("{max} {used} {need} {want}");
            assert_eq!(lease(max, 1, used, &ask(need, want)), (granted, used + granted), "{case}");
        }
    }

    #[test]
    fn only_what_is_of_this_window_comes_back() {
        let returns = |window, returned| QuotaAsk { returned, window, ..ask(0, 0) };
        assert_eq!(lease(100, 5, 60, &returns(5, 20)), (0, 40));
        assert_eq!(lease(100, 5, 60, &returns(4, 20)), (0, 60));
        assert_eq!(lease(100, 5, 60, &returns(5, 61)), (0, 0));
    }

    #[test]
    fn a_full_ledger_forgets_what_is_over_and_then_what_is_least_used() {
        let quota = |number: u64| QuotaKey::ClientRate(Uuid::from_u128(number.into()));
        let spent = |window, used| Spent { window_ms: 1_000, window, used };
        let mut ledger = Ledger::new(8);
        for number in 0..8 {
            ledger.set(&quota(number), spent(number / 4, number), 0);
        }
        ledger.set(&quota(8), spent(1, 8), 1_500);
        assert_eq!(ledger.windows.len(), 5);
        assert_eq!(ledger.get(&quota(4), 1_999), Some(spent(1, 4)));
        assert_eq!(ledger.get(&quota(4), 2_000), None, "over");
        for number in 9..13 {
            ledger.set(&quota(number), spent(1, number), 1_500);
        }
        let known: Vec<u64> = (0..13).filter(|number| ledger.get(&quota(*number), 1_500).is_some()).collect();
        assert_eq!(known, [6, 7, 8, 9, 10, 11, 12]);
        let model = QuotaKey::ModelRate("openai:x".to_owned());
        ledger.set(&model, spent(1, 1), 1_500);
        for number in 20..40 {
            ledger.set(&quota(number), spent(1, number), 1_500);
        }
        assert_eq!(ledger.get(&model, 1_500), Some(spent(1, 1)), "models stay");
    }
}
