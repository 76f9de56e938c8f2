//! Writes answers as responses.

use super::echo::Echo;
use super::items::OutputItem;
use super::stream::ResponseStream;
use super::wire::{Head, State, status_of, write_response};
use crate::api::{About, Reply, Source, Whole};
use crate::chat::{Answer, Delta};
use crate::error::GatewayError;
use crate::sse::Event;

/// Writes the answer to one request.
#[derive(Debug)]
pub(super) struct ResponseReply {
    echo: Echo,
    stream: ResponseStream,
}

impl ResponseReply {
    pub(super) fn new(echo: Echo) -> Self {
        Self { echo, stream: ResponseStream::default() }
    }
}

impl Reply for ResponseReply {
    fn whole(&self, about: &About<'_>, answer: &Answer, _: Source, _: &[u8]) -> Whole {
        let head = Head::new(about);
        let items = OutputItem::of_parts(&head.exchange, &answer.parts, status_of(answer.finish));
        let mut body = Vec::new();
        let state = State::Finished(answer.finish, answer.usage);
        write_response(&head, &self.echo, state, &items, &mut body);
        Whole::Written(body)
    }

    fn event(&mut self, about: &About<'_>, _: Event<'_>, deltas: &[Delta<'_>], _: Source, out: &mut Vec<u8>) {
        self.stream.take(about, &self.echo, deltas, out);
    }

    fn restart(&mut self) {
        self.stream = ResponseStream::default();
    }

    fn end(&mut self, about: &About<'_>, answer: &Answer, out: &mut Vec<u8>) {
        self.stream.end(about, &self.echo, answer, out);
    }

    fn error(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        self.stream.fail(&self.echo, error, out);
    }
}
