//! How a chat is to be answered, and the names of what not every provider can do.

use serde::{Deserialize, Serialize};

use super::{Chat, ImageSource, Part, Role};
use crate::json::Json;

/// Everything a client may say beside the messages. What it did not say is `None`, or empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Sampling among so many tokens.
    pub top_k: Option<u32>,
    /// Most tokens to generate.
    pub max_tokens: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// For answers that can be had again.
    pub seed: Option<i64>,
    /// How many answers.
    pub choices: Option<u32>,
    /// −2 to 2.
    pub presence_penalty: Option<f64>,
    /// −2 to 2.
    pub frequency_penalty: Option<f64>,
    /// An object of tokens and numbers.
    pub logit_bias: Option<Json>,
    /// Whether to tell how likely the tokens were.
    pub logprobs: Option<bool>,
    /// Of how many alternatives to tell it.
    pub top_logprobs: Option<u32>,
    /// The end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// The tools it may call.
    pub tools: Vec<Tool>,
    /// Tools that only the client's own format knows, as `tools[1] (web_search)`.
    pub foreign_tools: Vec<String>,
    /// Which of them it must.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// What the answer is to look like.
    pub output: Output,
    /// How much to think.
    pub effort: Option<Effort>,
    /// The same in tokens.
    pub thinking_budget: Option<u32>,
    /// Length of an embedding.
    pub dimensions: Option<u32>,
    /// Fields of the request that the canonical chat has no word for.
    pub unknown: Vec<String>,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// JSON Schema of its arguments; `None` for a tool without any.
    pub parameters: Option<Json>,
    /// Whether the model must keep to the schema.
    pub strict: Option<bool>,
}

impl Tool {
    pub(super) fn text_len(&self) -> usize {
        let parameters = self.parameters.as_ref().map_or(0, |schema| schema.get().len());
        self.name.len() + self.description.as_ref().map_or(0, String::len) + parameters
    }
}

/// Which tools the model must call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// What the answer is to look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Output {
    /// Anything.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// JSON by a schema.
    Schema(Schema),
}

/// A schema for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON Schema.
    pub schema: Json,
    /// Whether the model must keep to it.
    pub strict: Option<bool>,
}

/// How much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of OpenAI's reasoning_effort, in rising order")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

impl Effort {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

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
    Names,
    Reasoning,
    ForeignTools,
    ForeignContent,
    Dimensions,
    TokenInput,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 26] = [
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
                | Self::Names
                | Self::Reasoning
                | Self::ForeignTools
                | Self::ForeignContent
                | Self::TokenInput
        )
    }
}

impl Options {
    /// How much to think; a budget in tokens as the word for about as much.
    pub fn effort_or_budget(&self) -> Option<Effort> {
        const LITTLE: u32 = 2_048;
        const MUCH: u32 = 16_384;
        self.effort.or_else(|| match self.thinking_budget? {
            0..=LITTLE => Some(Effort::Low),
            MUCH.. => Some(Effort::High),
            _ => Some(Effort::Medium),
        })
    }

    /// Forgets what asks for `feature`. Does nothing for those that are said by messages, or that cannot be left out.
    pub fn clear(&mut self, feature: Feature) {
        match feature {
            Feature::Temperature => self.temperature = None,
            Feature::TopP => self.top_p = None,
            Feature::TopK => self.top_k = None,
            Feature::Stop => self.stop.clear(),
            Feature::Seed => self.seed = None,
            Feature::Choices => self.choices = None,
            Feature::PresencePenalty => self.presence_penalty = None,
            Feature::FrequencyPenalty => self.frequency_penalty = None,
            Feature::LogitBias => self.logit_bias = None,
            Feature::Logprobs => (self.logprobs, self.top_logprobs) = (None, None),
            Feature::User => self.user = None,
            Feature::Tools => (self.tools, self.tool_choice) = (Vec::new(), None),
            Feature::ForcedTool => self.tool_choice = None,
            Feature::SequentialTools => self.parallel_tool_calls = None,
            Feature::JsonMode | Feature::JsonSchema => self.output = Output::Text,
            Feature::Effort => self.effort = None,
            Feature::ThinkingBudget => self.thinking_budget = None,
            Feature::Dimensions => self.dimensions = None,
            Feature::ImageData
            | Feature::ImageUrl
            | Feature::Names
            | Feature::Reasoning
            | Feature::ForeignTools
            | Feature::ForeignContent
            | Feature::TokenInput => {}
        }
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
                    Part::Image(image) => note(of_image(&image.source)),
                    Part::Reasoning(_) => note(Feature::Reasoning),
                    Part::Foreign(_) => note(Feature::ForeignContent),
                    Part::ToolResult(result) => {
                        for part in &result.parts {
                            if let Part::Image(image) = part {
                                note(of_image(&image.source));
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

fn of_image(source: &ImageSource) -> Feature {
    match source {
        ImageSource::Url(_) => Feature::ImageUrl,
        ImageSource::Data { .. } => Feature::ImageData,
    }
}
