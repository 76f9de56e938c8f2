//! `logging` and `tracing`: what is told of each request, and where to.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{Decimal, OtlpProtocol};

/// `logging`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LoggingConfig {
    /// Whether the gateway writes [a line of JSON](observability.md#the-access-log) for each request.
    pub access: bool,
    /// Whether that line holds prompt and answer.
    pub content: bool,
}

/// `tracing`: OpenTelemetry traces of gateway and control plane.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TracingConfig {
    /// Where spans go.
    pub otlp: OtlpConfig,
    /// Percentage of the requests that are traced where the client has not decided.
    #[serde(default = "default_sampling")]
    pub sampling: Decimal,
    /// `service.name` of the gateway; the control plane's ends with `-control-plane`.
    #[serde(default = "default_service_name")]
    pub service_name: String,
}

/// `tracing.otlp`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtlpConfig {
    /// The collector, such as `http://collector:4317`; with `protocol: http` the path of traces, `/v1/traces`, is added
    /// where there is none.
    pub endpoint: String,
    /// `grpc` or `http` (protobuf, to `/v1/traces` unless the endpoint has a path).
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// Headers of each export; not for secrets, Envoy's config dump shows them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { access: true, content: false }
    }
}

fn default_sampling() -> Decimal {
    Decimal::whole(100)
}

fn default_service_name() -> String {
    "ai-warp".to_owned()
}
