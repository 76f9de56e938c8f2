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
}

impl Provider {
    /// Every provider.
    pub const ALL: [Provider; 3] = [Provider::OpenAi, Provider::DeepSeek, Provider::Gemini];

    /// The provider's name in paths and answers: `openai`, `deepseek`, `gemini`.
    pub fn name(self) -> &'static str {
        match self {
            Provider::OpenAi => "openai",
            Provider::DeepSeek => "deepseek",
            Provider::Gemini => "gemini",
        }
    }

    /// The path every endpoint of the provider starts with.
    pub fn base_path(self) -> &'static str {
        match self {
            Provider::OpenAi => "/openai/v1",
            Provider::DeepSeek => "/deepseek",
            Provider::Gemini => "/gemini/v1beta",
        }
    }

    /// The request header the provider reads its credential from.
    pub fn credential_header(self) -> &'static str {
        match self {
            Provider::OpenAi | Provider::DeepSeek => "authorization",
            Provider::Gemini => "x-goog-api-key",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no provider.
#[derive(Debug, thiserror::Error)]
#[error("unknown provider {0:?}: expected openai, deepseek or gemini")]
pub struct UnknownProvider(String);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Provider::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| UnknownProvider(name.to_owned()))
    }
}
