//! The routes: what asks models to the plan, sessions to the control plane, the list of models and everything else answered
//! by Envoy itself.

mod models;

use std::collections::HashMap;
use std::time::Duration;

use ai_warp_core::api::{ERROR_FORMATS, Format, errors};
use ai_warp_core::config::{CorsConfig, Gateway};
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::plugin::{CLUSTER_FILTER_STATE, RETRY_HEADER, SYNC_CLUSTER};
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::envoy::config::route::v3::{
    ClusterSpecifierPlugin, DirectResponseAction, FilterConfig, HeaderMatcher, RetryPolicy, Route,
    RouteAction, RouteConfiguration, RouteMatch, VirtualHost, header_matcher, retry_policy, route,
    route_action, route_match,
};
use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3::FilterStateInput;
use envoy_types::pb::envoy::extensions::router::cluster_specifiers::matcher::v3::{
    ClusterAction, MatcherClusterSpecifier,
};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::{Any, UInt64Value};
use envoy_types::pb::xds::r#type::matcher::v3::{Matcher, matcher};
use prost::Message as _;

use super::cluster::SINK;
use super::proto::{
    any, duration, extension, header_matches, millis, number, resource, set_header, short_hash, xds_extension,
};
use super::wasm::GATEWAY_FILTER;
use super::{Resource, cors, tracing};

/// Name of the route configuration.
pub(super) const ROUTES: &str = "gateway";

/// The format of errors at paths that belong to no other.
const UNIFIED: Format = Format::Unified { stream: false };

/// Where sessions are read and deleted.
pub(super) const SESSIONS_PREFIX: &str = "/api/v1/sessions";

/// Longest wait for the sessions API.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// Wait before the router comes back: as good as none. Exchanges that must wait do so in the waiting cluster.
const ROUTER_WAIT: Duration = Duration::from_millis(1);

/// How often the router may come back for each attempt: for itself, and by way of the waiting cluster, which it may find
/// changed, or reach because an attempt ended without a word.
const RETURNS_PER_ATTEMPT: u32 = 4;

/// And beside them: to be told that nothing is left, and for waits that belong to no attempt.
const RETURNS_BESIDE: u32 = 16;

/// The routes, with `clusters` to choose from.
pub(super) fn gateway(gateway: &Gateway, cors: Option<&CorsConfig>, clusters: &[&str]) -> Resource {
    let without_clusters = configuration(gateway, cors, &[]);
    // A map is encoded in no particular order, so the hash is taken of what it is built from.
    let fingerprint = format!("{}{clusters:?}", short_hash(&without_clusters.encode_to_vec()));
    Resource {
        version: short_hash(fingerprint.as_bytes()),
        ..resource(ROUTES, &configuration(gateway, cors, clusters))
    }
}

