//! Writes the events of a response as it is streamed.
//!
//! Several calls of tools may be open at once: each is an item with an index of its own. A thought or a message is over when
//! something else begins.

use super::echo::Echo;
use super::items::{Body, OutputItem, Said, Status, WirePart};
use super::wire::{Head, State, status_of, write_error, write_response};
use crate::api::About;
use crate::api::arguments::Scan;
use crate::chat::{Answer, Delta, ToolCall};
use crate::error::GatewayError;
use crate::json::ObjectWriter;
use crate::sse;

/// What there is of a response.
#[derive(Debug, Default)]
pub(super) struct ResponseStream {
    head: Option<Head>,
    events: Events,
    items: Vec<OutputItem>,
}

/// Writes events by their number.
#[derive(Debug, Default)]
struct Events {
    next: u64,
}

/// The place of an item in the output, and its id.
#[derive(Clone, Copy)]
struct At<'a> {
    index: usize,
    id: &'a str,
}

/// Appends the error event of a stream of which nothing is known but how many events it had.
pub(in crate::api) fn write_error_event(error: &GatewayError, before: u32, out: &mut Vec<u8>) {
    let mut events = Events { next: before.into() };
    events.write(out, "error", |event| write_error(error, event));
}

impl Events {
    fn write(&mut self, out: &mut Vec<u8>, name: &str, fields: impl FnOnce(&mut ObjectWriter<'_>)) {
        let mut data = Vec::with_capacity(256);
        let mut event = ObjectWriter::new(&mut data);
        event.field("type", &name);
        fields(&mut event);
        event.field("sequence_number", &self.next);
        event.end();
        self.next += 1;
        sse::write_named(out, name, &data);
    }

    /// An event about the response as a whole.
    fn response(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        head: &Head,
        echo: &Echo,
        state: State<'_>,
        items: &[OutputItem],
    ) {
        self.write(out, name, |event| write_response(head, echo, state, items, event.key("response")));
    }

    /// An event about an item as a whole.
    fn item(&mut self, out: &mut Vec<u8>, name: &str, index: usize, item: &OutputItem) {
        self.write(out, name, |event| {
            event.field("output_index", &index);
            event.field("item", &item.wire());
        });
    }

    /// An event about what is inside an item.
    fn inside(
        &mut self,
        out: &mut Vec<u8>,
        name: &str,
        at: At<'_>,
        fields: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        self.write(out, name, |event| {
            event.field("item_id", &at.id);
            event.field("output_index", &at.index);
            fields(event);
        });
    }

    fn part(&mut self, out: &mut Vec<u8>, name: &str, at: At<'_>, content_index: usize, part: &WirePart<'_>) {
        self.inside(out, name, at, |event| {
            event.field("content_index", &content_index);
            event.field("part", part);
        });
    }

    fn summary_part(&mut self, out: &mut Vec<u8>, name: &str, at: At<'_>, text: &str) {
        self.inside(out, name, at, |event| {
            event.field("summary_index", &0);
            event.field("part", &WirePart::SummaryText { text });
        });
    }

    fn said(&mut self, out: &mut Vec<u8>, at: At<'_>, content_index: usize, is_refusal: bool, text: &str) {
        let name = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.inside(out, name, at, |event| {
            event.field("content_index", &content_index);
            event.field("delta", &text);
            if !is_refusal {
                event.raw("logprobs", "[]");
            }
        });
    }

    /// The end of a message's part.
    fn part_done(&mut self, out: &mut Vec<u8>, at: At<'_>, content_index: usize, part: &Said) {
        let (name, field) = match part.is_refusal {
            true => ("response.refusal.done", "refusal"),
            false => ("response.output_text.done", "text"),
        };
        self.inside(out, name, at, |event| {
            event.field("content_index", &content_index);
            event.field(field, &part.text);
            if !part.is_refusal {
                event.raw("logprobs", "[]");
            }
        });
        self.part(out, "response.content_part.done", at, content_index, &part.wire());
    }

    fn arguments(&mut self, out: &mut Vec<u8>, at: At<'_>, delta: &str) {
        let name = "response.function_call_arguments.delta";
        self.inside(out, name, at, |event| event.field("delta", &delta));
    }

    fn thought(&mut self, out: &mut Vec<u8>, at: At<'_>, delta: &str) {
        self.inside(out, "response.reasoning_summary_text.delta", at, |event| {
            event.field("summary_index", &0);
            event.field("delta", &delta);
        });
    }

    /// Ends an item that is open.
    fn close(&mut self, out: &mut Vec<u8>, index: usize, item: &mut OutputItem, status: Status) {
        let at = At { index, id: &item.id };
        match &mut item.body {
            Body::Thought { text, .. } => {
                if !text.is_empty() {
                    self.inside(out, "response.reasoning_summary_text.done", at, |event| {
                        event.field("summary_index", &0);
                        event.field("text", text);
                    });
                    self.summary_part(out, "response.reasoning_summary_part.done", at, text);
                }
            }
            Body::Message { parts } => {
                if let Some((index, part)) = parts.iter().enumerate().next_back() {
                    self.part_done(out, at, index, part);
                }
            }
            Body::Call { call, .. } => {
                if call.arguments.is_empty() {
                    call.arguments.push_str("{}");
                    self.arguments(out, at, &call.arguments);
                }
                self.inside(out, "response.function_call_arguments.done", at, |event| {
                    event.field("name", &call.name);
                    event.field("arguments", &call.arguments);
                });
            }
        }
        item.status = status;
        self.item(out, "response.output_item.done", index, item);
    }
}

impl ResponseStream {
    /// Takes what an event of the provider adds.
    pub(super) fn take(&mut self, about: &About<'_>, echo: &Echo, deltas: &[Delta<'_>], out: &mut Vec<u8>) {
        for delta in deltas {
            if !matches!(delta, Delta::Finish(_) | Delta::Usage(_)) {
                self.begin(about, echo, out);
                self.add(delta, out);
            }
        }
    }

