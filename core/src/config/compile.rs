//! From [`Config`] to [`Gateway`]: names resolved, presets and defaults filled in, every problem reported.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    BaseUrl, Config, DialectName, Gateway, Model, ModelConfig, ModelEntry, ModelLimitsConfig, Paths,
    Provider, ProviderConfig, RestoreConfig, Storage, StorageType, TimeWindow,
};

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as `models[2].provider`.
    pub path: String,
    /// What is wrong, and what would be valid.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// Longest `retry.interval`, in milliseconds: Envoy ignores a longer wait asked for by a response.
const LONGEST_RETRY_INTERVAL_MS: u64 = 300_000;

/// Largest body the gateway can be told to hold, in bytes: Envoy's buffer limits are 32 bit, and a worker holds
/// one such body for each request under way.
const LARGEST_BODY: u32 = 256 << 20;

/// Compiles `config`.
///
/// # Errors
/// Every [`Problem`] found, not only the first.
pub fn compile(config: &Config) -> Result<Gateway, Vec<Problem>> {
    let mut problems = Problems::default();
    let providers = compile_providers(&config.providers, &mut problems);
    let models = compile_models(config, &providers, &mut problems);
    check_paths(config, &mut problems);
    check_limits(config, &mut problems);
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let limits = &config.limits;
    Ok(Gateway {
        paths: Paths { prompt: config.prompt_path.clone(), stream: config.stream_path.clone() },
        session_header: config.header_session_id_name.to_ascii_lowercase(),
        providers,
        models,
        max_request_bytes: limits.max_request_bytes as usize,
        max_response_bytes: limits.max_response_bytes as usize,
        default_max_tokens: limits.max_tokens,
        request_timeout_ms: limits.request_timeout.millis(),
        retry_max: limits.retry.max,
        retry_interval_ms: limits.retry.interval.millis(),
        storage: match config.storage.kind {
            StorageType::None => None,
            StorageType::Memory | StorageType::Valkey => {
                Some(Storage { commit_timeout_ms: config.storage.commit_timeout.millis() })
            }
        },
    })
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem { path: path.into(), text: text.into() });
    }
}

/// Dialect and base URL of the providers that need neither said.
fn preset(name: &str) -> Option<(DialectName, &'static str)> {
    match name {
        "openai" => Some((DialectName::Openai, "https://api.openai.com/v1")),
        "deepseek" => Some((DialectName::Deepseek, "https://api.deepseek.com")),
        "gemini" => Some((DialectName::Gemini, "https://generativelanguage.googleapis.com/v1beta")),
        _ => None,
    }
}

fn compile_providers(configs: &BTreeMap<String, ProviderConfig>, problems: &mut Problems) -> Vec<Provider> {
    if configs.is_empty() {
        problems
            .add("providers", "is empty; name at least one, such as openai: {apiKey: \"${OPENAI_API_KEY}\"}");
    }
    let mut providers = Vec::with_capacity(configs.len());
    for (name, config) in configs {
        let path = format!("providers.{name}");
        let usable = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(usable) {
            problems.add(&path, "a provider's name is made of letters, digits, '-', '_' and '.'");
        }
        let preset = preset(name);
        let dialect = config.dialect.or(preset.map(|(dialect, _)| dialect));
        if dialect.is_none() {
            problems.add(
                format!("{path}.dialect"),
                "is missing; one of openai, deepseek, gemini (only providers of these names know theirs)",
            );
        }
        let url = config.base_url.as_deref().or(preset.map(|(_, url)| url));
        let base_url = match url.map(BaseUrl::parse) {
            Some(Ok(base_url)) => Some(base_url),
            Some(Err(error)) => {
                problems.add(format!("{path}.baseUrl"), error.to_string());
                None
            }
            None => {
                problems.add(format!("{path}.baseUrl"), "is missing; such as \"https://api.example.com/v1\"");
                None
            }
        };
        for (header, value) in &config.headers {
            check_header(&format!("{path}.headers.{header}"), header, value, problems);
        }
        if let (Some(dialect), Some(base_url)) = (dialect, base_url) {
            providers.push(Provider {
                name: name.clone(),
                cluster: format!("provider/{name}"),
                stream_cluster: format!("provider/{name}/stream"),
                hop_cluster: format!("provider/{name}/hop"),
                dialect,
                base_url,
                headers: config.headers.clone(),
                ca_file: config.ca_file.clone(),
            });
        }
    }
    providers
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn check_header(path: &str, name: &str, value: &str, problems: &mut Problems) {
    if !is_token(name) {
        problems.add(path, "is no valid header name");
    }
    let framing = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "content-type",
        "accept-encoding",
        "upgrade",
        "te",
    ];
    if framing.contains(&name.to_ascii_lowercase().as_str()) {
        problems.add(path, "is written by the gateway itself and cannot be set");
    }
    if value.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f) {
        problems.add(path, "holds a control character");
    }
}

