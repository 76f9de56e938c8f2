//! The names of what not every provider can do.

use serde::{Deserialize, Serialize};

use super::{Chat, Image, ImageSource, Output, Part, Role, ToolChoice};

/// Something in a request that not every provider can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is what `name` says")]
pub enum Feature {
    Temperature,
    TopP,
    TopK,
    Stop,
    Seed,
    Choices,
    PresencePenalty,
    FrequencyPenalty,
    LogitBias,
    Logprobs,
    User,
    Tools,
    ForcedTool,
    SequentialTools,
    JsonMode,
    JsonSchema,
    Effort,
    ThinkingBudget,
    ImageData,
    ImageUrl,
    ImageDetail,
    ToolError,
    Names,
    Reasoning,
    ForeignTools,
    ForeignContent,
    Dimensions,
    TokenInput,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::Temperature,
        Self::TopP,
        Self::TopK,
        Self::Stop,
        Self::Seed,
        Self::Choices,
        Self::PresencePenalty,
        Self::FrequencyPenalty,
        Self::LogitBias,
        Self::Logprobs,
        Self::User,
        Self::Tools,
        Self::ForcedTool,
        Self::SequentialTools,
        Self::JsonMode,
        Self::JsonSchema,
        Self::Effort,
        Self::ThinkingBudget,
        Self::ImageData,
        Self::ImageUrl,
        Self::ImageDetail,
        Self::ToolError,
        Self::Names,
        Self::Reasoning,
        Self::ForeignTools,
        Self::ForeignContent,
        Self::Dimensions,
        Self::TokenInput,
    ];

    /// The field by which a client asks for it, in the words of chat completions.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::Stop => "stop",
            Self::Seed => "seed",
            Self::Choices => "n",
            Self::PresencePenalty => "presence_penalty",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::LogitBias => "logit_bias",
            Self::Logprobs => "logprobs",
            Self::User => "user",
            Self::Tools => "tools",
            Self::ForcedTool => "tool_choice",
            Self::SequentialTools => "parallel_tool_calls",
            Self::JsonMode | Self::JsonSchema => "response_format",
            Self::Effort => "reasoning_effort",
            Self::ThinkingBudget => "thinking.budget_tokens",
            Self::ImageData | Self::ImageUrl => "messages.image",
            Self::ImageDetail => "messages.content.image_url.detail",
            Self::ToolError => "messages.content.is_error",
            Self::Names => "messages.name",
            Self::Reasoning => "messages.reasoning_content",
            Self::ForeignTools => "tools.type",
            Self::ForeignContent => "messages.content.type",
            Self::Dimensions => "dimensions",
            Self::TokenInput => "input",
        }
    }

    /// What it is, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Choices => "several answers (`n` > 1)",
            Self::ForcedTool => "a forced tool (`tool_choice` but for `auto` and `none`)",
            Self::SequentialTools => "`parallel_tool_calls: false`",
            Self::JsonMode => "JSON mode",
            Self::JsonSchema => "output by JSON Schema",
            Self::ImageData => "an image in the request",
            Self::ImageUrl => "an image by URL",
            Self::ImageDetail => "the `detail` of an image",
            Self::ToolError => "`is_error` of a tool's result",
            Self::Names => "names of speakers",
            Self::Reasoning => "reasoning of earlier answers",
            Self::ForeignTools => "tools other than functions",
            Self::ForeignContent => "content other than text and images",
            Self::Dimensions => "`dimensions` of an embedding",
            Self::TokenInput => "tokens in place of text to embed",
            _ => self.field(),
        }
    }
}

impl Feature {
    /// Whether it is said beside the messages, so that [`Options::clear`] leaves it out.
    pub const fn is_option(self) -> bool {
        !matches!(
            self,
            Self::ImageData
                | Self::ImageUrl
                | Self::ImageDetail
                | Self::ToolError
                | Self::Names
                | Self::Reasoning
                | Self::ForeignTools
                | Self::ForeignContent
                | Self::TokenInput
        )
    }
}

impl Chat {
    /// What the request asks for that not every provider can do, each once.
    pub fn features(&self) -> Vec<Feature> {
        let options = &self.options;
        let forced = matches!(options.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
        let said = [
            (options.temperature.is_some(), Feature::Temperature),
            (options.top_p.is_some(), Feature::TopP),
            (options.top_k.is_some(), Feature::TopK),
            (!options.stop.is_empty(), Feature::Stop),
            (options.seed.is_some(), Feature::Seed),
            (options.choices.is_some_and(|choices| choices > 1), Feature::Choices),
            (options.presence_penalty.is_some(), Feature::PresencePenalty),
            (options.frequency_penalty.is_some(), Feature::FrequencyPenalty),
            (options.logit_bias.is_some(), Feature::LogitBias),
            (options.logprobs == Some(true) || options.top_logprobs.is_some(), Feature::Logprobs),
            (options.user.is_some(), Feature::User),
            (!options.tools.is_empty(), Feature::Tools),
            (forced, Feature::ForcedTool),
            (options.parallel_tool_calls == Some(false), Feature::SequentialTools),
            (options.output == Output::Json, Feature::JsonMode),
            (matches!(options.output, Output::Schema(_)), Feature::JsonSchema),
            (options.effort.is_some(), Feature::Effort),
            (options.thinking_budget.is_some(), Feature::ThinkingBudget),
            (!options.foreign_tools.is_empty(), Feature::ForeignTools),
        ];
        let mut features: Vec<Feature> =
            said.into_iter().filter_map(|(is_said, feature)| is_said.then_some(feature)).collect();
        let mut note = |feature| {
            if !features.contains(&feature) {
                features.push(feature);
            }
        };
        for message in &self.messages {
            if message.name.is_some() && message.role != Role::Tool {
                note(Feature::Names);
            }
            for part in &message.parts {
                match part {
                    Part::Image(image) => of_image(image).for_each(&mut note),
                    Part::Reasoning(_) => note(Feature::Reasoning),
                    Part::Foreign(_) => note(Feature::ForeignContent),
                    Part::ToolResult(result) => {
                        if result.is_error {
                            note(Feature::ToolError);
                        }
                        for part in &result.parts {
                            if let Part::Image(image) = part {
                                of_image(image).for_each(&mut note);
                            }
                        }
                    }
                    Part::Text(_) | Part::Refusal(_) | Part::ToolCall(_) => {}
                }
            }
        }
        features
    }
}

fn of_image(image: &Image) -> impl Iterator<Item = Feature> {
    let source = match image.source {
        ImageSource::Url(_) => Feature::ImageUrl,
        ImageSource::Data { .. } => Feature::ImageData,
    };
    // `auto` is what everybody does who is not told.
    let detail = image.detail.as_deref().is_some_and(|detail| detail != "auto");
    [Some(source), detail.then_some(Feature::ImageDetail)].into_iter().flatten()
}
