//! The worker's shares of all quotas.

use std::collections::HashMap;

use super::decisions::{self, LimitCounts};
use super::{Ledger, Refusal, ledger};
use crate::config::{Limit, OnUnavailable};
use crate::quota::{Share, Source, Spend, Wish};
use crate::sync::{MAX_FLEET_ITEMS, QuotaAsk, QuotaGrant, QuotaKey};

/// Most quotas a worker knows at a time; consumers beyond are refused. Models are not: there are as many as configured.
const MAX_SHARES: usize = 50_000;

/// Time between two searches for shares that are of no use any more, and wait of a consumer for whom there is no room, in
/// milliseconds.
const TIDY_MS: u64 = 1_000;

/// Most shares that are returned, and most that are asked for, in one message.
const MAX_WISHES: usize = MAX_FLEET_ITEMS / 2;

#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Where there is no control plane: what counts in place of shares.
    ledger: Option<Box<dyn Ledger>>,
    known: HashMap<QuotaKey, Known>,
    tidied_at_ms: u64,
    /// Those of which more is wanted.
    wanted: Vec<QuotaKey>,
    /// Those of which others want more.
    contended: Vec<QuotaKey>,
    decisions: LimitCounts,
}

#[derive(Debug)]
struct Known {
    share: Share,
    limit: Limit,
}

/// Tokens reserved for a request: so many were spent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reserved {
    pub(super) tokens: u64,
    pub(super) source: Source,
}

/// How to spend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// What to do while the control plane cannot be asked; `None` while it can.
    pub(super) away: Option<OnUnavailable>,
    pub(super) now_ms: u64,
}

impl Shares {
    /// Counts by `ledger` from now on, or by shares.
    pub(super) fn set_ledger(&mut self, ledger: Option<Box<dyn Ledger>>) {
        self.ledger = ledger;
    }

    /// Whether there are no shares to ask for.
    pub(super) fn is_by_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// Spends `amount` of what is limited to `limit`.
    ///
    /// # Errors
    /// Why it may not, at least not now.
    pub(super) fn spend(
        &mut self,
        key: &QuotaKey,
        amount: u64,
        limit: Limit,
        terms: Terms,
    ) -> Result<Source, Refusal> {
        let Terms { away, now_ms } = terms;
        if let Some(ledger) = &mut self.ledger {
            let spent = ledger::spend(&mut **ledger, key, amount, limit);
            let (decided, spent) = match spent {
                Ok(window) => (Spend::Done, Ok(Source::Fleet { window })),
                Err(over) => {
                    let until_ms = now_ms.saturating_add(over.wait_ms);
                    (Spend::Over { until_ms }, Err(Refusal::Limited { until_ms }))
                }
            };
            decisions::count(&mut self.decisions, key, decided);
            return spent;
        }
        if !self.known.contains_key(key) {
            let is_bounded = matches!(key, QuotaKey::ClientRate(_) | QuotaKey::ClientTokens(_));
            if is_bounded && self.known.len() >= MAX_SHARES {
                self.tidy(now_ms);
            }
            if is_bounded && self.known.len() >= MAX_SHARES {
                let until_ms = now_ms.saturating_add(TIDY_MS);
                decisions::count(&mut self.decisions, key, Spend::Over { until_ms });
                return Err(Refusal::Limited { until_ms });
            }
            self.known.insert(key.clone(), Known { share: Share::default(), limit });
        }
        let Some(known) = self.known.get_mut(key) else { return Err(Refusal::Ask) };
        known.limit = limit;
        let spent = known.share.spend(amount, limit, away, now_ms);
        if known.share.is_wanted() && !self.wanted.contains(key) {
            self.wanted.push(key.clone());
        }
        decisions::count(&mut self.decisions, key, spent);
        match spent {
            Spend::Done => Ok(known.share.source()),
            Spend::Ask => Err(Refusal::Ask),
            Spend::Over { until_ms } => Err(Refusal::Limited { until_ms }),
        }
    }

