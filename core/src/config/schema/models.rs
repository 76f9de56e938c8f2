//! `models` and `routes`: what can be asked, and in which order it is tried.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ModelLimitsConfig, RateConfig, RestoreConfig, TokensConfig};
use crate::chat::Feature;
use crate::config::{RouteOptions, Strategy, TimeWindow};

/// One entry of `models`: `"provider:model"` or a [`ModelConfig`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub enum ModelEntry {
    /// `"provider:model"`.
    Name(String),
    /// The long form.
    Detailed(ModelConfig),
}

/// The long form of a model.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelConfig {
    /// A key of `providers`.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// Limits of this model.
    #[serde(default)]
    pub limits: ModelLimitsConfig,
    /// Restore times of this model.
    #[serde(default)]
    pub restore: RestoreConfig,
    /// What the model does not take, beside what is known of its [provider](providers.md). Left out of requests, and
    /// the client is told: `temperature`, `topP`, `topK`, `stop`, `seed`, `choices`, `presencePenalty`,
    /// `frequencyPenalty`, `logitBias`, `logprobs`, `user`, `tools`, `forcedTool`, `sequentialTools`, `jsonMode`,
    /// `jsonSchema`, `effort`, `thinkingBudget`, `dimensions`. A request that has such passes the model over:
    /// `imageData`, `imageUrl`, `imageDetail`, `toolError`, `names`, `reasoning`, `foreignTools`, `foreignContent`,
    /// `tokenInput`.
    #[serde(default)]
    pub unsupported: Vec<Feature>,
}

/// One entry of `routes`: a named chain of models.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name. `default` is the route of requests that name none.
    pub name: String,
    /// Its models, each one of `models`: `"provider:model"`, or as below. (default: of `default`: all)
    pub models: Option<Vec<RouteModelEntry>>,
    /// In which order they are tried: `ordered` (as listed), `weighted` (at random, by weight), `leastBusy` (fewest requests under way on the same
    /// worker, per weight, first).
    #[serde(default)]
    pub strategy: Strategy,
    /// Whether the least bad model is tried where all of them rest.
    #[serde(default)]
    pub graceful_degradation: bool,
    /// Which requests take it beside those that name it.
    #[serde(default, rename = "match")]
    pub matches: RouteMatchConfig,
    /// Whether a model that would have to leave out a part of a request is passed over.
    #[serde(default)]
    pub strict: bool,
    /// What holds where a request says nothing: `context`, `temperature`, `topP`, `maxTokens`, `reasoningEffort`
    /// (`none` to `max`).
    #[serde(default)]
    pub defaults: RouteOptions,
    /// What holds whatever a request says.
    #[serde(default)]
    pub overrides: RouteOptions,
    /// Limits of the route.
    #[serde(default)]
    pub limits: RouteLimitsConfig,
}

/// `routes[].match`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RouteMatchConfig {
    /// Request headers, each with the value it must have: requests with all of them take the route.
    pub headers: BTreeMap<String, String>,
}

/// `routes[].limits`: what is not set is as in `limits`, but for `rate` and `tokens`, of which there are then none.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RouteLimitsConfig {
    /// Caps the tokens of one answer.
    pub max_tokens: Option<u32>,
    /// Most upstream requests of one request.
    pub max_attempts: Option<u32>,
    /// Longest time to an answer, or to the first content of a stream, over all attempts.
    pub total_timeout: Option<TimeWindow>,
    /// Requests of the route, whichever model answers.
    pub rate: Option<RateConfig>,
    /// Tokens of the route, whichever model answers.
    pub tokens: Option<TokensConfig>,
}

/// One entry of `routes[].models`: `"provider:model"` or a [`RouteModelConfig`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(untagged))]
pub enum RouteModelEntry {
    /// `"provider:model"`, of weight 1.
    Name(String),
    /// The long form.
    Detailed(RouteModelConfig),
}

/// The long form of a model in a route.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteModelConfig {
    /// `"provider:model"`.
    pub model: String,
    /// Its share, for strategies that weigh, 1 to 1000.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

/// Weight of what says none.
pub(super) fn default_weight() -> u32 {
    1
}

impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map(
            deserializer,
            "a model: \"provider:model\" or {provider, model}",
            Self::Name,
            Self::Detailed,
        )
    }
}

impl<'de> Deserialize<'de> for RouteModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map(
            deserializer,
            "a model: \"provider:model\" or {model, weight}",
            Self::Name,
            Self::Detailed,
        )
    }
}

/// Reads a text or a mapping. By hand, because serde's untagged enums answer a typo with "did not match any variant".
fn text_or_map<'de, D: Deserializer<'de>, M: Deserialize<'de>, T>(
    deserializer: D,
    expected: &'static str,
    of_text: fn(String) -> T,
    of_map: fn(M) -> T,
) -> Result<T, D::Error> {
    struct TextOrMap<M, T> {
        expected: &'static str,
        of_text: fn(String) -> T,
        of_map: fn(M) -> T,
    }

    impl<'de, M: Deserialize<'de>, T> Visitor<'de> for TextOrMap<M, T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expected)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            Ok((self.of_text)(text.to_owned()))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            M::deserialize(MapAccessDeserializer::new(map)).map(self.of_map)
        }
    }

    deserializer.deserialize_any(TextOrMap { expected, of_text, of_map })
}
