//! `ai-warp.yaml`, word by word. Unknown keys are errors; every default is a named value below.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Secret, TimeWindow};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Where the gateway listens.
    #[serde(default)]
    pub server: ServerConfig,
    /// Where the control plane listens.
    #[serde(default)]
    pub control_plane: ControlPlaneConfig,
    /// Upstream APIs by name. `openai`, `deepseek` and `gemini` know their dialect and base URL.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// The models in the order in which they are tried.
    pub models: Vec<ModelEntry>,
    /// Limits that hold for every model which sets none of its own.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// How long a model rests after a failure of each kind.
    #[serde(default)]
    pub restore: RestoreConfig,
    /// Where sessions are kept.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Path of the prompt endpoint.
    #[serde(default = "default_prompt_path")]
    pub prompt_path: String,
    /// Path of the streaming endpoint.
    #[serde(default = "default_stream_path")]
    pub stream_path: String,
    /// Name of the header that carries the session id.
    #[serde(default = "default_session_header")]
    pub header_session_id_name: String,
}

/// `server`: the gateway's listener.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address the gateway binds to.
    pub hostname: String,
    /// Port the gateway binds to.
    pub port: u16,
    /// Port of Envoy's admin interface.
    pub admin_port: u16,
}

/// `controlPlane`: the control plane's listeners.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControlPlaneConfig {
    /// Address both ports bind to.
    pub hostname: String,
    /// Port of the sessions API, `/status` and `/ready`.
    pub port: u16,
    /// Port of xDS and sync, for gateways only.
    pub xds_port: u16,
}

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

/// `providers.<name>`: one upstream API.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Wire format; may be left out for `openai`, `deepseek` and `gemini`.
    pub dialect: Option<DialectName>,
    /// Base URL; may be left out for `openai`, `deepseek` and `gemini`.
    pub base_url: Option<String>,
    /// API key.
    pub api_key: Option<Secret>,
    /// Headers added to every request to this provider.
    pub headers: BTreeMap<String, String>,
    /// Certificate authorities (PEM file, read by Envoy) for a provider with a certificate of its own. Default: the system's.
    pub ca_file: Option<PathBuf>,
}

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
}

/// `models[].limits`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ModelLimitsConfig {
    /// Most tokens this model may generate for one prompt.
    pub max_tokens: Option<u32>,
    /// Request rate of this model.
    pub rate: Option<RateConfig>,
}

/// A request rate: `max` requests in each `timeWindow`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateConfig {
    /// Requests in one window.
    pub max: u32,
    /// Length of the window.
    pub time_window: TimeWindow,
}

/// `limits`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Tokens generated where neither model nor request says how many.
    pub max_tokens: Option<u32>,
    /// Request rate of each model.
    pub rate: RateConfig,
    /// Not streamed: the whole attempt. Streamed: time to the first content, and the longest gap after it.
    pub request_timeout: TimeWindow,
    /// Retries of the same model.
    pub retry: RetryConfig,
    /// How long a session is remembered after its last turn.
    pub history_expiration: TimeWindow,
    /// Largest request body, in bytes.
    pub max_request_bytes: u32,
    /// Largest answer of a provider that the gateway holds, in bytes.
    pub max_response_bytes: u32,
}

/// `limits.retry`: trying the same model again after a server error.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Retries after the first attempt.
    pub max: u8,
    /// Wait before each retry, rounded up to whole seconds.
    pub interval: TimeWindow,
}

/// `restore`: rest after a failure of each kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RestoreConfig {
    /// After the gateway's own rate limit was reached (default 1m).
    pub rate_limit: Option<TimeWindow>,
    /// After all retries failed (default 1m).
    pub retry: Option<TimeWindow>,
    /// After a timeout (default 1m).
    pub timeout: Option<TimeWindow>,
    /// After a connection failed or an answer was broken (default 1m).
    pub provider_communication_error: Option<TimeWindow>,
    /// After the provider said that a quota is used up (default 10m).
    pub provider_exceeded_error: Option<TimeWindow>,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// Nowhere: no sessions, and nothing is committed.
    None,
    /// In the control plane's memory, bounded, until it restarts.
    Memory,
    /// In Valkey (or Redis).
    Valkey,
}

/// `storage`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Which store.
    #[serde(rename = "type")]
    pub kind: StorageType,
    /// Longest wait of an answer for its turn to be stored.
    pub commit_timeout: TimeWindow,
    /// Turns kept of one session; the oldest go first.
    pub max_turns_per_session: u32,
    /// Bounds of the memory store.
    pub memory: MemoryConfig,
    /// How to reach Valkey.
    pub valkey: ValkeyConfig,
}

/// `storage.memory`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Sessions kept; the least recently used go first.
    pub max_sessions: u32,
    /// Bytes of prompts and answers kept; the least recently used sessions go first.
    pub max_bytes: u64,
}

/// `storage.valkey`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ValkeyConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name (ACL).
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Number of the database; 0 in a cluster.
    pub database: u8,
    /// Whether to use TLS.
    pub tls: bool,
    /// Whether the server is a cluster.
    pub cluster: bool,
}

/// Default of `promptPath`.
const DEFAULT_PROMPT_PATH: &str = "/api/v1/prompt";
/// Default of `streamPath`.
const DEFAULT_STREAM_PATH: &str = "/api/v1/stream";
/// Default of `headerSessionIdName`.
const DEFAULT_SESSION_HEADER: &str = "x-session-id";

fn default_prompt_path() -> String {
    DEFAULT_PROMPT_PATH.to_owned()
}

fn default_stream_path() -> String {
    DEFAULT_STREAM_PATH.to_owned()
}

fn default_session_header() -> String {
    DEFAULT_SESSION_HEADER.to_owned()
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { hostname: "127.0.0.1".to_owned(), port: 3042, admin_port: 9901 }
    }
}

impl Default for ControlPlaneConfig {
    fn default() -> Self {
        Self { hostname: "127.0.0.1".to_owned(), port: 18_000, xds_port: 18_001 }
    }
}

impl Default for RateConfig {
    fn default() -> Self {
        Self { max: 200, time_window: TimeWindow::from_secs(30) }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { max: 1, interval: TimeWindow::from_secs(1) }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_tokens: None,
            rate: RateConfig::default(),
            request_timeout: TimeWindow::from_secs(30),
            retry: RetryConfig::default(),
            history_expiration: TimeWindow::from_secs(86_400),
            max_request_bytes: 4 << 20,
            max_response_bytes: 8 << 20,
        }
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            kind: StorageType::Memory,
            commit_timeout: TimeWindow::from_millis(250),
            max_turns_per_session: 1_000,
            memory: MemoryConfig::default(),
            valkey: ValkeyConfig::default(),
        }
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { max_sessions: 10_000, max_bytes: 256 << 20 }
    }
}

impl Default for ValkeyConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            username: None,
            password: None,
            database: 0,
            tls: false,
            cluster: false,
        }
    }
}

/// By hand, because serde's untagged enums answer a typo with "did not match any variant".
impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;

        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = ModelEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a model: \"provider:model\" or {provider, model}")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ModelEntry, E> {
                Ok(ModelEntry::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelEntry, A::Error> {
                ModelConfig::deserialize(MapAccessDeserializer::new(map)).map(ModelEntry::Detailed)
            }
        }

        deserializer.deserialize_any(EntryVisitor)
    }
}
