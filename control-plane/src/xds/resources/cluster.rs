//! The clusters of the endpoints, with the attempt filter inside; the one to wait in; and the sink.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use ai_warp_core::config::{BaseUrl, DialectName, Endpoint, OtlpProtocol, Service, Tracing};
use ai_warp_core::dialect::dialect;
use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, OutlierDetection, circuit_breakers, cluster as envoy_cluster,
};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::{
    Address, DataSource, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonOptions,
    TransportSocket, data_source, transport_socket,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint as EnvoyEndpoint, LbEndpoint, LocalityLbEndpoints,
    cluster_load_assignment, lb_endpoint,
};
use envoy_types::pb::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily;
use envoy_types::pb::envoy::extensions::clusters::dns::v3::DnsCluster;
use envoy_types::pb::envoy::extensions::filters::http::credential_injector::v3::CredentialInjector;
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3::{
    HeaderMutation as HeaderMutationFilter, Mutations,
};
use envoy_types::pb::envoy::extensions::filters::http::upstream_codec::v3::UpstreamCodec;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::extensions::http::injected_credentials::generic::v3::Generic;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SdsSecretConfig, SubjectAltNameMatcher,
    UpstreamTlsContext, common_tls_context, subject_alt_name_matcher,
};
use envoy_types::pb::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;
use envoy_types::pb::envoy::extensions::upstreams::http::v3::http_protocol_options::{
    AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions,
};
use envoy_types::pb::envoy::extensions::wasm::v3::VmConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::Any;

use super::proto::{
    any, duration, extension, from_ads, http_filter, matches, number, resource, set_literal_header, socket,
};
use super::secret::secret_name;
use super::{Credential, Kind, Resource, hop, signing, wasm};

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

/// Connections that fail in a row before one address of a name is left alone.
const OUTLIER_FAILURES: u32 = 5;

/// How long it is left alone; longer each time.
const OUTLIER_REST: Duration = Duration::from_secs(10);

/// Share of a cluster's addresses, in percent, that may be left alone. Envoy counts the endpoint of last resort among them
/// and does not go beyond the share (`always_eject_one_host` is false unless set): so with less than half, the only address
/// of a name always stays, and of several at least half do.
const OUTLIER_SHARE: u32 = 49;

/// How much healthier a name counts than the share of its addresses that are not left alone, in percent. Envoy sends a part
/// of the requests to the endpoint of last resort once fewer than 72 in 100 are; here it takes fewer than one in ten.
const OVERPROVISIONING: u32 = 1_000;

/// The clusters of one endpoint: straight to it for whole answers, and by way of the hop for streams.
pub(super) fn endpoint(
    dialect: DialectName,
    endpoint: &Endpoint,
    credential: &Credential,
    vm: &VmConfig,
    buffer: u32,
) -> [Resource; 3] {
    let onward = onward_filters(dialect, endpoint, credential);
    let (url, ca_file) = (&endpoint.base_url, endpoint.ca_file.as_deref());
    let straight = to_url(url, ca_file, &endpoint.cluster, [vec![attempt(vm)], onward.clone()].concat());
    let from_hop = to_url(url, ca_file, &endpoint.hop_cluster, onward);
    let needs: Vec<(Kind, String)> = match credential {
        Credential::Signature { keys: Some(_), .. } => vec![(Kind::Signer, signing::resource_name(endpoint))],
        _ if credential.is_header() => vec![(Kind::Secret, secret_name(endpoint))],
        _ => Vec::new(),
    };
    let needs_dns = endpoint.base_url.ip().is_none();
    [
        Resource { needs: needs.clone(), needs_dns, ..finish(straight, buffer) },
        Resource { needs, needs_dns, ..finish(from_hop, buffer) },
        finish(to_hop(&endpoint.stream_cluster, vm), buffer),
    ]
}

/// A cluster that leads to the hop and nowhere by itself. The one in which an exchange waits between two attempts: its attempt
/// filter holds the request for as long as it must, and what the hop answers brings the router back. And the one to who
/// keeps streams, where the attempt filter says to the hop to go on to the control plane.
pub(super) fn hop_alone(name: &str, vm: &VmConfig, buffer: u32) -> Resource {
    finish(to_hop(name, vm), buffer)
}

