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
    /// Tokens of one answer where neither model nor request says how many.
    pub max_tokens: Option<u32>,
    /// Request rate of each model. (default: 200 in 30s)
    pub rate: RateConfig,
    /// Token budget of each model.
    pub tokens: Option<TokensConfig>,
    /// What limits do while the control plane cannot be asked, see [limits](#limits): `allow` goes on with the share of
    /// the last window, `deny` lets nothing through beyond what was granted.
    pub on_unavailable: OnUnavailable,
    /// Longest time of a whole attempt; of a stream, the time to its first content and every gap after it; at most 1d.
    pub request_timeout: TimeWindow,
    /// Retries of the same model.
    pub retry: RetryConfig,
    /// Most upstream requests for one request of a client, over all models, 1 to 100.
    pub max_attempts: u32,
    /// Longest time to a whole answer, or to the first content of a stream, over all attempts; at most 1d.
    pub total_timeout: TimeWindow,
    /// How long a session is remembered after its last turn.
    pub history_expiration: TimeWindow,
    /// Largest request body, in bytes; more is 413.
    pub max_request_bytes: u32,
    /// Largest answer of a provider that the gateway holds, in bytes; more is a failed attempt.
    pub max_response_bytes: u32,
}

/// `limits.retry`: trying the same model again after a server error.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Tries of the same model after a server error, beside the first.
    pub max: u8,
    /// Wait before the first retry; doubles with each further one, plus up to half at random; at most 5m.
    pub interval: TimeWindow,
    /// Longest such wait, before the random part; not below `interval`, which stands in where it is longer than the
    /// default. (default: `30s`)
    pub max_interval: Option<TimeWindow>,
}

/// `models[].limits`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ModelLimitsConfig {
    /// Caps the tokens of one answer.
    pub max_tokens: Option<u32>,
    /// Request rate of this model.
    pub rate: Option<RateConfig>,
    /// Token budget of this model.
    pub tokens: Option<TokensConfig>,
}

/// `clientLimits`: limits of each consumer, told apart by a request header. At least one of the two must be there.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientLimitsConfig {
    /// Name of the header. Requests without it count as one consumer.
    pub header: String,
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
    /// Failures within `breaker.window` after which a model rests, 1 to 1000.
    pub failures: u32,
    /// Time within which failures are counted; at most 1d.
    pub window: TimeWindow,
    /// Longest rest of a model that fails again and again, each rest twice as long as the last; at most 31d.
    pub max_restore: TimeWindow,
}

/// `restore`: rest after a failure of each kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RestoreConfig {
    /// How long a model rests after the provider's rate limit, where the provider does not say; at most 31d, as each of
    /// the others. (default: `1m`)
    pub rate_limit: Option<TimeWindow>,
    /// After a server error that retries did not help. (default: `1m`)
    pub retry: Option<TimeWindow>,
    /// After a timeout. (default: `1m`)
    pub timeout: Option<TimeWindow>,
    /// After a connection failed or an answer was broken. (default: `1m`)
    pub provider_communication_error: Option<TimeWindow>,
    /// After the provider said that a quota is used up. (default: `10m`)
    pub provider_exceeded_error: Option<TimeWindow>,
    /// After the provider refused the key. (default: `1m`)
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
