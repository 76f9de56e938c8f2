//! The answers of `generateContent`. Each event of a stream is a whole answer that holds what is new.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::SIGNATURE_MARK;
use crate::chat::{Answer, Collector, Delta, Finish, Usage};
use crate::dialect::{ReadEvents, error_body, ids, malformed};
use crate::failure::{Failure, FailureKind};
use crate::sse::Event;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Candidate<'a>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    /// Reasoning, not answer.
    #[serde(default)]
    thought: bool,
    #[serde(borrow)]
    thought_signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

/// Counts are left out where they are 0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct UsageMetadata {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    cached_content_token_count: u64,
}

impl From<UsageMetadata> for Usage {
    fn from(usage: UsageMetadata) -> Self {
        Self {
            input: usage.prompt_token_count.saturating_add(usage.tool_use_prompt_token_count),
            output: usage.candidates_token_count.saturating_add(usage.thoughts_token_count),
            cached: usage.cached_content_token_count,
            reasoning: usage.thoughts_token_count,
            cache_write: 0,
        }
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        "" => None,
        "STOP" => Some(Finish::Stop),
        "MAX_TOKENS" | "CONTINUATION" => Some(Finish::Length),
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED" => Some(Finish::ContentFilter),
        _ => Some(Finish::Other),
    }
}

/// Reads a whole answer.
pub(super) fn read_whole(body: &[u8]) -> Result<Answer, Failure> {
    let mut deltas = Vec::new();
    Events::default().read(Event { name: b"", data: body, ..Event::default() }, &mut deltas)?;
    let (mut finish, mut usage, mut collector) = (None, None, Collector::default());
    for delta in &deltas {
        match delta {
            Delta::Finish(reason) => finish = Some(*reason),
            Delta::Usage(tokens) => usage = Some(*tokens),
            said => collector.add(said),
        }
    }
    let Some(finish) = finish else {
        return Err(Failure::new(FailureKind::Malformed, "sent an answer without a finish reason"));
    };
    Ok(Answer { parts: collector.into_parts(), finish, usage })
}

/// Reads the events of one stream.
#[derive(Default)]
pub(super) struct Events {
    /// How many tools were called so far.
    calls: u32,
}

impl ReadEvents for Events {
    fn read<'a>(&mut self, event: Event<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure> {
        let response: Response<'a> = match serde_json::from_slice(event.data) {
            Ok(response) => response,
            Err(error) => return Err(listed_error(event.data).unwrap_or_else(|| malformed(&error))),
        };
        if let Some(error) = response.error.filter(|error| !error.is_null()) {
            let wrapped = serde_json::json!({ "error": error });
            return Err(error_body::from_value(&wrapped).unwrap_or_default().classify_in_stream());
        }
        let blocked = response.prompt_feedback.and_then(|feedback| feedback.block_reason).is_some();
        let candidate = response.candidates.into_iter().find(|candidate| candidate.index == 0);
        let (content, reason) = candidate.map_or_else(Default::default, |candidate| {
            (candidate.content.unwrap_or_default(), candidate.finish_reason)
        });
        for part in content.parts {
            self.read_part(part, out);
        }
        let finish = if blocked { Some(Finish::ContentFilter) } else { reason.as_deref().and_then(finish) };
        out.extend(finish.map(Delta::Finish));
        // Some chunks only tell of which kind the traffic is.
        let usage = response.usage_metadata.map(Usage::from).filter(|usage| *usage != Usage::default());
        out.extend(usage.map(Delta::Usage));
        Ok(())
    }
}

/// The error that a body is, where Google puts it into a list.
fn listed_error(body: &[u8]) -> Option<Failure> {
    let is_list = body.trim_ascii_start().starts_with(b"[");
    is_list.then(|| error_body::read(body)).flatten().map(error_body::ErrorBody::classify_in_stream)
}

impl Events {
    fn read_part<'a>(&mut self, part: Part<'a>, out: &mut Vec<Delta<'a>>) {
        // A call without a name is more of one whose arguments come in pieces: only Gemini's own clients ask for that.
        if let Some(call) = part.function_call {
            if !call.name.is_empty() {
                self.read_call(call, part.thought_signature, out);
            }
            return;
        }
        if !part.text.is_empty() {
            out.push(if part.thought { Delta::Reasoning(part.text) } else { Delta::Text(part.text) });
        }
        let signature = part.thought_signature.filter(|signature| !signature.is_empty());
        out.extend(
            signature.map(|signature| Delta::Signature(format!("{SIGNATURE_MARK}{signature}").into())),
        );
    }

    fn read_call<'a>(
        &mut self,
        call: FunctionCall<'a>,
        signature: Option<Cow<'a, str>>,
        out: &mut Vec<Delta<'a>>,
    ) {
        let index = self.calls;
        self.calls = self.calls.saturating_add(1);
        let id = if call.id.is_empty() { Cow::Owned(ids::new_call()) } else { call.id };
        out.push(Delta::ToolCall { index, id, name: call.name, signature });
        let args = call.args.map(RawValue::get).filter(|args| *args != "null");
        out.push(Delta::Arguments { index, json: Cow::Borrowed(args.unwrap_or("{}")) });
    }
}
