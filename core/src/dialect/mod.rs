//! The wire formats of providers, one file each, behind one trait.

mod deepseek;
mod error_body;
mod gemini;
mod openai;

use std::borrow::Cow;

use crate::chat::{Answer, Chat, Finish, Usage};
use crate::config::DialectName;
use crate::failure::{Failure, FailureKind};

/// One call of one model.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The model's name at the provider.
    pub model: &'a str,
    /// The conversation.
    pub chat: &'a Chat,
    /// Most tokens to generate, limits applied.
    pub max_tokens: Option<u32>,
    /// Whether the answer is wanted as a stream.
    pub stream: bool,
}

/// How a provider wants its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// Header name, in lower case.
    pub header: &'static str,
    /// What stands before the key.
    pub prefix: &'static str,
}

/// What one event of a stream adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta<'a> {
    /// More text; often empty.
    pub text: Cow<'a, str>,
    /// Set by the event that says why the model stopped.
    pub finish: Option<Finish>,
    /// Tokens so far: the last value counts, values are not added up.
    pub usage: Option<Usage>,
}

/// A provider's wire format. Implementations keep no state: what a stream needs lives with its reader.
pub trait Dialect: Sync {
    /// The header Envoy puts the key into.
    fn credential(&self) -> Credential;

    /// The request path below the provider's base path.
    fn path(&self, base_path: &str, call: &Call<'_>) -> String;

    /// The request body, JSON.
    fn request_body(&self, call: &Call<'_>) -> Vec<u8>;

    /// Reads a whole answer of status 200.
    ///
    /// # Errors
    /// [`FailureKind::Malformed`] for what cannot be read, or the failure that the body itself reports.
    /// An answer without text is for the caller to judge.
    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure>;

    /// Reads the data of one event of a stream of status 200.
    ///
    /// # Errors
    /// As [`read_answer`](Self::read_answer).
    fn read_event<'a>(&self, data: &'a [u8]) -> Result<Delta<'a>, Failure>;

    /// Reads an answer whose status is not 200. Lenient: the body may be anything.
    fn read_failure(&self, status: u16, body: &[u8]) -> Failure {
        error_body::read(body).unwrap_or_default().classify(status)
    }
}

/// The dialect of this name.
pub fn dialect(name: DialectName) -> &'static dyn Dialect {
    match name {
        DialectName::Openai => &openai::OpenAi,
        DialectName::Deepseek => &deepseek::DeepSeek,
        DialectName::Gemini => &gemini::Gemini,
    }
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
