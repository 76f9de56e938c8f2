//! `limits`, `clientLimits`, `breaker` and `restore`: how much, how long, how often.

use serde::Deserialize;

use crate::config::{OnUnavailable, TimeWindow};

/// A request rate: `max` requests in each `timeWindow`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateConfig {
    /// Requests in one window; 0 lets nothing through.
    pub max: u32,
    /// Length of the window, 100ms to 31d.
    pub time_window: TimeWindow,
}

/// A budget of tokens, read and generated: `max` tokens in each `timeWindow`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokensConfig {
    /// Tokens in one window; 0 lets nothing through.
    pub max: u64,
    /// Length of the window, 100ms to 31d.
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
    /// Token budget of each model (default: none).
    pub tokens: Option<TokensConfig>,
    /// What limits do while the control plane cannot be asked.
    pub on_unavailable: OnUnavailable,
    /// Not streamed: the whole attempt. Streamed: time to the first content, and the longest gap after it.
    pub request_timeout: TimeWindow,
    /// Retries of the same model.
    pub retry: RetryConfig,
    /// Most upstream requests for one request of a client, over all models.
    pub max_attempts: u32,
    /// Longest time to a whole answer, or to the first content of a stream, over all attempts.
    pub total_timeout: TimeWindow,
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
    /// Wait before the first retry; doubles with each further one, plus up to half at random.
    pub interval: TimeWindow,
    /// Longest such wait (default 30s, or `interval` where that is longer).
    pub max_interval: Option<TimeWindow>,
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
    /// Token budget of this model.
    pub tokens: Option<TokensConfig>,
}

/// `clientLimits`: limits of each consumer. At least one of `rate` and `tokens` must be there.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientLimitsConfig {
    /// Name of the request header that tells consumers apart where `auth` does not. Requests without it count as one.
    pub header: Option<String>,
    /// Request rate of each consumer.
    pub rate: Option<RateConfig>,
    /// Token budget of each consumer.
    pub tokens: Option<TokensConfig>,
}

/// `breaker`: when a model is left alone.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures within `window` after which a model rests.
    pub failures: u32,
    /// Time within which failures are counted.
    pub window: TimeWindow,
    /// Longest rest of a model that fails again and again; each rest is twice as long as the last.
    pub max_restore: TimeWindow,
}

/// `restore`: rest after a failure of each kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RestoreConfig {
    /// After the provider's rate limit was reached, where it does not say how long (default 1m).
    pub rate_limit: Option<TimeWindow>,
    /// After all retries failed (default 1m).
    pub retry: Option<TimeWindow>,
    /// After a timeout (default 1m).
    pub timeout: Option<TimeWindow>,
    /// After a connection failed or an answer was broken (default 1m).
    pub provider_communication_error: Option<TimeWindow>,
    /// After the provider said that a quota is used up (default 10m).
    pub provider_exceeded_error: Option<TimeWindow>,
    /// After the provider refused the key (default 1m).
    pub credential: Option<TimeWindow>,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self { max: 200, time_window: TimeWindow::from_secs(30) }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { max: 1, interval: TimeWindow::from_secs(1), max_interval: None }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_tokens: None,
            rate: RateConfig::default(),
            tokens: None,
            on_unavailable: OnUnavailable::Allow,
            request_timeout: TimeWindow::from_secs(30),
            retry: RetryConfig::default(),
            max_attempts: 10,
            total_timeout: TimeWindow::from_secs(120),
            history_expiration: TimeWindow::from_secs(86_400),
            max_request_bytes: 4 << 20,
            max_response_bytes: 8 << 20,
        }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 1, window: TimeWindow::from_secs(60), max_restore: TimeWindow::from_secs(1_800) }
    }
}
