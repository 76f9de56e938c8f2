//! `providers`: the upstream APIs, the places where each can be reached, and their keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::Config;
use super::models::default_weight;
use crate::config::Secret;

/// The wire format a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DialectName {
    /// OpenAI chat completions, and every server that is compatible with it.
    Openai,
    /// DeepSeek chat completions.
    Deepseek,
    /// Gemini `generateContent`.
    Gemini,
}

/// `providers.<name>`: one upstream API. It has `endpoints`, or is the only one itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Wire format; may be left out for `openai`, `deepseek` and `gemini`.
    pub dialect: Option<DialectName>,
    /// Base URL; may be left out for `openai`, `deepseek` and `gemini`. Not beside `endpoints`.
    pub base_url: Option<String>,
    /// API key. Not beside `endpoints`.
    pub api_key: Option<Secret>,
    /// Headers added to every request to this provider.
    pub headers: BTreeMap<String, String>,
    /// Certificate authorities (PEM file, read by Envoy) for a provider with a certificate of its own. Default: the system's.
    /// Not beside `endpoints`.
    pub ca_file: Option<PathBuf>,
    /// Several regions, accounts or replicas of the same API; at most 64.
    pub endpoints: Option<Vec<EndpointConfig>>,
}

/// One entry of `providers.<name>.endpoints`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EndpointConfig {
    /// Its name (default: its position, from 1).
    pub name: Option<String>,
    /// Base URL; may be left out for `openai`, `deepseek` and `gemini`.
    pub base_url: Option<String>,
    /// API key.
    pub api_key: Option<Secret>,
    /// Its share of the provider's requests, 1 to 1000 (default 1).
    pub weight: u32,
    /// Headers added to every request to this endpoint, beside the provider's.
    pub headers: BTreeMap<String, String>,
    /// Certificate authorities (PEM file, read by Envoy). Default: the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            name: None,
            base_url: None,
            api_key: None,
            weight: default_weight(),
            headers: BTreeMap::new(),
            ca_file: None,
        }
    }
}

/// A key in the configuration.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The [`Endpoint::name`](crate::config::Endpoint::name) of the endpoint it opens.
    pub endpoint: String,
    /// Where it stands, as `providers.openai.endpoints[1].apiKey`.
    pub path: String,
    /// Where its value comes from.
    pub secret: Secret,
}

impl Config {
    /// The keys of all endpoints that have one.
    pub fn api_keys(&self) -> impl Iterator<Item = ApiKey> {
        let providers = self.providers.iter();
        providers.flat_map(|(name, provider)| written_endpoints(name, provider)).filter_map(|endpoint| {
            let secret = endpoint.config.api_key?;
            Some(ApiKey { endpoint: endpoint.name, path: format!("{}.apiKey", endpoint.path), secret })
        })
    }
}

/// An endpoint as it is written, whether in `endpoints` or as the provider itself.
#[derive(Debug)]
pub(in crate::config) struct WrittenEndpoint {
    /// Its name within the provider.
    pub(in crate::config) own_name: String,
    /// [`Endpoint::name`](crate::config::Endpoint::name).
    pub(in crate::config) name: String,
    /// Where it stands, as `providers.openai.endpoints[1]`.
    pub(in crate::config) path: String,
    /// What stands there.
    pub(in crate::config) config: EndpointConfig,
}

/// The endpoints of a provider.
pub(in crate::config) fn written_endpoints(provider: &str, config: &ProviderConfig) -> Vec<WrittenEndpoint> {
    let path = format!("providers.{provider}");
    let Some(endpoints) = &config.endpoints else {
        let itself = EndpointConfig {
            base_url: config.base_url.clone(),
            api_key: config.api_key.clone(),
            ca_file: config.ca_file.clone(),
            ..Default::default()
        };
        let own_name = provider.to_owned();
        return vec![WrittenEndpoint { name: own_name.clone(), own_name, path, config: itself }];
    };
    let is_alone = endpoints.len() == 1;
    let written = endpoints.iter().enumerate().map(|(index, endpoint)| {
        let own_name = endpoint.name.clone().unwrap_or_else(|| (index + 1).to_string());
        WrittenEndpoint {
            name: if is_alone { provider.to_owned() } else { format!("{provider}/{own_name}") },
            own_name,
            path: format!("{path}.endpoints[{index}]"),
            config: endpoint.clone(),
        }
    });
    written.collect()
}
