//! A stream that is written elsewhere, or is over and only on the shelf, as a log that fills up here while a client reads it.

use std::sync::Arc;
use std::time::Duration;

use ai_warp_core::error::{ErrorCode, GatewayError};
use axum::body::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::log::{End, Head, Log};
use super::shelf::{Reading, Shelf};

/// Wait before the next look after one that brought something: what is written elsewhere is late by that at most, on a
/// stream that flows.
const SOON: Duration = Duration::from_millis(10);

/// Longest wait between two looks.
const LATER: Duration = Duration::from_millis(160);

/// How long looks may bring nothing, as the store is away, or has lost the stream and its writer has not written it anew: then the
/// client is told.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tries to note how far a client came.
const MAX_NOTES: u32 = 10;

/// What a look brings in place of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The store is away.
    Away,
    /// The store has lost it.
    Lost,
}

/// Fills `log` for as long as somebody reads it, and tells the shelf how far that one came.
pub(super) async fn follow(log: Arc<Log>, shelf: Shelf) {
    let stream = log.about.stream;
    let mut wait = SOON;
    let mut trouble: Option<(Trouble, Instant)> = None;
    while log.progress().readers > 0 {
        match shelf.read(stream, log.progress().last, Reading::Attached(log.delivered())).await {
            Ok(Some((state, events))) => {
                trouble = None;
                wait = if events.is_empty() { (wait * 2).min(LATER) } else { SOON };
                let had = log.progress().last;
                if state.is_forgotten {
                    log.end(interrupted("the stream is not kept any more"));
                    break;
                }
                if let Some(head) = state.head.filter(|_| log.head().is_none()) {
                    log.begin(Head::Stream(head));
                }
                let (all, expected) = (events.len(), had.saturating_add(1)..);
                let next = expected.zip(events).take_while(|(expected, (position, _))| expected == position);
                let next: Vec<Bytes> = next.map(|(_, (_, event))| event).collect();
                let is_gap = next.len() < all || (next.is_empty() && had < state.last);
                if !next.is_empty() {
                    log.append(next);
                }
                if is_gap {
                    log.end(interrupted("the next events of the stream are not kept any more"));
                    break;
                }
                if log.progress().last < state.last {
                    // There is more than one look brings.
                    continue;
                }
                if let Some(end) = state.end {
                    log.end(end);
                    break;
                }
            }
            nothing => {
                let what = if nothing.is_ok() { Trouble::Lost } else { Trouble::Away };
                let since = trouble
                    .filter(|(before, _)| *before == what)
                    .map_or_else(Instant::now, |(_, since)| since);
                if since.elapsed() >= PATIENCE {
                    tracing::warn!(%stream, "a stream that is written elsewhere cannot be read: {what:?}");
                    log.end(match what {
                        Trouble::Lost => interrupted("the stream is not kept any more"),
                        Trouble::Away => detached(),
                    });
                    break;
                }
                trouble = Some((what, since));
                wait = (wait * 2).min(LATER);
            }
        }
        sleep(wait).await;
    }
    if log.head().is_none() {
        // It ended before it began.
        log.begin(Head::Declined);
    }
    note_delivery(&log, &shelf).await;
}

/// Tells the shelf how far the client came: at once where it has all of it, as its next prompt is a new one then.
async fn note_delivery(log: &Log, shelf: &Shelf) {
    let mut watch = log.watch();
    let mut wait = SOON;
    while log.delivered() < log.progress().last && log.progress().readers > 0 {
        // Departures are announced, deliveries are not.
        _ = timeout(wait, watch.changed()).await;
        wait = (wait * 2).min(LATER);
    }
    for _ in 0..MAX_NOTES {
        match shelf.deliver(log.about.stream, log.delivered()).await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(stream = %log.about.stream, "how far a client came cannot be noted: {error}");
                sleep(LATER).await;
            }
        }
    }
}

fn interrupted(why: &str) -> End {
    End::Interrupted(GatewayError::new(ErrorCode::StreamInterrupted, why))
}

fn detached() -> End {
    let message = "the stream cannot be read here now; come back with the id of its last event";
    End::Interrupted(GatewayError::new(ErrorCode::StreamDetached, message))
}
