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

/// How the names of all headers begin that only the gateway may write.
pub const OWN_HEADERS: &str = "x-ai-warp-";

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
