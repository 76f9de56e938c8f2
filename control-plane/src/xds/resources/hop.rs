//! The hop that streams take inside Envoy, so that a stream which breaks off can still be told its end.
//!
//! The module documentation of the filter's `hop` says why. Here are its listener, which takes each request as HTTP/1.0
//! and forwards it to the cluster that a header names, and the address by which clusters reach it.

use std::time::Duration;

use ai_warp_core::config::Gateway;
use ai_warp_core::plugin::{HOP_FAILED_HEADER, HOP_HEADER, RETRY_HEADER, SYNC_CLUSTER, WAITING_PATH};
use envoy_types::pb::envoy::config::accesslog::v3::{AccessLogFilter, ResponseFlagFilter, access_log_filter};
use envoy_types::pb::envoy::config::core::v3::{
    Address, EnvoyInternalAddress, Http1ProtocolOptions, TransportSocket, address, envoy_internal_address,
    transport_socket,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter, listener};
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, HeaderMatcher, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
    header_matcher, route, route_action, route_match,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, LocalReplyConfig, Rds, ResponseMapper, http_connection_manager,
};
use envoy_types::pb::envoy::extensions::transport_sockets::internal_upstream::v3::InternalUpstreamTransport;
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use envoy_types::pb::envoy::extensions::wasm::v3::VmConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

use super::proto::{
    any, duration, from_ads, header_matches, millis, number, resource, router, set_header, truth,
};
use super::{Resource, wasm};

/// Name of the internal listener.
pub(super) const HOP: &str = "ai-warp-hop";

/// How much longer the hop waits than the attempt, whose own timeout leads to the next model and must come first.
const IDLE_SLACK_MS: u64 = 10;

/// How much longer the hop waits for who keeps streams than models may take.
const STREAMS_SLACK_MS: u64 = 3_000;

/// Status of what the hop answers to an exchange that waited. Nobody sees it: the router retries by the header.
const BACK_STATUS: u32 = 503;

/// The address that leads to the hop.
pub(super) fn address() -> Address {
    Address {
        address: Some(address::Address::EnvoyInternalAddress(EnvoyInternalAddress {
            address_name_specifier: Some(envoy_internal_address::AddressNameSpecifier::ServerListenerName(
                HOP.to_owned(),
            )),
            ..Default::default()
        })),
    }
}

/// The transport of connections to the hop: memory.
pub(super) fn transport() -> TransportSocket {
    let raw = TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&RawBuffer {}))),
    };
    let internal = InternalUpstreamTransport { transport_socket: Some(raw), ..Default::default() };
    TransportSocket {
        name: "envoy.transport_sockets.internal_upstream".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(any(&internal))),
    }
}

/// The internal listener.
pub(super) fn listener(vm: &VmConfig, buffer: u32) -> Resource {
    let network_filter = |name: &str, config| Filter {
        name: name.to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(config)),
    };
    let listener = Listener {
        name: HOP.to_owned(),
        listener_specifier: Some(listener::ListenerSpecifier::InternalListener(
            listener::InternalListenerConfig {},
        )),
        per_connection_buffer_limit_bytes: Some(number(buffer)),
        filter_chains: vec![FilterChain {
            filters: vec![
                network_filter("envoy.filters.network.wasm", any(&wasm::hop_filter(vm))),
                network_filter("envoy.filters.network.http_connection_manager", any(&connection_manager())),
            ],
            ..Default::default()
        }],
        ..Default::default()
    };
    resource(HOP, &listener)
}

fn connection_manager() -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: HOP.to_owned(),
        codec_type: http_connection_manager::CodecType::Http1.into(),
        // By RDS: a new timeout must not replace the listener, whose streams may run for long.
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(Rds {
            config_source: Some(from_ads()),
            route_config_name: HOP.to_owned(),
        })),
        http_filters: vec![router()],
        http_protocol_options: Some(Http1ProtocolOptions { accept_http_10: true, ..Default::default() }),
        local_reply_config: Some(LocalReplyConfig {
            mappers: vec![mark_own_replies()],
            ..Default::default()
        }),
        // What ends badly must end now: the attempt is waiting for it.
        delayed_close_timeout: Some(duration(Duration::ZERO)),
        generate_request_id: Some(truth(false)),
        skip_xff_append: true,
        ..Default::default()
    }
}

/// Marks what Envoy answers itself because the provider could not be reached or said nothing: to the attempt it must not
/// look like an answer of the provider.
fn mark_own_replies() -> ResponseMapper {
    let any_flag = access_log_filter::FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter::default());
    ResponseMapper {
        filter: Some(AccessLogFilter { filter_specifier: Some(any_flag) }),
        headers_to_add: vec![set_header(HOP_FAILED_HEADER, "true")],
        ..Default::default()
    }
}

/// The hop's routes: on to the cluster that the attempt names, or back from a wait.
pub(super) fn routes(gateway: &Gateway) -> Resource {
    let routes = RouteConfiguration {
        name: HOP.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: HOP.to_owned(),
            domains: vec!["*".to_owned()],
            routes: [back()]
                .into_iter()
                .chain(gateway.streams.iter().map(|_| to_who_keeps_streams(gateway)))
                .chain([onward(gateway)])
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    resource(HOP, &routes)
}

/// The answer to an exchange that has waited long enough: "come again". It is the gateway's router that retries, since an
/// upstream filter cannot answer by itself without ending the request. Envoy sets no flag on a direct response, so it is
/// not marked as a failure of the hop.
fn back() -> Route {
    let no_hop = HeaderMatcher {
        name: HOP_HEADER.to_owned(),
        header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::PresentMatch(false)),
        ..Default::default()
    };
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(route_match::PathSpecifier::Path(WAITING_PATH.to_owned())),
            headers: vec![no_hop],
            ..Default::default()
        }),
        action: Some(route::Action::DirectResponse(DirectResponseAction {
            status: BACK_STATUS,
            ..Default::default()
        })),
        response_headers_to_add: vec![set_header(RETRY_HEADER, "1")],
        ..Default::default()
    }
}

/// On to the control plane, which says nothing before a model does, or none is left. Once a stream has begun it gives signs
/// of life in far shorter intervals.
fn to_who_keeps_streams(gateway: &Gateway) -> Route {
    let silence_ms = gateway.longest_timeout_ms().saturating_add(STREAMS_SLACK_MS);
    let to_control_plane = header_matches(HOP_HEADER, MatchPattern::Exact(SYNC_CLUSTER.to_owned()));
    onward_within(silence_ms, vec![to_control_plane])
}

fn onward(gateway: &Gateway) -> Route {
    onward_within(gateway.request_timeout_ms.saturating_add(IDLE_SLACK_MS), Vec::new())
}

fn onward_within(silence_ms: u64, headers: Vec<HeaderMatcher>) -> Route {
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(route_match::PathSpecifier::Prefix("/".to_owned())),
            headers,
            ..Default::default()
        }),
        action: Some(route::Action::Route(RouteAction {
            cluster_specifier: Some(route_action::ClusterSpecifier::ClusterHeader(HOP_HEADER.to_owned())),
            timeout: Some(millis(0)),
            idle_timeout: Some(millis(silence_ms)),
            ..Default::default()
        })),
        response_headers_to_remove: vec![HOP_FAILED_HEADER.to_owned()],
        request_headers_to_remove: vec![HOP_HEADER.to_owned(), "x-forwarded-proto".to_owned()],
        ..Default::default()
    }
}
