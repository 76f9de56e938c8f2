//! The messages of chat completions: the client's own text where a service takes it as it is, else written anew.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::OpenAi;
use crate::chat::{Chat, Feature, Foreign, Image, Message, Part, Role, ToolCall, ToolResult};
use crate::dialect::{CUSTOM_CALL, Call, Wire, ids, objects};
use crate::json::{self, Json};
use crate::native::Native;

/// Whether the client's own text may pass as it is.
pub(super) fn may_pass(openai: &OpenAi, chat: &Chat) -> bool {
    let is_rewritten = chat.is_edited
        || openai.short_call_ids
        || (openai.fields.is_some() && holds_refusal(&chat.messages))
        || (openai.parses_arguments && !calls_with_objects(&chat.messages))
        || !keeps_names(openai)
        || (!openai.takes_state_back && holds_state(&chat.messages))
        || (openai.wants_thoughts() && lacks_thoughts(&chat.messages));
    !is_rewritten
}

fn keeps_names(openai: &OpenAi) -> bool {
    !openai.support.dropped.contains(&Feature::Names)
}

/// The messages: the client's own text where it may pass, else written anew.
pub(super) fn write(openai: &OpenAi, call: &Call<'_>, native: Option<&Native>, out: &mut Vec<u8>) {
    let chat = call.chat;
    if may_pass(openai, chat)
        && let Some(raw) = native.and_then(|native| native.get("messages"))
    {
        out.extend_from_slice(raw.as_bytes());
        return;
    }
    let writer = MessageWriter { openai, keeps_names: keeps_names(openai) };
    out.push(b'[');
    let start = out.len();
    for message in &chat.messages {
        writer.write(message, start, out);
    }
    out.push(b']');
}

/// Whether an earlier answer came from a provider that wants something of its own back, which others do not take.
fn holds_state(messages: &[Message]) -> bool {
    messages.iter().flat_map(|message| &message.parts).any(|part| match part {
        Part::Reasoning(_) => true,
        Part::ToolCall(call) => call.signature.is_some(),
        _ => false,
    })
}

fn holds_refusal(messages: &[Message]) -> bool {
    messages.iter().flat_map(|message| &message.parts).any(|part| matches!(part, Part::Refusal(_)))
}

fn calls_with_objects(messages: &[Message]) -> bool {
    messages.iter().flat_map(Message::tool_calls).all(|call| objects::is_object(&call.arguments))
}

/// Whether tools were called without a thought before it.
fn lacks_thoughts(messages: &[Message]) -> bool {
    messages.iter().any(|message| {
        let thinks = message.parts.iter().any(|part| matches!(part, Part::Reasoning(_)));
        !thinks && message.tool_calls().next().is_some()
    })
}

struct MessageWriter<'a> {
    openai: &'a OpenAi,
    keeps_names: bool,
}

