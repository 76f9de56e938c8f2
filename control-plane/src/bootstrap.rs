//! The bootstrap configuration an Envoy starts with: how to find the control plane, and what no control plane can push.

mod link;

use std::path::PathBuf;

use ai_warp_core::plugin::CONTROL_PLANE_CLUSTER;
use serde_json::{Value, json};

pub use self::link::{Link, LinkTls, TokenSource};
use crate::host_port::HostPort;
use crate::{stats, yaml};

/// What a bootstrap depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapOptions {
    /// How the control plane is reached.
    pub link: Link,
    /// `HOST:PORT` of Envoy's admin interface.
    pub admin: HostPort,
    /// Port of the gateway's listener, where it differs from the configuration's.
    pub port: Option<u16>,
    /// Port where it lets in streams that the control plane opens, where it differs from the configuration's.
    pub stream_port: Option<u16>,
    /// Path of the filter as this Envoy sees it; without one it gets the code from the control plane.
    pub filter: Option<PathBuf>,
    /// Name of this gateway in the fleet.
    pub node_id: String,
}

/// Connections a gateway accepts before it refuses more, so that file descriptors and memory stay bounded.
const MAX_CONNECTIONS: u32 = 50_000;

/// Writes the bootstrap as YAML.
pub fn render(options: &BootstrapOptions) -> String {
    let head = "# An Envoy that gets all it serves from the control plane of AI Warp. Written by `ai-warp bootstrap`.\n";
    format!("{head}{}", yaml::text(&value(options)))
}

/// The bootstrap.
pub(crate) fn value(options: &BootstrapOptions) -> Value {
    json!({
        "node": node(options),
        "admin": {"address": socket(&options.admin)},
        "stats_config": stats::stats_config(),
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL_PLANE_CLUSTER}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            },
        }],
        "static_resources": {"clusters": options.link.clusters(), "secrets": options.link.secrets()},
        "overload_manager": {
            "resource_monitors": [{
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": MAX_CONNECTIONS,
                },
            }],
        },
    })
}

fn node(options: &BootstrapOptions) -> Value {
    let mut traits = serde_json::Map::new();
    if let Some(port) = options.port {
        traits.insert("port".to_owned(), port.into());
    }
    if let Some(port) = options.stream_port {
        traits.insert("streamPort".to_owned(), port.into());
    }
    if let Some(filter) = &options.filter {
        traits.insert("filter".to_owned(), filter.to_string_lossy().into());
    }
    let mut node = json!({"id": options.node_id, "cluster": "ai-warp"});
    if let (false, Some(node)) = (traits.is_empty(), node.as_object_mut()) {
        node.insert("metadata".to_owned(), json!({"ai_warp": traits}));
    }
    node
}

fn socket(address: &HostPort) -> Value {
    json!({"socket_address": {"address": address.host, "port_value": address.port}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_envoy_dir_holds_for_compose() {
        let rendered = render(&BootstrapOptions {
            link: Link {
                control_planes: vec![HostPort { host: "control-plane".into(), port: 18_001 }],
                token: Some(TokenSource::File("/filter/xds-token".into())),
                tls: None,
            },
            admin: HostPort { host: "0.0.0.0".into(), port: 9901 },
            port: None,
            stream_port: None,
            filter: Some("/filter/filter.wasm".into()),
            node_id: "ai-warp-gateway".into(),
        });
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/bootstrap.yaml");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            rendered, kept,
            "envoy/bootstrap.yaml is out of date; write it again with `cargo run -p ai-warp -- bootstrap \
             --control-plane control-plane:18001 --admin 0.0.0.0:9901 --filter /filter/filter.wasm \
             --xds-token-file /filter/xds-token --node-id ai-warp-gateway`"
        );
    }
}
