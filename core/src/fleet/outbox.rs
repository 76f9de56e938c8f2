//! What a worker has to say to the control plane: kept until it is taken, one message under way at a time.

use std::collections::VecDeque;

use super::ASK_TIMEOUT_MS;
use crate::quota::Wish;
use crate::sync::{MAX_FLEET_ITEMS, ProbeAsk, QuotaKey, Report};

/// Most reports kept; the oldest are dropped.
const MAX_REPORTS: usize = 10_000;

/// Wait after the first message without a reply, in milliseconds. One alone does not mean that the control plane is away: on a
/// busy machine a reply can be late, and limits are better than guesses.
const FIRST_BACKOFF_MS: u64 = 50;

/// Wait after the next one, in milliseconds; doubles up to [`MAX_BACKOFF_MS`].
const MIN_BACKOFF_MS: u64 = 250;

/// Longest wait before trying again, in milliseconds.
const MAX_BACKOFF_MS: u64 = 500;

/// For how long a reply is a sign of life, in milliseconds.
const LIFE_MS: u64 = 1_000;

/// No reply for so long, in milliseconds, is more than a busy control plane's.
const SILENCE_MS: u64 = 5_000;

/// A message unanswered for this long after its timeout has lost its reply, in milliseconds.
const LOST_AFTER_MS: u64 = 1_000;

/// Reports and questions on their way to the control plane.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// With the time of what they tell.
    reports: VecDeque<(u64, Report)>,
    probes: Vec<ProbeAsk>,
    under_way: Option<Sent>,
    /// When the last reply came.
    heard_at_ms: Option<u64>,
    /// Whether to ask for a sign of life, with nothing else to say.
    is_doubted: bool,
    /// Since the last message got no reply.
    failing: Option<Failing>,
    /// Reports that had to make room.
    dropped: u64,
}

/// What the message under way holds.
#[derive(Debug, Default)]
pub(super) struct Sent {
    reports: Vec<(u64, Report)>,
    pub(super) probes: Vec<ProbeAsk>,
    pub(super) wishes: Vec<(QuotaKey, Wish)>,
    at_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    /// When the first message without a reply was sent.
    since_ms: u64,
    retry_at_ms: u64,
    backoff_ms: u64,
}

impl Outbox {
    /// Whether the last message got no reply.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Whether the last two got none.
    pub(super) fn is_away(&self) -> bool {
        self.failing.is_some_and(|failing| failing.backoff_ms > FIRST_BACKOFF_MS)
    }

    /// Whether there has been no reply for so long that nobody can be there.
    pub(super) fn is_silent(&self, now_ms: u64) -> bool {
        self.failing.is_some_and(|failing| now_ms >= failing.since_ms.saturating_add(SILENCE_MS))
    }

    pub(super) fn report(&mut self, at_ms: u64, report: Report) {
        if self.reports.len() >= MAX_REPORTS {
            self.reports.pop_front();
            self.dropped += 1;
        }
        self.reports.push_back((at_ms, report));
    }

    pub(super) fn ask_probe(&mut self, ask: ProbeAsk) {
        self.probes.push(ask);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether something is on its way that tells of `target`.
    pub(super) fn has_report_of(&self, target: &str) -> bool {
        let sent = self.under_way.iter().flat_map(|sent| &sent.reports);
        self.reports.iter().chain(sent).any(|(_, report)| report.target == target)
    }

    pub(super) fn has_any(&self) -> bool {
        !self.reports.is_empty() || !self.probes.is_empty() || self.is_doubted
    }

    /// Somebody is about to wait for the control plane: asks for a sign of life, if the last is not a new one.
    pub(super) fn doubt(&mut self, now_ms: u64) {
        self.is_doubted |= self.heard_at_ms.is_none_or(|heard_ms| now_ms >= heard_ms.saturating_add(LIFE_MS));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    pub(super) fn may_send(&self, now_ms: u64) -> bool {
        self.under_way.is_none() && self.failing.is_none_or(|failing| now_ms >= failing.retry_at_ms)
    }

    /// Sends the next message, with `wishes` in it; returns its reports and questions.
    pub(super) fn send(
        &mut self,
        wishes: Vec<(QuotaKey, Wish)>,
        now_ms: u64,
    ) -> (Vec<Report>, Vec<ProbeAsk>) {
        let reports: Vec<_> = self.reports.drain(..self.reports.len().min(MAX_FLEET_ITEMS)).collect();
        let probes: Vec<_> = self.probes.drain(..self.probes.len().min(MAX_FLEET_ITEMS)).collect();
        let aged = reports
            .iter()
            .map(|(at_ms, report)| Report { age_ms: now_ms.saturating_sub(*at_ms), ..report.clone() });
        let said = (aged.collect(), probes.clone());
        self.is_doubted = false;
        self.under_way = Some(Sent { reports, probes, wishes, at_ms: now_ms });
        said
    }

    /// Takes what came of the message under way, and says what it held.
    pub(super) fn on_reply(&mut self, is_good: bool, now_ms: u64) -> Sent {
        let mut sent = self.under_way.take().unwrap_or_default();
        if is_good {
            self.failing = None;
            self.heard_at_ms = Some(now_ms);
            return sent;
        }
        for report in sent.reports.drain(..).rev() {
            self.reports.push_front(report);
        }
        let (since_ms, backoff_ms) = match self.failing {
            None => (sent.at_ms, FIRST_BACKOFF_MS),
            Some(Failing { since_ms, backoff_ms, .. }) => {
                (since_ms, (backoff_ms * 2).clamp(MIN_BACKOFF_MS, MAX_BACKOFF_MS))
            }
        };
        let retry_at_ms = now_ms.saturating_add(backoff_ms);
        self.failing = Some(Failing { since_ms, retry_at_ms, backoff_ms });
        sent
    }

    pub(super) fn is_lost(&self, now_ms: u64) -> bool {
        self.under_way.as_ref().is_some_and(|sent| now_ms >= sent.lost_at_ms())
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        match &self.under_way {
            Some(sent) => Some(sent.lost_at_ms()),
            None => self.failing.map(|failing| failing.retry_at_ms),
        }
    }
}

impl Sent {
    fn lost_at_ms(&self) -> u64 {
        self.at_ms.saturating_add(ASK_TIMEOUT_MS + LOST_AFTER_MS)
    }
}
