//! Passes on what a provider of the same format sent, and mends what OpenAI's clients would trip over.
//!
//! Servers that call themselves compatible tell the role in every chunk or in none, count tokens where nobody asked,
//! number tool calls all alike or not at all, end with words of their own, send content as a list. Most chunks have
//! none of that and pass as they are, unparsed; in those that have, only the field in question is written anew, and
//! fields nobody here knows stay.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::{Map, Value};

use super::reply::{CHUNK, message, said, word};
use crate::api::Source;
use crate::chat::{Answer, Delta, Finish};

/// A stream on its way from a provider of the same format.
#[derive(Debug, Default)]
pub(super) struct Passage {
    has_begun: bool,
    calls_tools: bool,
    /// Whether the reason of the end was passed on: what follows can only count.
    has_ended: bool,
    /// The chunk that counts the tokens, for the end of the stream.
    count: Option<Vec<u8>>,
    /// Fields of a chunk that said nothing, for the next one.
    held: Map<String, Value>,
}

/// What is to be mended in a chunk.
#[derive(Debug, Clone, Copy)]
struct Defects {
    /// The role is to be told, or not to be told again.
    role: bool,
    /// Tokens are counted among the rest.
    count: bool,
    /// The reason of the end is a word of the server's own.
    finish: bool,
    /// Calls of tools, or content, are not as they should be.
    content: bool,
}

impl Defects {
    fn any(self) -> bool {
        self.role || self.count || self.finish || self.content
    }
}

impl Passage {
    /// The chunk that counts the tokens; nothing where the provider sent none.
    pub(super) fn take_count(&mut self) -> Option<Vec<u8>> {
        self.count.take()
    }

    /// The chunk for the client; `None` where that is nothing, or not yet.
    pub(super) fn chunk<'a>(
        &mut self,
        data: &'a [u8],
        deltas: &[Delta<'_>],
        source: Source,
    ) -> Option<Cow<'a, [u8]>> {
        let has_role = has(data, b"\"role\"", b"");
        let is_empty = has(data, b"\"choices\"", b"[]");
        if is_empty && matches!(deltas, [Delta::Usage(_)]) {
            self.count = Some(data.to_vec());
            return None;
        }
        if is_empty && deltas.is_empty() {
            self.hold(data);
            return None;
        }
        let is_said = has_role || !deltas.is_empty();
        let is_first = is_said && !self.has_begun;
        self.has_begun |= is_said;
        self.calls_tools |= deltas.iter().any(|delta| matches!(delta, Delta::ToolCall { .. }));
        let finish = deltas.iter().find_map(|delta| match delta {
            Delta::Finish(finish) => Some(finish.with_calls(self.calls_tools)),
            _ => None,
        });
        let has_ended = self.has_ended;
        self.has_ended |= finish.is_some();
        let has_calls =
            || deltas.iter().any(|delta| matches!(delta, Delta::ToolCall { .. } | Delta::Arguments { .. }));
        let defects = Defects {
            role: is_said && has_role != is_first,
            count: deltas.iter().any(|delta| matches!(delta, Delta::Usage(_))),
            finish: match finish {
                Some(finish) => !ends_with(data, finish),
                None => has(data, b"\"finish_reason\"", b"\""),
            },
            content: source == Source::NearlyNative && (has_calls() || has(data, b"\"content\"", b"[")),
        };
        if !defects.any() && self.held.is_empty() {
            return Some(Cow::Borrowed(data));
        }
        let mended = self.mend(data, deltas, defects, is_first, finish);
        let only_counts = has_ended && matches!(deltas, [Delta::Usage(_)]);
        if only_counts { None } else { Some(mended.map_or(Cow::Borrowed(data), Cow::Owned)) }
    }

    /// Keeps what a chunk without choices says beside its frame, which Azure leaves blank. There is one such chunk: more of
    /// them are not kept.
    fn hold(&mut self, data: &[u8]) {
        if !self.held.is_empty() {
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Map<String, Value>>(data) else { return };
        const FRAME: [&str; 6] = ["id", "object", "created", "model", "choices", "usage"];
        self.held.extend(chunk.into_iter().filter(|(name, _)| !FRAME.contains(&name.as_str())));
    }

    /// The mended chunk; `None` where it is no object.
    fn mend(
        &mut self,
        data: &[u8],
        deltas: &[Delta<'_>],
        defects: Defects,
        is_first: bool,
        finish: Option<Finish>,
    ) -> Option<Vec<u8>> {
        let mut chunk: Map<String, Value> = serde_json::from_slice(data).ok()?;
        chunk.insert("object".to_owned(), CHUNK.into());
        if defects.count {
            let mut count = chunk.clone();
            count.insert("choices".to_owned(), Value::Array(Vec::new()));
            self.count = serde_json::to_vec(&count).ok();
            chunk.remove("usage");
        }
        chunk.extend(std::mem::take(&mut self.held));
        if let Some(choice) = chunk.get_mut("choices").and_then(first_choice) {
            if defects.finish {
                choice.insert("finish_reason".to_owned(), finish.map(word).into());
            }
            if let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) {
                if is_first {
                    delta.insert("role".to_owned(), "assistant".into());
                } else {
                    delta.remove("role");
                }
                if defects.content {
                    mend_content(delta, deltas);
                }
            }
        }
        serde_json::to_vec(&chunk).ok()
    }
}

