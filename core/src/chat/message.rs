//! What is said in a chat, by whom. Also what a session stores of a turn that is more than a text and its answer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::dialect::Wire;
use crate::json::Json;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation: `system` and `developer` alike.
    System,
    /// The person, or the application for them.
    User,
    /// The model.
    Assistant,
    /// The application, with what its tools returned: [`Part::ToolResult`] and nothing else.
    Tool,
}

/// One thing said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said, in its order.
    pub parts: Vec<Part>,
    /// What the speaker is called, where several of a role take part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Text.
    Text(String),
    /// The model's words for not answering.
    Refusal(String),
    /// An image.
    Image(Image),
    /// What a model thought before it spoke.
    Reasoning(Reasoning),
    /// A model's call of a tool.
    ToolCall(ToolCall),
    /// What a tool returned.
    ToolResult(ToolResult),
    /// Content that only one wire format knows.
    Foreign(Foreign),
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where it is.
    pub source: ImageSource,
    /// How closely to look: `auto`, `low`, `high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ImageSource {
    /// At a URL that the provider fetches.
    Url(String),
    /// In the request.
    Data {
        /// Such as `image/png`.
        media_type: String,
        /// The bytes in base64.
        base64: String,
    },
}

/// What a model thought. The opaque parts are of use only to providers of the format they came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// For people; empty where the provider hides it.
    pub text: String,
    /// Proves to the provider that the text is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The thought itself, encrypted by the provider, in place of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its id, by which the result refers to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as JSON text, byte for byte as the model wrote them; `{}` where there are none.
    pub arguments: String,
    /// Gemini's thought signature, which must come back with the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// What a tool returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The id of the call.
    pub call_id: String,
    /// [`Part::Text`] and [`Part::Image`].
    pub parts: Vec<Part>,
    /// Whether the tool failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// Content of a kind that the canonical chat has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// The format it was written in; others cannot take it.
    pub wire: Wire,
    /// What that format calls it, such as `input_audio`.
    pub kind: String,
    /// The whole part as it was written.
    pub json: Json,
}

impl Message {
    /// A message of text alone.
    pub fn of_text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())], name: None }
    }

    /// All its text, the refusal included.
    pub fn text(&self) -> Cow<'_, str> {
        text_of(&self.parts)
    }

    /// Bytes of text that a model reads.
    pub fn text_len(&self) -> usize {
        self.parts.iter().map(Part::text_len).sum()
    }

    /// Bytes of everything it holds.
    pub fn size(&self) -> usize {
        self.parts.iter().map(Part::size).sum()
    }

    /// The text, where it is nothing but that.
    pub fn plain_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its calls of tools.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        tool_calls_of(&self.parts)
    }
}

/// All text of `parts`, refusals included.
pub(super) fn text_of(parts: &[Part]) -> Cow<'_, str> {
    let mut texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    let Some(first) = texts.next() else { return Cow::default() };
    let mut all = Cow::Borrowed(first);
    for more in texts {
        all.to_mut().push_str(more);
    }
    all
}

/// The calls of tools among `parts`.
pub(super) fn tool_calls_of(parts: &[Part]) -> impl Iterator<Item = &ToolCall> {
    parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    })
}

impl Part {
    /// Whether it is the result of the call `id`.
    pub fn is_result_of(&self, id: &str) -> bool {
        matches!(self, Self::ToolResult(result) if result.call_id == id)
    }

    /// Whether only a format other than `wire` knows it.
    pub fn is_foreign_to(&self, wire: Wire) -> bool {
        matches!(self, Self::Foreign(foreign) if foreign.wire != wire)
    }

    fn size(&self) -> usize {
        let beside_text = match self {
            Self::Image(Image { source: ImageSource::Url(url), .. }) => url.len(),
            Self::Image(Image { source: ImageSource::Data { base64, .. }, .. }) => base64.len(),
            Self::Foreign(foreign) => foreign.json.get().len(),
            Self::Reasoning(Reasoning { signature, redacted, .. }) => {
                signature.as_ref().map_or(0, String::len) + redacted.as_ref().map_or(0, String::len)
            }
            Self::ToolResult(result) => return result.parts.iter().map(Self::size).sum(),
            Self::Text(_) | Self::Refusal(_) | Self::ToolCall(_) => 0,
        };
        beside_text + self.text_len()
    }

    fn text_len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Refusal(text) => text.len(),
            Self::Reasoning(reasoning) => reasoning.text.len(),
            Self::ToolCall(call) => call.name.len() + call.arguments.len(),
            Self::ToolResult(result) => result.parts.iter().map(Self::text_len).sum(),
            Self::Image(_) | Self::Foreign(_) => 0,
        }
    }
}

impl ToolResult {
    /// Its text.
    pub fn text(&self) -> Cow<'_, str> {
        text_of(&self.parts)
    }
}

impl ImageSource {
    /// An image by URL; a `data:` URL is taken apart.
    pub fn of_url(url: &str) -> Self {
        let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match data {
            Some((media_type, base64)) => {
                // Parameters such as `;charset` mean nothing for an image.
                let media_type = media_type.split(';').next().unwrap_or_default();
                Self::Data { media_type: media_type.to_owned(), base64: base64.to_owned() }
            }
            None => Self::Url(url.to_owned()),
        }
    }

    /// The URL, of `data:` where the image is in the request.
    pub fn url(&self) -> Cow<'_, str> {
        match self {
            Self::Url(url) => Cow::Borrowed(url),
            Self::Data { media_type, base64 } => Cow::Owned(format!("data:{media_type};base64,{base64}")),
        }
    }
}
