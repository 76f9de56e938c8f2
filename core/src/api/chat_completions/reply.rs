//! Writes answers as chat completions. What a provider of the same format sent is passed on as it is; only where it
//! deviates from what OpenAI's clients know, the deviation is mended.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::mend::{self, Passage};
use crate::api::errors::openai_body;
use crate::api::extra_content::ExtraContent;
use crate::api::{About, Reply, Source, Whole};
use crate::chat::{Answer, Delta, Finish, Part, Usage};
use crate::error::GatewayError;
use crate::json as text;
use crate::sse::{self, Event};

/// Writes the answer to one request.
#[derive(Debug, Default)]
pub(super) struct CompletionReply {
    /// Whether the client wants the tokens of a stream counted, in a chunk of their own.
    include_usage: bool,
    /// Whether the role has been told, and with it the stream begun.
    has_begun: bool,
    /// What a provider of the same format has sent, the reason of its end included.
    passage: Option<Passage>,
    /// What a provider of another format has thought.
    thought: Thought,
}

/// A thought under way. Its signature counts for all of its text, so both are told together once it is complete, beside the
/// text that was told as it came.
#[derive(Debug, Default)]
struct Thought {
    text: String,
    signature: String,
}

impl Thought {
    /// Takes the next delta; gives the thought before it, if that was signed and is complete now.
    fn take(&mut self, delta: &Delta<'_>) -> Option<Value> {
        match delta {
            Delta::Signature(more) => {
                self.signature.push_str(more);
                None
            }
            Delta::Reasoning(more) => {
                let complete = if self.signature.is_empty() { None } else { self.end() };
                self.text.push_str(more);
                complete
            }
            Delta::Finish(_) | Delta::Usage(_) => None,
            _ => self.end(),
        }
    }

    /// Ends the thought under way; gives it if it was signed.
    fn end(&mut self) -> Option<Value> {
        let Self { text, signature } = std::mem::take(self);
        if signature.is_empty() { None } else { details(Some(&signature), None, &text) }
    }
}

impl CompletionReply {
    pub(super) fn new(include_usage: bool) -> Self {
        Self { include_usage, ..Self::default() }
    }

    fn write_chunk(
        &mut self,
        about: &About<'_>,
        mut said: Said<'_>,
        finish: Option<Finish>,
        out: &mut Vec<u8>,
    ) {
        if !std::mem::replace(&mut self.has_begun, true) {
            said.role = Some("assistant");
            said.content.get_or_insert(Some(Cow::Borrowed("")));
        }
        let choice = Choice { delta: Some(said), finish_reason: finish.map(word), ..Choice::default() };
        write_event(&Completion::new(about, CHUNK, vec![choice]), out);
    }
}

pub(super) const CHUNK: &str = "chat.completion.chunk";

fn write_event(chunk: &Completion<'_>, out: &mut Vec<u8>) {
    let mut json = Vec::with_capacity(256);
    text::write(&mut json, chunk);
    sse::write_data(out, &json);
}

/// The finish reason.
pub(super) const fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Other => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
    }
}

#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: InputDetails,
    completion_tokens_details: OutputDetails,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.input,
            completion_tokens: usage.output,
            total_tokens: usage.input.saturating_add(usage.output),
            prompt_tokens_details: InputDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: usage.cache_write,
            },
            completion_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning },
        }
    }
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize, Default)]
struct Choice<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Said<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Said<'a>>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

/// A message, or what a chunk adds to it.
#[derive(Serialize, Default)]
pub(super) struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Null in the message of a whole answer without text, absent in a chunk without.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Option<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

#[derive(Serialize, Default)]
struct WireCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize, Default)]
struct WireFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> Completion<'a> {
    fn new(about: &About<'a>, object: &'static str, choices: Vec<Choice<'a>>) -> Self {
        Self {
            id: format!("chatcmpl-{}", about.id.simple()),
            object,
            created: about.created_secs,
            model: about.model,
            choices,
            usage: None,
        }
    }
}

impl<'a> WireCall<'a> {
    fn begin(
        index: Option<u32>,
        id: &'a str,
        name: &'a str,
        arguments: &'a str,
        signature: Option<&'a str>,
    ) -> Self {
        Self {
            index,
            id: Some(id),
            r#type: Some("function"),
            function: WireFunction { name: Some(name), arguments },
            extra_content: signature.map(ExtraContent::of),
        }
    }
}

/// What a provider wants back with the next request, beside the text.
fn details(signature: Option<&str>, redacted: Option<&str>, thought: &str) -> Option<Value> {
    match (signature, redacted) {
        (_, Some(data)) => Some(json!({ "type": "reasoning.encrypted", "data": data })),
        (Some(signature), None) => {
            Some(json!({ "type": "reasoning.text", "text": thought, "signature": signature }))
        }
        (None, None) => None,
    }
}