/// A cluster of a service that Envoy asks for itself; its requests pass `filters`.
pub(super) fn service(name: &str, service: &Service, filters: Vec<HttpFilter>, buffer: u32) -> Resource {
    let (url, ca_file) = (&service.base_url, service.ca_file.as_deref());
    let cluster = to_url(url, ca_file, name, filters.into_iter().chain([codec()]).collect());
    Resource { needs_dns: url.ip().is_none(), ..finish(cluster, buffer) }
}

/// The cluster without endpoints.
pub(super) fn sink() -> Resource {
    let cluster = Cluster { load_assignment: Some(assignment(SINK, Vec::new())), ..named(SINK) };
    resource(SINK, &cluster)
}

/// The cluster that leads to the collector of traces.
pub(super) fn collector(tracing: &Tracing) -> Resource {
    let url = &tracing.endpoint;
    let protocol = match tracing.protocol {
        OtlpProtocol::Grpc => http2(),
        OtlpProtocol::Http if url.tls => by_alpn(),
        OtlpProtocol::Http => plain_text(),
    };
    let cluster = Cluster {
        load_assignment: Some(assignment(&tracing.cluster, vec![locality(0, socket(&url.host, url.port))])),
        typed_extension_protocol_options: protocol_options(protocol, vec![codec()]),
        transport_socket: url.tls.then(|| tls(url, None)),
        ..named(&tracing.cluster)
    };
    let is_name = url.ip().is_none();
    let cluster = if is_name { by_name(cluster) } else { cluster };
    Resource { needs_dns: is_name, ..resource(&tracing.cluster, &cluster) }
}

fn finish(cluster: Cluster, buffer: u32) -> Resource {
    let name = cluster.name.clone();
    let per_connection_buffer_limit_bytes = Some(number(buffer));
    resource(name, &Cluster { per_connection_buffer_limit_bytes, ..cluster })
}

fn attempt(vm: &VmConfig) -> HttpFilter {
    http_filter(wasm::attempt_filter(vm))
}

/// A cluster of attempts that leads to the hop.
fn to_hop(name: &str, vm: &VmConfig) -> Cluster {
    Cluster {
        load_assignment: Some(assignment(name, vec![locality(0, hop::address())])),
        transport_socket: Some(hop::transport()),
        typed_extension_protocol_options: protocol_options(plain_text(), vec![attempt(vm), codec()]),
        ..named(name)
    }
}

fn named(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        // Statistics go by the endpoint, whatever hash its name ends with.
        alt_stat_name: name.split('@').next().unwrap_or(name).to_owned(),
        connect_timeout: Some(duration(CONNECT_TIMEOUT)),
        circuit_breakers: Some(unlimited()),
        ..Default::default()
    }
}

/// A cluster of the addresses of a URL's host.
fn to_url(url: &BaseUrl, ca_file: Option<&Path>, name: &str, filters: Vec<HttpFilter>) -> Cluster {
    let protocol = if url.tls { by_alpn() } else { plain_text() };
    let cluster = Cluster {
        load_assignment: Some(assignment(name, vec![locality(0, socket(&url.host, url.port))])),
        typed_extension_protocol_options: protocol_options(protocol, filters),
        transport_socket: url.tls.then(|| tls(url, ca_file)),
        ..named(name)
    };
    if url.ip().is_some() { cluster } else { by_name(cluster) }
}

/// Makes of the host of `cluster` a name: looked up, with an endpoint of last resort, and with addresses of which each may
/// be left alone by itself.
fn by_name(mut cluster: Cluster) -> Cluster {
    if let Some(assignment) = &mut cluster.load_assignment {
        assignment.endpoints.push(locality(1, socket("127.0.0.1", REFUSING_PORT)));
        assignment.policy = Some(cluster_load_assignment::Policy {
            overprovisioning_factor: Some(number(OVERPROVISIONING)),
            ..Default::default()
        });
    }
    Cluster {
        cluster_discovery_type: Some(by_dns()),
        outlier_detection: Some(outlier_detection()),
        ..cluster
    }
}

fn assignment(cluster: &str, endpoints: Vec<LocalityLbEndpoints>) -> ClusterLoadAssignment {
    ClusterLoadAssignment { cluster_name: cluster.to_owned(), endpoints, ..Default::default() }
}

