//! Group commit of turns: what to send next, who waits for it, and what is kept when the store is away.
//!
//! One batch is under way per worker at a time; turns that end meanwhile go with the next one. So a busy worker sends
//! few large batches and an idle one commits at once. A response waits for its turn no longer than its deadline; the
//! turn itself is kept and sent again until it is stored, within bounds. Turns leave in the order in which they ended,
//! so that a session's history keeps its order through an outage.

use std::collections::VecDeque;

use crate::sync::{MAX_TURNS_PER_BATCH, Turn, TurnBatchReply};

/// Most bytes of turns kept by one worker; the oldest are dropped, and counted.
pub const MAX_KEPT_BYTES: usize = 16 << 20;

/// Most bytes of one batch, unless a single turn is larger.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// First wait before trying again after a failed batch; doubles up to [`MAX_BACKOFF_MS`].
const MIN_BACKOFF_MS: u64 = 250;

/// Longest wait before trying again.
const MAX_BACKOFF_MS: u64 = 5_000;

/// Time for a batch for which nobody waits.
const BACKGROUND_TIMEOUT_MS: u64 = 2_000;

/// The turns of one worker on their way to the store. `W` identifies who waits.
#[derive(Debug)]
pub struct CommitQueue<W> {
    queued: VecDeque<Pending<W>>,
    in_flight: Vec<Pending<W>>,
    kept_bytes: usize,
    link: Link,
    counts: Counts,
}

#[derive(Debug)]
struct Pending<W> {
    json: Vec<u8>,
    waiter: Option<Waiter<W>>,
}

#[derive(Debug)]
struct Waiter<W> {
    who: W,
    deadline_ms: u64,
}

/// Whether the store is believed to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    /// Nothing is sent, and nobody waits, before `retry_at_ms`.
    Down {
        retry_at_ms: u64,
        backoff_ms: u64,
    },
}

/// A batch to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// A `TurnBatch` as JSON.
    pub body: Vec<u8>,
    /// How long to wait for the reply.
    pub timeout_ms: u64,
}

/// A response that waits no longer.
#[derive(Debug, PartialEq, Eq)]
pub struct Released<W> {
    /// Who waited.
    pub who: W,
    /// Whether the turn is stored; if not, it is kept and sent again.
    pub stored: bool,
}

/// What became of the turns of this worker since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not stored yet.
    pub waiting: u64,
    /// Stored.
    pub stored: u64,
    /// Not stored when their response went out.
    pub late: u64,
    /// Given up for lack of room.
    pub dropped: u64,
}

impl<W> Default for CommitQueue<W> {
    fn default() -> Self {
        Self {
            queued: VecDeque::new(),
            in_flight: Vec::new(),
            kept_bytes: 0,
            link: Link::Up,
            counts: Counts::default(),
        }
    }
}

impl<W> CommitQueue<W> {
    /// Takes a turn for which `who` waits until `deadline_ms`. Gives `who` back where there is nothing to wait for,
    /// because the store is away.
    pub fn push(&mut self, turn: &Turn, who: W, deadline_ms: u64) -> Result<(), W> {
        // A struct of strings and numbers has no way to fail.
        let json = serde_json::to_vec(turn).unwrap_or_default();
        self.kept_bytes += json.len();
        let (waiter, refused) = match self.link {
            Link::Up => (Some(Waiter { who, deadline_ms }), None),
            Link::Down { .. } => {
                self.counts.late += 1;
                (None, Some(who))
            }
        };
        self.queued.push_back(Pending { json, waiter });
        self.drop_excess();
        refused.map_or(Ok(()), Err)
    }

    /// The next batch to send now; `None` while one is under way, while the store is away, or with nothing to send.
    pub fn next_batch(&mut self, now_ms: u64) -> Option<Batch> {
        let due = match self.link {
            Link::Up => true,
            Link::Down { retry_at_ms, .. } => now_ms >= retry_at_ms,
        };
        if !due || !self.in_flight.is_empty() || self.queued.is_empty() {
            return None;
        }
        let mut body = b"{\"turns\":[".to_vec();
        while let Some(next) = self.queued.front() {
            let first = self.in_flight.is_empty();
            if !first
                && (self.in_flight.len() >= MAX_TURNS_PER_BATCH
                    || body.len() + next.json.len() > MAX_BATCH_BYTES)
            {
                break;
            }
            if !first {
                body.push(b',');
            }
            body.extend_from_slice(&next.json);
            self.in_flight.extend(self.queued.pop_front());
        }
        body.extend_from_slice(b"]}");
        // Those behind this batch wait as well: their deadlines count too.
        let waiters = self.in_flight.iter().chain(&self.queued).filter_map(|pending| pending.waiter.as_ref());
        let soonest = waiters.map(|waiter| waiter.deadline_ms.saturating_sub(now_ms)).min();
        Some(Batch { body, timeout_ms: soonest.unwrap_or(BACKGROUND_TIMEOUT_MS).max(1) })
    }

