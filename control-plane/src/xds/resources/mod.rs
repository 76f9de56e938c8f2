//! Envoy's resources, built from the compiled configuration.
//!
//! One file per kind of resource. Nothing here talks to anyone: [`build`] is a function from a configuration and the
//! traits of one Envoy to everything that Envoy is told.

mod access_log;
mod auth;
mod cluster;
mod cors;
mod credential;
mod destination;
mod downstream_tls;
mod hop;
mod listener;
pub(crate) mod naming;
mod proto;
mod route;
mod secret;
mod signing;
mod streams;
mod tracing;
mod wasm;

use std::collections::BTreeMap;

use ai_warp_core::config::{Gateway, ServerConfig};
use envoy_types::pb::google::protobuf::Any;

use crate::config::{TlsIdentity, TokenKeys};
use crate::filter_code::FilterCode;

pub(super) use auth::keys_path;
pub use credential::Credential;
pub use destination::{Destination, Place};
pub(crate) use downstream_tls::{CERTIFICATE, CLIENT_CA};
pub use listener::LISTENER;
pub(super) use proto::short_hash;
pub use secret::secret_name;
pub(super) use wasm::{GATEWAY_FILTER, code_path};

/// The kinds of resources, in the order in which a change is pushed: what is referred to comes before what refers to
/// it, so that no request meets a reference to something that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Clusters (CDS).
    Cluster,
    /// API keys and access tokens (SDS).
    Secret,
    /// Filters that sign for AWS (ECDS), which clusters wait for as for secrets.
    Signer,
    /// The listener (LDS).
    Listener,
    /// Routes (RDS).
    Route,
    /// The configuration of the listener's filters (ECDS): with it the gateway starts to use all the others.
    Extension,
}

impl Kind {
    /// All of them, in push order.
    pub const ALL: [Self; 6] =
        [Self::Cluster, Self::Secret, Self::Signer, Self::Listener, Self::Route, Self::Extension];

    /// The type URL on the wire.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Signer | Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// What `/status` calls it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::Secret => "secrets",
            Self::Signer => "signers",
            Self::Listener => "listeners",
            Self::Route => "routes",
            Self::Extension => "filter",
        }
    }

    /// The kinds of a type URL.
    pub fn of(type_url: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| kind.type_url() == type_url)
    }

    /// Whether Envoy asks for all resources of the kind rather than by name.
    pub const fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

/// What differs from one Envoy to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeTraits {
    /// The port its listener binds, where it is not the configuration's.
    pub port: Option<u16>,
    /// The port where it lets in streams that the control plane opens, where it is not the configuration's.
    pub stream_port: Option<u16>,
    /// Where it finds the filter as a file; without one it fetches the code from the control plane.
    pub filter_path: Option<String>,
}

/// Room above the largest body for what Envoy buffers beside it, so that the filter sees, and types, what is too large.
const BUFFER_HEADROOM: usize = 1 << 20;

/// Everything that can be pushed.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The compiled configuration, its clusters named by [`naming::by_content`].
    pub gateway: &'a Gateway,
    /// Where the gateway listens.
    pub server: &'a ServerConfig,
    /// The address at which it lets in streams that the control plane opens.
    pub stream_address: &'a str,
    /// What it serves TLS with; plain text without.
    pub tls: Option<&'a TlsIdentity>,
    /// Where exchanges can be sent: what [`Destination::all`] says, and what earlier configurations had while requests
    /// planned with them may still be under way.
    pub destinations: &'a [Destination],
    /// Clusters that this Envoy has beside those of `destinations`, and that requests may still ask for.
    pub inherited: &'a [String],
    /// The filter's code.
    pub filter: &'a FilterCode,
    /// The keys of tokens, where the control plane has them.
    pub token_keys: Option<&'a TokenKeys>,
}

/// One resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// Hash of its content.
    pub version: String,
    /// The message.
    pub body: Any,
    /// What it refers to and waits for.
    pub needs: Vec<(Kind, String)>,
    /// Whether Envoy must look up a name before it can use it.
    pub needs_dns: bool,
}

