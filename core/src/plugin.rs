//! What Envoy and the control plane must agree on with the filter: the plugin's configuration, and names.

use serde::{Deserialize, Serialize};

use crate::config::Gateway;

/// Filter state the filter writes with `set_property` and the router's cluster matcher reads.
pub const CLUSTER_PROPERTY: &str = "ai_warp_cluster";

/// Key of that filter state in Envoy's configuration: Envoy prefixes what a Wasm filter sets.
pub const CLUSTER_FILTER_STATE: &str = "wasm.ai_warp_cluster";

/// Filter state that leads from an attempt to its exchange.
pub const EXCHANGE_PROPERTY: &str = "ai_warp_exchange";

/// Filter state that holds the filter's part of the access-log line: members of a JSON object, each with a comma after it.
pub const LOG_PROPERTY: &str = "ai_warp_log";

/// Key of that filter state in Envoy's configuration.
pub const LOG_FILTER_STATE: &str = "wasm.ai_warp_log";

/// Filter state with the name of an attempt's span.
pub const SPAN_NAME_PROPERTY: &str = "ai_warp_span";

/// Filter state with what an attempt does, see [`SPAN_ATTRIBUTES`].
pub const SPAN_OPERATION_PROPERTY: &str = "ai_warp_operation";
/// Who is asked.
pub const SPAN_PROVIDER_PROPERTY: &str = "ai_warp_provider";
/// Which model is asked.
pub const SPAN_REQUEST_MODEL_PROPERTY: &str = "ai_warp_request_model";
/// Tokens read.
pub const SPAN_INPUT_PROPERTY: &str = "ai_warp_input_tokens";
/// Tokens generated.
pub const SPAN_OUTPUT_PROPERTY: &str = "ai_warp_output_tokens";
/// How an attempt failed, or the whole request; empty where it has not.
pub const SPAN_ERROR_PROPERTY: &str = "ai_warp_error";
/// The route.
pub const SPAN_ROUTE_PROPERTY: &str = "ai_warp_route";
/// How many attempts there were.
pub const SPAN_ATTEMPTS_PROPERTY: &str = "ai_warp_attempts";
/// The session.
pub const SPAN_SESSION_PROPERTY: &str = "ai_warp_session";

/// The attributes of spans, each with the filter state that has its value, where there is one. The names are OpenTelemetry's
/// (semantic conventions for generative AI), but for our own.
pub const SPAN_ATTRIBUTES: [(&str, &str); 9] = [
    ("gen_ai.operation.name", SPAN_OPERATION_PROPERTY),
    ("gen_ai.provider.name", SPAN_PROVIDER_PROPERTY),
    ("gen_ai.request.model", SPAN_REQUEST_MODEL_PROPERTY),
    ("gen_ai.usage.input_tokens", SPAN_INPUT_PROPERTY),
    ("gen_ai.usage.output_tokens", SPAN_OUTPUT_PROPERTY),
    ("error.type", SPAN_ERROR_PROPERTY),
    ("ai_warp.route", SPAN_ROUTE_PROPERTY),
    ("ai_warp.attempts", SPAN_ATTEMPTS_PROPERTY),
    ("ai_warp.session", SPAN_SESSION_PROPERTY),
];

/// Request header by which Envoy tells the first attempt of a traced request which span is under way, as `traceparent` would.
/// No provider sees it.
pub const TRACE_HEADER: &str = "x-ai-warp-trace";

/// How the names of all headers begin that only the gateway may write.
pub const OWN_HEADERS: &str = "x-ai-warp-";

/// Request header in which Envoy hands on the payload of a token that it has checked, in base64url.
pub const TOKEN_HEADER: &str = "x-ai-warp-jwt-payload";

/// Header of the webhook's response that names the consumer.
pub const CONSUMER_HEADER: &str = "x-ai-warp-consumer";

/// Request header by which the gateway tells the control plane whose sessions may be read and deleted.
pub const OWNER_HEADER: &str = "x-ai-warp-owner";

/// The filter that checks tokens, as the listener names it.
pub const TOKEN_FILTER: &str = "ai-warp.auth.jwt";

/// The filter that asks the webhook, as the listener names it.
pub const WEBHOOK_FILTER: &str = "ai-warp.auth.webhook";

/// Response header by which an attempt asks the router to retry. Removed from what clients send and get.
pub const RETRY_HEADER: &str = "x-ai-warp-retry";

/// Response header for operators: `provider:model` that answered.
pub const MODEL_HEADER: &str = "x-ai-warp-model";

/// Response header for operators: how many upstream requests were made.
pub const ATTEMPTS_HEADER: &str = "x-ai-warp-attempts";

/// Response header that is `false` where the turn could not be stored in time.
pub const STORED_HEADER: &str = "x-ai-warp-stored";

/// Response header for clients and operators: the fields of the request that the model could not take and that were left
/// out.
pub const DROPPED_HEADER: &str = "x-ai-warp-dropped";

/// Request header by which an attempt tells the hop which cluster to go on to. The hop removes it.
pub const HOP_HEADER: &str = "x-ai-warp-hop";

/// Response header by which the hop says that it is the hop that answers, because the provider did not.
pub const HOP_FAILED_HEADER: &str = "x-ai-warp-hop-failed";

/// Path at which the hop itself answers an attempt that only waited, with [`RETRY_HEADER`]: the router then goes on to the
/// next cluster. Only without [`HOP_HEADER`], since a provider may have the same path.
pub const WAITING_PATH: &str = "/waiting";

/// The cluster of the control plane's xDS, in every bootstrap.
pub const CONTROL_PLANE_CLUSTER: &str = "ai-warp-control-plane";

/// The cluster by which the filter calls the control plane, in every bootstrap: the same address over HTTP/1.1, which
/// costs Envoy less per call than a stream of HTTP/2.
pub const SYNC_CLUSTER: &str = "ai-warp-sync";

/// The configuration of one plugin, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "one is made for each configuration, and taken apart at once")]
pub enum PluginConfig {
    /// The filter of the listener. Changes with every configuration.
    Gateway(Gateway),
    /// The filter of the provider clusters. Constant, so that a new configuration touches no cluster: all an attempt
    /// needs is in its exchange.
    Attempt,
    /// The filter of the hop that streams take. Constant as well.
    Hop,
}