fn compile_models(config: &Config, providers: &[Provider], problems: &mut Problems) -> Vec<Model> {
    let entries = &config.models;
    if entries.is_empty() {
        problems.add("models", "is empty; name at least one, such as \"openai:gpt-5-mini\"");
    }
    let mut models: Vec<Model> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("models[{index}]");
        let entry = match entry {
            ModelEntry::Detailed(model) => model.clone(),
            ModelEntry::Name(name) => match name.split_once(':') {
                Some((provider, model)) => ModelConfig {
                    provider: provider.to_owned(),
                    model: model.to_owned(),
                    limits: ModelLimitsConfig::default(),
                    restore: RestoreConfig::default(),
                },
                None => {
                    problems.add(&path, format!("\"{name}\" is no model; write \"provider:model\""));
                    continue;
                }
            },
        };
        if entry.model.is_empty() || entry.model.bytes().any(|b| b <= b' ' || b == 0x7f) {
            problems.add(format!("{path}.model"), "must be a name without white space");
        }
        if entry.limits.max_tokens == Some(0) {
            problems.add(format!("{path}.limits.maxTokens"), "must be at least 1");
        }
        let id = format!("{}:{}", entry.provider, entry.model);
        if models.iter().any(|model| model.id == id) {
            problems.add(&path, format!("{id} is listed twice"));
        }
        match providers.iter().position(|provider| provider.name == entry.provider) {
            Some(provider) => models.push(Model {
                provider,
                id,
                name: entry.model.clone(),
                max_tokens: entry.limits.max_tokens,
            }),
            // A provider that is there but wrong has been reported under its own name.
            None if config.providers.contains_key(&entry.provider) => {}
            None => {
                let known: Vec<_> = config.providers.keys().map(String::as_str).collect();
                problems.add(
                    format!("{path}.provider"),
                    format!("no provider \"{}\"; there is {}", entry.provider, known.join(", ")),
                );
            }
        }
    }
    models
}

fn check_paths(config: &Config, problems: &mut Problems) {
    for (name, path) in [("promptPath", &config.prompt_path), ("streamPath", &config.stream_path)] {
        let valid = path.starts_with('/') && path.len() > 1 && path.bytes().all(|b| b.is_ascii_graphic());
        if !valid || path.contains(['?', '#']) {
            problems.add(name, "must be a path that starts with '/', without query or fragment");
        }
    }
    if config.prompt_path == config.stream_path {
        problems.add("streamPath", "is the same as promptPath");
    }
    check_header("headerSessionIdName", &config.header_session_id_name, "", problems);
}

fn check_limits(config: &Config, problems: &mut Problems) {
    let limits = &config.limits;
    if limits.max_tokens == Some(0) {
        problems.add("limits.maxTokens", "must be at least 1");
    }
    for (path, time, least_ms, longest_ms) in [
        ("limits.requestTimeout", limits.request_timeout, 1, 86_400_000),
        ("limits.retry.interval", limits.retry.interval, 0, LONGEST_RETRY_INTERVAL_MS),
        ("limits.historyExpiration", limits.history_expiration, 1_000, u64::from(u32::MAX) * 1_000),
        ("storage.commitTimeout", config.storage.commit_timeout, 1, 60_000),
    ] {
        if !(least_ms..=longest_ms).contains(&time.millis()) {
            let (least, longest) = (TimeWindow::from_millis(least_ms), TimeWindow::from_millis(longest_ms));
            problems.add(path, format!("must be {least} to {longest}"));
        }
    }
    for (name, bytes) in
        [("maxRequestBytes", limits.max_request_bytes), ("maxResponseBytes", limits.max_response_bytes)]
    {
        if !(1_024..=LARGEST_BODY).contains(&bytes) {
            problems.add(format!("limits.{name}"), format!("must be 1024 to {LARGEST_BODY} bytes"));
        }
    }
    if config.storage.valkey.cluster && config.storage.valkey.database != 0 {
        problems.add("storage.valkey.database", "must be 0 in a cluster");
    }
    if config.storage.max_turns_per_session == 0 {
        problems.add("storage.maxTurnsPerSession", "must be at least 1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(json: serde_json::Value) -> Result<Gateway, Vec<String>> {
        let config: Config = serde_json::from_value(json).unwrap();
        compile(&config).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn fills_in_presets_and_defaults() {
        let gateway = compiled(serde_json::json!({
            "providers": {"openai": {"apiKey": "${OPENAI_API_KEY}"}, "gemini": {"apiKey": "k"}},
            "models": ["gemini:gemini-2.5-flash", {"provider": "openai", "model": "gpt-5-mini", "limits": {"maxTokens": 7}}],
        }))
        .unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&gateway).unwrap());
    }

    #[test]
    fn reports_every_problem_with_its_path() {
        let problems = compiled(serde_json::json!({
            "providers": {"local": {}, "bad name": {"dialect": "openai", "baseUrl": "localhost"}},
            "models": ["nocolon", "missing:m", {"provider": "local", "model": ""}],
            "promptPath": "api", "limits": {"requestTimeout": 0, "maxRequestBytes": 1},
        }))
        .unwrap_err();
        insta::assert_snapshot!(problems.join("\n"));
    }

    #[test]
    fn the_filter_never_sees_a_key() {
        let gateway = compiled(serde_json::json!({
            "providers": {"openai": {"apiKey": "sk-very-secret", "headers": {"x-org": "org-secret"}}},
            "models": ["openai:m"],
        }))
        .unwrap();
        let json = serde_json::to_string(&gateway).unwrap();
        assert!(!json.contains("secret"), "{json}");
        assert_eq!(serde_json::from_str::<Gateway>(&json).unwrap().models, gateway.models);
    }
}
