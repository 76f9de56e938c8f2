//! One cluster for each provider, with the attempt filter inside, and the sink.

use std::collections::HashMap;
use std::time::Duration;

use ai_warp_core::config::{Gateway, Provider};
use ai_warp_core::dialect::dialect;
use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, circuit_breakers, cluster as envoy_cluster,
};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, HeaderValue, HeaderValueOption, Http1ProtocolOptions, Http2ProtocolOptions,
    HttpProtocolOptions as CommonOptions, TransportSocket, data_source, header_value_option,
    transport_socket,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint,
};
use envoy_types::pb::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily;
use envoy_types::pb::envoy::extensions::clusters::dns::v3::DnsCluster;
use envoy_types::pb::envoy::extensions::filters::http::credential_injector::v3::CredentialInjector;
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3::{
    HeaderMutation as HeaderMutationFilter, Mutations,
};
use envoy_types::pb::envoy::extensions::filters::http::upstream_codec::v3::UpstreamCodec;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter,
};
use envoy_types::pb::envoy::extensions::http::injected_credentials::generic::v3::Generic;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SdsSecretConfig, SubjectAltNameMatcher,
    UpstreamTlsContext, common_tls_context, subject_alt_name_matcher,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::{HttpProtocolOptions, http_protocol_options};
use envoy_types::pb::envoy::extensions::wasm::v3::VmConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher};

use super::proto::{any, duration, extension, from_ads, number, resource, socket};
use super::secret::secret_name;
use super::{Resource, wasm};

/// Where the router goes when no plan names a cluster: no endpoint, so it answers 503 at once.
pub(super) const SINK: &str = "ai-warp/none";

/// Longest TCP and TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle connections are closed before providers do: a request that meets their FIN would be a failed attempt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Envoy's circuit breakers must not be what limits a gateway: their defaults (1,024 requests, 3 retries) would.
const UNLIMITED: u32 = 1_000_000;

/// A port of the loopback interface where nothing listens (tcpmux): the endpoint of last resort. Without it a name that
/// does not resolve would be a cluster without hosts, which answers 503 without a retry, and the plan would end there.
const REFUSING_PORT: u16 = 1;

/// Certificate authorities of the system, as Debian and Envoy's images have them.
const SYSTEM_CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Room above the largest answer for what Envoy buffers beside it.
const BUFFER_HEADROOM: usize = 1 << 20;

/// The cluster of one provider.
pub(super) fn provider(provider: &Provider, has_key: bool, gateway: &Gateway, vm: &VmConfig) -> Resource {
    let url = &provider.base_url;
    let is_address = url.ip().is_some();
    let buffer = gateway.max_response_bytes.max(gateway.max_request_bytes) + BUFFER_HEADROOM;
    let mut endpoints = vec![locality(0, &url.host, url.port)];
    if !is_address {
        endpoints.push(locality(1, "127.0.0.1", REFUSING_PORT));
    }
    let cluster = Cluster {
        name: provider.cluster.clone(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        cluster_discovery_type: (!is_address).then(by_dns),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: provider.cluster.clone(),
            endpoints,
            ..Default::default()
        }),
        per_connection_buffer_limit_bytes: Some(number(u32::try_from(buffer).unwrap_or(u32::MAX))),
        circuit_breakers: Some(unlimited()),
        typed_extension_protocol_options: protocol_options(provider, has_key, vm),
        transport_socket: url.tls.then(|| tls(provider)),
        ..Default::default()
    };
    Resource {
        secrets: has_key.then(|| secret_name(provider)).into_iter().collect(),
        needs_dns: !is_address,
        ..resource(provider.cluster.clone(), &cluster)
    }
}

/// Endpoints by name: every address the name has, looked up again as its TTL says.
fn by_dns() -> envoy_cluster::ClusterDiscoveryType {
    let dns = DnsCluster {
        respect_dns_ttl: true,
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        ..Default::default()
    };
    envoy_cluster::ClusterDiscoveryType::ClusterType(envoy_cluster::CustomClusterType {
        name: "envoy.cluster.dns".to_owned(),
        typed_config: Some(any(&dns)),
    })
}

