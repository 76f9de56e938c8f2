//! The answers of chat completions, whole and in chunks, with the liberties that compatible servers take.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::OpenAi;
use crate::chat::{Answer, Collector, Delta, Finish, Foreign, MAX_CALLS, Usage};
use crate::dialect::{ReadEvents, Wire, error_body, ids, malformed};
use crate::failure::{Failure, FailureKind};
use crate::json::{Json, Text};
use crate::sse::Event;

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<WireUsage>,
    /// Groq's place for tokens in streams.
    x_groq: Option<Groq>,
    /// Some gateways report a failure under status 200.
    error: Option<Value>,
    /// `error` where the whole object is one.
    #[serde(borrow)]
    object: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Groq {
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// One choice, of a whole answer (`message`) or of a chunk (`delta`).
#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    /// OpenRouter's place for what the provider behind it reported.
    error: Option<Value>,
}

#[derive(Deserialize, Default)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    /// Speech.
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    /// What calls of tools were before there were several.
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<WireCall<'a>>>,
}

/// A part of `content`, where that is a list.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    thinking: Option<Vec<Chunk<'a>>>,
}

#[derive(Deserialize)]
struct WireCall<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<WireFunction<'a>>,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct WireFunction<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<InputDetails>,
    completion_tokens_details: Option<OutputDetails>,
    /// DeepSeek's count of cached tokens.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    pub(super) fn read(self, reasoning_beside_output: bool) -> Usage {
        let input = self.prompt_tokens_details;
        let reasoning =
            self.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0);
        let (read, said) = (self.prompt_tokens.unwrap_or(0), self.completion_tokens.unwrap_or(0));
        let output = match self.total_tokens {
            // What is neither read nor said was thought.
            Some(total) if reasoning_beside_output => total.saturating_sub(read).max(said),
            None if reasoning_beside_output => said.saturating_add(reasoning),
            _ => said,
        };
        Usage {
            input: read,
            output,
            cached: input
                .as_ref()
                .and_then(|details| details.cached_tokens)
                .or(self.prompt_cache_hit_tokens)
                .unwrap_or(0),
            cache_write: input.and_then(|details| details.cache_write_tokens).unwrap_or(0),
            reasoning,
        }
    }
}

/// The failure that a body reports under status 200.
pub(super) fn check(error: Option<&Value>) -> Result<(), Failure> {
    match error.filter(|error| !error.is_null()) {
        Some(error) => {
            let wrapped = serde_json::json!({ "error": error });
            Err(error_body::from_value(&wrapped).unwrap_or_default().classify_in_stream())
        }
        None => Ok(()),
    }
}

impl<'a> Completion<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let completion: Self = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        if completion.object.as_deref() == Some("error") {
            return Err(error_body::read(body).unwrap_or_default().classify_in_stream());
        }
        check(completion.error())?;
        Ok(completion)
    }

    fn error(&self) -> Option<&Value> {
        let of_groq = || self.x_groq.as_ref()?.error.as_ref();
        let of_choice = || self.choices.as_ref()?.first()?.error.as_ref();
        self.error.as_ref().or_else(of_groq).or_else(of_choice)
    }

    fn take_usage(&mut self, reasoning_beside_output: bool) -> Option<Usage> {
        let groq = self.x_groq.take().and_then(|groq| groq.usage);
        self.usage.take().or(groq).map(|usage| usage.read(reasoning_beside_output))
    }

    /// The answer; a client that asked for several gets the others as they are.
    fn first_choice(self) -> Option<Choice<'a>> {
        self.choices?.into_iter().find(|choice| choice.index.unwrap_or(0) == 0)
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        // Proxies send an empty reason where there is none yet.
        "" => None,
        "stop" | "eos" => Some(Finish::Stop),
        "tool_calls" | "function_call" => Some(Finish::ToolCalls),
        "length" | "model_length" => Some(Finish::Length),
        "content_filter" => Some(Finish::ContentFilter),
        _ => Some(Finish::Other),
    }
}

/// A finish reason that reports a failure of the provider.
fn check_reason(reason: Option<&str>) -> Result<(), Failure> {
    match reason {
        Some("error") => Err(Failure::new(FailureKind::ServerError, "ended its answer with an error")),
        _ => Ok(()),
    }
}

/// Reads a whole answer.
pub(super) fn read_whole(openai: &OpenAi, body: &[u8]) -> Result<Answer, Failure> {
    let mut completion = Completion::parse(body)?;
    let usage = completion.take_usage(openai.reasoning_beside_output);
    let Some(choice) = completion.first_choice() else {
        return Err(Failure::new(FailureKind::Malformed, "sent an answer without a choice"));
    };
    check_reason(choice.finish_reason.as_deref())?;
    let finish = choice.finish_reason.as_deref().and_then(finish).unwrap_or(Finish::Other);
    let mut deltas = Vec::new();
    Calls::default().read(choice.message.unwrap_or_default(), &mut deltas)?;
    Ok(Answer { parts: Collector::parts_of(&deltas), finish, usage })
}

/// Reads the chunks of one stream.
pub(super) struct Events {
    reasoning_beside_output: bool,
    calls: Calls,
}

