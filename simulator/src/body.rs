//! Plays a [`Script`] as a response body.
//!
//! The HTTP layer flushes what it has when a body is not ready. A [`Step::Flush`] is exactly that: the body says "not
//! yet" once and wakes itself, so bytes before and after it are separate writes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::gate::Gates;
use crate::record::{Outcome, Ticket};
use crate::stream::{Script, Step};

/// The connection is to be closed, or the stream reset, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the simulator ends this response on purpose")]
pub(crate) struct Aborted;

/// A response body.
pub(crate) struct Body {
    steps: VecDeque<Step>,
    length: Option<u64>,
    /// What the current step waits for.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    flushing: bool,
    gates: Gates,
    model: String,
    outcome: Outcome,
    ticket: Ticket,
}

impl Body {
    /// The body of a request for `model`, to be played once.
    pub(crate) fn new(script: Script, model: String, gates: Gates, mut ticket: Ticket) -> Body {
        if script.steps.is_empty() {
            ticket.settle(script.outcome);
        }
        Body {
            steps: script.steps.into(),
            length: script.length,
            waiting: None,
            flushing: false,
            gates,
            model,
            outcome: script.outcome,
            ticket,
        }
    }

    /// Waits for the current step, if it is one to wait for.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.flushing, false) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        Poll::Ready(())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            ready!(self.poll_wait(context));
            let Some(step) = self.steps.pop_front() else {
                let outcome = self.outcome;
                self.ticket.settle(outcome);
                return Poll::Ready(None);
            };
            match step {
                Step::Write { bytes, chunks } => {
                    (0..chunks).for_each(|_| self.ticket.chunk());
                    if self.steps.is_empty() {
                        let outcome = self.outcome;
                        self.ticket.settle(outcome);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Step::Flush => self.flushing = true,
                Step::Pause(duration) => self.waiting = Some(Box::pin(tokio::time::sleep(duration))),
                Step::Gate => self.waiting = Some(Box::pin(self.gates.clone().wait(self.model.clone()))),
                Step::Stall => self.waiting = Some(Box::pin(std::future::pending())),
                Step::Abort => {
                    self.ticket.settle(Outcome::Faulted);
                    self.steps.clear();
                    return Poll::Ready(Some(Err(Aborted)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
