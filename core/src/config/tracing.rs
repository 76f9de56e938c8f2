//! Traces, compiled: where they go, and how many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BaseUrl, Decimal};

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP, in protobuf.
    Http,
}

/// Where traces go. Not for the filter, which is only told that there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// The collector; with HTTP its path is the one that spans are posted to.
    pub endpoint: BaseUrl,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Headers of each export, in lower case.
    pub headers: BTreeMap<String, String>,
    /// Percentage of the requests that are traced where the client has not decided, at most 100.
    pub sampling: Decimal,
    /// `service.name` of the gateway.
    pub service_name: String,
    /// Name of the Envoy cluster that leads to the collector, completed as those of the providers.
    pub cluster: String,
}
