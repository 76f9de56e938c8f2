//! AWS Bedrock Converse and ConverseStream (`POST {base}/model/{id}/converse[-stream]`).
//!
//! One format for the models of all makers; what only Claude can do is left out for others. Requests are not signed
//! here: a key of Bedrock's own is a bearer token, and signatures are made where the request leaves.

mod answer;
mod request;

use super::{Call, Dialect, Framing, ReadEvents, Support, Wire, claude, path};
use crate::chat::{Answer, Chat, Effort, Feature};
use crate::failure::Failure;

/// The dialect of `bedrock-runtime.{region}.amazonaws.com`.
pub(super) struct Bedrock;

const SUPPORT: Support = Support {
    translated: &[
        (Feature::Temperature, "at most 1"),
        (Feature::TopK, "`additionalModelRequestFields`"),
        (Feature::JsonMode, "a sentence of the system prompt"),
        (Feature::JsonSchema, "`outputConfig.textFormat`"),
        (Feature::Effort, "`outputConfig.effort` and `additionalModelRequestFields.thinking`"),
        (Feature::ThinkingBudget, "the same"),
    ],
    dropped: &[
        Feature::Seed,
        Feature::PresencePenalty,
        Feature::FrequencyPenalty,
        Feature::LogitBias,
        Feature::Logprobs,
        Feature::User,
        Feature::SequentialTools,
        Feature::Names,
    ],
    refused: &[Feature::Choices, Feature::ImageUrl],
};

impl Dialect for Bedrock {
    fn wire(&self) -> Wire {
        Wire::Bedrock
    }

    fn support(&self) -> &Support {
        &SUPPORT
    }

    fn model_refuses(&self, model: &str, feature: Feature, chat: &Chat) -> bool {
        if is_claude(model) {
            return claude::refuses(model, feature, chat);
        }
        match feature {
            Feature::Effort => chat.options.effort != Some(Effort::None),
            Feature::TopK | Feature::ThinkingBudget | Feature::Reasoning => true,
            _ => false,
        }
    }

    fn takes_image(&self, media_type: &str) -> bool {
        request::image_format(media_type).is_some()
    }

    fn path(&self, base_path: &str, call: &Call<'_>) -> String {
        let mut path = format!("{base_path}/model/");
        path::push_segment(&mut path, call.model);
        path.push_str(if call.stream { "/converse-stream" } else { "/converse" });
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

    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn error_header(&self) -> Option<&'static str> {
        Some("x-amzn-errortype")
    }
}

/// Whether the model is one of Anthropic's: ids have the maker in them, but for those of profiles that hide it.
fn is_claude(model: &str) -> bool {
    model.contains("claude")
}

#[cfg(test)]
mod tests;
