//! The gateway's listener.

use std::time::Duration;

use ai_warp_core::config::{Gateway, ServerConfig};
use ai_warp_core::error::{ErrorCode, GatewayError};
use ai_warp_core::plugin::OWN_HEADERS;
use ai_warp_core::relay::{NOTED_RESUME_HEADER, RESUME_HEADER};
use envoy_types::pb::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLogFilter, AndFilter, ComparisonFilter, HeaderFilter, ResponseFlagFilter, StatusCodeFilter,
    comparison_filter,
};
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, Http1ProtocolOptions, RuntimeUInt32, SubstitutionFormatString, data_source,
    substitution_format_string,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, LocalReplyConfig, Rds, ResponseMapper, http_connection_manager,
};
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation as EarlyMutation;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;

use super::proto::{
    any, duration, extension, from_ads, header_matches, matches, number, resource, router, set_header,
    socket, truth,
};
use super::route::{ROUTES, SESSIONS_PREFIX};
use super::{Resource, access_log, auth, cors, downstream_tls, tracing, wasm};
use crate::config::TlsIdentity;

/// Name of the listener.
pub const LISTENER: &str = "gateway";

/// How the names of the headers begin that Envoy takes as orders.
const ENVOYS_HEADERS: &str = "x-envoy-";

/// Longest time for a client to send its request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time for a client to send its request headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time in which a request neither sends nor gets a byte. The last resort: attempts have timeouts of their own,
/// and a plan may be long.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(3_600);

/// The listener of `server`, at `port`.
pub(super) fn gateway(
    gateway: &Gateway,
    server: &ServerConfig,
    port: u16,
    tls: Option<&TlsIdentity>,
    buffer: u32,
) -> Resource {
    let listener = Listener {
        name: LISTENER.to_owned(),
        address: Some(socket(&server.hostname, port)),
        per_connection_buffer_limit_bytes: Some(number(buffer)),
        filter_chains: vec![FilterChain {
            filters: vec![Filter {
                name: "envoy.filters.network.http_connection_manager".to_owned(),
                config_type: Some(filter::ConfigType::TypedConfig(any(&connection_manager(gateway, server)))),
            }],
            transport_socket: tls.map(downstream_tls::transport),
            ..Default::default()
        }],
        ..Default::default()
    };
    resource(LISTENER, &listener)
}

fn connection_manager(gateway: &Gateway, server: &ServerConfig) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: LISTENER.to_owned(),
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(Rds {
            config_source: Some(from_ads()),
            route_config_name: ROUTES.to_owned(),
        })),
        http_filters: server
            .cors
            .iter()
            .flat_map(cors::filters)
            .chain(auth::filters())
            .chain([wasm::gateway_from_ads(), router()])
            .collect(),
        // Some proxies speak nothing newer to what is behind them.
        http_protocol_options: Some(Http1ProtocolOptions { accept_http_10: true, ..Default::default() }),
        request_timeout: Some(duration(REQUEST_TIMEOUT)),
        request_headers_timeout: Some(duration(HEADERS_TIMEOUT)),
        stream_idle_timeout: Some(duration(LONGEST_SILENCE)),
        use_remote_address: Some(truth(true)),
        early_header_mutation_extensions: vec![extension(
            "envoy.http.early_header_mutation.header_mutation",
            &remove_own_headers(gateway.streams.is_some()),
        )],
        access_log: access_log::loggers(gateway),
        tracing: tracing::tracing(gateway),
        local_reply_config: Some(LocalReplyConfig {
            mappers: match &server.cors {
                Some(cors) => cors::with_pages(typed_replies(), gateway, cors),
                None => typed_replies(),
            },
            ..Default::default()
        }),
        normalize_path: Some(truth(true)),
        merge_slashes: true,
        server_name: "ai-warp".to_owned(),
        ..Default::default()
    }
}

/// Removes what only a proxy may say: with Envoy's own headers a client could change retries and timeouts. Envoy would
/// remove them itself for strangers, but takes clients of private networks for friends. What a client may say is noted first.
fn remove_own_headers(may_resume: bool) -> EarlyMutation {
    let removal = |prefix: &str| HeaderMutation {
        action: Some(header_mutation::Action::RemoveOnMatch(header_mutation::RemoveOnMatch {
            key_matcher: Some(StringMatcher {
                ignore_case: true,
                ..matches(MatchPattern::Prefix(prefix.to_owned()))
            }),
        })),
    };
    let noted = set_header(NOTED_RESUME_HEADER, &format!("%REQ({RESUME_HEADER})%"));
    let note = HeaderMutation { action: Some(header_mutation::Action::Append(noted)) };
    let notes = may_resume.then_some(note);
    let mutations = notes.into_iter().chain([OWN_HEADERS, ENVOYS_HEADERS].map(removal)).collect();
    EarlyMutation { mutations }
}

/// Envoy's own answers to what never reaches the filter, in the shape of all other errors. Answers of the filter pass
/// here as well and must not match.
fn typed_replies() -> Vec<ResponseMapper> {
    let of_sessions = header_matches(":path", MatchPattern::Prefix(SESSIONS_PREFIX.to_owned()));
    let sessions_away = FilterSpecifier::AndFilter(AndFilter {
        filters: vec![
            AccessLogFilter {
                filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter::default())),
            },
            AccessLogFilter {
                filter_specifier: Some(FilterSpecifier::HeaderFilter(HeaderFilter {
                    header: Some(of_sessions),
                })),
            },
        ],
    });
    let away = GatewayError::new(ErrorCode::HistoryGetError, "the sessions cannot be reached");
    let slow = GatewayError::new(ErrorCode::OptionError, "the request was not sent in time");
    let headers = GatewayError::new(ErrorCode::RequestTooLarge, "the request headers are too large");
    vec![mapper(sessions_away, &away), mapper(status_is(408), &slow), mapper(status_is(431), &headers)]
}

fn status_is(status: u32) -> FilterSpecifier {
    let value = Some(RuntimeUInt32 { default_value: status, runtime_key: "ai_warp.unused".to_owned() });
    let comparison = ComparisonFilter { op: comparison_filter::Op::Eq.into(), value };
    FilterSpecifier::StatusCodeFilter(StatusCodeFilter { comparison: Some(comparison) })
}

/// The error's body; the status stays Envoy's.
fn mapper(filter: FilterSpecifier, error: &GatewayError) -> ResponseMapper {
    let body = DataSource {
        specifier: Some(data_source::Specifier::InlineBytes(error.body())),
        ..Default::default()
    };
    let format = SubstitutionFormatString {
        format: Some(substitution_format_string::Format::TextFormatSource(body)),
        content_type: "application/json".to_owned(),
        ..Default::default()
    };
    ResponseMapper {
        filter: Some(AccessLogFilter { filter_specifier: Some(filter) }),
        body_format_override: Some(format),
        ..Default::default()
    }
}
