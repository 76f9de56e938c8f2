//! The gateway's listener.

use std::time::Duration;

use ai_warp_core::config::Gateway;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::ExtensionConfigSource;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager, http_filter,
};
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation as EarlyMutation;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher};

use super::proto::{any, duration, extension, from_ads, number, resource, socket, truth};
use super::route::ROUTES;
use super::{Resource, wasm};

/// Name of the listener.
pub const LISTENER: &str = "gateway";

/// Longest time for a client to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time for a client to send its request headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// The listener at `hostname:port`.
pub(super) fn gateway(hostname: &str, port: u16, gateway: &Gateway, buffer: u32) -> Resource {
    let listener = Listener {
        name: LISTENER.to_owned(),
        address: Some(socket(hostname, port)),
        per_connection_buffer_limit_bytes: Some(number(buffer)),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "envoy.filters.network.http_connection_manager".to_owned(),
                config_type: Some(filter::ConfigType::TypedConfig(any(&connection_manager(gateway)))),
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    resource(LISTENER, &listener)
}

fn connection_manager(gateway: &Gateway) -> HttpConnectionManager {
    let gateway_filter = HttpFilter {
        name: wasm::GATEWAY_FILTER.to_owned(),
        config_type: Some(http_filter::ConfigType::ConfigDiscovery(ExtensionConfigSource {
            config_source: Some(from_ads()),
            type_urls: vec!["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm".to_owned()],
            ..Default::default()
        })),
        ..Default::default()
    };
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router {
            suppress_envoy_headers: true,
            ..Default::default()
        }))),
        ..Default::default()
    };
    // An answer is held for as long as an attempt may take; after that Envoy's idle timeout is the last resort.
    let idle_ms = gateway.request_timeout_ms.saturating_mul(2).max(300_000);
    HttpConnectionManager {
        stat_prefix: LISTENER.to_owned(),
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(Rds {
            config_source: Some(from_ads()),
            route_config_name: ROUTES.to_owned(),
        })),
        http_filters: vec![gateway_filter, router],
        request_timeout: Some(duration(REQUEST_TIMEOUT)),
        request_headers_timeout: Some(duration(HEADERS_TIMEOUT)),
        stream_idle_timeout: Some(super::proto::millis(idle_ms)),
        // Every client is a stranger: Envoy then removes the x-envoy-* headers that would change retries and timeouts.
        use_remote_address: Some(truth(true)),
        internal_address_config: Some(http_connection_manager::InternalAddressConfig::default()),
        early_header_mutation_extensions: vec![extension(
            "envoy.http.early_header_mutation.header_mutation",
            &remove_own_headers(),
        )],
        normalize_path: Some(truth(true)),
        merge_slashes: true,
        server_name: "ai-warp".to_owned(),
        ..Default::default()
    }
}

/// Removes what only the gateway may say.
fn remove_own_headers() -> EarlyMutation {
    let own = StringMatcher {
        match_pattern: Some(string_matcher::MatchPattern::Prefix("x-ai-warp-".to_owned())),
        ignore_case: true,
    };
    EarlyMutation {
        mutations: vec![HeaderMutation {
            action: Some(header_mutation::Action::RemoveOnMatch(header_mutation::RemoveOnMatch {
                key_matcher: Some(own),
            })),
        }],
    }
}
