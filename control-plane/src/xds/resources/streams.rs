//! Where the control plane opens the streams that it keeps: a listener of its own, with the gateway's filter and nothing else.
//!
//! Whoever the client is was found out at the gateway's listener; what comes here says it under that Envoy's seal, and the
//! filter refuses what comes without. So there is neither TLS nor any other check: the port is for one peer, in the network
//! of the mesh.

use ai_warp_core::api::Format;
use ai_warp_core::config::Gateway;
use ai_warp_core::plugin::RETRY_HEADER;
use ai_warp_core::relay::STREAMS_PREFIX;
use envoy_types::pb::envoy::config::core::v3::Http1ProtocolOptions;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost, route_match};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds, http_connection_manager,
};
use envoy_types::pb::google::protobuf::UInt64Value;
use prost::Message as _;

use super::listener::{LONGEST_SILENCE, REQUEST_TIMEOUT};
use super::proto::{any, duration, from_ads, number, resource, router, short_hash, socket};
use super::{Resource, access_log, route, tracing, wasm};

/// Name of the listener and of its routes.
const STREAMS: &str = "ai-warp-streams";

/// The listener.
pub(super) fn listener(gateway: &Gateway, address: &str, port: u16, buffer: u32) -> Resource {
    let listener = Listener {
        name: STREAMS.to_owned(),
        address: Some(socket(address, port)),
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
    resource(STREAMS, &listener)
}

fn connection_manager(gateway: &Gateway) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: STREAMS.to_owned(),
        codec_type: http_connection_manager::CodecType::Http1.into(),
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(Rds {
            config_source: Some(from_ads()),
            route_config_name: STREAMS.to_owned(),
        })),
        http_filters: vec![wasm::gateway_from_ads(), router()],
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        request_timeout: Some(duration(REQUEST_TIMEOUT)),
        stream_idle_timeout: Some(duration(LONGEST_SILENCE)),
        // The request is the client's, and has its id.
        preserve_external_request_id: true,
        skip_xff_append: true,
        access_log: access_log::loggers(gateway),
        tracing: tracing::tracing(gateway),
        ..Default::default()
    }
}

/// Its routes: each path of the gateway's listener at which models are asked, behind the prefix.
pub(super) fn routes(gateway: &Gateway, clusters: &[&str]) -> Resource {
    let without_clusters = configuration(gateway, &[]);
    // A map is encoded in no particular order, so the hash is taken of what it is built from.
    let fingerprint = format!("{}{clusters:?}", short_hash(&without_clusters.encode_to_vec()));
    Resource {
        version: short_hash(fingerprint.as_bytes()),
        ..resource(STREAMS, &configuration(gateway, clusters))
    }
}

fn configuration(gateway: &Gateway, clusters: &[&str]) -> RouteConfiguration {
    let route = |(path, _): (&str, Format)| {
        let path = route_match::PathSpecifier::Path(format!("{STREAMS_PREFIX}{path}"));
        route::prompt_route(path, gateway, clusters)
    };
    RouteConfiguration {
        name: STREAMS.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: STREAMS.to_owned(),
            domains: vec!["*".to_owned()],
            routes: Format::paths(gateway).into_iter().map(route).chain([route::nothing_here()]).collect(),
            request_body_buffer_limit: Some(UInt64Value { value: super::buffer_limit(gateway).into() }),
            response_headers_to_remove: vec![RETRY_HEADER.to_owned()],
            ..Default::default()
        }],
        ..Default::default()
    }
}
