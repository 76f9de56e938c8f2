//! Group commit of turns: what to send next, who waits for it, and what is kept when the store is away.
//!
//! One batch is under way per worker at a time; turns that end meanwhile go with the next one. So a busy worker sends
//! few large batches and an idle one commits at once. A response waits for its turn no longer than its own deadline,
//! whatever the batch does; the turn itself is kept and sent again until it is stored, within bounds. Turns leave in the
//! order in which they ended, so that a session's history keeps its order through an outage.

use std::collections::VecDeque;

use crate::sync::{MAX_TURNS_PER_BATCH, Turn, TurnBatchReply, TurnResult};

/// Most bytes of turns kept by one worker; the oldest are dropped, and counted.
pub const MAX_KEPT_BYTES: usize = 16 << 20;

/// Longest wait for the reply to a batch, in milliseconds.
pub const BATCH_TIMEOUT_MS: u64 = 2_000;

/// Most bytes of one batch, unless a single turn is larger.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// First wait before trying again after a failed batch, in milliseconds; doubles up to [`MAX_BACKOFF_MS`].
const MIN_BACKOFF_MS: u64 = 250;

/// Longest wait before trying again, in milliseconds.
const MAX_BACKOFF_MS: u64 = 5_000;

/// A batch unanswered for this long after its timeout has lost its reply, in milliseconds.
const LOST_AFTER_MS: u64 = 1_000;

/// The turns of one worker on their way to the store. `W` identifies who waits.
#[derive(Debug)]
pub struct CommitQueue<W> {
    queued: VecDeque<Pending<W>>,
    in_flight: Vec<Pending<W>>,
    sent_at_ms: u64,
    kept_bytes: usize,
    waiters: usize,
    /// Turns the next batch may have: 1 while the control plane refuses larger ones.
    batch_turns: usize,
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
    /// One reply was lost, as when one of several control planes has gone: its batch is sent once more, at once.
    Doubted,
    /// Nothing is sent, and nobody waits, before `retry_at_ms`.
    Down {
        retry_at_ms: u64,
        backoff_ms: u64,
    },
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The control plane said what became of each turn.
    Answered(TurnBatchReply),
    /// The control plane does not take this batch, and would not take it again.
    Rejected,
    /// No reply, or none that says anything.
    Lost,
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
    /// Given up: for lack of room, or because the store refused them.
    pub dropped: u64,
}

impl<W> Default for CommitQueue<W> {
    fn default() -> Self {
        Self {
            queued: VecDeque::new(),
            in_flight: Vec::new(),
            sent_at_ms: 0,
            kept_bytes: 0,
            waiters: 0,
            batch_turns: MAX_TURNS_PER_BATCH,
            link: Link::Up,
            counts: Counts::default(),
        }
    }
}

impl<W> CommitQueue<W> {
    /// Takes a turn for which `who` waits until `deadline_ms`.
    ///
    /// # Errors
    /// Gives `who` back where there is nothing to wait for, because the store is away. The turn is kept all the same.
    pub fn push(&mut self, turn: &Turn, who: W, deadline_ms: u64) -> Result<(), W> {
        let (waiter, refused) = match self.link {
            Link::Up | Link::Doubted => (Some(Waiter { who, deadline_ms }), None),
            Link::Down { .. } => {
                self.counts.late += 1;
                (None, Some(who))
            }
        };
        self.enqueue(turn, waiter);
        refused.map_or(Ok(()), Err)
    }

    /// Takes a turn for which nobody waits.
    pub fn keep(&mut self, turn: &Turn) {
        self.enqueue(turn, None);
    }

    fn enqueue(&mut self, turn: &Turn, waiter: Option<Waiter<W>>) {
        // A struct of strings and numbers has no way to fail.
        let json = serde_json::to_vec(turn).unwrap_or_default();
        self.kept_bytes += json.len();
        self.waiters += usize::from(waiter.is_some());
        self.queued.push_back(Pending { json, waiter });
        self.drop_excess();
    }