fn configuration(gateway: &Gateway, cors: Option<&CorsConfig>, clusters: &[&str]) -> RouteConfiguration {
    let mut routes: Vec<Route> = cors.map(|_| preflight_route()).into_iter().collect();
    for (path, format) in Format::paths(gateway) {
        let exact = route_match::PathSpecifier::Path(path.to_owned());
        routes.push(prompt_route(exact.clone(), gateway, clusters));
        routes.push(refusal(exact, format, &method_not_allowed("POST"), Some("POST")));
    }
    routes.extend(models::routes(gateway));
    if gateway.shared {
        routes.extend(["GET", "DELETE"].map(sessions_route));
        let sessions = route_match::PathSpecifier::PathSeparatedPrefix(SESSIONS_PREFIX.to_owned());
        routes.push(refusal(sessions, UNIFIED, &method_not_allowed("GET or DELETE"), Some("GET, DELETE")));
    }
    let nothing = nothing();
    for (prefix, format) in ERROR_FORMATS {
        let below = route_match::PathSpecifier::PathSeparatedPrefix(prefix.to_owned());
        routes.push(refusal(below, format, &nothing, None));
    }
    routes.push(nothing_here());
    let answered_here =
        routes.iter_mut().filter(|route| matches!(route.action, Some(route::Action::DirectResponse(_))));
    for route in answered_here {
        route.response_headers_to_add.extend(cors.into_iter().flat_map(cors::headers_of_direct_responses));
    }
    if gateway.auth.is_some() {
        // Whatever is asked for, the filter decides whether to whom.
        routes.iter_mut().for_each(|route| _ = route.typed_per_filter_config.remove(GATEWAY_FILTER));
    }
    let largest_body = u64::from(super::buffer_limit(gateway));
    RouteConfiguration {
        name: ROUTES.to_owned(),
        max_direct_response_body_size_bytes: Some(number(models::LARGEST_LIST)),
        virtual_hosts: vec![VirtualHost {
            name: ROUTES.to_owned(),
            domains: vec!["*".to_owned()],
            routes,
            // The router keeps the client's body for every attempt.
            request_body_buffer_limit: Some(UInt64Value { value: largest_body }),
            response_headers_to_remove: vec![RETRY_HEADER.to_owned()],
            typed_per_filter_config: cors.map(|cors| cors::policy(gateway, cors)).unwrap_or_default(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn matching(path: route_match::PathSpecifier, method: Option<&str>) -> RouteMatch {
    let method = method.map(|method| header_matches(":method", MatchPattern::Exact(method.to_owned())));
    RouteMatch { path_specifier: Some(path), headers: method.into_iter().collect(), ..Default::default() }
}

pub(super) fn prompt_route(path: route_match::PathSpecifier, gateway: &Gateway, clusters: &[&str]) -> Route {
    let specifier = extension("envoy.router.cluster_specifier_plugin.matcher", &cluster_specifier(clusters));
    Route {
        r#match: Some(matching(path, Some("POST"))),
        request_headers_to_add: tracing::span_header(gateway).into_iter().collect(),
        action: Some(route::Action::Route(RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::InlineClusterSpecifierPlugin(
                ClusterSpecifierPlugin { extension: Some(specifier), is_optional: false },
            )),
            // What bounds an exchange are its attempts: each has a timeout, and their number is the plan's.
            timeout: Some(millis(0)),
            retry_policy: Some(retry_policy(gateway)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// The filter alone says what is retried; Envoy does the retrying, each time asking anew which cluster is meant.
fn retry_policy(gateway: &Gateway) -> RetryPolicy {
    RetryPolicy {
        retry_on: "retriable-headers,reset,connect-failure".to_owned(),
        retriable_headers: vec![HeaderMatcher {
            name: RETRY_HEADER.to_owned(),
            header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
            ..Default::default()
        }],
        // The exchange counts its attempts. This only bounds what the router does should the two disagree.
        num_retries: Some(number(most_returns(gateway))),
        // The gap between the pieces of a stream is the hop's to watch: a timeout here would reset the client.
        per_try_timeout: Some(millis(gateway.request_timeout_ms)),
        refresh_cluster_on_retry: true,
        retry_back_off: Some(retry_policy::RetryBackOff {
            base_interval: Some(duration(ROUTER_WAIT)),
            max_interval: Some(duration(ROUTER_WAIT)),
        }),
        ..Default::default()
    }
}

/// How often the router may come back to choose a cluster for one request.
fn most_returns(gateway: &Gateway) -> u32 {
    let of_attempts = gateway.most_attempts().saturating_mul(RETURNS_PER_ATTEMPT);
    // The timeout of a try holds for waits as well: a longer one is continued by the next try.
    let of_waits = gateway.longest_timeout_ms().div_ceil(gateway.request_timeout_ms.max(1));
    of_attempts.saturating_add(RETURNS_BESIDE).saturating_add(u32::try_from(of_waits).unwrap_or(u32::MAX))
}

/// "The cluster that the filter state names."
fn cluster_specifier(clusters: &[&str]) -> MatcherClusterSpecifier {
    let choose = |cluster: &str| matcher::OnMatch {
        on_match: Some(matcher::on_match::OnMatch::Action(xds_extension(
            "cluster",
            &ClusterAction { cluster: cluster.to_owned() },
        ))),
        ..Default::default()
    };
    let map = clusters.iter().map(|cluster| ((*cluster).to_owned(), choose(cluster))).collect();
    let tree = matcher::MatcherTree {
        input: Some(xds_extension(
            "filter-state",
            &FilterStateInput { key: CLUSTER_FILTER_STATE.to_owned(), ..Default::default() },
        )),
        tree_type: Some(matcher::matcher_tree::TreeType::ExactMatchMap(matcher::matcher_tree::MatchMap {
            map,
        })),
    };
    MatcherClusterSpecifier {
        cluster_matcher: Some(Matcher {
            matcher_type: Some(matcher::MatcherType::MatcherTree(tree)),
            on_no_match: Some(Box::new(choose(SINK))),
        }),
    }
}

fn sessions_route(method: &str) -> Route {
    let path = route_match::PathSpecifier::PathSeparatedPrefix(SESSIONS_PREFIX.to_owned());
    Route {
        r#match: Some(matching(path, Some(method))),
        action: Some(route::Action::Route(RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(SYNC_CLUSTER.to_owned())),
            // By this name the control plane knows that it is Envoy who asks.
            host_rewrite_specifier: Some(route_action::HostRewriteSpecifier::HostRewriteLiteral(
                SYNC_CLUSTER.to_owned(),
            )),
            timeout: Some(duration(SESSIONS_TIMEOUT)),
            ..Default::default()
        })),
        typed_per_filter_config: without_filter(),
        ..Default::default()
    }
}

/// Preflights of browsers: the CORS filter answers them, but not on routes that Envoy answers by itself.
fn preflight_route() -> Route {
    let mut r#match = matching(route_match::PathSpecifier::Prefix("/".to_owned()), Some("OPTIONS"));
    r#match.headers.push(HeaderMatcher {
        name: "access-control-request-method".to_owned(),
        header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
        ..Default::default()
    });
    Route {
        r#match: Some(r#match),
        action: Some(route::Action::Route(RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(SINK.to_owned())),
            ..Default::default()
        })),
        typed_per_filter_config: without_filter(),
        ..Default::default()
    }
}

fn method_not_allowed(allowed: &str) -> GatewayError {
    GatewayError::new(ErrorCode::MethodNotAllowed, format!("this path takes {allowed} only"))
}

fn nothing() -> GatewayError {
    GatewayError::new(ErrorCode::NotFound, "there is nothing at this path")
}

/// The answer at all paths that are nobody's.
pub(super) fn nothing_here() -> Route {
    refusal(route_match::PathSpecifier::Prefix("/".to_owned()), UNIFIED, &nothing(), None)
}

fn refusal(
    path: route_match::PathSpecifier,
    format: Format,
    error: &GatewayError,
    allow: Option<&str>,
) -> Route {
    let mut route = direct(matching(path, None), error.code.status(), errors::body(format, error));
    route.response_headers_to_add.extend(allow.map(|methods| set_header("allow", methods)));
    route
}

/// A route that Envoy answers by itself, with JSON.
fn direct(r#match: RouteMatch, status: u16, body: Vec<u8>) -> Route {
    Route {
        r#match: Some(r#match),
        action: Some(route::Action::DirectResponse(DirectResponseAction {
            status: status.into(),
            body: Some(DataSource {
                specifier: Some(data_source::Specifier::InlineBytes(body)),
                ..Default::default()
            }),
            ..Default::default()
        })),
        response_headers_to_add: vec![set_header("content-type", "application/json")],
        typed_per_filter_config: without_filter(),
        ..Default::default()
    }
}

fn without_filter() -> HashMap<String, Any> {
    let off = FilterConfig { disabled: true, ..Default::default() };
    HashMap::from([(GATEWAY_FILTER.to_owned(), any(&off))])
}
