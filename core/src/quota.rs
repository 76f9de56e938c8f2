//! A worker's share of a quota that the whole fleet has in common.
//!
//! The control plane grants shares of a window's budget; a worker spends its share without asking. It asks for more
//! before it runs dry, as much as it is likely to spend soon. Nothing is spent after the window's end, which the worker
//! places no later than it really is, so the sum over all workers never exceeds the budget of any window.
//!
//! While the control plane is away, a worker may go on by itself ([`own`]).

mod own;

use crate::config::{Limit, OnUnavailable};
use crate::sync::QuotaGrant;

use self::own::{LastWindow, OwnWindow};

/// How much of its recent demand a worker asks for at once, in milliseconds of it.
const HORIZON_MS: u64 = 250;

/// How long before it runs dry a worker asks for more, in milliseconds of recent demand.
const AHEAD_MS: u64 = 50;

/// Wait before asking again for what the fleet has used up: somebody may have returned a share. In milliseconds.
const ASK_AGAIN_MS: u64 = 100;

/// A share that was not spent from for this long is returned where others need it, in milliseconds.
const IDLE_MS: u64 = 100;

/// Smallest part of a budget worth asking for, so that rare requests need not ask each time.
const SMALLEST_PART: u64 = 64;

/// Wait that a client is told where limits cannot be checked and are closed, in milliseconds.
const CLOSED_MS: u64 = 1_000;

/// One worker's share of one quota.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// The fleet's number of the window that the next fields are about.
    window: u64,
    /// No later than the window's end.
    ends_at_ms: u64,
    /// No earlier than the window's end.
    ended_by_ms: u64,
    left: u64,
    /// Granted for this window and not returned, and for the one right before.
    granted: u64,
    granted_before: Option<u64>,
    /// The control plane went away in this window, so more might have been granted.
    is_cut_short: bool,
    /// The fleet had less than was needed; ask again at the time.
    used_up: Option<u64>,
    /// Others need more than there is.
    is_contended: bool,
    /// Spent beyond what was granted: by answers that took more tokens than estimated, or without the control plane.
    debt: u64,
    own: OwnWindow,
    /// Needed now and not there.
    need: u64,
    is_wanted: bool,
    is_asked: bool,
    spent_since_ask: u64,
    asked_at_ms: u64,
    spent_at_ms: u64,
    source: Source,
}

/// A window that is spent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// One of the fleet's, by its number.
    Fleet { window: u64 },
    /// One of the worker's own, by its end.
    Own { ends_at_ms: u64 },
}

impl Default for Source {
    fn default() -> Self {
        Self::Own { ends_at_ms: 0 }
    }
}

/// What came of an attempt to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spend {
    /// It is spent.
    Done,
    /// The control plane must be asked first.
    Ask,
    /// The budget is used up until then.
    Over {
        /// On the worker's clock.
        until_ms: u64,
    },
}

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) need: u64,
    pub(crate) want: u64,
    pub(crate) returned: u64,
    pub(crate) window: u64,
}