    /// The body of the next batch to send now, a `TurnBatch` as JSON; `None` while one is under way, while the store is
    /// away, or with nothing to send.
    pub fn next_batch(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        let due = match self.link {
            Link::Up | Link::Doubted => true,
            Link::Down { retry_at_ms, .. } => now_ms >= retry_at_ms,
        };
        if !due || !self.in_flight.is_empty() || self.queued.is_empty() {
            return None;
        }
        let mut body = b"{\"turns\":[".to_vec();
        while let Some(next) = self.queued.front() {
            if !self.in_flight.is_empty() {
                let is_full = self.in_flight.len() >= self.batch_turns
                    || body.len() + next.json.len() > MAX_BATCH_BYTES;
                if is_full {
                    break;
                }
                body.push(b',');
            }
            body.extend_from_slice(&next.json);
            self.in_flight.extend(self.queued.pop_front());
        }
        body.extend_from_slice(b"]}");
        self.sent_at_ms = now_ms;
        Some(body)
    }

    /// Takes what came of the batch under way. Says who waits no longer.
    pub fn on_reply(&mut self, reply: Reply, now_ms: u64) -> Vec<Released<W>> {
        let sent = std::mem::take(&mut self.in_flight);
        let results = match reply {
            Reply::Answered(reply) => reply.results,
            Reply::Rejected if sent.len() == 1 => vec![TurnResult::Refused],
            Reply::Rejected => {
                // One of them is at fault: find out which, one by one.
                self.batch_turns = 1;
                self.put_back(sent);
                return Vec::new();
            }
            Reply::Lost if self.link == Link::Up => {
                self.link = Link::Doubted;
                self.put_back(sent);
                return Vec::new();
            }
            Reply::Lost => Vec::new(),
        };
        let mut released = Vec::with_capacity(sent.len());
        let mut again = Vec::new();
        for (index, mut pending) in sent.into_iter().enumerate() {
            let result = results.get(index).copied().unwrap_or(TurnResult::Later);
            let stored = result == TurnResult::Stored;
            if let Some(waiter) = pending.waiter.take() {
                self.release(waiter, stored, &mut released);
            }
            match result {
                TurnResult::Stored => self.counts.stored += 1,
                TurnResult::Refused => self.counts.dropped += 1,
                TurnResult::Later => {
                    again.push(pending);
                    continue;
                }
            }
            self.kept_bytes -= pending.json.len();
        }
        if again.is_empty() {
            self.link = Link::Up;
            if self.queued.is_empty() {
                self.batch_turns = MAX_TURNS_PER_BATCH;
            }
            return released;
        }
        self.put_back(again);
        self.go_down(now_ms);
        self.release_all(|_| true, &mut released);
        self.drop_excess();
        released
    }

    /// Time passes: says whose deadline is over, and gives up a batch whose reply must be lost.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Released<W>> {
        let is_lost = now_ms.saturating_sub(self.sent_at_ms) > BATCH_TIMEOUT_MS + LOST_AFTER_MS;
        if !self.in_flight.is_empty() && is_lost {
            return self.on_reply(Reply::Lost, now_ms);
        }
        let mut released = Vec::new();
        self.release_all(|waiter| waiter.deadline_ms <= now_ms, &mut released);
        released
    }

    /// Whether a batch is under way; its reply is the time to ask for the next.
    pub fn is_batch_under_way(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether anybody waits, so that [`expire`](Self::expire) must be called soon.
    pub fn has_waiters(&self) -> bool {
        self.waiters > 0
    }

    /// What became of the turns so far.
    pub fn counts(&self) -> Counts {
        Counts { waiting: (self.queued.len() + self.in_flight.len()) as u64, ..self.counts }
    }

    /// Lets everybody go to whom `applies`, with a turn that is not stored.
    fn release_all(&mut self, applies: impl Fn(&Waiter<W>) -> bool, released: &mut Vec<Released<W>>) {
        if self.waiters == 0 {
            return;
        }
        let pending = self.in_flight.iter_mut().chain(&mut self.queued);
        let gone: Vec<_> =
            pending.filter_map(|pending| pending.waiter.take_if(|waiter| applies(waiter))).collect();
        for waiter in gone {
            self.release(waiter, false, released);
        }
    }

    fn release(&mut self, waiter: Waiter<W>, stored: bool, released: &mut Vec<Released<W>>) {
        self.waiters -= 1;
        self.counts.late += u64::from(!stored);
        released.push(Released { who: waiter.who, stored });
    }

    fn put_back(&mut self, turns: Vec<Pending<W>>) {
        for pending in turns.into_iter().rev() {
            self.queued.push_front(pending);
        }
    }

    fn go_down(&mut self, now_ms: u64) {
        let backoff_ms = match self.link {
            Link::Up | Link::Doubted => MIN_BACKOFF_MS,
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
mod tests;
