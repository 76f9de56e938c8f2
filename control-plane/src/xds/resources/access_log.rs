//! The access log: one line of JSON a request on Envoy's standard output.
//!
//! What the filter knows of a request it leaves in filter state, as members of a JSON object that it has escaped; around
//! them stands only what no client can choose. A request that the filter never saw, such as one to an unknown path, has no
//! such state, and Envoy's own JSON format, which escapes, tells of it. By then it has the client's headers, where a request
//! that was tried has those of its last attempt.

use std::collections::BTreeMap;

use ai_warp_core::config::Gateway;
use ai_warp_core::plugin::LOG_FILTER_STATE;
use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ExtensionFilter, access_log, access_log_filter, extension_filter,
};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, SubstitutionFormatString, data_source, substitution_format_string,
};
use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3::ExpressionFilter;
use envoy_types::pb::envoy::extensions::access_loggers::stream::v3::{StdoutAccessLog, stdout_access_log};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Any, Value};
use prost::{Message, Name};

use super::proto::any;

/// A member of the line: name, operator of Envoy, and whether it gives a number.
type Member = (&'static str, &'static str, bool);

/// What Envoy knows of every request.
const MEMBERS: [Member; 7] = [
    ("time", "%START_TIME%", false),
    ("status", "%RESPONSE_CODE%", true),
    ("flags", "%RESPONSE_FLAGS%", false),
    ("durationMs", "%DURATION%", true),
    ("bytesReceived", "%BYTES_RECEIVED%", true),
    ("bytesSent", "%BYTES_SENT%", true),
    ("protocol", "%PROTOCOL%", false),
];

/// Of a traced request: what leads to its trace.
const TRACE: Member = ("traceId", "%TRACE_ID%", false);

/// Of a request that the filter did not see.
const UNSEEN: [Member; 3] = [
    ("requestId", "%REQ(X-REQUEST-ID)%", false),
    ("method", "%REQ(:METHOD)%", false),
    ("path", "%PATH(NQ:PATH)%", false),
];

/// The loggers of the gateway's listener.
pub(super) fn loggers(gateway: &Gateway) -> Vec<AccessLog> {
    if !gateway.logging.access {
        return Vec::new();
    }
    let known = MEMBERS.into_iter().chain(gateway.is_traced.then_some(TRACE));
    let seen = format!("'{LOG_FILTER_STATE}' in filter_state");
    vec![logger(&seen, any(&text(known.clone()))), logger(&format!("!({seen})"), json(known.chain(UNSEEN)))]
}

fn logger(condition: &str, log: Any) -> AccessLog {
    let filter = ExtensionFilter {
        name: "envoy.access_loggers.extension_filters.cel".to_owned(),
        config_type: Some(extension_filter::ConfigType::TypedConfig(any(&ExpressionFilter {
            expression: condition.to_owned(),
            ..Default::default()
        }))),
    };
    AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        filter: Some(AccessLogFilter {
            filter_specifier: Some(access_log_filter::FilterSpecifier::ExtensionFilter(filter)),
        }),
        config_type: Some(access_log::ConfigType::TypedConfig(log)),
    }
}

/// `{`, the filter's members, Envoy's, `}`.
fn text(members: impl Iterator<Item = Member>) -> StdoutAccessLog {
    let member = |(name, operator, is_number)| match is_number {
        true => format!("\"{name}\":{operator}"),
        false => format!("\"{name}\":\"{operator}\""),
    };
    let members: Vec<String> = members.map(member).collect();
    let line = format!("{{%FILTER_STATE({LOG_FILTER_STATE}:PLAIN)%{}}}\n", members.join(","));
    let format = SubstitutionFormatString {
        format: Some(substitution_format_string::Format::TextFormatSource(DataSource {
            specifier: Some(data_source::Specifier::InlineString(line)),
            ..Default::default()
        })),
        // What is not there is nothing rather than a dash, which would be no JSON.
        omit_empty_values: true,
        ..Default::default()
    };
    StdoutAccessLog { access_log_format: Some(stdout_access_log::AccessLogFormat::LogFormat(format)) }
}

/// Envoy's JSON format, which is a map. The listener must be encoded the same each time, or it would be replaced with every
/// configuration; the generated message keeps its map in no order, so this writes the three messages around it anew.
fn json(members: impl Iterator<Item = Member>) -> Any {
    #[derive(Clone, PartialEq, Message)]
    struct Log {
        #[prost(message, optional, tag = "1")]
        log_format: Option<Format>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Format {
        #[prost(message, optional, tag = "2")]
        json_format: Option<Fields>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Fields {
        #[prost(btree_map = "string, message", tag = "1")]
        fields: BTreeMap<String, Value>,
    }
    let value = |operator: &str| Value { kind: Some(Kind::StringValue(operator.to_owned())) };
    let fields = members.map(|(name, operator, _)| (name.to_owned(), value(operator))).collect();
    let log = Log { log_format: Some(Format { json_format: Some(Fields { fields }) }) };
    Any { type_url: StdoutAccessLog::type_url(), value: log.encode_to_vec() }
}
