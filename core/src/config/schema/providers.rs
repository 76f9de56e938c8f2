//! `providers`: the upstream APIs, the places where each can be reached, and what each asks for before it answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::Config;
use super::models::default_weight;
use crate::config::{DialectName, Secret};

/// `providers.<name>`: one upstream API. It has `endpoints`, or is the only one itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Wire format: one of [these](providers.md#the-list); `compatible` for other servers that speak OpenAI's chat completions.
    /// (default: by name)
    pub dialect: Option<DialectName>,
    /// Base URL, such as `https://api.openai.com/v1`; its path is kept. Not beside `endpoints`. (default: by name)
    pub base_url: Option<String>,
    /// API key; of `vertex` an access token. A secret: it reaches Envoy by SDS, and never the filter. Not beside `endpoints`.
    pub api_key: Option<Secret>,
    /// Of `azure`: version of the API by deployment, such as `2024-10-21`; without it the v1 API is used.
    pub api_version: Option<String>,
    /// Region and access keys of AWS, for `bedrock`. Not beside `endpoints`.
    pub aws: Option<AwsConfig>,
    /// Project, location and service account of Google Cloud, for `vertex`. Not beside `endpoints`.
    pub gcp: Option<GcpConfig>,
    /// Headers added to every request; not for secrets, Envoy's config dump shows them.
    pub headers: BTreeMap<String, String>,
    /// Certificate authorities (PEM, read by Envoy) that may sign the provider's certificate. (default: the system's)
    pub ca_file: Option<PathBuf>,
    /// Several regions, accounts or replicas of the same API; at most 64.
    pub endpoints: Option<Vec<EndpointConfig>>,
}

/// One entry of `providers.<name>.endpoints`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EndpointConfig {
    /// Its name in statistics and in the state of models. (default: its position, from 1)
    pub name: Option<String>,
    /// Base URL; may be left out for dialects that know theirs.
    pub base_url: Option<String>,
    /// API key; for `vertex` an access token.
    pub api_key: Option<Secret>,
    /// Version of Azure's API by deployment, such as `2024-10-21`; without one it is the v1 API.
    pub api_version: Option<String>,
    /// Region and access keys of AWS, for `bedrock`.
    pub aws: Option<AwsConfig>,
    /// Project, location and service account of Google Cloud, for `vertex`.
    pub gcp: Option<GcpConfig>,
    /// Its share of the provider's requests, 1 to 1000.
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
            api_version: None,
            aws: None,
            gcp: None,
            weight: default_weight(),
            headers: BTreeMap::new(),
            ca_file: None,
        }
    }
}

/// `aws`: where Bedrock is, and who asks.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AwsConfig {
    /// The region, such as `us-east-1`.
    pub region: String,
    /// Access key id. Without it and `apiKey`, Envoy looks for credentials as AWS's own tools do: environment, profile
    /// file, role of the container or instance.
    pub access_key_id: Option<Secret>,
    /// Secret access key, beside `accessKeyId`.
    pub secret_access_key: Option<Secret>,
    /// Session token, a secret, beside a temporary access key.
    pub session_token: Option<Secret>,
}

/// `gcp`: whose Vertex AI it is and where, and who asks.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GcpConfig {
    /// Id of the project.
    pub project: String,
    /// The location, such as `europe-west4`. (default: `global`)
    pub location: Option<String>,
    /// A secret: the JSON key of a service account. (default: metadata server)
    pub service_account: Option<Secret>,
}

/// What a secret of an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretRole {
    /// `apiKey`.
    ApiKey,
    /// `aws.accessKeyId`.
    AwsAccessKeyId,
    /// `aws.secretAccessKey`.
    AwsSecretAccessKey,
    /// `aws.sessionToken`.
    AwsSessionToken,
    /// `gcp.serviceAccount`.
    GcpServiceAccount,
}

impl SecretRole {
    /// Where it stands within its endpoint.
    const fn key(self) -> &'static str {
        match self {
            Self::ApiKey => "apiKey",
            Self::AwsAccessKeyId => "aws.accessKeyId",
            Self::AwsSecretAccessKey => "aws.secretAccessKey",
            Self::AwsSessionToken => "aws.sessionToken",
            Self::GcpServiceAccount => "gcp.serviceAccount",
        }
    }
}

/// A secret of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointSecret {
    /// The [`Endpoint::name`](crate::config::Endpoint::name) of the endpoint it opens.
    pub endpoint: String,
    /// Where it stands, as `providers.openai.endpoints[1].apiKey`.
    pub path: String,
    /// What it is.
    pub role: SecretRole,
    /// Where its value comes from.
    pub secret: Secret,
}

impl Config {
    /// The secrets of all endpoints.
    pub fn endpoint_secrets(&self) -> impl Iterator<Item = EndpointSecret> {
        let providers = self.providers.iter();
        providers.flat_map(|(name, provider)| written_endpoints(name, provider)).flat_map(|written| {
            let WrittenEndpoint { name, path, config, .. } = written;
            let (aws, gcp) = (config.aws.unwrap_or_default(), config.gcp.unwrap_or_default());
            let secrets = [
                (SecretRole::ApiKey, config.api_key),
                (SecretRole::AwsAccessKeyId, aws.access_key_id),
                (SecretRole::AwsSecretAccessKey, aws.secret_access_key),
                (SecretRole::AwsSessionToken, aws.session_token),
                (SecretRole::GcpServiceAccount, gcp.service_account),
            ];
            secrets.into_iter().filter_map(move |(role, secret)| {
                let path = format!("{path}.{}", role.key());
                Some(EndpointSecret { endpoint: name.clone(), path, role, secret: secret? })
            })
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
            api_version: config.api_version.clone(),
            aws: config.aws.clone(),
            gcp: config.gcp.clone(),
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
