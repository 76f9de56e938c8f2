//! OpenAI chat completions (`POST {base}/chat/completions`), and servers compatible with it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, Credential, Delta, Dialect, error_body, malformed};
use crate::chat::{Answer, Chat, Finish, Role, Usage};
use crate::failure::{Failure, FailureKind};

/// The dialect of `api.openai.com`.
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn credential(&self) -> Credential {
        Credential { header: "authorization", prefix: "Bearer " }
    }

    fn path(&self, base_path: &str, _: &Call<'_>) -> String {
        format!("{base_path}/chat/completions")
    }

    fn request_body(&self, call: &Call<'_>) -> Vec<u8> {
        Request { max_completion_tokens: call.max_tokens, ..Request::new(call) }.to_json()
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure> {
        read_answer(body)
    }

    fn read_event<'a>(&self, data: &'a [u8]) -> Result<Delta<'a>, Failure> {
        read_event(data)
    }
}

/// The request; the names are the wire's.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// What reasoning models accept; `max_tokens` is deprecated at OpenAI.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    /// What compatible servers accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_tokens: Option<u32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    pub(super) fn new(call: &Call<'a>) -> Self {
        Self {
            model: call.model,
            messages: wire_messages(call.chat),
            temperature: call.chat.temperature,
            max_completion_tokens: None,
            max_tokens: None,
            stream: call.stream,
            stream_options: call.stream.then_some(StreamOptions { include_usage: true }),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Plain structs of strings and numbers have no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn wire_messages(chat: &Chat) -> Vec<WireMessage<'_>> {
    let system = chat.system.as_deref().map(|content| WireMessage { role: "system", content });
    let spoken = chat.messages.iter().map(|message| WireMessage {
        role: match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        },
        content: &message.text,
    });
    system.into_iter().chain(spoken).collect()
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<WireUsage>,
    /// Some gateways report a failure under status 200.
    error: Option<Value>,
}

/// One choice, of a whole answer (`message`) or of a chunk (`delta`).
#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    message: Option<Content<'a>>,
    #[serde(borrow)]
    delta: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct Content<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
}

/// A string, borrowed from the body where it holds no escape.
#[derive(Deserialize, Default)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl From<WireUsage> for Usage {
    fn from(usage: WireUsage) -> Self {
        Self { input: usage.prompt_tokens, output: usage.completion_tokens }
    }
}

impl<'a> Content<'a> {
    fn into_text(self) -> Cow<'a, str> {
        let content = self.content.unwrap_or_default().0;
        if content.is_empty() { self.refusal.unwrap_or_default().0 } else { content }
    }
}

impl<'a> Completion<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Failure> {
        let completion: Self = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        match &completion.error {
            None | Some(Value::Null) => Ok(completion),
            Some(error) => {
                let wrapped = serde_json::json!({ "error": error });
                Err(error_body::from_value(&wrapped).unwrap_or_default().classify_in_stream())
            }
        }
    }
}

fn finish(reason: &str) -> Option<Finish> {
    match reason {
        // Proxies send an empty reason where there is none yet.
        "" => None,
        "stop" | "tool_calls" | "function_call" | "eos" => Some(Finish::Stop),
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

pub(super) fn read_answer(body: &[u8]) -> Result<Answer, Failure> {
    let completion = Completion::parse(body)?;
    let usage = completion.usage.map(Usage::from);
    let Some(choice) = completion.choices.into_iter().find(|choice| choice.index == 0) else {
        return Err(Failure::new(FailureKind::Malformed, "sent an answer without a choice"));
    };
    check_reason(choice.finish_reason.as_deref())?;
    Ok(Answer {
        text: choice.message.unwrap_or_default().into_text().into_owned(),
        finish: choice.finish_reason.as_deref().and_then(finish).unwrap_or(Finish::Other),
        usage,
    })
}

pub(super) fn read_event(data: &[u8]) -> Result<Delta<'_>, Failure> {
    if data.trim_ascii() == b"[DONE]" {
        return Ok(Delta::default());
    }
    let completion = Completion::parse(data)?;
    let usage = completion.usage.map(Usage::from);
    let Some(choice) = completion.choices.into_iter().find(|choice| choice.index == 0) else {
        return Ok(Delta { usage, ..Delta::default() });
    };
    check_reason(choice.finish_reason.as_deref())?;
    Ok(Delta {
        finish: choice.finish_reason.as_deref().and_then(finish),
        text: choice.delta.unwrap_or_default().into_text(),
        usage,
    })
}
