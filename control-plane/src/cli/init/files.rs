//! From answers to the text of the files. Pure, so that every combination can be checked to be a configuration that
//! compiles.

use std::fmt::Write as _;

use super::ProviderName;
use crate::config::SecretString;
use crate::host_port::HostPort;

/// Name of the configuration.
pub(super) const CONFIG_FILE: &str = "ai-warp.yaml";

/// Name of the file that holds the keys.
pub(super) const ENV_FILE: &str = ".env";

/// Everything `init` must know.
#[derive(Debug)]
pub(super) struct Answers {
    /// Providers in the order in which they are tried, with their keys as far as they are known.
    pub(super) providers: Vec<(ProviderName, Option<SecretString>)>,
    /// Port of the gateway.
    pub(super) port: u16,
    /// Where sessions are kept.
    pub(super) storage: Storage,
}

/// Where sessions are kept.
#[derive(Debug)]
pub(super) enum Storage {
    None,
    Memory,
    Valkey(HostPort),
}

impl ProviderName {
    /// As it is called.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Openai => "OpenAI",
            Self::Deepseek => "DeepSeek",
            Self::Gemini => "Gemini",
            Self::Anthropic => "Anthropic",
            Self::Mistral => "Mistral",
            Self::Groq => "Groq",
            Self::Openrouter => "OpenRouter",
        }
    }

    /// The environment variable that holds its key.
    pub(super) fn key_variable(self) -> &'static str {
        match self {
            Self::Openai => "OPENAI_API_KEY",
            Self::Deepseek => "DEEPSEEK_API_KEY",
            Self::Gemini => "GEMINI_API_KEY",
            Self::Anthropic => "ANTHROPIC_API_KEY",
            Self::Mistral => "MISTRAL_API_KEY",
            Self::Groq => "GROQ_API_KEY",
            Self::Openrouter => "OPENROUTER_API_KEY",
        }
    }

    /// Its key in `providers`.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Deepseek => "deepseek",
            Self::Gemini => "gemini",
            Self::Anthropic => "anthropic",
            Self::Mistral => "mistral",
            Self::Groq => "groq",
            Self::Openrouter => "openrouter",
        }
    }

    /// A small model to begin with.
    fn model(self) -> &'static str {
        match self {
            Self::Openai => "gpt-5-mini",
            Self::Deepseek => "deepseek-chat",
            Self::Gemini => "gemini-2.5-flash",
            Self::Anthropic => "claude-haiku-4-5",
            Self::Mistral => "mistral-small-latest",
            Self::Groq => "llama-3.3-70b-versatile",
            Self::Openrouter => "openai/gpt-5-mini",
        }
    }
}

/// Whether a key can stand in a `.env` file: visible ASCII without quotes, which is what keys are made of.
pub(super) fn is_writable_key(key: &str) -> bool {
    key.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\''))
}

/// The text of [`CONFIG_FILE`].
pub(super) fn config_text(answers: &Answers) -> String {
    let mut text = String::from(HEAD);
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line("\n# Where the gateway listens.");
    line(&format!("server:\n  hostname: 127.0.0.1\n  port: {}", answers.port));
    line(
        "\n# A page to try it and to look at it, at http://127.0.0.1:18000/console.\nconsole:\n  enabled: true",
    );
    line(
        "\n# Upstream APIs. The keys are read from the environment, or from .env beside this file.\nproviders:",
    );
    for (provider, _) in &answers.providers {
        line(&format!("  {}:\n    apiKey: ${{{}}}", provider.key(), provider.key_variable()));
    }
    line("\n# The models in the order in which they are tried.\nmodels:");
    for (provider, _) in &answers.providers {
        line(&format!("  - {}:{}", provider.key(), provider.model()));
    }
    line(LIMITS);
    line("\n# Where sessions are kept: none, memory (until the control plane restarts) or valkey.\nstorage:");
    match &answers.storage {
        Storage::None => line("  type: none"),
        Storage::Memory => line("  type: memory"),
        Storage::Valkey(at) => {
            // A host may be an IPv6 address, which only quotes keep from being a mapping.
            line(&format!("  type: valkey\n  valkey:\n    host: \"{}\"\n    port: {}", at.host, at.port));
        }
    }
    text
}

