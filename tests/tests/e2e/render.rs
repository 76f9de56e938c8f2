//! What is rendered is served: by an Envoy without a control plane, by one that serves another site as well, by those of
//! meshes, and by one that has a control plane for what Envoys share.

mod alone;
mod fragment;
mod kubernetes;
mod meshes;
mod shared;

use serde_json::{Value, json};

/// What the other site says.
const SITE: &str = "the other site";

/// The connection manager of [`site`].
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// An Envoy as somebody wrote it who had never heard of us: one site, on all paths.
fn site() -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "site",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
        "route_config": {"name": "routes", "virtual_hosts": [{"name": "site:80", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": SITE}}},
        ]}]},
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    json!({
        "node": {"id": "site", "cluster": "sites"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "clusters": [],
            "listeners": [{
                "name": "gateway",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [filter]}],
            }],
        },
    })
}

/// The list at `path`, to be changed.
fn list<'a>(config: &'a mut Value, path: &str) -> &'a mut Vec<Value> {
    config.pointer_mut(path).and_then(Value::as_array_mut).unwrap_or_else(|| panic!("no list at {path}"))
}
