//! The configuration: what a person writes ([`Config`]) and what it means ([`Gateway`]).
//!
//! Two types on purpose. [`Config`] mirrors `ai-warp.yaml` word by word and knows nothing but shapes.
//! [`Gateway`] is compiled from it: names resolved, defaults filled in, URLs taken apart. It is what the
//! control plane builds Envoy's resources from and, serialised as JSON, what the filter runs on. It holds no
//! secret: keys stay in [`Config`] as [`Secret`] references and reach Envoy by SDS alone.

mod auth;
mod base_url;
mod compile;
mod decimal;
mod dialect_name;
mod gateway;
mod price;
mod schema;
mod secret;
mod time_window;
mod tracing;

pub use auth::{Allowed, Auth, ConsumerRules, JwksSource, JwtRules, KeyHash, KeyHashError, Service, Webhook};
pub use base_url::{BaseUrl, BaseUrlError};
pub use compile::{Problem, compile};
pub use decimal::Decimal;
pub use dialect_name::DialectName;
pub use gateway::{
    Access, Breaker, ClientLimits, Endpoint, Gateway, Limit, Logging, Model, OnUnavailable, Paths, Provider,
    Restore, Retry, Route, RouteLimits, RouteModel, RouteOptions, Storage, Strategy, Streams,
};
pub use price::{PICOS_PER_MICRO, Price};
pub use schema::{
    ApiKeyConfig, AuthConfig, AwsConfig, BreakerConfig, ClientLimitsConfig, Config, ConsoleConfig,
    ConsumerConfig, ControlPlaneConfig, CookieConfig, CookieEntry, CorsConfig, EndpointConfig,
    EndpointSecret, GcpConfig, JwksConfig, JwksEntry, JwtConfig, LimitsConfig, LoggingConfig, MemoryConfig,
    ModelConfig, ModelEntry, ModelLimitsConfig, Names, OtlpConfig, PriceConfig, ProviderConfig, RateConfig,
    RestoreConfig, RetryConfig, RouteConfig, RouteLimitsConfig, RouteMatchConfig, RouteModelConfig,
    RouteModelEntry, SecretRole, ServerConfig, StorageConfig, StorageType, StreamsConfig, TlsConfig,
    TokensConfig, TracingConfig, ValkeyConfig, WebhookConfig,
};
pub use secret::{Secret, SecretError};
pub use time_window::TimeWindow;
pub use tracing::{OtlpProtocol, Tracing};
