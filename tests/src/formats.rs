//! The client formats, so that one test can ask the same of all of them and compare what comes back.
//!
//! Bodies are written and read here as a client would that knows nothing of the gateway; the official SDKs are tried
//! elsewhere.

mod read;
mod sse;
mod write;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::client::{Gateway, Reply};

pub use sse::{ServerEvent, server_events};

/// A client format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFormat {
    /// The unified prompt API.
    Unified,
    /// OpenAI chat completions.
    Chat,
    /// Anthropic Messages.
    Messages,
    /// OpenAI Responses.
    Responses,
}

/// What is asked, whatever the format.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Models, in order.
    pub models: Vec<String>,
    /// The last message of the user.
    pub prompt: String,
    /// A system prompt.
    pub system: Option<String>,
    /// Names of tools to declare, each with a schema of one text `x`.
    pub tools: Vec<String>,
    /// Calls of an earlier answer with their results.
    pub results: Vec<(Call, String)>,
    /// Most tokens.
    pub max_tokens: Option<u32>,
    /// An image as a `data:` URL.
    pub image: Option<String>,
    /// A JSON Schema for the answer.
    pub schema: Option<Value>,
    /// Other fields of the request, as the format has them.
    pub more: Vec<(String, Value)>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, byte for byte.
    pub arguments: String,
    /// What the provider wants back with it, in the format's own place.
    pub signature: Option<String>,
}

/// What came back, whatever the format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The text.
    pub text: String,
    /// Reasoning, where the format shows it.
    pub reasoning: String,
    /// Calls of tools.
    pub calls: Vec<Call>,
    /// Why it ended: `stop`, `tool_calls`, `length`, `content_filter`.
    pub finish: String,
    /// Tokens read and generated, where the format tells.
    pub usage: Option<(u64, u64)>,
}

impl Question {
    /// `prompt` for one model.
    pub fn new(model: &str, prompt: &str) -> Self {
        Self { models: vec![model.to_owned()], prompt: prompt.to_owned(), ..Self::default() }
    }

    /// With tools.
    pub fn tools(mut self, tools: &[&str]) -> Self {
        self.tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        self
    }

    /// With another field.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.push((name.to_owned(), value.into()));
        self
    }
}

impl ClientFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unified, Self::Chat, Self::Messages, Self::Responses];

    /// Those that know tools.
    pub const WITH_TOOLS: [Self; 3] = [Self::Chat, Self::Messages, Self::Responses];

    /// Where requests go.
    pub fn path(self) -> &'static str {
        match self {
            Self::Unified => "/api/v1/prompt",
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    /// The body for `question`.
    pub fn body(self, question: &Question, stream: bool) -> Value {
        let mut body = match self {
            Self::Unified => write::unified(question),
            Self::Chat => write::chat(question, stream),
            Self::Messages => write::messages(question),
            Self::Responses => write::responses(question),
        };
        body["stream"] = stream.into();
        for (name, value) in &question.more {
            body[name] = value.clone();
        }
        body
    }

    /// Asks, and reads the whole response.
    pub async fn ask(self, gateway: &Gateway, question: &Question, stream: bool) -> Reply {
        Reply::of(gateway.request(Method::POST, self.path()).json(&self.body(question, stream))).await
    }

    /// What a response of status 200 says.
    ///
    /// # Panics
    /// Where it is no answer in this format, whole or streamed, with all that its clients rely on.
    #[track_caller]
    pub fn read(self, reply: &Reply, stream: bool) -> Said {
        assert_eq!(reply.status, 200, "{self:?}: {}", reply.text());
        if !stream {
            let json = reply.json();
            return match self {
                Self::Unified => read::unified(&json),
                Self::Chat => read::chat(&json),
                Self::Messages => read::messages(&json),
                Self::Responses => read::responses(&json),
            };
        }
        assert_eq!(reply.header("content-type"), "text/event-stream", "{self:?}");
        let events = server_events(&reply.text());
        match self {
            Self::Unified => read::unified_stream(&events),
            Self::Chat => read::chat_stream(&events),
            Self::Messages => read::messages_stream(&events),
            Self::Responses => read::responses_stream(&events),
        }
    }

    /// Message of an error, and the words by which this format's clients tell it from others.
    ///
    /// # Panics
    /// Where it has not the shape that this format's SDKs read.
    #[track_caller]
    pub fn error(self, reply: &Reply) -> (u16, String, String) {
        let json = reply.json();
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (word, message) = match self {
            Self::Unified => (of(&json["code"]), of(&json["message"])),
            Self::Chat | Self::Responses => (of(&json["error"]["code"]), of(&json["error"]["message"])),
            Self::Messages => {
                assert_eq!(json["type"], "error", "{json}");
                (of(&json["error"]["type"]), of(&json["error"]["message"]))
            }
        };
        assert!(!word.is_empty() && !message.is_empty(), "{self:?}: no typed error: {}", reply.text());
        (reply.status, word, message)
    }
}

/// The fields that a response says were left out.
pub fn dropped(headers: &HeaderMap) -> Vec<String> {
    let value = headers.get("x-ai-warp-dropped").and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
