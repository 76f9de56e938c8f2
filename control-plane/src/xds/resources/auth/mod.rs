//! Who may call, as far as Envoy finds it out: two filters before the gateway's own.
//!
//! One checks tokens, one asks the webhook; both only note what they found, and the gateway filter decides
//! (`ai_warp_core::auth`). They are always in the listener and always resources of their own: so a change is in force at
//! once, on connections that are open as well, and the listener never changes for it. Where there is nothing to do, a filter
//! without rules stands in.

mod jwt;
mod webhook;

use ai_warp_core::config::{Auth, JwksSource, Service};
use ai_warp_core::plugin::{TOKEN_FILTER, WEBHOOK_FILTER};
use envoy_types::pb::envoy::config::core::v3::ExtensionConfigSource;
use envoy_types::pb::envoy::extensions::common::matching::v3::ExtensionWithMatcher;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::ExtAuthz;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter::ConfigType,
};
use prost::Name as _;

use super::proto::{extension, from_ads, resource, short_hash};
use super::{Destination, Place, Resource};
use crate::config::TokenKeys;

pub(crate) use jwt::keys_path;
pub(super) use webhook::{cluster as webhook_cluster, secrets as webhook_secrets};

/// Where Envoy's filter for tokens leaves what it found: [`ACCEPTED`] or [`REFUSED`].
const TOKEN_METADATA: &str = "envoy.filters.http.jwt_authn";

/// The payload of a valid token.
const ACCEPTED: &str = "accepted";

/// Why there is none; the gateway filter reads it by this name.
const REFUSED: &str = "refused";

/// Bytes Envoy may buffer of an answer of a service: key sets and the webhook's answers are small.
const SERVICE_BUFFER: u32 = 1 << 20;

/// Characters of the hash in a cluster's name.
const MARK_DIGITS: usize = 8;

/// The filters as the listener names them, in their order.
pub(super) fn filters() -> Vec<HttpFilter> {
    let types = vec![JwtAuthentication::type_url(), ExtAuthz::type_url(), ExtensionWithMatcher::type_url()];
    let filter = |name: &str| HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::ConfigDiscovery(ExtensionConfigSource {
            config_source: Some(from_ads()),
            type_urls: types.clone(),
            ..Default::default()
        })),
        ..Default::default()
    };
    vec![filter(TOKEN_FILTER), filter(WEBHOOK_FILTER)]
}

/// The filters themselves.
pub(super) fn resources(auth: Option<&Auth>, keys: Option<&TokenKeys>) -> [Resource; 2] {
    let idle = |name: &str| resource(name, &extension(name, &JwtAuthentication::default()));
    let jwt = auth.and_then(|auth| Some(jwt::filter(auth.jwt.as_ref()?, keys)));
    let webhook = auth.and_then(webhook::filter);
    [jwt.unwrap_or_else(|| idle(TOKEN_FILTER)), webhook.unwrap_or_else(|| idle(WEBHOOK_FILTER))]
}

/// The services that are asked.
pub(super) fn destinations(auth: &Auth) -> Vec<Destination> {
    let keys = auth.jwt.as_ref().and_then(|jwt| match &jwt.keys {
        JwksSource::Issuer { service, .. } => Some(Place::Issuer(service.clone())),
        JwksSource::ControlPlane => None,
    });
    let webhook = auth.webhook.as_ref().and_then(|webhook| webhook.service.clone()).map(Place::Webhook);
    [keys, webhook].into_iter().flatten().map(|place| Destination { place, buffer: SERVICE_BUFFER }).collect()
}

/// The name of the cluster of a service, which ends with a hash of what the cluster is made of.
pub(super) fn cluster_name(kind: &str, service: &Service) -> String {
    let mut mark = short_hash(format!("{}{:?}", service.base_url.authority(), service.ca_file).as_bytes());
    mark.truncate(MARK_DIGITS);
    let scheme = if service.base_url.tls { "" } else { "-plain" };
    format!("auth/{kind}{scheme}@{mark}")
}

/// What [`cluster_name`] calls an issuer of tokens.
pub(super) const ISSUER: &str = "issuer";

/// What [`cluster_name`] calls the webhook.
pub(super) const WEBHOOK: &str = "webhook";

#[cfg(test)]
mod tests;
