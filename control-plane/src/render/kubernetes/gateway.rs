//! The gateways: Envoys that have everything but their bootstrap from the control plane.

use serde_json::{Value, json};

use super::{Document, Part, Plan, confined, from_secret, one_by_one, probe, xds_token};
use crate::bootstrap::{self, BootstrapOptions, Link, TokenSource};
use crate::host_port::HostPort;
use crate::yaml;

/// Port of what the cluster may ask an Envoy: how it is, and its metrics. The admin interface can do more, so it stays inside.
const PROBES_PORT: u16 = 9_902;

/// Port of the admin interface, inside of the pod.
const ADMIN_PORT: u16 = 9_901;

/// Name of the cluster that leads to it.
const ADMIN_CLUSTER: &str = "ai-warp-admin";

/// Longest time that a gateway which is to end goes on with what it has begun, in seconds; shorter where the configuration
/// lets nothing run for so long.
const LONGEST_DRAIN_SECONDS: u64 = 300;

/// Seconds beyond that until it is killed.
const GRACE_SECONDS: u64 = 15;

pub(super) fn documents(plan: &Plan<'_>) -> Vec<Document> {
    let part = Part::Gateway;
    let mut config = plan.config_map("bootstrap", "envoy.yaml", &yaml::text(&bootstrap_of(plan)));
    config.comment = "What a gateway starts with. Envoys that run keep what they have: restart the gateways after a change."
        .to_owned();
    let to_clients = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    vec![
        config,
        plan.deployment(part, plan.options.replicas, one_by_one(), pod(plan)),
        plan.service(part, to_clients),
        plan.disruption_budget(part),
        plan.network_policy(
            part,
            "Clients come from anywhere; so do probes and those who read metrics.",
            json!([{"ports": [{"port": "http"}, {"port": "probes"}]}]),
        ),
    ]
}

fn bootstrap_of(plan: &Plan<'_>) -> Value {
    let control_plane = HostPort {
        host: plan.name(Part::ControlPlane.suffix()),
        port: plan.loaded.config.control_plane.xds_port,
    };
    let token = Some(TokenSource::Env(xds_token(&plan.loaded.config)));
    let mut bootstrap = bootstrap::value(&BootstrapOptions {
        link: Link { control_planes: vec![control_plane], token, tls: None },
        admin: HostPort { host: "127.0.0.1".to_owned(), port: ADMIN_PORT },
        port: None,
        stream_port: None,
        filter: None,
        node_id: plan.name(Part::Gateway.suffix()),
    });
    if let Some(resources) = bootstrap.get_mut("static_resources").and_then(Value::as_object_mut) {
        resources.insert("listeners".to_owned(), json!([probes()]));
        if let Some(clusters) = resources.get_mut("clusters").and_then(Value::as_array_mut) {
            clusters.push(admin());
        }
    }
    bootstrap
}

/// What may be asked from outside.
fn probes() -> Value {
    let route = |path: &str| json!({"match": {"path": path}, "route": {"cluster": ADMIN_CLUSTER}});
    let live = json!({"match": {"path": "/live"}, "direct_response": {"status": 200}});
    let routes = [route("/ready"), route("/stats/prometheus"), live];
    json!({
        "name": "ai-warp-probes",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": PROBES_PORT}},
        "ignore_global_conn_limit": true,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "ai-warp-probes",
                "route_config": {"virtual_hosts": [{"name": "probes", "domains": ["*"], "routes": routes}]},
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}

fn admin() -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": ADMIN_PORT}});
    json!({
        "name": ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": ADMIN_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

/// Seconds in which a gateway ends what it has begun.
fn drain_seconds(plan: &Plan<'_>) -> u64 {
    plan.loaded.gateway.longest_timeout_ms().div_ceil(1_000).min(LONGEST_DRAIN_SECONDS)
}

/// Tells clients to go elsewhere, and waits until they have. The image has bash and no client for HTTP.
fn drain(seconds: u64) -> String {
    let post = |path: &str| {
        format!(
            "exec 3<>/dev/tcp/127.0.0.1/{ADMIN_PORT} && printf 'POST {path} HTTP/1.1\\r\\nhost: admin\\r\\n\
             content-length: 0\\r\\nconnection: close\\r\\n\\r\\n' >&3 && cat <&3"
        )
    };
    format!("{}; {}; sleep {seconds}", post("/healthcheck/fail"), post("/drain_listeners?graceful"))
}

fn pod(plan: &Plan<'_>) -> Value {
    let seconds = drain_seconds(plan);
    json!({
        "terminationGracePeriodSeconds": seconds + GRACE_SECONDS,
        "containers": [{
            "name": "envoy",
            "image": plan.options.envoy_image,
            "command": ["envoy"],
            "args": [
                "--config-path", "/etc/envoy/envoy.yaml",
                "--service-node", "$(POD_NAME)",
                "--disable-hot-restart",
                "--drain-time-s", seconds.to_string(),
            ],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                from_secret(&xds_token(&plan.loaded.config), &plan.name("secrets")),
            ],
            "ports": [
                {"name": "http", "containerPort": plan.loaded.config.server.port},
                {"name": "probes", "containerPort": PROBES_PORT},
            ],
            "startupProbe": probe("/ready", "probes", 1, 120),
            "readinessProbe": probe("/ready", "probes", 5, 2),
            "livenessProbe": probe("/live", "probes", 10, 3),
            "lifecycle": {"preStop": {"exec": {"command": ["bash", "-c", drain(seconds)]}}},
            "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
            "securityContext": confined(),
            "volumeMounts": [{"name": "bootstrap", "mountPath": "/etc/envoy", "readOnly": true}],
        }],
        "volumes": [{"name": "bootstrap", "configMap": {"name": plan.name("bootstrap")}}],
    })
}
