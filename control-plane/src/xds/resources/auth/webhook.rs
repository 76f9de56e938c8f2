//! The webhook, asked by Envoy's own filter about requests without a valid token.
//!
//! The filter runs in its shadow mode: what the webhook said is noted and decided upon by the gateway filter, which also knows
//! API keys; whom it named is noted likewise, whatever its status. Requests with a key of our own making are not asked about at all.
//!
//! Envoy would ask with the method and the host of the client's request, and offers no setting for either. But a
//! filter of the webhook's cluster can write both as if they were credentials, which they are not: so they are secrets by
//! their kind alone.

use ai_warp_core::auth::{KEY_HEADERS, KEY_PREFIX};
use ai_warp_core::config::{Auth, Service, Webhook};
use ai_warp_core::plugin::{CONSUMER_HEADER, WEBHOOK_FILTER};
use envoy_types::pb::envoy::config::core::v3::{ApiVersion, HttpUri, http_uri};
use envoy_types::pb::envoy::extensions::common::matching::v3::ExtensionWithMatcher;
use envoy_types::pb::envoy::extensions::filters::common::matcher::action::v3::SkipFilter;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3::{
    AuthorizationResponse, ExtAuthz, HttpService, ext_authz,
};
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::{PathSegment, path_segment};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern as ValuePattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    HttpRequestHeaderMatchInput, ListStringMatcher, MetadataMatcher, StringMatcher, ValueMatcher,
};
use envoy_types::pb::xds::r#type::matcher::v3::matcher::matcher_list::predicate::{
    MatchType, PredicateList, SinglePredicate, single_predicate,
};
use envoy_types::pb::xds::r#type::matcher::v3::matcher::matcher_list::{FieldMatcher, Predicate};
use envoy_types::pb::xds::r#type::matcher::v3::matcher::{MatcherList, MatcherType, OnMatch, on_match};
use envoy_types::pb::xds::r#type::matcher::v3::string_matcher::MatchPattern as XdsPattern;
use envoy_types::pb::xds::r#type::matcher::v3::{Matcher, StringMatcher as XdsStringMatcher};

use super::super::proto::{extension, matches, millis, resource, xds_extension};
use super::super::{Kind, Resource, cluster, secret};
use super::{ACCEPTED, TOKEN_METADATA, WEBHOOK, cluster_name};

/// What the webhook is asked with, whatever the client's request was.
const METHOD: &str = "POST";

/// The filter that asks; `None` where there is no webhook.
pub(super) fn filter(auth: &Auth) -> Option<Resource> {
    let webhook = auth.webhook.as_ref()?;
    let asking = asking(webhook, webhook.service.as_ref()?);
    if auth.keys.is_empty() {
        return Some(resource(WEBHOOK_FILTER, &extension(WEBHOOK_FILTER, &asking)));
    }
    let unless_keyed = ExtensionWithMatcher {
        xds_matcher: Some(skips_keys()),
        extension_config: Some(extension(WEBHOOK_FILTER, &asking)),
        ..Default::default()
    };
    Some(resource(WEBHOOK_FILTER, &extension(WEBHOOK_FILTER, &unless_keyed)))
}

fn asking(webhook: &Webhook, service: &Service) -> ExtAuthz {
    let exactly =
        |name: &str| StringMatcher { ignore_case: true, ..matches(MatchPattern::Exact(name.to_owned())) };
    let token_is_valid = MetadataMatcher {
        filter: TOKEN_METADATA.to_owned(),
        path: vec![PathSegment { segment: Some(path_segment::Segment::Key(ACCEPTED.to_owned())) }],
        value: Some(ValueMatcher { match_pattern: Some(ValuePattern::PresentMatch(true)) }),
        invert: false,
    };
    ExtAuthz {
        transport_api_version: ApiVersion::V3.into(),
        services: Some(ext_authz::Services::HttpService(HttpService {
            server_uri: Some(HttpUri {
                uri: service.url(),
                timeout: Some(millis(webhook.timeout_ms)),
                http_upstream_type: Some(http_uri::HttpUpstreamType::Cluster(cluster_name(WEBHOOK, service))),
            }),
            path_override: service.path.clone(),
            authorization_response: Some(AuthorizationResponse {
                dynamic_metadata_from_headers: Some(ListStringMatcher {
                    patterns: vec![exactly(CONSUMER_HEADER)],
                }),
                ..Default::default()
            }),
            ..Default::default()
        })),
        allowed_headers: Some(ListStringMatcher {
            patterns: webhook.headers.iter().map(|name| exactly(name)).collect(),
        }),
        filter_enabled_metadata: Some(MetadataMatcher { invert: true, ..token_is_valid }),
        shadow_mode: true,
        ..Default::default()
    }
}

/// "Skip the filter where a key of our own making is presented."
fn skips_keys() -> Matcher {
    let begins = |header: &str, prefix: String| Predicate {
        match_type: Some(MatchType::SinglePredicate(SinglePredicate {
            input: Some(xds_extension(
                "request-header",
                &HttpRequestHeaderMatchInput { header_name: header.to_owned() },
            )),
            matcher: Some(single_predicate::Matcher::ValueMatch(XdsStringMatcher {
                ignore_case: true,
                match_pattern: Some(XdsPattern::Prefix(prefix)),
            })),
        })),
    };
    let plain = KEY_HEADERS.map(|header| begins(header, KEY_PREFIX.to_owned()));
    let bearer = begins("authorization", format!("bearer {KEY_PREFIX}"));
    let any = PredicateList { predicate: plain.into_iter().chain([bearer]).collect() };
    let skip = xds_extension("skip", &SkipFilter {});
    Matcher {
        matcher_type: Some(MatcherType::MatcherList(MatcherList {
            matchers: vec![FieldMatcher {
                predicate: Some(Predicate { match_type: Some(MatchType::OrMatcher(any)) }),
                on_match: Some(OnMatch {
                    on_match: Some(on_match::OnMatch::Action(skip)),
                    ..Default::default()
                }),
            }],
        })),
        on_no_match: None,
    }
}

/// What is written into a request to the webhook, each with the name of the secret that holds it.
fn written(service: &Service) -> [(String, &'static str, String); 2] {
    let cluster = cluster_name(WEBHOOK, service);
    [
        (format!("{cluster}/method"), ":method", METHOD.to_owned()),
        (format!("{cluster}/host"), "host", service.base_url.authority()),
    ]
}

/// The secrets of the webhook's cluster.
pub(in super::super) fn secrets(service: &Service) -> impl Iterator<Item = Resource> {
    written(service).into_iter().map(|(name, _, value)| secret::generic(name, value))
}

/// The webhook's cluster.
pub(in super::super) fn cluster(service: &Service, buffer: u32) -> Resource {
    let written = written(service);
    let filters = written.iter().map(|(secret, header, _)| cluster::injected(secret, header)).collect();
    let cluster = cluster::service(&cluster_name(WEBHOOK, service), service, filters, buffer);
    let needs = written.into_iter().map(|(secret, ..)| (Kind::Secret, secret)).collect();
    Resource { needs, ..cluster }
}
