//! Gemini `generateContent` and `streamGenerateContent?alt=sse`, at Google AI and, by another path, at Vertex AI.

mod answer;
mod contents;
mod embeddings;
mod request;

use self::embeddings::GeminiEmbedder;
use super::{Call, Credential, Dialect, Embedder, ReadEvents, Support, Wire, path};
use crate::chat::{Answer, Chat, Feature, Part};
use crate::failure::Failure;

/// The dialect of `generativelanguage.googleapis.com`.
pub(super) static GEMINI: Gemini = Gemini {
    models: "/models/",
    // Never `?key=`: paths are logged.
    credential: Credential { header: "x-goog-api-key", prefix: "" },
    embedder: Some(&GeminiEmbedder),
};

/// The dialect of `aiplatform.googleapis.com`; the base path ends with project and location.
pub(super) static VERTEX: Gemini =
    Gemini { models: "/publishers/google/models/", credential: Credential::BEARER, embedder: None };

/// Marks a signature of text or thoughts as Gemini's own. Other providers sign thoughts too, and none takes another's.
pub(super) const SIGNATURE_MARK: &str = "gemini:";

/// A service that speaks `generateContent`.
#[derive(Debug)]
pub(super) struct Gemini {
    /// What stands between the base path and the model.
    models: &'static str,
    credential: Credential,
    embedder: Option<&'static GeminiEmbedder>,
}

const SUPPORT: Support = Support {
    translated: &[
        (Feature::Effort, "`thinkingConfig`: `thinkingLevel` from Gemini 3 on, `thinkingBudget` before"),
        (
            Feature::ThinkingBudget,
            "`thinkingConfig`: `thinkingLevel` from Gemini 3 on, `thinkingBudget` before",
        ),
        (Feature::ImageUrl, "`fileData`; not every model fetches it"),
    ],
    dropped: &[
        Feature::LogitBias,
        Feature::Logprobs,
        Feature::SequentialTools,
        Feature::User,
        Feature::Names,
    ],
    refused: &[Feature::Choices, Feature::TokenInput],
};

/// How a model is told how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    /// It does not think, or nothing is known of it.
    Unknown,
    /// In tokens (Gemini 2.5).
    Budget,
    /// By a word (Gemini 3 and later). Such models also want the signatures of their calls back.
    Level,
}

impl Thinking {
    fn of(model: &str) -> Self {
        let Some(version) = name_of(model).strip_prefix("gemini-") else { return Self::Unknown };
        let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
        let major: Option<u32> = version.get(..digits).and_then(|digits| digits.parse().ok());
        match major {
            Some(3..) => Self::Level,
            Some(2) if version.starts_with("2.5") => Self::Budget,
            // Such as gemini-flash-latest.
            None if version.contains("-latest") => Self::Level,
            _ => Self::Unknown,
        }
    }
}

/// The name without what a path may put in front of it.
fn name_of(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

impl Dialect for Gemini {
    fn wire(&self) -> Wire {
        Wire::Gemini
    }

    fn support(&self) -> &Support {
        &SUPPORT
    }

    fn credential(&self) -> Credential {
        self.credential
    }

    fn model_refuses(&self, model: &str, feature: Feature, chat: &Chat) -> bool {
        match feature {
            Feature::Effort | Feature::ThinkingBudget => Thinking::of(model) == Thinking::Unknown,
            // They can be left out, but for the signatures of calls.
            Feature::Reasoning => {
                chat.messages.iter().flat_map(|message| &message.parts).any(|part| match part {
                    Part::Reasoning(thought) => contents::own_signature(thought).is_none(),
                    _ => false,
                })
            }
            _ => false,
        }
    }

    fn embedder(&self) -> Option<&dyn Embedder> {
        self.embedder.map(|embedder| embedder as &dyn Embedder)
    }

    fn path(&self, base_path: &str, call: &Call<'_>) -> String {
        let mut path = format!("{base_path}{}", self.models);
        path::push_segment(&mut path, call.model);
        path.push_str(if call.stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" });
        path
    }

    fn request_body(&self, call: &Call<'_>) -> Vec<u8> {
        request::write(call)
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure> {
        answer::read_whole(body)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(answer::Events::default())
    }
}

#[cfg(test)]
mod tests;