impl Share {
    /// Spends `amount`. `away` says what to do while the control plane cannot be asked; `None` while it can.
    pub(crate) fn spend(
        &mut self,
        amount: u64,
        limit: Limit,
        away: Option<OnUnavailable>,
        now_ms: u64,
    ) -> Spend {
        if now_ms >= self.ends_at_ms {
            self.left = 0;
            self.used_up = None;
            self.is_contended = false;
        }
        if self.left >= amount {
            self.left -= amount;
            self.spent_since_ask = self.spent_since_ask.saturating_add(amount);
            self.spent_at_ms = now_ms;
            self.source = Source::Fleet { window: self.window };
            let runs_dry = self.used_up.is_none() && self.left < self.soon(AHEAD_MS, now_ms);
            self.is_wanted |= away.is_none() && runs_dry;
            return Spend::Done;
        }
        if let Some(mode) = away {
            let is_in_window = now_ms < self.ends_at_ms;
            self.is_cut_short |= is_in_window;
            return match mode {
                OnUnavailable::Allow if is_in_window => Spend::Over { until_ms: self.ends_at_ms },
                OnUnavailable::Allow => {
                    self.own.go_away();
                    self.spend_own(amount, limit, now_ms)
                }
                OnUnavailable::Deny => {
                    Spend::Over { until_ms: now_ms.saturating_add(CLOSED_MS.min(limit.window_ms)) }
                }
            };
        }
        self.own.come_back(now_ms);
        if let Some(settled_ms) = self.own.settles_until_ms(now_ms) {
            let spent = self.spend_own(amount, limit, now_ms);
            self.is_wanted |= *self.own.unpaid(now_ms) > 0;
            return if spent == Spend::Done { spent } else { Spend::Over { until_ms: settled_ms } };
        }
        match self.used_up {
            Some(again_at_ms) => {
                if now_ms >= again_at_ms {
                    self.is_wanted = true;
                    self.need = amount;
                }
                Spend::Over { until_ms: self.ends_at_ms }
            }
            None => {
                self.is_wanted = true;
                // What waits already is part of the demand.
                self.need = self.need.saturating_add(amount);
                Spend::Ask
            }
        }
    }

    fn spend_own(&mut self, amount: u64, limit: Limit, now_ms: u64) -> Spend {
        let had = match self.granted_before {
            Some(before) if self.is_cut_short => before,
            _ => self.granted,
        };
        let last = LastWindow {
            ends_at_ms: self.ends_at_ms,
            ended_by_ms: self.ended_by_ms,
            had: self.is_known().then_some(had),
        };
        let spent = self.own.spend(amount, limit, last, now_ms);
        if spent == Spend::Done {
            self.source = Source::Own { ends_at_ms: self.own.ends_at_ms() };
        }
        spent
    }

    /// Whether any window was ever heard of.
    fn is_known(&self) -> bool {
        self.ended_by_ms > 0
    }

    /// Recent demand over `span_ms`.
    fn soon(&self, span_ms: u64, now_ms: u64) -> u64 {
        // A moment says nothing of a rate.
        let elapsed_ms = now_ms.saturating_sub(self.asked_at_ms).max(AHEAD_MS);
        self.spent_since_ask.saturating_mul(span_ms) / elapsed_ms
    }

    /// The window that was spent from last.
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// Gives back what was spent from `source` and turned out not to be needed, where that window is still under way.
    pub(crate) fn refund(&mut self, amount: u64, source: Source, now_ms: u64) {
        match source {
            Source::Fleet { window } if window == self.window && now_ms < self.ends_at_ms => {
                self.left = self.left.saturating_add(amount);
            }
            Source::Own { ends_at_ms } if ends_at_ms == self.own.ends_at_ms() && now_ms < ends_at_ms => {
                self.own.refund(amount);
            }
            Source::Fleet { .. } | Source::Own { .. } => {}
        }
    }

    /// Counts what was spent beyond what was reserved.
    pub(crate) fn overspend(&mut self, amount: u64) {
        let paid = amount.min(self.left);
        self.left -= paid;
        self.debt = self.debt.saturating_add(amount - paid);
    }

    /// What to ask for now, if anything. It counts as asked until [`granted`](Self::granted) or [`lost`](Self::lost).
    pub(crate) fn wish(&mut self, limit: Limit, now_ms: u64) -> Option<Wish> {
        if self.is_asked {
            return None;
        }
        let returned = self.idle(now_ms);
        if !self.is_wanted && returned == 0 {
            return None;
        }
        self.left -= returned;
        self.granted = self.granted.saturating_sub(returned);
        let (need, want) = if self.is_wanted {
            let owed = self.debt.saturating_add(*self.own.unpaid(now_ms));
            let need = self.need.saturating_add(owed);
            let soon = self.soon(HORIZON_MS, now_ms).max(limit.max / SMALLEST_PART);
            let is_settling = self.own.settles_until_ms(now_ms).is_some();
            (need, if is_settling { need } else { need.saturating_add(soon).max(1) })
        } else {
            (0, 0)
        };
        self.spent_since_ask = 0;
        self.asked_at_ms = now_ms;
        self.is_asked = true;
        self.is_wanted = false;
        self.need = 0;
        Some(Wish { need, want, returned, window: self.window })
    }