/// The message of a whole answer.
pub(super) fn message(answer: &Answer) -> Said<'_> {
    let mut said =
        Said { role: Some("assistant"), content: Some(None), refusal: Some(None), ..Said::default() };
    for part in &answer.parts {
        match part {
            Part::Text(more) => append(said.content.get_or_insert_default(), more),
            Part::Refusal(more) => append(said.refusal.get_or_insert_default(), more),
            Part::Reasoning(thought) => {
                append(&mut said.reasoning_content, &thought.text);
                said.reasoning_details.extend(details(
                    thought.signature.as_deref(),
                    thought.redacted.as_deref(),
                    &thought.text,
                ));
            }
            Part::ToolCall(call) => said.tool_calls.push(WireCall::begin(
                None,
                &call.id,
                &call.name,
                &call.arguments,
                call.signature.as_deref(),
            )),
            Part::Image(_) | Part::ToolResult(_) | Part::Foreign(_) => {}
        }
    }
    said
}

fn append<'a>(so_far: &mut Option<Cow<'a, str>>, more: &'a str) {
    match so_far {
        Some(text) => text.to_mut().push_str(more),
        None if more.is_empty() => {}
        None => *so_far = Some(Cow::Borrowed(more)),
    }
}

/// What `deltas` add to the message; `None` where that is nothing.
pub(super) fn said<'a>(deltas: &'a [Delta<'_>]) -> Option<Said<'a>> {
    let mut said = Said::default();
    let mut is_empty = true;
    for delta in deltas {
        match delta {
            Delta::Text(more) => append(said.content.get_or_insert_default(), more),
            Delta::Refusal(more) => append(said.refusal.get_or_insert_default(), more),
            Delta::Reasoning(more) => append(&mut said.reasoning_content, more),
            Delta::Redacted(data) => said.reasoning_details.extend(details(None, Some(data), "")),
            Delta::ToolCall { index, id, name, signature } => {
                said.tool_calls.push(WireCall::begin(Some(*index), id, name, "", signature.as_deref()));
            }
            Delta::Arguments { index, json } => said.tool_calls.push(WireCall {
                index: Some(*index),
                function: WireFunction { arguments: json, ..Default::default() },
                ..Default::default()
            }),
            Delta::Signature(_) | Delta::Foreign(_) | Delta::Finish(_) | Delta::Usage(_) => continue,
        }
        is_empty = false;
    }
    (!is_empty).then_some(said)
}

impl Reply for CompletionReply {
    fn whole(&self, about: &About<'_>, answer: &Answer, source: Source, body: &[u8]) -> Whole {
        if source != Source::Foreign {
            return mend::whole(body, answer, source).map_or(Whole::Native, Whole::Written);
        }
        let choice = Choice {
            message: Some(message(answer)),
            finish_reason: Some(word(answer.finish)),
            ..Choice::default()
        };
        let completion = Completion::new(about, "chat.completion", vec![choice]);
        let mut body = Vec::new();
        text::write(&mut body, &Completion { usage: answer.usage.map(WireUsage::from), ..completion });
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
        if source == Source::Foreign {
            let signed: Vec<Value> = deltas.iter().filter_map(|delta| self.thought.take(delta)).collect();
            let said = said(deltas);
            if said.is_some() || !signed.is_empty() {
                let mut said = said.unwrap_or_default();
                said.reasoning_details.splice(0..0, signed);
                self.write_chunk(about, said, None, out);
            }
        } else if event.data.trim_ascii() != b"[DONE]" {
            let passage = self.passage.get_or_insert_default();
            if let Some(chunk) = passage.chunk(event.data, deltas, source) {
                sse::write_data(out, &chunk);
            }
        }
    }

    fn restart(&mut self) {
        *self = Self::new(self.include_usage);
    }

    fn end(&mut self, about: &About<'_>, answer: &Answer, out: &mut Vec<u8>) {
        let count = match &mut self.passage {
            Some(passage) => passage.take_count(),
            None => {
                let said =
                    Said { reasoning_details: self.thought.end().into_iter().collect(), ..Said::default() };
                self.write_chunk(about, said, Some(answer.finish), out);
                None
            }
        };
        if self.include_usage {
            match (count, answer.usage) {
                (Some(chunk), _) => sse::write_data(out, &chunk),
                (None, Some(usage)) => {
                    let chunk = Completion::new(about, CHUNK, Vec::new());
                    write_event(&Completion { usage: Some(usage.into()), ..chunk }, out);
                }
                (None, None) => {}
            }
        }
        sse::write_data(out, b"[DONE]");
    }

    fn error(&mut self, error: &GatewayError, out: &mut Vec<u8>) {
        sse::write_data(out, &openai_body(error));
    }
}
