//! The events of one stream, as this process has them: written by one, read by any number, each from where it wants.
//!
//! Nobody is waited for: a reader that is slow reads later, and one that is too slow finds that the events it wants are gone.
//! So what is held is bounded by what is kept of a stream, whatever its readers do.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ai_warp_core::api::Format;
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::sync::SessionKey;
use axum::body::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use uuid::Uuid;

/// Most bytes of events that are handed out at once.
pub(super) const MAX_PIECE_BYTES: usize = 64 << 10;

/// What is noted as delivered of a stream of which nobody gets the rest who does not say where it was.
pub(super) const SUPERSEDED: u32 = u32::MAX;

/// What is known of a stream before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    /// Its id.
    pub(super) stream: Uuid,
    /// Whose it is.
    pub(super) owner: Option<Uuid>,
    /// The session that its turn is stored in.
    pub(super) session: Option<SessionKey>,
    /// The client's format.
    pub(super) format: Format,
}

/// How an answer begins.
#[derive(Debug, Clone)]
pub(super) enum Head {
    /// As a stream, with these headers.
    Stream(HeaderMap),
    /// As something else, which is all there is.
    Whole(StatusCode, HeaderMap, Bytes),
    /// Not at all: the gateway could not be reached from here.
    Declined,
}

/// How a stream is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The gateway ended it, for better or worse: its last event says how.
    Told,
    /// Nobody could end it: whoever reads it is told this.
    Interrupted(GatewayError),
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_events: usize,
    pub(super) max_bytes: usize,
    /// Of all streams together: above that each keeps its newest event alone.
    pub(super) max_total_bytes: u64,
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) has_head: bool,
    /// Position of the last event, from 1.
    pub(super) last: u32,
    /// Who reads it: here, and elsewhere.
    pub(super) readers: usize,
    pub(super) is_read_elsewhere: bool,
    pub(super) is_cancelled: bool,
    pub(super) is_over: bool,
    /// Whether other control planes know of it, or cannot be told.
    pub(super) is_known: bool,
}

impl Progress {
    /// Whether anybody reads it.
    pub(super) fn is_attended(self) -> bool {
        self.readers > 0 || self.is_read_elsewhere
    }
}

/// What comes after a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These events, each with its position.
    Events(Vec<(u32, Bytes)>),
    /// Nothing yet.
    Wait,
    /// Nothing more.
    Over(End),
    /// The events after it are not kept any more.
    Gone,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) about: About,
    bounds: Bounds,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    /// Bytes that all logs hold.
    total_bytes: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    head: Option<Head>,
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Events that are not kept any more.
    dropped: u32,
    /// Position of the last event that was written to somebody.
    delivered: u32,
    end: Option<End>,
    cancelled: Option<GatewayError>,
}

impl Log {
    pub(super) fn new(about: About, bounds: Bounds, total_bytes: Arc<AtomicU64>) -> Self {
        let (state, progress) = (Mutex::default(), watch::Sender::default());
        Self { about, bounds, state, progress, total_bytes }
    }

    /// One that is written elsewhere, of which only what comes after `position` is wanted here.
    pub(super) fn replica(about: About, bounds: Bounds, position: u32, total_bytes: Arc<AtomicU64>) -> Self {
        let state = State { dropped: position, delivered: position, ..State::default() };
        let progress = Progress { last: position, is_known: true, ..Progress::default() };
        let (state, progress) = (Mutex::new(state), watch::Sender::new(progress));
        Self { about, bounds, state, progress, total_bytes }
    }

    /// How many of its events are not kept any more.
    pub(super) fn dropped(&self) -> u32 {
        self.lock().dropped
    }

    /// Every method leaves the state whole before anything could panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To wait for what comes.
    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Sets how the answer begins.
    pub(super) fn begin(&self, head: Head) {
        self.lock().head = Some(head);
        self.progress.send_modify(|progress| progress.has_head = true);
    }

    /// How the answer begins, once it has.
    pub(super) fn head(&self) -> Option<Head> {
        self.lock().head.clone()
    }

    /// Adds events.
    pub(super) fn append(&self, events: Vec<Bytes>) {
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let mut state = self.lock();
        let before = state.bytes;
        for event in events {
            state.bytes += event.len();
            state.events.push_back(event);
        }
        self.total_bytes.fetch_add((state.bytes - before) as u64, Ordering::Relaxed);
        while state.events.len() > self.bounds.max_events
            || (state.events.len() > 1
                && (state.bytes > self.bounds.max_bytes
                    || self.total_bytes.load(Ordering::Relaxed) > self.bounds.max_total_bytes))
        {
            let Some(oldest) = state.events.pop_front() else { break };
            state.bytes -= oldest.len();
            self.total_bytes.fetch_sub(oldest.len() as u64, Ordering::Relaxed);
            state.dropped = state.dropped.saturating_add(1);
        }
        drop(state);
        self.progress.send_modify(|progress| progress.last = progress.last.saturating_add(count));
    }

