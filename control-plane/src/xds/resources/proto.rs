//! Small shapes of protobuf that every resource needs.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, HeaderValue, HeaderValueOption, SocketAddress,
    TypedExtensionConfig, address, config_source, header_value_option, socket_address,
};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, header_matcher};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpFilter, http_filter,
};
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher};
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration as ProtoDuration, UInt32Value};
use envoy_types::pb::xds::core::v3::TypedExtensionConfig as XdsExtension;
use prost::{Message, Name};

use super::Resource;
use crate::filter_code::sha256_hex;

pub(super) fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A resource whose version is the hash of its bytes.
pub(super) fn resource<M: Message + Name>(name: impl Into<String>, message: &M) -> Resource {
    let body = any(message);
    Resource {
        name: name.into(),
        version: short_hash(&body.value),
        body,
        needs: Vec::new(),
        needs_dns: false,
    }
}

pub(crate) fn short_hash(bytes: &[u8]) -> String {
    let mut hash = sha256_hex(bytes);
    hash.truncate(16);
    hash
}

pub(super) fn extension<M: Message + Name>(name: &str, message: &M) -> TypedExtensionConfig {
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(any(message)) }
}

/// The same in the namespace that matchers use.
pub(super) fn xds_extension<M: Message + Name>(name: &str, message: &M) -> XdsExtension {
    XdsExtension { name: name.to_owned(), typed_config: Some(any(message)) }
}

pub(super) fn millis(millis: u64) -> ProtoDuration {
    duration(Duration::from_millis(millis))
}

pub(super) fn duration(span: Duration) -> ProtoDuration {
    ProtoDuration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

pub(super) fn number(value: u32) -> UInt32Value {
    UInt32Value { value }
}

pub(super) fn truth(value: bool) -> BoolValue {
    BoolValue { value }
}

pub(super) fn socket(host: &str, port: u16) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(socket_address::PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    }
}

/// An HTTP filter with its configuration in place.
pub(super) fn http_filter(config: TypedExtensionConfig) -> HttpFilter {
    HttpFilter {
        name: config.name,
        config_type: config.typed_config.map(http_filter::ConfigType::TypedConfig),
        ..Default::default()
    }
}

/// The router, which keeps Envoy's own headers to itself.
pub(super) fn router() -> HttpFilter {
    http_filter(extension(
        "envoy.filters.http.router",
        &Router { suppress_envoy_headers: true, ..Default::default() },
    ))
}

/// Sets a header to what somebody has configured, and meant as it is: Envoy would read a `%` as the start of a variable.
pub(super) fn set_literal_header(name: &str, value: &str) -> HeaderValueOption {
    set_header(name, &value.replace('%', "%%"))
}

/// Sets a header, whatever it was.
pub(super) fn set_header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), ..Default::default() }),
        append_action: header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }
}

pub(super) fn matches(pattern: string_matcher::MatchPattern) -> StringMatcher {
    StringMatcher { match_pattern: Some(pattern), ..Default::default() }
}

/// A request header whose value `value` matches.
pub(super) fn header_matches(name: &str, value: string_matcher::MatchPattern) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::StringMatch(matches(value))),
        ..Default::default()
    }
}

/// "Ask on the stream you are on."
pub(super) fn from_ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(config_source::ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    }
}
