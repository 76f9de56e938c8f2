//! How a chat is to be answered.

use serde::{Deserialize, Serialize};

use super::Feature;
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
            | Feature::ImageDetail
            | Feature::ToolError
            | Feature::Names
            | Feature::Reasoning
            | Feature::ForeignTools
            | Feature::ForeignContent
            | Feature::TokenInput => {}
        }
    }
}
