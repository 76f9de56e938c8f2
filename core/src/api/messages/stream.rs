//! Writes the stream of a provider of another format as events of Messages.
//!
//! Clients know one block at a time, so what belongs to a later block waits until the one before it is complete: a call of a
//! tool is when its arguments are, which some providers send in turns with those of others. What waits is part of the
//! answer, whose size is bounded where it is read.

use std::collections::VecDeque;

use serde::Serialize;

use super::wire::{WireBlock, WireMessage, WireUsage, stop_reason};
use crate::api::About;
use crate::api::arguments::{self, Scan};
use crate::api::extra_content::ExtraContent;
use crate::chat::{Answer, Delta};
use crate::json::{self, Json};
use crate::sse;

/// The blocks that are not over, oldest first. Only the first has been begun.
#[derive(Debug, Default)]
pub(super) struct BlockStream {
    has_begun: bool,
    /// Whether the model refused in its own words.
    refuses: bool,
    /// The index of the first.
    index: u32,
    blocks: VecDeque<Block>,
}

#[derive(Debug)]
struct Block {
    kind: Kind,
    has_begun: bool,
    /// What was said of it and not written.
    pending: String,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// With its signature, which is written once: clients take the last for the whole.
    Thinking {
        signature: String,
    },
    Redacted,
    Call(Call),
}

