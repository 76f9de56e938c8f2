//! What is written here, written to the shelf as well, where every control plane finds it.
//!
//! The readers here do not wait for it. While one message is under way the next events gather for the one after it, so the cost
//! goes by round trips and not by events. A store that is away is tried again: what was not written yet is still in the log.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::error::ErrorCode;
use tokio::time::timeout;

use super::log::{Head, Log, Next, Progress};
use super::shelf::{Entry, SIGN_OF_LIFE, Shelf, State, Written};

/// How long the store may be away after the end of a stream before nobody tries to write it there any more.
const LAST_TRIES: u32 = 30;

/// Writes `log` to `shelf`, until all of it is there and nobody reads it here any more; it is kept for `life` after that.
pub(super) async fn run(log: Arc<Log>, shelf: Shelf, life: Duration) {
    let mut watch = log.watch();
    _ = watch.wait_for(|progress| progress.has_head).await;
    if !matches!(log.head(), Some(Head::Stream(_))) {
        // There is no stream, and so nothing to come back for.
        return;
    }
    let mut told = Told::default();
    let mut failures = 0;
    loop {
        watch.mark_unchanged();
        if told.is_news(log.progress(), &log) || timeout(SIGN_OF_LIFE, watch.changed()).await.is_err() {
            match write(&log, &shelf, &mut told, life).await {
                Ok(Written::Kept { is_cancelled, is_read, delivered }) => {
                    failures = 0;
                    log.deliver(delivered);
                    log.note_read_elsewhere(is_read);
                    if is_cancelled {
                        log.cancel(ErrorCode::StreamInterrupted, "a newer prompt took the place of this one");
                    }
                }
                // What is in the log is written anew.
                Ok(Written::Gone) => told = Told::default(),
                Ok(Written::Lost) => {
                    log.cancel(ErrorCode::StreamInterrupted, "another control plane took the stream over");
                    return;
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        tracing::warn!(stream = %log.about.stream, "a stream cannot be resumed elsewhere: {error}");
                    }
                    if log.progress().is_over && failures > LAST_TRIES {
                        return;
                    }
                    _ = timeout(SIGN_OF_LIFE, watch.changed()).await;
                }
            }
        }
        let progress = log.progress();
        if told.is_all(progress, &log) && progress.readers == 0 {
            return;
        }
    }
}

/// What the shelf has.
#[derive(Debug, Default)]
struct Told {
    has_any: bool,
    last: u32,
    delivered: u32,
    is_attended: bool,
    is_over: bool,
}

impl Told {
    /// Whether there is something to write.
    fn is_news(&self, progress: Progress, log: &Log) -> bool {
        !self.has_any
            || self.last != progress.last
            || self.is_over != progress.is_over
            || self.is_attended != (progress.readers > 0)
            // What is delivered while events come is written with them.
            || (progress.is_over && self.delivered != log.delivered())
    }

    fn is_all(&self, progress: Progress, log: &Log) -> bool {
        self.is_over && !self.is_news(progress, log)
    }
}

async fn write(
    log: &Log,
    shelf: &Shelf,
    told: &mut Told,
    life: Duration,
) -> Result<Written, crate::store::StoreError> {
    let progress = log.progress();
    if let Some(session) = log.about.session.filter(|_| !told.has_any) {
        shelf.name(session, log.about.stream, life).await?;
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
    // The end only after all that comes before it.
    let end = log.ending().filter(|_| last >= progress.last);
    let state = State {
        owner: log.about.owner,
        session: log.about.session.map(|session| session.id),
        head: match log.head() {
            Some(Head::Stream(headers)) if !told.has_any => Some(headers),
            _ => None,
        },
        last,
        delivered: log.delivered(),
        is_attended: progress.readers > 0,
        end: end.clone(),
    };
    let (delivered, is_attended) = (state.delivered, state.is_attended);
    let entry = Entry {
        stream: log.about.stream,
        is_new: !told.has_any,
        state,
        before,
        events: &events,
        max_events: u32::try_from(log.bounds().max_events).unwrap_or(u32::MAX),
        life,
    };
    let written = shelf.write(&entry).await?;
    *told = Told { has_any: true, last, delivered, is_attended, is_over: end.is_some() };
    Ok(written)
}
