//! The providers that are simulated, and where each lives on the one port.
//!
//! All providers share an address and differ by path prefix, so one process stands in for every upstream of a
//! gateway configuration.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A simulated provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI chat completions, base path `/openai/v1`.
    OpenAi,
    /// DeepSeek chat completions, base path `/deepseek` (`/deepseek/v1` is an alias).
    DeepSeek,
    /// Gemini native `generateContent`, base path `/gemini/v1beta` (`/gemini/v1` is served as well).
    Gemini,
    /// Anthropic Messages, base path `/anthropic`; the endpoints are below `/anthropic/v1`.
    Anthropic,
    /// Azure OpenAI, base path `/azure`: deployments below `/azure/openai/deployments`, and `/azure/openai/v1`.
    Azure,
    /// Bedrock Converse, base path `/bedrock`.
    Bedrock,
    /// Gemini on Vertex AI, base path `/vertex/v1` (`/vertex/v1beta1` is served as well).
    Vertex,
    /// Mistral, base path `/mistral/v1`.
    Mistral,
    /// Groq, base path `/groq/openai/v1`.
    Groq,
    /// xAI, base path `/xai/v1`.
    Xai,
    /// OpenRouter, base path `/openrouter/api/v1`.
    OpenRouter,
    /// Together, base path `/together/v1`.
    Together,
    /// Fireworks, base path `/fireworks/inference/v1`.
    Fireworks,
    /// Cerebras, base path `/cerebras/v1`.
    Cerebras,
    /// Ollama's OpenAI-compatible API, base path `/ollama/v1`.
    Ollama,
    /// A vLLM server, base path `/vllm/v1`.
    Vllm,
    /// A llama.cpp server, base path `/llamacpp/v1`.
    LlamaCpp,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Provider; 17] = [
        Provider::OpenAi,
        Provider::DeepSeek,
        Provider::Gemini,
        Provider::Anthropic,
        Provider::Azure,
        Provider::Bedrock,
        Provider::Vertex,
        Provider::Mistral,
        Provider::Groq,
        Provider::Xai,
        Provider::OpenRouter,
        Provider::Together,
        Provider::Fireworks,
        Provider::Cerebras,
        Provider::Ollama,
        Provider::Vllm,
        Provider::LlamaCpp,
    ];
    /// One provider of each dialect that tests of failures go through: OpenAI, DeepSeek, Gemini.
    pub const CORE: [Provider; 3] = [Provider::OpenAi, Provider::DeepSeek, Provider::Gemini];

    /// The provider's name in paths and answers, such as `openai`.
    pub fn name(self) -> &'static str {
        match self {
            Provider::OpenAi => "openai",
            Provider::DeepSeek => "deepseek",
            Provider::Gemini => "gemini",
            Provider::Anthropic => "anthropic",
            Provider::Azure => "azure",
            Provider::Bedrock => "bedrock",
            Provider::Vertex => "vertex",
            Provider::Mistral => "mistral",
            Provider::Groq => "groq",
            Provider::Xai => "xai",
            Provider::OpenRouter => "openrouter",
            Provider::Together => "together",
            Provider::Fireworks => "fireworks",
            Provider::Cerebras => "cerebras",
            Provider::Ollama => "ollama",
            Provider::Vllm => "vllm",
            Provider::LlamaCpp => "llamacpp",
        }
    }

    /// The path every endpoint of the provider starts with.
    pub fn base_path(self) -> &'static str {
        match self {
            Provider::OpenAi => "/openai/v1",
            Provider::DeepSeek => "/deepseek",
            Provider::Gemini => "/gemini/v1beta",
            Provider::Anthropic => "/anthropic",
            Provider::Azure => "/azure",
            Provider::Bedrock => "/bedrock",
            Provider::Vertex => "/vertex/v1",
            Provider::Mistral => "/mistral/v1",
            Provider::Groq => "/groq/openai/v1",
            Provider::Xai => "/xai/v1",
            Provider::OpenRouter => "/openrouter/api/v1",
            Provider::Together => "/together/v1",
            Provider::Fireworks => "/fireworks/inference/v1",
            Provider::Cerebras => "/cerebras/v1",
            Provider::Ollama => "/ollama/v1",
            Provider::Vllm => "/vllm/v1",
            Provider::LlamaCpp => "/llamacpp/v1",
        }
    }

    /// A second base path that leads to the same endpoints.
    pub(crate) fn base_path_alias(self) -> Option<&'static str> {
        match self {
            Provider::DeepSeek => Some("/deepseek/v1"),
            Provider::Gemini => Some("/gemini/v1"),
            Provider::Vertex => Some("/vertex/v1beta1"),
            _ => None,
        }
    }

    /// The request header the provider reads its credential from; the first of several.
    pub fn credential_header(self) -> &'static str {
        self.credential_headers().first().copied().unwrap_or("authorization")
    }

    /// The request headers the provider reads its credential from, the one that wins first.
    pub fn credential_headers(self) -> &'static [&'static str] {
        match self {
            Provider::Gemini => &["x-goog-api-key"],
            Provider::Anthropic => &["x-api-key", "authorization"],
            Provider::Azure => &["api-key", "authorization"],
            _ => &["authorization"],
        }
    }

    /// Whether a request without any credential is answered: servers that people run themselves.
    pub fn accepts_anonymous(self) -> bool {
        matches!(self, Provider::Ollama | Provider::Vllm | Provider::LlamaCpp)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no provider.
#[derive(Debug, thiserror::Error)]
#[error("unknown provider {0:?}: expected one of {names}", names = names())]
pub struct UnknownProvider(String);

fn names() -> String {
    Provider::ALL.map(Provider::name).join(", ")
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Provider::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}
