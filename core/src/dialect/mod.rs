//! The wire formats of providers, one file each, behind one trait.
//!
//! What a dialect cannot say is in its [`Support`]: requests are [prepared](prepare) by it before they are written, so that a
//! writer just writes what is there.

mod anthropic;
mod azure;
mod bedrock;
mod calls;
mod claude;
mod compatible;
mod effort;
mod error_body;
mod gemini;
mod ids;
mod objects;
mod openai;
mod path;
mod prepare;
mod turns;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::chat::{Answer, Chat, Delta, Feature, Options};
use crate::config::DialectName;
use crate::embedding::{Embedded, Embedding};
use crate::failure::{Failure, FailureKind};
use crate::json::Text;
use crate::sse::Event;

pub use prepare::{Prepared, prepare};

/// A wire format: what several dialects, and one of the client APIs, may have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// OpenAI chat completions.
    Openai,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// Bedrock Converse.
    Bedrock,
}

impl Wire {
    /// What no dialect of it has a word for, and what is left out of a request without making another of it.
    pub const fn lacks(self, feature: Feature) -> bool {
        match feature {
            Feature::ImageDetail => !matches!(self, Self::Openai),
            Feature::ToolError => matches!(self, Self::Openai),
            _ => false,
        }
    }
}

/// The kind of a call in chat completions that is one of no function: its input is text of any form.
pub const CUSTOM_CALL: &str = "custom";

/// One call of one model.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// The conversation. Its options are not the ones to write: see below.
    pub chat: &'a Chat,
    /// How it is to be answered, without what this provider cannot do.
    pub options: &'a Options,
    /// Most tokens to generate, limits applied.
    pub max_tokens: Option<u32>,
    /// Whether the answer is wanted as a stream.
    pub stream: bool,
    /// The API version that the endpoint's configuration names.
    pub api_version: Option<&'a str>,
}

/// One call of one model for embeddings.
#[derive(Debug, Clone, Copy)]
pub struct EmbedCall<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// What to embed. Its options are not the ones to write: see below.
    pub embedding: &'a Embedding,
    /// The options, without what this provider cannot do.
    pub options: &'a Options,
    /// As of [`Call`].
    pub api_version: Option<&'a str>,
}

/// How a provider is asked for embeddings.
pub trait Embedder {
    /// The request path below the provider's base path.
    fn path(&self, base_path: &str, call: &EmbedCall<'_>) -> String;

    /// The request body, JSON.
    fn request_body(&self, call: &EmbedCall<'_>) -> Vec<u8>;

    /// Reads an answer of status 200.
    ///
    /// # Errors
    /// As [`Dialect::read_answer`].
    fn read(&self, body: &[u8]) -> Result<Embedded, Failure>;
}

/// How a provider wants its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// Header name, in lower case.
    pub header: &'static str,
    /// What stands before the key.
    pub prefix: &'static str,
}

impl Credential {
    /// `authorization: Bearer KEY`.
    pub const BEARER: Self = Self { header: "authorization", prefix: "Bearer " };
}

/// What a dialect makes of the features that it does not simply have.
#[derive(Debug, Clone, Copy)]
pub struct Support {
    /// Said in other words; the text tells people which.
    pub translated: &'static [(Feature, &'static str)],
    /// Left out, and the client is told.
    pub dropped: &'static [Feature],
    /// Not left out, since the answer would be another: the model is passed over.
    pub refused: &'static [Feature],
}

/// How the events of a stream are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    EventStream,
}

impl Framing {
    /// The content type of such a stream, without parameters.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::EventStream => "application/vnd.amazon.eventstream",
        }
    }
}

/// Reads the events of one stream, and keeps what one event must know of those before it.
pub trait ReadEvents {
    /// Reads the next event; appends what it adds to `out`.
    ///
    /// # Errors
    /// [`FailureKind::Malformed`] for what cannot be read, or the failure that the event reports.
    fn read<'a>(&mut self, event: Event<'a>, out: &mut Vec<Delta<'a>>) -> Result<(), Failure>;
}

/// A provider's wire format.
pub trait Dialect: Sync {
    /// The format it is an instance of.
    fn wire(&self) -> Wire;

