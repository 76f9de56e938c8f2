//! Traces: a span for each request, and one for each attempt, sent by Envoy itself.
//!
//! The attributes are those of OpenTelemetry's conventions for generative AI. The filter leaves their values in filter state
//! as a request goes on, so a span has what was known when it ended: the one of an attempt its own model, the one of the
//! request the last. Envoy knows texts only, so numbers are written as such. Providers are told nothing of the trace.

use std::time::Duration;

use ai_warp_core::config::{Decimal, Gateway, OtlpProtocol, Tracing};
use ai_warp_core::plugin::{SPAN_ATTRIBUTES, SPAN_NAME_PROPERTY, TRACE_HEADER};
use envoy_types::pb::envoy::config::core::v3::{
    GrpcService, HeaderValue, HeaderValueOption, HttpService, HttpUri, grpc_service, http_uri,
};
use envoy_types::pb::envoy::config::trace::v3::tracing::{Http, http};
use envoy_types::pb::envoy::config::trace::v3::OpenTelemetryConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as EnvoyTracing;
use envoy_types::pb::envoy::r#type::tracing::v3::{CustomTag, custom_tag};
use envoy_types::pb::envoy::r#type::v3::Percent;

use super::proto::{any, duration, set_header, set_literal_header, truth};

/// Longest export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Name of the span of a request.
const OPERATION: &str = "ai-warp request";

/// What the connection manager traces, and where to.
pub(super) fn tracing(gateway: &Gateway) -> Option<EnvoyTracing> {
    let tracing = gateway.tracing.as_ref()?;
    let provider = Http {
        name: "envoy.tracers.opentelemetry".to_owned(),
        config_type: Some(http::ConfigType::TypedConfig(any(&exporter(tracing)))),
    };
    Some(EnvoyTracing {
        random_sampling: Some(Percent { value: percent(tracing.sampling) }),
        custom_tags: SPAN_ATTRIBUTES.iter().map(|(name, property)| attribute(name, property)).collect(),
        provider: Some(provider),
        spawn_upstream_span: Some(truth(true)),
        operation: OPERATION.to_owned(),
        upstream_operation: state(SPAN_NAME_PROPERTY),
        no_context_propagation: true,
        ..Default::default()
    })
}

/// Tells the filter, with the request, which span is under way.
pub(super) fn span_header(gateway: &Gateway) -> Option<HeaderValueOption> {
    gateway.is_traced.then(|| set_header(TRACE_HEADER, "00-%TRACE_ID%-%SPAN_ID%-01"))
}

fn state(property: &str) -> String {
    format!("%FILTER_STATE(wasm.{property}:PLAIN)%")
}

fn attribute(name: &str, property: &str) -> CustomTag {
    CustomTag { tag: name.to_owned(), r#type: Some(custom_tag::Type::Value(state(property))) }
}

/// Exact for every percentage that can be written.
fn percent(sampling: Decimal) -> f64 {
    sampling.to_string().parse().unwrap_or(100.0)
}

fn exporter(tracing: &Tracing) -> OpenTelemetryConfig {
    let headers = tracing.headers.iter();
    let config = OpenTelemetryConfig { service_name: tracing.service_name.clone(), ..Default::default() };
    match tracing.protocol {
        OtlpProtocol::Grpc => OpenTelemetryConfig {
            grpc_service: Some(GrpcService {
                timeout: Some(duration(EXPORT_TIMEOUT)),
                initial_metadata: headers
                    .map(|(key, value)| HeaderValue {
                        key: key.clone(),
                        value: value.clone(),
                        ..Default::default()
                    })
                    .collect(),
                target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(grpc_service::EnvoyGrpc {
                    cluster_name: tracing.cluster.clone(),
                    authority: tracing.endpoint.authority(),
                    ..Default::default()
                })),
                ..Default::default()
            }),
            ..config
        },
        OtlpProtocol::Http => OpenTelemetryConfig {
            http_service: Some(HttpService {
                http_uri: Some(HttpUri {
                    uri: tracing.endpoint.to_string(),
                    timeout: Some(duration(EXPORT_TIMEOUT)),
                    http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster(tracing.cluster.clone())),
                }),
                request_headers_to_add: headers
                    .map(|(name, value)| set_literal_header(name, value))
                    .collect(),
                ..Default::default()
            }),
            ..config
        },
    }
}
