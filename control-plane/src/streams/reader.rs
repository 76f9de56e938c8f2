//! What one client gets of a stream: the events after the last one it has had, then those that come, then the end.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use ai_warp_core::api::errors;
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::relay::END_MARK;
use ai_warp_core::stream_id::EventId;
use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::time::timeout;

use super::log::{Attendance, End, Log, Next};

/// Longest silence before a sign of life. Proxies on the way give up connections that are silent for a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A comment, to clients nothing.
const COMMENT: &[u8] = b":\n\n";

/// A client on its way through a stream.
struct Reader {
    attendance: Attendance,
    /// Position of the last event it has had.
    position: u32,
    is_done: bool,
}

/// The body for a client that has had everything up to `position`.
pub(super) fn body(attendance: Attendance, position: u32) -> Body {
    let reader = Reader { attendance, position, is_done: false };
    Body::from_stream(stream::unfold(reader, |mut reader| async {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    }))
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_done {
            return None;
        }
        let mut watch = self.attendance.log().watch();
        loop {
            watch.mark_unchanged();
            let log = self.attendance.log();
            match log.after(self.position) {
                Next::Events(events) => return Some(self.write(&events)),
                Next::Over(end) => return Some(self.finish(&end)),
                Next::Gone => return Some(self.finish(&End::Interrupted(too_late()))),
                Next::Wait => {}
            }
            if timeout(SIGN_OF_LIFE, watch.changed()).await.is_err() {
                return Some(Bytes::from_static(COMMENT));
            }
        }
    }

    fn write(&mut self, events: &[(u32, Bytes)]) -> Bytes {
        let log = self.attendance.log();
        let mut out = Vec::with_capacity(events.iter().map(|(_, event)| event.len() + ID_BYTES).sum());
        for (position, event) in events {
            write_id(&mut out, log, *position);
            out.extend_from_slice(event);
            self.position = *position;
        }
        log.deliver(self.position);
        if let Next::Over(end @ End::Told) = log.after(self.position) {
            out.extend_from_slice(&self.finish(&end));
        }
        out.into()
    }

    fn finish(&mut self, end: &End) -> Bytes {
        self.is_done = true;
        let log = self.attendance.log();
        let mut out = Vec::new();
        if let End::Interrupted(error) = end {
            // Other errors are of this reader alone: the stream has another event there, or may have.
            if error.code == ErrorCode::StreamInterrupted {
                write_id(&mut out, log, self.position.saturating_add(1));
            }
            out.extend_from_slice(&errors::event(log.about.format, error, self.position));
        }
        out.extend_from_slice(END_MARK);
        out.into()
    }
}

/// Bytes of an event's id on the wire.
const ID_BYTES: usize = "id: \n".len() + uuid::fmt::Hyphenated::LENGTH;

fn write_id(out: &mut Vec<u8>, log: &Log, position: u32) {
    // Writing into a vector does not fail.
    let _ = writeln!(out, "id: {}", EventId::new(log.about.stream, position));
}

fn too_late() -> GatewayError {
    GatewayError::new(ErrorCode::StreamExpired, "the next events of the stream are not kept any more")
}
