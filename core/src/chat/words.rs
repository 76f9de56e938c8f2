//! What a client calls the features it asks for: what is left out or refused is named in the words of its own format.

use super::Feature;

/// In whose words a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Words {
    /// Of chat completions.
    #[default]
    ChatCompletions,
    /// Of OpenAI Responses.
    Responses,
    /// Of Anthropic Messages.
    Messages,
}

impl Words {
    /// The field by which `feature` is asked for.
    pub const fn field(self, feature: Feature) -> &'static str {
        match self {
            Self::ChatCompletions => feature.field(),
            Self::Responses => match feature {
                Feature::JsonMode | Feature::JsonSchema => "text.format",
                Feature::Effort => "reasoning.effort",
                Feature::ImageData | Feature::ImageUrl => "input.image",
                Feature::ImageDetail => "input.content.detail",
                Feature::Reasoning => "input.reasoning",
                Feature::ForeignContent => "input.content.type",
                _ => feature.field(),
            },
            Self::Messages => match feature {
                Feature::Stop => "stop_sequences",
                Feature::User => "metadata.user_id",
                Feature::SequentialTools => "tool_choice.disable_parallel_tool_use",
                Feature::JsonMode | Feature::JsonSchema => "output_config.format",
                Feature::Effort => "output_config.effort",
                Feature::Reasoning => "messages.thinking",
                _ => feature.field(),
            },
        }
    }
}