    /// Ends the response.
    pub(super) fn end(&mut self, about: &About<'_>, echo: &Echo, answer: &Answer, out: &mut Vec<u8>) {
        self.begin(about, echo, out);
        let status = status_of(answer.finish);
        self.close_all(status, out);
        let name = match status {
            Status::Completed => "response.completed",
            Status::InProgress | Status::Incomplete => "response.incomplete",
        };
        let Self { head: Some(head), events, items } = self else { return };
        let state = State::Finished(answer.finish, answer.usage);
        events.response(out, name, head, echo, state, items);
    }

    /// Ends a response that failed.
    pub(super) fn fail(&mut self, echo: &Echo, error: &GatewayError, out: &mut Vec<u8>) {
        let Self { head, events, items } = self;
        events.write(out, "error", |event| write_error(error, event));
        for item in items.iter_mut().filter(|item| item.is_open()) {
            item.status = Status::Incomplete;
        }
        if let Some(head) = head {
            events.response(out, "response.failed", head, echo, State::Failed(error), items);
        }
    }

    fn begin(&mut self, about: &About<'_>, echo: &Echo, out: &mut Vec<u8>) {
        let Self { head: head @ None, events, .. } = self else { return };
        let head = head.insert(Head::new(about));
        for name in ["response.created", "response.in_progress"] {
            events.response(out, name, head, echo, State::InProgress, &[]);
        }
    }