    /// Takes the reply to the batch under way, or `None` where there was none in time. Says who waits no longer.
    pub fn on_reply(&mut self, reply: Option<TurnBatchReply>, now_ms: u64) -> Vec<Released<W>> {
        let sent = std::mem::take(&mut self.in_flight);
        let stored = reply.map(|reply| reply.stored).unwrap_or_default();
        let mut released = Vec::with_capacity(sent.len());
        let mut again = Vec::new();
        for (index, mut pending) in sent.into_iter().enumerate() {
            let is_stored = stored.get(index).copied().unwrap_or(false);
            if let Some(waiter) = pending.waiter.take() {
                self.counts.late += u64::from(!is_stored);
                released.push(Released { who: waiter.who, stored: is_stored });
            }
            if is_stored {
                self.counts.stored += 1;
                self.kept_bytes -= pending.json.len();
            } else {
                again.push(pending);
            }
        }
        if again.is_empty() {
            self.link = Link::Up;
            return released;
        }
        for pending in again.into_iter().rev() {
            self.queued.push_front(pending);
        }
        self.go_down(now_ms);
        for pending in &mut self.queued {
            if let Some(waiter) = pending.waiter.take() {
                self.counts.late += 1;
                released.push(Released { who: waiter.who, stored: false });
            }
        }
        self.drop_excess();
        released
    }

    /// What became of the turns so far.
    pub fn counts(&self) -> Counts {
        Counts { waiting: (self.queued.len() + self.in_flight.len()) as u64, ..self.counts }
    }

    fn go_down(&mut self, now_ms: u64) {
        let backoff_ms = match self.link {
            Link::Up => MIN_BACKOFF_MS,
            Link::Down { backoff_ms, .. } => (backoff_ms * 2).min(MAX_BACKOFF_MS),
        };
        self.link = Link::Down { retry_at_ms: now_ms + backoff_ms, backoff_ms };
    }

