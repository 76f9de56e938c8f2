//! OpenAI chat completions (`POST {base}/chat/completions`), as OpenAI has them and with the quirks of those who are
//! compatible with it.

mod answer;
mod embeddings;
mod messages;
mod request;

use super::{Call, Dialect, EmbedCall, Embedder, ReadEvents, Support, Wire};
use crate::chat::{Answer, Chat, Effort, Feature, Options};
use crate::embedding::Embedded;
use crate::failure::Failure;

/// The dialect of `api.openai.com`.
pub(super) static OPENAI: OpenAi = OpenAi {
    embeds: true,
    max_tokens: "max_completion_tokens",
    refuses: openai_refuses,
    support: Support {
        translated: &[(Feature::ThinkingBudget, "`reasoning_effort`")],
        dropped: &[Feature::TopK, Feature::Reasoning],
        refused: &[],
    },
    ..OpenAi::PLAIN
};

/// A service that speaks chat completions.
#[derive(Debug)]
pub(super) struct OpenAi {
    /// What becomes of what it does not simply have.
    pub(super) support: Support,
    /// How it calls the limit of tokens. Reasoning models accept `max_completion_tokens`, compatible servers `max_tokens`.
    pub(super) max_tokens: &'static str,
    /// How it calls the seed.
    pub(super) seed: &'static str,
    /// The word by which it is made to call a tool, whichever.
    pub(super) any_tool: &'static str,
    /// The field of an assistant message in which it wants its reasoning back.
    pub(super) reasoning: Option<&'static str>,
    /// Whether it counts tokens in streams only when asked to.
    pub(super) stream_options: bool,
    /// Whether it takes only ids of tool calls that are nine letters and digits.
    pub(super) short_call_ids: bool,
    /// Whether OpenAI's clients can have its answers as they are.
    pub(super) is_exact: bool,
    /// Whether it has embeddings.
    pub(super) embeds: bool,
    /// How it calls their length.
    pub(super) dimensions: &'static str,
    /// Whether its `completion_tokens` leave out reasoning.
    pub(super) reasoning_beside_output: bool,
    /// The words of effort it knows, in rising order; empty for one that knows all, or judges by model.
    pub(super) efforts: &'static [Effort],
    /// Whether it thinks even unasked, and takes `thinking` to be told not to.
    pub(super) thinks_unless_told: bool,
    /// Whether it takes back what its models gave of their reasoning, in the form in which it came.
    pub(super) takes_state_back: bool,
    /// Whether a tool without parameters must have a schema all the same.
    pub(super) needs_parameters: bool,
    /// Whether the arguments of earlier calls must be objects.
    pub(super) parses_arguments: bool,
    /// The highest temperature it takes, where that is less than OpenAI's.
    pub(super) max_temperature: Option<f64>,
    /// Where it refuses fields it does not know: those it knows beside the ones written here.
    pub(super) fields: Option<&'static [&'static str]>,
    /// Whether a model refuses what others of the service take.
    pub(super) refuses: fn(&str, Feature, &Options) -> bool,
}

impl OpenAi {
    /// One without quirks.
    pub(super) const PLAIN: Self = Self {
        support: Support { translated: &[], dropped: &[], refused: &[] },
        max_tokens: "max_tokens",
        seed: "seed",
        any_tool: "required",
        reasoning: None,
        stream_options: true,
        short_call_ids: false,
        is_exact: true,
        embeds: false,
        dimensions: "dimensions",
        reasoning_beside_output: false,
        efforts: &[],
        thinks_unless_told: false,
        takes_state_back: false,
        needs_parameters: false,
        parses_arguments: false,
        max_temperature: None,
        fields: None,
        refuses: |_, _, _| false,
    };
}

impl OpenAi {
    /// Whether calls of tools must come back with the thoughts before them, if only empty ones.
    fn wants_thoughts(&self) -> bool {
        self.thinks_unless_told && self.reasoning.is_some()
    }
}

/// Models that think refuse to be told how to sample, and all but the first of them where to stop.
fn openai_refuses(model: &str, feature: Feature, options: &Options) -> bool {
    let samples = matches!(
        feature,
        Feature::Temperature
            | Feature::TopP
            | Feature::PresencePenalty
            | Feature::FrequencyPenalty
            | Feature::LogitBias
            | Feature::Logprobs
    );
    // What only talks has `chat` in its name.
    let is = |families: &[&str]| {
        families.iter().any(|family| model.starts_with(family)) && !model.contains("chat")
    };
    match feature {
        // Whether they think or not.
        Feature::Stop => is(&["o3", "o4", "gpt-5"]),
        // What was told not to think samples again (from gpt-5.1 on).
        _ => samples && is(&["o1", "o3", "o4", "gpt-5"]) && options.effort != Some(Effort::None),
    }
}

impl Embedder for OpenAi {
    fn path(&self, base_path: &str, _: &EmbedCall<'_>) -> String {
        format!("{base_path}/embeddings")
    }

    fn request_body(&self, call: &EmbedCall<'_>) -> Vec<u8> {
        embeddings::write(self, call)
    }

    fn read(&self, body: &[u8]) -> Result<Embedded, Failure> {
        embeddings::read(body)
    }
}

impl Dialect for OpenAi {
    fn wire(&self) -> Wire {
        Wire::Openai
    }

    fn is_exact(&self) -> bool {
        self.is_exact
    }

    fn support(&self) -> &Support {
        &self.support
    }

    fn model_refuses(&self, model: &str, feature: Feature, chat: &Chat) -> bool {
        (self.refuses)(model, feature, &chat.options)
    }

    fn keeps_messages(&self, chat: &Chat) -> bool {
        messages::may_pass(self, chat)
    }

    fn takes_field(&self, name: &str) -> bool {
        self.fields.is_none_or(|fields| fields.contains(&name))
    }

    fn embedder(&self) -> Option<&dyn Embedder> {
        if self.embeds { Some(self) } else { None }
    }

    fn path(&self, base_path: &str, _: &Call<'_>) -> String {
        format!("{base_path}/chat/completions")
    }

    fn request_body(&self, call: &Call<'_>) -> Vec<u8> {
        request::write(self, call)
    }

    fn read_answer(&self, body: &[u8]) -> Result<Answer, Failure> {
        answer::read_whole(self, body)
    }

    fn events(&self) -> Box<dyn ReadEvents> {
        Box::new(answer::Events::new(self.reasoning_beside_output))
    }
}
