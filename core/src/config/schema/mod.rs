//! `ai-warp.yaml`, word by word. Unknown keys are errors; every default is a value in `Default` or named beside its type.
//!
//! One file per section of the configuration: shapes and defaults only. What a value may be is for
//! [`compile`](super::compile).

mod auth;
mod console;
mod limits;
mod models;
mod observability;
mod providers;
mod server;
mod storage;
mod streams;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use auth::{
    ApiKeyConfig, AuthConfig, ConsumerConfig, CookieConfig, CookieEntry, JwksConfig, JwksEntry, JwtConfig,
    Names, WebhookConfig,
};
pub use console::ConsoleConfig;
pub use limits::{
    BreakerConfig, ClientLimitsConfig, LimitsConfig, ModelLimitsConfig, RateConfig, RestoreConfig,
    RetryConfig, TokensConfig,
};
use models::text_or_map;
pub use models::{
    ModelConfig, ModelEntry, PriceConfig, RouteConfig, RouteLimitsConfig, RouteMatchConfig, RouteModelConfig,
    RouteModelEntry,
};
pub use observability::{LoggingConfig, OtlpConfig, TracingConfig};
pub use providers::{AwsConfig, EndpointConfig, EndpointSecret, GcpConfig, ProviderConfig, SecretRole};
pub(super) use providers::{WrittenEndpoint, written_endpoints};
pub use server::{ControlPlaneConfig, CorsConfig, ServerConfig, TlsConfig};
pub use storage::{MemoryConfig, StorageConfig, StorageType, ValkeyConfig};
pub use streams::StreamsConfig;

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
    /// The page for people at `/console` of the control plane; see [the console](console.md).
    #[serde(default)]
    pub console: ConsoleConfig,
    /// Upstream APIs by name. Those that bear the name of a dialect know theirs, and most of them their base URL.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// The models in the order in which they are tried.
    pub models: Vec<ModelEntry>,
    /// Named chains of models. Requests that name none take the one called `default`: all of `models`, unless it is here.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// Limits that hold for every model which sets none of its own.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// Who may call; see [who may call](#who-may-call).
    pub auth: Option<AuthConfig>,
    /// Limits of each consumer; see [limits of consumers](#limits-of-consumers).
    pub client_limits: Option<ClientLimitsConfig>,
    /// When a model is left alone.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// How long a model rests after a failure of each kind.
    #[serde(default)]
    pub restore: RestoreConfig,
    /// Where sessions are kept.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Streams that survive their clients; see [streams that can be resumed](#streams-that-can-be-resumed).
    #[serde(default)]
    pub streams: StreamsConfig,
    /// What is written of each request.
    #[serde(default)]
    pub logging: LoggingConfig,
    /// [Traces](observability.md#traces) of gateway and control plane, by OpenTelemetry; a change replaces the
    /// listener.
    pub tracing: Option<TracingConfig>,
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

impl Config {
    /// The address at which gateways let in streams that the control plane opens.
    pub fn stream_address(&self) -> &str {
        let default = if self.control_plane.is_loopback() { "127.0.0.1" } else { "0.0.0.0" };
        self.streams.hostname.as_deref().unwrap_or(default)
    }
}
