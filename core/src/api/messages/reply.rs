//! Writes answers as Messages. What Anthropic sent is passed on as it is.

use std::borrow::Cow;

use serde::Deserialize;

use super::stream::{BlockStream, write_stop};
use super::wire::{WireBlock, WireMessage, stop_reason};
use crate::api::errors::anthropic_body;
use crate::api::{About, Reply, Source, Whole};
use crate::chat::{Answer, Delta, Part};
use crate::error::GatewayError;
use crate::json;
use crate::sse::{self, Event};

/// Writes the answer to one request.
#[derive(Debug, Default)]
pub(super) struct MessageReply {
    written: Written,
}

/// What there is of a stream.
#[derive(Debug)]
enum Written {
    /// The provider's own events.
    Passed {
        /// Whether the last of them came.
        has_stopped: bool,
    },
    /// Ours.
    Ours(BlockStream),
}

impl Default for Written {
    fn default() -> Self {
        Self::Ours(BlockStream::default())
    }
}

const MESSAGE_STOP: &str = "message_stop";

/// The name of an event, by its data where the line is missing: clients want it.
fn name<'a>(event: &Event<'a>) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
    }
    if !event.name.is_empty() {
        return String::from_utf8_lossy(event.name);
    }
    serde_json::from_slice::<Typed<'a>>(event.data).map(|typed| typed.r#type).unwrap_or_default()
}

impl Reply for MessageReply {
    fn whole(&self, about: &About<'_>, answer: &Answer, source: Source, _: &[u8]) -> Whole {
        if source == Source::Native {
            return Whole::Native;
        }
        let refuses = answer.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
        let content = answer.parts.iter().filter_map(WireBlock::of).collect();
        let message = WireMessage {
            stop_reason: Some(stop_reason(answer.finish, refuses)),
            usage: answer.usage.into(),
            ..WireMessage::new(about, content)
        };
        let mut body = Vec::new();
        json::write(&mut body, &message);
        Whole::Written(body)
    }

    fn event(
        &mut self,
        about: &About<'_>,
        event: Event<'_>,
        deltas: &[Delta<'_>],
        source: Source,
        out: &mut Vec<u8>,
    ) {
        if source == Source::Native {
            let name = name(&event);
            let had_stopped = matches!(self.written, Written::Passed { has_stopped: true });
            self.written = Written::Passed { has_stopped: had_stopped || name == MESSAGE_STOP };
            sse::write_named(out, &name, event.data);
        } else if let Written::Ours(blocks) = &mut self.written {
            blocks.take(about, deltas, out);
        }
    }

    fn restart(&mut self) {
        *self = Self::default();
    }

    fn end(&mut self, about: &About<'_>, answer: &Answer, out: &mut Vec<u8>) {
        match &mut self.written {
            Written::Passed { has_stopped: true } => {}
            Written::Passed { has_stopped: false } => write_stop(out),
            Written::Ours(blocks) => blocks.end(about, answer, out),
        }
    }

    fn error(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        sse::write_named(out, "error", &anthropic_body(error));
    }
}
