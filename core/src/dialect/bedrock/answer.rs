//! The answers of Converse and the events of ConverseStream.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::{Answer, Collector, Delta, Finish, Usage};
use crate::dialect::calls::Calls;
use crate::dialect::{ReadEvents, error_body, malformed, push_text};
use crate::event_stream::EXCEPTION;
use crate::failure::{Failure, FailureKind};
use crate::json::Text;
use crate::sse::Event;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<ReasoningContent<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent<'a> {
    #[serde(borrow)]
    reasoning_text: Option<Thought<'a>>,
    #[serde(borrow)]
    redacted_content: Option<Text<'a>>,
}

/// A thought, or what is added to it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thought<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
    #[serde(borrow)]
    redacted_content: Option<Text<'a>>,
}

/// What a stream's event holds; its name says which.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    #[serde(default)]
    content_block_index: u32,
    #[serde(borrow)]
    start: Option<Start<'a>>,
    #[serde(borrow)]
    delta: Option<WireDelta<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDelta<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    tool_use: Option<Fragment<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Thought<'a>>,
}

#[derive(Deserialize)]
struct Fragment<'a> {
    #[serde(borrow)]
    input: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        let cached = usage.cache_read_input_tokens.unwrap_or(0);
        let cache_write = usage.cache_write_input_tokens.unwrap_or(0);
        Self {
            input: usage.input_tokens.saturating_add(cached).saturating_add(cache_write),
            output: usage.output_tokens,
            cached,
            cache_write,
            reasoning: 0,
        }
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        _ => Finish::Other,
    }
}

/// Reads a whole answer.
pub(super) fn read_whole(body: &[u8]) -> Result<Answer, Failure> {
    let response: Response<'_> = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    let Some(message) = response.output.and_then(|output| output.message) else {
        return Err(Failure::new(FailureKind::Malformed, "sent an answer without a message"));
    };
    let mut deltas = Vec::new();
    let mut calls = Calls::default();
    for (block, number) in message.content.into_iter().zip(0..) {
        push_text(block.text, Delta::Text, &mut deltas);
        if let Some(ReasoningContent { reasoning_text, redacted_content }) = block.reasoning_content {
            if let Some(thought) = reasoning_text {
                push_thought(thought, &mut deltas);
            }
            push_text(redacted_content, Delta::Redacted, &mut deltas);
        }
        if let Some(call) = block.tool_use {
            begin(&mut calls, number, call, &mut deltas);
            calls.end(number, &mut deltas);
        }
    }
    Ok(Answer {
        parts: Collector::parts_of(&deltas),
        finish: response.stop_reason.map_or(Finish::Other, |reason| finish(&reason.0)),
        usage: response.usage.map(Usage::from),
    })
}

/// Reads the events of one stream.
#[derive(Default)]
pub(super) struct Events {
    calls: Calls,
}

impl ReadEvents for Events {
    fn read<'a>(&mut self, event: Event<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
        if let Some(kind) = event.name.strip_prefix(EXCEPTION) {
            let kind = String::from_utf8_lossy(kind);
            let error = error_body::read(event.data).unwrap_or_default();
            return Err(error.named(Some(&kind)).classify_in_stream());
        }
        let data = if event.data.is_empty() { b"{}" } else { event.data };
        let WireEvent { content_block_index: number, start, delta, stop_reason, usage } =
            serde_json::from_slice(data).map_err(|error| malformed(&error))?;
        if let Some(call) = start.and_then(|start| start.tool_use) {
            begin(&mut self.calls, number, call, out);
        }
        if let Some(WireDelta { text, tool_use, reasoning_content }) = delta {
            push_text(text, Delta::Text, out);
            if let Some(thought) = reasoning_content {
                push_thought(thought, out);
            }
            if let Some(json) = tool_use.and_then(|fragment| fragment.input) {
                self.calls.add(number, json.0, out);
            }
        }
        if event.name == b"contentBlockStop" {
            self.calls.end(number, out);
        }
        out.extend(stop_reason.map(|reason| Delta::Finish(finish(&reason.0))));
        out.extend(usage.map(|usage| Delta::Usage(usage.into())));
        Ok(())
    }
}

fn begin<'a>(calls: &mut Calls, number: u32, call: ToolUse<'a>, out: &mut Vec<Delta<'a>>) {
    let ToolUse { tool_use_id, name, input } = call;
    calls.begin(number, tool_use_id.unwrap_or_default().0, name.unwrap_or_default().0, input, out);
}

fn push_thought<'a>(thought: Thought<'a>, out: &mut Vec<Delta<'a>>) {
    push_text(thought.text, Delta::Reasoning, out);
    push_text(thought.signature, Delta::Signature, out);
    push_text(thought.redacted_content, Delta::Redacted, out);
}
