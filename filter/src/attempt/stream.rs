//! A streamed answer on its way through: held until its first content, then piece by piece.

use super::write_head;
use crate::exchanges::SharedExchange;
use crate::fleet;
use crate::host::{self, Body};
use ai_warp_core::answer::StreamReader;
use ai_warp_core::chat::{Delta, Finish};
use ai_warp_core::dialect::Dialect;
use ai_warp_core::failure::{Failure, FailureKind};
use ai_warp_core::sse::Event;

/// A stream of status 200.
pub(super) struct Stream {
    exchange: SharedExchange,
    reader: StreamReader,
    phase: Phase,
    /// What the client gets once the first content is there.
    held: Vec<u8>,
    limit: usize,
    /// When the last piece came.
    last_piece_ms: u64,
}

enum Phase {
    /// Nothing has left for the client: the response headers are held.
    Held,
    /// The first content has left.
    Committed,
    /// The end or the error event is out, and nothing follows it.
    Over,
}

/// What became of a piece.
pub(super) enum Progress {
    /// It held no content yet.
    Held,
    /// What it held is on its way to the client.
    Passed,
    /// The attempt failed, and the client does not know.
    Failed(Failure),
}

impl Stream {
    pub(super) fn new(exchange: SharedExchange, dialect: &'static dyn Dialect) -> Self {
        let limit = exchange.borrow().gateway().max_response_bytes;
        let reader = StreamReader::new(dialect, limit);
        Self { exchange, reader, phase: Phase::Held, held: Vec::new(), limit, last_piece_ms: host::now_ms() }
    }

    pub(super) fn exchange(&self) -> &SharedExchange {
        &self.exchange
    }

    /// Takes the `size` bytes that Envoy holds, and leaves in their place what the client gets.
    pub(super) fn read(&mut self, size: usize, end_of_stream: bool) -> Progress {
        if matches!(self.phase, Phase::Over) {
            Body::Response.replace(size, b"");
            return Progress::Passed;
        }
        let piece = Body::Response.read(size);
        let now_ms = host::now_ms();
        let idle_ms = now_ms.saturating_sub(std::mem::replace(&mut self.last_piece_ms, now_ms));
        let mut out = std::mem::take(&mut self.held);
        out.reserve(piece.len());
        let mut exchange = self.exchange.borrow_mut();
        let mut has_content = false;
        let mut on_event = |event: Event<'_>, deltas: &[Delta<'_>]| {
            has_content |= exchange.take_event(event, deltas, &mut out);
        };
        let mut result = self.reader.read(&piece, &mut on_event).map(|()| None);
        if result.is_ok() && end_of_stream {
            result = self.reader.finish(&mut on_event).map(Some);
        }
        exchange.note_usage(self.reader.usage());
        drop(exchange);
        let is_held = matches!(self.phase, Phase::Held);
        match result {
            Ok(None) if is_held && !has_content => {
                if out.len() > self.limit {
                    let message = format!("sent more than {} bytes without content", self.limit);
                    return Progress::Failed(Failure::new(FailureKind::TooLarge, message));
                }
                self.held = out;
                Body::Response.replace(size, b"");
                return Progress::Held;
            }
            Ok(finish) => self.pass(finish, now_ms, &mut out),
            Err(failure) => {
                let failure = match failure.kind {
                    FailureKind::Cut => self.exchange.borrow().why_cut(idle_ms),
                    _ => failure,
                };
                if is_held {
                    return Progress::Failed(failure);
                }
                self.phase = Phase::Over;
                let mut exchange = self.exchange.borrow_mut();
                let error = fleet::with(|fleet| exchange.fail_committed(failure, fleet, now_ms));
                exchange.write_error(&error, &mut out);
            }
        }
        Body::Response.replace(size, &out);
        Progress::Passed
    }

    /// Commits if this is the first content, and ends the stream if the model has finished.
    fn pass(&mut self, finish: Option<Finish>, now_ms: u64, out: &mut Vec<u8>) {
        let mut exchange = self.exchange.borrow_mut();
        if matches!(self.phase, Phase::Held) {
            self.phase = Phase::Committed;
            fleet::with(|fleet| exchange.commit(fleet, now_ms));
            write_head(&exchange, "text/event-stream", None);
        }
        if let Some(finish) = finish {
            self.phase = Phase::Over;
            fleet::with(|fleet| exchange.complete_stream(finish, fleet, now_ms));
            exchange.write_end(out);
        }
    }
}