impl Events {
    pub(super) fn new(reasoning_beside_output: bool) -> Self {
        Self { reasoning_beside_output, calls: Calls::default() }
    }
}

impl ReadEvents for Events {
    fn read<'a>(&mut self, event: Event<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
        if event.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let mut completion = Completion::parse(event.data)?;
        let usage = completion.take_usage(self.reasoning_beside_output);
        if let Some(choice) = completion.first_choice() {
            check_reason(choice.finish_reason.as_deref())?;
            self.calls.read(choice.delta.unwrap_or_default(), out)?;
            out.extend(choice.finish_reason.as_deref().and_then(finish).map(Delta::Finish));
        }
        out.extend(usage.map(Delta::Usage));
        Ok(())
    }
}

/// The calls of tools so far: which of them a piece belongs to is said in more ways than one.
#[derive(Default)]
struct Calls(Vec<Known>);

struct Known {
    /// What the provider calls its position.
    index: Option<u32>,
    id: String,
}

impl Calls {
    fn read<'a>(&mut self, said: Said<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
        let reasoning = said.reasoning_content.or(said.reasoning).unwrap_or_default().0;
        if !reasoning.is_empty() {
            out.push(Delta::Reasoning(reasoning));
        }
        if let Some(content) = said.content {
            read_content(content, out)?;
        }
        let refusal = said.refusal.unwrap_or_default().0;
        if !refusal.is_empty() {
            out.push(Delta::Refusal(refusal));
        }
        for call in said.tool_calls.unwrap_or_default() {
            self.read_call(call, out)?;
        }
        for (kind, content) in [("audio", said.audio), ("function_call", said.function_call)] {
            let foreign =
                |json| Foreign { wire: Wire::Openai, kind: kind.to_owned(), json: Json::from(json) };
            out.extend(content.map(|json| Delta::Foreign(foreign(json))));
        }
        Ok(())
    }

    fn read_call<'a>(&mut self, call: WireCall<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
        let id = call.id.unwrap_or_default().0;
        let (name, arguments) = match call.function {
            Some(function) => (function.name.unwrap_or_default().0, function.arguments),
            None => Default::default(),
        };
        let position = match self.find(call.index, &id, !name.is_empty()) {
            Some(position) => position,
            None => {
                if self.0.len() == MAX_CALLS {
                    return Err(Failure::too_many_calls());
                }
                let id = if id.is_empty() { Cow::Owned(ids::new_call()) } else { id };
                self.0.push(Known { index: call.index, id: id.clone().into_owned() });
                let position = self.0.len() - 1;
                let signature = call.extra_content.as_ref().and_then(signature).map(Cow::Owned);
                out.push(Delta::ToolCall { index: as_index(position), id, name, signature });
                position
            }
        };
        if let Some(arguments) = arguments {
            let json = text_or_json(arguments)?;
            if !json.is_empty() {
                out.push(Delta::Arguments { index: as_index(position), json });
            }
        }
        Ok(())
    }

    /// The call that a piece goes on with; `None` for one that begins here.
    fn find(&self, index: Option<u32>, id: &str, is_named: bool) -> Option<usize> {
        if id.is_empty() && !is_named {
            // Without an index it can only be the last.
            return match index {
                Some(_) => self.0.iter().rposition(|known| known.index == index),
                None => self.0.len().checked_sub(1),
            };
        }
        // Some repeat id and name in every piece; some number all calls 0.
        self.0.iter().rposition(|known| {
            if id.is_empty() { index.is_some() && known.index == index } else { known.id == id }
        })
    }
}

fn as_index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Google's own way to carry a thought signature in chat completions.
fn signature(extra: &Value) -> Option<String> {
    extra.get("google")?.get("thought_signature")?.as_str().map(str::to_owned)
}

/// The text of a JSON string, or JSON of any other kind as it is: some send arguments as an object.
fn text_or_json(raw: &RawValue) -> Result<Cow<'_, str>, Failure> {
    match raw.get() {
        text if text.starts_with('"') => {
            serde_json::from_str::<Text<'_>>(text).map(|text| text.0).map_err(|error| malformed(&error))
        }
        "null" => Ok(Cow::default()),
        json => Ok(Cow::Borrowed(json)),
    }
}

/// Reads `content`: a string, or Mistral's list of text and thoughts.
fn read_content<'a>(content: &'a RawValue, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
    if !content.get().starts_with('[') {
        let text = text_or_json(content)?;
        if !text.is_empty() {
            out.push(Delta::Text(text));
        }
        return Ok(());
    }
    let chunks: Vec<Chunk<'a>> = serde_json::from_str(content.get()).map_err(|error| malformed(&error))?;
    for chunk in chunks {
        if chunk.r#type == "thinking" {
            let thoughts = chunk.thinking.unwrap_or_default().into_iter().filter_map(|chunk| chunk.text);
            out.extend(thoughts.map(|text| Delta::Reasoning(text.0)));
        } else if let Some(text) = chunk.text {
            out.push(Delta::Text(text.0));
        }
    }
    Ok(())
}
