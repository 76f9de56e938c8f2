//! The wire formats by name, and where each provider of that name is reached unless the configuration says otherwise.
//!
//! A provider that bears the name of a dialect speaks it; any other says so itself.

use serde::{Deserialize, Serialize};

/// The wire format a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DialectName {
    /// OpenAI chat completions, as OpenAI itself takes them.
    Openai,
    /// DeepSeek chat completions.
    Deepseek,
    /// Gemini `generateContent`.
    Gemini,
    /// Anthropic Messages.
    Anthropic,
    /// Azure OpenAI, by deployment where `apiVersion` is set, else its v1 API.
    Azure,
    /// AWS Bedrock Converse.
    Bedrock,
    /// Gemini on Vertex AI.
    Vertex,
    /// Mistral chat completions.
    Mistral,
    /// Groq chat completions.
    Groq,
    /// xAI chat completions.
    Xai,
    /// OpenRouter chat completions.
    Openrouter,
    /// Together chat completions.
    Together,
    /// Fireworks chat completions.
    Fireworks,
    /// Cerebras chat completions.
    Cerebras,
    /// Ollama, by its OpenAI-compatible API.
    Ollama,
    /// vLLM's OpenAI-compatible server.
    Vllm,
    /// llama.cpp's OpenAI-compatible server.
    Llamacpp,
    /// Any other server that is compatible with OpenAI chat completions.
    Compatible,
}

impl DialectName {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Openai,
        Self::Deepseek,
        Self::Gemini,
        Self::Anthropic,
        Self::Azure,
        Self::Bedrock,
        Self::Vertex,
        Self::Mistral,
        Self::Groq,
        Self::Xai,
        Self::Openrouter,
        Self::Together,
        Self::Fireworks,
        Self::Cerebras,
        Self::Ollama,
        Self::Vllm,
        Self::Llamacpp,
        Self::Compatible,
    ];

    /// The provider's name by OpenTelemetry's conventions, where they know it.
    pub const fn provider_attribute(self) -> &'static str {
        match self {
            Self::Gemini => "gcp.gemini",
            Self::Vertex => "gcp.vertex_ai",
            Self::Azure => "azure.ai.openai",
            Self::Bedrock => "aws.bedrock",
            Self::Mistral => "mistral_ai",
            Self::Xai => "x_ai",
            _ => self.name(),
        }
    }

    /// The name, as the configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Deepseek => "deepseek",
            Self::Gemini => "gemini",
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
            Self::Bedrock => "bedrock",
            Self::Vertex => "vertex",
            Self::Mistral => "mistral",
            Self::Groq => "groq",
            Self::Xai => "xai",
            Self::Openrouter => "openrouter",
            Self::Together => "together",
            Self::Fireworks => "fireworks",
            Self::Cerebras => "cerebras",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::Llamacpp => "llamacpp",
            Self::Compatible => "compatible",
        }
    }

    /// The dialect of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// The base URL of the service; `None` where there is no such thing, or where region or account are part of it.
    pub const fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Openai => Some("https://api.openai.com/v1"),
            Self::Deepseek => Some("https://api.deepseek.com"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Mistral => Some("https://api.mistral.ai/v1"),
            Self::Groq => Some("https://api.groq.com/openai/v1"),
            Self::Xai => Some("https://api.x.ai/v1"),
            Self::Openrouter => Some("https://openrouter.ai/api/v1"),
            Self::Together => Some("https://api.together.ai/v1"),
            Self::Fireworks => Some("https://api.fireworks.ai/inference/v1"),
            Self::Cerebras => Some("https://api.cerebras.ai/v1"),
            Self::Ollama => Some("http://127.0.0.1:11434/v1"),
            Self::Vllm => Some("http://127.0.0.1:8000/v1"),
            Self::Llamacpp => Some("http://127.0.0.1:8080/v1"),
            Self::Azure | Self::Bedrock | Self::Vertex | Self::Compatible => None,
        }
    }
}
