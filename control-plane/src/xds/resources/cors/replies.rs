//! Local replies that the CORS filter does not see.
//!
//! What the gateway's filter answers in place of a provider's response, Envoy sends past all filters, and without these headers a
//! page would see a broken connection and no reason. Envoy's mappers of local replies can add them; but the request's headers
//! have been written anew for the provider by then. So the page's origin is noted in time, if it is one that is allowed.

use ai_warp_core::config::{CorsConfig, Gateway};
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLogFilter, AndFilter, MetadataFilter};
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::Config;
use envoy_types::pb::envoy::extensions::filters::http::header_to_metadata::v3::config::{KeyValuePair, Rule};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, ResponseMapper,
};
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::{PathSegment, path_segment::Segment};
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{
    MetadataMatcher, RegexMatchAndSubstitute, RegexMatcher, ValueMatcher,
};

use super::super::proto::{extension, http_filter, set_header, truth};
use super::exposed_headers;

/// Name of the filter that notes the origin.
const FILTER: &str = "envoy.filters.http.header_to_metadata";

/// Where it is noted.
const NAMESPACE: &str = "ai_warp.cors";
const KEY: &str = "origin";

/// Notes the origin of a request, if its pages are allowed.
pub(super) fn remember(cors: &CorsConfig) -> HttpFilter {
    let rewrite = RegexMatchAndSubstitute {
        pattern: Some(RegexMatcher { regex: allowed(&cors.origins), ..Default::default() }),
        substitution: r"\1".to_owned(),
    };
    let note = KeyValuePair {
        metadata_namespace: NAMESPACE.to_owned(),
        key: KEY.to_owned(),
        regex_value_rewrite: Some(rewrite),
        ..Default::default()
    };
    let rule = Rule { header: KEY.to_owned(), on_header_present: Some(note), ..Default::default() };
    http_filter(extension(FILTER, &Config { request_rules: vec![rule], ..Default::default() }))
}

/// `mappers` of local replies, for pages and for others.
pub(in super::super) fn with_pages(
    mappers: Vec<ResponseMapper>,
    gateway: &Gateway,
    cors: &CorsConfig,
) -> Vec<ResponseMapper> {
    let mut headers = vec![
        set_header("access-control-allow-origin", &format!("%DYNAMIC_METADATA({NAMESPACE}:{KEY})%")),
        set_header("access-control-expose-headers", &exposed_headers(gateway)),
    ];
    if cors.credentials {
        headers.push(set_header("access-control-allow-credentials", "true"));
    }
    // The first that matches counts, and no other.
    let of_pages = mappers.iter().map(|mapper| ResponseMapper {
        filter: Some(condition(FilterSpecifier::AndFilter(AndFilter {
            filters: mapper.filter.iter().cloned().chain([is_noted()]).collect(),
        }))),
        headers_to_add: headers.clone(),
        ..mapper.clone()
    });
    let mut all: Vec<ResponseMapper> = of_pages.collect();
    all.extend(mappers);
    all.push(ResponseMapper { filter: Some(is_noted()), headers_to_add: headers, ..Default::default() });
    all
}

fn is_noted() -> AccessLogFilter {
    let matcher = MetadataMatcher {
        filter: NAMESPACE.to_owned(),
        path: vec![PathSegment { segment: Some(Segment::Key(KEY.to_owned())) }],
        value: Some(ValueMatcher { match_pattern: Some(MatchPattern::PresentMatch(true)) }),
        ..Default::default()
    };
    condition(FilterSpecifier::MetadataFilter(MetadataFilter {
        matcher: Some(matcher),
        match_if_key_not_found: Some(truth(false)),
    }))
}

fn condition(specifier: FilterSpecifier) -> AccessLogFilter {
    AccessLogFilter { filter_specifier: Some(specifier) }
}

/// Matches every value, and captures it if it is one of `origins`.
fn allowed(origins: &[String]) -> String {
    let patterns: Vec<String> = origins.iter().map(|origin| pattern(origin)).collect();
    format!("^(?:({})|.*)$", patterns.join("|"))
}

fn pattern(origin: &str) -> String {
    if origin == "*" {
        return ".+".to_owned();
    }
    let escaped =
        origin.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") });
    escaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_captured() {
        let origins = ["https://app.example:8443".to_owned(), "null".to_owned()];
        assert_eq!(allowed(&origins), r"^(?:(https\:\/\/app\.example\:8443|null)|.*)$");
        assert_eq!(allowed(&["*".to_owned()]), "^(?:(.+)|.*)$");
    }
}
