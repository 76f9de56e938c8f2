//! What is written here, written to the shelf as well, where every control plane finds it.
//!
//! The readers here do not wait for it. While one message is under way the next events gather for the one after it, so the cost
//! goes by round trips and not by events. A store that is away is tried again: what was not written yet is still in the log.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::error::ErrorCode;
use tokio::time::{Instant, sleep, timeout_at};

use super::log::{Head, Log, Next};
use super::shelf::{Entry, SIGN_OF_LIFE, Shelf, State, Written};
use crate::store::StoreError;

/// Tries to write the rest of a stream that is over, before it is left to this process alone.
const LAST_TRIES: u32 = 30;

/// Writes `log` to `shelf`, until all of it is there and nobody reads it here any more; it is kept for `life` after that.
/// Says whether all of it is there.
pub(super) async fn run(log: Arc<Log>, shelf: Shelf, life: Duration) -> bool {
    let mut mirror = Mirror { log, shelf, life, told: Told::default(), name: Name::default() };
    let mut watch = mirror.log.watch();
    let mut last_tries = 0;
    loop {
        watch.mark_unchanged();
        if mirror.is_no_stream() {
            mirror.forget().await;
            return true;
        }
        let due = mirror.told.at.map(|at| at + SIGN_OF_LIFE);
        if mirror.is_news() || due.is_none_or(|due| due <= Instant::now()) {
            let written = mirror.write().await;
            mirror.log.note_known();
            match written {
                Ok(Written::Kept { is_cancelled, is_read, delivered }) => {
                    mirror.log.deliver(delivered);
                    mirror.log.note_read_elsewhere(is_read);
                    if is_cancelled {
                        mirror.log.cancel(
                            ErrorCode::StreamInterrupted,
                            "a newer prompt took the place of this one",
                        );
                    }
                }
                Ok(Written::Gone) => mirror.begin_anew(),
                // The end is our own, and only its delivery was to be noted.
                Ok(Written::Ended) if mirror.told.is_over => return true,
                Ok(Written::Ended) => {
                    // Who reads it here reads on, and who comes back here.
                    tracing::warn!(stream = %mirror.log.about.stream, "a stream was missed elsewhere, and ended there");
                    mirror.log.note_read_elsewhere(false);
                    return false;
                }
                Ok(Written::Lost) => {
                    mirror
                        .log
                        .cancel(ErrorCode::StreamInterrupted, "another control plane took the stream over");
                    return true;
                }
                Err(error) => {
                    // Whoever reads it elsewhere cannot tell either.
                    mirror.log.note_read_elsewhere(false);
                    last_tries += u32::from(mirror.log.progress().is_over);
                    if !std::mem::replace(&mut mirror.told.is_failing, true) {
                        let stream = mirror.log.about.stream;
                        tracing::warn!(%stream, "a stream cannot be resumed elsewhere now: {error}");
                    }
                    if last_tries > LAST_TRIES {
                        return false;
                    }
                    sleep(SIGN_OF_LIFE).await;
                }
            }
            continue;
        }
        if mirror.told.is_over && mirror.log.progress().readers == 0 {
            return true;
        }
        if let Some(due) = due {
            _ = timeout_at(due, watch.changed()).await;
        }
    }
}

struct Mirror {
    log: Arc<Log>,
    shelf: Shelf,
    life: Duration,
    told: Told,
    name: Name,
}

/// The session's name for the stream.
#[derive(Debug, Default)]
struct Name {
    /// Whether it was the session's last stream once: then another may be by now.
    is_known: bool,
    /// When it was said last.
    at: Option<Instant>,
}

/// What the shelf has.
#[derive(Debug, Default)]
struct Told {
    /// When it was told something last.
    at: Option<Instant>,
    has_head: bool,
    last: u32,
    delivered: u32,
    readers: usize,
    is_over: bool,
    is_failing: bool,
}

impl Mirror {
    /// Whether the answer is something else than a stream: there is nothing to come back for.
    fn is_no_stream(&self) -> bool {
        self.log.progress().has_head && !matches!(self.log.head(), Some(Head::Stream(_)))
    }

    /// The store has lost what it had: all that is in the log is written again.
    fn begin_anew(&mut self) {
        self.told = Told::default();
        self.name.at = None;
    }

    async fn forget(&self) {
        if let (Some(session), true) = (self.log.about.session, self.told.at.is_some())
            && let Err(error) = self.shelf.forget(session, self.log.about.stream).await
        {
            tracing::debug!(stream = %self.log.about.stream, "it stays on the shelf until it expires: {error}");
        }
    }

    /// Whether there is something to write.
    fn is_news(&self) -> bool {
        let (told, progress) = (&self.told, self.log.progress());
        told.at.is_none()
            || told.has_head != progress.has_head
            || told.last != progress.last
            || told.is_over != progress.is_over
            || told.readers != progress.readers
            // What is delivered while events come is written with them.
            || (progress.is_over && told.delivered != self.log.delivered())
    }

    async fn write(&mut self) -> Result<Written, StoreError> {
        let Self { log, shelf, life, told, name } = self;
        // The end first: all events before it are there by then.
        let end = log.ending();
        let progress = log.progress();
        if let Some(session) = log.about.session
            && name.at.is_none_or(|at| at.elapsed() > *life / 3 || end.is_some())
        {
            shelf.name(session, log.about.stream, !name.is_known, *life).await?;
            *name = Name { is_known: true, at: Some(Instant::now()) };
        }
        let mut before = told.last;
        let events = loop {
            match log.after(before) {
                Next::Events(events) => break events,
                // They were not written in time, and nobody will have them.
                Next::Gone => before = log.dropped(),
                Next::Wait | Next::Over(_) => break Vec::new(),
            }
        };
        let last = events.last().map_or(before, |(position, _)| *position);
        let end = end.filter(|_| last >= log.progress().last);
        // A reader that had everything before has these events at the same time.
        let keeps_up = progress.readers > 0 && log.delivered() >= before;
        let delivered = if keeps_up && end.is_none() { last } else { log.delivered() };
        let head = match log.head() {
            Some(Head::Stream(headers)) if !told.has_head => Some(headers),
            _ => None,
        };
        let has_head = told.has_head || head.is_some();
        let is_over = end.is_some();
        let state = State {
            owner: log.about.owner,
            session: log.about.session.map(|session| session.id),
            head,
            last,
            delivered,
            end,
            ..State::default()
        };
        let entry = Entry {
            stream: log.about.stream,
            is_new: told.at.is_none(),
            state,
            written: told.last,
            before,
            events: &events,
            dropped: log.dropped(),
            life: *life,
        };
        let written = shelf.write(&entry).await?;
        *told = Told {
            at: Some(Instant::now()),
            has_head,
            last,
            delivered,
            readers: progress.readers,
            is_over,
            is_failing: false,
        };
        Ok(written)
    }
}