    fn tidy(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.tidied_at_ms) >= TIDY_MS {
            self.tidied_at_ms = now_ms;
            self.known.retain(|_, known| !known.share.is_over(known.limit, now_ms));
        }
    }

    pub(super) fn decisions(&self) -> &LimitCounts {
        &self.decisions
    }

    /// Spends `tokens` as [`spend`](Self::spend) does. An amount beyond the whole budget takes all of it; the rest is
    /// settled afterwards.
    ///
    /// # Errors
    /// As [`spend`](Self::spend).
    pub(super) fn reserve(
        &mut self,
        key: &QuotaKey,
        tokens: u64,
        limit: Limit,
        terms: Terms,
    ) -> Result<Reserved, Refusal> {
        let tokens = tokens.min(limit.max.max(1));
        let source = self.spend(key, tokens, limit, terms)?;
        Ok(Reserved { tokens, source })
    }

    /// Gives back what was spent just now, of `source`.
    pub(super) fn refund(&mut self, key: &QuotaKey, amount: u64, source: Source, now_ms: u64) {
        if self.ledger.is_some() {
            self.settle(key, Reserved { tokens: amount, source }, 0, now_ms);
        } else if let Some(Known { share, .. }) = self.known.get_mut(key) {
            share.refund(amount, source, now_ms);
        }
    }

    /// Settles reserved tokens by those that were used.
    pub(super) fn settle(&mut self, key: &QuotaKey, reserved: Reserved, used: u64, now_ms: u64) {
        if let Some(ledger) = &mut self.ledger {
            let Source::Fleet { window } = reserved.source else { return };
            return ledger::settle(&mut **ledger, key, window, reserved.tokens, used);
        }
        let Some(Known { share, .. }) = self.known.get_mut(key) else { return };
        let spent = reserved.tokens;
        if used < spent {
            share.refund(spent - used, reserved.source, now_ms);
        } else {
            share.overspend(used - spent);
        }
    }

    /// What to ask for and to return now; it counts as asked from now on.
    pub(super) fn wishes(&mut self, now_ms: u64) -> Vec<(QuotaKey, Wish)> {
        let wanted = self.wanted.drain(..self.wanted.len().min(MAX_WISHES));
        let mut wishes = Vec::new();
        for key in wanted.chain(self.contended.iter().cloned()) {
            if let Some(Known { share, limit }) = self.known.get_mut(&key)
                && let Some(wish) = share.wish(*limit, now_ms)
            {
                wishes.push((key, wish));
            }
        }
        wishes
    }

    /// Takes what was granted to `wishes`, in their order; where there is no grant, the wish is lost.
    pub(super) fn on_grants(&mut self, wishes: &[(QuotaKey, Wish)], grants: &[QuotaGrant], now_ms: u64) {
        for (index, (key, wish)) in wishes.iter().enumerate() {
            let Some(Known { share, .. }) = self.known.get_mut(key) else { continue };
            match grants.get(index) {
                Some(grant) => share.granted(*grant, *wish, now_ms),
                None => share.lost(),
            }
        }
    }

    /// Others want more of `keys`.
    pub(super) fn contended(&mut self, mut keys: Vec<QuotaKey>) {
        keys.truncate(MAX_WISHES);
        for key in &keys {
            if let Some(Known { share, .. }) = self.known.get_mut(key) {
                share.contended();
            }
        }
        self.contended = keys;
    }

    fn of_contended(&self) -> impl Iterator<Item = &Share> {
        self.contended.iter().filter_map(|key| self.known.get(key)).map(|known| &known.share)
    }

    /// Whether there is something to ask for.
    pub(super) fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether there is something to ask for, or to return.
    pub(super) fn has_wishes(&self, now_ms: u64) -> bool {
        self.has_wanted() || self.of_contended().any(|share| share.has_wish(now_ms))
    }

    /// When there will be something to return.
    pub(super) fn next_return_ms(&self) -> Option<u64> {
        self.of_contended().filter_map(Share::returns_at_ms).min()
    }
}

/// A wish as it is on the wire.
pub(super) fn ask((key, wish): &(QuotaKey, Wish)) -> QuotaAsk {
    QuotaAsk {
        quota: key.clone(),
        need: wish.need,
        want: wish.want,
        returned: wish.returned,
        window: wish.window,
    }
}
