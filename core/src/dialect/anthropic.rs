//! Anthropic Messages (`POST {base}/v1/messages`).

mod answer;
mod request;

use super::{Call, Credential, Dialect, ReadEvents, Support, Wire, claude};
use crate::chat::{Answer, Chat, Feature};
use crate::failure::Failure;

/// The dialect of `api.anthropic.com`.
pub(super) struct Anthropic;

/// The version of the API that requests are written for: the last to take sampling parameters.
const VERSION: &str = "2023-06-01";

/// The headers by which a client of the same format chooses versions and features.
const VERSION_HEADER: &str = "anthropic-version";
const BETA_HEADER: &str = "anthropic-beta";

const SUPPORT: Support = Support {
    translated: &[
        (Feature::Temperature, "at most 1"),
        (Feature::User, "`metadata.user_id`"),
        (Feature::JsonMode, "a sentence of the system prompt"),
        (Feature::JsonSchema, "`output_config.format`"),
        (Feature::Effort, "`output_config.effort` and `thinking`"),
        (Feature::ThinkingBudget, "`thinking`, or an effort where the model takes no budget"),
        (Feature::SequentialTools, "`tool_choice.disable_parallel_tool_use`"),
    ],
    dropped: &[
        Feature::Seed,
        Feature::PresencePenalty,
        Feature::FrequencyPenalty,
        Feature::LogitBias,
        Feature::Logprobs,
        Feature::Names,
    ],
    refused: &[Feature::Choices],
};

impl Dialect for Anthropic {
    fn wire(&self) -> Wire {
        Wire::Anthropic
    }

    fn credential(&self) -> Credential {
        Credential { header: "x-api-key", prefix: "" }
    }

    fn support(&self) -> &Support {
        &SUPPORT
    }

    fn keeps_messages(&self, chat: &Chat) -> bool {
        !chat.is_edited
    }

    fn model_refuses(&self, model: &str, feature: Feature, chat: &Chat) -> bool {
        let samples = matches!(feature, Feature::Temperature | Feature::TopP | Feature::TopK);
        // Versions are dates; later ones refuse sampling parameters whatever the model.
        let is_later = || said(chat, VERSION_HEADER).is_some_and(|version| version.as_str() > VERSION);
        claude::refuses(model, feature, chat) || (samples && is_later())
    }

    fn takes_image(&self, media_type: &str) -> bool {
        request::image_type(media_type).is_some()
    }

    fn path(&self, base_path: &str, _: &Call<'_>) -> String {
        format!("{base_path}/v1/messages")
    }

    fn headers(&self, call: &Call<'_>) -> Vec<(&'static str, String)> {
        let version = said(call.chat, VERSION_HEADER).unwrap_or_else(|| VERSION.to_owned());
        let beta = said(call.chat, BETA_HEADER).map(|beta| (BETA_HEADER, beta));
        [(VERSION_HEADER, version)].into_iter().chain(beta).collect()
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

/// What a client of the same format said in a header; of several, joined by commas.
fn said(chat: &Chat, header: &str) -> Option<String> {
    let native = chat.native.as_ref().filter(|native| native.wire() == Wire::Anthropic)?;
    let said = native.headers().iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
    let values: Vec<&str> = said.map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests;
