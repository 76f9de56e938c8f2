//! The answers of Anthropic Messages, whole and in events.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Answer, Collector, Delta, Finish, Usage};
use crate::dialect::calls::Calls;
use crate::dialect::{ReadEvents, error_body, malformed, push_text};
use crate::failure::{Failure, FailureKind};
use crate::json::Text;
use crate::sse::Event;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// An event of a stream; its `type` says which of the others there are.
#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// A block, or what is added to it, of a type that is told first: the fields of other types may be anything.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    r#type: Text<'a>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

/// Tokens, each null or left out where an earlier value still holds.
#[derive(Deserialize, Default, Clone, Copy)]
struct WireUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Clone, Copy)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl WireUsage {
    /// Values are of all so far: the last of each counts.
    fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }

    fn read(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0);
        let beside_cache = self.input_tokens.unwrap_or(0);
        Usage {
            input: beside_cache.saturating_add(cached).saturating_add(cache_write),
            output: self.output_tokens.unwrap_or(0),
            cached,
            cache_write,
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens).unwrap_or(0),
        }
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        // Among them `pause_turn`: the provider's own tools want another request.
        _ => Finish::Other,
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, Failure> {
    serde_json::from_str(json.get()).map_err(|error| malformed(&error))
}

fn failure(error: &Value) -> Failure {
    let wrapped = serde_json::json!({ "error": error });
    error_body::from_value(&wrapped).unwrap_or_default().classify_in_stream()
}

/// Reads a whole answer.
pub(super) fn read_whole(body: &[u8]) -> Result<Answer, Failure> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    if let Some(error) = message.error.filter(|error| !error.is_null()) {
        return Err(failure(&error));
    }
    let Some(content) = message.content else {
        return Err(Failure::new(FailureKind::Malformed, "sent an answer without content blocks"));
    };
    let mut deltas = Vec::new();
    let mut calls = Calls::default();
    for (block, number) in content.into_iter().zip(0..) {
        begin(&mut calls, number, block, &mut deltas)?;
        calls.end(number, &mut deltas);
    }
    Ok(Answer {
        parts: Collector::parts_of(&deltas),
        finish: message.stop_reason.map_or(Finish::Other, |reason| finish(&reason.0)),
        usage: message.usage.map(WireUsage::read),
    })
}

/// Reads the events of one stream.
#[derive(Default)]
pub(super) struct Events {
    calls: Calls,
    usage: WireUsage,
}

impl ReadEvents for Events {
    fn read<'a>(&mut self, event: Event<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
        let event: WireEvent<'a> = serde_json::from_slice(event.data).map_err(|error| malformed(&error))?;
        if let Some(error) = event.error.filter(|error| !error.is_null()) {
            return Err(failure(&error));
        }
        match event.r#type.unwrap_or_default().0.as_ref() {
            "error" => return Err(failure(&Value::Null)),
            "message_start" => self.count(event.message.and_then(|message| message.usage), out),
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    begin(&mut self.calls, event.index, block, out)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    go_on(&mut self.calls, event.index, delta, out)?;
                }
            }
            "content_block_stop" => self.calls.end(event.index, out),
            "message_delta" => {
                if let Some(delta) = event.delta {
                    let delta: MessageDelta<'_> = parse(delta)?;
                    out.extend(delta.stop_reason.map(|reason| Delta::Finish(finish(&reason.0))));
                }
                self.count(event.usage, out);
            }
            // `ping`, `message_stop`, and what may come one day.
            _ => {}
        }
        Ok(())
    }
}

impl Events {
    fn count(&mut self, usage: Option<WireUsage>, out: &mut Vec<Delta<'_>>) {
        if let Some(usage) = usage {
            self.usage.update(usage);
            out.push(Delta::Usage(self.usage.read()));
        }
    }
}

/// Reads a block, which in a stream is only its beginning.
fn begin<'a>(
    calls: &mut Calls,
    number: u32,
    block: &'a RawValue,
    out: &mut Vec<Delta<'a>>,
) -> Result<(), Failure> {
    let kind = parse::<Typed<'a>>(block)?.r#type.0;
    match kind.as_ref() {
        "text" | "thinking" | "redacted_thinking" => {
            let Block { text, thinking, signature, data, .. } = parse(block)?;
            push_text(text, Delta::Text, out);
            push_text(thinking, Delta::Reasoning, out);
            push_text(signature, Delta::Signature, out);
            push_text(data, Delta::Redacted, out);
        }
        "tool_use" => {
            let Block { id, name, input, .. } = parse(block)?;
            calls.begin(number, id.unwrap_or_default().0, name.unwrap_or_default().0, input, out);
        }
        // Blocks of the provider's own tools, and what may come one day.
        _ => {}
    }
    Ok(())
}

/// Reads what is added to a block.
fn go_on<'a>(
    calls: &mut Calls,
    number: u32,
    delta: &'a RawValue,
    out: &mut Vec<Delta<'a>>,
) -> Result<(), Failure> {
    let kind = parse::<Typed<'a>>(delta)?.r#type.0;
    match kind.as_ref() {
        "text_delta" | "thinking_delta" | "signature_delta" => {
            let Block { text, thinking, signature, .. } = parse(delta)?;
            push_text(text, Delta::Text, out);
            push_text(thinking, Delta::Reasoning, out);
            push_text(signature, Delta::Signature, out);
        }
        "input_json_delta" => {
            let Block { partial_json, .. } = parse(delta)?;
            calls.add(number, partial_json.unwrap_or_default().0, out);
        }
        _ => {}
    }
    Ok(())
}