    /// Ends it; what was said first holds.
    pub(super) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.progress.send_modify(|progress| progress.is_over = true);
    }

    /// How it is over, once it is.
    pub(super) fn ending(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// What comes after `position`, as much as makes one piece.
    pub(super) fn after(&self, position: u32) -> Next {
        let state = self.lock();
        if position < state.dropped {
            return Next::Gone;
        }
        let mut bytes = 0;
        let mut events = Vec::new();
        let skipped = (position - state.dropped) as usize;
        // Inclusive, as a client may claim to have had the last event there can be.
        for (at, event) in (position.saturating_add(1)..=u32::MAX).zip(state.events.iter().skip(skipped)) {
            bytes += event.len();
            events.push((at, event.clone()));
            if bytes >= MAX_PIECE_BYTES {
                break;
            }
        }
        match (&state.end, events.is_empty()) {
            (_, false) => Next::Events(events),
            (Some(end), true) => Next::Over(end.clone()),
            (None, true) => Next::Wait,
        }
    }

    /// Notes that what it says, or will, is wanted by nobody who does not name it.
    pub(super) fn supersede(&self) {
        self.deliver(SUPERSEDED);
    }

    /// Notes that everything up to `position` was written to somebody.
    pub(super) fn deliver(&self, position: u32) {
        let mut state = self.lock();
        state.delivered = state.delivered.max(position);
    }

    /// The position after which somebody goes on who does not say where it was: after what was written to whom it lost.
    pub(super) fn delivered(&self) -> u32 {
        self.lock().delivered
    }

    /// Asks whoever writes it to stop, and to say this.
    pub(super) fn cancel(&self, code: ErrorCode, why: &str) {
        self.lock().cancelled.get_or_insert(GatewayError::new(code, why));
        self.progress.send_modify(|progress| progress.is_cancelled = true);
    }

    /// Why it is to stop, where it is.
    pub(super) fn cancelled(&self) -> Option<GatewayError> {
        self.lock().cancelled.clone()
    }

    /// Somebody reads it, until the value is dropped.
    pub(super) fn attend(self: &Arc<Self>) -> Attendance {
        self.progress.send_modify(|progress| progress.readers += 1);
        Attendance(Arc::clone(self))
    }

    /// Notes that other control planes know of it, or cannot be told.
    pub(super) fn note_known(&self) {
        self.progress.send_if_modified(|progress| !std::mem::replace(&mut progress.is_known, true));
    }

    /// Whether somebody reads it at another control plane.
    pub(super) fn note_read_elsewhere(&self, is_read: bool) {
        self.progress.send_if_modified(|progress| {
            let changed = progress.is_read_elsewhere != is_read;
            progress.is_read_elsewhere = is_read;
            changed
        });
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let bytes = self.lock().bytes as u64;
        self.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A reader of a log.
#[derive(Debug)]
pub(super) struct Attendance(Arc<Log>);

impl Attendance {
    pub(super) fn log(&self) -> &Arc<Log> {
        &self.0
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.progress.send_modify(|progress| progress.readers = progress.readers.saturating_sub(1));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::streams) fn about(stream: u128, session: Option<u128>) -> About {
        let session = session.map(|id| SessionKey { owner: None, id: Uuid::from_u128(id) });
        About {
            stream: Uuid::from_u128(stream << 32),
            owner: None,
            session,
            format: Format::Unified { stream: true },
        }
    }

    fn log(max_events: usize, max_bytes: usize) -> Arc<Log> {
        Arc::new(Log::new(
            about(1, None),
            Bounds { max_events, max_bytes, max_total_bytes: u64::MAX },
            Arc::default(),
        ))
    }

    fn events(texts: &[&'static str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    fn positions(next: Next) -> Vec<u32> {
        match next {
            Next::Events(events) => events.into_iter().map(|(position, _)| position).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everyone_reads_from_where_they_are() {
        let log = log(10, 100);
        assert_eq!(log.after(0), Next::Wait);
        log.append(events(&["a", "b", "c"]));
        assert_eq!(positions(log.after(0)), [1, 2, 3]);
        assert_eq!(positions(log.after(2)), [3]);
        assert_eq!(log.after(3), Next::Wait);
        assert_eq!(log.after(9), Next::Wait, "of what another control plane had and this one has not yet");
        log.end(End::Told);
        assert_eq!(log.after(3), Next::Over(End::Told));
        log.end(End::Interrupted(GatewayError::new(ErrorCode::StreamInterrupted, "late")));
        assert_eq!(log.after(3), Next::Over(End::Told), "what was said first holds");
    }

    #[test]
    fn a_piece_is_bounded() {
        let log = log(10, usize::MAX);
        let large = || Bytes::from(vec![b'x'; MAX_PIECE_BYTES]);
        log.append(vec![large(), large(), large()]);
        assert_eq!(positions(log.after(0)), [1]);
        assert_eq!(positions(log.after(1)), [2]);
    }

    #[test]
    fn the_oldest_go_and_whoever_wants_them_is_told() {
        let log = log(3, 100);
        log.append(events(&["a", "b", "c", "d", "e"]));
        assert_eq!(log.after(1), Next::Gone);
        assert_eq!(positions(log.after(2)), [3, 4, 5]);
        let log = self::log(10, 4);
        log.append(events(&["aaa", "bbb", "ccccc"]));
        assert_eq!(positions(log.after(2)), [3], "one event stays, however large");
        let total = Arc::clone(&log.total_bytes);
        assert_eq!(total.load(Ordering::Relaxed), 5);
        drop(log);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn knows_who_attends() {
        let log = log(10, 100);
        let (one, two) = (log.attend(), log.attend());
        drop(one);
        assert!(log.progress().is_attended());
        drop(two);
        assert!(!log.progress().is_attended());
        log.note_read_elsewhere(true);
        assert!(log.progress().is_attended());
    }
}
