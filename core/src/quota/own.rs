//! Windows of a worker's own, while the control plane is away and where that is wanted.
//!
//! A worker goes on with as much for each window as it was granted for the last whole one. Windows go on as the fleet counts
//! them, and the shares of one window sum up to the budget at most; so the budget holds as long as the load stays spread as
//! it was. Beyond it is what the others let through: a worker whose last share was none has a small part, one that had its
//! first share in the window that was cut short goes on with that one, and one that never asked takes a quarter of the limit.
//!
//! Back in the middle of a window, a worker goes on like that for a while and only tells what it let through, until all
//! have told: else those who come back first would be granted what others have spent. Where a window begins while some are
//! back and some are not yet, they are: that window can take what those had, more than its budget.

use super::{SMALLEST_PART, Spend};
use crate::config::Limit;

/// For so long after an outage a worker asks for nothing new in a window in which it was on its own, in milliseconds:
/// longer than others take to find that the control plane is back.
const SETTLE_MS: u64 = 1_500;

/// Part of a budget that a worker takes which never heard of the quota: what the control plane would give it at most.
const FIRST_PART: u64 = 4;

/// What a worker lets through by itself in the window under way.
#[derive(Debug, Default)]
pub(super) struct OwnWindow {
    ends_at_ms: u64,
    left: u64,
    /// Not paid from what was granted since. Of no meaning when the window is over.
    unpaid: u64,
    stage: Stage,
}

/// Whether a worker goes by windows of its own.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It was not away yet.
    #[default]
    Connected,
    /// The control plane is away.
    Away,
    /// The control plane is back, but until then perhaps not for all.
    Back { until_ms: u64 },
}

/// The last window of the fleet's that a worker knows of.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastWindow {
    /// No later than its end.
    pub(super) ends_at_ms: u64,
    /// No earlier than its end.
    pub(super) ended_by_ms: u64,
    /// The worker's share of the last whole one; `None` where it never heard of any.
    pub(super) had: Option<u64>,
}

impl OwnWindow {
    pub(super) fn ends_at_ms(&self) -> u64 {
        self.ends_at_ms
    }

    /// The control plane is away.
    pub(super) fn go_away(&mut self) {
        self.stage = Stage::Away;
    }

    /// The control plane is not away.
    pub(super) fn come_back(&mut self, now_ms: u64) {
        if self.stage == Stage::Away {
            self.stage = Stage::Back { until_ms: now_ms.saturating_add(SETTLE_MS) };
        }
    }

    /// Until when a worker that was on its own in the window under way only tells of it; `None` where it was not.
    pub(super) fn settles_until_ms(&self, now_ms: u64) -> Option<u64> {
        let Stage::Back { until_ms } = self.stage else { return None };
        let until_ms = until_ms.min(self.ends_at_ms);
        (now_ms < until_ms).then_some(until_ms)
    }

    /// Spends `amount`: of what the worker had, or, where it never asked, of what it might have got.
    pub(super) fn spend(&mut self, amount: u64, limit: Limit, last: LastWindow, now_ms: u64) -> Spend {
        if now_ms >= self.ends_at_ms
            && let Err(until_ms) = self.open(limit, last, now_ms)
        {
            return Spend::Over { until_ms };
        }
        if self.left < amount {
            return Spend::Over { until_ms: self.ends_at_ms };
        }
        self.left -= amount;
        self.unpaid = self.unpaid.saturating_add(amount);
        Spend::Done
    }

    /// Opens the window under way: within one of the fleet's, on whichever side of the truth its ends are. Where replies took
    /// long beside the window, that is given up for having windows at all. The error is when a window can be opened.
    fn open(&mut self, limit: Limit, last: LastWindow, now_ms: u64) -> Result<(), u64> {
        let length_ms = limit.window_ms.max(1);
        let begins_ms = last.ended_by_ms.min(last.ends_at_ms.saturating_add(length_ms / 4));
        let since_ms = now_ms.checked_sub(begins_ms).ok_or(begins_ms)?;
        let passed_ms = since_ms - since_ms % length_ms + length_ms;
        let ends_at_ms = last.ends_at_ms.saturating_add(passed_ms);
        if now_ms >= ends_at_ms {
            return Err(begins_ms.saturating_add(passed_ms));
        }
        let part = match last.had {
            Some(had) => had.max(limit.max / SMALLEST_PART),
            None => limit.max / FIRST_PART,
        };
        *self = Self { ends_at_ms, left: part.max(1).min(limit.max), unpaid: 0, stage: self.stage };
        Ok(())
    }

    /// What it let through in the window under way and has not paid.
    pub(super) fn unpaid(&mut self, now_ms: u64) -> &mut u64 {
        if now_ms >= self.ends_at_ms {
            self.unpaid = 0;
        }
        &mut self.unpaid
    }

    /// Gives back what turned out not to be needed.
    pub(super) fn refund(&mut self, amount: u64) {
        self.left = self.left.saturating_add(amount);
        self.unpaid = self.unpaid.saturating_sub(amount);
    }
}