#[derive(Debug)]
struct Call {
    /// Its position among the calls.
    position: u32,
    id: String,
    name: String,
    signature: Option<String>,
    scan: Scan,
    /// Whether any of its input was written.
    has_input: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireEvent<'a> {
    MessageStart { message: WireMessage<'a> },
    ContentBlockStart { index: u32, content_block: WireBlock<'a> },
    ContentBlockDelta { index: u32, delta: WireDelta<'a> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: Stop, usage: WireUsage },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum WireDelta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct Stop {
    stop_reason: &'static str,
    stop_sequence: Option<()>,
}

fn write(event: &WireEvent<'_>, out: &mut Vec<u8>) {
    let name = match event {
        WireEvent::MessageStart { .. } => "message_start",
        WireEvent::ContentBlockStart { .. } => "content_block_start",
        WireEvent::ContentBlockDelta { .. } => "content_block_delta",
        WireEvent::ContentBlockStop { .. } => "content_block_stop",
        WireEvent::MessageDelta { .. } => "message_delta",
        WireEvent::MessageStop => "message_stop",
    };
    let mut data = Vec::with_capacity(128);
    json::write(&mut data, event);
    sse::write_named(out, name, &data);
}

/// Appends the last event.
pub(super) fn write_stop(out: &mut Vec<u8>) {
    write(&WireEvent::MessageStop, out);
}

impl BlockStream {
    /// Takes what an event of the provider adds.
    pub(super) fn take(&mut self, about: &About<'_>, deltas: &[Delta<'_>], out: &mut Vec<u8>) {
        for delta in deltas {
            self.add(delta);
        }
        if !self.blocks.is_empty() {
            self.begin(about, out);
            self.advance(out);
        }
    }

    /// Ends the message.
    pub(super) fn end(&mut self, about: &About<'_>, answer: &Answer, out: &mut Vec<u8>) {
        self.begin(about, out);
        while let Some(block) = self.blocks.front_mut() {
            block.write(self.index, out);
            block.close(self.index, out);
            self.next_block();
        }
        let stop_reason = stop_reason(answer.finish, self.refuses);
        let delta = Stop { stop_reason, stop_sequence: None };
        write(&WireEvent::MessageDelta { delta, usage: answer.usage.into() }, out);
        write_stop(out);
    }

    fn begin(&mut self, about: &About<'_>, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            write(&WireEvent::MessageStart { message: WireMessage::new(about, Vec::new()) }, out);
        }
    }

    fn add(&mut self, delta: &Delta<'_>) {
        match delta {
            Delta::Text(text) => self.say(text),
            Delta::Refusal(text) => {
                self.refuses |= !text.is_empty();
                self.say(text);
            }
            Delta::Reasoning(text) => match self.blocks.back_mut() {
                Some(Block { kind: Kind::Thinking { signature }, pending, .. }) if signature.is_empty() => {
                    pending.push_str(text);
                }
                _ => self.push(Kind::Thinking { signature: String::new() }, text),
            },
            Delta::Signature(more) => match self.blocks.back_mut() {
                Some(Block { kind: Kind::Thinking { signature }, .. }) => signature.push_str(more),
                _ => self.push(Kind::Thinking { signature: more.as_ref().to_owned() }, ""),
            },
            Delta::Redacted(data) => self.push(Kind::Redacted, data),
            Delta::ToolCall { index, id, name, signature } => {
                let call = Call {
                    position: *index,
                    id: id.as_ref().to_owned(),
                    name: name.as_ref().to_owned(),
                    signature: signature.as_deref().map(str::to_owned),
                    scan: Scan::default(),
                    has_input: false,
                };
                self.push(Kind::Call(call), "");
            }
            Delta::Arguments { index, json } => {
                for Block { kind, pending, .. } in &mut self.blocks {
                    if let Kind::Call(call) = kind
                        && call.position == *index
                    {
                        call.scan.take(json);
                        pending.push_str(json);
                    }
                }
            }
            Delta::Foreign(_) | Delta::Finish(_) | Delta::Usage(_) => {}
        }
    }

    fn say(&mut self, text: &str) {
        match self.blocks.back_mut() {
            _ if text.is_empty() => {}
            Some(Block { kind: Kind::Text, pending, .. }) => pending.push_str(text),
            _ => self.push(Kind::Text, text),
        }
    }

    fn push(&mut self, kind: Kind, text: &str) {
        self.blocks.push_back(Block { kind, has_begun: false, pending: text.to_owned() });
    }

    /// Writes what can be: the first block, and while that is over, the next.
    fn advance(&mut self, out: &mut Vec<u8>) {
        loop {
            let is_last = self.blocks.len() <= 1;
            let Some(block) = self.blocks.front_mut() else { return };
            block.write(self.index, out);
            let is_over = match &block.kind {
                Kind::Call(call) => call.scan.is_complete(),
                Kind::Text | Kind::Thinking { .. } | Kind::Redacted => true,
            };
            if is_last || !is_over {
                return;
            }
            block.close(self.index, out);
            self.next_block();
        }
    }

    fn next_block(&mut self) {
        self.blocks.pop_front();
        self.index += 1;
    }
}

impl Block {
    /// Begins it, and writes what there is of it.
    fn write(&mut self, index: u32, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let content_block = match &self.kind {
                Kind::Text => WireBlock::Text { text: "" },
                Kind::Thinking { .. } => WireBlock::Thinking { thinking: "", signature: "" },
                Kind::Redacted => WireBlock::RedactedThinking { data: &self.pending },
                Kind::Call(call) => WireBlock::ToolUse {
                    id: &call.id,
                    name: &call.name,
                    input: Json::parse("{}"),
                    extra_content: call.signature.as_deref().map(ExtraContent::of),
                },
            };
            write(&WireEvent::ContentBlockStart { index, content_block }, out);
        }
        let said = self.pending.as_str();
        let delta = match &mut self.kind {
            _ if said.is_empty() => return,
            Kind::Text => WireDelta::Text { text: said },
            Kind::Thinking { .. } => WireDelta::Thinking { thinking: said },
            Kind::Redacted => return self.pending.clear(),
            // What is no object is made one when all of it is there.
            Kind::Call(call) if !call.has_input && !said.trim_ascii_start().starts_with('{') => return,
            Kind::Call(call) => {
                call.has_input = true;
                WireDelta::InputJson { partial_json: said }
            }
        };
        write(&WireEvent::ContentBlockDelta { index, delta }, out);
        self.pending.clear();
    }

    /// Ends it, after all of it was [written](Self::write).
    fn close(&mut self, index: u32, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Thinking { signature } if !signature.is_empty() => {
                write(
                    &WireEvent::ContentBlockDelta { index, delta: WireDelta::Signature { signature } },
                    out,
                );
            }
            Kind::Call(call) if !call.has_input => {
                if let Some(input) = arguments::object(&self.pending) {
                    let delta = WireDelta::InputJson { partial_json: input.get() };
                    write(&WireEvent::ContentBlockDelta { index, delta }, out);
                }
            }
            Kind::Text | Kind::Thinking { .. } | Kind::Redacted | Kind::Call(_) => {}
        }
        write(&WireEvent::ContentBlockStop { index }, out);
    }
}
