//! Tokens, checked by Envoy's own filter: signature, times and audience. What else is asked of them is for the gateway filter,
//! which gets the payload in a header of its own.

use std::collections::HashMap;
use std::time::Duration;

use ai_warp_core::config::{JwksSource, JwtRules};
use ai_warp_core::plugin::{SYNC_CLUSTER, TOKEN_FILTER, TOKEN_HEADER};
use envoy_types::pb::envoy::config::core::v3::{HttpUri, http_uri};
use envoy_types::pb::envoy::config::route::v3::{RouteMatch, route_match};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::jwt_provider::JwksSourceSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::jwt_requirement::RequiresType;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::requirement_rule::RequirementType;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{
    JwksAsyncFetch, JwtAuthentication, JwtHeader, JwtProvider, JwtRequirement, JwtRequirementOrList,
    RemoteJwks, RequirementRule,
};

use super::super::Resource;
use super::super::proto::{duration, extension, millis, resource};
use super::{ACCEPTED, ISSUER, REFUSED, cluster_name};
use crate::config::TokenKeys;

/// Name of the one provider.
const PROVIDER: &str = "ai-warp";

/// Longest wait for keys.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the control plane's keys are good: their path changes with them.
const OWN_KEYS_CACHE: Duration = Duration::from_secs(3_600);

/// The path at which the control plane serves the keys with this [id](TokenKeys::id). Other keys have another one.
pub(crate) fn keys_path(id: &str) -> String {
    format!("/auth/v1/jwks/{id}")
}

/// The filter for tokens.
pub(super) fn filter(rules: &JwtRules, keys: Option<&TokenKeys>) -> Resource {
    let provider = JwtProvider {
        audiences: rules.audiences.clone(),
        from_headers: vec![JwtHeader {
            name: "authorization".to_owned(),
            value_prefix: "Bearer ".to_owned(),
        }],
        from_cookies: rules.cookie.iter().cloned().collect(),
        // The webhook and the gateway see the request as it came.
        forward: true,
        forward_payload_header: TOKEN_HEADER.to_owned(),
        payload_in_metadata: ACCEPTED.to_owned(),
        failed_status_in_metadata: REFUSED.to_owned(),
        jwks_source_specifier: Some(JwksSourceSpecifier::RemoteJwks(remote_keys(rules, keys))),
        ..Default::default()
    };
    let requires = |kind| JwtRequirement { requires_type: Some(kind) };
    // The first token that is valid counts; one that is not is the gateway filter's to refuse.
    let requirements = vec![
        requires(RequiresType::ProviderName(PROVIDER.to_owned())),
        requires(RequiresType::AllowMissingOrFailed(Default::default())),
    ];
    let everywhere = RouteMatch {
        path_specifier: Some(route_match::PathSpecifier::Prefix("/".to_owned())),
        ..Default::default()
    };
    let rule = RequirementRule {
        r#match: Some(everywhere),
        requirement_type: Some(RequirementType::Requires(requires(RequiresType::RequiresAny(
            JwtRequirementOrList { requirements },
        )))),
    };
    let filter = JwtAuthentication {
        providers: HashMap::from([(PROVIDER.to_owned(), provider)]),
        rules: vec![rule],
        ..Default::default()
    };
    resource(TOKEN_FILTER, &extension(TOKEN_FILTER, &filter))
}

/// Keys are fetched before they are needed, and those at hand stay in use while no others can be had.
fn remote_keys(rules: &JwtRules, keys: Option<&TokenKeys>) -> RemoteJwks {
    let (uri, cluster, cache) = match &rules.keys {
        JwksSource::Issuer { service, cache_ms } => {
            (service.url(), cluster_name(ISSUER, service), millis(*cache_ms))
        }
        JwksSource::ControlPlane => {
            let path = keys.map(|keys| keys_path(&keys.id())).unwrap_or_default();
            (format!("http://{SYNC_CLUSTER}{path}"), SYNC_CLUSTER.to_owned(), duration(OWN_KEYS_CACHE))
        }
    };
    RemoteJwks {
        http_uri: Some(HttpUri {
            uri,
            timeout: Some(duration(KEYS_TIMEOUT)),
            http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster(cluster)),
        }),
        cache_duration: Some(cache),
        async_fetch: Some(JwksAsyncFetch::default()),
        ..Default::default()
    }
}