const HEAD: &str = "\
# AI Warp for Envoy. `ai-warp validate` checks this file, `ai-warp schema` prints everything it can say.
# A change is applied within a second.
";

const LIMITS: &str = "
# Times are \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\" or a number of milliseconds. These are the defaults.
limits:
  requestTimeout: 30s
  retry: {max: 1, interval: 1s}
  historyExpiration: 1d";

/// The text of [`ENV_FILE`].
pub(super) fn env_text(answers: &Answers) -> String {
    let mut text =
        String::from("# Keys of the providers. Keep this file to yourself and out of version control.\n");
    for (provider, key) in &answers.providers {
        let key = key.as_ref().map(SecretString::expose).unwrap_or_default();
        // Quoted, because a `#` would begin a comment. Writing to a string has no way to fail.
        let _ = match key {
            "" => writeln!(text, "{}=", provider.key_variable()),
            key => writeln!(text, "{}=\"{key}\"", provider.key_variable()),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Env, load};

    const ALL: [ProviderName; 3] = [ProviderName::Openai, ProviderName::Deepseek, ProviderName::Gemini];

    fn answers(providers: &[ProviderName], storage: Storage) -> Answers {
        let key = |provider: &ProviderName| Some(SecretString::new(format!("sk-#{}=$1", provider.key())));
        Answers {
            providers: providers.iter().map(|provider| (*provider, key(provider))).collect(),
            port: 8080,
            storage,
        }
    }

    #[test]
    fn every_combination_is_a_configuration_without_a_warning() {
        let stores: [fn() -> Storage; 4] = [
            || Storage::None,
            || Storage::Memory,
            || Storage::Valkey("cache:6380".parse().unwrap()),
            || Storage::Valkey("[::1]:6380".parse().unwrap()),
        ];
        for providers in [&ALL[..], &ALL[1..], &ALL[..1], &[ProviderName::Gemini, ProviderName::Openai]] {
            for store in stores {
                let answers = answers(providers, store());
                let dir = tempfile::tempdir().unwrap();
                let config = dir.path().join(CONFIG_FILE);
                std::fs::write(&config, config_text(&answers)).unwrap();
                std::fs::write(dir.path().join(ENV_FILE), env_text(&answers)).unwrap();
                let loaded = load(&config, &(Arc::new(|_: &str| None) as Env)).unwrap();
                assert_eq!(loaded.warnings, [""; 0]);
                assert_eq!(loaded.config.server.port, 8080);
                let models: Vec<_> = loaded.gateway.models.iter().map(|model| model.id.clone()).collect();
                let expected: Vec<_> = providers
                    .iter()
                    .map(|provider| format!("{}:{}", provider.key(), provider.model()))
                    .collect();
                assert_eq!(models, expected);
                for (provider, key) in &answers.providers {
                    assert_eq!(loaded.endpoint_key(provider.key()), key.as_ref());
                }
            }
        }
    }

    #[test]
    fn reads_well() {
        let answers = answers(&ALL[..2], Storage::Valkey("cache:6380".parse().unwrap()));
        insta::assert_snapshot!(config_text(&answers));
        assert!(!config_text(&answers).contains("sk-"));
    }

    #[test]
    fn the_limits_shown_are_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join(CONFIG_FILE);
        let text = config_text(&answers(&ALL, Storage::Memory));
        let limits = |text: &str| {
            std::fs::write(&config, text).unwrap();
            format!("{:?}", load(&config, &(Arc::new(|_: &str| None) as Env)).unwrap().config.limits)
        };
        assert_eq!(limits(&text), limits(&text.replace(LIMITS, "")));
    }

    #[test]
    fn keys_that_cannot_be_written_are_known() {
        for (key, writable) in
            [("sk-proj_A.b#c=$1\\", true), ("a b", false), ("a\"b", false), ("a\nb", false), ("é", false)]
        {
            assert_eq!(is_writable_key(key), writable, "{key:?}");
        }
    }
}
