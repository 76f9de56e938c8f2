//! `streams`: those that survive their clients.

use serde::Deserialize;

use crate::config::TimeWindow;

/// `streams`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StreamsConfig {
    /// Whether streams can be resumed: the control plane reads them in their clients' place, and keeps them for a while.
    /// Needs sessions (`storage.type` other than `none`).
    pub resumable: bool,
    /// Port of each Envoy at which the control plane opens them; an Envoy's bootstrap may say another. Nobody else can use it.
    pub port: u16,
    /// Address that port binds; without one 127.0.0.1 where `controlPlane.hostname` is of this machine, otherwise 0.0.0.0.
    pub hostname: Option<String>,
    /// How long a model goes on answering when nobody listens any more.
    pub abandon_after: TimeWindow,
    /// How long a stream can be resumed after its end.
    pub keep: TimeWindow,
    /// Events kept of one stream; beyond that the oldest go.
    pub max_events: u32,
    /// Bytes kept of one stream; beyond that the oldest events go.
    pub max_bytes: u64,
    /// Streams under way of one consumer in one control plane; more are refused. As many of those who have no name together; more
    /// of theirs cannot be resumed.
    pub max_per_consumer: u32,
    /// Bytes that one control plane keeps of all streams: ended ones make room, and what then finds none cannot be resumed.
    pub max_total_bytes: u64,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            resumable: true,
            port: 3_142,
            hostname: None,
            abandon_after: TimeWindow::from_secs(60),
            keep: TimeWindow::from_secs(300),
            max_events: 50_000,
            max_bytes: 4 << 20,
            max_per_consumer: 1_000,
            max_total_bytes: 256 << 20,
        }
    }
}