#[derive(Serialize, Default)]
struct WireMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    reasoning: Option<BTreeMap<&'static str, String>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum WirePart<'a> {
    Text { r#type: &'static str, text: &'a str },
    Image { r#type: &'static str, image_url: WireImage<'a> },
    Foreign(&'a Json),
}

#[derive(Serialize)]
struct WireImage<'a> {
    url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireToolCall<'a> {
    Function(WireCall<'a>),
    Custom(&'a Json),
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    arguments: Cow<'a, str>,
}

impl MessageWriter<'_> {
    fn write(&self, message: &Message, start: usize, out: &mut Vec<u8>) {
        let mut put = |message: &WireMessage<'_>| {
            if out.len() > start {
                out.push(b',');
            }
            json::write(out, message);
        };
        let name = message.name.as_deref().filter(|_| self.keeps_names);
        match message.role {
            Role::System => put(&WireMessage {
                role: "system",
                name,
                content: Some(Content::Text(message.text())),
                ..Default::default()
            }),
            Role::User => put(&WireMessage {
                role: "user",
                name,
                content: Some(content(&message.parts)),
                ..Default::default()
            }),
            Role::Assistant => put(&self.assistant(message, name)),
            Role::Tool => {
                let results: Vec<&ToolResult> = results(message).collect();
                for result in &results {
                    put(&WireMessage {
                        role: "tool",
                        tool_call_id: Some(self.call_id(&result.call_id)),
                        content: Some(Content::Text(result.text())),
                        ..Default::default()
                    });
                }
                // A tool's message is text alone: its images follow as if the user showed them.
                let images: Vec<_> =
                    results.iter().flat_map(|result| &result.parts).filter_map(image).collect();
                if !images.is_empty() {
                    let content = Some(Content::Parts(images));
                    put(&WireMessage { role: "user", content, ..Default::default() });
                }
            }
        }
    }

    fn assistant<'m>(&self, message: &'m Message, name: Option<&'m str>) -> WireMessage<'m> {
        // Where unknown fields are refused, so is a refusal.
        let is_strict = self.openai.fields.is_some();
        let text: Option<String> = joined(message, |part| match part {
            Part::Text(text) => Some(text),
            Part::Refusal(text) if is_strict => Some(text),
            _ => None,
        });
        let thoughts = joined(message, |part| match part {
            Part::Reasoning(reasoning) => Some(&reasoning.text),
            _ => None,
        });
        let calls = message.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(WireToolCall::Function(self.call(call))),
            Part::Foreign(Foreign { wire: Wire::Openai, kind, json }) if kind == CUSTOM_CALL => {
                Some(WireToolCall::Custom(json))
            }
            _ => None,
        });
        let tool_calls: Vec<WireToolCall<'m>> = calls.collect();
        let refusal = message.parts.iter().find_map(|part| match part {
            Part::Refusal(text) if !is_strict => Some(text.as_str()),
            _ => None,
        });
        let may_be_null = !tool_calls.is_empty() || refusal.is_some();
        let content = match text {
            None if may_be_null => None,
            text => Some(Content::Text(text.unwrap_or_default().into())),
        };
        let must_think = self.openai.wants_thoughts() && !tool_calls.is_empty();
        let thoughts = thoughts.or(must_think.then(String::new));
        let reasoning = self.openai.reasoning.zip(thoughts).map(|(field, text)| [(field, text)].into());
        WireMessage { role: "assistant", name, content, refusal, tool_calls, reasoning, tool_call_id: None }
    }

    fn call<'m>(&self, call: &'m ToolCall) -> WireCall<'m> {
        let arguments = match self.openai.parses_arguments {
            true => Cow::Owned(objects::arguments(&call.arguments).get().to_owned()),
            false => Cow::Borrowed(call.arguments.as_str()),
        };
        WireCall {
            id: self.call_id(&call.id),
            r#type: "function",
            function: WireFunction { name: &call.name, arguments },
        }
    }

    fn call_id<'m>(&self, id: &'m str) -> Cow<'m, str> {
        if self.openai.short_call_ids { ids::short(id) } else { id.into() }
    }
}

fn results(message: &Message) -> impl Iterator<Item = &ToolResult> {
    message.parts.iter().filter_map(|part| match part {
        Part::ToolResult(result) => Some(result),
        _ => None,
    })
}

fn joined<'m>(message: &'m Message, text: impl Fn(&'m Part) -> Option<&'m String>) -> Option<String> {
    let texts: Vec<&str> = message.parts.iter().filter_map(|part| text(part).map(String::as_str)).collect();
    (!texts.is_empty()).then(|| texts.concat())
}

fn content(parts: &[Part]) -> Content<'_> {
    match parts {
        [Part::Text(text)] => Content::Text(text.into()),
        parts => Content::Parts(parts.iter().filter_map(wire_part).collect()),
    }
}

fn wire_part(part: &Part) -> Option<WirePart<'_>> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(WirePart::Text { r#type: "text", text }),
        Part::Image(_) => image(part),
        Part::Foreign(foreign) if foreign.wire == Wire::Openai => Some(WirePart::Foreign(&foreign.json)),
        Part::Foreign(_) | Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
    }
}

fn image(part: &Part) -> Option<WirePart<'_>> {
    let Part::Image(Image { source, detail }) = part else { return None };
    let image_url = WireImage { url: source.url(), detail: detail.as_deref() };
    Some(WirePart::Image { r#type: "image_url", image_url })
}
