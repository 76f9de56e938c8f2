//! How an Envoy reaches the control plane: where it is, what it asks for, and what happens when one of several is away.

use std::path::PathBuf;

use ai_warp_core::plugin::{CONTROL_PLANE_CLUSTER, SYNC_CLUSTER};
use serde_json::{Value, json};

use super::MAX_CONNECTIONS;
use crate::host_port::HostPort;

/// Name of the secret with the token.
const TOKEN_SECRET: &str = "ai-warp-xds-token";

/// Longest connection to one control plane, before another is asked in its place. They are asked in turn, and none is left
/// alone for having failed: in a rolling upgrade it is back when the next one goes.
const CONNECT_TIMEOUT: &str = "0.5s";

/// Tries of one call beside the first. Every call to the control plane may be made twice: what it does, it does once.
const RETRIES: u32 = 2;

/// How the control plane is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// `HOST:PORT` of the xDS port of each control plane; at least one.
    pub control_planes: Vec<HostPort>,
    /// One of its `xdsTokens`.
    pub token: Option<TokenSource>,
    /// How its TLS is checked; plain text without.
    pub tls: Option<LinkTls>,
}

/// Where Envoy finds the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// In a file as Envoy sees it, which holds the token and nothing else.
    File(PathBuf),
    /// In an environment variable of Envoy.
    Env(String),
}

/// Files as Envoy sees them, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTls {
    /// Authorities that sign for the control plane.
    pub ca: PathBuf,
    /// The name in its certificate.
    pub server_name: String,
    /// What the gateway shows of itself: its certificate and the key of it.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Link {
    /// The two clusters that lead to the control plane.
    pub(super) fn clusters(&self) -> [Value; 2] {
        let keepalive = json!({"connection_keepalive": {"interval": "10s", "timeout": "5s"}});
        [
            self.cluster(CONTROL_PLANE_CLUSTER, json!({"http2_protocol_options": keepalive}), "h2"),
            self.cluster(SYNC_CLUSTER, json!({"http_protocol_options": {}}), "http/1.1"),
        ]
    }

    /// The secrets that the clusters name.
    pub(super) fn secrets(&self) -> Vec<Value> {
        let source = match &self.token {
            None => return Vec::new(),
            Some(TokenSource::File(path)) => json!({"filename": path}),
            Some(TokenSource::Env(name)) => json!({"environment_variable": name}),
        };
        vec![json!({"name": TOKEN_SECRET, "generic_secret": {"secret": source}})]
    }

    fn cluster(&self, name: &str, protocol: Value, alpn: &str) -> Value {
        let is_address = |at: &HostPort| at.host.parse::<std::net::IpAddr>().is_ok();
        let endpoints: Vec<Value> = self
            .control_planes
            .iter()
            .map(|at| json!({"endpoint": {"address": super::socket(at)}}))
            .collect();
        let mut cluster = json!({
            "name": name,
            "type": if self.control_planes.iter().all(is_address) { "STATIC" } else { "STRICT_DNS" },
            "connect_timeout": CONNECT_TIMEOUT,
            "dns_lookup_family": "V4_PREFERRED",
            "circuit_breakers": {"thresholds": [{
                "max_connections": MAX_CONNECTIONS,
                "max_pending_requests": MAX_CONNECTIONS,
                "max_requests": MAX_CONNECTIONS,
                "max_retries": MAX_CONNECTIONS,
            }]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": self.protocol_options(protocol),
            },
        });
        if let (Some(tls), Some(cluster)) = (&self.tls, cluster.as_object_mut()) {
            cluster.insert("transport_socket".to_owned(), tls.transport_socket(alpn));
        }
        cluster
    }

    fn protocol_options(&self, protocol: Value) -> Value {
        let mut options = json!({
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": protocol,
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset",
                "num_retries": RETRIES,
                "retry_host_predicate": [{
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    },
                }],
                "host_selection_retry_max_attempts": 3,
            },
        });
        if let (Some(_), Some(options)) = (&self.token, options.as_object_mut()) {
            options.insert("http_filters".to_owned(), json!([injector(), codec()]));
        }
        options
    }
}

impl LinkTls {
    fn transport_socket(&self, alpn: &str) -> Value {
        let san_type =
            if self.server_name.parse::<std::net::IpAddr>().is_ok() { "IP_ADDRESS" } else { "DNS" };
        let mut context = json!({
            "alpn_protocols": [alpn],
            "validation_context": {
                "trusted_ca": {"filename": self.ca},
                "match_typed_subject_alt_names": [
                    {"san_type": san_type, "matcher": {"exact": self.server_name}},
                ],
            },
        });
        if let (Some((certificate, key)), Some(context)) = (&self.identity, context.as_object_mut()) {
            let certificates =
                json!([{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}]);
            context.insert("tls_certificates".to_owned(), certificates);
        }
        let sni = if san_type == "DNS" { self.server_name.as_str() } else { "" };
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": sni,
                "common_tls_context": context,
            },
        })
    }
}

fn injector() -> Value {
    json!({
        "name": "envoy.filters.http.credential_injector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": true,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": {"name": TOKEN_SECRET},
                    "header": "authorization",
                    "header_value_prefix": "Bearer ",
                },
            },
        },
    })
}

fn codec() -> Value {
    json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        },
    })
}
