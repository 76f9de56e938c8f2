//! Pages of other origins: Envoy's CORS filter, which answers preflights before anybody is asked for a credential.

mod replies;

use std::collections::HashMap;

use ai_warp_core::config::{CorsConfig, Gateway};
use ai_warp_core::plugin::{ATTEMPTS_HEADER, DROPPED_HEADER, MODEL_HEADER, STORED_HEADER};
use ai_warp_core::relay::STREAM_HEADER;
use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::extensions::filters::http::cors::v3::{Cors, CorsPolicy};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use envoy_types::pb::google::protobuf::Any;

use super::proto::{any, extension, http_filter, matches, set_header, truth};

pub(super) use self::replies::with_pages;

/// Name of the filter.
const FILTER: &str = "envoy.filters.http.cors";

/// What the gateway's paths take.
const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// Request headers that a page may set, beside that of the session: those of clients and of the official SDKs.
const REQUEST_HEADERS: &str = "authorization, content-type, accept, x-api-key, api-key, anthropic-version, anthropic-beta, \
                               anthropic-dangerous-direct-browser-access, openai-organization, openai-project, openai-beta, \
                               last-event-id, x-ai-warp-resume, traceparent, x-stainless-arch, x-stainless-async, x-stainless-helper-method, \
                               x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-poll-helper, \
                               x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout";

/// The filter, and the one that remembers the page for local replies.
pub(super) fn filters(cors: &CorsConfig) -> [HttpFilter; 2] {
    [http_filter(extension(FILTER, &Cors {})), replies::remember(cors)]
}

/// What it goes by, for the virtual host.
pub(super) fn policy(gateway: &Gateway, cors: &CorsConfig) -> HashMap<String, Any> {
    let session = &gateway.session_header;
    let policy = CorsPolicy {
        allow_origin_string_match: cors.origins.iter().map(|origin| origin_matcher(origin)).collect(),
        allow_methods: METHODS.to_owned(),
        allow_headers: format!("{REQUEST_HEADERS}, {session}"),
        expose_headers: exposed_headers(gateway),
        max_age: (cors.max_age.millis() / 1_000).to_string(),
        allow_credentials: Some(truth(cors.credentials)),
        // Nobody else here would know what to do with them.
        forward_not_matching_preflights: Some(truth(false)),
        ..Default::default()
    };
    HashMap::from([(FILTER.to_owned(), any(&policy))])
}

/// Response headers that a page may read.
fn exposed_headers(gateway: &Gateway) -> String {
    let exposed = [
        gateway.session_header.as_str(),
        MODEL_HEADER,
        ATTEMPTS_HEADER,
        DROPPED_HEADER,
        STORED_HEADER,
        STREAM_HEADER,
        "retry-after",
        "x-request-id",
    ];
    exposed.join(", ")
}

/// What the filter would add to responses that Envoy gives by itself, where it does not act. It could tell origins apart; a
/// header that is always the same can name but one.
pub(super) fn headers_of_direct_responses(cors: &CorsConfig) -> Vec<HeaderValueOption> {
    let [origin] = cors.origins.as_slice() else { return Vec::new() };
    let mut headers = vec![set_header("access-control-allow-origin", origin)];
    if cors.credentials {
        headers.push(set_header("access-control-allow-credentials", "true"));
    }
    headers
}

fn origin_matcher(origin: &str) -> StringMatcher {
    match origin {
        "*" => {
            matches(MatchPattern::SafeRegex(RegexMatcher { regex: ".*".to_owned(), ..Default::default() }))
        }
        _ => matches(MatchPattern::Exact(origin.to_owned())),
    }
}