/// Whether `data` says by OpenAI's own word that it ends so.
fn ends_with(data: &[u8], finish: Finish) -> bool {
    has(data, b"\"finish_reason\"", format!("\"{}\"", word(finish)).as_bytes())
}

/// Whether the field of this `quoted` name has a value that begins with `start`, without parsing: text of the answer cannot
/// look like one, since its quotes are escaped.
fn has(data: &[u8], quoted: &[u8], start: &[u8]) -> bool {
    memmem::find_iter(data, quoted).any(|at| {
        let after = data.get(at + quoted.len()..).unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(start))
    })
}

fn mend_content(delta: &mut Map<String, Value>, deltas: &[Delta<'_>]) {
    let Some(Value::Object(mut said)) = said(deltas).and_then(|said| serde_json::to_value(said).ok()) else {
        return;
    };
    if delta.get("content").is_some_and(Value::is_array) {
        delta.insert("content".to_owned(), said.remove("content").unwrap_or_else(|| "".into()));
        delta.extend(said.remove("reasoning_content").map(|text| ("reasoning_content".to_owned(), text)));
    }
    if let Some(Value::Array(calls)) = said.remove("tool_calls") {
        mend_calls(delta, calls, deltas);
    }
}

/// Gives each call its position, and what else it lacks; `read` is what was read of them.
fn mend_calls(delta: &mut Map<String, Value>, read: Vec<Value>, deltas: &[Delta<'_>]) {
    let mut positions: Vec<u32> = deltas
        .iter()
        .filter_map(|delta| match delta {
            Delta::ToolCall { index, .. } | Delta::Arguments { index, .. } => Some(*index),
            _ => None,
        })
        .collect();
    positions.dedup();
    let text_arguments = |call: &Value| call.pointer("/function/arguments").is_none_or(Value::is_string);
    match delta.get_mut("tool_calls").and_then(Value::as_array_mut) {
        // One for one, in their order, and complete but for the position.
        Some(calls)
            if calls.len() == positions.len()
                && calls.iter().all(|c| text_arguments(c) && c.get("id").is_none_or(|id| !id.is_null())) =>
        {
            for (call, position) in calls.iter_mut().zip(positions) {
                if let Some(call) = call.as_object_mut() {
                    call.insert("index".to_owned(), position.into());
                }
            }
        }
        _ => {
            delta.insert("tool_calls".to_owned(), Value::Array(read));
        }
    }
}

/// A whole answer; `None` where it can be passed on as it is.
pub(super) fn whole(body: &[u8], answer: &Answer, source: Source) -> Option<Vec<u8>> {
    if source == Source::Native && ends_with(body, answer.finish) {
        return None;
    }
    let mut completion: Map<String, Value> = serde_json::from_slice(body).ok()?;
    completion.insert("object".to_owned(), "chat.completion".into());
    let choice = first_choice(completion.get_mut("choices")?)?;
    choice.insert("finish_reason".to_owned(), word(answer.finish).into());
    let told = choice.get_mut("message")?.as_object_mut()?;
    if let Value::Object(read) = serde_json::to_value(message(answer)).ok()? {
        told.extend(read);
    }
    serde_json::to_vec(&completion).ok()
}

fn first_choice(choices: &mut Value) -> Option<&mut Map<String, Value>> {
    let of_first = |choice: &&mut Value| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0;
    choices.as_array_mut()?.iter_mut().find(of_first)?.as_object_mut()
}