    /// What lies idle while others need it.
    fn idle(&self, now_ms: u64) -> u64 {
        let is_idle = now_ms.saturating_sub(self.spent_at_ms) >= IDLE_MS;
        if self.is_contended && is_idle && now_ms < self.ends_at_ms { self.left } else { 0 }
    }

    /// Whether more is wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Whether there is something to ask for, or to return.
    pub(crate) fn has_wish(&self, now_ms: u64) -> bool {
        !self.is_asked && (self.is_wanted || self.idle(now_ms) > 0)
    }

    /// When a share that others need will have been idle for long enough; `None` where none is.
    pub(crate) fn returns_at_ms(&self) -> Option<u64> {
        let at_ms = self.spent_at_ms.saturating_add(IDLE_MS);
        let may_return = self.is_contended && self.left > 0 && !self.is_asked;
        (may_return && at_ms < self.ends_at_ms).then_some(at_ms)
    }

    /// Takes what was granted to the wish made at `asked_at_ms`.
    pub(crate) fn granted(&mut self, grant: QuotaGrant, wish: Wish, now_ms: u64) {
        self.answered();
        if !self.is_known() || self.window != grant.window {
            let granted = std::mem::take(&mut self.granted);
            let is_next = self.is_known() && grant.window == self.window.wrapping_add(1);
            self.granted_before = is_next.then_some(granted);
            self.window = grant.window;
            self.ends_at_ms = 0;
            self.ended_by_ms = u64::MAX;
            self.left = 0;
            self.is_cut_short = false;
            self.is_contended = false;
        }
        // Both clocks count whole milliseconds, so one of them may be missing.
        let ends_at_ms = self.asked_at_ms.saturating_add(grant.remaining_ms).saturating_sub(1);
        self.ends_at_ms = self.ends_at_ms.max(ends_at_ms);
        let ended_by_ms = now_ms.saturating_add(grant.remaining_ms).saturating_add(1);
        self.ended_by_ms = self.ended_by_ms.min(ended_by_ms);
        self.granted = self.granted.saturating_add(grant.granted);
        let mut left = self.left.saturating_add(grant.granted);
        // What a worker on its own let through comes out of the fleet's budget.
        pay(&mut self.debt, &mut left);
        pay(self.own.unpaid(now_ms), &mut left);
        self.left = left;
        self.used_up = (grant.granted < wish.need).then(|| now_ms.saturating_add(ASK_AGAIN_MS));
    }

    /// The wish got no reply. What was to be returned may have been, so it is gone.
    pub(crate) fn lost(&mut self) {
        self.answered();
    }

    /// Whoever waits tries again now, and says so again what is needed.
    fn answered(&mut self) {
        self.is_asked = false;
        self.need = 0;
    }

    /// Others need more than there is.
    pub(crate) fn contended(&mut self) {
        self.is_contended = true;
    }

    /// Whether nothing of it matters any more. A debt that nobody asks about for a window does not: it must not take
    /// up room for ever.
    pub(crate) fn is_over(&self, limit: Limit, now_ms: u64) -> bool {
        let is_paid = self.debt == 0 || now_ms >= self.ends_at_ms.saturating_add(limit.window_ms);
        let is_out_of_use = !self.is_asked && !self.is_wanted;
        now_ms >= self.ends_at_ms && now_ms >= self.own.ends_at_ms() && is_out_of_use && is_paid
    }
}

/// Pays as much of `debt` as there is.
fn pay(debt: &mut u64, from: &mut u64) {
    let paid = (*debt).min(*from);
    *debt -= paid;
    *from -= paid;
}

#[cfg(test)]
mod tests;
