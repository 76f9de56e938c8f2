//! The configuration: what a person writes ([`Config`]) and what it means ([`Gateway`]).
//!
//! Two types on purpose. [`Config`] mirrors `ai-warp.yaml` word by word and knows nothing but shapes.
//! [`Gateway`] is compiled from it: names resolved, defaults filled in, URLs taken apart. It is what the
//! control plane builds Envoy's resources from and, serialised as JSON, what the filter runs on. It holds no
//! secret: keys stay in [`Config`] as [`Secret`] references and reach Envoy by SDS alone.

mod base_url;
mod compile;
mod dialect_name;
mod gateway;
mod schema;
mod secret;
mod time_window;

pub use base_url::{BaseUrl, BaseUrlError};
pub use compile::{Problem, compile};
pub use dialect_name::DialectName;
pub use gateway::{
    Access, Breaker, ClientLimits, Endpoint, Gateway, Limit, Model, OnUnavailable, Paths, Provider, Restore,
    Retry, Route, RouteLimits, RouteModel, RouteOptions, Storage, Strategy,
};
pub use schema::{
    AwsConfig, BreakerConfig, ClientLimitsConfig, Config, ControlPlaneConfig, CorsConfig, EndpointConfig,
    EndpointSecret, GcpConfig, LimitsConfig, MemoryConfig, ModelConfig, ModelEntry, ModelLimitsConfig,
    ProviderConfig, RateConfig, RestoreConfig, RetryConfig, RouteConfig, RouteLimitsConfig, RouteMatchConfig,
    RouteModelConfig, RouteModelEntry, SecretRole, ServerConfig, StorageConfig, StorageType, TlsConfig,
    TokensConfig, ValkeyConfig,
};
pub use secret::{Secret, SecretError};
pub use time_window::TimeWindow;
