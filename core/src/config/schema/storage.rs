//! `storage`: where sessions are kept.

use serde::Deserialize;

use crate::config::{Secret, TimeWindow};

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// Nowhere: no sessions, and nothing is committed.
    None,
    /// In the control plane's memory, bounded, until it restarts.
    Memory,
    /// In Valkey (or Redis).
    Valkey,
}

/// `storage`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Where sessions are kept: `memory`, `valkey`, or `none`: no sessions, nothing is committed. (default: `memory`)
    #[serde(rename = "type")]
    pub kind: StorageType,
    /// Longest wait of an answer for its turn to be stored.
    pub commit_timeout: TimeWindow,
    /// Turns kept of one session; the oldest go first.
    pub max_turns_per_session: u32,
    /// Bounds of the memory store.
    pub memory: MemoryConfig,
    /// How to reach Valkey.
    pub valkey: ValkeyConfig,
}

/// `storage.memory`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Sessions kept; the least recently used go first.
    pub max_sessions: u32,
    /// Bytes of prompts and answers kept; the least recently used sessions go first.
    pub max_bytes: u64,
}

/// `storage.valkey`.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ValkeyConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name (ACL).
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Number of the database; without meaning in a cluster.
    pub database: u8,
    /// Whether to use TLS.
    pub tls: bool,
    /// Whether the server is a cluster.
    pub cluster: bool,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            kind: StorageType::Memory,
            commit_timeout: TimeWindow::from_millis(250),
            max_turns_per_session: 1_000,
            memory: MemoryConfig::default(),
            valkey: ValkeyConfig::default(),
        }
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { max_sessions: 10_000, max_bytes: 256 << 20 }
    }
}

impl Default for ValkeyConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            username: None,
            password: None,
            database: 0,
            tls: false,
            cluster: false,
        }
    }
}