    /// Whether its answers keep to the wire so well that clients of the same format can have them as they are.
    fn is_exact(&self) -> bool {
        true
    }

    /// The header Envoy puts the key into.
    fn credential(&self) -> Credential {
        Credential::BEARER
    }

    /// What becomes of what it does not simply have.
    fn support(&self) -> &Support;

    /// Whether a model refuses a feature that others of the provider have. It is then left out.
    fn model_refuses(&self, _model: &str, _feature: Feature, _chat: &Chat) -> bool {
        false
    }

    /// Whether it takes images of this media type in requests.
    fn takes_image(&self, _media_type: &str) -> bool {
        true
    }

    /// Whether the messages of a client that speaks the same format are sent as it wrote them.
    fn keeps_messages(&self, _chat: &Chat) -> bool {
        false
    }

    /// Whether a field that the canonical chat has no word for may be sent, where the client wrote the same format.
    fn takes_field(&self, _name: &str) -> bool {
        true
    }

    /// The request path below the provider's base path.
    fn path(&self, base_path: &str, call: &Call<'_>) -> String;

    /// Request headers beside those every request has.
    fn headers(&self, _call: &Call<'_>) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The request body, JSON.
    fn request_body(&self, call: &Call<'_>) -> Vec<u8>;

    /// Reads a whole answer of status 200.
    ///
    /// # Errors
    /// [`FailureKind::Malformed`] for what cannot be read, or the failure that the body itself reports.
    /// An answer without content is for the caller to judge.
    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure>;

    /// A reader for one stream of status 200.
    fn events(&self) -> Box<dyn ReadEvents>;

    /// How it is asked for embeddings, where it has any.
    fn embedder(&self) -> Option<&dyn Embedder> {
        None
    }

    /// How streams are framed.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// The response header that names the error, where there is one.
    fn error_header(&self) -> Option<&'static str> {
        None
    }

    /// Reads an answer whose status is not 200. Lenient: the body may be anything. `error` is the value of the
    /// [header](Self::error_header) that names it.
    fn read_failure(&self, status: u16, error: Option<&str>, body: &[u8]) -> Failure {
        error_body::read(body).unwrap_or_default().named(error).classify(status)
    }
}

/// The dialect of this name.
pub fn dialect(name: DialectName) -> &'static dyn Dialect {
    match name {
        DialectName::Openai => &openai::OPENAI,
        DialectName::Azure => &azure::Azure,
        DialectName::Gemini => &gemini::GEMINI,
        DialectName::Vertex => &gemini::VERTEX,
        DialectName::Deepseek => &compatible::DEEPSEEK,
        DialectName::Mistral => &compatible::MISTRAL,
        DialectName::Groq => &compatible::GROQ,
        DialectName::Xai => &compatible::XAI,
        DialectName::Openrouter => &compatible::OPENROUTER,
        DialectName::Together => &compatible::TOGETHER,
        DialectName::Fireworks => &compatible::FIREWORKS,
        DialectName::Cerebras => &compatible::CEREBRAS,
        DialectName::Ollama => &compatible::OLLAMA,
        DialectName::Vllm => &compatible::VLLM,
        DialectName::Llamacpp => &compatible::LLAMACPP,
        DialectName::Anthropic => &anthropic::Anthropic,
        DialectName::Bedrock => &bedrock::Bedrock,
        DialectName::Compatible => &compatible::ANY,
    }
}

/// Appends what `delta` makes of a text, where there is any.
fn push_text<'a>(
    text: Option<Text<'a>>,
    delta: impl Fn(Cow<'a, str>) -> Delta<'a>,
    out: &mut Vec<Delta<'a>>,
) {
    out.extend(text.map(|text| text.0).filter(|text| !text.is_empty()).map(delta));
}

fn malformed(error: &serde_json::Error) -> Failure {
    // Only the kind of error: the text of serde_json may quote the answer.
    Failure::new(
        FailureKind::Malformed,
        format!("sent an answer that cannot be read ({:?})", error.classify()),
    )
}

#[cfg(test)]
mod tests;