    fn add(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.say(text, false, out),
            Delta::Refusal(text) => self.say(text, true, out),
            Delta::Reasoning(text) => self.think(text, out),
            Delta::Signature(more) => match self.items.last_mut() {
                Some(OutputItem {
                    status: Status::InProgress,
                    body: Body::Thought { signature, .. },
                    ..
                }) => {
                    signature.push_str(more);
                }
                _ => {
                    let signature = more.as_ref().to_owned();
                    self.open(Body::Thought { text: String::new(), signature, redacted: None }, out);
                }
            },
            Delta::Redacted(data) => {
                let redacted = Some(data.as_ref().to_owned());
                self.open(Body::Thought { text: String::new(), signature: String::new(), redacted }, out);
                self.close_last(out);
            }
            Delta::ToolCall { index, id, name, signature } => {
                let call = ToolCall {
                    id: id.as_ref().to_owned(),
                    name: name.as_ref().to_owned(),
                    arguments: String::new(),
                    signature: signature.as_deref().map(str::to_owned),
                };
                self.open(Body::Call { call, position: *index, scan: Scan::default() }, out);
            }
            Delta::Arguments { index, json } => self.argue(*index, json, out),
            Delta::Foreign(_) | Delta::Finish(_) | Delta::Usage(_) => {}
        }
    }

    fn say(&mut self, text: &str, is_refusal: bool, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let goes_on =
            self.items.last().is_some_and(|item| item.is_open() && matches!(item.body, Body::Message { .. }));
        if !goes_on {
            self.open(Body::Message { parts: Vec::new() }, out);
        }
        let Self { items, events, .. } = self;
        let Some((index, OutputItem { id, body: Body::Message { parts }, .. })) =
            items.iter_mut().enumerate().next_back()
        else {
            return;
        };
        let at = At { index, id };
        if parts.last().is_none_or(|part| part.is_refusal != is_refusal) {
            if let Some((index, part)) = parts.iter().enumerate().next_back() {
                events.part_done(out, at, index, part);
            }
            let part = Said { is_refusal, text: String::new() };
            events.part(out, "response.content_part.added", at, parts.len(), &part.wire());
            parts.push(part);
        }
        if let Some((index, part)) = parts.iter_mut().enumerate().next_back() {
            part.text.push_str(text);
            events.said(out, at, index, is_refusal, text);
        }
    }

    fn think(&mut self, more: &str, out: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        // What follows a signature is another thought.
        let goes_on = self.items.last().is_some_and(|item| {
            item.is_open() && matches!(&item.body, Body::Thought { signature, .. } if signature.is_empty())
        });
        if !goes_on {
            let body = Body::Thought { text: String::new(), signature: String::new(), redacted: None };
            self.open(body, out);
        }
        let Self { items, events, .. } = self;
        let last = items.iter_mut().enumerate().next_back();
        if let Some((index, OutputItem { id, body: Body::Thought { text, .. }, .. })) = last {
            let at = At { index, id };
            if text.is_empty() {
                events.summary_part(out, "response.reasoning_summary_part.added", at, "");
            }
            text.push_str(more);
            events.thought(out, at, more);
        }
    }

    fn argue(&mut self, call_index: u32, json: &str, out: &mut Vec<u8>) {
        let Self { items, events, .. } = self;
        let mut open = items.iter_mut().enumerate().filter(|(_, item)| item.is_open());
        let called = open
            .find(|(_, item)| matches!(&item.body, Body::Call { position, .. } if *position == call_index));
        let Some((index, item)) = called else { return };
        let Body::Call { call, scan, .. } = &mut item.body else { return };
        if json.is_empty() {
            return;
        }
        scan.take(json);
        call.arguments.push_str(json);
        let is_complete = scan.is_complete();
        events.arguments(out, At { index, id: &item.id }, json);
        if is_complete {
            events.close(out, index, item, Status::Completed);
        }
    }

    /// Begins an item; a thought or a message before it is over.
    fn open(&mut self, body: Body, out: &mut Vec<u8>) {
        self.close_last(out);
        let Some(head) = &self.head else { return };
        let item = OutputItem::new(&head.exchange, self.items.len(), body);
        self.events.item(out, "response.output_item.added", self.items.len(), &item);
        self.items.push(item);
    }

    fn close_last(&mut self, out: &mut Vec<u8>) {
        let Self { items, events, .. } = self;
        if let Some((index, item)) = items.iter_mut().enumerate().next_back()
            && item.is_open()
            && !matches!(item.body, Body::Call { .. })
        {
            events.close(out, index, item, Status::Completed);
        }
    }

    fn close_all(&mut self, status: Status, out: &mut Vec<u8>) {
        let Self { items, events, .. } = self;
        for (index, item) in items.iter_mut().enumerate().filter(|(_, item)| item.is_open()) {
            events.close(out, index, item, status);
        }
    }
}