/// All resources of one Envoy, each kind sorted by name.
#[derive(Debug, Clone, Default)]
pub struct Resources(BTreeMap<Kind, Vec<Resource>>);

impl Resources {
    /// The resources of a kind.
    pub fn of(&self, kind: Kind) -> &[Resource] {
        self.0.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    fn add(&mut self, kind: Kind, resource: Resource) {
        self.0.entry(kind).or_default().push(resource);
    }
}

/// Bytes Envoy may buffer of one body.
fn buffer_limit(gateway: &Gateway) -> u32 {
    let largest_body = gateway.max_request_bytes.max(gateway.max_response_bytes);
    u32::try_from(largest_body.saturating_add(BUFFER_HEADROOM)).unwrap_or(u32::MAX)
}

/// Builds everything one Envoy is told.
pub fn build(inputs: Inputs<'_>, node: &NodeTraits) -> Resources {
    let Inputs { gateway, server, stream_address, tls, destinations, inherited, filter, token_keys } = inputs;
    let mut resources = Resources::default();
    let code = wasm::code(filter, node);
    let buffer = buffer_limit(gateway);
    for Destination { place, buffer } in destinations {
        match place {
            Place::Endpoint { dialect, endpoint, credential } => {
                for cluster in cluster::endpoint(*dialect, endpoint, credential, &code, *buffer) {
                    resources.add(Kind::Cluster, cluster);
                }
                if let Some(secret) = secret::endpoint(*dialect, endpoint, credential) {
                    resources.add(Kind::Secret, secret);
                }
                if let Some(filter) = signing::filter_with_keys(endpoint, credential) {
                    resources.add(Kind::Signer, filter);
                }
            }
            Place::Collector(tracing) => resources.add(Kind::Cluster, cluster::collector(tracing)),
            Place::Waiting(name) | Place::Streams(name) => {
                resources.add(Kind::Cluster, cluster::hop_alone(name, &code, *buffer));
            }
            Place::Issuer(service) => {
                let name = auth::cluster_name(auth::ISSUER, service);
                resources.add(Kind::Cluster, cluster::service(&name, service, Vec::new(), *buffer));
            }
            Place::Webhook(service) => {
                resources.add(Kind::Cluster, auth::webhook_cluster(service, *buffer));
                auth::webhook_secrets(service).for_each(|secret| resources.add(Kind::Secret, secret));
            }
        }
    }
    resources.add(Kind::Cluster, cluster::sink());
    let port = node.port.unwrap_or(server.port);
    resources.add(Kind::Listener, listener::gateway(gateway, server, port, tls, buffer));
    for secret in tls.map(downstream_tls::secrets).unwrap_or_default() {
        resources.add(Kind::Secret, secret);
    }
    resources.add(Kind::Listener, hop::listener(&code, buffer));
    resources.add(Kind::Route, hop::routes(gateway));
    let mut choices: Vec<&str> = destinations.iter().flat_map(Destination::choices).collect();
    choices.extend(inherited.iter().map(String::as_str));
    choices.sort_unstable();
    choices.dedup();
    resources.add(Kind::Route, route::gateway(gateway, server.cors.as_ref(), &choices));
    for filter in auth::resources(gateway.auth.as_ref(), token_keys) {
        resources.add(Kind::Extension, filter);
    }
    let mut gateway = gateway.clone();
    if let Some(streams) = &mut gateway.streams {
        let port = node.stream_port.unwrap_or(streams.port);
        streams.port = port;
        resources.add(Kind::Listener, streams::listener(&gateway, stream_address, port, buffer));
        resources.add(Kind::Route, streams::routes(&gateway, &choices));
    }
    resources.add(Kind::Extension, wasm::gateway_filter(&gateway, &code));
    for list in resources.0.values_mut() {
        list.sort_by(|a, b| a.name.cmp(&b.name));
    }
    resources
}

#[cfg(test)]
pub(super) mod tests;