    /// Drops the oldest turns over the bound. A turn for which somebody waits, or under way, is never dropped: those
    /// are bounded by the requests alive.
    fn drop_excess(&mut self) {
        while self.kept_bytes > MAX_KEPT_BYTES {
            match self.queued.front() {
                Some(oldest) if oldest.waiter.is_none() => {
                    self.kept_bytes -= oldest.json.len();
                    self.counts.dropped += 1;
                    self.queued.pop_front();
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Outcome;
    use crate::sync::TurnBatch;
    use uuid::Uuid;

    fn turn(number: u128, bytes: usize) -> Turn {
        Turn {
            session_id: Uuid::nil(),
            turn_id: Uuid::from_u128(number),
            prompt: String::new(),
            response: "x".repeat(bytes),
            result: Outcome::Complete,
            model: "m".into(),
            at_ms: 0,
        }
    }

    fn ids(batch: &Batch) -> Vec<u128> {
        let batch: TurnBatch = serde_json::from_slice(&batch.body).unwrap();
        batch.turns.iter().map(|turn| turn.turn_id.as_u128()).collect()
    }

    fn reply(stored: &[bool]) -> Option<TurnBatchReply> {
        Some(TurnBatchReply { stored: stored.to_vec() })
    }

    #[test]
    fn turns_that_end_while_a_batch_is_under_way_go_with_the_next() {
        let mut queue = CommitQueue::default();
        queue.push(&turn(1, 1), "a", 250).unwrap();
        let first = queue.next_batch(10).unwrap();
        assert_eq!((ids(&first), first.timeout_ms), (vec![1], 240));
        queue.push(&turn(2, 1), "b", 260).unwrap();
        queue.push(&turn(3, 1), "c", 270).unwrap();
        assert_eq!(queue.next_batch(11), None, "one batch at a time");
        assert_eq!(queue.on_reply(reply(&[true]), 12), [Released { who: "a", stored: true }]);
        assert_eq!(ids(&queue.next_batch(12).unwrap()), [2, 3]);
        assert_eq!(queue.on_reply(reply(&[true, true]), 13).len(), 2);
        assert_eq!(queue.counts(), Counts { stored: 3, ..Counts::default() });
    }

    #[test]
    fn a_failed_batch_releases_everybody_and_is_sent_again_in_order() {
        let mut queue = CommitQueue::default();
        queue.push(&turn(1, 1), "a", 250).unwrap();
        queue.next_batch(0).unwrap();
        queue.push(&turn(2, 1), "b", 250).unwrap();
        let released = queue.on_reply(None, 100);
        assert_eq!(released, [Released { who: "a", stored: false }, Released { who: "b", stored: false }]);
        assert_eq!(queue.push(&turn(3, 1), "c", 400), Err("c"), "nobody waits for a store that is away");
        assert_eq!(queue.next_batch(100 + MIN_BACKOFF_MS - 1), None);
        let again = queue.next_batch(100 + MIN_BACKOFF_MS).unwrap();
        assert_eq!((ids(&again), again.timeout_ms), (vec![1, 2, 3], BACKGROUND_TIMEOUT_MS));
        assert!(queue.on_reply(reply(&[true, true, true]), 400).is_empty());
        assert_eq!(queue.counts(), Counts { stored: 3, late: 3, ..Counts::default() });
        assert!(queue.push(&turn(4, 1), "d", 800).is_ok(), "the store is back");
    }

    #[test]
    fn what_a_reply_does_not_confirm_is_kept() {
        let mut queue = CommitQueue::default();
        queue.push(&turn(1, 1), "a", 250).unwrap();
        queue.push(&turn(2, 1), "b", 250).unwrap();
        queue.next_batch(0).unwrap();
        let released = queue.on_reply(reply(&[true]), 1);
        assert_eq!(released, [Released { who: "a", stored: true }, Released { who: "b", stored: false }]);
        assert_eq!(ids(&queue.next_batch(MIN_BACKOFF_MS + 1).unwrap()), [2]);
    }

    #[test]
    fn the_wait_before_trying_again_grows_to_its_cap() {
        let mut queue = CommitQueue::default();
        queue.push(&turn(1, 1), (), 0).unwrap();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(queue.next_batch(now).is_some());
            queue.on_reply(None, now);
            let wait = (0..).find(
                |wait| matches!(queue.link, Link::Down { retry_at_ms, .. } if retry_at_ms <= now + wait),
            );
            waits.push(wait.unwrap());
            now += wait.unwrap();
        }
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_go_first() {
        let mut queue = CommitQueue::default();
        queue.push(&turn(0, 1), 0, 0).unwrap();
        queue.next_batch(0).unwrap();
        queue.on_reply(None, 0);
        for number in 1..=40 {
            let _ = queue.push(&turn(number, 1 << 20), number, 0);
        }
        let counts = queue.counts();
        assert!(counts.waiting <= 16 && counts.dropped >= 24, "{counts:?}");
        assert_eq!(counts.waiting + counts.dropped, 41);
        let batch = queue.next_batch(MIN_BACKOFF_MS).unwrap();
        assert!(batch.body.len() <= MAX_BATCH_BYTES, "a batch is bounded");
        assert_eq!(ids(&batch).first(), Some(&26));
    }

    #[test]
    fn a_turn_larger_than_a_batch_goes_alone() {
        let mut queue = CommitQueue::default();
        queue.push(&turn(1, MAX_BATCH_BYTES + 1), "a", 9).unwrap();
        queue.push(&turn(2, 1), "b", 9).unwrap();
        assert_eq!(ids(&queue.next_batch(0).unwrap()), [1]);
    }

    #[test]
    fn a_batch_has_a_bounded_number_of_turns() {
        let mut queue = CommitQueue::default();
        for number in 0..600 {
            queue.push(&turn(number, 1), number, 9).unwrap();
        }
        assert_eq!(ids(&queue.next_batch(0).unwrap()).len(), MAX_TURNS_PER_BATCH);
    }
}
