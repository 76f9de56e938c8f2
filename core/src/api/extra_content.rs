//! Gemini's thought signature beside a tool call, as Google's own OpenAI-compatible API writes it. No client format has a
//! field of its own for it, and a call that comes back without it is refused; clients keep fields they do not know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// `{"google": {"thought_signature"}}`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExtraContent<'a> {
    #[serde(borrow)]
    google: Option<Google<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Google<'a> {
    #[serde(borrow)]
    thought_signature: Option<Cow<'a, str>>,
}

impl<'a> ExtraContent<'a> {
    /// That of a call with this signature.
    pub(super) fn of(signature: &'a str) -> Self {
        Self { google: Some(Google { thought_signature: Some(signature.into()) }) }
    }

    /// The signature.
    pub(super) fn into_signature(self) -> Option<String> {
        self.google?.thought_signature.map(Cow::into_owned)
    }
}