/// The cluster without endpoints.
pub(super) fn sink() -> Resource {
    let cluster = Cluster {
        name: SINK.to_owned(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        load_assignment: Some(ClusterLoadAssignment { cluster_name: SINK.to_owned(), ..Default::default() }),
        ..Default::default()
    };
    resource(SINK, &cluster)
}

fn locality(priority: u32, host: &str, port: u16) -> LocalityLbEndpoints {
    let endpoint = Endpoint { address: Some(socket(host, port)), ..Default::default() };
    LocalityLbEndpoints {
        priority,
        lb_endpoints: vec![LbEndpoint {
            host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn unlimited() -> CircuitBreakers {
    CircuitBreakers {
        thresholds: vec![circuit_breakers::Thresholds {
            max_connections: Some(number(UNLIMITED)),
            max_pending_requests: Some(number(UNLIMITED)),
            max_requests: Some(number(UNLIMITED)),
            max_retries: Some(number(UNLIMITED)),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn protocol_options(
    provider: &Provider,
    has_key: bool,
    vm: &VmConfig,
) -> HashMap<String, envoy_types::pb::google::protobuf::Any> {
    use http_protocol_options::explicit_http_config::ProtocolConfig;
    use http_protocol_options::{AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions};

    // Over TLS both ends agree by ALPN; in plain text nobody could say, so it is HTTP/1.1.
    let protocol = if provider.base_url.tls {
        UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
            http_protocol_options: Some(Http1ProtocolOptions::default()),
            http2_protocol_options: Some(Http2ProtocolOptions::default()),
            ..Default::default()
        })
    } else {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())),
        })
    };
    let mut filters = vec![http_filter(wasm::attempt_filter(vm))];
    if !provider.headers.is_empty() {
        filters.push(http_filter(extension("envoy.filters.http.header_mutation", &extra_headers(provider))));
    }
    if has_key {
        filters.push(http_filter(extension("envoy.filters.http.credential_injector", &injector(provider))));
    }
    filters.push(http_filter(extension("envoy.filters.http.upstream_codec", &UpstreamCodec::default())));
    let options = HttpProtocolOptions {
        common_http_protocol_options: Some(CommonOptions {
            idle_timeout: Some(duration(IDLE_TIMEOUT)),
            ..Default::default()
        }),
        upstream_protocol_options: Some(protocol),
        http_filters: filters,
        ..Default::default()
    };
    HashMap::from([("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(), any(&options))])
}

fn http_filter(config: envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig) -> HttpFilter {
    HttpFilter {
        name: config.name,
        config_type: config.typed_config.map(http_filter::ConfigType::TypedConfig),
        ..Default::default()
    }
}

fn extra_headers(provider: &Provider) -> HeaderMutationFilter {
    let set = |(name, value): (&String, &String)| HeaderMutation {
        action: Some(header_mutation::Action::Append(HeaderValueOption {
            header: Some(HeaderValue { key: name.clone(), value: value.clone(), ..Default::default() }),
            append_action: header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            ..Default::default()
        })),
    };
    HeaderMutationFilter {
        mutations: Some(Mutations {
            request_mutations: provider.headers.iter().map(set).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Puts the key into the provider's header. The secret that has not come yet must not fail the request here, where no
/// other model is tried; the provider's own 401 does that.
fn injector(provider: &Provider) -> CredentialInjector {
    let generic = Generic {
        credential: Some(SdsSecretConfig { name: secret_name(provider), sds_config: Some(from_ads()) }),
        header: dialect(provider.dialect).credential().header.to_owned(),
        ..Default::default()
    };
    CredentialInjector {
        overwrite: true,
        allow_request_without_credential: true,
        credential: Some(extension("envoy.http.injected_credentials.generic", &generic)),
    }
}

/// TLS with SNI, and the certificate checked against the name in the URL.
fn tls(provider: &Provider) -> TransportSocket {
    let host = &provider.base_url.host;
    let (san_type, sni) = match provider.base_url.ip() {
        Some(_) => (subject_alt_name_matcher::SanType::IpAddress, String::new()),
        None => (subject_alt_name_matcher::SanType::Dns, host.clone()),
    };
    let ca_file =
        provider.ca_file.as_ref().map_or_else(|| SYSTEM_CA_FILE.into(), |path| path.to_string_lossy());
    let validation = CertificateValidationContext {
        trusted_ca: Some(DataSource {
            specifier: Some(data_source::Specifier::Filename(ca_file.into_owned())),
            ..Default::default()
        }),
        match_typed_subject_alt_names: vec![SubjectAltNameMatcher {
            san_type: san_type.into(),
            matcher: Some(StringMatcher {
                match_pattern: Some(string_matcher::MatchPattern::Exact(host.clone())),
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    let context = UpstreamTlsContext {
        sni,
        common_tls_context: Some(CommonTlsContext {
            validation_context_type: Some(common_tls_context::ValidationContextType::ValidationContext(
                validation,
            )),
            ..Default::default()
        }),
        ..Default::default()
    };
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&context))),
    }
}
