//! The bootstrap configuration an Envoy starts with: enough to find the control plane, nothing more.

use std::path::PathBuf;

use crate::host_port::HostPort;

/// What a bootstrap depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapOptions {
    /// `HOST:PORT` of the control plane's xDS port.
    pub control_plane: HostPort,
    /// `HOST:PORT` of Envoy's admin interface.
    pub admin: HostPort,
    /// Port of the gateway's listener, where it differs from the configuration's.
    pub port: Option<u16>,
    /// Path of the filter as this Envoy sees it, where it differs from the control plane's.
    pub filter: Option<PathBuf>,
    /// Name of this gateway in the fleet.
    pub node_id: String,
}

/// Writes the bootstrap as YAML.
pub fn render(_options: &BootstrapOptions) -> String {
    String::new()
}