/// Leaves an address alone to which no connection can be made. What the provider answers does not count: that is for the
/// breaker, which knows models. Resets and timeouts count, but every request that gets a connection begins the count anew.
fn outlier_detection() -> OutlierDetection {
    OutlierDetection {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: Some(number(OUTLIER_FAILURES)),
        enforcing_consecutive_local_origin_failure: Some(number(100)),
        enforcing_local_origin_success_rate: Some(number(0)),
        enforcing_consecutive_5xx: Some(number(0)),
        enforcing_consecutive_gateway_failure: Some(number(0)),
        enforcing_success_rate: Some(number(0)),
        max_ejection_percent: Some(number(OUTLIER_SHARE)),
        base_ejection_time: Some(duration(OUTLIER_REST)),
        ..Default::default()
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

fn locality(priority: u32, address: Address) -> LocalityLbEndpoints {
    let endpoint = EnvoyEndpoint { address: Some(address), ..Default::default() };
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

/// Over TLS both ends agree on a protocol by ALPN.
fn by_alpn() -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::AutoConfig(AutoHttpConfig {
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        http2_protocol_options: Some(Http2ProtocolOptions::default()),
        ..Default::default()
    })
}

/// In plain text nobody could say, so it is HTTP/1.1.
fn plain_text() -> UpstreamProtocolOptions {
    let http1 = ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default());
    UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(http1) })
}

/// gRPC speaks nothing else.
fn http2() -> UpstreamProtocolOptions {
    let http2 = ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default());
    UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(http2) })
}

fn protocol_options(protocol: UpstreamProtocolOptions, filters: Vec<HttpFilter>) -> HashMap<String, Any> {
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

/// What every request to the provider passes, after the attempt: its extra headers, its key or signature, the codec.
fn onward_filters(dialect: DialectName, endpoint: &Endpoint, credential: &Credential) -> Vec<HttpFilter> {
    let mut filters = Vec::new();
    if !endpoint.headers.is_empty() {
        filters.push(http_filter(extension("envoy.filters.http.header_mutation", &extra_headers(endpoint))));
    }
    if credential.is_header() {
        let header = self::dialect(dialect).credential().header;
        filters.push(injected(&secret_name(endpoint), header));
    }
    if let Credential::Signature { region, keys } = credential {
        filters.push(signing::filter(endpoint, region, keys.as_ref()));
    }
    filters.push(codec());
    filters
}

fn codec() -> HttpFilter {
    http_filter(extension("envoy.filters.http.upstream_codec", &UpstreamCodec::default()))
}

fn extra_headers(endpoint: &Endpoint) -> HeaderMutationFilter {
    let set = |(name, value): (&String, &String)| HeaderMutation {
        action: Some(header_mutation::Action::Append(set_literal_header(name, value))),
    };
    HeaderMutationFilter {
        mutations: Some(Mutations {
            request_mutations: endpoint.headers.iter().map(set).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Puts a secret into a header, in place of what is there. The secret that has not come yet must not fail the request here,
/// where no other model is tried; the provider's own 401 does that.
pub(super) fn injected(secret: &str, header: &str) -> HttpFilter {
    let generic = Generic {
        credential: Some(SdsSecretConfig { name: secret.to_owned(), sds_config: Some(from_ads()) }),
        header: header.to_owned(),
        ..Default::default()
    };
    let injector = CredentialInjector {
        overwrite: true,
        allow_request_without_credential: true,
        credential: Some(extension("envoy.http.injected_credentials.generic", &generic)),
    };
    http_filter(extension("envoy.filters.http.credential_injector", &injector))
}

/// TLS with SNI, and the certificate checked against the name in the URL.
fn tls(url: &BaseUrl, ca_file: Option<&Path>) -> TransportSocket {
    let host = &url.host;
    let (san_type, sni) = match url.ip() {
        Some(_) => (subject_alt_name_matcher::SanType::IpAddress, String::new()),
        None => (subject_alt_name_matcher::SanType::Dns, host.clone()),
    };
    let ca_file = ca_file.map_or_else(|| SYSTEM_CA_FILE.into(), Path::to_string_lossy);
    let validation = CertificateValidationContext {
        trusted_ca: Some(DataSource {
            specifier: Some(data_source::Specifier::Filename(ca_file.into_owned())),
            ..Default::default()
        }),
        match_typed_subject_alt_names: vec![SubjectAltNameMatcher {
            san_type: san_type.into(),
            matcher: Some(matches(MatchPattern::Exact(host.clone()))),
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
