//! Signatures for AWS, by Envoy's own filter.
//!
//! It signs what the attempt filter has written: method, path, headers and body, which it buffers for that. So it stands
//! after everything that changes a request, and directly before the codec; nothing in Envoy rewrites host or path behind
//! it.
//!
//! Access keys stand in the configuration of this filter alone. A filter that is written into its cluster goes to Envoy's
//! log at level debug, as it is; so with keys in it, it is a resource of its own (ECDS), as an API key is a secret of its
//! own. Envoy's dumps show neither. The level debug does show session tokens, which are part of what is signed.

use ai_warp_core::config::Endpoint;
use envoy_types::pb::envoy::config::core::v3::ExtensionConfigSource;
use envoy_types::pb::envoy::extensions::common::aws::v3::{AwsCredentialProvider, InlineCredentialProvider};
use envoy_types::pb::envoy::extensions::filters::http::aws_request_signing::v3::AwsRequestSigning;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter::ConfigType,
};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use prost::Name as _;

use super::proto::{extension, from_ads, http_filter, matches, resource};
use super::{Credential, Resource};
use crate::config::AwsKeys;

/// Envoy's name of the filter.
const FILTER: &str = "envoy.filters.http.aws_request_signing";

/// Bedrock's name in a signature, not that in its host name.
const SERVICE: &str = "bedrock";

/// Headers that the codec or a proxy on the way may change. AWS needs only the host and its own `x-amz-` headers signed.
const UNSIGNED: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "te",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-request-id",
];

/// Headers that Envoy and other proxies add, by how they begin.
const UNSIGNED_PREFIXES: [&str; 2] = ["x-envoy-", "x-forwarded-"];

/// The filter in the clusters of `endpoint`: as it is, or as the name of its resource.
pub(super) fn filter(endpoint: &Endpoint, region: &str, keys: Option<&AwsKeys>) -> HttpFilter {
    if keys.is_none() {
        return http_filter(extension(FILTER, &signing(region, None)));
    }
    let source = ExtensionConfigSource {
        config_source: Some(from_ads()),
        type_urls: vec![AwsRequestSigning::type_url()],
        ..Default::default()
    };
    HttpFilter {
        name: resource_name(endpoint),
        config_type: Some(ConfigType::ConfigDiscovery(source)),
        ..Default::default()
    }
}

/// The filter as a resource, where it holds keys.
pub(super) fn filter_with_keys(endpoint: &Endpoint, credential: &Credential) -> Option<Resource> {
    let Credential::Signature { region, keys: Some(keys) } = credential else { return None };
    let name = resource_name(endpoint);
    let filter = extension(&name, &signing(region, Some(keys)));
    Some(resource(name, &filter))
}

/// Name of the resource.
pub(super) fn resource_name(endpoint: &Endpoint) -> String {
    format!("{}/signing", endpoint.cluster)
}

/// Signs for `region`: with `keys`, or else with what Envoy finds in its environment, in the profile file of its user, or as
/// the role of its container or instance.
fn signing(region: &str, keys: Option<&AwsKeys>) -> AwsRequestSigning {
    let exact = UNSIGNED.map(|name| matches(MatchPattern::Exact(name.to_owned())));
    let prefixes = UNSIGNED_PREFIXES.map(|prefix| matches(MatchPattern::Prefix(prefix.to_owned())));
    AwsRequestSigning {
        service_name: SERVICE.to_owned(),
        region: region.to_owned(),
        match_excluded_headers: exact.into_iter().chain(prefixes).collect(),
        credential_provider: keys.map(inline),
        ..Default::default()
    }
}

fn inline(keys: &AwsKeys) -> AwsCredentialProvider {
    let session_token = keys.session_token.as_ref().map(|token| token.expose().to_owned());
    AwsCredentialProvider {
        inline_credential: Some(InlineCredentialProvider {
            access_key_id: keys.access_key_id.expose().to_owned(),
            secret_access_key: keys.secret_access_key.expose().to_owned(),
            session_token: session_token.unwrap_or_default(),
        }),
        ..Default::default()
    }
}
